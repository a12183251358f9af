"""A camera as a source of frames without an end: whoever asks gets the newest one."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from fractions import Fraction

import av
import numpy as np

from vid2vid.decoder.frames import Colours
from vid2vid.errors import UserError
from vid2vid.video.live import Live, reason_of
from vid2vid.video.pictures import DEFAULT_RATE, as_rate

_SYSTEMS = {
    "linux": ("v4l2", "/dev/video{}", {}),
    "darwin": ("avfoundation", "{}", {"framerate": "30"}),  # it refuses what it takes for a wish otherwise
    "win32": ("dshow", "video={}", {}),
}
"""By ``sys.platform``: ffmpeg's word for cameras, how they are named there, and what must be asked for."""

PATIENCE = 10.0
"""Seconds without a picture after which a camera is given up."""


class Camera(Live):
    """An open camera, always its newest frame. ``open_camera`` opens one by its number or name.

    Args:
        name: for messages.
        format: ffmpeg's word for the kind of device.
        file: what ffmpeg calls this one.
        options: for ffmpeg.

    Raises:
        UserError: it cannot be opened, or is no camera.
    """

    _end = "gives no more pictures"

    def __init__(self, name: str, format: str, file: str, options: Mapping[str, str] | None = None) -> None:
        try:
            self._container = av.open(file, format=format, options=dict(options or {}))
        except (av.FFmpegError, OSError, ValueError) as error:
            raise UserError(f"{name}: cannot be opened ({reason_of(error)}); {_choice(format)}") from error
        streams = self._container.streams.video
        if not streams or not streams[0].width:
            self._container.close()
            raise UserError(f"{name}: gives no pictures; {_choice(format)}")
        self._stream = streams[0]
        self._colours = Colours()
        size = (self._stream.width, self._stream.height)
        rate = claimed_rate(self._stream.average_rate or self._stream.guessed_rate)
        super().__init__(name, size, rate, drop=True, patience=PATIENCE)

    def _image(self, picture: av.VideoFrame) -> np.ndarray:
        return self._colours(picture).to_ndarray()

    def _pictures(self) -> Iterator[tuple[av.VideoFrame, float | None]]:
        """All but damaged ones, with which cameras like to begin."""
        packets = self._container.demux(self._stream)
        try:
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
                    yield from (
                        (one, one.time) for one in packet.decode() if (one.width, one.height) == self.size
                    )
        finally:
            self._container.close()


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


def claimed_rate(claimed: Fraction | None) -> Fraction:
    """Frames a second; 25 where none, or none that makes sense, is claimed."""
    try:
        return as_rate(claimed) if claimed else DEFAULT_RATE
    except ValueError:
        return DEFAULT_RATE
