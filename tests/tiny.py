"""Tiny schemas, models and clips for the tests of several rooms: width 4, 2 halvings, 2 blocks, 32x32."""

from __future__ import annotations

import dataclasses
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vid2vid.conditions import ConditionSchema, LabelClass, LabelSchema
from vid2vid.config import ModelConfig
from vid2vid.video import write_picture
from vid2vid.zoo import Model

CLASSES = LabelSchema(
    (
        LabelClass(0, "road", (128, 64, 128)),
        LabelClass(3, "tree", (0, 255, 0)),
        LabelClass(7, "car", (0, 0, 142), foreground=True),
    )
)
LABELS = ConditionSchema("labels", "labels", CLASSES, instances=True)
PICTURES = ConditionSchema("image", "densepose")
ARCHITECTURE = ModelConfig(history=2, width=4, downs=2, blocks=2, kernel=3)
SIZE = (32, 32)


def build(schema: ConditionSchema = LABELS, *, seed: int = 0, **architecture: object) -> Model:
    """An untrained tiny model whose heads are loud enough that nothing is lost in the noise of float32."""
    torch.manual_seed(seed)
    settings = dataclasses.replace(ARCHITECTURE, **architecture)  # type: ignore[arg-type]
    model = Model.build(settings, schema, SIZE, Fraction(10), name="tiny", dataset="street")
    with torch.no_grad():
        for name, weight in model.renderer.named_parameters():
            if "head" in name:
                weight.mul_(10).add_(0.02)
    model.renderer.eval()
    return model


def label_conditions(count: int, size: tuple[int, int] = SIZE, batch: int = 1, seed: int = 0) -> list[Tensor]:
    """Encoded conditions of ``LABELS``, (B, 4, H, W) each: random blocks of classes."""
    rng = torch.Generator().manual_seed(seed)
    width, height = size
    conditions = []
    for _ in range(count):
        small = torch.randint(0, 3, (batch, 1, -(-height // 8), -(-width // 8)), generator=rng)
        labels = small.repeat_interleave(8, 2).repeat_interleave(8, 3)[:, 0, :height, :width]
        conditions.append(LABELS.encode(labels=labels, instances=labels))
    return conditions


def pictures(count: int, size: tuple[int, int] = SIZE, batch: int = 1, seed: int = 1) -> list[Tensor]:
    """Random frames, (B, 3, H, W) each, in [-1, 1]."""
    rng = torch.Generator().manual_seed(seed)
    return [torch.rand(batch, 3, size[1], size[0], generator=rng) * 2 - 1 for _ in range(count)]


def scene(t: int, size: tuple[int, int] = SIZE, shift: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Frame t (H, W, 3) and its label ids: a tree on the left, a car that moves right by a pixel a frame."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    frame = np.stack([7 * x + y, 90 + 3 * y, 128 + 60 * np.sin(x / 3)], axis=-1).clip(0, 255).astype(np.uint8)
    labels = np.zeros((height, width), np.uint8)
    labels[:, :6] = 3
    labels[8:16, 8 + t + shift : 16 + t + shift] = 7
    frame[labels == 7] = (200, 30 + t, 20)
    return frame, labels


def write_clip(folder: Path, frames: int, size: tuple[int, int] = SIZE, shift: int = 0) -> Path:
    """``frames/``, ``labels/`` and ``densepose/`` of a clip."""
    for t in range(frames):
        frame, labels = scene(t, size, shift)
        write_picture(folder / "frames" / f"{t:04d}.png", frame)
        write_picture(folder / "labels" / f"{t:04d}.png", labels)
        write_picture(folder / "densepose" / f"{t:04d}.png", 255 - frame)
    return folder


def write_street(root: Path, one: int, two: int = 0) -> Path:
    """A dataset of a clip or two, ``one`` and ``two``, of so many frames, with their classes."""
    write_clip(root / "one", one)
    write_clip(root / "two", two, shift=2)
    CLASSES.write(root / "labels.yaml")
    return root


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file of this process may grow beyond ``size`` bytes: to a program, a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def hidden_or_partial(folder: Path) -> list[str]:
    """Temporary files that a writer has forgotten, anywhere below."""
    return [path.name for path in folder.rglob("*") if path.name.endswith(".part") or ".part/" in str(path)]
