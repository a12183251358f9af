"""The drawings of 2018, to the pixel."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from drawn_people import face

from vid2vid.annotators import draw_face, draw_openpose, read_landmarks, read_openpose
from vid2vid.annotators.canny import canny_edges
from vid2vid.annotators.draw_face import face_crop, part_labels
from vid2vid.video import read_picture

POSES = "formats/pose_openpose_densepose/poses-openpose/001_001"
FACES = "formats/face_dlib68"


@pytest.mark.parametrize("name", ["face_00000", "face_00001"])
def test_faces_are_the_published_ones(golden: Path, name: str) -> None:
    case = np.load(golden / "drawings" / f"{name}.npz")
    drawing = draw_face(case["landmarks"], (640, 480))
    assert np.array_equal(drawing[..., 0], case["edges"])
    assert np.array_equal(np.moveaxis(drawing[..., 1:], -1, 0), case["distances"])
    assert np.array_equal(part_labels(case["landmarks"], (640, 480)), case["part_labels"])


@pytest.mark.parametrize("name", ["frame000100", "frame000101"])
def test_people_are_the_published_ones(golden: Path, clips: Path, name: str) -> None:
    people = read_openpose(clips / POSES / f"{name}.json")
    assert np.array_equal(
        draw_openpose(people, (1920, 1080)), read_picture(golden / f"drawings/pose_{name}.png")
    )


def test_a_face_of_our_own_stays_as_it_is() -> None:
    """Drawn once with the fit of SciPy 1.17 in place of ours, with the same result."""
    assert hashlib.sha256(draw_face(face(), (160, 120)).tobytes()).hexdigest()[:16] == "baeb0804f4efef10"


def test_edges_are_drawn_outside_the_face_only(clips: Path) -> None:
    names = sorted((clips / FACES / "landmarks-dlib68").glob("*/00000.json"))
    frame = read_picture(next((clips / FACES / "images").glob("*/00000.jpg")))
    points = read_landmarks(names[0])
    plain, drawn = draw_face(points, (640, 480)), draw_face(points, (640, 480), frame)
    added = drawn[..., 0] != plain[..., 0]
    assert added.sum() > 1000
    assert not part_labels(points, (640, 480))[added].any()
    assert np.array_equal(drawn[..., 1:], plain[..., 1:])
    x, y, width, height = face_crop([points], (640, 480)) or (0, 0, 0, 0)
    assert width == height == int(2.5 * np.ptp(points[:, 0]))
    assert 0 <= x <= 640 - width
    assert 0 <= y <= 480 - height


def test_canny_is_that_of_scikit_image() -> None:
    """A disc on a slope in noise; the sum was measured with scikit-image 0.26."""
    y, x = np.mgrid[:60, :80]
    noise = (x * 7919 + y * 104729) % 13
    grey = (2 * x + 60 * ((x - 40) ** 2 + (y - 30) ** 2 < 300) + noise).astype(np.uint8)
    edges = canny_edges(grey)
    assert (int(edges.sum()), int((edges * (x + 80 * y)).sum())) == (120, 290692)
    assert not canny_edges(np.zeros((2, 2), np.uint8)).any()
