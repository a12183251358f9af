"""Drift over a thousand frames: trained as usual, and on a history of its own making with noise on it.

    python benchmarks/drift.py --out out/drift --json benchmarks/results/drift.json

Two trainings of ``street-tiny`` on the same streets of the synthetic city (128x64), with the same steps and
so the same number of frames learnt; the second with ``train.rollout`` and ``train.history_noise``. Each
renders a street that neither has seen, ``--frames`` long, without a pause. For every window of fifty frames:
the distance of its mean colour to the real one (Delta E), and its sharpness (gradient energy) as a ratio to
the real one. A street is not everywhere as hard to paint, so the last window is also made by a stream that
begins a window before it and has come to its own frame 50 there: what differs between the two is drift
alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

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
TEST = 1
WINDOW = 50


def rendered_drift(model: Model, size: tuple[int, int], frames: range) -> dict:
    """How far colours and sharpness of these frames wander off, made in one go: ``evaluation.Drift``."""
    classes = model.schema.labels
    assert classes is not None
    real: list[np.ndarray] = []

    def conditions() -> Iterator[torch.Tensor]:
        for frame in islice(City(TEST, size, model.rate).frames(frames.stop), frames.start, None):
            real[:] = [frame.image]
            item = Described(None, None, classes.indices(frame.labels), frame.instances.astype(np.int64))
            yield item.encode(model.schema, next(model.renderer.parameters()).device)

    drift = Drift(WINDOW)
    for made in stream(model, conditions()):
        drift.update(to_picture(made[0]), real[0])
    return drift.compute()


def summary(drift: dict, young: dict) -> dict[str, float | None]:
    """The last window against the first, and against the same frames by a stream that is 50 frames old."""
    last = drift["windows"][-1]
    told: dict[str, float | None] = {
        "colour error, last window": last["colour_from_real"],
        "sharpness to real, last window": last["gradient_to_real"],
    }
    for name, window in (("first window", drift["windows"][0]), ("last window, young", young["windows"][-1])):
        off, before = (abs(1 - each["gradient_to_real"]) for each in (last, window))
        told |= {
            f"colour error, {name}": window["colour_from_real"],
            f"sharpness to real, {name}": window["gradient_to_real"],
            f"growth of the colour error since the {name}": last["colour_from_real"]
            / max(window["colour_from_real"], 1e-9)
            - 1,
            f"growth of the sharpness error since the {name}": off / max(before, 1e-9) - 1,
        }
    return told | {"colour drift": drift["colour_drift"], "sharpness drift": drift["sharpness_drift"]}


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--out", type=Path, required=True, help="runs and data; call again to go on")
    words.add_argument("--json", type=Path)
    words.add_argument("--size", type=int, nargs=2, default=(128, 64))
    words.add_argument("--steps", type=int, default=2000)
    words.add_argument("--clip", type=int, default=100, help="frames of each street to learn from")
    words.add_argument("--frames", type=int, default=1000, help="of the street to render")
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
        drift = rendered_drift(model, size, range(args.frames))
        young = rendered_drift(model, size, range(args.frames - 2 * WINDOW, args.frames))
        row = {"training": name, "settings": more, "frames learnt": model.about["frames_seen"]}
        rows.append(row | summary(drift, young) | {"windows": drift["windows"]})
        print(json.dumps({key: value for key, value in rows[-1].items() if key != "windows"}), flush=True)
    results = {"machine": describe(), "frames": args.frames, "size": list(size), "steps": args.steps}
    if args.json:
        args.json.write_text(json.dumps(results | {"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
