"""Footage cropped to the face that it shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vid2vid.annotators import Annotator, open_annotator
from vid2vid.annotators.landmark_clip import LandmarkClip, has_landmarks
from vid2vid.data.crop import FACE, box_of_face, look_through, spread
from vid2vid.data.footage import Footage
from vid2vid.types import Size
from vid2vid.video import PictureFolder


def face_finder(sources: Sequence[Path | str], annotators: Sequence[Annotator]) -> Annotator | None:
    """What finds the faces to crop to; None where all sources bring theirs along. Raises UserError."""
    if all(has_landmarks(Path(source), "face_sketch") for source in sources):
        return None
    return next((one for one in annotators if one.name == FACE), None) or open_annotator(FACE)


def around_face(footage: Footage, chosen: np.ndarray, size: Size | None, finder: Annotator | None) -> Footage:
    """Cropped to the face of some of its frames. Raises UserError where there is none."""
    source, native = footage.source, footage.source.info.size
    if has_landmarks(footage.path, "face_sketch"):
        stems = [file.stem for file in source.files] if isinstance(source, PictureFolder) else None
        there = LandmarkClip("face_sketch", footage.path, native, stems, len(source))
        faces = [there.points(t) for t in chosen.tolist()]
    else:
        looked = look_through(spread(source, chosen.tolist()), finder or open_annotator(FACE))
        faces = [face for _, face in looked]
    return footage.cropped(box_of_face(footage.path, faces, native), size)
