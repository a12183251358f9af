"""How many frames a training has made after each of its steps: known before it begins."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import torch

from vid2vid.config import Recipe


def given_frames(recipe: Recipe, sequence: int) -> int:
    """How many real frames sequence number ``sequence`` starts from: 0, or the whole history."""
    train = recipe.train
    draw = torch.Generator().manual_seed(train.seed * 1_000_003 + sequence)
    self_made = float(torch.rand((), generator=draw)) < train.self_made_first
    return 0 if self_made else recipe.model.history


def frames_after(recipe: Recipe) -> Iterator[int]:
    """Frames made, over the whole batch, after 1 step, 2 steps and so on, without end."""
    data, chunk = recipe.data, recipe.train.chunk
    made = 0
    for sequence in count():
        given = min(given_frames(recipe, sequence), data.sequence - 1)
        for start in range(given, data.sequence, chunk):
            made += data.batch * min(chunk, data.sequence - start)
            yield made
