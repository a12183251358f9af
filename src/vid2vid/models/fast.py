"""The fast renderer: a compact relative of the paper's generator, designed for the clock.

What it makes is equation 4 as it stands,

    y_t = (1 - m_t) * warp(y_{t-1}, w_t) + m_t * h_t

but nearly all work is done at a quarter of the size and below. A condition is seen through one convolution
that strides by four, which on label maps is a sum of table rows; of past conditions a quarter of the size is
remembered. One network serves picture, mask and flow; picture and mask leave it as 4x4 pixels at a time, and
the flow is smooth, so it is enlarged. There is no foreground network: the mask has that choice, too.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vid2vid.flow.warp import warp
from vid2vid.models.generator import FLOW_SCALE
from vid2vid.models.layers import InstanceNorm, conv_block, head, initialise, pad_to_multiple, residual_blocks
from vid2vid.types import GeneratorOutput, RecurrentState

QUARTER = 4
"""Pixels a side that become one at the size where the network works."""


class FastNetwork(nn.Module):
    """One step: a condition, smaller past ones and L past frames to a frame.

    Args:
        condition_channels: channels of one encoded condition.
        history: L, past frames and conditions seen; at least 1.
        width: channels at a quarter of the size; they double at each of the ``downs`` halvings from there.
        blocks: residual blocks at the smallest size.
        use_flow: predict flow and mask, and warp the last frame.
        cubic_warp: warp by splines, which costs as much as all the rest on a processor.
    """

    def __init__(
        self,
        condition_channels: int,
        *,
        history: int,
        width: int,
        downs: int,
        blocks: int,
        use_flow: bool = True,
        cubic_warp: bool = False,
    ) -> None:
        super().__init__()
        self.use_flow = use_flow
        self.cubic_warp = cubic_warp
        self.encode_condition = nn.Conv2d(condition_channels, width, QUARTER, stride=QUARTER)
        self.encode_past = nn.Conv2d(condition_channels * history, width, 3, padding=1)
        self.encode_frames = nn.Conv2d(3 * history, width, QUARTER, stride=QUARTER)
        self.encode_stem = nn.Sequential(InstanceNorm(), nn.ReLU(), *conv_block(width, width, 3))
        self.encode_halvings = nn.ModuleList(
            conv_block(width * 2**i, width * 2 ** (i + 1), 3, stride=2) for i in range(downs)
        )
        self.blocks = residual_blocks(width * 2**downs, blocks)
        sizes = [width * 2**i for i in reversed(range(downs))]
        self.narrowings = nn.ModuleList(nn.Conv2d(2 * size, size, 1) for size in sizes)
        self.doublings = nn.ModuleList(conv_block(size, size, 3) for size in sizes)
        self.image_head = head(width, 3 * QUARTER**2, 3)
        if use_flow:
            self.mask_head = head(width, QUARTER**2, 3)
            self.flow_head = head(width, 2, 3)

    @property
    def shuffled(self) -> list[nn.Conv2d]:
        """The heads that give 4x4 pixels at once."""
        return [self.image_head, self.mask_head] if self.use_flow else [self.image_head]

    def forward(self, condition: Tensor, past: Tensor, frames: Tensor, first: bool) -> GeneratorOutput:
        """One frame.

        Args:
            condition: (B, C, H, W); H and W multiples of ``4 * 2 ** downs``.
            past: (B, L C, H / 4, W / 4), the last conditions, the newest last.
            frames: (B, 3 L, H, W) in [-1, 1], the newest last.
            first: there is nothing to warp: the hallucination is the result.
        """
        stem = self.encode_condition(condition) + self.encode_past(past) + self.encode_frames(frames)
        features = [self.encode_stem(stem)]
        for halving in self.encode_halvings:
            features.append(halving(features[-1]))
        x = self.blocks(features.pop())
        for narrowing, doubling in zip(self.narrowings, self.doublings, strict=True):
            x = doubling(F.interpolate(narrowing(x), scale_factor=2.0) + features.pop())

        raw = torch.tanh(F.pixel_shuffle(self.image_head(x), QUARTER))
        if first or not self.use_flow:
            return GeneratorOutput(frame=raw, raw=raw)
        flow = F.interpolate(self.flow_head(x) * FLOW_SCALE, scale_factor=float(QUARTER), mode="bilinear")
        mask = torch.sigmoid(F.pixel_shuffle(self.mask_head(x), QUARTER))
        warped = warp(frames[:, -3:], flow, cubic=self.cubic_warp).clamp(-1, 1)
        return GeneratorOutput(raw * mask + warped * (1 - mask), raw, flow, mask, warped)


class FastRenderer(nn.Module):
    """The recurrence around the fast network. The protocol is that of ``Renderer``.

    Its state holds past conditions at a quarter of their size. Arguments are those of ``FastNetwork``.
    """

    given_flow = False

    def __init__(self, condition_channels: int, *, history: int = 2, downs: int = 2, **network: Any) -> None:
        super().__init__()
        self.condition_channels = condition_channels
        self.history = history
        self.multiple = QUARTER * 2**downs
        self.network = FastNetwork(condition_channels, history=history, downs=downs, **network)
        initialise(self)
        for shuffled in self.network.shuffled:
            _alike(shuffled)

    @property
    def networks(self) -> list[nn.Module]:
        """The only one."""
        return [self.network]

    def init_state(self, condition: Tensor, first_frames: Tensor | None = None) -> RecurrentState:
        """The state before the first step; see ``Renderer.init_state``."""
        if first_frames is None:
            small = self._small(self._pad(condition))
            frames = condition.new_zeros(len(condition), 3 * self.history, *self._pad(condition).shape[-2:])
            return RecurrentState((small.repeat(1, self.history, 1, 1),), (frames,), 0)
        if condition.shape[:2] != first_frames.shape[:2]:
            raise ValueError("every given frame needs its condition")
        given = first_frames.shape[1]
        picks = [max(given - self.history + i, 0) for i in range(self.history)]
        past = torch.cat([self._small(self._pad(condition[:, i])) for i in picks], dim=1)
        made = torch.cat([self._pad(first_frames[:, i]) for i in picks], dim=1)
        return RecurrentState((past,), (made,), given)

    def step(self, condition: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        """The next frame from its condition, (B, C, H, W); see ``Renderer.step``."""
        height, width = condition.shape[-2:]
        condition = self._pad(condition)
        (past,), (frames,) = state.conditions, state.frames
        output = self.network(condition, past, frames, state.filled == 0)
        past = torch.cat([past[:, self.condition_channels :], self._small(condition)], dim=1)
        frames = torch.cat([frames[:, 3:], output.frame], dim=1)
        following = RecurrentState((past,), (frames,), min(state.filled + 1, self.history))
        return output.map(lambda tensor: tensor[..., :height, :width]), following

    def forward(self, condition: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        return self.step(condition, state)

    def _small(self, condition: Tensor) -> Tensor:
        return F.avg_pool2d(condition, QUARTER)

    def _pad(self, x: Tensor) -> Tensor:
        return pad_to_multiple(x, self.multiple, 2 * self.multiple)


def _alike(shuffled: nn.Conv2d) -> None:
    """To begin with, all pixels that one place becomes are the same: no checkerboard has to be unlearnt."""
    with torch.no_grad():
        for weight in (shuffled.weight, shuffled.bias):
            assert weight is not None
            weight.copy_(weight[:: QUARTER**2].repeat_interleave(QUARTER**2, dim=0))
