"""The forecaster: what will describe the frames to come, from what described the last ones.

As in the paper, it is the sequential generator with encoded conditions in the place of frames:

    p_t = (1 - m_t) * warp(p_{t-1}, w_t) + m_t * h_t                                    (equation 4)

Of label maps p_t holds the probability of every class; of pictures it is a picture. What it has made is its
own past, for as long as it goes on. Noise, which is kept, tells one future from another.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vid2vid.flow.warp import warp
from vid2vid.models.generator import FLOW_SCALE
from vid2vid.models.layers import Decoder, Encoder, Upsampling, head, initialise, pad_to_multiple
from vid2vid.models.renderer import one_more
from vid2vid.types import GeneratorOutput, RecurrentState

SHARPEN = 1.5
"""Power that probabilities are raised to as they become history: else they melt, warped again and again. Not
while it learns: that made worse forecasts."""


UNTAUGHT = -2.0
"""The mask of an untrained network, before its sigmoid: what has learnt nothing leaves all as it is."""


class ForecastNetwork(nn.Module):
    """One step: L past conditions to the next.

    Args:
        channels: of one encoded condition.
        classes: how many of them, the first, are a label map; others are borders of objects. 0: a picture.
        history: L, at least 1.
        noise: numbers that tell one future from another.
        width, downs, blocks, kernel, upsampling, skips, use_flow, cubic_warp: see ``Generator``.
    """

    def __init__(
        self,
        channels: int,
        *,
        classes: int,
        history: int,
        noise: int,
        width: int,
        downs: int,
        blocks: int,
        kernel: int = 7,
        upsampling: Upsampling = "transposed",
        skips: bool = False,
        use_flow: bool = True,
        cubic_warp: bool = False,
    ) -> None:
        super().__init__()
        self.channels, self.classes = channels, classes
        self.use_flow, self.cubic_warp = use_flow, cubic_warp
        late = blocks // 2
        self.encode_past = Encoder(channels * history, width, downs, blocks - late, kernel, skips)
        self.vary = nn.Conv2d(noise, width * 2**downs, 1, bias=False)
        self.decode_image = Decoder(width, downs, late, upsampling, skips)
        self.image_head = head(width, channels, kernel)
        if use_flow:
            self.decode_flow = Decoder(width, downs, late, upsampling, skips)
            self.flow_mask_head = head(width, 3, kernel)

    def forward(self, past: Tensor, noise: Tensor) -> GeneratorOutput:
        """The next condition.

        Args:
            past: (B, L C, H, W), the newest last; H and W multiples of ``2 ** downs``.
            noise: (B, Z, h, w), of any size: 1x1 varies all places alike. Zeros vary nothing.
        """
        features = self.encode_past(past)
        # Normalisation would take away what is added to a channel; what it is multiplied by, it leaves.
        features[-1] = features[-1] * (1 + F.adaptive_avg_pool2d(self.vary(noise), features[-1].shape[-2:]))
        raw = self._bounded(self.image_head(self.decode_image(features)))
        if not self.use_flow:
            return GeneratorOutput(raw, raw)
        motion = self.flow_mask_head(self.decode_flow(features))
        flow, mask = motion[:, :2] * FLOW_SCALE, torch.sigmoid(motion[:, 2:] + UNTAUGHT)
        newest = past[:, -self.channels :]
        warped = self._valid(warp(newest, flow, "cubic" if self.cubic_warp else "bilinear"))
        return GeneratorOutput(raw * mask + warped * (1 - mask), raw, flow, mask, warped)

    def remembered(self, made: Tensor) -> Tensor:
        """What was made, (B, C, H, W), as it becomes history."""
        if not self.classes or self.training:
            return made
        power = made.clamp_min(1e-6) ** SHARPEN
        labels, borders = power.split((self.classes, self.channels - self.classes), dim=1)
        inside = (1 - made[:, self.classes :]).clamp_min(1e-6) ** SHARPEN
        return torch.cat([labels / labels.sum(1, keepdim=True), borders / (borders + inside)], dim=1)

    def _bounded(self, x: Tensor) -> Tensor:
        """(B, C, H, W) of any value as what a condition can be."""
        if not self.classes:
            return torch.tanh(x)
        labels, borders = x.split((self.classes, self.channels - self.classes), dim=1)
        return torch.cat([labels.softmax(1), borders.sigmoid()], dim=1)

    def _valid(self, warped: Tensor) -> Tensor:
        """Without what splines overshoot by."""
        if not self.classes:
            return warped.clamp(-1, 1)
        warped = warped.clamp(0, 1)
        labels, borders = warped.split((self.classes, self.channels - self.classes), dim=1)
        return torch.cat([labels / labels.sum(1, keepdim=True), borders], dim=1)


class Forecaster(nn.Module):
    """The recurrence around the network. The protocol is that of ``Renderer``: what it makes are encoded
    conditions, in the place of frames, and its own condition is noise, (B, Z, h, w): zeros for the most
    likely future; drawn, N(0, 1), and kept from step to step, for one that may be another.

    Arguments are those of ``ForecastNetwork``.
    """

    given_flow = False

    def __init__(
        self,
        channels: int,
        *,
        classes: int = 0,
        history: int = 2,
        noise: int = 8,
        downs: int = 3,
        kernel: int = 7,
        **network: Any,
    ) -> None:
        super().__init__()
        self.condition_channels = noise
        self.frame_channels = channels
        self.history = history
        self.multiple = 2**downs
        self._least = self.multiple * max(2, (kernel // 2 >> downs) + 1)  # as in ``Renderer``
        self.network = ForecastNetwork(
            channels,
            classes=classes,
            history=history,
            noise=noise,
            downs=downs,
            kernel=kernel,
            **network,
        )
        initialise(self)
        if self.network.use_flow:
            nn.init.zeros_(self.network.flow_mask_head.weight)  # no motion

    @property
    def networks(self) -> list[nn.Module]:
        """The only one."""
        return [self.network]

    def init_state(self, noise: Tensor, first_frames: Tensor | None = None) -> RecurrentState:
        """The state before the first step.

        Args:
            noise: not looked at.
            first_frames: (B, n, C, H, W), the observed conditions, encoded, oldest first; the last L are
                kept, and where fewer are known, the oldest stands in.

        Raises:
            ValueError: nothing was observed.
        """
        if first_frames is None:
            raise ValueError("a forecaster goes on from what was observed: give it first frames")
        given = first_frames.shape[1]
        picks = [max(given - self.history + i, 0) for i in range(self.history)]
        return RecurrentState((), (first_frames[:, picks].flatten(1, 2),), given)

    def step(self, noise: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        """The next condition, (B, C, H, W), in ``frame``; of label maps class probabilities that sum to one,
        then that of a border of objects. ``noise``: see the class."""
        (past,) = state.frames
        height, width = past.shape[-2:]
        output = self.network(pad_to_multiple(past, self.multiple, self._least), noise)
        output = output.map(lambda tensor: tensor[..., :height, :width])
        newest = self.network.remembered(output.frame)
        following = torch.cat([past[:, self.frame_channels :], newest], dim=1)
        return output, RecurrentState((), (following,), one_more(state.filled, self.history))

    def forward(self, noise: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        return self.step(noise, state)
