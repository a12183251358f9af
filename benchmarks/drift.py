"""Drift over a thousand frames: trained as usual, and on a history of its own making with noise on it.

    python benchmarks/drift.py --out out/drift --json benchmarks/results/drift.json

Two trainings of ``street-tiny`` on the same streets of the synthetic city (128x64), with the same steps and
so the same number of frames learnt; the second with ``train.rollout`` and ``train.history_noise``. Each
renders streets that neither has seen, ``--frames`` long, without a pause. For every window of fifty frames:
the distance of its mean colour to the real one (Delta E), and its sharpness (gradient energy) as a ratio to
the real one. A street is not everywhere as hard to paint, so the last window is also made by a stream that
begins a window before it and has come to its own frame 50 there: what differs between the two is drift
alone. Errors are means over the streets.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from machine import describe

import vid2vid
from vid2vid.data.city import City
from vid2vid.evaluation import Drift
from vid2vid.inference import stream
from vid2vid.inference.source import Described
from vid2vid.types import to_picture
from vid2vid.zoo import Model

STREETS = (11, 12, 13, 14)
TESTS = (1, 2, 3, 4)
WINDOW = 50


def rendered_drift(model: Model, size: tuple[int, int], street: int, frames: range) -> list[dict]:
    """The windows of these frames of a street, made in one go: see ``evaluation.Drift``."""
    classes = model.schema.labels
    assert classes is not None
    real: list[np.ndarray] = []

    def conditions() -> Iterator[torch.Tensor]:
        for frame in islice(City(street, size, model.rate).frames(frames.stop), frames.start, None):
            real[:] = [frame.image]
            item = Described(None, None, classes.indices(frame.labels), frame.instances.astype(np.int64))
            yield item.encode(model.schema, next(model.renderer.parameters()).device)

    drift = Drift(WINDOW)
    for made in stream(model, conditions()):
        drift.update(to_picture(made[0]), real[0])
    windows: list[dict] = drift.compute()["windows"]
    return windows


def errors(windows: list[dict]) -> dict[str, float]:
    """Of one window of every street: its errors, and its sharpness, in the mean."""
    sharpness = [window["gradient_to_real"] for window in windows]
    return {
        "colour error": fmean(window["colour_from_real"] for window in windows),
        "sharpness error": fmean(abs(1 - ratio) for ratio in sharpness),
        "sharpness to real": fmean(sharpness),
    }


def summary(old: list[list[dict]], young: list[list[dict]]) -> dict[str, dict[str, float]]:
    """The last window of every street against its first, and against the same frames by a stream that is 50
    frames old."""
    last = errors([windows[-1] for windows in old])
    told = {"last window": last}
    for name, before in (
        ("first window", errors([windows[0] for windows in old])),
        ("last window, young", errors([windows[-1] for windows in young])),
    ):
        told[name] = before
        told[f"growth since the {name}"] = {
            kind: last[kind] / max(before[kind], 1e-9) - 1 for kind in ("colour error", "sharpness error")
        }
    return told


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--out", type=Path, required=True, help="runs and data; call again to go on")
    words.add_argument("--json", type=Path)
    words.add_argument("--size", type=int, nargs=2, default=(128, 64))
    words.add_argument("--steps", type=int, default=2000)
    words.add_argument("--clip", type=int, default=100, help="frames of each street to learn from")
    words.add_argument("--frames", type=int, default=1000, help="of each street to render")
    words.add_argument("--streets", type=int, nargs="+", default=TESTS, help="seeds of those to render")
    words.add_argument("--rollout", type=int, default=60)
    words.add_argument("--noise", type=float, default=0.02)
    words.add_argument("overrides", nargs="*", help="key=value words for both trainings")
    args = words.parse_intermixed_args()
    size = tuple(args.size)
    data = args.out / "data"
    vid2vid.prepare([f"city:{street}" for street in STREETS], data, size=size, frames=args.clip)
    settings = [f"data.size=[{size[0]},{size[1]}]", "data.flow=exact", f"train.steps={args.steps}"]
    against = [f"train.rollout={args.rollout}", f"train.history_noise={args.noise}"]
    rows = []
    for name, more in (("as usual", []), ("long rollouts", against)):
        run = args.out / name.replace(" ", "-")
        vid2vid.train(data, "street-tiny", run, [*settings, *args.overrides, *more], say=print)
        model = vid2vid.load(run)
        ends = range(args.frames), range(args.frames - 2 * WINDOW, args.frames)
        old, young = (
            [rendered_drift(model, size, street, frames) for street in args.streets] for frames in ends
        )
        row = {"training": name, "settings": more, "frames learnt": model.about["frames_seen"]}
        rows.append(row | summary(old, young) | {"streets": dict(zip(args.streets, old, strict=True))})
        print(json.dumps({key: value for key, value in rows[-1].items() if key != "streets"}), flush=True)
    results = {"machine": describe(), "frames": args.frames, "size": list(size), "steps": args.steps}
    if args.json:
        args.json.write_text(json.dumps(results | {"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
