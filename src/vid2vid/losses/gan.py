"""Least-squares GAN and discriminator feature matching (paper, section 3.2)."""

from __future__ import annotations

from torch import Tensor

from vid2vid.models.discriminators import Judgement


def least_squares(judgement: Judgement, target: float) -> Tensor:
    """Mean squared distance of the verdicts to ``target`` (1 real, 0 fake), summed over scales."""
    return sum((scale[-1] - target).square().mean() for scale in judgement)  # type: ignore[return-value]


def feature_matching(real: Judgement, fake: Judgement) -> Tensor:
    """L1 between the activations on real and fake input, every layer but the last; the real side is detached.

    Weighted 4 / layers per layer and averaged over scales, as published. Of k N fakes each N are compared
    with the same N real ones.
    """
    layers = len(real[0]) - 1
    total = sum(
        (before.unflatten(0, (-1, len(after))) - after.detach()).abs().mean()
        for fakes, reals in zip(fake, real, strict=True)
        for before, after in zip(fakes[:-1], reals[:-1], strict=True)
    )
    return total * (4.0 / layers / len(real))
