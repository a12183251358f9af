"""The bundled models as step files: parity, divergence over 50 frames, and seconds a step of every runtime.

    python benchmarks/exported.py --out out/exported --clip data/street/clip --json exported.json

Conditions are label maps of the synthetic city (``city:99``) and, with ``--clip``, those of a real clip. The
files are opened again from their folders; the steps that are timed alternate in one run, and the median of
their seconds stands for a runtime: only the ratio to torch means anything on a machine that others use.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from machine import describe

import vid2vid
from vid2vid.inference import ConditionSource
from vid2vid.inference.export import compare
from vid2vid.zoo import Model, bundled, load_model


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--out", type=Path, required=True)
    words.add_argument("--clip", type=Path, help="a clip with the label maps of the bundled models")
    words.add_argument("--formats", nargs="+", default=["onnx", "openvino", "torch"])
    words.add_argument("--frames", type=int, default=50)
    words.add_argument("--rounds", type=int, default=10, help="of timed steps")
    words.add_argument("--threads", type=int, default=2, help="of every runtime while steps are timed")
    words.add_argument("--json", type=Path)
    args = words.parse_args()
    rows = {name: _measure(name, args) for name in bundled()}
    results = {"machine": describe(), "rounds": args.rounds, "threads": args.threads, "models": rows}
    print(json.dumps(results, indent=1))
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")


def _measure(name: str, args: argparse.Namespace) -> dict[str, Any]:
    model = load_model(name)
    city = args.out / "city"
    vid2vid.prepare(["city:99"], city, size=model.size, frames=args.frames)
    clips = {"synthetic city": next(path for path in city.iterdir() if (path / "labels").is_dir())}
    if args.clip is not None:
        clips["real street"] = args.clip
    rows: dict[str, Any] = {}
    for kind in args.formats:
        folder = args.out / f"{name}-{kind}"
        facts = vid2vid.export(
            name, folder, format=kind, check=args.frames, conditions=clips["synthetic city"]
        )
        rows[kind] = {"tools": facts["tools"], "synthetic city": facts["parity"]}
    shown = {clip: _conditions(model, path, args.frames) for clip, path in clips.items()}
    for kind, row in rows.items():
        for clip in list(shown)[1:]:
            renderer = load_model(args.out / f"{name}-{kind}").renderer
            row[clip] = compare(model.renderer, renderer, iter(shown[clip]), args.frames)
    torch.set_num_threads(args.threads)
    made = {"plain torch": model} | {kind: load_model(args.out / f"{name}-{kind}") for kind in rows}
    return {"size": list(model.size), "formats": rows, "seconds a step": _timed(made, shown, args.rounds)}


def _conditions(model: Model, clip: Path, frames: int) -> list[torch.Tensor]:
    source = ConditionSource(clip, model.schema, model.size, None)
    return [item.encode(model.schema, torch.device("cpu")) for item in islice(source, frames)]


@torch.inference_mode()
def _timed(models: dict[str, Model], shown: dict[str, list], rounds: int) -> dict[str, Any]:
    """Medians; one round goes before them, in which kernels are chosen."""
    conditions = shown["synthetic city"]
    seconds: dict[str, list[float]] = {name: [] for name in models}
    states = {name: model.renderer.init_state(conditions[0]) for name, model in models.items()}
    for number in range(rounds + 1):
        condition = conditions[number % len(conditions)]
        for name, model in models.items():
            begin = time.perf_counter()
            _, states[name] = model.renderer.step(condition, states[name])
            seconds[name].append(time.perf_counter() - begin)
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    plain = medians["plain torch"]
    return {name: {"median": value, "times as fast": plain / value} for name, value in medians.items()}


if __name__ == "__main__":
    main()
