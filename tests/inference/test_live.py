"""A camera drives a model: what is too slow drops frames, times are kept, every end is a good one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stand_ins import PACED, RATE, Dots, no_thread_stays, opened
from tiny import build, hidden_or_partial
from vid2vid import video
from vid2vid.annotators import Drawn, protocol
from vid2vid.annotators.edges import EdgesPass
from vid2vid.cli import main, window
from vid2vid.conditions import ConditionSchema
from vid2vid.data.annotate import annotate
from vid2vid.errors import UserError
from vid2vid.inference import driver, synthesize
from vid2vid.inference.annotated import AnnotatedSource
from vid2vid.inference.source import ConditionSource
from vid2vid.video import Camera, open_frames, write_picture
from vid2vid.zoo import Model, save_model

EDGES = ConditionSchema("image", "edges")
SKETCH = ConditionSchema("image", "face_sketch", image_channels=3)


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    with no_thread_stays():
        yield


@pytest.fixture(scope="module")
def model() -> Model:
    return build(EDGES)


class Viewer:
    """Looks at each picture for a while; has enough of them, or presses Ctrl-C, at the last."""

    def __init__(self, last: int | None = None, seconds: float = 0.0, interrupt: bool = False) -> None:
        self.last, self.seconds, self.interrupt = last, seconds, interrupt
        self.seen: list[np.ndarray] = []
        self.at: list[float] = []

    def __call__(self, picture: np.ndarray) -> bool:
        self.seen.append(picture)
        self.at.append(time.monotonic())
        time.sleep(self.seconds)
        if len(self.seen) == self.last and self.interrupt:
            raise KeyboardInterrupt
        return len(self.seen) != self.last


def test_a_slow_machine_drops_frames_and_keeps_time(model: Model, tmp_path: Path) -> None:
    viewer, told = Viewer(seconds=0.2), []
    with opened() as camera:
        count = synthesize(
            model,
            camera,
            tmp_path / "new.mp4",
            show=viewer,
            annotate="edges",
            frames=":12",
            device="cpu",
            progress=lambda *report: told.append(report),
        ).frames
        assert count == camera.taken == len(viewer.seen) == 12
        assert camera.dropped > 0
        assert camera.taken + camera.dropped == round(camera.seconds * RATE) + 1
    made = open_frames(tmp_path / "new.mp4")
    assert (len(made), made.info.size, made.info.has_audio) == (12, (32, 32), False)
    assert abs(made.times[-1] - camera.seconds) < 1e-3
    assert abs(made.times[-1] - (viewer.at[-1] - viewer.at[0])) < 1.5, "as long as it took; 0.24 by the rate"
    assert told[-1] == (12, 12, f"{camera.dropped} dropped")


@pytest.mark.parametrize("interrupt", [False, True])
def test_whoever_looks_on_ends_it(model: Model, tmp_path: Path, interrupt: bool) -> None:
    viewer = Viewer(4, interrupt=interrupt)
    with opened() as camera:
        options: dict[str, Any] = {"annotate": "edges", "device": "cpu", "show": viewer}
        assert synthesize(model, camera, tmp_path / "out", **options).frames == 4
    pictures = [frame.image for frame in open_frames(tmp_path / "out")]
    assert all(np.array_equal(*pair) for pair in zip(pictures, viewer.seen, strict=True))
    assert hidden_or_partial(tmp_path) == []


def test_ctrl_c_before_the_first_frame_is_an_interruption(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> Drawn:
        raise KeyboardInterrupt

    monkeypatch.setattr(EdgesPass, "draw", interrupted)
    with opened() as camera, pytest.raises(KeyboardInterrupt):
        synthesize(model, camera, tmp_path / "new.mp4", annotate="edges", device="cpu")
    assert list(tmp_path.iterdir()) == []


def test_first_frames_belong_to_the_first_that_are_seen(model: Model, tmp_path: Path) -> None:
    given = [np.full((32, 32, 3), 40 * t, np.uint8) for t in (1, 2)]
    for t, picture in enumerate(given):
        write_picture(tmp_path / "a" / f"{t}.png", picture)
    for words in ([tmp_path / "a"], [tmp_path / "a" / "0.png", tmp_path / "a" / "1.png"]):
        viewer = Viewer(3)
        with opened() as camera:
            synthesize(model, camera, show=viewer, annotate="edges", first_frames=words, device="cpu")
        assert np.array_equal(viewer.seen[0], given[0])
        assert np.array_equal(viewer.seen[1], given[1])


def test_what_does_not_fit_is_told(model: Model) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "camera 0: sees raw frames; add --annotate NAME"),
        (
            {"annotate": "edges", "frames": "5:"},
            "--frames 5:: what is live has no other frames than its next",
        ),
        ({"annotate": "edges", "frames": ":-2"}, "write :N for N"),
        ({"annotate": "edges", "crop": "0,0,99,9"}, "camera 0: the crop 0,0,99,9 reaches outside its 64x48"),
        ({"annotate": "edges", "retarget": "x"}, "is for points, and edges finds none"),
    ]
    with opened() as camera:
        for options, told in cases:
            with pytest.raises(UserError, match=told):
                synthesize(model, camera, device="cpu", **options)


def triangle(grey: int) -> list[list[float]]:
    """A face of 68 points where the grey of a frame says; in a black one, none."""
    return [[grey + 0.4 * i, 30 + 25 * (i % 3)] for i in range(68)] if grey > 20 else []


def test_a_camera_is_looked_through_for_who_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(protocol._OPENERS, "face", lambda argument: Dots(triangle))
    monkeypatch.setattr(driver.LiveDriver, "look", 0.2)
    subject = tmp_path / "subject"
    for t in range(2):
        write_picture(subject / "frames" / f"{t}.png", np.full((120, 160, 3), 90, np.uint8))
    annotate([subject], ["face"])
    empty, grey = "color=c=black:size=160x120:rate=50", "drawbox=enable='gte(t,0.4)':c=0x303030:t=fill"
    with opened(f"{empty},{grey},realtime") as camera:
        source = AnnotatedSource(camera, "face", SKETCH, retarget=subject, smooth=True)
        assert camera.seconds >= 0.2, "it waited for somebody"
        drawn = next(item.image for item in source)
    (expected, *_) = (item.image for item in ConditionSource(subject, SKETCH))
    assert drawn is not None
    assert expected is not None
    assert np.abs(drawn.astype(int) - expected).mean() < 4
    with opened(f"{empty},{grey},realtime") as camera:
        width, height = AnnotatedSource(camera, "face", SKETCH, crop="face").size
        assert 60 < width == height < 120
    monkeypatch.setattr(driver, "_WAIT", 0.2)
    with opened(f"{empty},realtime") as camera:
        with pytest.raises(UserError, match="camera 0: no face is found in it"):
            AnnotatedSource(camera, "face", SKETCH, crop="face")
        with pytest.raises(UserError, match="nobody is found in any frame"):
            AnnotatedSource(camera, "face", SKETCH, retarget=subject)


class Pane(Viewer):
    """In the place of a window: closed after three pictures."""

    def __init__(self, title: str) -> None:
        super().__init__(3)
        panes.append(self)

    def __enter__(self) -> Pane:
        return self

    def __exit__(self, *_: object) -> None:
        pass


panes: list[Pane] = []


class Unplugged(Camera):
    """Goes away when three frames have been taken."""

    def _pictures(self) -> Iterator[Any]:
        yield from takewhile(lambda _: self.taken < 3, super()._pictures())


def test_the_command_line_shows_writes_or_both(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(model, tmp_path / "model")
    monkeypatch.setattr(video, "open_camera", lambda device: asked.append(device) or opened())
    monkeypatch.setattr(window, "Window", Pane)
    asked: list[str] = []
    out = tmp_path / "new.mp4"
    words = ["synthesize", str(tmp_path / "model"), "--annotate", "edges", "--device", "cpu", "--webcam"]
    assert main(words) == 0
    assert len(panes.pop().seen) == 3
    assert capsys.readouterr().out.startswith("3 frames rendered, ")
    assert main([*words, "2", "--out", str(out), "--show"]) == 0
    assert (len(panes.pop().seen), len(open_frames(out))) == (3, 3)
    told = capsys.readouterr().out
    assert f" dropped in {out}: " in told
    assert ", float32, " in told
    assert main([*words, "--out", str(out), "--frames", ":5"]) == 0
    assert (panes, len(open_frames(out))) == ([], 5)
    assert asked == ["", "2", ""]
    capsys.readouterr()
    monkeypatch.setattr(video, "open_camera", lambda device: Unplugged("camera 0", "lavfi", PACED))
    assert main([*words, "--out", str(out)]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("vid2vid ")]
    assert line == "vid2vid synthesize: camera 0: gives no more pictures; all frames before that are rendered"
    assert 3 <= len(open_frames(out)) <= 4
    for wrong, told in ((["x"], "drop CONDITIONS"), (["--annotate"], "--annotate")):
        assert main([*words[:2], *wrong, "--webcam"]) == 2
        assert told in capsys.readouterr().err
    assert main(words[:2]) == 2
    assert "missing CONDITIONS, or --webcam" in capsys.readouterr().err
    assert main([*words[:2], "x"]) == 2
    assert "missing --out, or --show" in capsys.readouterr().err
