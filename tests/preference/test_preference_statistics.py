"""Against published numbers and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vid2vid.preference.statistics import (
    bradley_terry,
    bradley_terry_interval,
    krippendorff_alpha,
    raw_agreement,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [  # R. G. Newcombe (1998), Statistics in Medicine 17, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(hits: int, count: int, low: float, high: float) -> None:
    assert wilson_interval(hits, count) == pytest.approx((low, high), abs=5e-5)


def test_wilson_is_symmetric_and_knows_nothing_of_nothing() -> None:
    low, high = wilson_interval(3, 11)
    assert wilson_interval(8, 11) == pytest.approx((1 - high, 1 - low))
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert wilson_interval(7, 7)[1] == 1.0


def test_bradley_terry_of_two_is_the_odds() -> None:
    score = bradley_terry(np.array([[0, 30], [10, 0]]), prior=0)
    assert score[0] - score[1] == pytest.approx(math.log(3))
    assert score.sum() == pytest.approx(0)


def test_bradley_terry_recovers_strengths_from_exact_shares() -> None:
    true = np.array([1.2, 0.3, -0.5, -1.0])
    odds = np.exp(true)
    wins = 1000 * odds[:, None] / (odds[:, None] + odds)
    np.fill_diagonal(wins, 0)
    assert bradley_terry(wins, prior=0) == pytest.approx(true, abs=1e-6)


def test_bradley_terry_stays_finite_and_ranks_a_system_that_never_lost() -> None:
    score = bradley_terry(np.array([[0, 8, 8], [0, 0, 5], [0, 3, 0]]))
    assert np.isfinite(score).all()
    assert score[0] > score[1] > score[2]
    # By hand for two: (8 + 1/2) / (1/2).
    two = bradley_terry(np.array([[0, 8], [0, 0]]))
    assert two[0] - two[1] == pytest.approx(math.log(17), abs=1e-6)


def test_the_bootstrap_is_repeatable_and_covers_what_is_true() -> None:
    dice = np.random.default_rng(3)
    answers = [
        np.array([[0, 1], [0, 0]]) if win else np.array([[0, 0], [1, 0]]) for win in dice.random(400) < 0.7
    ]
    low, high = bradley_terry_interval(answers, seed=1)
    again, _ = bradley_terry_interval(answers, seed=1)
    assert np.array_equal(low, again)
    half = math.log(0.7 / 0.3) / 2
    assert low[0] < half < high[0]
    # Near the normal approximation: half the standard error of a log odds, 1 / sqrt(n p q) / 2.
    assert (high[0] - low[0]) / 2 == pytest.approx(1.96 / math.sqrt(400 * 0.21) / 2, rel=0.15)


def test_alpha_gives_krippendorffs_examples() -> None:
    """Computing Krippendorff's alpha-reliability (2011): sections A, and C with missing answers."""
    first = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    second = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert krippendorff_alpha([*zip(first, second, strict=True)]) == pytest.approx(0.095, abs=5e-4)
    units = [[1, 1, 1], [2, 2, 3, 2], [3, 3, 3, 3], [3, 3, 3, 3], [2, 2, 2, 2], [1, 2, 3, 4]]
    units += [[4, 4, 4, 4], [1, 1, 2, 1], [2, 2, 2, 2], [5, 5, 5], [1, 1], [3]]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_agreement_at_its_ends() -> None:
    for measure in (krippendorff_alpha, raw_agreement):
        assert measure([[0, 0, 0], [1, 1, 1]]) == 1.0
        assert measure([[1, 1], [1, 1]]) == 1.0
        assert measure([[0], [1]]) is None
        assert measure([]) is None
    assert raw_agreement([[0, 1], [1, 1]]) == 0.5
