"""Canny's edges with the defaults of scikit-image: the background in the published face drawings."""

from __future__ import annotations

import numpy as np

SIGMA = 1.0
LOW, HIGH = 0.1, 0.2
"""Of the gradient, of grey in [0, 1]: an edge is followed down to the first if it reaches the second."""

_RADIUS = 4


def canny_edges(grey: np.ndarray) -> np.ndarray:
    """(H, W) bool: where the edges of a grey picture, (H, W) uint8, are."""
    import cv2

    taps = np.exp(-0.5 * (np.arange(-_RADIUS, _RADIUS + 1) / SIGMA) ** 2)
    taps /= taps.sum()

    def blurred(picture: np.ndarray) -> np.ndarray:
        return np.asarray(
            cv2.sepFilter2D(picture, cv2.CV_64F, taps, taps, borderType=cv2.BORDER_CONSTANT), np.float64
        )

    # What lies beyond the border counts as nothing rather than as black.
    weight = blurred(np.ones(grey.shape)) + np.finfo(np.float64).eps
    smooth = blurred(grey.astype(np.float64) / 255) / weight
    across = np.asarray(cv2.Sobel(smooth, cv2.CV_64F, 1, 0, ksize=3, borderType=cv2.BORDER_REFLECT))
    down = np.asarray(cv2.Sobel(smooth, cv2.CV_64F, 0, 1, ksize=3, borderType=cv2.BORDER_REFLECT))
    strength = np.sqrt(down * down + across * across)
    candidates = _is_ridge(strength, across, down) & (strength >= LOW)
    count, marks = cv2.connectedComponents(candidates.astype(np.uint8), connectivity=8)
    strong = np.zeros(count, bool)
    strong[np.unique(marks[candidates & (strength >= HIGH)])] = True
    strong[0] = False  # the background
    return strong[marks]


def _is_ridge(strength: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Where the gradient is no weaker than on both sides along its own direction; never at the border."""
    ridge = np.zeros(strength.shape, bool)
    if min(strength.shape) < 3:
        return ridge
    padded = strength[1:-1, 1:-1]
    gx, gy = across[1:-1, 1:-1], down[1:-1, 1:-1]
    height, width = strength.shape

    def neighbour(dy: int, dx: int) -> np.ndarray:
        return strength[1 + dy : height - 1 + dy, 1 + dx : width - 1 + dx]

    steep = np.abs(gy) > np.abs(gx)
    largest, smallest = np.maximum(np.abs(gx), np.abs(gy)), np.minimum(np.abs(gx), np.abs(gy))
    share = np.divide(smallest, largest, out=np.zeros_like(smallest), where=largest > 0)
    falling = gx * gy >= 0  # to the lower right
    passes = np.ones(padded.shape, bool)
    for side in (1, -1):
        straight = np.where(steep, neighbour(side, 0), neighbour(0, side))
        rising = np.where(steep, neighbour(side, -side), neighbour(-side, side))
        diagonal = np.where(falling, neighbour(side, side), rising)
        passes &= diagonal * share + straight * (1 - share) <= padded
    ridge[1:-1, 1:-1] = passes
    return ridge
