"""Training in bfloat16 against float32: losses, seconds a step, memory against the estimate of ``info``.

    python benchmarks/precision.py data/city --recipe city-tiny --steps 200 --out precision.json

Both begin with the same weights and see the same frames. A loss is compared as the mean of the last half of
the steps, relative to float32's: training is chaotic, so single steps drift apart even where nothing is lost.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from machine import describe

from vid2vid.config import Recipe, load_recipe
from vid2vid.data import Dataset
from vid2vid.device import pick_device
from vid2vid.training.distributed import ALONE
from vid2vid.training.footage import batches, open_dataset
from vid2vid.training.trainer import Trainer
from vid2vid.zoo import Model
from vid2vid.zoo.footprint import Rehearsal

WARM = 5
"""First steps, which are not timed: kernels are chosen in them."""


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("dataset", type=Path)
    words.add_argument("--recipe", default="city-tiny")
    words.add_argument("--steps", type=int, default=200)
    words.add_argument("--device", default="auto")
    words.add_argument("--out", type=Path)
    words.add_argument("overrides", nargs="*", help="key=value words for the recipe")
    args = words.parse_intermixed_args()
    device = pick_device(args.device)
    rows = {kind: _train(args, kind, device) for kind in ("float32", "bfloat16")}
    plain, rough = rows["float32"].pop("losses"), rows["bfloat16"].pop("losses")
    results = {
        "machine": describe(),
        "recipe": args.recipe,
        "overrides": args.overrides,
        "steps": args.steps,
        "rows": rows,
        "losses": {
            name: {"float32": plain[name], "bfloat16": rough[name], "ratio": rough[name] / plain[name]}
            for name in plain
            if plain[name]
        },
    }
    print(json.dumps(results, indent=1))
    if args.out:
        args.out.write_text(json.dumps(results, indent=1) + "\n")


def _train(args: argparse.Namespace, precision: str, device: torch.device) -> dict:
    recipe = load_recipe(args.recipe, [*args.overrides, f"train.precision={precision}"])
    data = open_dataset(args.dataset, recipe, None)
    torch.manual_seed(recipe.train.seed)
    trainer = Trainer(
        Model.build(recipe.model, data.schema, recipe.data.size, data.clips[0].rate), recipe, device
    )
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    steps: list[dict[str, float]] = []
    seconds: list[float] = []
    for number, batch in enumerate(batches(data, recipe, 0, ALONE)):
        begun = time.perf_counter()
        for metrics in trainer.train_sequence(batch, trainer.given_frames(number)):
            steps.append(metrics)  # a number on the host: the device has finished
            seconds.append(time.perf_counter() - begun)
            begun = time.perf_counter()
        if len(steps) >= args.steps:
            break
    late = steps[len(steps) // 2 : args.steps]
    peak = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None
    estimate = _estimate(recipe, data)
    return {
        "seconds a step": round(statistics.median(seconds[WARM:] or seconds), 4),
        "peak GiB": peak,
        "estimated GiB (float32)": estimate,
        "peak to estimate": None if peak is None else round(peak / estimate, 3),
        "losses": {
            name: statistics.fmean(one[name] for one in late if name in one)  # some need frames before
            for name in dict.fromkeys(name for one in late for name in one)
            if name.partition("/")[0] in ("generator", "discriminator")
        },
    }


def _estimate(recipe: Recipe, data: Dataset) -> float:
    """GiB of a training step, as ``vid2vid info`` reckons them, for this dataset's channels."""
    schema = (data.schema.channels, data.schema.foreground_channels)
    step = Rehearsal.build(recipe, schema, recipe.data.crop or recipe.data.size, torch.device("meta"))
    return round(step.memory() / 2**30, 3)


if __name__ == "__main__":
    main()
