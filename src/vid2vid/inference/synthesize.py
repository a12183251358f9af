"""``synthesize``: a model and conditions on disk to a video or a folder of pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vid2vid.device import pick_device
from vid2vid.errors import UserError
from vid2vid.inference.source import ConditionSource, Described
from vid2vid.inference.stream import stream
from vid2vid.progress import Progress, silent
from vid2vid.types import Size, to_picture, to_tensor
from vid2vid.video import PictureWriter, VideoWriter, open_writer, read_picture, resize_picture
from vid2vid.zoo import Model, load_model

LARGEST = 16384
"""Pixels a side of a frame; a larger size is a slip of the finger."""


def synthesize(
    model: Model | Path | str,
    conditions: Path | str,
    out: Path | str,
    *,
    first_frames: Sequence[Path | str] = (),
    frames: str | None = None,
    size: Size | None = None,
    native: bool = False,
    audio_from: Path | str | None = None,
    device: str = "auto",
    seed: int = 0,
    progress: Progress = silent,
) -> int:
    """Renders one frame for every condition, in constant memory.

    Args:
        model: a model, its folder, a run, or the name of a bundled model.
        conditions: a clip folder, a folder of condition pictures, or a video of them.
        out: a video file (.mp4, .mkv, .mov, .webm), or a folder for PNGs named like their conditions.
        first_frames: pictures that belong to the first conditions; they come out as they are, and the
            renderer goes on from them. None: it makes its own first frame.
        frames: a part of the conditions, such as ``55:71``.
        size: (width, height) of the frames; default: what the model was trained at.
        native: keep the size of the conditions instead.
        audio_from: a video whose sound is carried over.
        device: auto, cpu, cuda, cuda:1, mps.
        seed: of anything random in the renderer.
        progress: called after every frame.

    Returns:
        How many frames were written: as many as there are conditions.

    Raises:
        UserError: model, conditions or pictures are missing, damaged or of the wrong kind.
    """
    where = pick_device(device)
    renderer = model if isinstance(model, Model) else load_model(model, where)
    renderer.renderer.to(where).eval()
    torch.manual_seed(seed)
    wanted = None if native else _checked(size or renderer.size)
    source = ConditionSource(Path(conditions), renderer.schema, wanted, frames)
    if len(first_frames) > len(source):
        raise UserError(
            f"{conditions}: {len(source)} conditions for {len(first_frames)} first frames; give fewer"
        )
    given = [_read_first_frame(path, source.size, where) for path in first_frames]
    described: list[Described] = []

    def encoded() -> Iterator[Tensor]:
        for item in source:
            described[:] = [item]
            yield item.encode(renderer.schema, where)

    with open_writer(out, source.rate or renderer.rate, audio_from=audio_from) as writer:
        for done, frame in enumerate(stream(renderer, encoded(), given), start=1):
            _write(writer, to_picture(frame[0]), described[0])
            progress(done, len(source))
    return len(source)


def _checked(size: Size) -> Size:
    if not 1 <= min(size) <= max(size) <= LARGEST:
        raise UserError(f"size {size[0]}x{size[1]}: frames have 1 to {LARGEST} pixels a side; choose another")
    return size


def _write(writer: VideoWriter | PictureWriter, picture: np.ndarray, condition: Described) -> None:
    if isinstance(writer, PictureWriter):
        # The suffix is given too, or a condition "a.jpg.png" would become a lossy a.jpg.
        writer.write(picture, name=condition.name and f"{condition.name}{writer.suffix}")
    else:
        writer.write(picture, condition.time)


def _read_first_frame(path: Path | str, size: Size, where: torch.device) -> Tensor:
    return to_tensor(resize_picture(read_picture(path), size))[None].to(where)
