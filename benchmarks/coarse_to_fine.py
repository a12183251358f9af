"""Coarse to fine on the synthetic city: the finest of three stages against the coarse one upsampled.

    python benchmarks/coarse_to_fine.py --out out/coarse_to_fine

Trains 128x64, 256x128 and 512x256 (recipe ``city-fine``), each from the one before; renders an unseen street
with each, scales their frames up to 512x256 by splines, and scores all against the truth.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import cv2
from machine import describe

import vid2vid
from vid2vid.evaluation import markdown_table
from vid2vid.video import list_pictures, read_picture, write_picture

SIZE = (512, 256)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--out", type=Path, required=True)
    words.add_argument("--steps", type=int, nargs=3, default=(500, 300, 300))
    words.add_argument("--frames", type=int, default=40, help="of each street")
    words.add_argument("overrides", nargs="*", help="key=value words for all three stages")
    args = words.parse_intermixed_args()

    train, test = args.out / "data" / "train", args.out / "data" / "test"
    for folder, seeds in ((train, (11, 12, 13)), (test, (1,))):
        if not folder.exists():
            vid2vid.prepare([f"city:{seed}" for seed in seeds], folder, size=SIZE, frames=args.frames)
    minutes, before = [], None
    for scales, steps in enumerate(args.steps, start=1):
        begun, run = time.process_time(), args.out / f"scales-{scales}"
        size = tuple(side >> (3 - scales) for side in SIZE)
        settings = [f"data.size=[{size[0]},{size[1]}]", f"model.scales={scales}", f"train.steps={steps}"]
        vid2vid.train(train, "city-fine", run, [*settings, *args.overrides], start_from=before, say=print)
        minutes.append(round((time.process_time() - begun) / 60, 1))
        before = run
    clip = next(path for path in test.iterdir() if path.is_dir())
    fakes = []
    for name, scales in (("finest", 3), ("middle upsampled", 2), ("coarse upsampled", 1)):
        made = args.out / "made" / name.replace(" ", "-")
        if not made.exists():
            vid2vid.synthesize(args.out / f"scales-{scales}", clip, made, first_frames=[clip])
        large = args.out / "large" / name.replace(" ", "-")
        for path in list_pictures(made):
            write_picture(
                large / path.name, cv2.resize(read_picture(path), SIZE, interpolation=cv2.INTER_CUBIC)
            )
        fakes.append(f"{name}={large}")
    report = vid2vid.evaluate(clip / "frames", fakes, args.out / "report", given=2)
    table = markdown_table(report)
    results = {"machine": describe(), "processor minutes of this call": minutes, "table": table.splitlines()}
    (args.out / "coarse_to_fine.json").write_text(json.dumps(results, indent=1) + "\n")
    print(table)


if __name__ == "__main__":
    main()
