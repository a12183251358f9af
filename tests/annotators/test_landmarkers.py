"""Points by MediaPipe: faces against the given landmarks, bodies through a stand-in for its networks.

Without MediaPipe or its model only what is said then.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest

from vid2vid.annotators import landmarkers, open_annotator
from vid2vid.annotators.landmarkers import BUNDLES, Landmarker
from vid2vid.data import Dataset
from vid2vid.data.annotate import annotate
from vid2vid.errors import UserError
from vid2vid.video import write_picture

HERE = importlib.util.find_spec("mediapipe") is not None
needs_mediapipe = pytest.mark.skipif(not HERE, reason="mediapipe is not installed")


@pytest.fixture
def landmarker(clips: Path) -> Path:
    path = clips.parent / "models" / BUNDLES["face"].name
    if not path.is_file():
        pytest.skip("the face landmarker (../shared/models) is not here")
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """MediaPipe is taken to be installed, and the cache is empty."""
    monkeypatch.setattr(landmarkers, "find_spec", lambda name: name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "vid2vid"


def test_what_is_missing_is_told_in_one_line(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"no.task: No such file or directory; check the name"):
        open_annotator(f"face:{tmp_path / 'no.task'}")
    cache.mkdir(parents=True)
    (cache / "face_landmarker.task").write_bytes(b"half of it")
    with pytest.raises(UserError, match=r"face_landmarker.task: damaged.*remove it"):
        open_annotator("face")
    monkeypatch.setattr(landmarkers, "find_spec", lambda name: None)
    for name in ("face", "pose"):
        with pytest.raises(UserError, match=rf"annotate {name}: .*pip install 'vid2vid\[annotate\]'"):
            open_annotator(name)


def test_a_model_is_downloaded_once_and_checked(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, asked = b"a landmarker", []
    bundle = replace(BUNDLES["pose"], checksum=hashlib.sha256(content).hexdigest(), bytes=len(content))
    monkeypatch.setattr(landmarkers, "BUNDLES", {"pose": bundle})

    def answer(address: str, timeout: float) -> io.BytesIO:
        asked.append(address)
        return io.BytesIO(content)

    monkeypatch.setattr(landmarkers, "urlopen", answer)
    for _ in range(2):
        assert open_annotator("pose").fingerprint.endswith(f"model {bundle.checksum[:16]}, v2")
    assert asked == [bundle.address]
    assert [file.name for file in cache.iterdir()] == ["pose_landmarker_full.task"]


@pytest.mark.parametrize("content", [b"", b"a landmarker of another kind", b"a longer one than was told of"])
def test_what_else_comes_is_not_kept(content: bytes, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landmarkers, "urlopen", lambda address, timeout: io.BytesIO(content))
    with pytest.raises(UserError, match=r"another file than expected.*name it as face:FILE"):
        open_annotator("face")
    assert not cache.exists()


def test_without_a_network_the_mend_is_told(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(address: str, timeout: float) -> None:
        raise URLError(OSError("Name or service not known"))

    monkeypatch.setattr(landmarkers, "urlopen", fail)
    with pytest.raises(UserError, match=r"cannot be downloaded \(Name or service not known\); put pose_land"):
        open_annotator("pose")


def stand_in(monkeypatch: pytest.MonkeyPatch, poses: list[list[Any]]) -> None:
    """A MediaPipe that finds these poses, one list a frame."""
    left = iter(poses)

    class PoseLandmarker:
        @classmethod
        def create_from_options(cls, options: SimpleNamespace) -> PoseLandmarker:
            assert options.base_options.model_asset_buffer == b"a model"
            return cls()

        def detect_for_video(self, image: np.ndarray, time: int) -> SimpleNamespace:
            assert image.shape == (40, 80, 3)
            return SimpleNamespace(pose_landmarks=next(left))

        def close(self) -> None:
            pass

    vision = ModuleType("mediapipe.tasks.python.vision")
    vision.PoseLandmarker = vision.FaceLandmarker = PoseLandmarker  # type: ignore[attr-defined]
    vision.PoseLandmarkerOptions = vision.FaceLandmarkerOptions = SimpleNamespace  # type: ignore[attr-defined]
    vision.RunningMode = SimpleNamespace(VIDEO="video")  # type: ignore[attr-defined]
    options = ModuleType("mediapipe.tasks.python.core.base_options")
    options.BaseOptions = SimpleNamespace  # type: ignore[attr-defined]
    top, python = ModuleType("mediapipe"), ModuleType("mediapipe.tasks.python")
    top.Image = lambda form, picture: picture  # type: ignore[attr-defined]
    top.ImageFormat = SimpleNamespace(SRGB=1)  # type: ignore[attr-defined]
    python.vision = vision  # type: ignore[attr-defined]
    for module in (top, python, vision, options):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in ("mediapipe.tasks", "mediapipe.tasks.python.core"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(landmarkers, "find_spec", lambda name: name)


def someone(shift: float) -> list[Any]:
    return [
        SimpleNamespace(x=0.3 + 0.01 * i + shift, y=0.02 * i, visibility=None if i == 7 else 1.2 - i / 30)
        for i in range(33)
    ]


def test_a_body_is_found_followed_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, [[someone(0.0), someone(0.3)], [], [someone(0.1)]])
    (tmp_path / "any.task").write_bytes(b"a model")
    for t in range(3):
        write_picture(tmp_path / "walk" / "frames" / f"{t}.png", np.full((40, 80, 3), t, np.uint8))
    annotate([tmp_path / "walk"], [f"pose:{tmp_path / 'any.task'}"])
    found = json.loads((tmp_path / "walk" / "pose33.json").read_text())
    assert (found["width"], found["height"], found["annotation"]["annotator"]) == (80, 40, "pose")
    assert [len(frame) for frame in found["frames"]] == [33, 0, 33]
    assert found["frames"][0][2] == [25.6, 1.6, 1.0], "pixels, and what is sure is not surer than 1"
    assert found["frames"][0][7][2] == 0.0
    assert found["frames"][2][0] == [32.0, 0.0, 1.0]
    drawings = Dataset.open(tmp_path / "walk", condition="pose").clips[0].read(0, 3).image
    assert drawings is not None
    assert [bool(picture.any()) for picture in drawings] == [True, False, True]


def test_points_are_smoothed_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shifts = [0.0, 0.02, 0.0, None, 0.02, 0.0, 0.02, 0.0]
    (tmp_path / "any.task").write_bytes(b"a model")
    places = {}
    for name in ("raw", "smooth"):
        stand_in(monkeypatch, [[] if shift is None else [someone(shift)] for shift in shifts])
        for t in range(len(shifts)):
            write_picture(tmp_path / name / "frames" / f"{t}.png", np.full((40, 80, 3), t, np.uint8))
        annotate([tmp_path / name], [f"pose:{tmp_path / 'any.task'}"], smooth=name == "smooth")
        frames = json.loads((tmp_path / name / "pose33.json").read_text())["frames"]
        places[name] = [frame[0][0] if frame else None for frame in frames]
    assert places["raw"] == [24.0, 25.6, 24.0, None, 25.6, 24.0, 25.6, 24.0]
    steps = np.abs(np.diff(np.array(places["smooth"], float)))
    assert steps.mean() < 0.5 * 1.6, "less than half of the trembling, and no gap"


@needs_mediapipe
@pytest.mark.parametrize("name", ["face", "pose"])
def test_a_file_that_is_no_landmarker_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.task").write_bytes(b"none")
    with pytest.raises(UserError, match=f"not a {name} landmarker"):
        open_annotator(f"{name}:{tmp_path / 'x.task'}").begin()


@needs_mediapipe
def test_a_face_landmarker_finds_no_body(landmarker: Path) -> None:
    with pytest.raises(UserError, match="not a pose landmarker"):
        open_annotator(f"pose:{landmarker}").begin()


@needs_mediapipe
@pytest.mark.parametrize("speaker", ["bbaf2n", "lbax4n"])
def test_landmarks_are_within_three_pixels_of_the_given(
    speaker: str, clips: Path, landmarker: Path, tmp_path: Path
) -> None:
    given = json.loads((clips / "faces_grid" / speaker / "face478.json").read_text())
    (tmp_path / speaker).mkdir()
    shutil.copy(clips / "faces_grid" / speaker / "frames.mpg", tmp_path / speaker)
    annotate([tmp_path / speaker], [f"face:{landmarker}"])
    found = json.loads((tmp_path / speaker / "face478.json").read_text())
    assert (found["width"], found["height"]) == (given["width"], given["height"])
    distance = np.linalg.norm(np.array(found["frames"]) - np.array(given["frames"]), axis=-1)
    assert distance.shape == (75, 478)
    assert distance.mean() < 3


@needs_mediapipe
def test_no_face_is_no_points(landmarker: Path) -> None:
    run = Landmarker.of("face", str(landmarker)).begin()
    drawn = run.draw(np.full((64, 64, 3), 90, np.uint8), 0)
    run.close()
    assert drawn.points == []
    assert drawn.picture is None
