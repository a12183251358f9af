"""The motion of the real clip: the reference by which the fakes' coherence is judged.

Pictures are warped with OpenCV, as uint8 and to 1/32 of a pixel, rather than with `vid2vid.flow.warp`: that
is the definition other measuring scripts share, to which our figures have to be comparable."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vid2vid.flow import FlowEstimator

AGREEMENT = 1.0
"""Forward and backward flow agree where their sum along the path is below this many pixels (|x| + |y|)."""


@dataclass(frozen=True)
class Motion:
    """flow: (2, H, W) float32 pixels, from this frame to the one before; valid: (H, W) uint8, 1
    where it can be trusted; estimated: what the estimator makes of it, where the flow is exact."""

    flow: np.ndarray
    valid: np.ndarray
    estimated: np.ndarray | None = None


def reference_motion(current: np.ndarray, previous: np.ndarray, estimator: FlowEstimator) -> Motion:
    """Motion between two real frames, (H, W, 3) uint8 RGB each."""
    backward = estimator.estimate(current, previous)
    forward = estimator.estimate(previous, current)
    onward = warp_picture(np.ascontiguousarray(forward.transpose(1, 2, 0)), backward)
    gap = np.abs(backward.transpose(1, 2, 0) + onward).sum(axis=-1)
    return Motion(backward, (gap < AGREEMENT).astype(np.uint8))


def warp_picture(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """picture (H, W, C) looked up at x + flow (2, H, W): bilinear, the border pixels repeated outside."""
    height, width = flow.shape[1:]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(picture, x + flow[0], y + flow[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
