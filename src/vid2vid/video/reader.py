"""Video files as sources of frames: exact indices, exact colours, honest about damage.

Which frame is shown when, and from where it can be decoded, is read from the packets (``index.py``);
decoding starts at the nearest key frame and ends, with an error that says so, where the file cannot be
trusted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Protocol

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from vid2vid.errors import UserError
from vid2vid.types import Frame, FrameSource, VideoInfo
from vid2vid.video.index import DamagedStream, check_size, decode_packets, open_container, read_index
from vid2vid.video.pictures import PICTURE_SUFFIXES, PictureFolder

_MEND = "it is cut short or damaged: copy it again, or take what can be read with vid2vid prepare --partial"
# Without these flags swscale rounds coarsely and halves the chroma resolution of the result.
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_BT709, _BT601, _UNSPECIFIED = 1, 5, 2  # matrix coefficients as in H.273
_SEEKS = 3


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
        path: any video file that ffmpeg reads, or a folder of png, jpg, ... of one size.
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
        self._cursor: tuple[int, int, Iterator[Frame]] | None = None

    def __len__(self) -> int:
        return self.index.frames

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_cursor": None}

    def __getitem__(self, number: int) -> Frame:
        number = range(len(self))[number]  # negative indices and IndexError, as lists have them
        process, upcoming, frames = self._cursor or (0, 0, iter(()))
        # An open file must not be read by two processes: after a fork each opens its own.
        if process != os.getpid() or not self._is_ahead(upcoming, number):
            upcoming, frames = number, self._frames(number, len(self), threads=False)
        self._cursor = None  # should decoding fail, do not go on from there
        for _ in range(number - upcoming):
            next(frames)
        frame = next(frames)
        self._cursor = os.getpid(), number + 1, frames
        return frame

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
        return self._frames(start, stop, threads=True)

    def _frames(self, start: int, stop: int, threads: bool) -> Iterator[Frame]:
        number, shown = start, _Shown(self.index.turns, self.index.mirrored)
        # Should the frame not be found from the key frames before it, the beginning of the file is sure
        # ground.
        for seek in (True, False) if start and self.index.stamps is not None else (False,):
            for frame in self._decoded(number, stop, seek, threads):
                yield Frame(shown(frame), float(self.times[number]))
                number += 1
            if number > start:
                break
        if number < stop:
            raise UserError(f"{self.path}: only {number} of {len(self)} frames can be read; {_MEND}")

    def _decoded(self, number: int, stop: int, seek: bool, threads: bool) -> Iterator[av.VideoFrame]:
        """Frames ``number`` ... stop - 1; ends early at one that is missing, damaged or out of place."""
        if number >= stop:
            return
        stamps, before = self.index.stamps, number
        with open_container(self.path, threads) as (container, stream), suppress(DamagedStream):
            target = int(stamps[number]) if stamps is not None and seek else None
            packets = (
                container.demux(stream) if target is None else self._packets_from(container, stream, target)
            )
            for frame in decode_packets(stream, packets, lenient_before=target):
                if stamps is None:
                    before -= 1
                    if before >= 0:
                        continue
                elif frame.pts is None or frame.pts < stamps[number]:
                    continue
                elif frame.pts > stamps[number]:
                    return
                if frame.is_corrupt:
                    return
                check_size(self.path, frame, number, self.index.size)
                yield frame
                number += 1
                if number == stop:
                    return

    def _packets_from(
        self, container: InputContainer, stream: VideoStream, target: int
    ) -> Iterable[av.Packet]:
        """Packets from a key frame on that is not shown after ``target``; none where seeking finds none.

        Where a container lands depends on its own index, and in MPEG streams on luck: hence several tries,
        and decoding never starts at a packet that is not a key frame.
        """
        keys = self.index.keys[: np.searchsorted(self.index.keys, target, side="right")]
        for key in keys[::-1][:_SEEKS].tolist():
            with suppress(av.FFmpegError, EOFError):
                container.seek(key, stream=stream)
                packets = container.demux(stream)
                for packet in packets:
                    if packet.is_keyframe:
                        if packet.pts is not None and packet.pts <= target:
                            return chain((packet,), packets)
                        break
        return ()


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


class _Shown:
    """A decoded frame as a player shows it: (H, W, 3) uint8 RGB."""

    def __init__(self, turns: int, mirrored: bool) -> None:
        self.turns = turns
        self.mirrored = mirrored
        self.converter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        if frame.colorspace == _UNSPECIFIED:
            frame.colorspace = _BT709 if frame.height >= 720 else _BT601
        rgb = self.converter.reformat(
            frame, format="rgb24", interpolation=_EXACT, dst_color_range=ColorRange.JPEG, threads=1
        )
        image = rgb.to_ndarray()
        if self.mirrored:
            image = image[:, ::-1]
        return np.ascontiguousarray(np.rot90(image, self.turns))
