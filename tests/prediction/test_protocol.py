"""How far ahead, from how many starts, how good."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny import CLASSES
from vid2vid.conditions import LabelClass, LabelSchema
from vid2vid.errors import UserError
from vid2vid.evaluation.metrics import MSSSIM, Context, GradientError
from vid2vid.flow import open_estimator
from vid2vid.prediction.protocol import Judge, LabelIoU, Tally, horizons, starts


@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=4),
    observed=st.integers(2, 6),
    frames=st.integers(1, 12),
    every=st.integers(1, 5),
    begin=st.integers(0, 30),
)
def test_targets_are_predicted_and_nothing_else(
    lengths: list[int], observed: int, frames: int, every: int, begin: int
) -> None:
    wanted = [length - max(begin, observed) for length in lengths]
    if max(wanted) < 1:
        with pytest.raises(UserError, match="leaves nothing to predict"):
            starts(lengths, observed, frames, f"{begin}:", every)
        return
    found = starts(lengths, observed, frames, f"{begin}:", every)
    for start in found:
        assert max(begin, observed) <= start.first < start.stop <= lengths[start.clip]
        assert start.stop - start.first == min(frames, lengths[start.clip] - start.first)
    assert len(found) == sum(-(-count // every) for count in wanted if count > 0)
    assert all(k <= min(frames, max(wanted)) for k in horizons(found))


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=6), min_size=1, max_size=6))
def test_figures_are_means_over_the_starts_that_reach_as_far(values: list[list[float]]) -> None:
    tally = Tally()
    for curve in values:
        tally.add(np.array([[value, 1.0] for value in curve]))
    for k in range(1, max(map(len, values)) + 1):
        reach = [curve for curve in values if len(curve) >= k]
        assert tally.counts[k - 1] == len(reach)
        figures = tally.figures(MSSSIM, k)
        assert figures["frame"] == pytest.approx(np.mean([curve[k - 1] for curve in reach]))
        assert figures["running"] == pytest.approx(np.mean([np.mean(curve[:k]) for curve in reach]))


def test_overlap_is_that_of_all_frames_and_ignored_classes_do_not_count() -> None:
    schema = LabelSchema((*CLASSES.classes, LabelClass(99, "void", (0, 0, 0), ignore=True)))
    truth = np.repeat([0, 1, 2, 3], 16).reshape(8, 8)
    judge = Judge(schema, None, open_estimator("dis"))
    judge.see((np.zeros((8, 8, 3), np.uint8), truth), None, truth)
    judge.see((np.zeros((8, 8, 3), np.uint8), truth), None, np.where(truth == 2, 3, truth))
    kind, terms = judge.terms["label_iou"]
    assert kind is LabelIoU
    assert [float(kind.summary(row)) for row in terms] == [1.0, pytest.approx(2 / 3)]
    assert float(kind.summary(terms.sum(0))) == pytest.approx((1 + 1 + 0.5) / 3)


def test_gradients_apart_are_told_blur_and_shifts_are_worse_than_noise_free_copies() -> None:
    rng = np.random.default_rng(0)
    real = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
    context = Context(open_estimator("dis"))
    flat, shifted = np.full_like(real, 128), np.roll(real, 1, axis=1)
    same, blurred, moved = (GradientError().measure(real, made, context) for made in (real, flat, shifted))
    assert same == 0
    assert blurred > 10
    assert moved > 10
    up = np.zeros((16, 16, 3), np.uint8)
    up[8:] = 100  # one step of 100 in one of 15 rows of differences
    assert GradientError().measure(up, up * 0, context) == pytest.approx(100 / 15)


@pytest.mark.parametrize(("frames", "every"), [(0, 1), (1, 0)])
def test_numbers_that_mean_nothing_are_one_line(frames: int, every: int) -> None:
    with pytest.raises(UserError, match="give 1 or more"):
        starts([20], 2, frames, None, every)
