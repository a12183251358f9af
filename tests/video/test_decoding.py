"""The decoding process seen from outside: whatever becomes of it, one line is all that reaches the user."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from io import BufferedReader, BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_videos import encode, number_of, with_tone

from vid2vid.errors import UserError
from vid2vid.video import decoding, index, open_frames, reader
from vid2vid.video.decoding import Decoder

STAND_IN = """
import json, os, signal, sys, time
from vid2vid.decoder import __main__ as program, limits
limits._PATIENCE = 1.0
def scan(video):
    {}
program.scan = scan
program.main(sys.argv[1])
"""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("video") / "a.mp4", 20, options={"g": "7"})


@pytest.fixture(autouse=True)
def _forgetful() -> None:
    index._read_index.cache_clear()


def gone(process: int, within: float = 10) -> bool:
    """Whether a process, not necessarily a child, has ended."""
    until = time.monotonic() + within
    while True:
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(process, 0)
        except (OSError, IndexError):
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("deed", "message"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "decoding it crashed; "),
        ("raise AssertionError", "decoding it crashed; "),
        ("time.sleep(60)", "decoding it took too long; "),
        ("bytearray(2 << 30)", "decoding it needs too much memory; "),
        ("os.kill(os.getpid(), signal.SIGKILL)", "decoding it was stopped, perhaps for want of memory; "),
        ("os.write(1, b'x' * 100_000)\n    os._exit(0)", "decoding it crashed; "),
    ],
)
def test_whatever_happens_there_is_one_line(
    video: Path, monkeypatch: pytest.MonkeyPatch, deed: str, message: str
) -> None:
    monkeypatch.setattr(decoding, "_PROGRAM", ("-c", STAND_IN.format(deed)))
    with pytest.raises(UserError) as error:
        open_frames(video)
    assert str(error.value).startswith(f"{video}: {message}")
    assert str(error.value).isprintable()


def test_a_crash_in_the_middle_is_one_line_too(video: Path) -> None:
    source = open_frames(video)
    decoder = Decoder(video)
    with decoder:
        os.kill(decoder._process.pid, signal.SIGSEGV)
        with pytest.raises(UserError, match="crashed"):
            decoder.frame((48, 32), 0)
    assert number_of(source[3].image) == 3
    os.kill(source._cursor.decoder._process.pid, signal.SIGSEGV)  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="crashed"):
        source[4]
    assert number_of(source[4].image) == 4  # by another process


HONEST = {
    "width": 48,
    "height": 32,
    "time_base": [1, 12800],
    "average_rate": [25, 1],
    "guessed_rate": None,
    "codec": "h264",
    "format": "mov",
    "frames": 20,
    "duration": 0.8,
    "end": 0.8,
    "has_audio": False,
    "stamps": 2,
    "keys": 1,
    "whole": True,
    "turns": 0,
    "mirrored": False,
    "stride": 144,
    "stamp": 0,
}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=400),
    st.sampled_from([1 << 63, 1 << 40, -1]),
) | st.lists(st.integers(), max_size=3)
LINES = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda changes: json.dumps({**HONEST, **changes}).encode(),
        st.dictionaries(st.sampled_from(sorted(HONEST)), VALUES),
    ),
    st.builds(lambda value: json.dumps({"refused": value}).encode(), VALUES),
    st.sampled_from([b"[" * 20_000, b"9" * 9000, b"null", b"{}", b'{"end": 1}', b"x" * 40_000]),
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.tuples(LINES, st.binary(max_size=40)), max_size=4))
def test_a_process_that_lies_is_not_believed(video: Path, pieces: list[tuple[bytes, bytes]]) -> None:
    said = b"".join(line + b"\n" + data for line, data in pieces)
    for ask in (
        lambda decoder: index._asked(decoder, None, 1000),
        lambda decoder: decoder.frame((48, 32), 0),
    ):
        decoder = object.__new__(Decoder)
        decoder.path, decoder._owner = video, -1  # none of ours to end
        decoder._requests, decoder.answers = BytesIO(), BufferedReader(BytesIO(said))  # type: ignore[assignment, arg-type]
        decoder._process = subprocess.Popen.__new__(subprocess.Popen)
        decoder._process.returncode = 0
        message = f"{video}: "
        try:
            ask(decoder)
        except UserError as error:
            message = str(error)
        assert message.startswith(f"{video}: ")
        assert message.isprintable()


def test_one_file_is_open_and_no_more(video: Path) -> None:
    source = open_frames(video)
    assert number_of(source[9].image) == 9
    process = Path(f"/proc/{source._cursor.decoder._process.pid}")  # type: ignore[attr-defined]
    if not process.exists():
        pytest.skip("this system does not show the files of a process")
    files = {os.readlink(file) for file in (process / "fd").iterdir()}
    assert {file for file in files if not file.startswith("pipe:")} == {"/dev/null", str(video)}
    limits = (process / "limits").read_text()
    assert "Max open files            0" in limits
    assert "Max file size             0" in limits


def test_processes_end_with_what_they_were_for(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    start = Decoder.__init__

    def noted(decoder: Decoder, path: Path) -> None:
        start(decoder, path)
        started.append(decoder._process.pid)

    monkeypatch.setattr(Decoder, "__init__", noted)
    source = open_frames(video)
    frames = iter(source)
    next(frames)
    one = source[5]
    assert number_of(one.image) == 5
    assert [gone(process, 0) for process in started] == [True, False, False]
    del frames
    gc.collect()
    assert gone(started[1], 0)
    assert os.getpgid(started[2]) != os.getpgrp()  # Ctrl-C is not for it
    del source
    gc.collect()
    assert gone(started[2], 0)
    monkeypatch.setattr(reader, "_OPEN_AT_ONCE", 2)
    several = [open_frames(video) for _ in range(3)]
    assert [number_of(source[3].image) for source in several] == [3, 3, 3]
    assert sum(not gone(process, 0) for process in started[3:]) == 2
    assert number_of(several[0][4].image) == 4


def test_no_orphan_is_left(video: Path) -> None:
    spin = STAND_IN.format("while True:\n        time.sleep(0.01); video.limits.step()")
    code = f"""
import time
from pathlib import Path
from vid2vid.video import decoding
idle = decoding.Decoder(Path({str(video)!r}))
decoding._PROGRAM = ("-c", {spin!r})
busy = decoding.Decoder(Path({str(video)!r}))
busy.ask("scan")
print(idle._process.pid, busy._process.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    children = [int(word) for word in parent.stdout.readline().split()]
    time.sleep(1)
    assert [gone(child, 0) for child in children] == [False, False]
    parent.kill()
    parent.wait()
    assert [gone(child) for child in children] == [True, True]


@pytest.mark.torture
def test_large_frames_fit_into_the_limits(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", 3, size=(7680, 4320), options={"preset": "ultrafast"})
    frames = [frame.image[::540, ::960].copy() for frame in open_frames(path)]
    assert len(frames) == 3
    assert np.ptp(frames[1]) > 100


def test_sound_and_subtitles_need_no_late_import(tmp_path: Path) -> None:
    assert len(list(open_frames(with_tone(tmp_path / "a.mkv", "aac")))) == 20
