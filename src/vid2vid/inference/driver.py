"""Raw frames that drive a model: those of a file, or of a camera as it sees them."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, takewhile
from pathlib import Path
from typing import Protocol

from vid2vid.data.crop import spread
from vid2vid.data.dataset import parse_part
from vid2vid.data.footage import frames_in
from vid2vid.errors import UserError
from vid2vid.types import Frame, Size
from vid2vid.video import Live, PictureFolder, open_frames

_LOOK = 2.0
"""Seconds, from the first frame that shows somebody, in which a camera is looked through."""

_WAIT = 20.0
"""Seconds in which somebody has to step before the camera."""


@dataclass(frozen=True)
class Raw:
    """A frame. name: its picture's; None where it has none. wanted: to be rendered; else it comes before."""

    frame: Frame
    name: str | None = None
    wanted: bool = True


class Driver(Protocol):
    """Where raw frames come from.

    Attributes:
        path: what messages call it.
        picks: the numbers of the frames to be rendered.
        total: how many these are; None: nobody knows.
        size: (width, height) of its frames. rate: per second. sound: the file whose sound belongs to it.
        look: seconds after the first frame that shows somebody in which ``glimpses`` are wanted.
    """

    path: Path | str
    picks: range
    total: int | None
    size: Size
    rate: Fraction
    sound: Path | None
    look: float

    def frames(self, memory: int | None) -> Iterator[Raw]:
        """The frames to be rendered, after so many that come before them (None: all)."""
        ...

    def glimpses(self) -> Iterator[Frame]:
        """Frames that tell who is in it, before it is rendered."""
        ...


class RecordedDriver:
    """A video, a folder of pictures, or the frames of a clip folder. part: as in ``55:71``; None: all.

    Raises:
        UserError: there is nothing of that kind, or no such part.
    """

    look = math.inf

    def __init__(self, path: Path, part: str | None = None) -> None:
        if not path.exists():
            raise UserError(f"{path}: no such file or folder; give a video, a folder of pictures or a clip")
        self.path: Path | str = frames_in(path)
        self._source = open_frames(self.path)
        info = self._source.info
        self.size, self.rate = info.size, info.rate
        self.sound = frames_in(path) if info.has_audio else None
        self.picks = range(len(self._source))[parse_part(part)]
        self.total: int | None = len(self.picks)
        if not self.picks:
            raise UserError(
                f"{self.path}: no frames {part or ''} among its {len(self._source)}; choose others"
            )

    def frames(self, memory: int | None) -> Iterator[Raw]:
        """See :class:`Driver`."""
        begin = 0 if memory is None else max(0, self.picks.start - memory)
        files = self._source.files if isinstance(self._source, PictureFolder) else None
        for t, frame in enumerate(self._source.frames(begin, self.picks.stop), begin):
            yield Raw(frame, files[t].stem if files else None, t >= self.picks.start)

    def glimpses(self) -> Iterator[Frame]:
        """See :class:`Driver`."""
        return spread(self._source, self.picks)


class LiveDriver:
    """An open camera or pipe. part: ``:N`` for its first N frames; None: until it ends.

    Raises:
        UserError: another part, for what a camera sees has no end to count from.
    """

    look = _LOOK
    sound: Path | None = None

    def __init__(self, camera: Live, part: str | None = None) -> None:
        self._camera = camera
        self.path: Path | str = camera.name
        self.size, self.rate = camera.size, camera.rate
        wanted = parse_part(part)
        if wanted.start or (wanted.stop is not None and wanted.stop < 1):
            raise UserError(
                f"--frames {part}: what is live has no other frames than its next; write :N for N"
            )
        self.total: int | None = wanted.stop
        self.picks = range(sys.maxsize if wanted.stop is None else wanted.stop)

    def frames(self, memory: int | None) -> Iterator[Raw]:
        """See :class:`Driver`. Nothing comes before."""
        return map(Raw, islice(self._camera.frames(), self.total))

    def glimpses(self) -> Iterator[Frame]:
        """See :class:`Driver`."""
        return takewhile(lambda frame: frame.time < _WAIT, self._camera.frames())


def open_driver(driver: Path | Live, part: str | None) -> Driver:
    """A file's frames, or a camera's. Raises UserError."""
    return LiveDriver(driver, part) if isinstance(driver, Live) else RecordedDriver(driver, part)
