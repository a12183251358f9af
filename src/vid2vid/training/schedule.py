"""What holds at a step: a pure function of the recipe, so that a run can be looked ahead and resumed."""

from __future__ import annotations

from dataclasses import dataclass

from vid2vid.config import DataConfig, Recipe, TrainConfig


@dataclass(frozen=True)
class Stage:
    """The settings of one optimiser step, but for the learning rate (see ``rate_at``)."""

    length: int
    """Frames of the sequence, those given included."""
    backprop: int
    """Frames gradients reach back within a chunk."""
    temporal_scales: int
    """Video discriminators whose groups fit into the sequence; the others see nothing and learn nothing."""
    finest_alone: bool
    """Only the finest scale learns."""
    decays: bool
    """The learning rate falls from step to step."""


def stage_at(step: int, sequence: int, recipe: Recipe) -> Stage:
    """What holds at ``step``, which belongs to sequence number ``sequence``.

    What concerns a whole sequence depends on its number alone: it stays as it is within the sequence, and no
    step that was skipped before can shift it. At first the finest scale learns alone, then all of them.
    """
    train, judges = recipe.train, recipe.discriminator
    length = length_at(sequence, recipe.data)
    first = (train.first_backprop if recipe.data.longer_every else 0) or train.backprop
    scales = judges.temporal_scales if recipe.loss.video_gan else 0
    spans = [(judges.frames - 1) * judges.frames**scale for scale in range(scales)]
    return Stage(
        length=length,
        backprop=min(first << _doublings(sequence, recipe.data), train.backprop),
        temporal_scales=sum(span < length + train.rollout for span in spans),
        finest_alone=step < train.finest_alone * train.steps,
        decays=train.decay_from * train.steps <= step,
    )


def rate_at(step: int, train: TrainConfig) -> float:
    """Factor on both learning rates: constant, then linear decay to zero at the last step (paper,
    section 4)."""
    start = train.decay_from * train.steps
    decays = start < train.steps and step >= start
    return max(0.0, (train.steps - step) / (train.steps - start)) if decays else 1.0


def length_at(sequence: int, data: DataConfig) -> int:
    """Frames of sequence number ``sequence``, counted in batches: doubled again and again, up to the longest
    (paper, section 4)."""
    return min((data.first_sequence or data.sequence) << _doublings(sequence, data), data.sequence)


def lengths(data: DataConfig) -> tuple[tuple[int, int], ...]:
    """(number of the first sequence, frames) of each length, in their order."""
    found = [(0, length_at(0, data))]
    while found[-1][1] < data.sequence:
        number = found[-1][0] + data.longer_every
        found.append((number, length_at(number, data)))
    return tuple(found)


def _doublings(sequence: int, data: DataConfig) -> int:
    """How often lengths have doubled; beyond 64 times nothing is told apart."""
    return min(sequence // data.longer_every, 64) if data.longer_every else 0
