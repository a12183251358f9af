"""End-point error of every flow estimator at hand on Middlebury pairs with known flow.

    python benchmarks/flow_middlebury.py [CLIPS] [--out benchmarks/results/flow_middlebury.json]

CLIPS/flow_middlebury/PAIR holds frame10.png, frame11.png and flow10.flo, the flow from frame 10 to frame 11.
Ours runs from the current frame to the previous one, so frame 10 is passed as current, frame 11 as previous.
Prints a markdown table: mean distance in pixels between estimated and true flow, where the flow is known.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from machine import describe

from vid2vid.errors import UserError
from vid2vid.flow import FlowEstimator, open_estimator, read_exact_flow

REPOSITORY = Path(__file__).resolve().parents[1]
NOT_AT_HAND = "weights not at hand"


class NoMotion:
    """The floor any estimator has to beat: says that nothing moves."""

    name = fingerprint = "no motion"

    def estimate(self, current: np.ndarray, previous: np.ndarray) -> np.ndarray:
        return np.zeros((2, *current.shape[:2]), np.float32)


def read_rgb(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path))
    if picture is None:
        raise UserError(f"{path}: cannot be read; copy the Middlebury pair again")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def measure(estimator: FlowEstimator, pair: Path) -> dict[str, float]:
    """End-point error (mean, pixels), share of pixels over a pixel off, seconds of the faster of two runs."""
    current, previous = read_rgb(pair / "frame10.png"), read_rgb(pair / "frame11.png")
    truth, unknown = read_exact_flow(pair / "flow10.flo")
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        flow = estimator.estimate(current, previous)
        seconds.append(time.perf_counter() - start)
    error = np.linalg.norm(flow - truth, axis=0)[~unknown]
    return {
        "epe": round(float(error.mean(dtype=np.float64)), 4),
        "over_1px": round(float((error > 1).mean()), 4),
        "seconds": round(min(seconds), 4),
    }


def measure_all(pairs: list[Path]) -> dict[str, dict[str, dict[str, float]] | str]:
    """Per estimator: per pair its figures, or why there are none."""
    results: dict[str, dict[str, dict[str, float]] | str] = {}
    for spec in ("no motion", "dis", "dis-fine", "raft"):
        try:
            estimator = NoMotion() if spec == "no motion" else open_estimator(spec)
        except UserError as error:
            results[spec] = NOT_AT_HAND
            print(error, file=sys.stderr)
            continue
        results[estimator.name] = {pair.name: measure(estimator, pair) for pair in pairs}
    return results


def table(results: dict[str, dict[str, dict[str, float]] | str], pairs: list[Path]) -> str:
    """Markdown: one row per estimator, end-point errors in pixels."""
    rows = [
        ["end-point error (px)", *(pair.name for pair in pairs), "mean", "over 1 px", "ms per pair"],
        ["---", *["---:"] * (len(pairs) + 3)],
    ]
    for name, figures in results.items():
        if isinstance(figures, str):
            rows.append([name, figures, *[""] * (len(pairs) + 2)])
            continue
        mean = {
            key: np.mean([pair[key] for pair in figures.values()]) for key in ("epe", "over_1px", "seconds")
        }
        errors = [f"{pair['epe']:.3f}" for pair in figures.values()]
        rows.append(
            [name, *errors, f"{mean['epe']:.3f}", f"{mean['over_1px']:.1%}", f"{mean['seconds'] * 1000:.0f}"]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description="End-point error of flow estimators on Middlebury pairs")
    parser.add_argument("clips", nargs="?", type=Path, default=REPOSITORY.parent / "shared" / "clips")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "benchmarks/results/flow_middlebury.json")
    options = parser.parse_args()
    pairs = sorted(path.parent for path in options.clips.glob("flow_middlebury/*/flow10.flo"))
    if not pairs:
        print(
            f"{options.clips}: holds no flow_middlebury/PAIR/flow10.flo; name the folder of clips",
            file=sys.stderr,
        )
        return 2
    try:
        results = measure_all(pairs)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(table(results, pairs))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    temporary = options.out.with_name(f".{options.out.name}.{os.getpid()}")
    temporary.write_text(json.dumps({"machine": describe(), "results": results}, indent=2) + "\n")
    os.replace(temporary, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
