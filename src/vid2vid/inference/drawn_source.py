"""Conditions that are drawn from a clip's landmarks while it is rendered."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from vid2vid.annotators.drawn import DENSEPOSE, DRAWN, LANDMARK_FOLDERS
from vid2vid.annotators.landmark_clip import (
    LandmarkClip,
    has_landmarks,
    landmark_files,
    read_whole,
    whole_file_of,
)
from vid2vid.conditions import ConditionSchema
from vid2vid.data.layout import VIDEOS
from vid2vid.errors import UserError
from vid2vid.types import Size
from vid2vid.video import (
    DEFAULT_RATE,
    PICTURE_SUFFIXES,
    PictureFolder,
    TimedSource,
    list_pictures,
    open_frames,
    picture_size,
    recorded_rate,
)


class DrawnSource:
    """A clip's drawings by number.

    Its ``frames`` (a folder or a video), where there are any, say which size the landmarks belong to, and
    show the background that the published face drawing wants the edges of. Without them it has none.

    Attributes:
        path: the clip's folder.
        native: (width, height) that the landmarks belong to.

    Raises:
        UserError: no landmarks, none for some frame, or nothing that tells their size.
    """

    def __init__(self, home: Path, name: str) -> None:
        self.path = home
        self.name = name
        self._frames = _frames_of(home)
        self.native: Size = _native_size(home, name) if self._frames is None else self._frames.info.size
        files = self._frames.files if isinstance(self._frames, PictureFolder) else None
        total = None if self._frames is None else len(self._frames)
        stems = None if files is None else [path.stem for path in files]
        self._clip = LandmarkClip(name, home, self.native, stems, total)
        self._stems = self._clip.stems or stems

    def __len__(self) -> int:
        return len(self._clip)

    @property
    def rate(self) -> Fraction | None:
        """Frames per second, where anything says it."""
        if self._frames is not None and not isinstance(self._frames, PictureFolder):
            return self._frames.info.rate
        return recorded_rate(self.path)

    def retarget(self, subject: Path) -> None:
        """Draw it as the person of another clip, in that clip's pictures: see `LandmarkClip.retarget`.

        Raises:
            UserError: that clip holds no such landmarks, or nobody is in one of the two.
        """
        self._clip.retarget(open_subject(subject, self.name))
        self.native = self._clip.native

    def smooth(self) -> None:
        """Draw it with the trembling taken out: see `LandmarkClip.smooth`."""
        self._clip.smooth(float(self.rate or DEFAULT_RATE))

    def stem(self, t: int) -> str | None:
        """What frame t is called."""
        return None if self._stems is None else self._stems[t]

    def draw(self, t: int, size: Size) -> np.ndarray:
        """The condition of frame t, (H, W, C) uint8 at ``size``."""
        frames = self._frames
        return self._clip.draw(t, size, None if frames is None else lambda: frames[t].image)


def open_drawn(path: Path, schema: ConditionSchema) -> DrawnSource | None:
    """The drawings that a schema wants from a clip's folder, or from its folder of landmarks; None where it
    wants something else, or finds it as pictures.

    Raises:
        UserError: see `DrawnSource`.
    """
    drawn = DRAWN.get(schema.name)
    if schema.kind != "image" or drawn is None or drawn.channels != schema.channels or not path.is_dir():
        return None
    home = _home(path)
    pictures = path / schema.name if home == path else path
    as_pictures = pictures.is_dir() and bool(list_pictures(pictures))
    as_video = any(file.suffix.lower() in VIDEOS for file in home.glob(f"{schema.name}.*"))
    if (drawn.channels == 3 and (as_pictures or as_video)) or not has_landmarks(home, schema.name):
        return None
    return DrawnSource(home, schema.name)


def open_subject(subject: Path, name: str) -> LandmarkClip:
    """The landmarks of the person to be shown. Raises UserError where there are none."""
    home = _home(subject)
    if not has_landmarks(home, name):
        raise UserError(
            f"--retarget {subject}: nothing there that {name} is drawn from; give the clip "
            "folder of the person to be shown"
        )
    return DrawnSource(home, name)._clip


def _home(path: Path) -> Path:
    """The clip of a folder of landmarks."""
    return path.resolve().parent if path.name in LANDMARK_FOLDERS else path


def _frames_of(home: Path) -> TimedSource | None:
    if list_pictures(home):  # one folder for each kind of thing
        return open_frames(home)
    if (home / "frames").is_dir() and list_pictures(home / "frames"):
        return open_frames(home / "frames")
    videos = [file for file in home.glob("frames.*") if file.suffix.lower() in VIDEOS]
    return open_frames(videos[0]) if videos else None


def _native_size(home: Path, name: str) -> Size:
    """The size of the frames that are not there."""
    if DENSEPOSE in DRAWN[name].kinds:
        first = landmark_files(home, DENSEPOSE)[0]
        if first.suffix.lower() in PICTURE_SUFFIXES:
            return picture_size(first)
    whole = whole_file_of(home, DRAWN[name].kinds[0])
    if whole is not None and (size := read_whole(whole)[1]) is not None:
        return size
    raise UserError(
        f"{home}: nothing tells the size that the landmarks belong to; put the frames into frames/"
    )
