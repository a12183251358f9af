"""``python campaign.py OUT [EVERY] [CLIPS]``: opens the mutants, measured, and writes what became of each.

A program of its own, so that what it measures is due to the mutants. ``EVERY``: only each so-manieth.
``CLIPS``: the folder of real clips, whose videos are mutated beside the made ones.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import mutants

from vid2vid.errors import UserError
from vid2vid.video import open_frames
from vid2vid.video.decoding import Decoder
from vid2vid.video.writer import VideoWriter


class Server(threading.Thread):
    """Nobody must call; keeps the time stamp of those who did."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.calls = 0

    def run(self) -> None:
        while True:
            connection, _ = self.socket.accept()
            self.calls += 1
            connection.close()


class Observed(threading.Thread):
    """What the decoding processes do, seen from outside: a hundred times a second, and before each ends."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.files: set[str] = set()
        self.peak = 0
        self.alive: set[int] = set()
        start: Callable[[Decoder, Path], None] = Decoder.__init__
        close: Callable[[Decoder], None] = Decoder.close

        def started(decoder: Decoder, path: Path) -> None:
            start(decoder, path)
            self.alive.add(decoder._process.pid)

        def closed(decoder: Decoder) -> None:
            self._look(decoder._process.pid)
            self.alive.discard(decoder._process.pid)
            close(decoder)

        Decoder.__init__, Decoder.close = started, closed  # type: ignore[method-assign]

    def run(self) -> None:
        while True:
            for process in tuple(self.alive):
                self._look(process)
            time.sleep(0.01)

    def _look(self, process: int) -> None:
        with suppress(OSError):  # it has ended
            status = Path(f"/proc/{process}/status").read_text()
            if not re.search(r"Max open files +0", Path(f"/proc/{process}/limits").read_text()):
                return  # still at its imports: it has not opened the video
            found = re.search(r"VmHWM:\s+(\d+) kB", status)
            self.peak = max(self.peak, int(found[1]) * 1024 if found else 0)
            files = (os.readlink(file.path) for file in os.scandir(f"/proc/{process}/fd"))
            self.files |= {file for file in files if not file.startswith(("pipe:", "/dev/null"))}


def attempt(path: Path, partial: bool) -> tuple[str, set[tuple[int, int]]]:
    """All frames in order, one out of order, all sound: "N frames", or the message; the sizes of frames."""
    sizes = set()
    try:
        video = open_frames(path, partial=partial)
        count = 0
        for frame in video:
            sizes.add(frame.image.shape[1::-1])
            count += 1
        assert video[count // 2].image.shape == frame.image.shape
        if video.info.has_audio and partial:
            with VideoWriter(path.with_name("sound.mp4"), 25, audio_from=path) as writer:
                for _ in range(20):
                    writer.write(frame.image[:16, :16])
    except UserError as error:
        return str(error).replace(str(path), "FILE"), sizes
    return f"{count} frames", sizes


def own_peak() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


def run(out: Path, every: int, clips: Path | None) -> list[dict[str, Any]]:
    server, observed = Server(), Observed()
    server.start()
    observed.start()
    folder = out / "mutants"
    folder.mkdir(parents=True)
    sources = mutants.honest(out / "honest")
    for path in sources:
        assert attempt(path, partial=True)[0] == "20 frames"
    children, own = observed.peak, own_peak()
    mutants.decoys(folder)
    if clips:
        real = sorted(p for p in clips.glob("decoder/*") if p.stat().st_size < 1 << 20)
        sources = [*sources, *real, *sorted(clips.glob("faces_grid/*/frames.mpg"))]
    reports = []
    for mutant in list(mutants.mutants(sources, folder, server.port))[::every]:
        path = folder / mutant.name
        path.write_bytes(mutant.data)
        observed.files, observed.peak = set(), 0
        ends, sizes, began = [], set(), time.monotonic()
        for partial in (False, True):
            end, seen = attempt(path, partial)
            ends.append(end)
            sizes |= seen
        reports.append(
            {
                "name": mutant.name,
                "kind": mutant.kind,
                "ends": ends,
                "seconds": round((time.monotonic() - began) / 2, 2),
                "child": max(0, observed.peak - children),
                "own": max(0, own_peak() - own),
                "files": sorted(observed.files - {str(path)}),
                "decoy": mutants.CANARY in sizes,
            }
        )
        summary = {"calls": server.calls, "mutants": reports}
        (out / "report.json").write_text(json.dumps(summary, indent=1))
    return reports


if __name__ == "__main__":
    arguments = sys.argv[1:]
    run(
        Path(arguments[0]),
        int(arguments[1]) if len(arguments) > 1 else 1,
        Path(arguments[2]) if len(arguments) > 2 else None,
    )
