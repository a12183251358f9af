"""What holds at a step: a pure function of the recipe, so that a run can be looked ahead and resumed."""

from __future__ import annotations

from dataclasses import dataclass

from vid2vid.config import TrainConfig


@dataclass(frozen=True)
class Stage:
    """The settings of one optimiser step."""

    rate: float
    """Factor on both learning rates."""
    finest_alone: bool = False
    """Only the finest scale learns."""


def stage_at(step: int, train: TrainConfig) -> Stage:
    """Constant learning rate, then linear decay to zero at the last step (paper, section 4); at first the
    finest scale alone, then all of them."""
    start = train.decay_from * train.steps
    decays = start < train.steps and step >= start
    return Stage(
        rate=max(0.0, (train.steps - step) / (train.steps - start)) if decays else 1.0,
        finest_alone=step < train.finest_alone * train.steps,
    )
