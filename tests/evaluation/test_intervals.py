"""The bootstrap against what is known of means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vid2vid.evaluation.intervals import LEAST_BLOCK, block_length, draw_weights, interval, redrawn


def as_terms(values: np.ndarray) -> np.ndarray:
    return np.stack([values, np.ones_like(values)], axis=1)


def means(sums: np.ndarray) -> np.ndarray:
    return sums[:, 0] / sums[:, 1]


@settings(max_examples=40)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_every_draw_has_as_many_clips_or_frames_as_there_are(frames: list[int], seed: int) -> None:
    weights = draw_weights(frames, rounds=20, seed=seed)
    if len(frames) == 1 and frames[0] < 2 * block_length(frames[0]):
        assert weights is None
        return
    assert weights is not None
    wanted = len(frames) if len(frames) > 1 else frames[0]
    assert weights.shape == (20, wanted)
    assert (weights.sum(axis=1) == wanted).all()
    again = draw_weights(frames, rounds=20, seed=seed)
    assert again is not None
    assert (weights == again).all()


def test_blocks_are_drawn_whole() -> None:
    weights = draw_weights([10], rounds=200)
    assert weights is not None
    assert block_length(10) == LEAST_BLOCK == 5
    # Two blocks of five: a frame is drawn at most twice, and its neighbours with it.
    assert weights.max() == 2
    assert (np.abs(np.diff(weights, axis=1)).sum(axis=1) <= 4).all()
    assert block_length(1000) == 10


def test_the_interval_of_independent_frames_is_the_textbook_one() -> None:
    values = np.random.default_rng(0).normal(3, 2, 2000)
    weights = draw_weights([2000], rounds=4000)
    assert weights is not None
    found = interval(means(redrawn(weights, [as_terms(values)])))
    assert found is not None
    half = 1.96 * values.std() / np.sqrt(2000)
    assert found[0] == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found[1] == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_frames_that_resemble_their_neighbours_are_worth_less() -> None:
    rng = np.random.default_rng(1)
    slow = np.repeat(rng.normal(0, 1, 100), 10)
    weights = draw_weights([1000])
    assert weights is not None
    found = interval(means(redrawn(weights, [as_terms(slow)])))
    assert found is not None
    alone = 2 * 1.96 * slow.std() / np.sqrt(1000)
    assert found[1] - found[0] > 2 * alone


def test_clips_are_drawn_whole() -> None:
    clips = [as_terms(np.full(5, 1.0)), as_terms(np.full(5, 2.0)), as_terms(np.full(20, 4.0))]
    weights = draw_weights([5, 5, 20], rounds=3000)
    assert weights is not None
    found = means(redrawn(weights, clips))
    assert set(np.round(found, 6)) <= {
        round((5 * a + 10 * b + 80 * c) / (5 * a + 5 * b + 20 * c), 6)
        for a in range(4)
        for b in range(4)
        for c in range(4)
        if a + b + c == 3
    }
    assert interval(found) == [1.0, 4.0]


def test_the_difference_of_paired_values_is_surer_than_either() -> None:
    rng = np.random.default_rng(2)
    hard = rng.normal(20, 5, 200)
    one, other = hard + rng.normal(0, 0.1, 200), hard - 0.5
    weights = draw_weights([200])
    assert weights is not None
    first, second = (means(redrawn(weights, [as_terms(values)])) for values in (one, other))
    between, alone = interval(first - second), interval(first)
    assert between is not None
    assert alone is not None
    assert 0.4 < between[0] < between[1] < 0.6
    assert alone[1] - alone[0] > 1


def test_what_was_never_measured_has_no_interval() -> None:
    assert interval(np.full(10, np.nan)) is None
    assert interval(np.array([np.nan, 1.0, 3.0])) == pytest.approx([1.05, 2.95])
