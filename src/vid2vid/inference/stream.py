"""The streaming engine: conditions in, frames out, one at a time, for as long as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from vid2vid.types import RecurrentState
from vid2vid.zoo import Model


@torch.inference_mode()
def stream(
    model: Model, conditions: Iterable[Tensor], first_frames: Sequence[Tensor] = ()
) -> Iterator[Tensor]:
    """One frame for every condition, with constant memory.

    Args:
        model: where its renderer lies, the frames are made.
        conditions: encoded, (B, C, H, W) each, on the renderer's device; drawn one at a time, when needed.
        first_frames: (B, 3, H, W) each, in [-1, 1]: the first frames where they are known. They belong to the
            first conditions and come out as they are. Without any the renderer makes its own.

    Yields:
        (B, 3, H, W) in [-1, 1].
    """
    state: RecurrentState | None = None
    given: list[tuple[Tensor, Tensor]] = []
    for number, condition in enumerate(conditions):
        if number < len(first_frames):
            given.append((condition, first_frames[number]))
            given = given[-max(model.renderer.history, 1) :]
            yield first_frames[number]
            continue
        if state is None:
            known = [torch.stack(part, dim=1) for part in zip(*given, strict=True)]
            state = model.renderer.init_state(*known) if known else model.renderer.init_state(condition)
        output, state = model.renderer.step(condition, state)
        yield output.frame
