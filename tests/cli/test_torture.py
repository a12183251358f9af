"""Hostile input for the command line. Slow, hence marked: ``make torture`` runs it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vid2vid.cli import VERBS, main
from vid2vid.data.city import City
from vid2vid.video import VideoWriter

pytestmark = pytest.mark.torture


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A sound video file of 24 frames."""
    path = tmp_path_factory.mktemp("video") / "sound.mp4"
    with VideoWriter(path, 15) as writer:
        for frame in City(1, (96, 64)).frames(24):
            writer.write(frame.image)
    return path.read_bytes()


def run(words: list[str], capture: pytest.CaptureFixture[str]) -> int:
    """The exit code of a command that may fail, but only in one line."""
    try:
        code = main(words)
    except SystemExit as stop:  # --help
        code = int(stop.code or 0)
    err = capture.readouterr().err
    complaints = [line for line in err.splitlines() if line.startswith("vid2vid")]
    assert code in (0, 1, 2)
    assert len(complaints) == (code == 2)
    assert code != 2 or err.endswith(complaints[0] + "\n")
    return code


WORD = st.one_of(
    st.sampled_from(VERBS),
    st.sampled_from(
        ["--out", "--size", "--frames", "--recipe", "--help", "--fps", "--given", "--crop", "--", "-"]
    ),
    st.sampled_from(
        ["x", "nowhere/y.mp4", "64x48", "0:2", "-1", "a=b", "train.steps=0", "paper", "", "\udcff"]
    ),
    st.text(st.characters(exclude_characters="\0/"), max_size=6),
)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(verb=st.sampled_from(VERBS), words=st.lists(WORD, max_size=7))
def test_no_words_cause_a_traceback(
    verb: str,
    words: list[str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if (verb == "prepare" and "city" in words) or (verb == "demo" and not words):
        return  # which is no mistake, and takes a while
    run([verb, *words], capfd)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_video_is_refused_or_read(
    seed: int, video: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(seed)
    data = bytearray(video)
    if seed % 2:
        del data[chance.randrange(len(data)) :]
    for _ in range(chance.randrange(1, 30) if data else 0):
        data[chance.randrange(len(data))] = chance.randrange(256)
    (tmp_path / "damaged.mp4").write_bytes(data)
    code = run(["prepare", str(tmp_path / "damaged.mp4"), "--out", str(tmp_path / "data")], capfd)
    assert (tmp_path / "data").exists() == (code == 0), "something was left behind"


@pytest.mark.parametrize("after", [1.0, 3.0, 8.0])
def test_ctrl_c_leaves_nothing_half(after: float, tmp_path: Path) -> None:
    words = ["prepare", "city", "--frames", "1000000", "--out", str(tmp_path / "data")]
    with subprocess.Popen(
        [sys.executable, "-m", "vid2vid", *words], stderr=subprocess.PIPE, text=True
    ) as process:
        time.sleep(after)
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []
    assert err.splitlines()[-1] == "vid2vid prepare: interrupted"
