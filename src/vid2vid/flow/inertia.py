"""Inertia: every point goes on as it moved last, in the picture or in space."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from vid2vid.flow.warp import warp

SLOWEST = 0.3
"""Pixels a frame that count as motion."""
NARROW = 0.02
"""Share of directions across the usual one, below which all go the same way: there is no focus."""
STEADY = 25
"""Within this part of the width from the focus, how fast a point comes nearer can hardly be told."""


def carried(flow: Tensor, k: int, *, in_space: bool = False) -> tuple[Tensor, Tensor]:
    """Where points come from that have gone on for k frames as they did in the last one.

    With w the flow from the last frame to the one before, the point at q is at q - k w(q) after k frames: its
    speed in the picture is constant. ``in_space`` it is the speed towards the camera that is constant, and
    what comes nearer is ever faster: of a point at d from the focus of expansion, that the last frame has
    brought nearer by the share s of its distance, d becomes d / (1 - k s); across it goes on as it did.

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
        focus = focus_of_expansion(one) if in_space else None
        moved = -k * one if focus is None else _approached(one, k, focus)
        found.append(_splat(moved, (one**2).sum(0)))
    ways, empty = (torch.from_numpy(np.stack(part)).to(flow) for part in zip(*found, strict=True))
    return ways, empty[:, None]


def swerved(way: Tensor, residual: Tensor) -> Tensor:
    """The way by which ``warp(warp(last, way), residual)`` comes from the last frame, (B, 2, H, W)."""
    return residual + warp(way, residual)


def focus_of_expansion(flow: np.ndarray, rounds: int = 10) -> np.ndarray | None:
    """The place (x, y), in the picture or not, that most of a flow, (2, H, W), points to or away from: where
    the camera goes. Least squares, in which points count the less the further their lines pass it by. None
    where little moves, or all goes one way."""
    every = max(1, flow.shape[2] // 128)
    places = _places(*flow.shape[1:])[:, ::every, ::every].reshape(2, -1).T
    vectors = flow[:, ::every, ::every].reshape(2, -1).T
    speed = np.hypot(*vectors.T)
    moving = speed > SLOWEST
    if moving.mean() < 0.25:
        return None
    across = np.stack([-vectors[moving, 1], vectors[moving, 0]], 1) / speed[moving, None]
    beside = (across * places[moving]).sum(1)
    usual = weight = np.minimum(speed[moving], 5.0)
    focus = np.zeros(2)
    for _ in range(rounds):
        matrix = (across * weight[:, None]).T @ across
        least, most = np.linalg.eigvalsh(matrix)
        if least < NARROW * most:
            return None
        focus = np.linalg.solve(matrix, (across * weight[:, None]).T @ beside)
        missed = (across @ focus - beside) / (flow.shape[2] / 128)
        weight = usual / (1 + missed**2)
    return focus


def _approached(flow: np.ndarray, k: int, focus: np.ndarray) -> np.ndarray:
    """(2, H, W), by how much points move in k frames, their speed towards the camera constant."""
    height, width = flow.shape[1:]
    away = _places(height, width) - focus[:, None, None]
    share = -(flow * away).sum(0) / ((away**2).sum(0) + (width / STEADY) ** 2)
    across = -flow - share * away
    share = share / (1 - np.minimum(share, 0.5))  # of the distance there was a frame ago; now of what is left
    left = np.maximum(1 - k * share, 0.05)  # what would be behind the camera is out of the picture
    moved: np.ndarray = (away * (1 / left - 1) + k * across).astype(np.float32)
    return moved


def _places(height: int, width: int) -> np.ndarray:
    """x and y of every pixel, (2, H, W)."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows])


def _splat(moved: np.ndarray, speed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ways back of points that moved by so much, and where none arrived."""
    height, width = speed.shape
    rows, columns = np.mgrid[:height, :width]
    x, y = np.rint(columns + moved[0]).astype(int), np.rint(rows + moved[1]).astype(int)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    if not inside.any():
        return -moved, ~inside
    order = np.argsort(speed, axis=None, kind="stable")  # the last to be written stays
    order = order[inside.ravel()[order]]
    source = np.full(height * width, -1)
    source[(y * width + x).ravel()[order]] = order
    empty = (source < 0).reshape(height, width)
    _, marks = cv2.distanceTransformWithLabels(
        empty.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros(marks.max() + 1, int)
    nearest[marks[~empty]] = source[~empty.ravel()]
    return -moved.reshape(2, -1)[:, nearest[marks]], empty
