"""Files of other tools: what is right is read, everything else is one line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from drawn_people import face, person
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vid2vid.annotators import (
    Keypoints,
    follow_person,
    iuv_picture,
    read_densepose,
    read_landmark_clip,
    read_landmarks,
    read_openpose,
    write_landmarks,
    write_openpose,
)
from vid2vid.errors import UserError

SLOW = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=20,
)


def said_of(read: object, path: Path) -> str:
    """The message of a refusal; nothing where the file is read."""
    try:
        read(path)  # type: ignore[operator]
    except UserError as error:
        return str(error)
    return ""


def refusal(read: object, path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read(path)  # type: ignore[operator]
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def test_openpose_there_and_back(tmp_path: Path) -> None:
    people = [person(), person(move=7.25)]
    write_openpose(tmp_path / "a.json", people)
    again = read_openpose(tmp_path / "a.json")
    for one, other in zip(people, again, strict=True):
        assert np.abs(one.points - other.points).max() < 1e-4
    write_openpose(tmp_path / "b.json", [])
    assert read_openpose(tmp_path / "b.json") == []


def test_openpose_of_the_tool_itself(clips: Path) -> None:
    files = sorted((clips / "formats/pose_openpose_densepose/poses-openpose/001_001").glob("*.json"))
    people = [read_openpose(path) for path in files]
    assert [len(frame) for frame in people] == [1] * 5
    assert people[0][0].body[0].tolist() == pytest.approx([989.392, 409.487, 0.896952])


def test_parts_that_are_missing_have_no_confidence(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"people": [{"pose_keypoints_2d": [1.0] * 75, "face_keypoints_2d": []}]}))
    (one,) = read_openpose(path)
    assert one.body.min() == 1
    assert not one.face.any()
    assert not one.left_hand.any()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("[]", "'people'"),
        ("[" * 100_000, "not JSON"),
        ('{"people": {}}', "'people'"),
        ('{"people": [3]}', "person 0 is not a mapping"),
        ('{"people": [{"pose_keypoints_2d": [1, 2]}]}', "2 values, not 75"),
        ('{"people": [{"pose_keypoints_2d": "no"}]}', "str, not 75"),
        (f'{{"people": [{{"pose_keypoints_2d": {["NaN"] * 75}}}]}}'.replace("'", ""), "without bounds"),
        (f'{{"people": [{{"pose_keypoints_2d": {[10**300] * 75}}}]}}', "without bounds"),
        (f'{{"people": [{{"pose_keypoints_2d": {[1e7] * 75}}}]}}', "1e+07"),
        (f'{{"people": [{{"pose_keypoints_2d": {["true"] * 75}}}]}}'.replace("'", ""), "not a number"),
        (f'{{"people": {[0] * 1001}}}', "1001 people"),
    ],
)
def test_openpose_that_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    assert says in refusal(read_openpose, path)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for read in (read_openpose, read_landmarks, read_landmark_clip, read_densepose):
        for name in ("none.json", "none.txt", "none.npy"):
            refusal(read, tmp_path / name)
        (tmp_path / "folder.json").mkdir(exist_ok=True)
        refusal(read, tmp_path / "folder.json")


@SLOW
@given(raw=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_reader_crashes(tmp_path: Path, raw: bytes) -> None:
    for read, name in (
        *((read_openpose, "a.json"), (read_landmarks, "a.json"), (read_landmarks, "a.txt")),
        *((read_landmark_clip, "a.json"), (read_densepose, "a.npy"), (read_densepose, "a.png")),
    ):
        path = tmp_path / name
        path.write_bytes(raw)
        assert "\n" not in said_of(read, path)


@SLOW
@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_one_wrong_byte_does_no_harm(tmp_path: Path, place: int, value: int) -> None:
    path = tmp_path / "a.json"
    if not (tmp_path / "whole.json").exists():
        write_openpose(tmp_path / "whole.json", [person()])
    raw = bytearray((tmp_path / "whole.json").read_bytes())
    raw[place % len(raw)] = value
    path.write_bytes(raw)
    said = said_of(read_openpose, path)
    assert "\n" not in said
    assert said or all(np.isfinite(one.points).all() for one in read_openpose(path))


def test_landmarks_there_and_back(tmp_path: Path, clips: Path) -> None:
    points = face() + 0.25
    write_landmarks(tmp_path / "a.txt", points)
    assert np.array_equal(read_landmarks(tmp_path / "a.txt"), points)
    (tmp_path / "b.json").write_text(json.dumps(points.tolist()))
    assert np.array_equal(read_landmarks(tmp_path / "b.json"), points)
    with pytest.raises(ValueError, match="shape"):
        write_landmarks(tmp_path / "c.txt", points[:5])
    theirs = next((clips / "formats/face_dlib68/landmarks-dlib68").glob("*/00000.json"))
    assert read_landmarks(theirs).shape == (68, 2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1,2\n" * 67, "67 points"),
        ("1,2,3,4\n" * 68, "not [x, y]"),
        ("1,nan\n" * 68, "'nan'"),
        ("1,1e999\n" * 68, "without bounds"),
        ("1,1_0\n" * 68, "'1_0'"),
        ("1,2\n" * 20_000, "larger"),
    ],
)
def test_landmarks_that_are_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text)
    assert says in refusal(read_landmarks, path)


def test_landmarks_of_a_clip_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "face68.json"
    frames = [face().tolist(), [], face(move=1).tolist()]
    path.write_text(json.dumps({"width": 160, "height": 120, "frames": frames}))
    points, size = read_landmark_clip(path)
    assert size == (160, 120)
    assert points[1] is None
    assert np.array_equal(points[2], face(move=1))
    path.write_text(json.dumps({"width": -1, "height": 120, "frames": frames}))
    assert "width and height" in refusal(read_landmark_clip, path)
    path.write_text(json.dumps({"frames": [[1, 2]]}))
    assert "frame 0 holds 2 points" in refusal(read_landmark_clip, path)


def test_one_person_is_followed() -> None:
    large, small = person(120, 160), Keypoints.from_points(person().points * (0.5, 0.5, 1) + (400, 0, 0))
    frames = [[small, large], [small, large], [small], [], [small]]
    assert follow_person(frames) == [large, large, small, None, small]
    growing = Keypoints.from_points(small.points * (3, 3, 1))
    assert follow_person([[large], [growing, large]]) == [large, large]
    assert follow_person([]) == []


def test_iuv_to_a_picture(tmp_path: Path) -> None:
    iuv = np.zeros((3, 4, 5), np.uint8)
    iuv[:, 1, 2] = 24, 10, 20
    picture = iuv_picture(iuv)
    assert picture[1, 2].tolist() == [20, 10, 255]
    assert np.array_equal(iuv_picture(np.moveaxis(iuv, 0, -1)), picture)
    fractions = iuv / np.array([1, 255, 255])[:, None, None]
    assert np.array_equal(iuv_picture(fractions), picture)
    np.save(tmp_path / "a.npy", iuv)
    assert np.array_equal(read_densepose(tmp_path / "a.npy"), picture)
    for bad in (iuv + 100, iuv[:2], np.full((3, 2, 2), np.nan), -fractions):
        np.save(tmp_path / "b.npy", bad)
        refusal(read_densepose, tmp_path / "b.npy")


def test_an_array_that_claims_to_be_huge(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (3, 1 << 20, 1 << 20)}
    )
    (tmp_path / "a.npy").write_bytes(header.getvalue())
    assert "no IUV array" in refusal(read_densepose, tmp_path / "a.npy")


def test_densepose_pictures_of_the_tool_itself(clips: Path) -> None:
    path = clips / "formats/pose_openpose_densepose/pose_maps-densepose/001_001/frame000100.png"
    picture = read_densepose(path)
    assert picture.shape == (1080, 1920, 3)
    assert picture[..., 2].max() == 255  # the head is there: part 24
