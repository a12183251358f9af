"""The sound of one video carried over to another: copied where the container allows, else re-encoded."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import av
from av.container import InputContainer, OutputContainer

from vid2vid.video.index import read_index

_Item = TypeVar("_Item", av.Packet, av.AudioFrame)
# What each container holds and its players play. FFmpeg's own answer promises more than its muxers then do.
_COPIED = {
    "mp4": {"aac", "mp3", "mp3float", "ac3", "eac3", "alac", "opus", "libopus"},
    "mov": {"aac", "mp3", "mp3float", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s24le"},
    "webm": {"opus", "libopus", "vorbis", "libvorbis"},
}


class Sound:
    """The first sound track of a file, laid under a video that begins ``begin`` seconds into that file's.

    Create it before the first packet of the output is written, then call ``write_until`` as the video grows.
    A source without sound gives none. Sound that is damaged ends at the damage.
    """

    def __init__(self, source: Path, output: OutputContainer, begin: float) -> None:
        self._input: InputContainer = av.open(f"file:{source}", options={"protocol_whitelist": "file"})
        self._output = output
        self._begin = read_index(source).start + begin
        self._packets: Iterator[av.Packet] = iter(())
        if self._input.streams.audio:
            track = self._input.streams.audio[0]
            copied = _COPIED.get(output.format.name)
            if copied is None or track.codec_context.name in copied:
                self._target = output.add_stream_from_template(track)
                self._packets = self._copied()
            else:
                webm = output.format.name == "webm"
                rate = 48_000 if webm else track.rate  # all that Opus knows
                self._target = output.add_stream(
                    "libopus" if webm else "aac", rate=rate, layout=track.layout.name
                )
                self._packets = self._encoded()
        self._next: av.Packet | None = None

    def write_until(self, seconds: float) -> None:
        """Mux the packets that begin before ``seconds`` of the output."""
        while True:
            self._next = self._next or next(self._packets, None)
            if self._next is None or self._next.pts is None or self._next.time_base is None:
                return
            if float(self._next.pts * self._next.time_base) >= seconds:
                return
            self._output.mux(self._next)
            self._next = None

    def close(self) -> None:
        self._packets = iter(())
        self._input.close()

    def _copied(self) -> Iterator[av.Packet]:
        for packet in _readable(self._input.demux(self._input.streams.audio[0])):
            if packet.pts is None or packet.time_base is None or not packet.size:
                continue
            shift = round(self._begin / packet.time_base)
            packet.pts -= shift
            packet.dts = packet.pts
            if packet.pts >= 0:
                packet.stream = self._target
                yield packet

    def _encoded(self) -> Iterator[av.Packet]:
        for frame in _readable(self._input.decode(self._input.streams.audio[0])):
            if frame.time is None or frame.time < self._begin:
                continue
            frame.pts = round((frame.time - self._begin) * frame.sample_rate)
            frame.time_base = Fraction(1, frame.sample_rate)
            yield from self._target.encode(frame)
        yield from self._target.encode(None)


def _readable(items: Iterator[_Item]) -> Iterator[_Item]:
    try:
        yield from items
    except (av.FFmpegError, EOFError):
        return
