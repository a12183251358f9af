"""Frames to whoever listens: a pipe, or an address of the network."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import VideoReformatter

from vid2vid.errors import UserError
from vid2vid.types import Size
from vid2vid.video.live import reason_of
from vid2vid.video.pictures import as_rate
from vid2vid.video.writer import TICKS, encodable, lay_out

FORMATS = ("mpegts", "matroska", "raw")
"""What a stream may be written as; raw: the frames' bytes, RGB, one after the other, and nothing else."""

_KINDS = {"rtsp": "rtsp", "rtmp": "flv", "udp": "mpegts", "srt": "mpegts", "tcp": "mpegts"} | {
    "http": "mpegts",
    "https": "mpegts",
}
"""By the beginning of an address: the format that is written unless another one is asked for."""
_CLOCKED = ("rtsp", "rtmp", "udp", "srt")
"""Where nobody holds up a writer that is faster than its video plays: it waits itself."""
_PATIENCE = 10.0  # seconds for a receiver to answer
_QUICK = {"preset": "veryfast", "tune": "zerolatency", "crf": "20"}


def is_stream(out: object) -> bool:
    """Whether ``out`` is standard output, "-", or an address, ``udp://...``, and no file."""
    return str(out) == "-" or "://" in str(out)


class StreamWriter:
    """Sends frames as H.264 without delay, or as they are; a ``FrameWriter``.

    Args:
        out: "-", standard output; or an address: ``rtsp://``, ``rtmp://``, ``http(s)://`` (sent by POST),
            ``udp://``, ``srt://``, ``tcp://``.
        rate: frames per second, for frames without a time of their own.
        format: one of `FORMATS`; None: what is usual there.

    Raises:
        UserError: another kind of address or format; nobody answers there, or the receiver goes away.
        BrokenPipeError: the reader of standard output has had enough.
    """

    def __init__(self, out: str, rate: Fraction | float, *, format: str | None = None) -> None:
        self.out, self.count = out, 0
        scheme = out.partition("://")[0].lower()
        if out != "-" and scheme not in _KINDS:
            raise UserError(f"{out}: streams go to {', '.join(f'{kind}://' for kind in _KINDS)} or -")
        if format is not None and format not in FORMATS:
            raise UserError(f"--format {format}: there are {', '.join(FORMATS)}")
        usual = _KINDS.get(scheme, "mpegts")
        if format is not None and (usual not in FORMATS or (format == "raw" and out != "-")):
            raise UserError(f"--format {format}: {out} takes {usual}; leave it out")
        self.format = format or usual
        self._clocked = scheme in _CLOCKED
        self._converter = VideoReformatter()
        self._container: OutputContainer | None = None
        self._stream: Any = None
        self._rate = as_rate(rate)
        self._time_base = Fraction(1, TICKS)
        self._last = -1
        self._size: Size = (0, 0)
        self._begin, self._started = 0.0, 0.0

    def __enter__(self) -> Self:
        if self.format != "raw":
            target: Any = _Unseekable() if self.out == "-" else self.out
            patience = None if self.out == "-" else _PATIENCE
            self._try(
                lambda: setattr(self, "_container", av.open(target, "w", self.format, timeout=patience))
            )
        return self

    def write(self, image: np.ndarray, time: float | None = None) -> None:
        """Send a frame (H, W, 3) uint8, all of one size; times as ``VideoWriter`` takes them."""
        if not self.count:
            self._start((image.shape[1], image.shape[0]), time)
        if image.shape[1::-1] != self._size:
            raise ValueError(f"frame {self.count} is no {self._size[0]}x{self._size[1]} as the first")
        if time is None:
            ticks = round(self.count / self._rate / self._time_base)
        else:
            ticks = max(round((time - self._begin) / float(self._time_base)), self._last + 1)
        self._last = ticks
        self._wait(ticks)
        if self._container is None:
            _send(np.ascontiguousarray(image).data.cast("B"))
        else:
            frame = encodable(image, self._size, self._converter)
            frame.pts, frame.time_base = ticks, self._time_base
            self._try(lambda: self._mux(frame))
        self.count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        good = kind is None or issubclass(kind, KeyboardInterrupt)
        container, self._container = self._container, None
        if container is None:
            return
        if good and self.count:
            self._try(lambda: container.mux(self._stream.encode(None)))
            self._try(container.close)
        else:
            with suppress(OSError, av.FFmpegError):
                container.close()
        if kind is None and not self.count:
            raise UserError(f"{self.out}: nothing sent, for there was no frame")

    def _start(self, size: Size, time_of_first: float | None) -> None:
        self._size, self._begin, self._started = size, time_of_first or 0.0, time.monotonic()
        if self._container is not None:
            self._stream = lay_out(self._container, "libx264", self._rate, size, self._time_base)
            self._stream.options = {**_QUICK, "g": str(max(1, round(self._rate)))}

    def _mux(self, frame: av.VideoFrame) -> None:
        assert self._container is not None
        self._container.mux(self._stream.encode(frame))

    def _wait(self, ticks: int) -> None:
        """Until it is time for the frame, where the network would not make it wait."""
        if self._clocked:
            due = self._started + float(ticks * self._time_base)
            time.sleep(max(due - time.monotonic(), 0.0))

    def _try(self, work: Callable[[], object]) -> None:
        try:
            work()
        except (av.FFmpegError, OSError) as error:
            if self.out == "-" and isinstance(error, BrokenPipeError):
                raise
            doing = "nobody takes the stream" if not self.count else "the receiver went away"
            raise UserError(f"{self.out}: {doing} ({reason_of(error)}); start the receiver first") from error


class _Unseekable:
    """What PyAV asks of a file to write to."""

    name = "standard output"

    def write(self, data: Any) -> int:
        return _send(data)


def _send(data: Any) -> int:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    return len(data)
