"""What is in a video file: the time stamp of every frame, where decoding can start, whether it is whole."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np

from vid2vid.decoder.container import MAX_PIXELS
from vid2vid.errors import UserError
from vid2vid.types import Size
from vid2vid.video.decoding import Answer, Decoder
from vid2vid.video.pictures import DEFAULT_RATE, as_rate

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
_MOST_PER_BYTE, _SLACK = 4, 1 << 16  # packets; the decoding process gives up before
_LATEST = 1 << 60  # no honest time stamp is beyond, and differences of such still fit
_GIVE_VIDEO = "give a video (mp4, mkv, mov, webm, ...) or a folder of pictures"


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
        UserError: no such file, not a video, no frame of it can be decoded, its size changes, decoding it
            crashes, takes too long or needs too much memory.
    """
    if not path.is_file():
        wrong = "not a file" if path.exists() else "no such file"
        raise UserError(f"{path}: {wrong}; {_GIVE_VIDEO}")
    state = os.stat(path)
    return _read_index(path.absolute(), verify, state.st_mtime_ns, state.st_size)


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
def _read_index(path: Path, verify: bool | None, _modified: int, size: int) -> Index:
    with Decoder(path) as decoder:
        return _asked(decoder, verify, most=_MOST_PER_BYTE * size + _SLACK)


def _asked(decoder: Decoder, verify: bool | None, most: int) -> Index:
    scan = _scan(decoder, most)
    counted = scan.stamps is not None and scan.codec in _PACKET_IS_FRAME
    if verify is None:
        verify = scan.packets * scan.size[0] * scan.size[1] <= VERIFY_PIXELS
    decoded, whole, turns, mirrored = _decode(decoder, None if verify or not counted else 1, most)
    if not len(decoded):
        raise UserError(f"{decoder.path}: no frame of it can be decoded; copy it again from its source")
    stamps = scan.stamps
    if counted and stamps is not None:
        if whole:
            # What leads the first key frame, as in a broadcast that was cut into, is not shown by anybody.
            stamps = stamps[np.searchsorted(stamps, decoded[0]) :]
        frames, expected = len(stamps), max(len(stamps), scan.declared)
        if verify:
            frames = _agreement(stamps, decoded)
            whole = frames == len(stamps)
    else:
        stamps, frames = _rising(decoded), len(decoded)
        expected = max(frames if whole else scan.packets, scan.declared)
    if not frames:
        raise UserError(f"{decoder.path}: no frame of it can be decoded; copy it again from its source")
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


def _scan(decoder: Decoder, most: int) -> _Scan:
    """What all packets tell; ``most``: how many they can be."""
    decoder.ask("scan")
    answer = decoder.answer()
    packets, keys = answer.integer("stamps", 0, most), answer.integer("keys", 0, most)
    size = answer.integer("width", 1, MAX_PIXELS), answer.integer("height", 1, MAX_PIXELS)
    if size[0] * size[1] > MAX_PIXELS:
        raise decoder.nonsense()
    stamps = decoder.stamps(packets)
    declared, roughly = _declared(answer, packets)
    return _Scan(
        stamps=_rising(np.sort(stamps)),
        packets=packets,
        keys=np.unique(decoder.stamps(keys)),
        time_base=answer.ratio("time_base") or Fraction(1, 1000),
        nominal_rate=_nominal_rate(answer),
        size=size,
        codec=answer.text("codec"),
        has_audio=answer.flag("has_audio"),
        declared=declared,
        roughly=roughly,
    )


def _declared(answer: Answer, packets: int) -> tuple[int, str]:
    """Frames that the file claims to have where it ends before its time, else 0; "about " if reckoned."""
    duration, end, frames = answer.number("duration"), answer.number("end"), answer.integer("frames", 0)
    if duration is None or end is None or not answer.text("format").startswith(_DECLARE_LENGTH):
        return 0, ""
    missing = duration - end
    # Durations are rounded, so some slack; none where the number of frames itself is written down and not
    # reached. (That number alone proves nothing: an edit list may hide frames.)
    period = 1 / float(_nominal_rate(answer))
    if missing <= (1.5 * period if frames > packets else max(0.3, 2 * period)):
        return 0, ""
    return (frames, "") if frames > packets else (packets + round(missing / period), "about ")


def _decode(decoder: Decoder, limit: int | None, most: int) -> tuple[np.ndarray, bool, int, bool]:
    """Stamps of the frames decoded (at most ``limit``), whether all went well, how to show the first."""
    decoder.ask("decode", limit=limit)
    answer = decoder.answer()
    stamps = decoder.stamps(answer.integer("stamps", 0, most))
    return stamps, answer.flag("whole"), answer.integer("turns", 0, 3), answer.flag("mirrored")


def _agreement(stamps: np.ndarray, decoded: np.ndarray) -> int:
    """How many frames from the first on were decoded with the stamps that their packets promise."""
    count = min(len(stamps), len(decoded))
    wrong = np.flatnonzero(stamps[:count] != decoded[:count])
    return int(wrong[0]) if len(wrong) else count


def _rising(stamps: np.ndarray) -> np.ndarray | None:
    """The same, where every stamp is there and later than the one before; else None."""
    if not len(stamps) or int(stamps[0]) < -_LATEST or int(stamps[-1]) > _LATEST:  # UNKNOWN is the least
        return None
    return stamps if (np.diff(stamps) > 0).all() else None


def _nominal_rate(answer: Answer) -> Fraction:
    for rate in (answer.ratio("average_rate"), answer.ratio("guessed_rate")):
        with suppress(ValueError):
            if rate:
                return as_rate(rate)
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
