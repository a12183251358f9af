"""Thirty steps, and several futures: whether forecast label maps stay whole, and where futures differ.

    python benchmarks/futures.py RUN out/city-512 --size 256 128 --out benchmarks/results/futures.json \
        --picture docs/images/futures-city.png

From one start a clip, after four observed frames: label IoU and speckle of the copied last map, of constant
flow, of inertia in space and of the forecast, by frames ahead. Speckle is the share of pixels that are like
fewer than two of their eight neighbours; real maps have some. Then ``--samples`` futures: by class, in how
many pixels of the most likely one the others have another class, over the first ten frames; and in frame ten,
within two pixels of what moves in any of them and elsewhere. The picture shows clip number ``--shown``: a row
for the real maps, for constant flow, for the forecast, and, in frame ten, for the futures; the last is dark,
and white wherever any of them differs from the most likely one.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from machine import describe, tell
from torch import Tensor

from vid2vid.conditions import LabelSchema
from vid2vid.data.dataset import Clip, ClipFrames, Dataset
from vid2vid.flow import FlowEstimator, open_estimator
from vid2vid.prediction.baselines import copy_last, inertia
from vid2vid.prediction.pair import open_forecaster
from vid2vid.prediction.past import encoded
from vid2vid.prediction.rollout import Forecast, draw_noise
from vid2vid.prediction.spread import Spread
from vid2vid.types import Size
from vid2vid.video import write_picture
from vid2vid.zoo import Model

CPU = torch.device("cpu")
OBSERVED, AHEAD, OPEN = 4, (1, 10, 20, 30), 10


def classes_of(condition: Tensor, labels: LabelSchema) -> Tensor:
    """(B, C, H, W) encoded to classes (B, H, W)."""
    return condition[:, : len(labels)].argmax(1)


def speckle(maps: Tensor) -> float:
    """The share of pixels of (B, H, W) that fewer than two of their eight neighbours are like."""
    around = F.unfold(F.pad(maps[:, None].double(), (1, 1, 1, 1), mode="replicate"), 3)
    like = (around == maps.flatten(1)[:, None]).sum(1) - 1
    return float((like < 2).double().mean())


def iou(real: Tensor, made: Tensor) -> float:
    """Mean over the classes that either shows."""
    both = [
        ((real == i) & (made == i)).sum() / ((real == i) | (made == i)).sum()
        for i in torch.cat([real, made]).unique()
    ]
    return float(torch.stack(both).mean())


def rollouts(
    model: Model, clip: Clip, seen: ClipFrames, size: Size, estimator: FlowEstimator
) -> dict[str, dict[int, Tensor]]:
    """By system and frames ahead, the class maps (1, H, W); ``real`` among them."""
    labels = model.schema.labels
    assert labels is not None
    forecast = Forecast(model, None, size, CPU, estimator)
    systems = {
        "copy": copy_last(seen, model.schema, size),
        "flow": inertia(seen, model.schema, size, estimator, in_space=False),
        "inertia": inertia(seen, model.schema, size, estimator, in_space=True),
        "forecast": forecast(seen, draw_noise(model, 1, 0, CPU)),
    }
    made: dict[str, dict[int, Tensor]] = defaultdict(dict)
    for k in AHEAD:
        real = clip.read(OBSERVED + k - 1, OBSERVED + k)
        made["real"][k] = classes_of(encoded(real, model.schema, size, CPU), labels)
    for name, futures in systems.items():
        for k, future in enumerate(islice(futures, max(AHEAD)), 1):
            if k in AHEAD and future.condition is not None:
                made[name][k] = classes_of(future.condition, labels)
    return made


def grid(rows: list[list[Tensor]], labels: LabelSchema) -> np.ndarray:
    """Class maps (H, W) as one picture in the colours of their classes; the last row are futures."""
    cells = [[labels.colorize(cell.numpy()) for cell in row] for row in rows]
    differ = (torch.stack(rows[-1]) != rows[-1][0]).any(0).numpy()
    cells[-1][-1] = np.where(differ[..., None], 255, cells[-1][-1] // 3).astype(np.uint8)
    framed = [[np.pad(cell, ((0, 4), (0, 4), (0, 0))) for cell in row] for row in cells]
    return np.concatenate([np.concatenate(row, axis=1) for row in framed])


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("forecaster", help="of label maps")
    words.add_argument("clips", help="of 34 frames and more, with label maps")
    words.add_argument("--size", type=int, nargs=2, default=(256, 128))
    words.add_argument("--samples", type=int, default=4)
    words.add_argument("--flow", default="dis-fine")
    words.add_argument("--out", type=Path)
    words.add_argument("--picture", type=Path)
    words.add_argument("--shown", type=int, default=0)
    args = words.parse_args()
    model, estimator = open_forecaster(args.forecaster, CPU), open_estimator(args.flow, device=CPU)
    labels = model.schema.labels
    assert labels is not None
    spread, near, far = Spread(labels), [], []
    figures: dict[str, dict[int, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    dataset = Dataset.open(args.clips, condition="labels", instances=model.schema.instances)
    clips = [clip for clip in dataset.clips if len(clip) >= OBSERVED + max(AHEAD)]
    for number, clip in enumerate(clips):
        seen = clip.read(0, OBSERVED)
        made = rollouts(model, clip, seen, args.size, estimator)
        for name, maps in made.items():
            for k, one in maps.items():
                figures[name][k].append((iou(made["real"][k], one), speckle(one)))
        futures = Forecast(model, None, args.size, CPU, estimator)(
            seen, draw_noise(model, args.samples, 0, CPU)
        )
        for future in islice(futures, OPEN):
            assert future.condition is not None
            spread.see(future.condition)
            several = classes_of(future.condition, labels)
        if args.picture and number == args.shown:
            rows = [[made[name][k][0] for k in AHEAD] for name in ("real", "flow", "forecast")]
            write_picture(args.picture, grid([*rows, list(several)], labels))
        movers = torch.isin(several, torch.tensor(labels.foreground)).any(0)
        beside = F.max_pool2d(movers[None, None].float(), 5, 1, 2)[0, 0] > 0
        apart = (several[1:] != several[:1]).double().mean(0)
        near.append(float(apart[beside].mean()))
        far.append(float(apart[~beside].mean()))
    results = {
        "machine": describe(),
        "starts": len(clips),
        "size": list(args.size),
        "ahead": {
            name: {
                f"t+{k}": dict(
                    zip(("label IoU", "speckle"), np.mean(each, axis=0).round(4).tolist(), strict=True)
                )
                for k, each in by_step.items()
            }
            for name, by_step in figures.items()
        },
        "seen otherwise, by class": {name: round(share, 4) for name, share in spread.shares().items()},
        f"in frame {OPEN}": {
            "beside movers": round(float(np.mean(near)), 4),
            "elsewhere": round(float(np.mean(far)), 4),
        },
    }
    tell(results, args.out)


if __name__ == "__main__":
    main()
