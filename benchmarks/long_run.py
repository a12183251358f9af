"""Memory and drift over a long run: the bundled model renders the synthetic city without a pause.

    python benchmarks/long_run.py --frames 1200 --out benchmarks/results/long_run.json

Memory is the resident set of this process, read after every hundred frames; the first two hundred are
warm-up. What the C library keeps for itself of memory already freed goes up and down by tens of MiB, so
it is handed back (``malloc_trim``) before each reading; the peak is the system's own record.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from machine import describe, tell

from vid2vid.data.city import City
from vid2vid.evaluation import Drift
from vid2vid.inference import stream
from vid2vid.inference.source import Described
from vid2vid.types import to_picture
from vid2vid.zoo import load_model

WARM_UP = 200


def resident_mib() -> float:
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--model", default="city")
    words.add_argument("--frames", type=int, default=1200)
    words.add_argument("--size", type=int, nargs=2, default=(512, 256))
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--out", type=Path)
    args = words.parse_args()
    model = load_model(args.model)
    classes = model.schema.labels
    assert classes is not None
    real: list[np.ndarray] = []

    def conditions() -> Iterator:
        for frame in City(args.seed, tuple(args.size), model.rate).frames(args.frames):
            real[:] = [frame.image]
            item = Described(None, None, classes.indices(frame.labels), frame.instances.astype(np.int64))
            yield item.encode(model.schema, next(model.renderer.parameters()).device)

    drift, memory, peak, begun = Drift(100, 0), [], [], time.time()
    for number, made in enumerate(stream(model, conditions()), start=1):
        drift.update(to_picture(made[0]), real[0])
        if number % 100 == 0:
            peak.append(round(peak_mib(), 2))
            memory.append(round(resident_mib(), 2))
            print(
                f"{number} frames, {number / (time.time() - begun):.2f} a second, {memory[-1]} MiB",
                flush=True,
            )
    steady = memory[WARM_UP // 100 - 1 :]
    slope = float(np.polyfit(np.arange(len(steady)) * 100, steady, 1)[0]) * 1000 if len(steady) > 1 else None
    results = {
        "machine": describe(),
        "frames": args.frames,
        "size": list(args.size),
        "resident MiB after each 100 frames": memory,
        "peak MiB after each 100 frames": peak,
        "MiB per 1000 frames after warm-up": slope,
        "drift": drift.compute(),
    }
    tell(results, args.out)


if __name__ == "__main__":
    main()
