"""A camera as a source of frames without an end: whoever asks gets the newest one."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from types import TracebackType
from typing import Self

import av

from vid2vid.decoder.frames import Colours
from vid2vid.errors import UserError
from vid2vid.types import Frame, Size
from vid2vid.video.pictures import DEFAULT_RATE, as_rate

_SYSTEMS = {
    "linux": ("v4l2", "/dev/video{}", {}),
    "darwin": ("avfoundation", "{}", {"framerate": "30"}),  # it refuses what it takes for a wish otherwise
    "win32": ("dshow", "video={}", {}),
}
"""By ``sys.platform``: ffmpeg's word for cameras, how they are named there, and what must be asked for."""

PATIENCE = 10.0
"""Seconds without a picture after which a camera is given up."""


class Camera:
    """An open camera, used in a ``with`` block. ``open_camera`` opens one by its number or name.

    A thread reads it and keeps the newest picture alone, however slow whoever takes them is.

    Args:
        name: for messages.
        format: ffmpeg's word for the kind of device.
        file: what ffmpeg calls this one.
        options: for ffmpeg.

    Attributes:
        size: (width, height) of its frames. rate: frames per second as it claims.
        taken: frames given out by ``frames``; dropped: those that came between them, too early to be taken.
        seconds: when the last one given out was seen, after the first.
        fault: why it gives no more; None while it does.

    Raises:
        UserError: it cannot be opened, or is no camera.
    """

    def __init__(self, name: str, format: str, file: str, options: Mapping[str, str] | None = None) -> None:
        self.name = name
        try:
            self._container = av.open(file, format=format, options=dict(options or {}))
        except (av.FFmpegError, OSError, ValueError) as error:
            raise UserError(f"{name}: cannot be opened ({_reason(error)}); {_choice(format)}") from error
        streams = self._container.streams.video
        if not streams or not streams[0].width:
            self._container.close()
            raise UserError(f"{name}: gives no pictures; {_choice(format)}")
        self._stream = streams[0]
        self.size: Size = (self._stream.width, self._stream.height)
        self.rate = _rate(self._stream.average_rate or self._stream.guessed_rate)
        self.taken, self.dropped, self.seconds = 0, 0, 0.0
        self.fault: str | None = None
        self._news = threading.Condition()
        self._closing = threading.Event()
        self._read = 0
        self._newest: tuple[int, av.VideoFrame, float] | None = None
        self._thread = threading.Thread(target=self._watch, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join(PATIENCE)  # a driver that hangs must not keep the program from ending

    def frames(self) -> Iterator[Frame]:
        """The newest frame whenever one is asked for, each at most once; times rise from 0.

        Ends when the camera gives no more. The counts begin anew.

        Raises:
            UserError: it ends before the first frame.
        """
        with self._news:
            first, begin, self._newest = self._read, None, None
        self.taken, self.dropped, self.seconds = 0, 0, 0.0
        colours = Colours()
        while (newest := self._take()) is not None:
            number, picture, time = newest
            begin = time if begin is None else begin
            self.taken += 1
            self.dropped = number - first - self.taken
            self.seconds = time - begin
            yield Frame(colours(picture).to_ndarray(), self.seconds)
        if not self.taken:
            raise UserError(f"{self.name}: {self.fault}; check that nothing else uses it, or choose another")

    def _take(self) -> tuple[int, av.VideoFrame, float] | None:
        """The newest frame, waited for if need be; None where no more come."""
        with self._news:
            if not self._news.wait_for(lambda: self._newest or self.fault, PATIENCE):
                self.fault = f"gave no picture for {PATIENCE:g} seconds"
            newest, self._newest = self._newest, None
            return newest

    def _watch(self) -> None:
        """The work of the thread: read until the camera ends, or is closed."""
        fault = "gives no more pictures"
        last = -1.0
        try:
            for picture in self._pictures():
                # Its own clock tells best when a picture was seen, as long as it goes forward.
                time = picture.time
                last = time if time is not None and time > last else last + 1 / float(self.rate)
                with self._news:
                    self._read += 1
                    self._newest = self._read, picture, last
                    self._news.notify_all()
        except (av.FFmpegError, OSError) as error:
            fault = f"went away ({_reason(error)})"
        finally:
            with self._news:
                self.fault = None if self._closing.is_set() else fault
                self._news.notify_all()
            self._container.close()

    def _pictures(self) -> Iterator[av.VideoFrame]:
        """Every picture until it is closed, but damaged ones, with which cameras like to begin."""
        packets = self._container.demux(self._stream)
        while not self._closing.is_set():
            try:
                packet = next(packets)
            except StopIteration:
                return
            except BlockingIOError:  # some have nothing yet where others wait
                self._closing.wait(0.002)
                packets = self._container.demux(self._stream)
                continue
            with suppress(av.InvalidDataError):
                yield from (one for one in packet.decode() if (one.width, one.height) == self.size)


def open_camera(device: str = "") -> Camera:
    """The camera of that number ("" is the first, 0), or of the name that the system has for it.

    Raises:
        UserError: there is none, it is in use, or cameras cannot be read on this system.
    """
    if sys.platform not in _SYSTEMS:
        raise UserError(f"camera: cannot be read on {sys.platform}; record a video, and give that")
    format, pattern, options = _SYSTEMS[sys.platform]
    device = device or "0"
    there = _cameras(format)
    if device.isdecimal() and sys.platform == "win32" and int(device) < len(there):
        file = pattern.format(there[int(device)])
    elif device.isdecimal() or sys.platform == "win32":
        file = pattern.format(device)
    else:
        file = device
    return Camera(f"camera {device}", format, file, options)


def _cameras(format: str) -> list[str]:
    """What the system calls its cameras; empty where it does not tell."""
    try:
        found = av.enumerate_input_devices(format)
    except (AttributeError, ValueError, OSError, av.FFmpegError):  # older PyAV cannot ask
        return []
    return [device.name for device in found if "audio" not in device.media_types]


def _choice(format: str) -> str:
    there = _cameras(format)
    return f"there are {', '.join(there)}" if there else "no camera is found here: plug one in"


def _rate(claimed: Fraction | None) -> Fraction:
    try:
        return as_rate(claimed) if claimed else DEFAULT_RATE
    except ValueError:
        return DEFAULT_RATE


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())
