"""The sound of one video carried over to another: copied where the container allows, else encoded anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer

from vid2vid.video.decoding import Decoder
from vid2vid.video.index import read_index

# The stream was put together by a muxer of our own; what its packets hold is not looked at here.
_NUT = {"protocol_whitelist": "none", "codec_whitelist": "none"}


class Sound:
    """The first sound track of a file, laid under a video that begins ``begin`` seconds into that file's.

    Create it before the first packet of the output is written, then call ``write_until`` as the video grows.
    A source without sound gives none. Sound that is damaged ends at the damage.
    """

    def __init__(self, path: Path, output: OutputContainer, begin: float) -> None:
        self._output = output
        self._packets: Iterator[av.Packet] = iter(())
        self._next: av.Packet | None = None
        self._decoder: Decoder | None = None
        index = read_index(path)
        if index.has_audio:
            self._decoder = Decoder(path)
            self._decoder.ask("sound", format=output.format.name, begin=index.start + begin)
            with suppress(av.FFmpegError, EOFError, ValueError, IndexError):  # none of it can be read
                source = av.open(_Pipe(self._decoder), "r", "nut", options=_NUT)
                target = output.add_stream_from_template(source.streams.audio[0])
                self._packets = self._read(source, target)

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
        if self._decoder is not None:
            self._decoder.close()

    def _read(self, source: InputContainer, target: AudioStream) -> Iterator[av.Packet]:
        with suppress(av.FFmpegError, EOFError):
            for packet in source.demux(source.streams.audio[0]):
                if packet.size:
                    packet.stream = target
                    yield packet


class _Pipe:
    """What PyAV asks of a file to read from."""

    name = "sound"

    def __init__(self, decoder: Decoder) -> None:
        self.read = decoder.answers.read1  # what is there, without waiting for more
