"""Our own drawings, the curves below all of them, and smoothing in time."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_people import face, person
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vid2vid.annotators import (
    Keypoints,
    OneEuro,
    draw_face,
    draw_openpose,
    draw_pose,
    fill_gaps,
    sketch_face,
    smooth_points,
)
from vid2vid.annotators.curves import paint, sample_curve

PLACES = st.floats(-1e6, 1e6, width=32)
SHARES = st.floats(0, 1, width=32)
FEW = settings(max_examples=30)


def test_a_line_is_sampled_once_per_pixel() -> None:
    sampled = sample_curve(np.array([[2.0, 5.0], [12.0, 9.0]]))
    assert sampled is not None
    x, y = sampled
    assert len(x) == 10
    assert (x[0], y[0], x[-1], y[-1]) == (2, 5, 12, 9)


@pytest.mark.parametrize(
    "points", [[(1, 1), (1, 1)], [(0, 0), (0.5, 0.2)], [(0, 0), (9, 1), (0, 5)], [(0, 0), (2, 9), (5, 1)]]
)
def test_curves_that_are_left_out(points: list[tuple[float, float]]) -> None:
    sampled = sample_curve(np.array(points, dtype=float))
    if sampled is not None:  # a parabola along the other axis
        assert np.abs(np.concatenate(sampled)).max() < 20


def test_what_is_painted_over_is_averaged_and_stays_inside() -> None:
    picture = np.zeros((6, 8, 3), np.uint8)
    paint(picture, np.array([0, 1, 7]), np.array([0, 0, 5]), (200, 0, 0), brush=1)
    assert picture[5, 7, 0]
    picture[:] = (0, 100, 0)
    paint(picture, np.array([4]), np.array([3]), (200, 0, 0), brush=1)
    assert picture[3, 4].tolist() == [100, 50, 0]


@FEW
@given(arrays(np.float32, (68, 2), elements=PLACES))
def test_any_face_can_be_drawn(points: np.ndarray) -> None:
    assert draw_face(points, (40, 30)).shape == (30, 40, 15)
    assert sketch_face(points, (40, 30)).shape == (30, 40, 3)


@FEW
@given(
    arrays(np.float32, (137, 2), elements=PLACES), arrays(np.float32, 137, elements=st.floats(0, 1, width=32))
)
def test_anybody_can_be_drawn(places: np.ndarray, confidence: np.ndarray) -> None:
    somebody = Keypoints.from_points(np.concatenate([places, confidence[:, None]], axis=1))
    assert draw_openpose([somebody], (40, 30)).shape == (30, 40, 3)
    assert draw_pose(somebody, (40, 30)).shape == (30, 40, 3)


def test_points_nobody_is_sure_of_are_left_out() -> None:
    points = person().points
    points[:, 2] = 0.005
    nobody = Keypoints.from_points(points)
    assert not draw_openpose([nobody], (120, 160)).any()
    assert not draw_pose(nobody, (120, 160)).any()
    assert not draw_pose(None, (120, 160)).any()
    points = person().points
    points[4, 2] = 0  # the right wrist
    whole = draw_pose(person(), (120, 160)).astype(int)
    less = draw_pose(Keypoints.from_points(points), (120, 160)).astype(int)
    changed = np.argwhere((whole != less).any(axis=-1))
    assert len(changed)
    assert changed[:, 1].max() < 60  # on the right side of the body, the left of the picture


def test_limbs_are_as_wide_as_the_person_is_large() -> None:
    def share(scale: float) -> float:
        somebody = person().scaled(scale, scale)
        return float(draw_pose(somebody, (int(120 * scale), int(160 * scale))).any(axis=-1).mean())

    assert share(4) == pytest.approx(share(2), rel=0.2)


def test_a_sketch_has_soft_edges_and_no_face_is_black() -> None:
    assert len(np.unique(sketch_face(face(), (160, 120)))) > 20
    assert not sketch_face(np.zeros((68, 2)), (160, 120)).any()


def test_people_are_added() -> None:
    both = draw_openpose([person(), person(move=1)], (120, 160)).astype(int)
    apart = [draw_openpose([somebody], (120, 160)).astype(int) for somebody in (person(), person(move=1))]
    assert np.array_equal(both, np.minimum(apart[0] + apart[1], 255))


def trembling(frames: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """The true way of a point and what was measured of it, (T, 1, 3) each."""
    t = np.arange(frames)
    true = np.stack([3.0 * t, 50 + 0 * t, np.ones(frames)], axis=-1)[:, None]
    noise = np.random.default_rng(0).normal(0, 1.5, true.shape) * (1, 1, 0)
    return true.astype(np.float32), (true + noise).astype(np.float32)


def test_smoothing_calms_and_does_not_lag_far() -> None:
    true, seen = trembling()
    smooth = smooth_points(seen, rate=30)
    assert np.std(np.diff(smooth[10:, 0, 1])) < 0.5 * np.std(np.diff(seen[10:, 0, 1]))
    assert np.abs(smooth - true).max() < 12


def test_a_filter_streams_and_takes_up_what_comes_back() -> None:
    _, seen = trembling(20)
    seen[5:8] = 0
    stream = OneEuro(30)
    frames = [stream(frame) for frame in seen]
    assert np.array_equal(np.stack(frames), smooth_points(seen, 30))
    assert not frames[6].any()
    assert np.array_equal(frames[8], seen[8])
    with pytest.raises(ValueError, match="points"):
        stream(np.zeros((2, 3)))


@pytest.mark.parametrize("wrong", [{"rate": 0}, {"rate": float("nan")}, {"rate": 25, "response": -1}])
def test_filters_that_make_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        OneEuro(**wrong)


def test_short_gaps_are_filled() -> None:
    true, _ = trembling(20)
    seen = true.copy()
    seen[3:5] = 0
    seen[8:14] = 0
    seen[18:] = 0
    seen[2, 0, 2] = 0.5
    before = seen.copy()
    filled = fill_gaps(seen, longest=3)
    assert np.array_equal(seen, before)
    assert np.allclose(filled[3:5, :, :2], true[3:5, :, :2])
    assert filled[3, 0, 2] == 0.5
    assert not filled[8:14].any()
    assert not filled[18:].any()


@FEW
@given(arrays(np.float32, (7, 3, 3), elements=SHARES), st.integers(0, 7))
def test_what_was_seen_is_never_changed_by_filling(points: np.ndarray, longest: int) -> None:
    filled = fill_gaps(points, longest)
    seen = points[..., 2] > 0.01
    assert np.array_equal(filled[seen], points[seen])
    assert np.isfinite(smooth_points(filled, 25)).all()


def test_a_still_point_stays() -> None:
    still = np.tile(np.array([[[4.0, 5.0, 1.0]]], np.float32), (9, 1, 1))
    assert np.allclose(smooth_points(still, 25), still)
    assert smooth_points(np.zeros((0, 3, 3)), 25).shape == (0, 3, 3)
