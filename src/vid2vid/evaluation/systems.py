"""What is compared: each fake, and the controls that show how far a number can be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np

from vid2vid.evaluation.drift import Drift
from vid2vid.evaluation.metrics import Context, FrameMetric

Kind = Literal["real", "fake", "control"]

BLUR_SIGMA = 2.0
COPIED = "first frame copied"
"""The last frame that was given, or the first of the clip, again and again."""


@dataclass
class System:
    """One row of the report: a way to make frames, and what has been measured of it so far.

    given: how many leading frames were not made by it, and are not scored.
    """

    name: str
    kind: Kind
    path: str | None = None
    given: int = 0
    window: int = 100
    metrics: list[FrameMetric] = field(default_factory=list)
    drift: Drift = field(init=False)

    def __post_init__(self) -> None:
        self.drift = Drift(self.window, self.given)

    def update(self, real: np.ndarray, picture: np.ndarray, context: Context) -> None:
        """The next frame, (H, W, 3) uint8 RGB, beside the real one."""
        for metric in self.metrics:
            metric.update(real, picture, context)
        if not context.given:
            self.drift.update(picture, None if self.kind == "real" else real)

    def figures(self) -> dict[str, float | None]:
        """The figure of each metric."""
        return {metric.key: metric.compute() for metric in self.metrics}

    def report(self) -> dict:
        return {
            "name": self.name,
            "kind": self.kind,
            "path": self.path,
            "given": self.given,
            "summary": self.figures(),
            "curves": {metric.key: metric.curve for metric in self.metrics},
            "drift": self.drift.compute(),
        }


def control_systems(fakes: Sequence[System], window: int) -> list[System]:
    """The first frame copied, then each fake blurred. The order is that of `control_pictures`."""
    given = fakes[0].given
    # The copied frame is given, not made: frame 0 of the copy would score as perfect.
    copied = System(COPIED, "control", given=max(1, given), window=window)
    blurred = [
        System(f"{fake.name} blurred (sigma {BLUR_SIGMA:g})", "control", given=given, window=window)
        for fake in fakes
    ]
    return [copied, *blurred]


def control_pictures(copied: np.ndarray, fakes: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """One frame of each control: a still has no coherence error of its own making, and blur lowers it
    unearned."""
    yield copied
    for picture in fakes:
        yield cv2.GaussianBlur(picture, (0, 0), BLUR_SIGMA)
