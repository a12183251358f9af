"""What the decoding process may not do, tried from inside it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

TRY = """
import os, signal, socket, sys, time
from pathlib import Path
from vid2vid.decoder import limits
from vid2vid.decoder.container import Video
limits._PATIENCE = float(sys.argv[2])
video = Video(sys.argv[1])
video.limits.step()
try:
    {}
except (OSError, MemoryError) as error:
    os.write(1, type(error).__name__.encode())
os._exit(0)
"""


def tried(deed: str, path: Path, patience: float = 30) -> tuple[int, str]:
    """(exit status, the error) of a process that has set its limits and does ``deed``."""
    command = [sys.executable, "-c", TRY.format(deed), str(path), str(patience)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert not done.stderr
    return done.returncode, done.stdout


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "a.mp4"
    path.write_bytes(bytes(1000))
    (tmp_path / "other").write_bytes(b"secret")
    return path


@pytest.mark.parametrize(
    ("deed", "error"),
    [
        ("Path(video.name).with_name('other').read_bytes()", "OSError"),
        ("Path(video.name).read_bytes()", "OSError"),
        ("Path(video.name).with_name('new').touch()", "OSError"),
        ("socket.socket()", "OSError"),
        ("os.pipe()", "OSError"),
        ("bytearray(2 * limits.MEMORY)", "MemoryError"),
    ],
)
def test_one_file_and_little_memory(video: Path, deed: str, error: str) -> None:
    assert tried(deed, video) == (0, error)
    assert not video.with_name("new").exists()


def test_what_is_left_is_enough(video: Path) -> None:
    assert tried("assert len(bytearray(limits.MEMORY // 2)) > len(video.read(2000)) == 1000", video) == (
        0,
        "",
    )


@pytest.mark.parametrize("deed", ["time.sleep(20)", "sum(iter(int, 1))"])
def test_a_step_takes_no_longer_than_it_may(video: Path, deed: str) -> None:
    assert tried(deed, video, patience=0.5) == (-signal.SIGALRM, "")


def test_the_parent_may_take_its_time(video: Path) -> None:
    assert tried("video.limits.rest(); time.sleep(1)", video, patience=0.5) == (0, "")


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, vid2vid.decoder.__main__; print({'torch', 'numpy', 'cv2', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
