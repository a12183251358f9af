"""The paper's ablations on the synthetic city: the full model, and each part of it left out.

    python benchmarks/ablations.py --out out/ablations

Four streets to train on and one to test on (192x96), then ``vid2vid ablate --paper`` with ``street-tiny``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import vid2vid

SIZE = (192, 96)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--out", type=Path, required=True)
    words.add_argument("--steps", type=int, default=500)
    words.add_argument("--frames", type=int, default=60, help="of each street")
    words.add_argument("--seeds", type=int, nargs="*", default=[], help="of training")
    words.add_argument("overrides", nargs="*", help="key=value words for all rows")
    args = words.parse_intermixed_args()

    train, test = args.out / "data" / "train", args.out / "data" / "test"
    for folder, streets in ((train, (11, 12, 13, 14)), (test, (1,))):
        vid2vid.prepare([f"city:{street}" for street in streets], folder, size=SIZE, frames=args.frames)
    settings = [f"data.size=[{SIZE[0]},{SIZE[1]}]", "data.flow=exact", f"train.steps={args.steps}"]
    grid = args.out / "grid"
    vid2vid.ablate(
        *(train, "street-tiny", grid),
        overrides=[*settings, *args.overrides],
        paper=True,
        seeds=args.seeds,
        test=test,
        say=print,
    )
    print((grid / "table.md").read_text())


if __name__ == "__main__":
    main()
