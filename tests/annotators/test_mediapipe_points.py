"""MediaPipe's points: as OpenPose's joints, as outlines of a face, and in the files of a clip."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from drawn_people import face, person

from vid2vid.annotators import (
    Keypoints,
    draw_openpose,
    read_landmarks,
    read_openpose,
    sketch_face,
    write_landmarks,
    write_openpose,
)
from vid2vid.annotators.draw_face import OUTLINES, draw_face
from vid2vid.annotators.landmark_clip import LandmarkClip
from vid2vid.annotators.mediapipe_points import GUESSED, MESH_68, body_25
from vid2vid.data import Dataset, check_dataset
from vid2vid.data.prepare import prepare
from vid2vid.errors import UserError
from vid2vid.video import write_picture

SIZE = (120, 160)


def points() -> np.ndarray:
    """33 points at (10 n, 20 n), all sure."""
    return np.stack([10.0 * np.arange(33), 20.0 * np.arange(33), np.ones(33)], axis=-1)


def write_clip(home: Path, frames: object, name: str = "pose33.json", count: int = 2) -> Path:
    for t in range(count):
        seen = np.random.default_rng(t).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
        write_picture(home / "frames" / f"{t}.png", seen)
    content = {"width": SIZE[0], "height": SIZE[1], "frames": frames}
    (home / name).write_text(json.dumps(content))
    return home


def test_joints_are_those_of_openpose() -> None:
    body = body_25(points()).body
    assert body[0, 0] == 0
    assert body[[4, 7, 11, 14, 15, 18, 19, 24], 0].tolist() == [160, 150, 280, 270, 50, 70, 310, 300]
    assert body[1].tolist() == [115, 230, 1]  # between the shoulders
    assert body[8].tolist() == [235, 470, 1]  # between the hips
    assert not body[[20, 23]].any()  # no small toes
    assert (body[:, 2] > 0).sum() == 23


def test_guesses_are_not_drawn_nor_middles_of_them() -> None:
    given = points()
    given[[11, 28], 2] = GUESSED
    body = body_25(given).body
    assert not body[[1, 5, 11]].any()
    assert body[2, 2] == 1


@pytest.mark.parametrize("name", ["pose", "openpose"])
def test_a_clip_is_drawn_from_its_file(tmp_path: Path, name: str) -> None:
    frame = [[float(x), float(y), 1] for x, y in np.random.default_rng(0).uniform(10, 110, (33, 2))]
    home = write_clip(tmp_path / "clip", [frame, []])
    clip = Dataset.open(home, condition=name).clips[0]
    image = clip.read(0, 2).image
    assert image is not None
    assert image[0].any()
    assert not image[1].any()  # nobody
    report = check_dataset(home, condition=name)
    assert not [finding for finding in report.findings if finding.severity == "error"]
    if name == "openpose":
        assert np.array_equal(image[0], draw_openpose([body_25(np.array(frame))], SIZE))


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ([[[1, 2, 1]] * 33] * 3, "3 frames, the clip has 2"),
        ([[[1, 2, 1]] * 32] * 2, "32 points, not the 33"),
        ([[[1, 2]] * 33] * 2, r"\[x, y, visibility\]"),
        ([[[1, 2, 1.5]] * 33] * 2, "visibility beyond"),
        ([[[1, "2", 1]] * 33] * 2, "not a number"),
        ([[[1, 1e9, 1]] * 33] * 2, "in no picture"),
        ([[[1, float("nan"), 1]] * 33] * 2, "without bounds"),
        ([{"a": 1}, 7], "holds dict"),
        ("many", "no list of 'frames'"),
    ],
)
def test_damage_is_said_in_one_line(tmp_path: Path, frames: object, said: str) -> None:
    home = write_clip(tmp_path / "clip", frames)
    with pytest.raises(UserError, match=said) as error:
        Dataset.open(home, condition="pose")
    assert "\n" not in str(error.value)


def test_openpose_itself_comes_first(tmp_path: Path) -> None:
    home = write_clip(tmp_path / "clip", [[]] * 2)
    (home / "openpose").mkdir()
    for t in range(2):
        write_openpose(home / "openpose" / f"{t}_keypoints.json", [person(*SIZE)])
    assert LandmarkClip("pose", home, SIZE, ["0", "1"]).draw(0, SIZE).any()


def test_a_mesh_is_sketched_by_its_outlines(tmp_path: Path) -> None:
    mesh = np.zeros((478, 2))
    for part, (indices, _, _) in enumerate(OUTLINES[478]):
        turn = 2 * np.pi * np.arange(len(indices)) / len(indices)
        mesh[list(indices)] = np.stack([40 + part * 3 + 9 * np.cos(turn), 80 + 9 * np.sin(turn)], axis=-1)
    home = write_clip(tmp_path / "clip", [mesh.tolist(), []], "face478.json")
    image = Dataset.open(home, condition="face_sketch").clips[0].read(0, 2).image
    assert image is not None
    assert np.array_equal(image[0], sketch_face(mesh, SIZE))
    assert image[0].any()
    assert not image[1].any()
    published = Dataset.open(home, condition="face").clips[0]
    drawn = published.read(0, 2)
    assert drawn.image is not None
    assert np.array_equal(drawn.image[0], draw_face(mesh[list(MESH_68)], SIZE, drawn.frames[0]))
    assert not drawn.image[1, ..., 0].any()
    assert len(set(MESH_68)) == 68
    for points in (68, 478):
        assert all(max(indices) < points for indices, _, _ in OUTLINES[points])


def test_prepare_carries_folders_of_points(tmp_path: Path) -> None:
    home = write_clip(tmp_path / "clip", [[[20, 40, 0.5]] * 33, None])
    unseen = Keypoints(body=np.where(np.arange(25)[:, None] == 3, 0, person(*SIZE).body))
    for t in range(2):
        for folder in ("landmarks", "openpose"):
            (home / folder).mkdir(exist_ok=True)
        write_landmarks(home / "landmarks" / f"{t}.txt", face(*SIZE, move=t))
        write_openpose(home / "openpose" / f"{t}_keypoints.json", [unseen, person(*SIZE, move=t)])
    (out,) = prepare(
        [home], tmp_path / "out", crop=(20, 40, 100, 120), size=(50, 30), fps=25, split_cuts=False
    )
    moved = (read_landmarks(out / "landmarks" / "000001.txt") - face(*SIZE, move=1) / (2, 4)).tolist()
    assert np.allclose(moved, [-10, -10])
    one, other = read_openpose(out / "openpose" / "000001_keypoints.json")
    assert not one.body[3].any()
    assert np.allclose(other.body[:, 0], (person(*SIZE, move=1).body[:, 0] - 20) / 2, atol=1e-4)
    assert json.loads((out / "pose33.json").read_text())["frames"] == [[[0.0, 0.0, 0.5]] * 33, []]
    (home / "landmarks" / "1.txt").unlink()
    with pytest.raises(UserError, match="none is named 1"):
        prepare([home], tmp_path / "again", fps=25, split_cuts=False)


def test_a_real_dancer_is_prepared_and_drawn(clips: Path, tmp_path: Path) -> None:
    home, part = tmp_path / "dancer", clips / "dance_densepose"
    (home / "frames").mkdir(parents=True)
    content = json.loads((part / "pose33.json").read_text())
    content["frames"] = content["frames"][:3]
    (home / "pose33.json").write_text(json.dumps(content))
    for file in sorted((part / "frames").iterdir())[:3]:
        shutil.copy(file, home / "frames")
    (out,) = prepare([home], tmp_path / "out", size=(102, 180), fps=30, split_cuts=False)
    drawn = Dataset.open(out, condition="pose").clips[0].read(0, 1).image
    given = LandmarkClip("pose", home, (406, 720)).draw(0, (102, 180))
    assert drawn is not None
    assert given.any()
    assert np.abs(drawn[0].astype(int) - given).mean() < 1


def test_a_real_face_is_sketched(clips: Path) -> None:
    clip = LandmarkClip("face_sketch", clips / "faces_grid" / "bbaf2n", (360, 288))
    assert 0.005 < clip.draw(0, (360, 288)).any(axis=-1).mean() < 0.1
