"""Inertia in the picture: every point goes on as it moved last, at its constant speed there."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from vid2vid.flow.warp import warp


def carried(flow: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Where points come from that have gone on for k frames as they did in the last one.

    With w the flow from the last frame to the one before, the point at q is at q - k w(q) after k frames.
    Where several points arrive the fastest is seen, for what is near moves most; where none does the nearest
    one's motion counts. ``warp(last, way)`` is that future: what is looked up once is not blurred by being
    warped again and again.

    Args:
        flow: w, (B, 2, H, W), pixels. k: at least 1.

    Returns:
        The way from there back to the last frame, (B, 2, H, W), and where no point arrived, (B, 1, H, W) of 0
        and 1. No gradient reaches the flow.
    """
    if flow.is_meta:
        return k * flow, flow[:, :1]
    found = []
    for one in flow.detach().float().cpu().numpy():
        size = one.shape[1:]
        source, none = arrivals(places(*size) - k * one, (one**2).sum(0), np.full(size, 0.5), size)
        found.append((k * one.reshape(2, -1)[:, source], none))
    ways, empty = (torch.from_numpy(np.stack(part)).to(flow) for part in zip(*found, strict=True))
    return ways, empty[:, None]


def swerved(way: Tensor, residual: Tensor) -> Tensor:
    """The way by which ``warp(warp(last, way), residual)`` comes from the last frame, (B, 2, H, W)."""
    return residual + warp(way, residual)


def places(height: int, width: int) -> np.ndarray:
    """x and y of every pixel, (2, H, W)."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows])


def arrivals(
    place: np.ndarray, order: np.ndarray, reach: np.ndarray, size: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Which of N points is seen at each pixel.

    Args:
        place: where they have got to, (2, ...). order: of several, the largest is seen, (...), not negative.
        reach: pixels, up to a half, by which each may miss the middle of a pixel, (...).
        size: (H, W).

    Returns:
        The number of the point, (H, W), 0 ... N - 1, where none arrived that of the nearest pixel; and where
        none did, (H, W).
    """
    height, width = size
    pixel = np.rint(place)
    hits = (np.abs(place - pixel) <= reach).all(0)
    hits &= (pixel >= 0).all(0) & (pixel[0] < width) & (pixel[1] < height)
    if not hits.any():
        return np.zeros(size, int), np.ones(size, bool)
    points = np.flatnonzero(hits)
    column, row = pixel.reshape(2, -1)[:, points].astype(int)
    # Positive floats are ordered as their bits are: the largest order stays, of equals the last point.
    bits = order.astype(np.float32).ravel()[points].view(np.int32).astype(np.int64)
    nearest = np.full(height * width, -1)
    np.maximum.at(nearest, row * width + column, bits << 32 | points)
    source = np.where(nearest < 0, -1, nearest & 0xFFFFFFFF).reshape(size)
    empty = source < 0
    _, marks = cv2.distanceTransformWithLabels(
        empty.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    closest = np.zeros(marks.max() + 1, int)
    closest[marks[~empty]] = source[~empty]
    return closest[marks], empty
