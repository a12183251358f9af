"""Datasets with a folder for each kind of thing, as other tools write them, are read as they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from vid2vid.annotators import Keypoints, write_landmarks, write_openpose
from vid2vid.conditions import ConditionSchema
from vid2vid.data import Dataset, check_dataset
from vid2vid.data.layout import find_clips
from vid2vid.data.prepare import prepare
from vid2vid.errors import UserError
from vid2vid.inference.source import ConditionSource
from vid2vid.video import read_picture, write_picture

SIZE = (48, 32)
FACE = np.stack([np.linspace(8, 40, 68), 16 + 8 * np.sin(np.arange(68))], axis=-1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two clips of three frames: pictures, label maps, faces and poses."""
    theirs = tmp_path / "theirs"
    for clip in ("a_1", "b_2"):
        for t in range(3):
            grey = np.full((SIZE[1], SIZE[0], 3), 60 * t + (clip == "b_2"), np.uint8)
            write_picture(theirs / "images" / clip / f"f{t}.png", grey)
            write_picture(theirs / "seg_maps" / clip / f"f{t}.png", np.full(SIZE[::-1], 7 + 4 * t, np.uint8))
            write_picture(theirs / "pose_maps-densepose" / clip / f"f{t}.png", grey // 8)
            for kind in ("landmarks-dlib68", "poses-openpose"):
                (theirs / kind / clip).mkdir(parents=True, exist_ok=True)
            write_landmarks(theirs / "landmarks-dlib68" / clip / f"f{t}.txt", FACE + t)
            body = np.pad(np.full((25, 2), 5.0 * t), ((0, 0), (0, 1)), constant_values=1).astype(np.float32)
            write_openpose(theirs / "poses-openpose" / clip / f"f{t}.json", [Keypoints(body=body)])
    return theirs


def test_clips_are_found_with_everything_beside_them(root: Path) -> None:
    clips = find_clips(root)
    assert [clip.name for clip in clips] == ["a_1", "b_2"]
    assert [set(clip.strips) for clip in clips] == [{"frames", "labels", "densepose"}] * 2
    named = (f"{{id: {i}, name: n{i}, color: [{i}, 0, 0]}}" for i in (7, 11, 15))
    (root / "labels.yaml").write_text(f"classes: [{', '.join(named)}]")
    assert clips[1].label_list == root / "labels.yaml"
    read = Dataset.open(root, condition="labels").clips[1].read(0, 3)
    assert read.labels is not None
    assert [int(labels.max()) for labels in read.labels] == [0, 1, 2]
    assert check_dataset(root).errors == 0


@pytest.mark.parametrize(("name", "channels"), [("face", 15), ("openpose", 3), ("dance", 6)])
def test_drawings_of_points_are_those_of_a_prepared_clip(root: Path, name: str, channels: int) -> None:
    made = prepare([root], root.parent / "ours", split_cuts=False)
    assert [clip.name for clip in made] == ["a_1", "b_2"]
    theirs, ours = (Dataset.open(place, condition=name) for place in (root, root.parent / "ours"))
    for one, other in zip(theirs.clips, ours.clips, strict=True):
        images = [clip.read(0, 3).image for clip in (one, other)]
        assert images[0] is not None
        assert images[0].shape == (3, *SIZE[::-1], channels)
        assert np.array_equal(*images)
    schema = ConditionSchema("image", name, image_channels=channels)
    drawn = [item.image for item in ConditionSource(root / "images" / "b_2", schema)]
    assert np.array_equal(np.stack([image for image in drawn if image is not None]), images[0])


def test_label_maps_without_a_list_are_given_one(root: Path, tmp_path: Path) -> None:
    (made, _) = prepare([root], tmp_path / "ours", classes="cityscapes", split_cuts=False)
    assert np.array_equal(np.unique(read_picture(made / "labels" / "000001.png", "labels")), [11])
    data = Dataset.open(tmp_path / "ours", condition="labels", instances=False)
    labels = data.clips[0].read(0, 3).labels
    assert labels is not None
    assert data.schema.labels is not None
    assert [data.schema.labels.names[frame[0, 0]] for frame in labels] == ["road", "building", "bridge"]
    shutil.rmtree(root / "seg_maps")
    with pytest.raises(UserError, match="classes: no clip has label maps"):
        prepare([root], tmp_path / "other", classes="cityscapes", split_cuts=False)


def test_a_clip_of_ours_below_images_stays_one(tmp_path: Path) -> None:
    home = tmp_path / "images" / "me"
    for t in range(2):
        write_picture(home / "frames" / f"{t}.png", np.full((SIZE[1], SIZE[0], 3), t, np.uint8))
        (home / "landmarks").mkdir(exist_ok=True)
        write_landmarks(home / "landmarks" / f"{t}.txt", FACE)
    assert Dataset.open(home, condition="face").clips[0].read(0, 2).image is not None
