"""Several futures: of noises that are drawn, the one whose frames come nearest to what happened learns."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vid2vid.losses.pixel import cross_entropy
from vid2vid.training.distributed import Team
from vid2vid.types import GeneratorOutput, RecurrentState

Step = Callable[[Tensor, RecurrentState], tuple[GeneratorOutput, RecurrentState]]


@torch.no_grad()
def nearest_future(
    step: Step,
    still: Tensor,
    state: RecurrentState,
    real: Tensor,
    count: int,
    draw: torch.Generator,
    team: Team,
) -> Tensor:
    """The noise of a few frames, (B, n, Z, 1, 1), the same for all of a clip.

    In half of the calls, and always where ``count`` is 0, it is ``still``, zeros: whatever happens teaches
    the most likely future. Else ``count`` noises are tried, and for each clip the best by cross-entropy is
    taken: the others learn nothing from what they did not foresee, so that they stay different.

    Args:
        still: (B, n, Z, 1, 1).
        real: (B, n, C, H, W), what is to be made from ``state`` on.
        draw: the same in all processes that share the batch.
    """
    if not count or float(torch.rand((), generator=draw, device=draw.device)) < 0.5:
        return still
    clips, _, numbers = still.shape[:3]
    whole = torch.randn((clips * team.size, count, numbers, 1, 1), generator=draw, device=draw.device)
    noises = team.part(whole).to(still)
    distances = torch.stack([_distance(step, noise, state, real) for noise in noises.unbind(1)])
    best = noises[torch.arange(clips), distances.argmin(0)]
    return best[:, None].expand_as(still)


def _distance(step: Step, noise: Tensor, state: RecurrentState, real: Tensor) -> Tensor:
    """(B,) between a future of n frames and the real one."""
    total = real.new_zeros(len(real))
    for now in real.unbind(1):
        output, state = step(noise, state)
        total = total + cross_entropy(output.frame, now)
    return total
