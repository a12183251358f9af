"""The conditions that are drawn from landmarks while they are read, by their names in ``data.condition``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from vid2vid.annotators.draw_face import CHANNELS, draw_face, sketch_face
from vid2vid.annotators.draw_pose import draw_openpose, draw_pose
from vid2vid.annotators.keypoints import Keypoints
from vid2vid.annotators.mediapipe_points import MESH, MESH_68, POSE
from vid2vid.types import Size, to_tensor
from vid2vid.video import PICTURE_SUFFIXES


@dataclass(frozen=True)
class Kind:
    """Where points (or pictures) are looked for: the first place that is there counts.

    places: folders with a file for each frame, and files of `WHOLE`. suffixes: of the files in the folders.
    about: what to call them.
    """

    places: tuple[str, ...]
    suffixes: frozenset[str]
    about: str

    @property
    def folders(self) -> tuple[str, ...]:
        return tuple(place for place in self.places if place not in WHOLE)


WHOLE: Mapping[str, tuple[int, bool]] = {
    "face68.json": (68, False),
    "face478.json": (MESH, False),
    "pose33.json": (POSE, True),
}
"""A clip's points in one file, instead of a folder of them: how many in a frame, and whether each says how
sure it is."""

LANDMARKS = Kind(
    ("face68.json", "landmarks", "landmarks-dlib68", "face478.json"),
    frozenset({".txt", ".json"}),
    "the 68 points of a face per frame",
)
OPENPOSE = Kind(
    ("openpose", "poses-openpose", "pose33.json"), frozenset({".json"}), "OpenPose's JSON per frame"
)
DENSEPOSE = Kind(
    ("densepose", "pose_maps-densepose"), frozenset({*PICTURE_SUFFIXES, ".npy"}), "DensePose per frame"
)

LANDMARK_FOLDERS = frozenset({*LANDMARKS.folders, *OPENPOSE.folders})
"""They hold no pictures."""


@dataclass(frozen=True)
class DrawnCondition:
    """channels: of the drawing; kinds: what it is drawn from, the first of which counts the frames;
    signed: networks take it in [-1, 1], like a picture, rather than in [0, 1]. sided: left and right are
    drawn differently, so that a mirrored drawing means something else."""

    channels: int
    kinds: tuple[Kind, ...]
    signed: bool = True
    sided: bool = True


DRAWN: Mapping[str, DrawnCondition] = {
    "face": DrawnCondition(CHANNELS, (LANDMARKS,), signed=False),
    "face_sketch": DrawnCondition(3, (LANDMARKS,), sided=False),
    "pose": DrawnCondition(3, (OPENPOSE,)),
    "openpose": DrawnCondition(3, (OPENPOSE,)),
    "dance": DrawnCondition(6, (OPENPOSE, DENSEPOSE)),
}
"""As published: face, openpose, dance; of our own: face_sketch, pose."""


def image_tensor(pictures: np.ndarray | Tensor, name: str) -> Tensor:
    """Condition pictures (..., H, W, C) uint8 to (..., C, H, W) in the range that networks take them in."""
    drawn = DRAWN.get(name)
    signed = drawn is None or drawn.signed or pictures.shape[-1] != drawn.channels
    return to_tensor(pictures) if signed else (to_tensor(pictures) + 1) / 2


def draw_found(
    name: str,
    found: Any,
    native: Size,
    size: Size,
    frame: Callable[[], np.ndarray] | None = None,
) -> np.ndarray:
    """A condition of `DRAWN` that is drawn from points alone, (H, W, channels) uint8.

    What is published is drawn at the size of the frames and the drawing is resized, for its lines are so many
    pixels wide whatever the size; of our own drawings the points are scaled and drawn at the size wanted.

    Args:
        found: the person, the people ("openpose") or the points of the face, in pixels of ``native``; None:
            nobody.
        native: (width, height) of the frames.
        size: (width, height) of the drawing.
        frame: gives the frame itself: the published face drawing has the edges of its background.
    """
    across, down = size[0] / native[0], size[1] / native[1]
    if name == "pose":
        return draw_pose(None if found is None else found.scaled(across, down), size)
    if name == "openpose":
        people = [found] if isinstance(found, Keypoints) else found or []
        return resized(draw_openpose(people, native), size)
    if found is None:
        nothing = np.zeros((size[1], size[0], DRAWN[name].channels), np.uint8)
        if name == "face":
            nothing[..., 1:] = 255  # all lines are far
        return nothing
    if name == "face_sketch":
        return sketch_face(found * (across, down), size)
    points = found[list(MESH_68)] if len(found) == MESH else found
    return resized(draw_face(points, native, None if frame is None else frame()), size)


def resized(drawing: np.ndarray, size: Size) -> np.ndarray:
    """(H, W, C) uint8 at another size, bilinear, as the networks of 2018 had their drawings resized."""
    if drawing.shape[1::-1] == size:
        return drawing
    channels = np.moveaxis(drawing, -1, 0)
    resized = [
        Image.fromarray(np.ascontiguousarray(c)).resize(size, Image.Resampling.BILINEAR) for c in channels
    ]
    return np.stack([np.asarray(channel) for channel in resized], axis=-1)
