"""The recurrence around the generator. Training unrolls the very ``step`` that streaming calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vid2vid.models.generator import Generator
from vid2vid.models.layers import initialise
from vid2vid.types import GeneratorOutput, RecurrentState


class Renderer(nn.Module):
    """Turns a sequence of conditions into a sequence of frames, one ``step`` at a time.

    Frames may have any size: conditions are padded (by reflection) to what the network needs, results are
    cropped back. The state is kept at the padded size.

    Args:
        condition_channels: channels of one encoded condition.
        foreground_channels: which of them mark foreground classes; empty turns the foreground network off.
        history: L, past frames and conditions seen by a step.
        generator: further arguments of ``Generator``.
    """

    def __init__(
        self,
        condition_channels: int,
        *,
        foreground_channels: Sequence[int] = (),
        history: int = 2,
        **generator: Any,
    ) -> None:
        super().__init__()
        self.condition_channels = condition_channels
        self.foreground_channels = tuple(foreground_channels)
        self.history = history
        self.multiple = 2 ** generator.get("downs", 3)
        # Normalisation needs two pixels a side at the coarsest, reflection more than half a kernel.
        self._least = self.multiple * max(2, generator.get("kernel", 7) // 2 // self.multiple + 1)
        foreground = bool(generator.pop("foreground", True) and self.foreground_channels)
        self.coarsest = Generator(condition_channels, history=history, foreground=foreground, **generator)
        initialise(self)

    def init_state(self, condition: Tensor, first_frames: Tensor | None = None) -> RecurrentState:
        """The state before the first step.

        Args:
            condition: (B, C, H, W), the condition of the frame about to be made, or of the given frames: then
                (B, n, C, H, W) with the n conditions of ``first_frames``.
            first_frames: (B, n, 3, H, W) in [-1, 1]: the frames that came before, oldest first (the last L
                are kept). None: the renderer makes the first frame itself.

        Where fewer than L frames or conditions are known, the oldest known one stands in; frames are zero
        where none is known.
        """
        if first_frames is None:
            known = self._pad(condition)
            batch, _, height, width = known.shape
            conditions = known.repeat(1, self.history, 1, 1)
            return RecurrentState(
                (conditions,), (known.new_zeros(batch, 3 * self.history, height, width),), 0
            )
        if condition.shape[:2] != first_frames.shape[:2]:
            raise ValueError("every given frame needs its condition")
        given = first_frames.shape[1]
        picks = [max(given - self.history + i, 0) for i in range(self.history)]
        conditions = torch.cat([self._pad(condition[:, i]) for i in picks] or [condition[:, 0, :0]], dim=1)
        frames = torch.cat([self._pad(first_frames[:, i]) for i in picks] or [first_frames[:, 0, :0]], dim=1)
        return RecurrentState((conditions,), (frames,), given)

    def step(self, condition: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        """The next frame.

        Args:
            condition: (B, C, H, W), encoded condition of the frame to make.
            state: from ``init_state`` or from the last step.

        Returns:
            The output, (B, ., H, W), and the state for the next step.
        """
        height, width = condition.shape[-2:]
        condition = self._pad(condition)
        conditions = torch.cat([state.conditions[0], condition], dim=1) if self.history else condition
        output, _ = self.coarsest(
            conditions, state.frames[0], self._foreground(condition), first=state.filled == 0
        )
        following = RecurrentState(
            conditions=(conditions[:, self.condition_channels :],) if self.history else state.conditions,
            frames=(_push(state.frames[0], output.frame, self.history),),
            filled=min(state.filled + 1, self.history) if self.history else 0,
        )
        return output.map(lambda tensor: tensor[..., :height, :width]), following

    def forward(self, condition: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        return self.step(condition, state)

    def _foreground(self, condition: Tensor) -> Tensor | None:
        if not self.foreground_channels:
            return None
        return condition[:, list(self.foreground_channels)].sum(1, keepdim=True).clamp(0, 1)

    def _pad(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        down, right = (max(-side % self.multiple, self._least - side) for side in (height, width))
        if not (down or right):
            return x
        reflects = down < height and right < width
        return F.pad(x, (0, right, 0, down), mode="reflect" if reflects else "replicate")


def _push(history: Tensor, newest: Tensor, length: int) -> Tensor:
    """(B, 3 L, H, W) with the oldest frame dropped and ``newest`` (B, 3, H, W) at the end."""
    return torch.cat([history[:, 3:], newest], dim=1) if length else history
