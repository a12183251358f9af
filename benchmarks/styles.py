"""Styles: do the looks differ, does the layout stay, does every object keep its look?

    python benchmarks/styles.py --out out/styles-city
    python benchmarks/styles.py --clip ../shared/clips/street_camvid --train 0:57 --test 57:71 \\
        --out out/styles-street

Trains ``street-tiny`` with three style numbers per object (on the synthetic city without ``--clip``), renders
the test frames in the four most common styles, and measures

* the mean distance of pixels between styles, 0 to 255;
* how many pixels a small segmentation network, trained on the real frames, gives the class of the label map;
* the largest change of any object's style numbers over the frames.
"""

from __future__ import annotations

import argparse
import json
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from machine import describe
from torch import Tensor, nn

import vid2vid
from vid2vid.data import Dataset
from vid2vid.inference import ConditionSource
from vid2vid.inference.styling import Styling
from vid2vid.models.layers import Decoder, Encoder
from vid2vid.types import to_tensor
from vid2vid.video import open_frames, write_picture
from vid2vid.zoo import Model

STYLES = ("0", "1", "2", "3")
CPU = torch.device("cpu")


class Segmenter(nn.Module):
    """A frame (B, 3, H, W) to class scores (B, classes, H, W)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.encoder = Encoder(3, 16, 3, 1, kernel=3, skips=True)
        self.decoder = Decoder(16, 3, 1, "resize", skips=True)
        self.head = nn.Conv2d(16, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.decoder(self.encoder(x)))
        return scores


def segmenter(data: Dataset, classes: int, steps: int) -> Segmenter:
    torch.manual_seed(0)
    network = Segmenter(classes)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    places = [(clip, t) for clip in data.clips for t in range(len(clip))]
    for step in range(steps):
        picks = torch.randint(len(places), (4,)).tolist()
        reads = [places[pick][0].read(places[pick][1], places[pick][1] + 1) for pick in picks]
        frames = to_tensor(np.concatenate([read.frames for read in reads]))
        # Looks differ in colour and light: the segmenter is to go by more than those.
        frames = (frames * (0.6 + 0.8 * torch.rand(4, 3, 1, 1)) + 0.6 * torch.rand(4, 3, 1, 1) - 0.3).clamp(
            -1, 1
        )
        labels = torch.from_numpy(np.concatenate([read.labels for read in reads]))  # type: ignore[arg-type]
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * (1 - step / steps)
        loss = F.cross_entropy(network(frames), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


@torch.no_grad()
def agreement(network: Segmenter, frames: list[np.ndarray], labels: list[np.ndarray]) -> float:
    """Percent of pixels with the class of the label map."""
    right = [
        float((network(to_tensor(frame)[None]).argmax(1)[0].numpy() == label).mean())
        for frame, label in zip(frames, labels, strict=True)
    ]
    return 100 * float(np.mean(right))


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
    words.add_argument("--segmenter-steps", type=int, default=400)
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

    source = ConditionSource(test, model.schema, tuple(args.size), args.test)
    labels = [item.labels for item in source if item.labels is not None]
    network = segmenter(
        Dataset.open(train, size=tuple(args.size), frames=args.train), len(classes), args.segmenter_steps
    )
    real = Dataset.open(test, size=tuple(args.size), frames=args.test).clips[0]
    worst, objects = style_change(model, source)
    results = {
        "machine": describe(),
        "distance between styles": {
            f"{one} and {other}": round(
                float(
                    np.mean(
                        [
                            np.abs(a.astype(int) - b).mean()
                            for a, b in zip(made[one], made[other], strict=True)
                        ]
                    )
                ),
                2,
            )
            for one, other in combinations(STYLES, 2)
        },
        "label agreement, percent": {
            "real": round(agreement(network, list(real.read(0, len(real)).frames), labels), 2),
            **{style: round(agreement(network, made[style], labels), 2) for style in STYLES},
        },
        "frames": len(labels),
        "objects": objects,
        "largest change of an object's style": worst,
    }
    (args.out / "styles.json").write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
