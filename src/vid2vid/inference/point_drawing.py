"""Conditions of a driver, drawn from the points that are found in its frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from vid2vid.annotators import Steady
from vid2vid.annotators.drawn import draw_found
from vid2vid.annotators.keypoints import Found
from vid2vid.annotators.landmark_clip import found_in
from vid2vid.inference.drawn_source import open_subject
from vid2vid.types import Size


class PointDrawing:
    """Draws frame after frame; what ``LandmarkClip`` is for points that lie on a disk.

    Args:
        name: one of ``DRAWN``, drawn from points alone.
        native: (width, height) of the frames.
        size: (width, height) of the drawings.
        rate: frames per second, to take out trembling; None: points are drawn as they are found.
    """

    def __init__(self, name: str, native: Size, size: Size, rate: float | None) -> None:
        self.name = name
        self.native = native
        self.size = size
        self._steady = None if rate is None else Steady(rate)
        self._as_subject: Callable[[Found], Found] | None = None

    def retarget(self, driver: Sequence[Found], whose: Path | str, subject: Path) -> None:
        """Draw as the person of another clip, in that clip's pictures: see ``annotators.retarget``.

        Args:
            driver: what was found in frames of the driver.
            whose: what messages call it.

        Raises:
            UserError: nobody in the driver; that clip holds no such landmarks, nobody, or other points.
        """
        clip = open_subject(subject, self.name)
        self._as_subject = clip.acting(driver, whose)
        self.native = clip.native

    def __call__(self, points: list[list[float]], frame: np.ndarray, time: float) -> np.ndarray:
        """The condition of the next frame, (H, W, channels) uint8.

        Args:
            points: as an annotator gives them.
            frame: (H, W, 3) uint8, the frame itself.
            time: its seconds, rising.
        """
        found = found_in(points)
        if self._steady is not None:
            found = self._steady(found, time)
        if found is None or self._as_subject is None:
            return draw_found(self.name, found, self.native, self.size, lambda: frame)
        return draw_found(self.name, self._as_subject(found), self.native, self.size)
