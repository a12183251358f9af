"""The recurrence around the generator, coarse to fine. Training unrolls the ``step`` that streaming calls.

Each scale sees the conditions pooled to its size and its *own* last frames; only given frames are pooled.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from vid2vid.models.generator import Generator
from vid2vid.models.layers import initialise, pad_to_multiple, pool
from vid2vid.types import GeneratorOutput, RecurrentState


class Renderer(nn.Module):
    """Turns a sequence of conditions into a sequence of frames, one ``step`` at a time.

    Frames may have any size: conditions are padded (by reflection) to what the networks need, results are
    cropped back. The state is kept at the padded sizes.

    Args:
        condition_channels: channels of one encoded condition.
        foreground_channels: which of them mark foreground classes; empty turns the foreground networks off.
        history: L, past frames and conditions seen by a step.
        scales: the coarsest network works on frames ``2 ** (scales - 1)`` times smaller than the result.
        width, downs, blocks: of the coarsest network; each enhancer has half the width of the scale below.
        enhancer_blocks: residual blocks of an enhancer.
        foreground: False turns the foreground networks off.
        given_flow: conditions carry the flow from their frame to the one before as two channels more, the
            last, in pixels: the networks warp by it and do not see it otherwise.
        generator: further arguments of ``Generator``, the same at all scales.
    """

    frame_channels = 3

    def __init__(
        self,
        condition_channels: int,
        *,
        foreground_channels: Sequence[int] = (),
        history: int = 2,
        scales: int = 1,
        width: int = 64,
        downs: int = 3,
        blocks: int = 9,
        enhancer_blocks: int = 3,
        foreground: bool = True,
        kernel: int = 7,
        given_flow: bool = False,
        **generator: Any,
    ) -> None:
        super().__init__()
        self.condition_channels = condition_channels
        self.foreground_channels = tuple(foreground_channels)
        self.history = history
        self.given_flow = given_flow
        self.multiple = 2 ** (downs + scales - 1)
        # Normalisation needs two pixels a side at the coarsest, reflection more than half a kernel.
        self._least = self.multiple * max(2, (kernel // 2 >> downs) + 1)
        foreground = foreground and bool(self.foreground_channels)

        def network(scale: int, downs_here: int, blocks: int) -> Generator:
            wide = width >> scale
            slim = wide // 2 if downs > 2 else wide
            return Generator(
                condition_channels,
                history=history,
                width=wide,
                downs=downs_here,
                blocks=blocks,
                scale=scale,
                foreground=slim if foreground else 0,
                kernel=kernel,
                given_flow=given_flow,
                **generator,
            )

        self.coarsest = network(0, downs, blocks)
        self.enhancers = nn.ModuleList(network(scale, 1, enhancer_blocks) for scale in range(1, scales))
        initialise(self)

    @property
    def networks(self) -> list[Generator]:
        """One per scale, the coarsest first."""
        return [self.coarsest, *self.enhancers]

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
        condition, _ = self._split(condition)
        if first_frames is None:
            conditions = [x.repeat(1, self.history, 1, 1) for x in self._pyramid(condition)]
            frames = [x.new_zeros(len(x), 3 * self.history, *x.shape[-2:]) for x in conditions]
            return RecurrentState(tuple(conditions), tuple(frames), 0)
        if condition.shape[:2] != first_frames.shape[:2]:
            raise ValueError("every given frame needs its condition")
        given = first_frames.shape[1]
        picks = [max(given - self.history + i, 0) for i in range(self.history)]
        return RecurrentState(self._stacks(condition, picks), self._stacks(first_frames, picks), given)

    def step(self, condition: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        """The next frame.

        Args:
            condition: (B, C, H, W), encoded condition of the frame to make.
            state: from ``init_state`` or from the last step.

        Returns:
            The output of the finest scale, (B, ., H, W), and the state for the next step.
        """
        height, width = condition.shape[-2:]
        keep = self.condition_channels * self.history
        condition, flows = self._split(condition)
        features, conditions, frames = None, [], []
        for network, now, flow, described, made in zip(
            self.networks, self._pyramid(condition), flows, state.conditions, state.frames, strict=True
        ):
            stack = torch.cat([described, now], dim=1) if self.history else now
            foreground = foreground_of(now, self.foreground_channels)
            output, features = network(stack, made, foreground, state.filled == 0, features, flow)
            conditions.append(stack[:, -keep:] if self.history else described)
            frames.append(_push(made, output.frame, self.history))
        following = RecurrentState(tuple(conditions), tuple(frames), one_more(state.filled, self.history))
        return output.map(lambda tensor: tensor[..., :height, :width]), following

    def forward(self, condition: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        return self.step(condition, state)

    def _split(self, condition: Tensor) -> tuple[Tensor, Sequence[Tensor | None]]:
        """The condition by itself, and the flow that came with it for each scale, where one is given."""
        if not self.given_flow:
            return condition, [None] * len(self.networks)
        condition, flow = condition.split((self.condition_channels, 2), dim=-3)
        if flow.ndim > 4:  # of given frames, which are not made
            return condition, ()
        finest = len(self.networks) - 1
        return condition, [x / 2 ** (finest - scale) for scale, x in enumerate(self._pyramid(flow))]

    def _stacks(self, x: Tensor, picks: Sequence[int]) -> tuple[Tensor, ...]:
        """Per scale (B, n C, h, w): those of x, (B, T, C, H, W), that are picked."""
        pyramids = [self._pyramid(x[:, i]) for i in picks] or [[y[:, :0] for y in self._pyramid(x[:, 0])]]
        return tuple(torch.cat(scale, dim=1) for scale in zip(*pyramids, strict=True))

    def _pyramid(self, x: Tensor) -> list[Tensor]:
        """x (B, C, H, W), padded, at the size of every scale, the coarsest first."""
        scales = [self._pad(x)]
        for _ in self.enhancers:
            scales.insert(0, pool(scales[0]))
        return scales

    def _pad(self, x: Tensor) -> Tensor:
        return pad_to_multiple(x, self.multiple, self._least)


def _push(history: Tensor, newest: Tensor, length: int) -> Tensor:
    """(B, 3 L, H, W) with the oldest frame dropped and ``newest`` (B, 3, H, W) at the end."""
    return torch.cat([history[:, 3:], newest], dim=1) if length else history


def foreground_of(condition: Tensor, channels: Sequence[int]) -> Tensor | None:
    """(B, 1, H, W), 1 where one of these channels of a condition, (B, C, H, W), is; None without any."""
    if not channels:
        return None
    # Not by an index of several, which other runtimes turn the whole condition round for.
    return reduce(torch.add, [condition[:, c : c + 1] for c in channels]).clamp(0, 1)


def one_more(filled: int | Tensor, most: int) -> int | Tensor:
    """How many frames of a history of ``most`` are real, after another; see ``RecurrentState``."""
    return (filled + 1).clamp(max=most) if isinstance(filled, Tensor) else min(filled + 1, most)
