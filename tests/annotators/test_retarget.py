"""One person's motion on another's body or face."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_people import face, person

from vid2vid.annotators import Keypoints, write_landmarks, write_openpose
from vid2vid.annotators.landmark_clip import LandmarkClip
from vid2vid.annotators.retarget import (
    body_scale,
    body_statistics,
    face_statistics,
    retarget_body,
    retarget_face,
)
from vid2vid.conditions import ConditionSchema
from vid2vid.errors import UserError
from vid2vid.inference import ConditionSource
from vid2vid.video import write_picture

SIZE = (120, 160)


def length(body: np.ndarray, first: int, second: int) -> float:
    return float(np.hypot(*(body[first, :2] - body[second, :2])))


def with_body(one: Keypoints, body: np.ndarray) -> Keypoints:
    return replace(one, body=body.astype(np.float32))


def swinging(t: int, width: int = 120, height: int = 160) -> Keypoints:
    """Somebody whose right forearm turns, and who walks."""
    one = person(width, height, move=t)
    body, angle = one.body.copy(), 0.3 * t
    body[4, :2] = body[3, :2] + length(body, 3, 4) * np.array([np.cos(angle), np.sin(angle)])
    return with_body(one, body)


def long_legs(one: Keypoints) -> Keypoints:
    """The same with shins twice as long."""
    body = one.body.copy()
    for knee, foot in ((10, [11, 22, 23, 24]), (13, [14, 19, 20, 21])):
        body[foot, :2] += body[foot[0], :2] - body[knee, :2]
    return with_body(one, body)


DRIVER = [swinging(t) for t in range(12)]


def test_oneself_stays_as_one_is() -> None:
    own = body_statistics([*DRIVER, None])
    for one in DRIVER:
        assert np.allclose(retarget_body(one, own, own).points, one.points, atol=1e-2)


def test_place_and_size_are_the_subjects() -> None:
    large = [swinging(t, 240, 320) for t in range(12)]
    driver, subject = body_statistics(DRIVER), body_statistics(large)
    assert body_scale(driver, subject) == pytest.approx(2, rel=1e-3)
    new = retarget_body(DRIVER[5], driver, subject)
    away = new.points[:, :2] - person(240, 320, move=5.5 - 2 * 0.5).points[:, :2]
    arm = [3, 4, *range(25 + 70 + 21, 25 + 70 + 42)]
    still = np.delete(away, arm, axis=0)
    assert np.abs(still).max() < 0.1
    assert new.body[1, 0] - subject.places[1, 0] == pytest.approx(2 * (5 - 5.5), abs=1e-3)


def test_limbs_are_the_subjects_and_directions_the_drivers() -> None:
    driver = body_statistics(DRIVER)
    subject = body_statistics([long_legs(one) for one in DRIVER])
    assert body_scale(driver, subject) == pytest.approx(1)
    for one in DRIVER:
        new = retarget_body(one, driver, subject).body
        assert length(new, 10, 11) == pytest.approx(2 * length(one.body, 10, 11), rel=1e-3)
        assert length(new, 9, 10) == pytest.approx(length(one.body, 9, 10), rel=1e-3)
        turned, was = new[4, :2] - new[3, :2], one.body[4, :2] - one.body[3, :2]
        assert np.allclose(turned, was, atol=1e-2)


def test_a_driver_cut_at_the_waist_keeps_size_and_place() -> None:
    legs = [8, 9, 10, 11, 12, 13, 14, 19, 20, 21, 22, 23, 24]
    cut = []
    for one in DRIVER:
        body = one.body.copy()
        body[legs] = 0
        cut.append(with_body(one, body))
    subject = body_statistics([swinging(t, 240, 320) for t in range(12)])
    whole = retarget_body(DRIVER[3], body_statistics(DRIVER), subject)
    new = retarget_body(cut[3], body_statistics(cut), subject)
    seen = new.body[:, 2] > 0
    assert not seen[legs].any()
    assert seen.sum() == 25 - len(legs)
    assert np.allclose(new.body[seen], whole.body[seen], atol=0.1)


def test_wrong_finds_do_not_count() -> None:
    wrong = DRIVER[2].body.copy()
    wrong[:, :2] = wrong[::-1, :2] * 5
    lost = DRIVER[4].body.copy()
    lost[3] = 0
    rough = [with_body(one, body) for one, body in zip(DRIVER[:2], (wrong, lost), strict=True)]
    clean, noisy = body_statistics(DRIVER), body_statistics([*DRIVER, *rough])
    assert np.allclose(
        noisy.limbs[list(range(15))][1:], clean.limbs[list(range(15))][1:], rtol=0.01, equal_nan=True
    )
    steady = np.arange(25) != 4  # its hand swings
    assert np.allclose(noisy.places[steady], clean.places[steady], atol=2)
    without_elbow = retarget_body(rough[1], clean, clean).body
    assert without_elbow[3, 2] == 0
    assert np.allclose(without_elbow[4, :2], lost[4, :2], atol=0.01)  # hangs on the shoulder


def test_nobody_has_no_statistics() -> None:
    nothing = body_statistics([None, Keypoints()])
    assert np.isnan(nothing.limbs).all()
    assert nothing.face is None
    assert body_scale(nothing, nothing) == 1
    assert retarget_body(Keypoints(), nothing, nothing).box is None
    assert np.allclose(retarget_body(DRIVER[0], nothing, nothing).points, DRIVER[0].points, atol=1e-3)


def speaking(t: int, wide: float = 1.0, move: float = 0.0) -> np.ndarray:
    """A face whose lower lip goes down and up; the mouth ``wide`` times as wide."""
    points = face(move=move)
    points[[57, 66], 1] += 3 * np.sin(t)
    mouth = slice(48, 68)
    points[mouth, 0] = points[mouth, 0].mean() + (points[mouth, 0] - points[mouth, 0].mean()) * wide
    return points


def test_a_face_keeps_the_subjects_parts_and_the_drivers_mien() -> None:
    times = range(20)
    driver = face_statistics([speaking(t) for t in times])
    assert np.allclose(retarget_face(speaking(1), driver, driver), speaking(1), atol=0.01)
    subject = face_statistics([None, *(2 * speaking(t, 1.3, 7) for t in times)])
    new = retarget_face(speaking(1), driver, subject)
    aim = 2 * speaking(1, 1.3, 7)
    still = [*range(48), *range(48, 57), *range(58, 66), 67]
    assert np.abs(new - aim)[still].max() < 2
    assert new[54, 0] - new[48, 0] == pytest.approx(aim[54, 0] - aim[48, 0], rel=0.02)
    opened = new[57, 1] - retarget_face(speaking(0), driver, subject)[57, 1]
    assert 2 * 3 * np.sin(1) == pytest.approx(opened, rel=0.3)


def test_a_face_turns_with_the_driver() -> None:
    turn = np.array([[np.cos(0.3), np.sin(0.3)], [-np.sin(0.3), np.cos(0.3)]])
    still = face_statistics([face()])
    turned = retarget_face(face() @ turn, still, face_statistics([face() / 2]))
    assert np.allclose((turned - turned.mean(axis=0)) * 2, (face() - face().mean(axis=0)) @ turn, atol=0.01)
    with pytest.raises(ValueError, match="points"):
        retarget_face(np.zeros((478, 2)), still, still)


def write_clip(home: Path, width: int, height: int) -> Path:
    for t in range(4):
        write_picture(home / "frames" / f"{t}.png", np.zeros((height, width, 3), np.uint8))
        for folder in ("openpose", "landmarks"):
            (home / folder).mkdir(exist_ok=True)
        write_openpose(home / "openpose" / f"{t}_keypoints.json", [swinging(t, width, height)])
        write_landmarks(home / "landmarks" / f"{t}.txt", face(width, height, move=t))
    return home


@pytest.mark.parametrize("name", ["pose", "openpose", "face", "face_sketch"])
def test_a_source_draws_the_driver_as_the_subject(tmp_path: Path, name: str) -> None:
    driver, subject = write_clip(tmp_path / "driver", *SIZE), write_clip(tmp_path / "subject", 240, 320)
    schema = ConditionSchema("image", name, image_channels=15 if name == "face" else 3)
    source = ConditionSource(driver, schema, retarget=subject)
    assert source.size == (240, 320)
    aims = ConditionSource(subject, schema)
    for item, aim in zip(source, aims, strict=True):
        assert item.image is not None
        assert aim.image is not None
        lit = aim.image[..., :3].max(axis=-1) > 0
        assert (item.image[..., :3].max(axis=-1) > 0)[lit].mean() > 0.4
        assert item.name is not None


def test_what_cannot_be_retargeted_is_said(tmp_path: Path) -> None:
    driver, subject = write_clip(tmp_path / "driver", *SIZE), write_clip(tmp_path / "subject", *SIZE)
    sketch = ConditionSchema("image", "face_sketch", image_channels=3)
    with pytest.raises(UserError, match="holds no landmarks"):
        ConditionSource(driver / "frames", ConditionSchema("image", "edges"), retarget=subject)
    with pytest.raises(UserError, match="nothing there that face_sketch"):
        ConditionSource(driver, sketch, retarget=subject / "frames")
    shutil.rmtree(subject / "landmarks")
    mesh = np.random.default_rng(0).uniform(0, 100, (4, 478, 2)).tolist()
    (subject / "face478.json").write_text(json.dumps({"frames": mesh}))
    with pytest.raises(UserError, match=r"other points than the driver's .478 points of a face, and 68."):
        ConditionSource(driver, sketch, retarget=subject)
    (subject / "face478.json").write_text(json.dumps({"frames": [[]] * 4}))
    with pytest.raises(UserError, match="nobody is found"):
        ConditionSource(driver, sketch, retarget=subject)


def test_a_real_speaker_drives_another(clips: Path) -> None:
    driver, subject = (
        LandmarkClip("face_sketch", clips / "faces_grid" / name, (360, 288)) for name in ("bbaf2n", "lbbc2a")
    )
    aim = face_statistics([subject.points(t) for t in range(len(subject))])
    driver.retarget(subject)
    made = face_statistics([driver.points(t) for t in range(len(driver))])
    assert np.allclose(made.centre, aim.centre, atol=3)
    assert made.size == pytest.approx(aim.size, rel=0.05)
    assert np.abs(made.shape - aim.shape).max() < 0.03
