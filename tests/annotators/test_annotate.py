"""From a video to a dataset and back: conditions beside the frames, resumed, by workers, over the frames."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from tiny import CLASSES, hidden_or_partial, write_clip
from vid2vid.annotators import Drawn
from vid2vid.annotators.edges import Edges, Sketch
from vid2vid.cli import main
from vid2vid.conditions import overlay
from vid2vid.conditions.overlay import SIGNAL
from vid2vid.data import Dataset
from vid2vid.data import annotate as room
from vid2vid.data.annotate import annotate
from vid2vid.data.prepare import prepare
from vid2vid.errors import UserError
from vid2vid.video import VideoWriter, open_frames, read_picture, write_picture

SIZE = (64, 48)


def moving(t: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A bright box that moves over a grey ground with some noise."""
    width, height = size
    frame = np.full((height, width, 3), 90, np.uint8)
    frame[height // 4 : height // 2, 4 + t : 20 + t] = (220, 180, 140)
    noise = np.random.default_rng(t).integers(0, 9, frame.shape, dtype=np.uint8)
    return frame + noise


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A clip of 14 frames with names of their own."""
    for t in range(14):
        write_picture(tmp_path / "walk" / "frames" / f"f{t:03d}.png", moving(t))
    return tmp_path / "walk"


@pytest.fixture
def small_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "CHUNK", 4)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def in_order(clip: Path, annotator: Edges | Sketch) -> list[np.ndarray]:
    run = annotator.begin()
    return [run.draw(frame.image, frame.time).picture for frame in open_frames(clip / "frames")]


@dataclass(frozen=True)
class Corner:
    """Counts the frames and finds a point in each; may break down at one of them. ``log``: what it drew."""

    log: Path
    breaks_at: int = -1
    blind: bool = False
    name: str = "corner"
    result = "corner1.json"
    memory = None
    fingerprint = "corner v1"

    def begin(self) -> CornerPass:
        return CornerPass(self)


class CornerPass:
    def __init__(self, of: Corner) -> None:
        self.of = of
        self.seen = 0

    def see(self, picture: np.ndarray, time: float) -> None:
        self.seen += 1

    def draw(self, picture: np.ndarray, time: float) -> Drawn:
        if self.seen == self.of.breaks_at:
            raise UserError("corner: broke down")
        self.seen += 1
        with self.of.log.open("a") as file:
            file.write(f"{self.seen} ")
        return Drawn(points=[] if self.of.blind else [[self.seen + 0.126, 2.0]])

    def close(self) -> None:
        pass


def test_conditions_lie_beside_the_frames_under_their_names(clip: Path, small_jobs: None) -> None:
    told: list[tuple[int, int | None]] = []
    assert annotate([clip], ["edges,sketch"], progress=lambda *report: told.append(report[:2])) == [clip]
    for annotator in (Edges(), Sketch()):
        files = sorted((clip / annotator.result).glob("*.png"))
        assert [file.name for file in files] == [f"f{t:03d}.png" for t in range(14)]
        for file, expected in zip(files, in_order(clip, annotator), strict=True):
            assert np.array_equal(read_picture(file), expected), "parts give what one pass gives"
    assert told[-1] == (28, 28)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert len(Dataset.open(clip, condition="edges").clips[0]) == 14
    assert main(["check", str(clip)]) == 0
    assert hidden_or_partial(clip) == []


def test_a_repeated_call_touches_nothing(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    annotate([clip], ["edges"])
    before = contents(clip / "edges")
    monkeypatch.setattr(Edges, "begin", None)
    annotate([clip], ["edges"])
    assert contents(clip / "edges") == before


def test_workers_make_the_same_files(clip: Path, tmp_path: Path, small_jobs: None) -> None:
    annotate([clip], ["edges", "sketch"])
    one = [contents(clip / name) for name in ("edges", "sketch")]
    other = tmp_path / "copies"
    for name in ("walk", "run"):
        for t in range(14):
            write_picture(other / name / "frames" / f"f{t:03d}.png", moving(t))
    annotate([other], [Edges(), Sketch()], workers=2)
    for name in ("walk", "run"):
        assert [contents(other / name / kind) for kind in ("edges", "sketch")] == one
    assert hidden_or_partial(other) == []


KILLED = """
import sys
from vid2vid.data.prepare import prepare
prepare(sys.argv[1:2], annotate=["edges"])
"""


def test_a_killed_run_goes_on_to_the_same_files(tmp_path: Path) -> None:
    clips = [tmp_path / name for name in ("killed", "whole")]
    for clip in clips:
        for t in range(30):
            write_picture(clip / "frames" / f"{t:04d}.png", moving(t, (320, 240)))
    part = clips[0] / ".edges.part"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(clips[0])])
    deadline = time.monotonic() + 60
    while len(list(part.glob("0*.png"))) < 3:
        assert process.poll() is None, "it was too fast for this test"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in part.glob("0*.png")}
    assert 3 <= len(kept) < 30
    assert not (clips[0] / "edges").exists()
    (part / ".0020.png.1.part").write_bytes(b"half")
    for clip in clips:
        annotate([clip], ["edges"])
    assert contents(clips[0] / "edges") == contents(clips[1] / "edges")
    assert all((clips[0] / "edges" / path.name).stat().st_mtime_ns == date for path, date in kept.items())
    assert hidden_or_partial(tmp_path) == []


def test_points_are_gathered_and_what_remembers_everything_sees_all_again(clip: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(UserError, match="broke down"):
        annotate([clip], [Corner(log, breaks_at=9)])
    assert not (clip / "corner1.json").exists()
    annotate([clip], [Corner(log)])
    assert log.read_text().split() == [str(n) for n in range(1, 15)], "none drawn twice"
    content = json.loads((clip / "corner1.json").read_text())
    assert (content["width"], content["height"]) == SIZE
    assert content["frames"] == [[[n + 0.13, 2.0]] for n in range(1, 15)]
    log.unlink()
    annotate([clip], [Corner(log)])
    assert not log.exists(), "it is there already"
    with pytest.raises(UserError, match=r"corner1.json: was drawn otherwise \(annotator corner, now other\)"):
        annotate([clip], [replace(Corner(log), name="other")])
    (clip / "corner1.json").write_text("{}")
    with pytest.raises(UserError, match=r"corner1.json: is there already and was not drawn by --annotate"):
        annotate([clip], [Corner(log)])
    assert hidden_or_partial(clip) == []


def test_who_finds_nothing_says_so_and_leaves_nothing(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found nothing in any of its 14 frames"):
        annotate([clip], [Corner(tmp_path / "log", blind=True)])
    assert [path.name for path in clip.iterdir()] == ["frames"]


def test_other_frames_or_another_annotator_are_told_and_never_mixed(clip: Path) -> None:
    annotate([clip], ["edges"])
    with pytest.raises(UserError, match=r"otherwise \(annotator edges, now edges:median\); remove it"):
        annotate([clip], ["edges:median"])
    write_picture(clip / "frames" / "f003.png", moving(0)[::-1] // 2)
    with pytest.raises(UserError, match="from other frames"):
        annotate([clip], ["edges"])
    (clip / "sketch").mkdir()
    with pytest.raises(UserError, match=r"sketch: is there already and was not drawn by --annotate"):
        annotate([clip], ["sketch"])


def test_prepare_draws_what_it_has_prepared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with VideoWriter(tmp_path / "drive.mp4", 24, crf=4) as writer:
        for t in range(12):
            writer.write(moving(t))
    words = ["prepare", str(tmp_path / "drive.mp4"), "--out", str(tmp_path / "data"), "--fps", "12"]
    assert main([*words, "--size", "32x24", "--annotate", "edges,sketch", "--workers", "0"]) == 0
    clip = tmp_path / "data" / "drive"
    assert capsys.readouterr().out == f"{clip}\n"
    for name, annotator in (("edges", Edges()), ("sketch", Sketch())):
        made = [frame.image for frame in open_frames(clip / name)]
        assert len(made) == 6
        assert all(map(np.array_equal, made, in_order(clip, annotator)))
    # Carried over to another size they would be blurred: they are drawn anew.
    again = prepare([clip], tmp_path / "small", size=(16, 12), annotate=["edges"])[0]
    assert (again / "sketch").is_dir()
    assert set(np.unique(read_picture(again / "edges" / "000002.png"))) <= {0, 255}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["DATA", "--annotate", "egdes"], "unknown annotator; use edges"),
        (["DATA"], "say with --out where the clips go"),
        (["DATA", "--annotate", "edges", "--size", "32x24"], "say with --out"),
        (["film.mp4", "--annotate", "edges"], "film.mp4: say with --out"),
        (["DATA/frames", "--annotate", "edges"], "no clip here"),
        (["DATA", "--annotate", "edges", "--workers=-1"], "workers -1: cannot be below 0"),
        (["DATA", "--out", "OUT", "--annotate", "edges:x"], "no such rule"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], told: str, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.replace("DATA", str(clip)).replace("OUT", str(tmp_path / "new")) for word in words]
    assert main(["prepare", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert [path.name for path in clip.iterdir()] == ["frames"]
    assert not (tmp_path / "new").exists()


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    CLASSES.write(write_clip(tmp_path / "street", 3) / "labels.yaml")
    return tmp_path / "street"


def test_every_condition_is_laid_over_its_frames(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    annotate([labelled], ["edges"])
    assert main(["check", str(labelled), "--overlay", str(tmp_path / "look"), "--frames", "1:"]) == 0
    names = [f"street-{name}.mp4" for name in ("densepose", "edges", "labels")]
    assert sorted(path.name for path in (tmp_path / "look").iterdir()) == names
    assert capsys.readouterr().out.splitlines()[-3:] == [str(tmp_path / "look" / name) for name in names]
    for name in names:
        assert len(open_frames(tmp_path / "look" / name)) == 2


def test_an_overlay_shows_lines_in_the_signal_colour_and_classes_by_half() -> None:
    frame = np.full((4, 6, 3), 100, np.uint8)
    lines = np.zeros_like(frame)
    lines[2, 1:4] = 255
    for shown in (lines, 255 - lines):
        result = overlay(frame, shown)
        assert (result[2, 1:4] == SIGNAL).all()
        assert (result[0] == 100).all()
    lines[1, 1] = (0, 255, 0)
    assert overlay(frame, lines)[1, 1].tolist() == [0, 255, 0]
    assert (overlay(frame, np.zeros_like(frame), labels=True) == 50).all()
    assert (overlay(frame, np.full_like(frame, 140)) == 120).all(), "a picture that fills its ground"
    with pytest.raises(ValueError, match="two sizes"):
        overlay(frame, lines[1:])


def test_ctrl_c_keeps_what_was_drawn(clip: Path, small_jobs: None) -> None:
    def interrupt(done: int, total: int | None = None, note: str = "") -> None:
        if done == 6:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        annotate([clip], ["edges"], progress=interrupt)
    assert len(list((clip / ".edges.part").glob("*.png"))) == 6
    told: list[int] = []
    annotate([clip], ["edges"], progress=lambda done, total=None, note="": told.append(done))
    assert told[-1] == 14
    assert all(map(np.array_equal, (f.image for f in open_frames(clip / "edges")), in_order(clip, Edges())))
