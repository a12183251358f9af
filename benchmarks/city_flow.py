"""How exact the city's flow is, and with it as the truth, how exact an estimated one: frame t-1 warped by it
against frame t, outside occlusions; DIS against it.

python benchmarks/city_flow.py --out benchmarks/results/city_flow.json
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
from machine import describe

from vid2vid.data.city import City
from vid2vid.evaluation.metrics import Context, WarpingError
from vid2vid.evaluation.motion import reference_motion
from vid2vid.flow import open_estimator

SIZES = ((256, 128), (512, 256), (1024, 512))


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    words.add_argument("--frames", type=int, default=40)
    words.add_argument("--out", type=Path)
    args = words.parse_args()
    rows = [measure(seed, size, args.frames) for size in SIZES for seed in args.seeds]
    for row in rows:
        print(json.dumps(row))
    if args.out:
        args.out.write_text(json.dumps({"machine": describe(), "rows": rows}, indent=1) + "\n")


def measure(seed: int, size: tuple[int, int], frames: int) -> dict[str, object]:
    before: np.ndarray | None = None
    estimator = open_estimator("dis")
    scores, hidden, errors, close, by_dis, off = [], [], [], [], [], []
    begun = time.process_time()
    for frame in City(seed, size).frames(frames):
        if before is not None:
            y, x = np.mgrid[: size[1], : size[0]].astype(np.float32)
            warped = cv2.remap(before, x + frame.flow[0], y + frame.flow[1], cv2.INTER_LINEAR)
            seen = ~frame.occlusion.astype(bool)
            error = (warped.astype(np.float64) - frame.image)[seen]
            scores.append(10 * np.log10(255**2 / np.square(error).mean()))
            hidden.append(1 - seen.mean())
            errors.append(np.abs(error).mean())
            close.append((np.abs(error).max(axis=1) <= 2).mean())
            estimated = reference_motion(frame.image, before, estimator)
            context = Context(estimator, estimated, before, before)
            by_dis.append(WarpingError().measure(frame.image, frame.image, context))
            off.append(np.linalg.norm(estimated.flow - frame.flow, axis=0)[seen].mean())
        before = frame.image
    return {
        "seed": seed,
        "size": f"{size[0]}x{size[1]}",
        "frames": frames,
        "psnr mean": round(float(np.mean(scores)), 2),
        "psnr worst": round(float(np.min(scores)), 2),
        "warping error": round(float(np.mean(errors)), 3),
        "within two levels": round(float(np.mean(close)), 4),
        "warping error by dis": round(float(np.mean(by_dis)), 3),
        "end-point error of dis": round(float(np.mean(off)), 3),
        "occluded": round(float(np.mean(hidden)), 4),
        "processor seconds a frame": round((time.process_time() - begun) / frames, 3),
    }


if __name__ == "__main__":
    main()
