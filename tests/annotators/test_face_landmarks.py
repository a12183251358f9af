"""The face annotator against the given landmarks; without MediaPipe or its model only what it says then."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from vid2vid.annotators import face_landmarks, open_annotator
from vid2vid.annotators.face_landmarks import FaceLandmarks, draw_lines
from vid2vid.data.annotate import annotate
from vid2vid.errors import UserError
from vid2vid.video import open_frames

HERE = importlib.util.find_spec("mediapipe") is not None
needs_mediapipe = pytest.mark.skipif(not HERE, reason="mediapipe is not installed")


@pytest.fixture
def landmarker(clips: Path) -> Path:
    path = clips.parent / "models" / face_landmarks.MODEL
    if not path.is_file():
        pytest.skip("the face landmarker (../shared/models) is not here")
    return path


def test_lines_lie_where_the_points_are() -> None:
    points = [[2.5, 3.5], [12.5, 3.5], [2.5, 9.5]]
    picture = draw_lines(points, [[(0, 1)], [(0, 2)], []], (12, 16))
    assert picture.shape == (12, 16, 3)
    assert (picture[3, 3:12, 0] > 200).all()
    assert (picture[4:9, 2, 1] > 200).all()
    assert not picture[5:, :, 0].any()
    assert not picture[..., 2].any()
    assert not draw_lines([], [[(0, 1)], [], []], (12, 16)).any(), "no face, nothing drawn"


def test_what_is_missing_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_landmarks, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'vid2vid\[annotate\]'"):
        open_annotator("face")
    monkeypatch.setattr(face_landmarks, "find_spec", lambda name: name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"vid2vid/face_landmarker.task: No such file.*face:FILE"):
        open_annotator("face")
    with pytest.raises(UserError, match="check the name"):
        open_annotator(f"face:{tmp_path / 'no.task'}")
    (tmp_path / "vid2vid").mkdir()
    (tmp_path / "vid2vid" / face_landmarks.MODEL).write_bytes(b"half of it")
    with pytest.raises(UserError, match="checksum"):
        open_annotator("face")


@needs_mediapipe
def test_a_file_that_is_no_landmarker_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.task").write_bytes(b"none")
    with pytest.raises(UserError, match="not a face landmarker"):
        open_annotator(f"face:{tmp_path / 'x.task'}").begin()


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
    first = open_frames(tmp_path / speaker / "face_lines")[0].image
    assert all(first[..., channel].any() for channel in range(3))


@needs_mediapipe
def test_no_face_is_a_black_picture_without_points(landmarker: Path) -> None:
    run = FaceLandmarks.of(str(landmarker)).begin()
    drawn = run.draw(np.full((64, 64, 3), 90, np.uint8), 0)
    run.close()
    assert drawn.points == []
    assert not drawn.picture.any()
