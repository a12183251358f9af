"""Points made as imperfect as detectors find them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from drawn_people import face, person

from vid2vid.annotators import sketch_face, write_landmarks, write_openpose
from vid2vid.annotators.densepose import scaled_parts
from vid2vid.annotators.disturb import Disturbance
from vid2vid.annotators.draw_face import OUTLINES, draw_face
from vid2vid.annotators.drawn import DRAWN
from vid2vid.data import Augmentation, Dataset, sequences
from vid2vid.errors import UserError
from vid2vid.video import write_picture

SIZE = (120, 160)


def test_nothing_is_disturbed_by_nothing() -> None:
    still = Disturbance(0, 0, 3)
    assert np.array_equal(still.person(person(), 5).points, person().points)
    assert np.array_equal(still.face(face(), 5), face())


def test_parts_are_left_out_for_a_whole_sequence() -> None:
    counts = []
    for seed in range(200):
        change = Disturbance(0.1, 0, seed)
        first, later = (change.person(person(), t) for t in (0, 40))
        assert np.array_equal(first.points, later.points)
        lost = first.points[:, 2] == 0
        assert not lost[[1, 2, 5, 8, 9, 12]].any()  # the trunk stays
        assert lost[4] or not lost[3]  # no hand without its elbow
        assert np.array_equal(first.points[~lost], person().points[~lost])
        counts.append(lost[95:116].all())
        assert lost[95:116].all() == lost[95:116].any()
    assert 8 <= sum(counts) <= 36  # of 200 left hands


def test_a_part_of_a_face_left_out_is_not_drawn() -> None:
    gone = Disturbance(1, 0, 0).face(face(), 0)
    assert np.array_equal(gone[:17], face()[:17])
    plain, empty = sketch_face(face(), (160, 120)), sketch_face(gone, (160, 120))
    assert (plain.max(axis=-1) > 0).sum() > (empty.max(axis=-1) > 0).sum() > 0
    assert np.ptp(empty.astype(int), axis=-1).max() == 0  # nothing but the white contour
    published = draw_face(gone, (160, 120))
    assert (published[..., 2:] == 255).all()
    assert (published[..., 1] == 0).any()


def test_points_waver_slowly_and_as_far_as_asked() -> None:
    change = Disturbance(0, 0.02, 1)
    moved = np.stack([change.person(person(), t).points[:, :2] for t in range(400)]) - person().points[:, :2]
    box = person().box
    assert box is not None
    size = max(box[2] - box[0], box[3] - box[1])
    assert np.sqrt((moved**2).mean()) == pytest.approx(0.02 * size, rel=0.2)
    assert np.abs(np.diff(moved, axis=0)).max() < 0.03 * size
    assert np.allclose(moved[:, 116:137], moved[:, 4:5], atol=1e-4)  # a hand goes with its wrist
    faces = np.stack([change.face(face(), t) for t in range(400)]) - face()
    assert np.sqrt((faces**2).mean()) == pytest.approx(0.02 * np.ptp(face(), axis=0).max(), rel=0.3)
    for indices, _, _ in OUTLINES[68]:
        assert np.allclose(faces[:, list(indices)], faces[:, indices[:1]])
    assert not np.array_equal(Disturbance(0, 0.02, 2).face(face(), 0), change.face(face(), 0))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    home = tmp_path / "clip"
    for t in range(6):
        noise = np.random.default_rng(t).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
        write_picture(home / "frames" / f"{t}.png", noise)
        write_picture(home / "densepose" / f"{t}.png", noise)
        for folder in ("openpose", "landmarks"):
            (home / folder).mkdir(exist_ok=True)
        write_openpose(home / "openpose" / f"{t}_keypoints.json", [person(*SIZE)])
        write_landmarks(home / "landmarks" / f"{t}.txt", face(*SIZE))
    return home


@pytest.mark.parametrize("name", list(DRAWN))
def test_training_alone_sees_it_and_the_same_by_the_same_seed(clip: Path, name: str) -> None:
    data = Dataset.open(clip, condition=name, size=(60, 80))
    rough = Augmentation(flip=0, drop=0.3, wobble=0.05)

    def images(augment: Augmentation, first_step: int = 0) -> list[np.ndarray]:
        batches = sequences(data, 3, first_step=first_step, augment=augment, seed=4)
        found = [next(batches).image for _ in range(3 - first_step)]
        return [image.numpy() for image in found if image is not None]

    plain, changed, again = images(Augmentation(flip=0)), images(rough), images(rough, 1)
    assert all(np.abs(one - other).max() > 0.1 for one, other in zip(plain, changed, strict=True))
    assert all(np.array_equal(one, other) for one, other in zip(changed[1:], again, strict=True))
    read = data.clips[0].read(0, 3).image
    assert read is not None
    assert np.array_equal(read[:1], data.clips[0].read(0, 1).image)  # what is kept in memory is undisturbed
    assert all(
        np.array_equal(one, other) for one, other in zip(plain, images(Augmentation(flip=0)), strict=True)
    )


def test_a_mesh_is_disturbed_too(clip: Path) -> None:
    mesh = np.random.default_rng(0).uniform(20, 100, (6, 478, 2))
    for file in (clip / "landmarks").iterdir():
        file.unlink()
    (clip / "landmarks").rmdir()
    (clip / "face478.json").write_text(json.dumps({"frames": mesh.tolist()}))
    clip_ = Dataset.open(clip, condition="face_sketch").clips[0]
    plain, rough = clip_.read(0, 1).image, clip_.read(0, 1, Disturbance(0.5, 0, 1)).image
    assert plain is not None
    assert rough is not None
    assert 0 < rough.any(axis=-1).sum() < plain.any(axis=-1).sum()


def test_pictures_cannot_be_disturbed(clip: Path) -> None:
    data = Dataset.open(clip, condition="densepose")
    with pytest.raises(UserError, match=r"data\.drop and data\.wobble"):
        sequences(data, 3, augment=Augmentation(drop=0.1))
    with pytest.raises(UserError, match="wobble"):
        Augmentation(wobble=1)


def test_parts_of_densepose_are_left_out() -> None:
    parts = np.arange(25).repeat(4).reshape(10, 10).astype(np.uint8)
    picture = scaled_parts(np.stack([parts + 9, parts + 7, parts], axis=-1))
    rough = Disturbance(0.3, 0, 5).densepose(picture)
    gone = ~rough.any(axis=-1)
    lost = {part for part in range(1, 25) if gone[parts == part].all()}
    assert 2 <= len(lost) <= 14
    assert np.array_equal(rough, np.where(np.isin(parts, [*lost])[..., None], 0, picture))
    coloured = np.random.default_rng(0).integers(0, 256, (10, 10, 3), dtype=np.uint8)
    assert np.array_equal(Disturbance(0.9, 0, 5).densepose(coloured), coloured), "its parts are not known"


@pytest.mark.parametrize("name", list(DRAWN))
def test_what_tells_left_from_right_is_not_mirrored(clip: Path, name: str) -> None:
    data = Dataset.open(clip, condition=name, size=(60, 80))
    mirrored = Augmentation(flip=0.5)
    if name == "face_sketch":
        assert next(sequences(data, 3, augment=mirrored)).image is not None
    else:
        with pytest.raises(UserError, match=rf"data.flip mirrors, but {name} tells left from right"):
            sequences(data, 3, augment=mirrored)
