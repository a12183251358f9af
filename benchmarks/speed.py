"""Seconds a frame of a recipe's renderer, plain and accelerated, in one run: the ratio is what counts.

    python benchmarks/speed.py --recipe paper --sizes 512x256 2048x1024 --out speed.json

Each variant renders the same conditions from the same state. ``psnr`` compares its frame with the plain
float32 one, both fed the float32 history.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from machine import describe
from torch import Tensor

from vid2vid.config import load_recipe
from vid2vid.device import pick_device
from vid2vid.models.renderer import Renderer
from vid2vid.zoo.renderers import build_renderer

CLASSES = 35


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--recipe", default="paper")
    words.add_argument("--sizes", nargs="+", default=["512x256"])
    words.add_argument("--variants", nargs="+", default=["float32", "bf16", "compile", "compile-bf16"])
    words.add_argument("--frames", type=int, default=10)
    words.add_argument("--device", default="auto")
    words.add_argument("--out", type=Path)
    args = words.parse_args()
    device = pick_device(args.device)
    torch.manual_seed(0)
    renderer = build_renderer(load_recipe(args.recipe).model, CLASSES + 1, (26,)).to(device).eval()
    results = {"machine": describe(), "recipe": args.recipe, "rows": []}
    for size in args.sizes:
        width, height = (int(side) for side in size.split("x"))
        rows = [
            _measure(renderer, variant, (width, height), args.frames, device) for variant in args.variants
        ]
        for row in rows:
            row["times the plain speed"] = round(rows[0]["seconds a frame"] / row["seconds a frame"], 2)
            print(json.dumps(row), flush=True)
        results["rows"] += rows
    if args.out:
        args.out.write_text(json.dumps(results, indent=1) + "\n")


def _measure(
    renderer: Renderer, variant: str, size: tuple[int, int], frames: int, device: torch.device
) -> dict:
    width, height = size
    labels = torch.randint(0, CLASSES, (1, height // 16, width // 16), device=device)
    labels = labels.repeat_interleave(16, 1).repeat_interleave(16, 2)
    condition = torch.zeros(1, CLASSES + 1, height, width, device=device)
    condition[:, :CLASSES].scatter_(1, labels[:, None], 1.0)
    known = torch.rand(1, 2, 3, height, width, device=device) * 2 - 1
    state = renderer.init_state(condition[:, None].expand(-1, 2, -1, -1, -1), known)
    step = torch.compile(renderer.step) if "compile" in variant else renderer.step
    precision = torch.autocast(device.type, torch.bfloat16, enabled="bf16" in variant)
    with torch.inference_mode(), precision:
        plain, _ = (
            renderer.step(condition, state) if variant == "float32" else _plain(renderer, condition, state)
        )
        begun = time.perf_counter()
        output, _ = step(condition, state)
        _wait(device)
        first = time.perf_counter() - begun
        times = [_timed(lambda: step(condition, state), device) for _ in range(frames)]
    error = (output.frame.float() - plain.frame.float()).square().mean().item()
    memory = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None
    return {
        "variant": variant,
        "size": f"{width}x{height}",
        "seconds a frame": round(statistics.median(times), 5),
        "slowest": round(max(times), 5),
        "first frame": round(first, 2),
        "psnr": round(10 * torch.log10(torch.tensor(4 / max(error, 1e-12))).item(), 1),
        "peak GiB": memory,
    }


def _plain(renderer: Renderer, condition: Tensor, state):  # type: ignore[no-untyped-def]
    with torch.autocast(condition.device.type, enabled=False):
        return renderer.step(condition, state)


def _timed(call: Callable[[], object], device: torch.device) -> float:
    begun = time.perf_counter()
    call()
    _wait(device)
    return time.perf_counter() - begun


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
