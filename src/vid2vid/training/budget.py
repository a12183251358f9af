"""How many frames a training has learnt after each of its steps: known before it begins."""

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


def rolled_frames(recipe: Recipe, sequence: int) -> int:
    """How many frames sequence number ``sequence`` runs on by itself before those that are learnt: of every
    two sequences one begins at once."""
    train = recipe.train
    draw = torch.Generator().manual_seed(train.seed * 1_000_003 + sequence)
    _, rolls, share = torch.rand(3, generator=draw).tolist()  # the first is that of ``given_frames``
    return 1 + int(share * train.rollout) if train.rollout and rolls < 0.5 else 0


def frames_after(recipe: Recipe) -> Iterator[int]:
    """Frames made and judged, over the whole batch, after 1 step, 2 steps and so on, without end."""
    data, chunk = recipe.data, recipe.train.chunk
    made = 0
    for sequence in count():
        given = min(given_frames(recipe, sequence), data.sequence - 1)
        for start in range(given, data.sequence, chunk):
            made += data.batch * min(chunk, data.sequence - start)
            yield made
