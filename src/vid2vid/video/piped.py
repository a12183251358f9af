"""Pictures that come through a pipe: PNGs one after the other, or a video stream.

A stream is decoded where files are, in a process that has no rights (``decoding``), which reads the pipe
itself. PNGs are told apart here, by their chunks, and decoded as those on a disk are.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vid2vid.decoder.container import UNKNOWN
from vid2vid.errors import UserError
from vid2vid.types import Frame, Size
from vid2vid.video.camera import claimed_rate
from vid2vid.video.decoding import Decoder
from vid2vid.video.live import Live
from vid2vid.video.pictures import decode_picture

_PNG = b"\x89PNG\r\n\x1a\n"
_LARGEST = 1 << 28
"""Bytes of a PNG; no forged length exhausts the memory."""
_LOOK = 0.2
"""Seconds between two looks whether a pipe that is silent is still wanted."""
_AT_ONCE = 1 << 16


class PipedPictures(Live):
    """PNGs, one after the other, of one size. Their rate is what nobody says: 25 frames a second.

    Args:
        name: for messages.
        descriptor: of the pipe; ``head``: what has been read of it already.
        drop: see :class:`Live`.
    """

    def __init__(self, name: str, descriptor: int, head: bytes, drop: bool) -> None:
        self._descriptor, self._buffer, self._gone = descriptor, bytearray(head), False
        self._count = 0
        super().__init__(name, (0, 0), claimed_rate(None), drop=drop, patience=None)
        self._first = self._png()
        if self._first is None:
            raise UserError(f"{name}: ends before the first picture; pipe PNGs one after the other")
        height, width = decode_picture(self._first, f"{name}: picture 0", "rgb").shape[:2]
        self.size: Size = (width, height)

    def maps(self) -> Iterator[Frame]:
        """As ``frames``, but with label maps as they are stored, (H, W), for images."""
        return self._frames(lambda picture: self._decoded(picture, "labels"))

    def _image(self, picture: tuple[int, bytes]) -> np.ndarray:
        return self._decoded(picture, "rgb")

    def _decoded(self, picture: tuple[int, bytes], mode: Any) -> np.ndarray:
        number, data = picture
        image = decode_picture(data, f"{self.name}: picture {number}", mode)
        if image.shape[1::-1] != self.size:
            raise UserError(
                f"{self.name}: picture {number} is {image.shape[1]}x{image.shape[0]}, the first "
                f"{self.size[0]}x{self.size[1]}; pipe all of one size"
            )
        return image

    def _pictures(self) -> Iterator[tuple[tuple[int, bytes], float | None]]:
        png = self._first
        while png is not None:
            yield (self._count, png), None
            self._count += 1
            png = self._png()

    def _png(self) -> bytes | None:
        """The next one; None where the pipe ends, or is closed, before it."""
        if not self._has(len(_PNG)) and not self._buffer:
            return None
        end = len(_PNG)
        if self._buffer[:end] != _PNG[: len(self._buffer)]:
            raise UserError(f"{self.name}: picture {self._count} is no PNG; pipe PNGs one after the other")
        while self._has(end + 8):
            length, kind = int.from_bytes(self._buffer[end : end + 4], "big"), self._buffer[end + 4 : end + 8]
            end += length + 12
            if end > _LARGEST:
                raise UserError(f"{self.name}: picture {self._count} is too large; scale it down")
            if not self._has(end):
                break
            if kind == b"IEND":
                png = bytes(self._buffer[:end])
                del self._buffer[:end]
                return png
        if self._closing.is_set():
            return None
        raise UserError(f"{self.name}: ends in the middle of picture {self._count}; it was cut short")

    def _has(self, count: int) -> bool:
        """Whether so many bytes are in the buffer, once they have come."""
        while len(self._buffer) < count and not self._gone and not self._closing.is_set():
            if sys.platform != "win32" and not select.select([self._descriptor], [], [], _LOOK)[0]:
                continue
            data = os.read(self._descriptor, _AT_ONCE)
            self._gone = not data
            self._buffer += data
        return len(self._buffer) >= count


class PipedVideo(Live):
    """A video stream of any container that ``decoder`` opens, such as MPEG-TS or Matroska.

    Args: as those of :class:`PipedPictures`.
    """

    def __init__(self, name: str, descriptor: int, head: bytes, drop: bool) -> None:
        if os.name != "posix":
            raise UserError(f"{name}: video streams are read from pipes on POSIX systems only; pipe PNGs")
        self._decoder = Decoder(name, (descriptor, head))
        self._decoder.ask("play")
        about = self._decoder.answer()
        size = about.integer("width", 1, 1 << 14), about.integer("height", 1, 1 << 14)
        self._time_base: Fraction | None = about.ratio("time_base")
        rate = claimed_rate(about.ratio("average_rate") or about.ratio("guessed_rate"))
        super().__init__(name, size, rate, drop=drop, patience=None)

    def _image(self, picture: np.ndarray) -> np.ndarray:
        return picture

    def _pictures(self) -> Iterator[tuple[np.ndarray, float | None]]:
        self._decoder.ask("take", target=None, skip=0, count=None)
        number = 0
        while (answer := self._decoder.frame(self.size, number)) is not None:
            stamp, picture = answer
            timed = stamp != UNKNOWN and self._time_base is not None
            yield picture, float(stamp * self._time_base) if timed else None  # type: ignore[operator]
            number += 1

    def _close(self) -> None:
        self._decoder.close()


def is_pipe(source: Path | str) -> bool:
    """Whether ``source`` is standard input, "-", or a named pipe."""
    return str(source) == "-" or Path(source).is_fifo()


def open_pipe(source: Path | str = "-", drop: bool = False) -> PipedPictures | PipedVideo:
    """What comes through standard input ("-") or a named pipe; waits for its beginning.

    Args:
        drop: the newest picture is taken; others are dropped and counted. Else whoever writes has to wait.

    Raises:
        UserError: it ends at once; what comes is neither PNGs nor a video.
    """
    name = "standard input" if str(source) == "-" else str(source)
    try:
        descriptor = sys.stdin.fileno() if str(source) == "-" else os.open(source, os.O_RDONLY)
        head = b""
        while len(head) < len(_PNG) and (more := os.read(descriptor, len(_PNG) - len(head))):
            head += more
    except (OSError, ValueError) as error:
        raise UserError(f"{name}: cannot be read ({error}); pipe PNGs or a video stream into it") from error
    if not head:
        raise UserError(f"{name}: is empty; pipe PNGs one after the other, or a video stream, into it")
    kind = PipedPictures if head == _PNG else PipedVideo
    return kind(name, descriptor, head, drop)
