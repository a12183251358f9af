"""Small datasets on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vid2vid.conditions import LabelClass, LabelSchema
from vid2vid.video import write_picture

CLASSES = LabelSchema(
    (
        LabelClass(0, "road", (128, 64, 128)),
        LabelClass(3, "tree", (0, 255, 0)),
        LabelClass(7, "car", (0, 0, 142), foreground=True),
    )
)


def scene(t: int, width: int = 32, height: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Frame t and its label ids: a tree on the left, a car that moves to the right by a pixel a frame."""
    y, x = np.mgrid[:height, :width]
    frame = np.stack([7 * x + y, 90 + 3 * y, 128 + 60 * np.sin(x / 3)], axis=-1).clip(0, 255).astype(np.uint8)
    labels = np.zeros((height, width), np.uint8)
    labels[:, :6] = 3
    labels[8:16, 10 + t : 18 + t] = 7
    frame[labels == 7] = (200, 30 + t, 20)
    return frame, labels


def make_clip(folder: Path, frames: int = 6, width: int = 32, height: int = 24) -> Path:
    """Writes ``frames/``, ``labels/``, ``densepose/`` and ``labels.yaml`` to a folder."""
    for t in range(frames):
        frame, labels = scene(t, width, height)
        write_picture(folder / "frames" / f"{t:04d}.png", frame)
        write_picture(folder / "labels" / f"{t:04d}.png", labels)
        write_picture(folder / "densepose" / f"{t:04d}.png", 255 - frame)
    CLASSES.write(folder / "labels.yaml")
    return folder
