"""What can be said from answers: intervals of shares, strengths of systems, agreement of raters."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

Z95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution: 95 % lie between minus and plus this."""


def wilson_interval(hits: int, count: int, z: float = Z95) -> tuple[float, float]:
    """The interval of a share, after E. B. Wilson (1927), "Probable inference, the law of succession, and
    statistical inference", JASA 22.

    With p = hits / count: (p + z²/2n ± z √(p (1 - p) / n + z²/4n²)) / (1 + z²/n). Unlike the textbook's
    p ± z √(p (1 - p) / n) it stays within 0 and 1, and is not empty where all answers are alike. It takes
    answers as independent; several answers of one rater are less worth than it says.
    """
    if not count:
        return 0.0, 1.0
    share = hits / count
    middle = share + z * z / (2 * count)
    reach = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    low = 0.0 if hits == 0 else (middle - reach) / scale
    return low, 1.0 if hits == count else (middle + reach) / scale


def bradley_terry(wins: np.ndarray, prior: float = 0.5, rounds: int = 10_000) -> np.ndarray:
    """Strengths of systems from who was preferred to whom, after R. A. Bradley and M. E. Terry (1952).

    The model: i is preferred to j with probability s_i / (s_i + s_j). The likeliest strengths are found by
    the MM algorithm of D. R. Hunter (2004), "MM algorithms for generalized Bradley-Terry models", Annals of
    Statistics 32: s_i = W_i / Σ_j n_ij / (s_i + s_j) again and again, with W_i all that i has won and n_ij
    how often the two met.

    Args:
        wins: (..., K, K), wins[i, j]: how often i was preferred to j. Leading axes are separate studies.
        prior: wins added on both sides of every pair that met. With none, a system that won every time
            would be infinitely strong; a half on each side is as Haldane's correction of log odds.
        rounds: at most; it ends when nothing moves any more.

    Returns:
        (..., K) natural logarithms of the strengths, with mean 0: exp(a - b) are the odds of a against b.
    """
    wins = np.asarray(wins, float)
    met = wins + np.swapaxes(wins, -1, -2)
    wins = wins + prior * (met > 0)
    met = met + 2 * prior * (met > 0)
    won = wins.sum(-1)
    score = np.zeros(won.shape)
    for _ in range(rounds):
        strength = np.exp(score)
        sums = strength[..., :, None] + strength[..., None, :]
        faced = (met / sums).sum(-1)
        # A system that met nobody stays where it is: at the mean.
        ratio = np.divide(won, faced, out=strength.copy(), where=faced > 0)
        new = np.log(np.maximum(ratio, 1e-12))
        new -= new.mean(-1, keepdims=True)
        moved = float(np.abs(new - score).max(initial=0.0))
        score = new
        if moved < 1e-9:
            break
    return score


def bradley_terry_interval(
    groups: Sequence[np.ndarray], seed: int = 0, draws: int = 1000, prior: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """95 % percentile bootstrap of `bradley_terry`, after B. Efron (1979).

    Args:
        groups: the wins (K, K) of what is drawn anew with replacement: those of each rater, or where raters
            are few, of each answer.
        seed: of the draws.
        draws: how many.
        prior: as for `bradley_terry`.

    Returns:
        Lower and upper ends, (K,) each.
    """
    stack = np.stack([np.asarray(group, float) for group in groups])
    dice = np.random.default_rng(seed)
    weights = dice.multinomial(len(stack), np.full(len(stack), 1 / len(stack)), size=draws)
    scores = bradley_terry(np.tensordot(weights, stack, axes=1), prior, rounds=500)
    low, high = np.quantile(scores, (0.025, 0.975), axis=0)
    return low, high


def raw_agreement(units: Sequence[Sequence[int]]) -> float | None:
    """The share of pairs of raters who gave one unit the same answer; None where no unit has two answers.

    Raters who toss coins agree in half of them.
    """
    same = pairs = 0
    for answers in units:
        pairs += len(answers) * (len(answers) - 1)
        same += sum(count * (count - 1) for count in Counter(answers).values())
    return same / pairs if pairs else None


def krippendorff_alpha(units: Sequence[Sequence[int]]) -> float | None:
    """Agreement beyond chance, nominal: K. Krippendorff (2011), "Computing Krippendorff's alpha-reliability".

    1 - (n - 1) Σ_c≠k o_ck / Σ_c≠k n_c n_k, where o_ck counts, unit by unit, how often one rater said c and
    another k, each pair weighted by 1 / (answers of the unit - 1), n_c are its sums, and n is the sum of
    those. Raters may leave units out; units with one answer say nothing. 1: all agree. 0: as by chance.
    None where no unit has two answers.

    Where nearly all answers are the same anyway, chance agreement is high and alpha low or noisy although
    raters agree: read it beside `raw_agreement`.

    Args:
        units: for each thing that was judged, the answers it got.
    """
    apart, totals = 0.0, Counter[int]()
    for answers in units:
        if len(answers) < 2:
            continue
        counts = Counter(answers)
        totals.update(counts)
        equal = sum(count * (count - 1) for count in counts.values())
        apart += (len(answers) * (len(answers) - 1) - equal) / (len(answers) - 1)
    number = sum(totals.values())
    if not number:
        return None
    expected = number * number - sum(count * count for count in totals.values())
    # With one kind of answer only there is no chance to correct for: all agree.
    return 1 - (number - 1) * apart / expected if expected else 1.0
