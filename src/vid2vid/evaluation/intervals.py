"""How sure is a figure? Bootstrap intervals over clips, or over blocks of frames where there is one clip.

A figure follows from a sum over clips or frames (see ``metrics.py``), so drawing them anew is drawing
weights. All systems are given the same draws: the interval of the difference between two is that of paired
values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ROUNDS = 2000
LEAST_BLOCK = 5
"""Frames. What lies in one block stays together: neighbouring frames resemble each other, and drawn one by
one they would make intervals far too narrow (moving-block bootstrap, Kuensch 1989)."""


def block_length(frames: int) -> int:
    """Frames of a block: the cube root of the clip's, which suits its bias, but at least ``LEAST_BLOCK``."""
    return max(LEAST_BLOCK, round(frames ** (1 / 3)))


def draw_weights(frames: Sequence[int], rounds: int = ROUNDS, seed: int = 0) -> np.ndarray | None:
    """How often each clip, or each frame of a single clip, is drawn in each round.

    Args:
        frames: of each clip.

    Returns:
        (rounds, clips), or (rounds, frames) of a single clip; each row sums to as many as there are. None
        where a single clip is shorter than two blocks.
    """
    rng = np.random.default_rng(seed)
    if len(frames) > 1:
        return rng.multinomial(len(frames), np.full(len(frames), 1 / len(frames)), rounds).astype(np.float64)
    (length,) = frames
    block = block_length(length)
    if length < 2 * block:
        return None
    starts = rng.integers(0, length - block + 1, (rounds, -(-length // block)))
    places = (starts[..., None] + np.arange(block)).reshape(rounds, -1)[:, :length]
    weights = np.zeros((rounds, length))
    np.add.at(weights, (np.arange(rounds)[:, None], places), 1.0)
    return weights


def redrawn(weights: np.ndarray, terms: Sequence[np.ndarray]) -> np.ndarray:
    """Sums of terms (rounds, k) with the weights of ``draw_weights``; terms: (frames, k) of each clip."""
    rows = terms[0] if len(terms) == 1 else np.stack([clip.sum(axis=0) for clip in terms])
    return weights @ rows


def interval(figures: np.ndarray, share: float = 0.95) -> list[float] | None:
    """[low, high], the percentiles that hold ``share`` of the redrawn figures (rounds,); None without any."""
    known = figures[np.isfinite(figures)]
    if not len(known):
        return None
    low, high = np.percentile(known, [50 * (1 - share), 50 * (1 + share)])
    return [float(low), float(high)]
