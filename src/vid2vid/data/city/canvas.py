"""The picture of one moment, painted back to front, and the number of the face seen at every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vid2vid.data.city.camera import Camera
from vid2vid.types import Size

SHIFT = 4
"""Bits after the point in the corners of polygons."""


@dataclass(frozen=True)
class Surface:
    """What a face belongs to.

    label: class id. key: tells its thing from all others in sight, the same in every frame. instance: number
    of a countable thing, else 0. second: class id where the texture's fourth channel is high; None: label.
    """

    label: int
    key: int
    instance: int = 0
    second: int | None = None


class Canvas:
    """image (H, W, 3) uint8; faces (H, W) uint16, the face seen; second (H, W) uint8, 1 = its second class.

    Tables turn face numbers into depth, class and motion for the whole picture at once.
    """

    def __init__(self, camera: Camera, size: Size) -> None:
        width, height = size
        self.camera = camera
        self.image = np.empty((height, width, 3), np.uint8)
        self.faces = np.zeros((height, width), np.uint16)
        self.second = np.zeros((height, width), np.uint8)
        self.ray_x, self.ray_y = camera.columns(width), camera.rows(height)
        self._planes: list[np.ndarray] = []
        self._surfaces: list[np.ndarray] = []
        self._motions: list[np.ndarray] = [np.eye(3, 4)[None]]
        self._count = 0

    def enter(self, planes: np.ndarray, surfaces: list[Surface], moved: np.ndarray | None = None) -> int:
        """Number new faces in a row; returns the first number.

        planes: (N, 5): 1 / depth = a * ray_x + b * ray_y + c, then its least and greatest value.
        moved: (N,) index into the motions given to ``move``, 0 = stands still.
        """
        first = self._count
        classes = [
            (item.label, item.label if item.second is None else item.second, item.instance, item.key)
            for item in surfaces
        ]
        motion = np.zeros(len(planes), np.int64) if moved is None else moved
        self._planes.append(planes)
        self._surfaces.append(np.column_stack([np.array(classes), motion]))
        self._count += len(planes)
        return first

    def move(self, motions: np.ndarray) -> int:
        """Enter motions (N, 3, 4): where a world point was one frame ago. Returns the first one's index."""
        first = sum(map(len, self._motions))
        self._motions.append(motions)
        return first

    def tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Per face: planes (N, 5) float32; label, second, instance, key, motion (N, 5). Motions (M, 3, 4)."""
        planes = np.concatenate(self._planes).astype(np.float32)
        return planes, np.concatenate(self._surfaces), np.concatenate(self._motions)


def fixed_point(pixels: np.ndarray) -> np.ndarray:
    """Corners as OpenCV's polygons want them, kept within what it can count."""
    return np.round(pixels * 2**SHIFT).clip(-(2**24), 2**24).astype(np.int32)


def on_ground(places: np.ndarray) -> np.ndarray:
    """Places (..., 2) (x, z) as points (..., 3) at height 0."""
    points = np.zeros((*places.shape[:-1], 3))
    points[..., [0, 2]] = places
    return points


def fill(
    target: np.ndarray, corners: np.ndarray, value: float | Sequence[float], *, smooth: bool = False
) -> None:
    """Fill a convex polygon given by :func:`fixed_point` corners."""
    cv2.fillConvexPoly(target, corners, value, cv2.LINE_AA if smooth else cv2.LINE_8, SHIFT)
