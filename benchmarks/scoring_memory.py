"""Does scoring hold its memory over a long video? ``evaluate`` on 1,200 frames, memory read on the way.

    python benchmarks/scoring_memory.py --out benchmarks/results/scoring_memory.json

Two videos of a panned texture, one with noise, are scored with controls. With ``--network`` Frechet and
kernel distances by an untrained ResNet-50 are taken too: what it says means nothing, what it holds is what a
trained one would.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from long_run import resident_mib
from machine import describe

import vid2vid
from vid2vid.video import VideoWriter

SIZE = (256, 128)


def write(path: Path, frames: int, noise: float) -> None:
    """A texture that moves two pixels a frame."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (SIZE[1] // 8, (SIZE[0] + 2 * frames) // 8 + 1, 3))
    wide = coarse.repeat(8, axis=0).repeat(8, axis=1)
    with VideoWriter(path, 25) as writer:
        for t in range(frames):
            picture = wide[:, 2 * t : 2 * t + SIZE[0]] + noise * rng.normal(size=(SIZE[1], SIZE[0], 3))
            writer.write(picture.clip(0, 255).astype(np.uint8))


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--frames", type=int, default=1200)
    words.add_argument("--network", action="store_true")
    words.add_argument("--out", type=Path, required=True)
    args = words.parse_args()
    readings: dict[int, float] = {}

    def progress(done: int, total: int | None = None, note: str = "") -> None:
        if done % 100 == 0:
            readings[done] = round(resident_mib(), 1)

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write(folder / "real.mp4", args.frames, 0)
        write(folder / "fake.mp4", args.frames, 12)
        features = []
        if args.network:
            from torchvision.models import resnet50

            torch.manual_seed(0)
            torch.save(resnet50(weights=None).state_dict(), folder / "random.pth")
            features = [f"resnet50:{folder / 'random.pth'}"]
        report = vid2vid.evaluate(
            folder / "real.mp4",
            [folder / "fake.mp4"],
            folder / "report",
            controls=True,
            features=features,
            stride=8,
            progress=progress,
        )
    settled = [reading for done, reading in readings.items() if done >= 300]
    frames = [done for done in readings if done >= 300]
    slope = float(np.polyfit(frames, settled, 1)[0] * 1000)
    results = {
        "machine": describe(),
        "MiB held after frame": readings,
        "MiB per 1,000 frames after the 300th": round(slope, 2),
        "seconds": report["seconds"],
    }
    args.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
