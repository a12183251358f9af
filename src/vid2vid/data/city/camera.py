"""The pinhole camera of the drive: it moves, turns about the vertical axis, and never rolls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEAR = 0.35
"""Depth in metres at which polygons are cut."""


@dataclass(frozen=True)
class Camera:
    """World axes: x right, y up, z along the street. Camera axes: x right, y up, z into the picture.

    x, z: position on the ground in metres; height: above the road; yaw: heading in radians, 0 = along z.
    focal, cx, cy: in pixels; (cx, cy) is where the horizon meets the middle column.
    """

    x: float
    z: float
    height: float
    yaw: float
    focal: float
    cx: float
    cy: float

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """World points (..., 3) in camera axes (..., 3) float64."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
        flat = (points.reshape(-1, 3) - [self.x, self.height, self.z]) @ turn
        return flat.reshape(points.shape)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points in camera axes (..., 3) as pixels (..., 2), pixel centres at whole numbers."""
        slopes = points[..., :2] / points[..., 2:]
        return slopes * [self.focal, -self.focal] + [self.cx, self.cy]

    def columns(self, width: int) -> np.ndarray:
        """Horizontal slope x / z of the ray through each column, (W,) float32."""
        return ((np.arange(width) - self.cx) / self.focal).astype(np.float32)

    def rows(self, height: int) -> np.ndarray:
        """Vertical slope y / z of the ray through each row, (H,) float32."""
        return ((self.cy - np.arange(height)) / self.focal).astype(np.float32)


def cut_near(polygon: np.ndarray) -> np.ndarray:
    """The part of a convex polygon (K, 3), in camera axes, that lies beyond ``NEAR``: (L, 3), maybe empty."""
    inside = polygon[:, 2] >= NEAR
    if inside.all():
        return polygon
    kept: list[np.ndarray] = []
    for index in range(len(polygon)):
        start, end = polygon[index - 1], polygon[index]
        if inside[index - 1] != inside[index]:
            kept.append(start + (end - start) * ((NEAR - start[2]) / (end[2] - start[2])))
        if inside[index]:
            kept.append(end)
    return np.array(kept).reshape(-1, 3)
