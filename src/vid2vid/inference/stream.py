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
            Where the model has styles, they are the last channels.
        first_frames: (B, 3, H, W) each, in [-1, 1]: the first frames where they are known. They belong to the
            first conditions and come out as they are. Without any, the model's image generator makes as many
            as the history is long; without that, the renderer makes its own.

    Yields:
        (B, 3, H, W) in [-1, 1].
    """
    painter = None if first_frames else model.first_frame
    state: RecurrentState | None = None
    given: list[tuple[Tensor, Tensor]] = []
    for number, condition in enumerate(conditions):
        frame = first_frames[number] if number < len(first_frames) else None
        if painter is not None and number < model.renderer.history:
            frame = _paint(painter, condition)
        if frame is not None:
            given.append((condition, frame))
            given = given[-max(model.renderer.history, 1) :]
            yield frame
            continue
        if state is None:
            known = [torch.stack(part, dim=1) for part in zip(*given, strict=True)]
            state = model.renderer.init_state(*known) if known else model.renderer.init_state(condition)
        output, state = model.renderer.step(condition, state)
        yield output.frame


def _paint(painter: Model, condition: Tensor) -> Tensor:
    """A frame by itself. The painter's styles are its own: it gets the middle of all, zero."""
    own = condition[:, : painter.schema.channels]
    styles = own.new_zeros(len(own), painter.architecture.styles, *own.shape[2:])
    described = torch.cat([own, styles], dim=1)
    output, _ = painter.renderer.step(described, painter.renderer.init_state(described))
    return output.frame
