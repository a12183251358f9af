"""A condition laid over its frame, to see with one's eyes whether they belong together."""

from __future__ import annotations

import numpy as np

SIGNAL = (255, 0, 200)
"""The colour of grey lines over a frame: hardly ever found in footage."""

_SHARE = 0.5
"""How much of a label map, or of a picture without empty ground, covers the frame."""

_EMPTY = 16
"""Grey levels that empty ground may differ from black or white."""

_COLOURED = 40
"""Difference of its channels from which on a line keeps its own colour."""


def overlay(frame: np.ndarray, shown: np.ndarray, labels: bool = False) -> np.ndarray:
    """A condition over its frame, all (H, W, 3) uint8 RGB.

    Class colours, and pictures that fill their ground (a degraded frame), cover it half. Of drawings on black
    or on white only what is drawn is laid over: grey lines in a signal colour, others in their own.

    Args:
        shown: the condition as a picture for people, as ``ConditionSchema.tint`` makes it.
        labels: these are class colours.

    Raises:
        ValueError: they differ in size.
    """
    if frame.shape != shown.shape:
        raise ValueError(f"a frame and a condition of two sizes: {frame.shape} and {shown.shape}")
    ground = None if labels else _ground(shown)
    if ground is None:
        covering, colours = np.float32(_SHARE), shown
    else:
        covering = np.abs(shown.astype(np.float32) - ground).max(axis=2, keepdims=True) / 255
        grey = shown.max(axis=2, keepdims=True) - shown.min(axis=2, keepdims=True) < _COLOURED
        colours = np.where(grey, np.array(SIGNAL, np.uint8), shown)
    return np.rint(frame * (1 - covering) + colours * covering).astype(np.uint8)


def _ground(picture: np.ndarray) -> int | None:
    """0 or 255 where most of a picture is black or white, else None."""
    black = float((picture.max(axis=2) <= _EMPTY).mean())
    white = float((picture.min(axis=2) >= 255 - _EMPTY).mean())
    if max(black, white) < 0.5:
        return None
    return 0 if black >= white else 255
