"""Video files as sources of frames: exact indices, exact colours, honest about damage.

Which frame is shown when, and from where it can be decoded, is read from the packets (``index.py``);
decoding, in a process of its own (``decoding.py``), starts at the nearest key frame and ends, with an error
that says so, where the file cannot be trusted.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol
from weakref import ref

import numpy as np

from vid2vid.errors import UserError
from vid2vid.types import Frame, FrameSource, VideoInfo
from vid2vid.video.decoding import Decoder
from vid2vid.video.index import read_index
from vid2vid.video.pictures import PICTURE_SUFFIXES, PictureFolder

_MEND = (
    "it is cut short or damaged: copy it again, or take what can be read with vid2vid prepare --keep-going"
)
_SEEKS = 3
_OPEN_AT_ONCE = 16  # decoding processes kept for single frames; each holds about 30 MB


class TimedSource(FrameSource, Protocol):
    """What ``open_frames`` gives: a FrameSource that knows all its times and can start anywhere.

    times: (N,) float64, seconds of each frame.
    """

    @property
    def times(self) -> np.ndarray: ...

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Frames start ... stop - 1 in order, in constant memory."""
        ...


def open_frames(
    path: Path | str,
    time: tuple[float | None, float | None] | None = None,
    *,
    rate: Fraction | float | None = None,
    partial: bool = False,
    verify: bool | None = None,
) -> TimedSource:
    """Open a video file, or a folder of pictures in natural order.

    Args:
        path: a video file of any common kind, or a folder of png, jpg, ... of one size.
        time: (start, end) in seconds: only frames with start <= time < end. They keep their time stamps.
        rate: frames per second of a folder of pictures; else what a ``clip.yaml`` beside it records, else 25.
        partial: take the readable beginning of a video that is cut short or damaged, instead of refusing it.
        verify: decode a video once beforehand, so that damage is told now and not on reaching it. None: where
            this takes a few seconds at most (``index.VERIFY_PIXELS``).

    Raises:
        UserError: no such file, no video, cut short (fewer frames than declared), damaged, pictures of
            several sizes, nothing in the asked span of time.
    """
    path = Path(path)
    source: TimedSource
    if path.is_dir():
        source = PictureFolder(path, rate=rate)
    elif path.suffix.lower() in PICTURE_SUFFIXES and path.is_file():
        raise UserError(f"{path}: a single picture; give the folder of pictures, or a video")
    else:
        source = VideoFile(path, partial=partial, verify=verify)
    return source if time is None else between(source, path, *time)


def between(source: TimedSource, path: Path, start: float | None, end: float | None) -> Part:
    """The frames with start <= time < end (seconds; None: no bound). Raises UserError where there is none."""
    first, stop = np.searchsorted(
        source.times + 1e-6, [start or 0.0, np.inf if end is None else end]
    ).tolist()
    if first >= stop:
        span = f"from {start or 0:g} s" + ("" if end is None else f" to {end:g} s")
        raise UserError(f"{path}: no frame {span}; its last is at {source.times[-1]:.2f} s")
    return Part(source, first, stop)


class VideoFile:
    """A video file as a source of frames.

    Frames are (H, W, 3) uint8 RGB as a player shows them: turned and mirrored as the file asks, its colour
    matrix and range applied (BT.709 from 720 lines and BT.601 below where it names none), 10 and 12 bits
    brought to 8; HDR is not tone mapped, and pixels that are not square are left as they are. ``Frame.time``
    counts from the first frame.

    Forward iteration holds one frame at a time, any number of iterators may run side by side; ``source[i]``
    is exact for every i and cheap where i rises. Not to be shared between threads; safe to be used after a
    fork.

    Raises:
        UserError: on opening what cannot be read to its end (unless ``partial``), or on reaching damage in a
            video too long to have been verified.
    """

    def __init__(self, path: Path | str, *, partial: bool = False, verify: bool | None = None) -> None:
        self.path = Path(path)
        self.index = read_index(self.path, verify or partial or None)
        if self.index.fault and not partial:
            raise UserError(f"{self.path}: {self.index.fault}; {_MEND}")
        width, height = self.index.size[:: -1 if self.index.turns % 2 else 1]
        self.info = VideoInfo(width, height, self.index.rate, self.index.frames, self.index.has_audio)
        self.times = self.index.times
        self._cursor: _Cursor | None = None

    def __len__(self) -> int:
        return self.index.frames

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_cursor": None}

    def __getitem__(self, number: int) -> Frame:
        number = range(len(self))[number]  # negative indices and IndexError, as lists have them
        cursor = self._cursor
        if cursor is None or not cursor.decoder.usable:  # a fork must not read what its parent asked for
            cursor = self._cursor = _Cursor(_recent.open(self.path), len(self))
        decoder, upcoming = cursor.decoder, cursor.upcoming
        cursor.upcoming = len(self)  # should decoding fail, do not go on from there
        image = None
        if self._is_ahead(upcoming, number):
            self._ask(decoder, number, skip=number - upcoming)
            image = self._take(decoder, number)
        for seek in self._seeks(number):
            if image is None:
                self._start(decoder, number, seek, threads=False)
                self._ask(decoder, number, skip=number)
                image = self._take(decoder, number)
        if image is None:
            raise self._damaged(number)
        cursor.upcoming = number + 1
        return self._shown(image, number)

    def _is_ahead(self, upcoming: int, number: int) -> bool:
        """Whether ``number`` is reached from ``upcoming`` without passing a key frame to start from."""
        if self.index.stamps is None or not upcoming <= number < len(self):
            return upcoming <= number
        keys = np.searchsorted(
            self.index.keys, self.index.stamps[[min(upcoming, number), number]], side="right"
        )
        return bool(keys[0] == keys[1]) or number - upcoming < 4

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Frames start ... stop - 1 in order; opens the file anew, and closes it when done or dropped."""
        start, stop, _ = slice(start, stop).indices(len(self))
        return self._frames(start, stop)

    def _frames(self, start: int, stop: int) -> Iterator[Frame]:
        number = start
        for seek in self._seeks(start) if start < stop else ():
            with Decoder(self.path) as decoder:
                self._start(decoder, start, seek, threads=True)
                self._ask(decoder, start, skip=start, count=stop - start)
                while number < stop and (image := self._take(decoder, number)) is not None:
                    yield self._shown(image, number)
                    number += 1
            if number > start:
                break
        if number < stop:
            raise self._damaged(number)

    def _seeks(self, number: int) -> tuple[bool, ...]:
        """Whether to seek. Should the frame not be found from the key frames before it, the beginning of the
        file is sure ground."""
        return (True, False) if number and self.index.stamps is not None else (False,)

    def _start(self, decoder: Decoder, number: int, seek: bool, threads: bool) -> None:
        """Have ``decoder`` start where frame ``number`` can be decoded from, or at the beginning."""
        keys, target = None, self._stamp(number)
        if seek and target is not None:
            before = np.searchsorted(self.index.keys, target, side="right")
            keys = self.index.keys[:before][::-1][:_SEEKS].tolist()
        decoder.ask("start", keys=keys, target=target, threads=threads)

    def _ask(self, decoder: Decoder, number: int, skip: int, count: int = 1) -> None:
        """Ask for frames from ``number`` on, ``skip`` frames further than now where they have no stamps."""
        target = self._stamp(number)
        decoder.ask("take", target=target, skip=skip if target is None else 0, count=count)

    def _take(self, decoder: Decoder, number: int) -> np.ndarray | None:
        """Frame ``number`` as decoded; None where it is missing, damaged or out of place."""
        got = decoder.frame(self.index.size, number)
        return None if got is None or self._stamp(number) not in (None, got[0]) else got[1]

    def _stamp(self, number: int) -> int | None:
        return None if self.index.stamps is None else int(self.index.stamps[number])

    def _shown(self, image: np.ndarray, number: int) -> Frame:
        """As a player shows it."""
        if self.index.mirrored:
            image = image[:, ::-1]
        return Frame(np.ascontiguousarray(np.rot90(image, self.index.turns)), float(self.times[number]))

    def _damaged(self, number: int) -> UserError:
        return UserError(f"{self.path}: only {number} of {len(self)} frames can be read; {_MEND}")


@dataclass
class _Cursor:
    """Where single frames are read from, and which one comes next."""

    decoder: Decoder
    upcoming: int


class _Recent(threading.local):
    """The decoders kept for single frames; the oldest makes room, so that a thousand open videos are not a
    thousand processes."""

    def __init__(self) -> None:
        self._decoders: deque[ref[Decoder]] = deque()

    def open(self, path: Path) -> Decoder:
        decoder = Decoder(path)
        self._decoders.append(ref(decoder))
        while len(self._decoders) > _OPEN_AT_ONCE:
            if (oldest := self._decoders.popleft()()) is not None:
                oldest.close()
        return decoder


_recent = _Recent()


class Part:
    """Frames start ... stop - 1 of another source, with the time stamps they have there."""

    def __init__(self, source: TimedSource, start: int, stop: int) -> None:
        self.source = source
        self.start = start
        self._range = range(len(source))[start:stop]
        self.info = replace(source.info, frames=len(self._range))

    @property
    def times(self) -> np.ndarray:
        return self.source.times[self._range.start : self._range.stop]

    def __len__(self) -> int:
        return len(self._range)

    def __getitem__(self, number: int) -> Frame:
        return self.source[self._range[number]]

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Frames start ... stop - 1 of this part, in order."""
        inside = self._range[start:stop]
        return self.source.frames(inside.start, inside.stop)
