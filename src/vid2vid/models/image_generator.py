"""The image generator of pix2pixHD (Wang et al., 2018): the first frames of a video, or every frame alone.

A global network; with two scales a local enhancer around it, which works at twice the size. Styles, a map of
features per object, are laid beside the activations wherever they could have been lost.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vid2vid.models.layers import (
    conv_block,
    head,
    initialise,
    pad_to_multiple,
    pool,
    residual_blocks,
    up_block,
)
from vid2vid.types import GeneratorOutput, RecurrentState

WIDEST = 1024
"""Channels are not doubled beyond this."""


class GlobalNetwork(nn.Module):
    """Condition and styles to activations (B, width, H, W), through ``downs`` halvings and back."""

    def __init__(self, channels: int, width: int, downs: int, blocks: int, styles: int) -> None:
        super().__init__()
        widths = [min(width * 2**i, WIDEST) for i in range(downs + 1)]
        self.downs = downs
        self.encode = nn.Sequential(
            conv_block(channels + styles, width, 7),
            *(conv_block(widths[i], widths[i + 1], 3, stride=2) for i in range(downs)),
        )
        self.blocks = residual_blocks(widths[-1] + styles, blocks)
        ins = [widths[-1] + 2 * styles, *reversed(widths[1:-1])]
        self.decode = nn.Sequential(
            *(up_block(a, b, "transposed") for a, b in zip(ins, reversed(widths[:-1]), strict=True))
        )

    def forward(self, x: Tensor, styles: Tensor) -> Tensor:
        small = _shrink(styles, self.downs)
        x = self.encode(torch.cat([x, styles], dim=1))
        x = self.blocks(torch.cat([x, small], dim=1))
        return self.decode(torch.cat([x, small], dim=1))


def _shrink(styles: Tensor, times: int) -> Tensor:
    """Halved so often; torch pools no maps without channels."""
    for _ in range(times):
        styles = pool(styles) if styles.shape[1] else styles[..., ::2, ::2]
    return styles


class LocalEnhancer(nn.Module):
    """Adds the activations of the network below to its own, and doubles their size."""

    def __init__(self, channels: int, width: int, blocks: int, styles: int) -> None:
        super().__init__()
        self.encode = nn.Sequential(
            conv_block(channels + styles, width, 7), conv_block(width, 2 * width, 3, stride=2)
        )
        self.blocks = residual_blocks(2 * width + styles, blocks)
        self.decode = up_block(2 * width + styles, width, "transposed")

    def forward(self, x: Tensor, styles: Tensor, coarser: Tensor) -> Tensor:
        x = self.encode(torch.cat([x, styles], dim=1)) + coarser
        return self.decode(self.blocks(torch.cat([x, _shrink(styles, 1)], dim=1)))


class ImageRenderer(nn.Module):
    """A renderer without a past: each frame from its own condition. The protocol is that of ``Renderer``.

    Args:
        condition_channels: channels of one encoded condition, styles included.
        scales: 1, the global network alone; 2, with a local enhancer.
        width: channels of the global network at its full size; the enhancer has half.
        downs, blocks: of the global network.
        enhancer_blocks: residual blocks of the enhancer.
        styles: how many of the channels, the last ones, are styles.
    """

    history = 0
    frame_channels = 3
    given_flow = False

    def __init__(
        self,
        condition_channels: int,
        *,
        scales: int = 1,
        width: int = 64,
        downs: int = 4,
        blocks: int = 9,
        enhancer_blocks: int = 3,
        styles: int = 0,
    ) -> None:
        super().__init__()
        if scales not in (1, 2):
            raise ValueError("scales: an image generator has 1 or 2")
        self.condition_channels = condition_channels
        self.styles = styles
        channels = condition_channels - styles
        self.network = GlobalNetwork(channels, width, downs, blocks, styles)
        self.enhancer = LocalEnhancer(channels, width // 2, enhancer_blocks, styles) if scales == 2 else None
        self.head = head(width // scales + styles, 3)
        self.multiple = 2 ** (downs + scales - 1)
        # As in ``Renderer``: two pixels a side at the coarsest, more than half a kernel at the borders.
        self._least = self.multiple * max(2, (3 >> downs) + 1)
        initialise(self)

    @property
    def networks(self) -> list[nn.Module]:
        """The global network and, where there is one, the enhancer."""
        return [network for network in (self.network, self.enhancer) if network is not None]

    def init_state(self, condition: Tensor, first_frames: Tensor | None = None) -> RecurrentState:
        """Nothing to remember."""
        return RecurrentState((), (), 0)

    def step(self, condition: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        """One frame, (B, 3, H, W) in [-1, 1], from its encoded condition (B, C, H, W)."""
        height, width = condition.shape[-2:]
        padded = pad_to_multiple(condition, self.multiple, self._least)
        x, styles = padded.split((self.condition_channels - self.styles, self.styles), dim=1)
        if self.enhancer is None:
            features = self.network(x, styles)
        else:
            features = self.enhancer(x, styles, self.network(pool(x), _shrink(styles, 1)))
        frame = torch.tanh(self.head(torch.cat([features, styles], dim=1)))[..., :height, :width]
        return GeneratorOutput(frame=frame, raw=frame), state

    def forward(self, condition: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        return self.step(condition, state)
