"""Which part of the picture is taken: a box, or the square around a face."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vid2vid.annotators import Annotator, face_crop
from vid2vid.annotators.landmark_clip import found_in
from vid2vid.errors import UserError
from vid2vid.types import Frame, Size
from vid2vid.video import TimedSource

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels of the source."""

FACE: Literal["face"] = "face"
"""The square around the face of a clip, the same in all its frames."""

Crop = Box | Literal["face"]

_LOOKS = 200
"""Frames of a clip that are looked at to know where its face or its person is."""


def parse_crop(crop: Crop | str) -> Crop:
    """A box of "16,0,480,270", or `FACE`. Raises UserError."""
    if crop == FACE:
        return FACE
    match = re.fullmatch(r"(\d+),(\d+),(\d+),(\d+)", crop.replace(" ", "")) if isinstance(crop, str) else None
    box = tuple(map(int, match.groups())) if match else crop
    if isinstance(box, str) or len(box) != 4 or min(box[:2]) < 0 or min(box[2:]) < 1:
        raise UserError(f"crop {crop}: not a box; write X,Y,WIDTH,HEIGHT in pixels of the source, or face")
    x, y, width, height = box
    return x, y, width, height


def check_box(path: Path | str, box: Box, size: Size) -> None:
    """Raises UserError where a box reaches outside of frames of ``size``."""
    if box[0] + box[2] > size[0] or box[1] + box[3] > size[1]:
        shown = ",".join(map(str, box))
        raise UserError(
            f"{path}: the crop {shown} reaches outside its {size[0]}x{size[1]} pixels; make it smaller"
        )


def box_of_face(path: Path | str, faces: Sequence[np.ndarray | None], size: Size) -> Box:
    """`face_crop` of what was found in some frames of a source. Raises UserError where that is nothing."""
    box = face_crop(faces, size)
    if box is None:
        raise UserError(f"{path}: no face is found in it; give the crop as X,Y,WIDTH,HEIGHT")
    return box


def spread(source: TimedSource, chosen: Sequence[int]) -> Iterator[Frame]:
    """Up to 200 of the chosen frames, spread over all of them. chosen: indices, never falling."""
    for i in np.linspace(0, len(chosen) - 1, min(len(chosen), _LOOKS)).astype(int):
        yield source[chosen[i]]


def look_through(
    frames: Iterable[Frame], annotator: Annotator, box: Box | None = None
) -> Iterator[tuple[float, Any]]:
    """The time of each frame and what an annotator finds in it; None: nothing.

    Args:
        annotator: one that finds points.
        box: the part of the picture that is looked at, and that points are counted from.
    """
    run = annotator.begin()
    try:
        for frame in frames:
            drawn = run.draw(cut(frame.image, box), frame.time)
            yield frame.time, found_in(drawn.points or [])
    finally:
        run.close()


def cut(picture: np.ndarray, box: Box | None) -> np.ndarray:
    """The part of a picture (H, W, ...) in a box; None: all of it."""
    if box is None:
        return picture
    x, y, width, height = box
    return picture[y : y + height, x : x + width]
