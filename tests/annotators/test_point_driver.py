"""Points found in raw frames: a driver is drawn as its prepared clip is, steadied, retargeted, cropped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from drawn_people import face, person
from hypothesis import given
from hypothesis import strategies as st

from stand_ins import Dots
from vid2vid.annotators import Keypoints, Steady, face_crop, protocol, steady_clip
from vid2vid.conditions import ConditionSchema
from vid2vid.data.annotate import annotate
from vid2vid.data.prepare import prepare
from vid2vid.errors import UserError
from vid2vid.inference.annotated import AnnotatedSource
from vid2vid.inference.source import ConditionSource
from vid2vid.video import write_picture

SIZE = (160, 120)
SKETCH = ConditionSchema("image", "face_sketch", image_channels=3)
PUBLISHED = ConditionSchema("image", "face", image_channels=15)


def face_at(grey: int) -> list[list[float]]:
    """So far to the right as a frame is grey; in a black one, none."""
    return face(*SIZE, move=grey - 40).tolist() if grey else []


@pytest.fixture(autouse=True)
def dots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(protocol._OPENERS, "face", lambda argument: Dots(face_at))


def film(home: Path, greys: list[int]) -> Path:
    for t, grey in enumerate(greys):
        picture = np.full((SIZE[1], SIZE[0], 3), grey, np.uint8)
        picture[60:, 100:] = 200
        write_picture(home / "frames" / f"{t:03d}.png", picture)
    return home


def images(source: AnnotatedSource | ConditionSource) -> list[np.ndarray]:
    return [item.image for item in source if item.image is not None]


@pytest.mark.parametrize("schema", [SKETCH, PUBLISHED], ids=lambda schema: schema.name)
@pytest.mark.parametrize("retargeted", [False, True])
def test_a_driver_is_drawn_as_its_prepared_clip(
    schema: ConditionSchema, retargeted: bool, tmp_path: Path
) -> None:
    clip = film(tmp_path / "clip", [40, 42, 0, 46])
    subject = film(tmp_path / "subject", [55, 55])
    annotate([clip, subject], ["face"])
    aim = subject if retargeted else None
    there = images(ConditionSource(clip, schema, (80, 60), retarget=aim))
    found = images(AnnotatedSource(clip, "face", schema, (80, 60), retarget=aim))
    assert len(there) == len(found) == 4
    assert all(np.array_equal(*pair) for pair in zip(there, found, strict=True))
    assert not found[2][..., 0].any(), "nobody"


def test_a_part_and_a_crop_are_taken_before_points_are_found(tmp_path: Path) -> None:
    clip = film(tmp_path / "clip", [40, 42, 44, 46])
    whole = images(AnnotatedSource(clip, "face", SKETCH))
    part = images(AnnotatedSource(clip, "face", SKETCH, frames="2:"))
    assert all(np.array_equal(*pair) for pair in zip(part, whole[2:], strict=True))
    assert AnnotatedSource(clip, "face", SKETCH, crop=(0, 0, 50, 40)).size == (50, 40)
    box = face_crop([face(*SIZE, move=grey - 40) for grey in (40, 42, 44, 46)], SIZE)
    assert box is not None
    assert AnnotatedSource(clip, "face", SKETCH, crop="face").size == box[2:]


def test_who_is_not_there_is_said(tmp_path: Path) -> None:
    empty, subject = film(tmp_path / "empty", [0, 0]), film(tmp_path / "subject", [40])
    annotate([subject], ["face"])
    with pytest.raises(UserError, match="nobody is found in any frame"):
        AnnotatedSource(empty, "face", SKETCH, retarget=subject)
    with pytest.raises(UserError, match="no face is found in it; give the crop as"):
        AnnotatedSource(empty, "face", SKETCH, crop="face")
    with pytest.raises(UserError, match="nothing there that face_sketch is drawn from"):
        AnnotatedSource(subject, "face", SKETCH, retarget=empty)
    with pytest.raises(UserError, match=r"gives face68.json, but the model renders 'pose'"):
        AnnotatedSource(subject, "face", ConditionSchema("image", "pose"))


def test_prepare_crops_to_the_face_of_each_clip(tmp_path: Path) -> None:
    left, right = (film(tmp_path / name, greys) for name, greys in (("l", [30, 32, 34]), ("r", [60, 0, 62])))
    annotate([right], ["face"])
    words: dict[str, Any] = {"annotate": ["face"], "crop": "face", "size": "64x64", "split_cuts": False}
    clips = prepare([left, right], tmp_path / "data", **words)
    for clip, moves in zip(clips, ((-10, -8, -6), (20, None, 22)), strict=True):
        boxes = [None if move is None else face(*SIZE, move=move) for move in moves]
        record = yaml.safe_load((clip / "clip.yaml").read_text())
        box = face_crop(boxes, SIZE)
        assert box is not None
        assert box[2] == box[3]
        assert (record["face"], record["size"]) == ([*box], [64, 64])
    assert prepare([left, right], tmp_path / "data", **words) == clips
    with pytest.raises(UserError, match="no face is found"):
        prepare([film(tmp_path / "n", [0, 0])], tmp_path / "data", crop="face")
    with pytest.raises(UserError, match="not a box; write X,Y,WIDTH,HEIGHT in pixels of the source, or face"):
        prepare([left], tmp_path / "data", crop="head")


def test_points_brought_along_are_moved_with_the_crop(tmp_path: Path) -> None:
    clip = film(tmp_path / "clip", [60, 60])
    annotate([clip], ["face"])
    (made,) = prepare([clip], tmp_path / "data", crop="face", size="64x64")
    points = np.array(json.loads((made / "face68.json").read_text())["frames"])
    x, _, side, _ = face_crop([face(*SIZE, move=20)], SIZE) or (0, 0, 1, 1)
    assert np.allclose(points[0, :, 0], (face(*SIZE, move=20)[:, 0] - x) * 64 / side, atol=0.01)
    assert "annotation" not in json.loads((made / "face68.json").read_text())


def test_a_crop_is_as_published_for_one_frame_and_steady_for_many() -> None:
    size, still = (1000, 800), face(1000, 300) + np.array([0, 300])
    x, y, width, height = face_crop([still], size) or (0, 0, 0, 0)
    assert width == height == int(2.5 * np.ptp(still[:, 0]))
    rng = np.random.default_rng(0)
    trembling = [None, *(still + rng.normal(0, 1, (1, 2)) for _ in range(50)), still + 90]
    found = np.array(face_crop(trembling, size))
    assert np.abs(found - (x, y, width, height)).max() <= 2, "no frame moves it"
    left, _, wide, _ = face_crop([still + np.array([step, 0]) for step in (-250, 250)], size) or (0, 0, 0, 0)
    assert left < still[:, 0].min() - 250
    assert left + wide > still[:, 0].max() + 250
    assert face_crop([None, None], size) is None


def trembling(frames: int, gaps: tuple[int, ...], seed: int = 0) -> list[np.ndarray | None]:
    rng = np.random.default_rng(seed)
    return [None if t in gaps else face(400, 300) + rng.normal(0, 1, (68, 2)) for t in range(frames)]


def test_trembling_is_halved_and_motion_is_kept() -> None:
    raw = trembling(60, ())
    steady = steady_clip(raw, 25)
    stream = Steady(25)
    for calmed in (steady, [stream(frame) for frame in raw]):
        places = np.stack([frame for frame in calmed if isinstance(frame, np.ndarray)])[20:]
        assert places.shape == (40, 68, 2)
        assert places.std(axis=0).mean() < 0.5
    walk = [face(400, 300, move=6.0 * t) for t in range(30)]
    for calmed in (steady_clip(walk, 25), [Steady(25)(frame) for frame in walk]):
        last = calmed[-1]
        assert isinstance(last, np.ndarray)
        assert np.abs(last - walk[-1]).max() < 6, "less than a frame behind"


def test_short_gaps_are_filled_and_long_ones_stay() -> None:
    raw = trembling(40, (0, 10, 11, *range(20, 27), 39))
    steady = steady_clip(raw, 25)
    missing = [t for t, frame in enumerate(steady) if frame is None]
    assert missing == [0, *range(20, 27), 39]
    stream = Steady(25)
    live = [stream(frame) for frame in raw]
    assert [t for t, frame in enumerate(live) if frame is None] == [0, 25, 26], "it holds for five frames"
    assert steady_clip([None, None], 25) == [None, None]


@given(st.integers(1, 30), st.sets(st.integers(0, 29)), st.integers(0, 99))
def test_people_are_steadied_part_by_part(count: int, hidden: set[int], seed: int) -> None:
    """A joint that is hidden in some frames never becomes surer, nor lies outside of where it was seen."""
    rng = np.random.default_rng(seed)
    raw = []
    for t in range(count):
        body = person().body + np.pad(rng.normal(0, 2, (25, 2)), ((0, 0), (0, 1))).astype(np.float32)
        body[4] *= t not in hidden
        raw.append(Keypoints(body=body))
    calmed = steady_clip(raw, 30)
    seen = np.array([one.body[4] for one in raw if one.body[4, 2]])
    for one in calmed:
        assert isinstance(one, Keypoints)
        assert np.isfinite(one.points).all()
        if one.body[4, 2]:
            assert (one.body[4, :2] >= seen[:, :2].min(axis=0) - 1e-3).all()
            assert (one.body[4, :2] <= seen[:, :2].max(axis=0) + 1e-3).all()
