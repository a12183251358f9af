"""What has been observed before a future begins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vid2vid.annotators.drawn import image_tensor
from vid2vid.conditions import ConditionSchema
from vid2vid.data.dataset import ClipFrames
from vid2vid.data.footage import frames_in
from vid2vid.errors import UserError
from vid2vid.inference.annotated import AnnotatedSource
from vid2vid.inference.engine import to_device
from vid2vid.inference.source import ConditionSource, Described
from vid2vid.types import Size, to_tensor
from vid2vid.video import PictureFolder, open_frames, resize_picture

FRAMES = "frames"
"""The condition of a forecaster whose conditions are the frames themselves."""
FEWEST, MOST = 2, 64
"""Observed frames: two show motion, and no network looks back further than a few."""


@dataclass(frozen=True)
class Past:
    """The observed frames of a clip with what describes them, of the size they have there.

    start: the first one's place in the clip. names: of all pictures of the clip; none of a video.
    """

    seen: ClipFrames
    start: int
    rate: Fraction
    names: tuple[str, ...] = ()


def observe(
    clip: Path,
    schema: ConditionSchema | None,
    observed: int,
    start: int | None = None,
    annotate: str | None = None,
    device: str = "auto",
    size: Size | None = None,
) -> Past:
    """Reads the observed frames of a clip, and no others.

    Args:
        clip: a clip folder; a video or a folder of pictures where nothing else is wanted, or annotated.
        schema: of the label maps, or pictures, that are wanted; None: frames alone.
        observed: how many.
        start: the first one's place; None: they are the clip's last ones.
        annotate: finds what is wanted, as ``AnnotatedSource`` takes it; None: it lies in the clip.
        size: (width, height) that pictures which are drawn are drawn at; None: that of the frames.

    Raises:
        UserError: no such clip, or too short a one; label maps or pictures that are missing, damaged or of
            other classes.
    """
    check_observed(observed)
    if not clip.exists():
        raise UserError(f"{clip}: no such clip; give a clip folder, or a video with --annotate")
    source = open_frames(frames_in(clip))
    first = len(source) - observed if start is None else start
    if first < 0 or first + observed > len(source):
        wanted = f"--observed {observed}" + ("" if start is None else f" from --start {start} on")
        raise UserError(f"{clip}: {wanted} wants more than its {len(source)} frames; observe fewer of them")
    frames = np.stack([frame.image for frame in source.frames(first, first + observed)])
    names = tuple(file.stem for file in source.files) if isinstance(source, PictureFolder) else ()
    seen = ClipFrames(frames)
    if schema is not None:
        part = f"{first}:{first + observed}"
        labelled = schema.labels is not None
        described = _described(clip, schema, part, annotate, device, None if labelled else size)
        kind = "label map" if labelled else "picture"
        for item, name in zip(described, names[first:], strict=False):
            if item.name not in (None, name):
                raise UserError(f"{clip / schema.name}: no {kind} is named {name}; every frame needs one")
        if len(described) < observed:
            raise UserError(f"{clip / schema.name}: ends before the frames do; every frame needs a {kind}")
        seen = _with(described, seen, clip)
    return Past(seen, first, source.info.rate, names)


def check_observed(observed: int) -> None:
    """Raises UserError for a number of frames that nothing can be made of."""
    if not FEWEST <= observed <= MOST:
        raise UserError(f"--observed {observed}: {FEWEST} to {MOST} frames can be observed; choose another")


def encoded(seen: ClipFrames, schema: ConditionSchema, size: Size, device: torch.device) -> Tensor:
    """What a network sees of frames, (T, C, H, W) on the device, at ``size`` (width, height).

    Label maps encoded, or pictures; those of the schema ``FRAMES`` are the frames themselves.
    """
    if schema.name == FRAMES:
        return pictures(seen, size, device)
    if schema.labels is None:
        assert seen.image is not None
        image = np.stack([resize_picture(one, size) for one in seen.image])
        return schema.encode(image=image_tensor(to_device(image, device), schema.name))
    assert seen.labels is not None
    labels, instances = (
        None if maps is None else to_device(_resized(maps, size), device).long()
        for maps in (seen.labels, seen.instances)
    )
    return schema.encode(labels, instances)


def pictures(seen: ClipFrames, size: Size, device: torch.device) -> Tensor:
    """The frames (T, 3, H, W) in [-1, 1] on the device."""
    return to_tensor(np.stack([resize_picture(frame, size) for frame in seen.frames])).to(device)


def _resized(maps: np.ndarray, size: Size) -> np.ndarray:
    return np.stack([resize_picture(one, size, labels=True) for one in maps])


def _described(
    clip: Path, schema: ConditionSchema, part: str, annotate: str | None, device: str, size: Size | None
) -> list[Described]:
    if annotate is not None:
        return list(AnnotatedSource(clip, annotate, schema, size, part, device=device))
    if schema.labels is None:
        return list(ConditionSource(clip, schema, size, part))
    if not (clip / schema.name).is_dir():
        raise UserError(
            f"{clip}: holds no {schema.name}/ for its frames; add --annotate labels:NETWORK, which finds them"
        )
    return list(ConditionSource(clip, schema, frames=part))


def _with(described: list[Described], seen: ClipFrames, clip: Path) -> ClipFrames:
    """The frames with what describes them."""
    if images := [item.image for item in described if item.image is not None]:
        return replace(seen, image=np.stack(images))
    labels = np.stack([item.labels for item in described if item.labels is not None])
    if labels.shape[1:] != (shape := seen.frames.shape[1:3]):
        raise UserError(
            f"{clip}: label maps of {labels.shape[2]}x{labels.shape[1]} for frames of {shape[1]}x{shape[0]}; "
            "bring the clip to one size"
        )
    objects = [item.instances for item in described if item.instances is not None]
    return replace(seen, labels=labels, instances=np.stack(objects) if objects else None)
