"""Styles: do the looks differ, does the layout stay, does every object keep its look?

    python benchmarks/styles.py --out out/styles-city
    python benchmarks/styles.py --clip ../shared/clips/street_camvid --train 0:57 --test 57:71 \\
        --out out/styles-street

Trains ``street-tiny`` with three style numbers per object (on the synthetic city without ``--clip``), renders
the test frames in the first four styles, and measures by ``vid2vid evaluate --styles --fit-segmenter``

* the mean distance of pixels between styles, 0 to 255;
* how many pixels a small segmentation network, trained on the real frames, gives the class of the label map;

and beside it the largest change of any object's style numbers over the frames.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from machine import describe
from torch import Tensor

import vid2vid
from vid2vid.inference import ConditionSource
from vid2vid.inference.styling import Styling
from vid2vid.video import open_frames, write_picture
from vid2vid.zoo import Model

STYLES = ("0", "1", "2", "3")
CPU = torch.device("cpu")


def style_change(model: Model, source: ConditionSource) -> tuple[float, int]:
    """The largest change of any object's style numbers between frames, over all choices; and the objects."""
    worst, seen = 0.0, set()
    for choice in (*STYLES, "random"):
        styling, first = Styling(model, choice), dict[int, Tensor]()
        for item in source:
            objects = item.objects(model.schema, item.encode(model.schema, CPU))
            styles = styling(objects)[0]
            for number in objects.unique().tolist():
                here = styles[:, objects[0] == number]
                before = first.setdefault(number, here[:, 0])
                worst = max(worst, float((here - before[:, None]).abs().max()))
        seen |= first.keys()
    return worst, len(seen)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--clip", type=Path)
    words.add_argument("--train", default=None)
    words.add_argument("--test", default="0:100")
    words.add_argument("--out", type=Path, required=True)
    words.add_argument("--size", type=int, nargs=2, default=(256, 192))
    words.add_argument("overrides", nargs="*", help="key=value words for the recipe")
    args = words.parse_intermixed_args()
    train = test = args.clip
    if train is None:
        train, test = args.out / "data" / "train", args.out / "data" / "test" / "city-1"
        if not train.exists():
            seeds = [f"city:{seed}" for seed in (11, 12, 13, 14)]
            vid2vid.prepare(seeds, train, size=tuple(args.size), frames=60)
            vid2vid.prepare(["city:1"], test.parent, size=tuple(args.size), frames=100)
    settings = [f"data.size=[{args.size[0]},{args.size[1]}]", "model.styles=3", *args.overrides]
    run = args.out / "run"
    vid2vid.train(train, "street-tiny", run, settings, frames=args.train, say=print)
    model = vid2vid.load(run)
    classes = model.schema.labels
    assert classes is not None

    made = {}
    for style in STYLES:
        folder = args.out / "styles" / style
        if not folder.exists():
            vid2vid.synthesize(model, test, folder, styles=[style], frames=args.test)
        made[style] = [frame.image for frame in open_frames(folder)]
    rows = [np.concatenate([made[style][t] for style in STYLES], axis=1) for t in (5, len(made["0"]) - 1)]
    write_picture(args.out / "styles.png", np.concatenate(rows, axis=0))

    fakes = [f"style {style}={args.out / 'styles' / style}" for style in STYLES]
    report = vid2vid.evaluate(
        *(test, fakes, args.out / "report"), frames=args.test, styles=True, fit=train, fit_frames=args.train
    )
    worst, objects = style_change(model, ConditionSource(test, model.schema, tuple(args.size), args.test))
    results = {
        "machine": describe(),
        "distance between styles": {
            f"{pair['one']} and {pair['other']}": round(pair["pixels"], 2)
            for pair in report["diversity"]["pairs"]
        },
        "label agreement, percent": {
            system["name"]: round(100 * system["summary"]["pixel_accuracy"], 2)
            for system in report["systems"]
        },
        "frames": report["real"]["frames"],
        "objects": objects,
        "largest change of an object's style": worst,
    }
    (args.out / "styles.json").write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
