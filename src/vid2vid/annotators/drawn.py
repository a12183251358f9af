"""The conditions that are drawn from landmarks while they are read, by their names in ``data.condition``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from vid2vid.annotators.densepose import read_densepose
from vid2vid.annotators.disturb import Disturbance
from vid2vid.annotators.dlib_faces import read_landmark_clip, read_landmarks
from vid2vid.annotators.draw_face import CHANNELS, draw_face, sketch_face
from vid2vid.annotators.draw_pose import draw_openpose, draw_pose
from vid2vid.annotators.keypoints import Keypoints, follow_person
from vid2vid.annotators.mediapipe_points import MESH, POSE, body_25
from vid2vid.annotators.openpose import read_openpose
from vid2vid.annotators.retarget import (
    body_statistics,
    face_statistics,
    retarget_body,
    retarget_face,
)
from vid2vid.errors import UserError
from vid2vid.types import Size, to_tensor
from vid2vid.video import PICTURE_SUFFIXES, natural_key


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

_FACES = ("face68.json", "landmarks", "landmarks-dlib68")
LANDMARKS = Kind(_FACES, frozenset({".txt", ".json"}), "the 68 points of a face per frame")
OUTLINED = Kind((*_FACES, "face478.json"), LANDMARKS.suffixes, LANDMARKS.about)
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
    signed: networks take it in [-1, 1], like a picture, rather than in [0, 1]."""

    channels: int
    kinds: tuple[Kind, ...]
    signed: bool = True


DRAWN: Mapping[str, DrawnCondition] = {
    "face": DrawnCondition(CHANNELS, (LANDMARKS,), signed=False),
    "face_sketch": DrawnCondition(3, (OUTLINED,)),
    "pose": DrawnCondition(3, (OPENPOSE,)),
    "openpose": DrawnCondition(3, (OPENPOSE,)),
    "dance": DrawnCondition(6, (OPENPOSE, DENSEPOSE)),
}
"""As published: face, openpose, dance; of our own: face_sketch, pose."""


def image_tensor(pictures: np.ndarray, name: str) -> Tensor:
    """Condition pictures (..., H, W, C) uint8 to (..., C, H, W) in the range that networks take them in."""
    drawn = DRAWN.get(name)
    signed = drawn is None or drawn.signed or pictures.shape[-1] != drawn.channels
    return to_tensor(pictures) if signed else (to_tensor(pictures) + 1) / 2


class LandmarkClip:
    """The drawings of a clip, one a frame, made when they are asked for.

    What is published is drawn at the size of the frames and the drawing is resized, for its lines are so many
    pixels wide whatever the size; of our own drawings the points are scaled and drawn at the size wanted.

    Args:
        name: one of `DRAWN`.
        home: the clip's folder.
        native: (width, height) of the frames, which the landmarks' pixels are those of.
        stems: the names of the frames, matched to those of the landmarks where any name is shared; otherwise
            they go in order. None: there are no frames, and all landmarks are drawn.
        total: how many frames there are, where they have no names (a video).

    Raises:
        UserError: no landmarks, or none for some frame.
    """

    def __init__(
        self,
        name: str,
        home: Path,
        native: Size,
        stems: Sequence[str] | None = None,
        total: int | None = None,
    ) -> None:
        self.name = name
        self.home = home
        self.native = native
        self.channels = DRAWN[name].channels
        self._as_subject: Callable[[Any], Any] | None = None
        first, *others = DRAWN[name].kinds
        self._points: list[np.ndarray | None] = []
        self._files: list[Path] = []
        whole = whole_file_of(home, first)
        if whole is not None:
            self._points, size = read_whole(whole)
            across = np.ones(2 + WHOLE[whole.name][1])
            across[:2] = np.array(native) / np.array(size or native)
            self._points = [None if points is None else points * across for points in self._points]
            count = total if stems is None else len(stems)
            if count is not None and count != len(self._points):
                raise UserError(f"{whole}: {len(self._points)} frames, the clip has {count}; write it anew")
            names = stems
        else:
            self._files = match_files(landmark_files(home, first), stems, total)
            names = [plain_stem(path) for path in self._files]
        self._others = [match_files(landmark_files(home, kind), names, len(self)) for kind in others]

    def __len__(self) -> int:
        return len(self._files) or len(self._points)

    @property
    def stems(self) -> list[str] | None:
        """The names of the frames' landmarks; None where one file holds them all."""
        return [plain_stem(path) for path in self._files] if self._files else None

    def retarget(self, subject: LandmarkClip) -> None:
        """Draw from now on what this clip does as the subject: see `annotators.retarget`. ``native`` becomes
        the subject's. The published face drawing then goes without the edges of the background.

        Raises:
            UserError: nothing is found in one of the clips, or their faces have other points.
        """
        if len(DRAWN[self.name].kinds) > 1:
            raise UserError(f"--retarget {subject.home}: DensePose cannot be moved; only points can")
        measured = []
        for clip in (self, subject):
            frames = [clip.points(t) for t in range(len(clip))]
            if not (found := [points for points in frames if points is not None]):
                raise UserError(f"{clip.home}: nobody is found in any frame; --retarget needs somebody")
            measured.append(found)
        driver, aim = measured
        if isinstance(driver[0], Keypoints):
            bodies = [body_statistics(found) for found in measured]
            self._as_subject = partial(retarget_body, driver=bodies[0], subject=bodies[1])
        elif len(driver[0]) == len(aim[0]):
            faces = [face_statistics(found) for found in measured]
            self._as_subject = partial(retarget_face, driver=faces[0], subject=faces[1])
        else:
            raise UserError(
                f"--retarget {subject.home}: faces of {len(aim[0])} points, the driver's have "
                f"{len(driver[0])}; use one tool for both"
            )
        self.native = subject.native

    def points(self, t: int, disturb: Disturbance | None = None) -> Any:
        """What frame t is drawn from: `Keypoints`, or (N, 2) of a face, in pixels of ``native``; None where
        nobody was found. Of several people the one that is followed."""
        found = self._face(t) if DRAWN[self.name].kinds[0].places[0] in _FACES else self._person(t)
        if found is not None and self._as_subject is not None:
            found = self._as_subject(found)
        if found is None or disturb is None:
            return found
        return disturb.person(found, t) if isinstance(found, Keypoints) else disturb.face(found, t)

    def draw(
        self,
        t: int,
        size: Size,
        frame: Callable[[], np.ndarray] | None = None,
        disturb: Disturbance | None = None,
    ) -> np.ndarray:
        """The condition of frame t, (H, W, channels) uint8 at ``size``.

        Args:
            frame: gives the frame itself, at its own size: the published face drawing has the edges of its
                background.
            disturb: changes the points before.

        Raises:
            UserError: a file is damaged; a DensePose picture of another size than the frames.
        """
        across, down = size[0] / self.native[0], size[1] / self.native[1]
        if self.name == "pose":
            person = self.points(t, disturb)
            return draw_pose(None if person is None else person.scaled(across, down), size)
        if self.name == "face_sketch":
            points = self.points(t, disturb)
            if points is None:
                return np.zeros((size[1], size[0], 3), np.uint8)
            return sketch_face(points * (across, down), size)
        if self.name == "face":
            points = self.points(t, disturb)
            if points is None:
                nothing = np.full((size[1], size[0], self.channels), 255, np.uint8)  # all lines are far
                nothing[..., 0] = 0
                return nothing
            behind = None if frame is None or self._as_subject is not None else frame()
            return _resized(draw_face(points, self.native, behind), size)
        drawing = _resized(draw_openpose(self._everybody(t, disturb), self.native), size)
        if self.name == "openpose":
            return drawing
        where = self._others[0][t]
        picture = read_densepose(where)
        if picture.shape[1::-1] != self.native:
            shown, mine = ("x".join(map(str, item)) for item in (picture.shape[1::-1], self.native))
            raise UserError(f"{where}: {shown}, but the clip is {mine}; bring the clip to one size")
        return np.concatenate([_resized(picture, size), drawing], axis=-1)

    def _face(self, t: int) -> np.ndarray | None:
        return read_landmarks(self._files[t]) if self._files else self._points[t]

    def _person(self, t: int) -> Keypoints | None:
        if self._files:
            return self._people[self._files[t]]
        points = self._points[t]
        return None if points is None else body_25(points)

    def _everybody(self, t: int, disturb: Disturbance | None) -> list[Keypoints]:
        if self._files and self._as_subject is None:
            people = read_openpose(self._files[t])
            return people if disturb is None else [disturb.person(person, t) for person in people]
        person = self.points(t, disturb)
        return [] if person is None else [person]

    @cached_property
    def _people(self) -> dict[Path, Keypoints | None]:
        """The person of each frame, followed through all files of the clip, whatever part is asked for."""
        files = landmark_files(self.home, OPENPOSE)
        return dict(zip(files, follow_person([read_openpose(path) for path in files]), strict=True))


def has_landmarks(home: Path, name: str) -> bool:
    """Whether something lies in a clip's folder that ``name`` is drawn from."""
    return _place(home, DRAWN[name].kinds[0]) is not None


def whole_file_of(home: Path, kind: Kind) -> Path | None:
    """The one file of a clip's points of a kind; None where a folder holds them, or nothing does."""
    place = _place(home, kind)
    return place if place is not None and place.name in WHOLE else None


def read_whole(path: Path) -> tuple[list[np.ndarray | None], Size | None]:
    """A file of `WHOLE`: see `read_landmark_clip`."""
    return read_landmark_clip(path, *WHOLE[path.name])


def _place(home: Path, kind: Kind) -> Path | None:
    places = (home / place for place in kind.places)
    return next((p for p in places if (p.is_file() if p.name in WHOLE else p.is_dir())), None)


def landmark_files(home: Path, kind: Kind) -> list[Path]:
    """The files of one kind of a clip, in natural order.

    Raises:
        UserError: there are none.
    """
    folder = next((home / name for name in kind.folders if (home / name).is_dir()), None)
    if folder is None:
        raise UserError(f"{home / kind.folders[0]}: no such folder; put {kind.about} into it")
    files = [
        path for path in folder.iterdir() if path.suffix.lower() in kind.suffixes and path.name[0] != "."
    ]
    if not files:
        raise UserError(f"{folder}: holds nothing to draw from; put {kind.about} into it")
    return sorted(files, key=natural_key)


def plain_stem(path: Path) -> str:
    """The name of the frame that a file is about: OpenPose appends a word of its own."""
    return path.stem.removesuffix("_keypoints")


def match_files(files: list[Path], stems: Sequence[str] | None, total: int | None) -> list[Path]:
    """A file for each frame: by name where any name is shared, else in order.

    Raises:
        UserError: a frame has none.
    """
    named = {plain_stem(path): path for path in files}
    if stems is not None and not named.keys().isdisjoint(stems):
        if missing := [stem for stem in stems if stem not in named]:
            more = f" (and {len(missing) - 1} more are missing)" if len(missing) > 1 else ""
            raise UserError(f"{files[0].parent}: none is named {missing[0]}{more}; every frame needs one")
        return [named[stem] for stem in stems]
    count = total if stems is None else len(stems)
    if count is not None and count != len(files):
        raise UserError(
            f"{files[0].parent}: {len(files)} files for {count} frames; give every frame one of its name"
        )
    return files


def _resized(drawing: np.ndarray, size: Size) -> np.ndarray:
    """(H, W, C) uint8 at another size, bilinear, as the networks of 2018 had their drawings resized."""
    if drawing.shape[1::-1] == size:
        return drawing
    channels = np.moveaxis(drawing, -1, 0)
    resized = [
        Image.fromarray(np.ascontiguousarray(c)).resize(size, Image.Resampling.BILINEAR) for c in channels
    ]
    return np.stack([np.asarray(channel) for channel in resized], axis=-1)
