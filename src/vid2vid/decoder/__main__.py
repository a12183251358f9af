"""``python -m vid2vid.decoder VIDEO``: answers requests about one video until nobody asks any more.

``python -m vid2vid.decoder --pipe DESCRIPTOR HEX`` takes it from a pipe of which the bytes HEX have
been read.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import av

from vid2vid.decoder.container import UNKNOWN, PipedVideo, Video, check_memory, decode, scan, stream_facts
from vid2vid.decoder.frames import Colours, frames_from, frames_on
from vid2vid.decoder.sound import send_sound
from vid2vid.errors import UserError

_TOO_MUCH = "decoding it needs too much memory; convert it with another tool first"


class Answers:
    """The pipe back: a line of JSON each, and the bytes it announces."""

    def __init__(self) -> None:
        # Whatever libav might print must not get between the answers.
        self._pipe = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)

    def send(self, answer: dict[str, Any], data: Any = b"") -> None:
        self.write(json.dumps(answer).encode() + b"\n")
        self.write(data)

    def write(self, data: Any) -> int:
        """All of it; the parent takes its time."""
        left = memoryview(data).cast("B")
        size = len(left)
        while left:
            left = left[self._pipe.write(left) :]
        return size


class Requests:
    """One method for each request, by name; the frames asked for last go on where they stopped."""

    def __init__(self, video: Video, answers: Answers) -> None:
        self.video = video
        self.answers = answers
        self.colours = Colours()
        self.frames: Iterator[av.VideoFrame] = iter(())
        self.stay = ExitStack()

    def scan(self) -> None:
        """What the packets tell: ``about``, then stamps and key frames as int64."""
        found = scan(self.video)
        counts = {"stamps": len(found.stamps), "keys": len(found.keys)}
        self._send({**found.about, **counts}, found.stamps + found.keys)

    def decode(self, limit: int | None) -> None:
        """Whether frames can be decoded: ``about``, then their stamps as int64."""
        about, stamps = decode(self.video, limit)
        self._send({**about, "stamps": len(stamps)}, stamps)

    def start(self, keys: list[int] | None, target: int | None, threads: bool) -> None:
        """Get ready to decode; nothing is answered."""
        self.frames = frames_from(self.video, keys, target, threads)

    def play(self) -> None:
        """What a stream tells of itself, ``about``; its frames can be taken then, once."""
        opened = self.stay.enter_context(self.video.opened(threads=False))
        self._send(stream_facts(*opened))
        self.frames = frames_on(self.video, *opened)

    def take(self, target: int | None, skip: int, count: int | None) -> None:
        """The next frames, each with its stamp, then an ``end`` where fewer than ``count`` are left.

        Args:
            target: pass over frames before this stamp.
            skip: pass over so many more.
            count: None: all.
        """
        for frame in self.frames:
            if target is not None and (frame.pts is None or frame.pts < target):
                continue
            if skip:
                skip -= 1
                continue
            rgb = self.colours(frame)
            plane = rgb.planes[0]
            self._send(
                {
                    "stamp": UNKNOWN if frame.pts is None else frame.pts,
                    "width": rgb.width,
                    "height": rgb.height,
                    "stride": plane.line_size,
                },
                memoryview(plane)[: plane.line_size * rgb.height],
            )
            count = None if count is None else count - 1
            if count == 0:
                return
        self._send({"end": True})

    def sound(self, format: str, begin: float) -> None:
        """The first sound track as a NUT stream without a line before it; then there is nothing more."""
        send_sound(self.video, self.answers, format, begin)
        raise SystemExit

    def _send(self, answer: dict[str, Any], data: Any = b"") -> None:
        self.video.limits.rest()
        self.answers.send(answer, data)
        self.video.limits.step()


def main(path: str, descriptor: str = "", head: str = "") -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    answers = Answers()
    try:
        video = PipedVideo(int(descriptor), bytes.fromhex(head)) if path == "--pipe" else Video(path)
        requests = Requests(video, answers)
        for line in sys.stdin.buffer:
            video.limits.step()
            name, arguments = json.loads(line)
            try:
                getattr(requests, name)(**arguments)
            except (MemoryError, av.FFmpegError) as error:
                check_memory(error)
                raise
            video.limits.rest()
    except UserError as error:
        answers.send({"refused": str(error)})
    except MemoryError:
        answers.send({"refused": _TOO_MUCH})
    except BrokenPipeError:
        pass
    os._exit(0)  # at once: what libav's threads still do is of no use


if __name__ == "__main__":
    main(*sys.argv[1:])
