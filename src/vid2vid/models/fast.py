"""The fast renderer: a compact relative of the paper's generator, designed for the clock.

What it makes is equation 4 as it stands,

    y_t = (1 - m_t) * warp(y_{t-1}, w_t) + m_t * h_t

but no feature has more than half the size of a frame, and nearly all work is done at a sixteenth. A condition
is seen through one convolution that strides, which on label maps is a sum of table rows, four for each place;
past conditions are remembered at half the size. One network serves picture, mask and flow; the flow, which is
smooth, leaves it at a quarter of the size. Outlines come from the condition itself: what each pixel of it
adds to picture and mask is all that is done at full size. Foreground classes have no network of their own:
what they show is painted anew in every frame by the one there is, and never warped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vid2vid.flow.warp import warp
from vid2vid.models.generator import FLOW_SCALE
from vid2vid.models.layers import InstanceNorm, conv_block, initialise, pad_to_multiple, residual_blocks
from vid2vid.models.renderer import foreground_of, one_more
from vid2vid.types import GeneratorOutput, RecurrentState


class DoublingHead(nn.Conv2d):
    """A convolution that doubles the size: of each place it makes four, by weights of their own.

    They begin alike, as if the size had been doubled first (nearest neighbour), and learn to differ: no
    checkerboard to begin with, and detail of a pixel's size where it pays.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, 4 * channels_out, 3, padding=1, padding_mode="reflect")

    @torch.no_grad()
    def begin_alike(self) -> None:
        """Gives the four the weights of the first."""
        self.weight.copy_(self.weight[::4].repeat_interleave(4, 0))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) to (B, channels_out, 2 H, 2 W)."""
        return F.pixel_shuffle(super().forward(x), 2)


class Sight(nn.Module):
    """What the network sees of conditions: the present one, and past ones, remembered at half the size.

    Args:
        channels: C, of one encoded condition.
        history: L, past ones remembered.
        width: features; painted: channels of the head.
    """

    def __init__(self, channels: int, history: int, width: int, painted: int) -> None:
        super().__init__()
        self.channels, self.history = channels, history
        self.now = nn.Conv2d(channels, width, 2, stride=2)
        self.past = nn.Conv2d(channels * history, width, 1)
        self.outlines = nn.Conv2d(channels, painted, 1, bias=False)

    def memory(self, conditions: Sequence[Tensor]) -> Tensor:
        """Of L conditions (B, C, H, W), the newest last: (B, L C, H / 2, W / 2)."""
        return torch.cat([F.avg_pool2d(condition, 2) for condition in conditions], dim=1)

    def forward(self, condition: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (B, width, H / 2, W / 2); what each pixel adds to the head, (B, painted, H, W); and the
        memory, with this condition."""
        following = torch.cat([memory[:, self.channels :], self.memory([condition])], dim=1)
        return self.now(condition) + self.past(memory), self.outlines(condition), following


class FastNetwork(nn.Module):
    """One step: a condition, the memory of past ones and L past frames to a frame.

    Args:
        condition_channels: channels of one encoded condition.
        history: L, past frames and conditions seen; at least 1.
        width: channels at half the size; they double at each of the ``downs`` halvings from there.
        blocks: residual blocks at the smallest size.
        use_flow: predict flow and mask, and warp the last frame.
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
    ) -> None:
        super().__init__()
        self.use_flow = use_flow
        self.encode_conditions = Sight(condition_channels, history, width, 3 + use_flow)
        self.encode_frames = nn.Conv2d(3 * history, width, 4, stride=2, padding=1)
        self.encode_stem = nn.Sequential(InstanceNorm(), nn.ReLU(), *conv_block(width, width, 3))
        self.encode_halvings = nn.ModuleList(
            conv_block(width * 2**i, width * 2 ** (i + 1), 3, stride=2) for i in range(downs)
        )
        self.blocks = residual_blocks(width * 2**downs, blocks)
        sizes = [width * 2**i for i in reversed(range(downs))]
        self.narrowings = nn.ModuleList(nn.Conv2d(2 * size, size, 1) for size in sizes)
        self.doublings = nn.ModuleList(conv_block(size, size, 3) for size in sizes)
        self.image_head = DoublingHead(width, 3 + use_flow)  # the mask comes last
        if use_flow:
            self.flow_head = nn.Conv2d(2 * width, 2, 3, padding=1)

    def forward(
        self,
        condition: Tensor,
        memory: Tensor,
        frames: Tensor,
        first: bool | Tensor,
        foreground: Tensor | None = None,
    ) -> tuple[GeneratorOutput, Tensor]:
        """One frame.

        Args:
            condition: (B, C, H, W); H and W multiples of ``2 * 2 ** downs``.
            memory: of the last conditions; see ``Sight``.
            frames: (B, 3 L, H, W) in [-1, 1], the newest last.
            first: as for ``Generator``.
            foreground: (B, 1, H, W) in [0, 1]: where nothing is warped; the mask is at least that.

        Returns:
            The frame, and the memory with this condition.
        """
        seen, outlines, memory = self.encode_conditions(condition, memory)
        features = [self.encode_stem(seen + self.encode_frames(frames))]
        for halving in self.encode_halvings:
            features.append(halving(features[-1]))
        x = self.blocks(features.pop())
        for narrowing, doubling in zip(self.narrowings, self.doublings, strict=True):
            quarter, x = x, doubling(F.interpolate(narrowing(x), scale_factor=2.0) + features.pop())

        picture = self.image_head(x) + outlines
        raw = torch.tanh(picture[:, :3])
        if first is True or not self.use_flow:
            return GeneratorOutput(frame=raw, raw=raw), memory
        flow = four_times(self.flow_head(quarter) * FLOW_SCALE)
        mask = torch.sigmoid(picture[:, 3:])
        if foreground is not None:
            mask = torch.maximum(mask, foreground)
        warped = warp(frames[:, -3:], flow, "sharp").clamp(-1, 1)
        frame = raw * mask + warped * (1 - mask)
        if isinstance(first, Tensor):
            frame = torch.where(first, raw, frame)
        return GeneratorOutput(frame, raw, flow, mask, warped), memory


class FastRenderer(nn.Module):
    """The recurrence around the fast network. The protocol is that of ``Renderer``.

    Its state holds past conditions at half their size. Further arguments are those of ``FastNetwork``.

    Args:
        foreground_channels: of a condition, those that mark foreground classes.
        foreground: False: these are like any other.
    """

    given_flow = False
    frame_channels = 3

    def __init__(
        self,
        condition_channels: int,
        *,
        foreground_channels: Sequence[int] = (),
        foreground: bool = True,
        history: int = 2,
        downs: int = 3,
        **network: Any,
    ) -> None:
        super().__init__()
        self.foreground_channels = tuple(foreground_channels) if foreground else ()
        self.condition_channels = condition_channels
        self.history = history
        self.multiple = 2 * 2**downs
        self.network = FastNetwork(condition_channels, history=history, downs=downs, **network)
        initialise(self)
        self.network.image_head.begin_alike()

    @property
    def networks(self) -> list[nn.Module]:
        """The only one."""
        return [self.network]

    def init_state(self, condition: Tensor, first_frames: Tensor | None = None) -> RecurrentState:
        """The state before the first step; see ``Renderer.init_state``."""
        if first_frames is None:
            padded = self._pad(condition)
            frames = padded.new_zeros(len(padded), 3 * self.history, *padded.shape[-2:])
            memory = self.network.encode_conditions.memory([padded] * self.history)
            return RecurrentState((memory,), (frames,), 0)
        if condition.shape[:2] != first_frames.shape[:2]:
            raise ValueError("every given frame needs its condition")
        given = first_frames.shape[1]
        picks = [max(given - self.history + i, 0) for i in range(self.history)]
        memory = self.network.encode_conditions.memory([self._pad(condition[:, i]) for i in picks])
        made = torch.cat([self._pad(first_frames[:, i]) for i in picks], dim=1)
        return RecurrentState((memory,), (made,), given)

    def step(self, condition: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        """The next frame from its condition, (B, C, H, W); see ``Renderer.step``."""
        height, width = condition.shape[-2:]
        condition = self._pad(condition)
        (memory,), (frames,) = state.conditions, state.frames
        foreground = foreground_of(condition, self.foreground_channels)
        output, memory = self.network(condition, memory, frames, state.filled == 0, foreground)
        frames = torch.cat([frames[:, 3:], output.frame], dim=1)
        following = RecurrentState((memory,), (frames,), one_more(state.filled, self.history))
        return output.map(lambda tensor: tensor[..., :height, :width]), following

    def forward(self, condition: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        return self.step(condition, state)

    def _pad(self, x: Tensor) -> Tensor:
        return pad_to_multiple(x, self.multiple, 2 * self.multiple)


def four_times(x: Tensor) -> Tensor:
    """Bilinearly to four times the size, (B, C, H, W) to (B, C, 4 H, 4 W), by a convolution: other runtimes
    take a fraction of the time for it."""
    place = torch.linspace(0, 3, 4, dtype=x.dtype, device=x.device)
    before, after = (3 - 2 * place).clamp(min=0) / 8, (2 * place - 3).clamp(min=0) / 8
    taps = torch.stack([before, 1 - before - after, after], dim=1)
    weight = (taps[:, None, :, None] * taps[:, None]).flatten(0, 1)
    each = F.pad(x.flatten(0, 1)[:, None], (1, 1, 1, 1), mode="replicate")
    made = F.pixel_shuffle(F.conv2d(each, weight[:, None]), 4)
    return made.flatten(0, 1).unflatten(0, x.shape[:2])
