"""How many frames a training has learnt after each of its steps: known before it begins."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, count

import torch

from vid2vid.config import Recipe
from vid2vid.training.schedule import length_at


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
    if not train.rollout:
        return 0
    draw = torch.Generator().manual_seed(train.seed * 1_000_003 + sequence)
    _, rolls, share = torch.rand(3, generator=draw).tolist()  # the first is that of ``given_frames``
    return 1 + int(share * train.rollout) if rolls < 0.5 else 0


def foretold(recipe: Recipe) -> Iterator[tuple[int, int]]:
    """Of every step, from the first, without end: the number of the sequence it belongs to, and the frames
    made and judged in it, over the whole batch. A step that is skipped ends its sequence: what follows then
    comes sooner."""
    data, chunk = recipe.data, recipe.train.chunk
    for sequence in count():
        length = length_at(sequence, data)
        given = min(given_frames(recipe, sequence), length - 1)
        for start in range(given, length, chunk):
            yield sequence, data.batch * min(chunk, length - start)


def frames_after(recipe: Recipe) -> Iterator[int]:
    """Frames made and judged, over the whole batch, after 1 step, 2 steps and so on, without end."""
    return accumulate(frames for _, frames in foretold(recipe))
