"""Inertia in the picture: every point goes on as it moved last, at its constant speed there."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from vid2vid.device import for_long_integers
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
    for one in flow.detach().float():
        size = one.shape[1:]
        place = torch.from_numpy(places(*size)).to(one)
        reach = torch.full_like(one[0], 0.5)
        source, none = arrivals(place - k * one, one.square().sum(0), reach, size)
        found.append((k * one.flatten(1)[:, source], none))
    ways, empty = (torch.stack(part).to(flow.dtype) for part in zip(*found, strict=True))
    return ways, empty[:, None]


def swerved(way: Tensor, residual: Tensor) -> Tensor:
    """The way by which ``warp(warp(last, way), residual)`` comes from the last frame, (B, 2, H, W)."""
    return residual + warp(way, residual)


def places(height: int, width: int) -> np.ndarray:
    """x and y of every pixel, (2, H, W)."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows])


def arrivals(place: Tensor, order: Tensor, reach: Tensor, size: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Which of N points is seen at each pixel.

    Args:
        place: where they have got to, (2, ...). order: of several, the largest is seen, (...), not negative.
        reach: pixels, up to a half, by which each may miss the middle of a pixel, (...).
        size: (H, W).

    Returns:
        The number of the point, (H, W), 0 ... N - 1, where none arrived that of the nearest pixel; and where
        none did, (H, W), booleans.
    """
    device, (height, width) = place.device, size
    place, order, reach = (x.to(for_long_integers(device)) for x in (place, order, reach))
    pixel = place.round()
    hits = ((place - pixel).abs() <= reach).all(0) & (pixel >= 0).all(0)
    hits &= (pixel[0] < width) & (pixel[1] < height)
    points = hits.flatten().nonzero()[:, 0]
    column, row = pixel.flatten(1)[:, points].long()
    # Floats that are not negative are ordered as their bits are. Of equals the last point stays.
    bits = order.float().flatten()[points].view(torch.int32).long()
    best = torch.full((height * width,), -1, device=place.device)
    best.scatter_reduce_(0, row * width + column, bits << 32 | points, "amax")
    empty = best < 0
    source = (best & 0xFFFFFFFF)[_nearest(empty.view(height, width)).to(best.device)]
    return (source * hits.any()).to(device), empty.view(height, width).to(device)


def _nearest(empty: Tensor) -> Tensor:
    """Of every pixel the number of the nearest one that is not empty, (H, W)."""
    mask = empty.cpu().numpy()
    if mask.all():
        return torch.zeros(mask.shape, dtype=torch.int64)
    _, marks = cv2.distanceTransformWithLabels(
        mask.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    closest = np.zeros(marks.max() + 1, int)
    closest[marks[~mask]] = np.flatnonzero(~mask)
    return torch.from_numpy(closest[marks])
