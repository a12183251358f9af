"""Videos of a dataset's conditions laid over its frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from vid2vid.annotators.landmark_clip import has_landmarks
from vid2vid.conditions import overlay
from vid2vid.data.dataset import Clip, Dataset
from vid2vid.data.layout import find_clips
from vid2vid.data.shards.path import open_root
from vid2vid.errors import UserError
from vid2vid.progress import Progress, silent
from vid2vid.types import to_tensor
from vid2vid.video import VideoWriter

_NOT_DRAWN = ("instances", "flow")
"""Objects are drawn as borders in their label map; flow has no picture."""

_OWN_DRAWINGS = ("face_sketch", "pose")
"""What points are shown as."""


def write_overlays(
    root: Path | str,
    out: Path | str,
    *,
    condition: str | None = None,
    target: str = "frames",
    frames: str | None = None,
    progress: Progress = silent,
) -> list[Path]:
    """Write ``out/CLIP-CONDITION.mp4`` for every clip and condition.

    Args:
        root: a dataset or a clip.
        condition: this one only; None: all that a clip has.
        target: the folder, or video, of the real frames.
        frames: a part of each clip, "0:57".

    Returns:
        The videos, in order.

    Raises:
        UserError: there is nothing to lay over; what ``Dataset.open`` and reading raise; a full disk.
    """
    root = open_root(root)
    found = find_clips(root, target=target, condition=condition or "labels")
    there = {name for files in found for name in files.strips if name not in (target, *_NOT_DRAWN)}
    there |= {name for files in found for name in _OWN_DRAWINGS if has_landmarks(files.home, name)}
    names = [condition] if condition else sorted(there)
    if not names:
        raise UserError(f"{root}: nothing beside the {target} to lay over them; see prepare --annotate")
    given = any("instances" in files.strips for files in found)
    work = [
        (name, clip)
        for name in names
        for clip in Dataset.open(root, condition=name, target=target, frames=frames, instances=given).clips
    ]
    total, done = sum(len(clip) for _, clip in work), 0
    written = []
    for name, clip in work:
        path = Path(out) / f"{clip.name}-{name}.mp4"
        with VideoWriter(path, clip.rate) as writer:
            for t in range(len(clip)):
                writer.write(_overlaid(clip, t))
                done += 1
                progress(done, total, path.name)
        written.append(path)
    return written


def _overlaid(clip: Clip, t: int) -> np.ndarray:
    """Frame t with its condition, (H, W, 3) uint8 RGB."""
    read = clip.read(t, t + 1)
    condition = clip.schema.encode(
        labels=None if read.labels is None else torch.from_numpy(read.labels),
        instances=None if read.instances is None else torch.from_numpy(read.instances),
        image=None if read.image is None else to_tensor(read.image),
    )
    return overlay(read.frames[0], clip.schema.tint(condition[0]), labels=read.labels is not None)
