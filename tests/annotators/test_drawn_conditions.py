"""Clips that hold landmarks: read, checked, trained on and rendered as what is drawn from them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_people import face, person

from vid2vid.annotators import draw_face, draw_openpose, write_landmarks, write_openpose
from vid2vid.annotators.drawn import DRAWN, image_tensor
from vid2vid.conditions import ConditionSchema
from vid2vid.data import Dataset, check_dataset, sequences
from vid2vid.errors import UserError
from vid2vid.inference import ConditionSource, synthesize
from vid2vid.training import train
from vid2vid.video import VideoWriter, read_picture, write_picture
from vid2vid.zoo import load_model

SIZE = (120, 160)
FRAMES = 6
SETTINGS = (
    *("data.size=[32, 32]", "data.sequence=4", "data.workers=0", "model.width=4", "model.downs=2"),
    *("model.blocks=2", "discriminator.width=4", "discriminator.layers=2", "discriminator.scales=1"),
    *("discriminator.temporal_scales=1", "loss.perceptual=0", "train.chunk=2", "train.steps=2"),
    *("train.checkpoint_every=2", "train.sample_every=2"),
)
NAMES = tuple(DRAWN)


def frame(t: int) -> np.ndarray:
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    return np.stack([x + t, y, 90 * ((x // 30 + y // 30) % 2)], axis=-1).astype(np.uint8)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Frames with landmarks, OpenPose and DensePose of somebody who walks to the right."""
    home = tmp_path / "clip"
    for t in range(FRAMES):
        write_picture(home / "frames" / f"{t:04d}.png", frame(t))
        for folder in ("landmarks", "openpose"):
            (home / folder).mkdir(exist_ok=True)
        write_landmarks(home / "landmarks" / f"{t:04d}.txt", face(*SIZE, move=t))
        write_openpose(home / "openpose" / f"{t:04d}_keypoints.json", [person(*SIZE, move=t)])
        parts = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        parts[20:40, 50 + t : 70 + t] = (90, 120, 24)
        write_picture(home / "densepose" / f"{t:04d}.png", parts)
    return home


def schema(name: str) -> ConditionSchema:
    return ConditionSchema("image", name, image_channels=DRAWN[name].channels)


def trained(clip: Path, out: Path, recipe: str, *overrides: str) -> Path:
    return train(clip, recipe, out, [*SETTINGS, *overrides], device="cpu")


@pytest.mark.parametrize("name", NAMES)
def test_a_dataset_and_a_source_draw_the_same(clip: Path, name: str) -> None:
    data = Dataset.open(clip, condition=name, size=(60, 80), frames="2:5")
    assert data.schema == schema(name)
    read = data.clips[0].read(0, 3)
    assert read.image is not None
    assert read.image.shape == (3, 80, 60, DRAWN[name].channels)
    source = ConditionSource(clip, data.schema, (60, 80), "2:5")
    given = list(source)
    assert [item.name for item in given] == ["0002", "0003", "0004"]
    for item, image in zip(given, read.image, strict=True):
        assert item.image is not None
        assert np.array_equal(item.image, image)
    assert read.image.any()


def test_published_drawings_are_those_of_the_frames_size(clip: Path) -> None:
    read = Dataset.open(clip, condition="face").clips[0].read(2, 3)
    assert read.image is not None
    assert np.array_equal(read.image[0], draw_face(face(*SIZE, move=2), SIZE, frame(2)))
    assert np.array_equal(read.image[0, ..., 1:], draw_face(face(*SIZE, move=2), SIZE)[..., 1:])
    dance = Dataset.open(clip, condition="dance").clips[0].read(2, 3).image
    assert dance is not None
    assert dance[0, 30, 60].tolist()[:3] == [90, 120, 255]
    assert np.abs(dance[0, ..., 3:].astype(int) - draw_openpose([person(*SIZE, move=2)], SIZE)).max() < 90


def test_faces_go_from_0_to_1_and_people_from_minus_1(clip: Path) -> None:
    for name, least in (("face", 0), ("dance", -1), ("face_sketch", -1)):
        data = Dataset.open(clip, condition=name, size=(32, 32))
        batch = next(sequences(data, 2))
        assert batch.image is not None
        assert batch.image.shape[2] == DRAWN[name].channels
        assert batch.image.min() == pytest.approx(least, abs=1e-6)
        assert batch.image.max() <= 1
    ordinary = np.zeros((2, 2, 3), np.uint8)
    assert image_tensor(ordinary, "face").min() == -1  # pictures in a folder of that name


def test_pictures_of_that_name_come_first(clip: Path) -> None:
    for t in range(FRAMES):
        write_picture(clip / "pose" / f"{t:04d}.png", 255 - frame(t))
    read = Dataset.open(clip, condition="pose").clips[0].read(1, 2)
    assert read.image is not None
    assert np.array_equal(read.image[0], 255 - frame(1))
    (item,) = ConditionSource(clip, schema("pose"), frames="1:2")
    assert item.image is not None
    assert np.array_equal(item.image, 255 - frame(1))


def test_one_file_of_landmarks_and_a_video_of_frames(clip: Path) -> None:
    points = [face(*SIZE, move=t) for t in range(FRAMES)]
    shutil.rmtree(clip / "landmarks")
    half = [(each / 2).tolist() for each in points]
    content = {"width": SIZE[0] // 2, "height": SIZE[1] // 2, "frames": half}
    (clip / "face68.json").write_text(json.dumps(content))
    read = Dataset.open(clip, condition="face").clips[0].read(3, 4)
    assert read.image is not None
    assert np.array_equal(read.image[0], draw_face(points[3], SIZE, frame(3)))
    shutil.rmtree(clip / "frames")
    with VideoWriter(clip / "frames.mp4", 25) as writer:
        for t in range(FRAMES):
            writer.write(frame(t))
    again = Dataset.open(clip, condition="face").clips[0].read(3, 4)
    assert again.image is not None
    assert np.array_equal(again.image[..., 1:], read.image[..., 1:])
    assert len(list(ConditionSource(clip, schema("face")))) == FRAMES


def test_landmarks_without_frames(clip: Path) -> None:
    shutil.rmtree(clip / "frames")
    (item, *_) = ConditionSource(clip, schema("dance"))
    assert item.image is not None
    assert item.image.shape == (160, 120, 6)
    with pytest.raises(UserError, match="frames/"):
        ConditionSource(clip, schema("pose"))


def test_what_is_missing_is_said(clip: Path) -> None:
    (clip / "landmarks" / "0003.txt").unlink()
    with pytest.raises(UserError, match="none is named 0003"):
        Dataset.open(clip, condition="face")
    assert any("0003" in str(finding) for finding in check_dataset(clip, condition="face").findings)
    assert not check_dataset(clip, condition="dance").findings
    shutil.rmtree(clip / "openpose")
    with pytest.raises(UserError, match="openpose"):
        Dataset.open(clip, condition="pose")
    with pytest.raises(UserError):
        ConditionSource(clip, schema("pose"))


def rendered(clip: Path, run: Path, out: Path, **options: Any) -> np.ndarray:
    count = synthesize(run, clip, out, device="cpu", **options).frames
    pictures = sorted(out.glob("*.png"))
    assert len(pictures) == count
    return read_picture(pictures[-1])


@pytest.mark.parametrize("name", ["face_sketch", "pose"])
def test_our_own_drawings_train_and_render(clip: Path, tmp_path: Path, name: str) -> None:
    run = trained(clip, tmp_path / "run", "dance-tiny", f"data.condition={name}")
    assert load_model(run).schema == schema(name)
    plain = rendered(clip, run, tmp_path / "out")
    assert plain.shape == (32, 32, 3)
    # As oneself one looks as before, but for rounding.
    assert np.abs(rendered(clip, run, tmp_path / "own", retarget=clip) - plain.astype(int)).mean() < 3


def test_the_recipe_for_faces_trains_on_files_of_another_tool(clips: Path, tmp_path: Path) -> None:
    theirs, home = clips / "formats/face_dlib68", tmp_path / "clip"
    shutil.copytree(next((theirs / "images").iterdir()), home / "frames")
    shutil.copytree(next((theirs / "landmarks-dlib68").iterdir()), home / "landmarks-dlib68")
    run = trained(home, tmp_path / "run", "paper-faces-512")
    assert load_model(run).schema == schema("face")
    first = (home / "frames" / "00000.jpg", home / "frames" / "00001.jpg")
    assert rendered(home, run, tmp_path / "out", first_frames=first).shape == (32, 32, 3)


def test_the_recipe_for_people_trains_on_files_of_another_tool(clips: Path, tmp_path: Path) -> None:
    theirs, home = clips / "formats/pose_openpose_densepose", tmp_path / "clip"
    for part in ("images", "poses-openpose", "pose_maps-densepose"):
        shutil.copytree(theirs / part / "001_001", home / ("frames" if part == "images" else part))
    run = trained(home, tmp_path / "run", "paper-dance-256")
    assert load_model(run).schema == schema("dance")
    assert rendered(home, run, tmp_path / "out").shape == (32, 32, 3)
