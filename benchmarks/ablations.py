"""The paper's ablations on the synthetic city: the full model, and each part of it left out.

    python benchmarks/ablations.py --out out/ablations

All four see the same frames in the same order (recipe ``street-tiny`` at 192x96), start from the same real
frames of an unseen street, and are scored against it.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from machine import describe

import vid2vid
from vid2vid.evaluation import markdown_table

SIZE = (192, 96)
ABLATIONS = {
    "full": [],
    "no foreground prior": ["model.foreground=false"],
    "no video discriminator": ["discriminator.temporal_scales=0"],
    "no flow warping": ["model.use_flow=false"],
}


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--out", type=Path, required=True)
    words.add_argument("--steps", type=int, default=500)
    words.add_argument("--frames", type=int, default=60, help="of each street")
    words.add_argument("--only", nargs="*", default=[], help="train these; score all that are there")
    words.add_argument("overrides", nargs="*", help="key=value words for all of them")
    args = words.parse_intermixed_args()

    train, test = args.out / "data" / "train", args.out / "data" / "test"
    for folder, seeds in ((train, (11, 12, 13, 14)), (test, (1,))):
        if not folder.exists():
            vid2vid.prepare([f"city:{seed}" for seed in seeds], folder, size=SIZE, frames=args.frames)
    clip = next(path for path in test.iterdir() if path.is_dir())
    fakes, minutes = [], {}
    for name, changes in ABLATIONS.items():
        run, begun = args.out / name.replace(" ", "-"), time.process_time()
        settings = [f"data.size=[{SIZE[0]},{SIZE[1]}]", "data.flow=exact", f"train.steps={args.steps}"]
        if not args.only or name in args.only:
            vid2vid.train(train, "street-tiny", run, [*settings, *changes, *args.overrides], say=print)
            minutes[name] = round((time.process_time() - begun) / 60, 1)
        elif not run.exists():
            continue
        vid2vid.synthesize(run, clip, run / "test", first_frames=[clip])
        fakes.append(f"{name}={run / 'test'}")
    report = vid2vid.evaluate(clip / "frames", fakes, args.out / "report", given=2)
    table = markdown_table(report)
    results = {"machine": describe(), "processor minutes of this call": minutes, "table": table.splitlines()}
    (args.out / "ablations.json").write_text(json.dumps(results, indent=1) + "\n")
    print(table)


if __name__ == "__main__":
    main()
