"""What a report says beside its figures: how they were made, on what, and what to beware of."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import cv2

from vid2vid.evaluation.comparison import Comparison
from vid2vid.evaluation.distribution import Distributions
from vid2vid.evaluation.instruments import Instruments
from vid2vid.evaluation.intervals import ROUNDS, block_length
from vid2vid.evaluation.metrics import MSSSIM, PSNR
from vid2vid.evaluation.systems import COPIED

PACKAGES = ("vid2vid", "torch", "torchvision", "torchmetrics", "numpy", "opencv-python-headless", "av")
"""What figures may depend on, beside our own code."""


def bootstrap_settings(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """What was drawn anew, and how often."""
    count = len(comparisons)
    if count > 1:
        return {"over": "clips", "clips": count, "rounds": ROUNDS}
    frames = len(comparisons[0].matching)
    return {"over": "blocks of frames", "block": block_length(frames), "frames": frames, "rounds": ROUNDS}


def notes_on(
    comparisons: Sequence[Comparison], instruments: Instruments, distributions: Sequence[Distributions]
) -> list[str]:
    """What a reader has to know before comparing these numbers with others."""
    notes: list[str] = []
    for comparison in comparisons:
        notes += _clip_notes(comparison)
    size, systems = comparisons[0].size, comparisons[0].systems
    if systems[0].given:
        notes.append(f"Leading frames given to every system, and not scored: {systems[0].given}.")
    elif comparisons[0].controls:
        notes.append(f"“{COPIED}” is scored from the second frame on: its first is the real one.")
    if (levels := MSSSIM.levels(*size)) < len(MSSSIM.WEIGHTS):
        notes.append(f"MS-SSIM uses {levels} scales instead of {len(MSSSIM.WEIGHTS)}: the frames are small.")
    if instruments.lpips is None:
        notes.append("LPIPS and tLP were not measured: no weights of AlexNet at hand (--lpips).")
    notes.append(_interval_note(comparisons))
    for distribution in distributions:
        notes += distribution.notes()
    return notes


def _clip_notes(comparison: Comparison) -> list[str]:
    real, size = comparison.real, comparison.size
    notes = []
    for clip in (real, *comparison.fakes):
        if clip.size != size:
            (a, b), (c, d) = clip.size, size
            notes.append(f"{comparison.name}: {clip.name} was resized from {a}x{b} to {c}x{d}.")
    if len(comparison.matching) < len(real.source):
        notes.append(
            f"{comparison.name}: {len(comparison.matching)} of the {len(real.source)} real frames were "
            f"compared."
        )
    for system in comparison.systems:
        curve = next((metric.curve for metric in system.metrics if isinstance(metric, PSNR)), [])
        if equal := sum(value is not None and value >= PSNR.CAP - 0.01 for value in curve):
            notes.append(
                f"{comparison.name}, {system.name}: {equal} frames equal the real ones; each counts "
                f"{PSNR.CAP:.1f} dB in PSNR."
            )
    return notes


def _interval_note(comparisons: Sequence[Comparison]) -> str:
    frames = sum(len(comparison.matching) for comparison in comparisons)
    over = bootstrap_settings(comparisons)
    what = (
        f"over the {len(comparisons)} clips"
        if len(comparisons) > 1
        else f"over blocks of {over['block']} frames"
    )
    rough = len(comparisons) < 5 if len(comparisons) > 1 else frames < 10 * over["block"]
    return (
        f"Intervals hold 95 % of {ROUNDS} bootstrap draws {what} ({frames} frames in all), the same draws "
        f"for every system{'; so few of them make rough intervals' if rough else ''}. One training a "
        "system: how much another seed would change is not in them."
    )


def machine() -> dict[str, Any]:
    """What it was measured on."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": cv2.getNumThreads(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str | None]:
    """Of ``PACKAGES``; None for what is not installed by name."""
    return {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
