"""The sound of a video for another container: copied where that allows it, else encoded anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer

from vid2vid.decoder.container import Video, check_memory

if TYPE_CHECKING:
    from vid2vid.decoder.__main__ import Answers

_Item = TypeVar("_Item", av.Packet, av.AudioFrame)
# What each container holds and its players play. FFmpeg's own answer promises more than its muxers then do.
_COPIED = {
    "mp4": {"aac", "mp3", "mp3float", "ac3", "eac3", "alac", "opus", "libopus"},
    "mov": {"aac", "mp3", "mp3float", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s24le"},
    "webm": {"opus", "libopus", "vorbis", "libvorbis"},
}


class _Pipe:
    """What PyAV asks of a file to write to."""

    name = "sound"

    def __init__(self, video: Video, answers: Answers) -> None:
        self._video = video
        self._answers = answers

    def write(self, data: bytes) -> int:
        self._video.limits.rest()
        size = self._answers.write(data)
        self._video.limits.step()
        return size


def send_sound(video: Video, answers: Answers, format: str, begin: float) -> None:
    """Writes the first sound track, from ``begin`` seconds on, as a NUT stream whose times count from there.

    Sound that is damaged ends at the damage; without sound nothing is written.
    """
    with video.container() as source:
        if not source.streams.audio:
            return
        track = source.streams.audio[0]
        copied = _COPIED.get(format)
        with av.open(_Pipe(video, answers), "w", format="nut") as output:
            packets = None
            if copied is None or track.codec_context.name in copied:
                with suppress(ValueError):  # not everything goes through NUT
                    packets = _copied(video, source, output.add_stream_from_template(track), begin)
            for packet in packets or _encoded(video, source, output, format, begin):
                output.mux(packet)


def _copied(video: Video, source: InputContainer, target: AudioStream, begin: float) -> Iterator[av.Packet]:
    for packet in _readable(video.packets(source.demux(source.streams.audio[0]))):
        if packet.pts is None or packet.time_base is None or not packet.size:
            continue
        packet.pts -= round(begin / packet.time_base)
        packet.dts = packet.pts
        if packet.pts >= 0:
            packet.stream = target
            yield packet


def _encoded(
    video: Video, source: InputContainer, output: OutputContainer, format: str, begin: float
) -> Iterator[av.Packet]:
    track = source.streams.audio[0]
    webm = format == "webm"
    rate = 48_000 if webm else track.rate  # all that Opus knows
    target = output.add_stream("libopus" if webm else "aac", rate=rate, layout=track.layout.name)
    decoded = (frame for packet in video.packets(source.demux(track)) for frame in track.decode(packet))
    for frame in _readable(decoded):
        if frame.time is None or frame.time < begin:
            continue
        frame.pts = round((frame.time - begin) * frame.sample_rate)
        frame.time_base = Fraction(1, frame.sample_rate)
        yield from target.encode(frame)
    yield from target.encode(None)


def _readable(items: Iterator[_Item]) -> Iterator[_Item]:
    try:
        yield from items
    except (av.FFmpegError, EOFError) as error:
        check_memory(error)
