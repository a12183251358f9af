"""A video file opened by libav: what is in its packets, which of its frames can be decoded."""

from __future__ import annotations

import errno
import math
import os
import struct
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from io import FileIO
from typing import Any, ClassVar

import av
import av.audio.codeccontext
import av.audio.stream
import av.subtitles.codeccontext
import av.subtitles.stream
import av.video.codeccontext  # PyAV imports these late: where no file can be opened any more
from av.container import InputContainer
from av.video.stream import VideoStream

from vid2vid.decoder.limits import Limits
from vid2vid.errors import UserError

MAX_PIXELS = 1 << 27
"""The largest video frame that is opened (16384 x 8192): no forged header exhausts the memory."""
UNKNOWN = -(1 << 63)
"""Stands for a time stamp that is not there."""

_GIVE_VIDEO = "give a video (mp4, mkv, mov, webm, ...) or a folder of pictures"
# Containers that hold their frames themselves. What is missing here would have libav open other files, talk
# to servers, or take text for a film.
_FORMATS = (
    *("3gp", "apng", "asf", "av1", "avi", "dnxhd", "dv", "flv", "gif", "gxf", "h261", "h263", "h264", "hevc"),
    *("ivf", "m4v", "matroska", "mjpeg", "mov", "mpeg", "mpegts", "mpegvideo", "mxf", "nut", "obu", "ogg"),
    *("rm", "swf", "vc1", "vvc", "wtv", "yuv4mpegpipe"),
)
_OPTIONS = {"format_whitelist": ",".join(_FORMATS), "protocol_whitelist": "none"}
_BUFFER = 1 << 16
_REPEATS = 4  # an edit list may show a part more than once
_FRAMES_AT_ONCE = 1 << 28  # bytes that threads may fill with frames, each of up to 3 bytes a pixel
_MOST_THREADS = 16


class DamagedStream(Exception):
    """Decoding stopped at damaged data; all frames that came before have been yielded."""


class Video:
    """The one file of this process, opened before its limits are set.

    Raises:
        UserError: it cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.name = path
        try:
            file = FileIO(path)
            self.size = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise UserError(
                f"cannot be read ({error.strerror}); check the file and its permissions"
            ) from error
        self.read, self.seek, self.tell = file.read, file.seek, file.tell  # what PyAV asks of a file
        self.processors = _processors()
        self.limits = Limits(self.size)

    options: ClassVar = _OPTIONS

    def rewind(self) -> None:
        """Back to the first byte."""
        self.seek(0)

    @contextmanager
    def opened(self, threads: bool = True) -> Iterator[tuple[InputContainer, VideoStream]]:
        """The container and its video stream, ready to decode. Raises UserError where there is none.

        Args:
            threads: decode several frames at once: better for many frames, worse for one.
        """
        with self.container() as container:
            streams = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]
            if not streams:
                raise UserError(f"holds no video; {_GIVE_VIDEO}")
            stream = streams[0]
            context = stream.codec_context
            if context is None or not stream.width:
                raise UserError("its video format cannot be decoded; convert it to H.264 first")
            pixels = stream.width * stream.height
            if pixels > MAX_PIXELS:
                raise UserError(
                    f"frames of {stream.width}x{stream.height} are too large; scale the video down"
                )
            if threads:
                stream.thread_type = "AUTO"
                room = max(1, _FRAMES_AT_ONCE // (3 * pixels))
                context.thread_count = min(self.processors + 1, room, _MOST_THREADS)
            else:
                context.thread_count = 1
            # Say what is damaged instead of hiding it.
            context.options = {"err_detect": "explode", "max_pixels": str(MAX_PIXELS)}
            yield container, stream

    @contextmanager
    def container(self) -> Iterator[InputContainer]:
        """The file as libav sees it, from its beginning. Raises UserError where it is no video."""
        self.limits.step()
        self.rewind()
        try:
            container = av.open(self, options=self.options, buffer_size=_BUFFER, io_open=_refuse)
        except (av.FFmpegError, OSError, ValueError) as error:
            check_memory(error)
            raise UserError(self._why_unreadable()) from error
        with container:
            assert isinstance(container, InputContainer)
            yield container

    def packets(self, packets: Iterator[av.Packet]) -> Iterator[av.Packet]:
        """Those packets. Raises UserError where they are far more than the file can hold."""
        left = _REPEATS * self.size + _BUFFER
        for packet in packets:
            self.limits.step()
            left -= max(packet.size, 1)
            if left < 0:
                raise UserError("it repeats its frames over and over; convert it with another tool first")
            yield packet

    def _why_unreadable(self) -> str:
        if not self.size:
            return f"the file is empty; {_GIVE_VIDEO}"
        if self._lacks_moov():
            return "the file was cut short: its index (moov) is missing; copy it again from its source"
        return f"not a video that can be read; {_GIVE_VIDEO}"

    def _lacks_moov(self) -> bool:
        """Whether this is an MP4 or QuickTime file without its index, which most writers put at the end."""
        position, first = 0, True
        while position + 8 <= self.size:
            self.limits.step()
            self.seek(position)
            header = self.read(16)
            length, kind = int.from_bytes(header[:4], "big"), header[4:8]
            if first and kind not in (b"ftyp", b"wide", b"mdat", b"free", b"skip"):
                return False
            if kind == b"moov":
                return False
            length = int.from_bytes(header[8:16], "big") if length == 1 else length or self.size
            position, first = position + max(length, 8), False
        return not first


class PipedVideo(Video):
    """A video that comes through a pipe: read once, from its beginning, for as long as it likes.

    Args:
        descriptor: of the pipe, open for reading.
        head: the bytes of it that have been read already.
    """

    # What is live is to be seen soon, not to be known exactly.
    options: ClassVar = {
        **_OPTIONS,
        "probesize": str(1 << 20),
        "analyzeduration": "1000000",
    }

    def __init__(self, descriptor: int, head: bytes) -> None:
        self.name, self.size = "pipe", len(head) or 1
        self.processors = 1
        self._pipe, self._head = FileIO(descriptor), head
        self.limits = Limits(0)
        self.read: Any = self._read_on

    def rewind(self) -> None:
        """There is no way back, and none is needed."""

    def packets(self, packets: Iterator[av.Packet]) -> Iterator[av.Packet]:
        """Those packets, as many as come."""
        for packet in packets:
            self.limits.step()
            yield packet

    def _read_on(self, count: int) -> bytes:
        """What is there, at most so much; waiting for it is no fault of the stream."""
        if self._head:
            data, self._head = self._head[:count], self._head[count:]
            return data
        self.limits.rest()
        data = self._pipe.read(count) or b""
        self.limits.step()
        return data

    def _why_unreadable(self) -> str:
        return "no video stream that can be read; pipe MPEG-TS, Matroska, MJPEG, Y4M or PNGs"


def check_memory(error: BaseException) -> None:
    """Raises MemoryError where that is what libav ran out of."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        raise MemoryError from error


def decode_packets(
    stream: VideoStream, packets: Iterable[av.Packet], lenient_before: int | None = None
) -> Iterator[av.VideoFrame]:
    """Frames in the order they are shown.

    Args:
        lenient_before: damage in packets stamped before this is passed over: after a seek, the frames that
            lead the key frame lack what they refer to, and are not wanted.

    Raises:
        DamagedStream: at damage, when every frame decoded before it has been yielded.
    """
    iterator = iter(packets)
    while True:
        packet: av.Packet | None = None
        try:
            packet = next(iterator)
            frames = stream.decode(packet)
        except StopIteration:
            return
        except (av.FFmpegError, EOFError) as error:
            check_memory(error)
            if packet is not None and lenient_before is not None and (packet.pts or 0) < lenient_before:
                continue
            with suppress(av.FFmpegError, EOFError):
                yield from stream.decode(None)
            raise DamagedStream(str(error)) from error
        yield from frames


@dataclass(frozen=True)
class Scan:
    """All packets of a file, of sound too: only together do they tell whether it ends where it should.

    about: what the file says of itself; ``end``: seconds at which its last packet ends.
    stamps: of the packets of the video, in the order of the file; UNKNOWN where there is none.
    keys: of those that decoding can start from.
    """

    about: dict[str, Any]
    stamps: array[int]
    keys: array[int]


def scan(video: Video) -> Scan:
    """Reads every packet that can be read."""
    stamps, keys = array("q"), array("q")
    end = 0.0
    with video.opened() as (container, stream):
        try:
            for packet in video.packets(container.demux()):
                stamp = packet.pts if packet.pts is not None else packet.dts
                if not packet.size or packet.time_base is None:
                    continue
                if stamp is not None:
                    end = max(end, float((stamp + (packet.duration or 0)) * packet.time_base))
                if packet.stream_index != stream.index:
                    continue
                if packet.is_keyframe and packet.pts is not None:
                    keys.append(packet.pts)
                if not packet.is_discard:  # cut away by an edit list, only there to decode others from
                    stamps.append(UNKNOWN if packet.pts is None else packet.pts)
        except (av.FFmpegError, EOFError) as error:
            check_memory(error)  # else the rest is unreadable: the length tells
        about = {
            **stream_facts(container, stream),
            "frames": max(0, stream.frames),
            "duration": None if container.duration is None else container.duration / av.time_base,
            "end": end - (container.start_time or 0) / av.time_base,
            "has_audio": bool(container.streams.audio),
        }
    return Scan(about, stamps, keys)


def stream_facts(container: InputContainer, stream: VideoStream) -> dict[str, Any]:
    """What the beginning of a file or stream says of its pictures."""
    return {
        "width": stream.width,
        "height": stream.height,
        "time_base": _ratio(stream.time_base),
        "average_rate": _ratio(stream.average_rate),
        "guessed_rate": _ratio(stream.guessed_rate),
        "codec": stream.codec_context.name,
        "format": container.format.name,
    }


def decode(video: Video, limit: int | None) -> tuple[dict[str, Any], array[int]]:
    """Decodes all frames, or at most ``limit``: if all went well, how to show the first; their stamps."""
    stamps = array("q")
    about: dict[str, Any] = {"whole": True, "turns": 0, "mirrored": False}
    with video.opened() as (container, stream):
        size = None
        try:
            for frame in decode_packets(stream, video.packets(container.demux(stream))):
                if frame.is_corrupt:
                    raise DamagedStream
                if size is None:
                    size = frame.width, frame.height
                    about["turns"], about["mirrored"] = orientation(frame.side_data.get("DISPLAYMATRIX"))
                check_size(frame, len(stamps), size)
                stamps.append(UNKNOWN if frame.pts is None else frame.pts)
                if len(stamps) == limit:
                    break
        except DamagedStream:
            about["whole"] = False
    return about, stamps


def check_size(frame: av.VideoFrame, number: int, size: tuple[int, int]) -> None:
    """Raises UserError where a frame is not of the size of the first."""
    if (frame.width, frame.height) != size:
        raise UserError(
            f"frame {number} is {frame.width}x{frame.height}, those before {size[0]}x{size[1]}; "
            "convert it to one size first"
        )


def orientation(matrix: Any) -> tuple[int, bool]:
    """(quarter turns counter-clockwise, mirrored left to right before) by a display matrix: 36 bytes."""
    if matrix is None:
        return 0, False
    a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])
    # (x, y) is shown at (a x + c y, b x + d y), y down. A negative determinant mirrors.
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    return round(math.atan2(-b, a) / (math.pi / 2)) % 4, mirrored


def _ratio(value: Fraction | None) -> list[int] | None:
    return [value.numerator, value.denominator] if value is not None and value > 0 else None


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _refuse(url: str, flags: int, options: dict[str, str]) -> None:
    """Called where libav would open another file."""
    raise OSError(errno.EPERM, "one file only")
