"""What holds at a step: a pure function of the recipe, so that a run can be looked ahead and resumed."""

from __future__ import annotations

from dataclasses import dataclass

from vid2vid.config import TrainConfig


@dataclass(frozen=True)
class Stage:
    """The settings of one optimiser step."""

    rate: float
    """Factor on both learning rates."""


def stage_at(step: int, train: TrainConfig) -> Stage:
    """Constant learning rate, then linear decay to zero at the last step (paper, section 4)."""
    start = train.decay_from * train.steps
    if step < start or train.steps <= start:
        return Stage(rate=1.0)
    return Stage(rate=max(0.0, (train.steps - step) / (train.steps - start)))
