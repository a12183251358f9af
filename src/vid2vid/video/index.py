"""What is in a video file: the time stamp of every frame, where decoding can start, whether it is whole."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from vid2vid.errors import UserError
from vid2vid.types import Size
from vid2vid.video.pictures import DEFAULT_RATE, MAX_PIXELS, as_rate

VERIFY_PIXELS = 1 << 29
"""Videos of at most so many pixels in all their frames together are decoded once when they are opened (about
580 frames of 1280x720; a few seconds at most)."""

# Containers that say how long they are; others (MPEG streams) are measured by their own last packet.
_DECLARE_LENGTH = ("matroska", "mov", "avi", "flv", "asf")
# Codecs whose every packet is one shown frame, so that packets may be counted instead of frames.
_PACKET_IS_FRAME = {
    "h264",
    "hevc",
    "vp9",
    "libvpx-vp9",
    "libdav1d",
    "mpeg1video",
    "mpeg2video",
    "mjpeg",
    "prores",
}
_GIVE_VIDEO = "give a video (mp4, mkv, mov, webm, ...) or a folder of pictures"


class DamagedStream(Exception):
    """Decoding stopped at damaged data; all frames that came before have been yielded."""


@dataclass(frozen=True)
class Index:
    """What is known of a video file after reading its packets.

    stamps: (N,) int64, the time stamp of each frame in units of time_base, rising; None where the file has no
        usable ones: its frames are then counted from the start.
    frames: N.
    keys: int64, time stamps of the frames that decoding can start from, rising.
    start: seconds at which the first frame stands on the clock of the container.
    size: (width, height) as stored; turns, mirrored: how to show it: mirrored left to right where so, then
        turned by so many quarters counter-clockwise.
    fault: why the file is not whole, naming what can be read; None for a good one.
    """

    stamps: np.ndarray | None
    frames: int
    keys: np.ndarray
    time_base: Fraction
    rate: Fraction
    size: Size
    turns: int
    mirrored: bool
    has_audio: bool
    fault: str | None

    @property
    def start(self) -> float:
        return 0.0 if self.stamps is None else float(self.stamps[0] * self.time_base)

    @property
    def times(self) -> np.ndarray:
        """(N,) float64, seconds from the first frame."""
        if self.stamps is None:
            return np.arange(self.frames) / float(self.rate)
        return (self.stamps - self.stamps[0]) * float(self.time_base)


def read_index(path: Path, verify: bool | None = None) -> Index:
    """The index of a video file; remembered while the file stays as it is.

    Args:
        verify: decode the whole file to be sure of every frame. None: where it is of at most VERIFY_PIXELS,
            or its frames cannot be counted otherwise.

    Raises:
        UserError: no such file, not a video, no frame of it can be decoded, or its size changes.
    """
    if not path.is_file():
        wrong = "not a file" if path.exists() else "no such file"
        raise UserError(f"{path}: {wrong}; {_GIVE_VIDEO}")
    state = os.stat(path)
    return _read_index(path.absolute(), verify, state.st_mtime_ns, state.st_size)


@contextmanager
def open_container(path: Path, threads: bool = True) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The opened file and its video stream, ready to decode. Raises UserError where there is none.

    Args:
        threads: decode several frames at once. Not for what may live through a fork: the threads would not.
    """
    try:
        # "file:" keeps odd names from being taken for addresses; the list keeps playlists from reaching out.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UserError(f"{path}: {_why_unreadable(path, error)}") from error
    with container:
        streams = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]
        if not streams or container.format.name in ("tty", "ansi"):
            raise UserError(f"{path}: holds no video; {_GIVE_VIDEO}")
        stream = streams[0]
        if stream.codec_context is None or not stream.width:
            raise UserError(f"{path}: its video format cannot be decoded; convert it to H.264 first")
        if stream.width * stream.height > MAX_PIXELS:
            raise UserError(
                f"{path}: frames of {stream.width}x{stream.height} are too large; scale the video down"
            )
        if threads:
            stream.thread_type = "AUTO"
        else:
            stream.codec_context.thread_count = 1
        stream.codec_context.options = {"err_detect": "explode"}  # say what is damaged instead of hiding it
        yield container, stream


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
            if packet is not None and lenient_before is not None and (packet.pts or 0) < lenient_before:
                continue
            with suppress(av.FFmpegError, EOFError):
                yield from stream.decode(None)
            raise DamagedStream(str(error)) from error
        yield from frames


@dataclass
class _Scan:
    """The packets of a file, as far as they can be read."""

    stamps: np.ndarray | None
    packets: int
    keys: np.ndarray
    time_base: Fraction
    nominal_rate: Fraction
    size: Size
    codec: str
    has_audio: bool
    declared: int
    """Frames that the file says it has; 0 where it is silent or has all of them."""
    roughly: str
    """"about " where that is reckoned from its duration."""


@lru_cache(maxsize=256)
def _read_index(path: Path, verify: bool | None, _modified: int, _bytes: int) -> Index:
    scan = _scan(path)
    counted = scan.stamps is not None and scan.codec in _PACKET_IS_FRAME
    if verify is None:
        verify = scan.packets * scan.size[0] * scan.size[1] <= VERIFY_PIXELS
    decoded, whole, turns, mirrored = _decode(path, None if verify or not counted else 1)
    stamps = scan.stamps
    if counted and stamps is not None:
        if (
            whole
        ):  # what leads the first key frame, as in a broadcast that was cut into, is not shown by anybody
            stamps = stamps[np.searchsorted(stamps, decoded[0] or 0) :]
        frames, expected = len(stamps), max(len(stamps), scan.declared)
        if verify:
            frames = _agreement(stamps, decoded)
            whole = frames == len(stamps)
    else:
        stamps, frames = _rising(decoded), len(decoded)
        expected = max(frames if whole else scan.packets, scan.declared)
    if not frames:
        raise UserError(f"{path}: no frame of it can be decoded; copy it again from its source")
    index = Index(
        stamps=None if stamps is None else stamps[:frames],
        frames=frames,
        keys=scan.keys,
        time_base=scan.time_base,
        rate=scan.nominal_rate,
        size=scan.size,
        turns=turns,
        mirrored=mirrored,
        has_audio=scan.has_audio,
        fault=None
        if whole and not scan.declared
        else f"only {frames} of {scan.roughly}{expected} frames can be read",
    )
    return replace(index, rate=_rate(index))


def _scan(path: Path) -> _Scan:
    """Read all packets, of sound too: only together do they tell whether the file ends where it should."""
    stamps: list[int | None] = []
    keys: list[int] = []
    end = 0.0
    with open_container(path) as (container, stream):
        try:
            for packet in container.demux():
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
                    stamps.append(packet.pts)
        except (av.FFmpegError, EOFError):
            pass  # the rest is unreadable: the length tells
        end -= (container.start_time or 0) / av.time_base
        declared = _declared(container, stream, len(stamps), end)
        return _Scan(
            stamps=_rising(sorted(stamp for stamp in stamps if stamp is not None))
            if None not in stamps
            else None,
            packets=len(stamps),
            keys=np.unique(np.array(keys, np.int64)),
            time_base=stream.time_base or Fraction(1, 1000),
            nominal_rate=_nominal_rate(stream),
            size=(stream.width, stream.height),
            codec=stream.codec_context.name,
            has_audio=bool(container.streams.audio),
            declared=declared,
            roughly="" if declared in (0, stream.frames) else "about ",
        )


def _declared(container: InputContainer, stream: VideoStream, packets: int, end: float) -> int:
    """Frames that the file claims to have where it ends before its time; else 0."""
    if container.duration is None or not container.format.name.startswith(_DECLARE_LENGTH):
        return 0
    missing = container.duration / av.time_base - end
    # Durations are rounded, so some slack; none where the number of frames itself is written down and not
    # reached. (That number alone proves nothing: an edit list may hide frames.)
    period = 1 / float(_nominal_rate(stream))
    if missing > (1.5 * period if stream.frames > packets else max(0.3, 2 * period)):
        return stream.frames if stream.frames > packets else packets + round(missing / period)
    return 0


def _decode(path: Path, limit: int | None) -> tuple[list[int | None], bool, int, bool]:
    """Stamps of the frames decoded (at most ``limit``), whether all went well, how to show the first."""
    stamps: list[int | None] = []
    turns, mirrored = 0, False
    with open_container(path) as (container, stream):
        size = None
        try:
            for frame in decode_packets(stream, container.demux(stream)):
                if frame.is_corrupt:
                    return stamps, False, turns, mirrored
                if size is None:
                    size = frame.width, frame.height
                    turns, mirrored = orientation(frame)
                check_size(path, frame, len(stamps), size)
                stamps.append(frame.pts)
                if len(stamps) == limit:
                    break
        except DamagedStream:
            return stamps, False, turns, mirrored
    return stamps, True, turns, mirrored


def check_size(path: Path, frame: av.VideoFrame, number: int, size: Size) -> None:
    """Raises UserError where a frame is not of the size of the first."""
    if (frame.width, frame.height) != size:
        raise UserError(
            f"{path}: frame {number} is {frame.width}x{frame.height}, those before {size[0]}x{size[1]}; "
            "convert it to one size first"
        )


def orientation(frame: av.VideoFrame) -> tuple[int, bool]:
    """(quarter turns counter-clockwise, mirrored left to right before) by the frame's display matrix."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 0, False
    a, b, _, c, d, *_ = (float(value) for value in np.frombuffer(data, np.int32))  # type: ignore[call-overload]
    # (x, y) is shown at (a x + c y, b x + d y), y down. A negative determinant mirrors.
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    return round(math.atan2(-b, a) / (math.pi / 2)) % 4, mirrored


def _agreement(stamps: np.ndarray, decoded: list[int | None]) -> int:
    """How many frames from the first on were decoded with the stamps that their packets promise."""
    count = 0
    for stamp, got in zip(stamps.tolist(), decoded, strict=False):
        if stamp != got:
            break
        count += 1
    return count


def _rising(stamps: list[int] | list[int | None]) -> np.ndarray | None:
    """As an array, where every stamp is there and later than the one before; else None."""
    if not stamps or None in stamps:
        return None
    array = np.array(stamps, np.int64)
    return array if (np.diff(array) > 0).all() else None


def _nominal_rate(stream: VideoStream) -> Fraction:
    for rate in (stream.average_rate, stream.guessed_rate):
        try:
            if rate:
                return as_rate(rate)
        except ValueError:
            continue
    return DEFAULT_RATE


def _rate(index: Index) -> Fraction:
    """The rate that the file names where its time stamps bear it out (to 1 %), else their average."""
    if index.stamps is None or index.frames < 2:
        return index.rate
    measured = (index.frames - 1) / (Fraction(int(index.stamps[-1] - index.stamps[0])) * index.time_base)
    try:
        return index.rate if abs(measured / index.rate - 1) < Fraction(1, 100) else as_rate(measured)
    except ValueError:
        return index.rate


def _why_unreadable(path: Path, error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, av.InvalidDataError) and error.strerror:
        return f"cannot be read ({error.strerror}); check the file and its permissions"
    if path.stat().st_size == 0:
        return f"the file is empty; {_GIVE_VIDEO}"
    if _lacks_moov(path):
        return "the file was cut short: its index (moov) is missing; copy it again from its source"
    return f"not a video that can be read; {_GIVE_VIDEO}"


def _lacks_moov(path: Path) -> bool:
    """Whether this is an MP4 or QuickTime file without its index, which most writers put at the very end."""
    with path.open("rb") as file:
        end, position, first = path.stat().st_size, 0, True
        while position + 8 <= end:
            file.seek(position)
            header = file.read(16)
            length, kind = int.from_bytes(header[:4], "big"), header[4:8]
            if first and kind not in (b"ftyp", b"wide", b"mdat", b"free", b"skip"):
                return False
            if kind == b"moov":
                return False
            length = int.from_bytes(header[8:16], "big") if length == 1 else length or end
            position, first = position + max(length, 8), False
    return not first
