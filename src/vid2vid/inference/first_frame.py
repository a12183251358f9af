"""Where the first frames of a video come from: given, self-made, or painted by an image generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from vid2vid.errors import UserError
from vid2vid.inference.annotated import AnnotatedSource
from vid2vid.inference.live_source import LiveSource
from vid2vid.inference.source import ConditionSource
from vid2vid.types import to_tensor
from vid2vid.video import PICTURE_SUFFIXES, open_frames, read_picture, resize_picture
from vid2vid.zoo import Model
from vid2vid.zoo.folder import is_model, with_painter

SELF_MADE = "self"


def choose_first_frames(
    model: Model,
    words: Sequence[Path | str],
    source: ConditionSource | AnnotatedSource | LiveSource,
    device: torch.device,
) -> tuple[Model, list[Tensor]]:
    """The model to render with, and the frames it is given, (1, 3, H, W) each at the source's size.

    Args:
        words: pictures, which belong to the first conditions and come out as they are; or one word: a video
            or a clip, whose frames of the same numbers are given, as many as the model looks back;
            an image model (folder or run), which paints them; or ``self``: the renderer makes its own.

    Raises:
        UserError: one of them is missing, damaged or of the wrong kind.
    """
    if not words:
        return model, []
    path = Path(words[0])
    if [str(word) for word in words] == [SELF_MADE]:
        return replace(model, first_frame=None), []
    if len(words) == 1 and is_model(path):
        return with_painter(model, path, device), []
    if len(words) == 1 and path.exists() and path.suffix.lower() not in PICTURE_SUFFIXES:
        clip = open_frames(path / "frames" if (path / "frames").is_dir() else path)
        picks = source.picks[: max(model.renderer.history, 1)]
        if picks[-1] >= len(clip):
            raise UserError(f"{path}: holds {len(clip)} frames, not number {picks[-1]}; give the whole clip")
        pictures = [clip[number].image for number in picks]
    else:
        pictures = [read_picture(Path(word)) for word in words]
    if len(pictures) > len(source.picks):
        raise UserError(
            f"{source.path}: {len(source.picks)} conditions for {len(pictures)} first frames; give fewer"
        )
    return model, [to_tensor(resize_picture(picture, source.size))[None].to(device) for picture in pictures]
