"""The forecaster: what will describe the frames to come, from what described the last ones.

As in the paper, it is the sequential generator with encoded conditions in the place of frames. But what it
warps is not what it made last, which would melt: it is the last observed condition p_0, which inertia has
carried on by k frames and the network corrects by r_k:

    p_k = (1 - m_k) * warp(carried_k(p_0), r_k) + m_k * h_k                             (equation 4)

Of label maps p_k holds the probability of every class; of pictures it is a picture. Noise, which is kept,
tells one future from another. Only what can move by itself swerves, by r_k and by noise, along the street or
across it, so that it stays on the ground; the rest of the scene goes where the camera's motion takes it, and
of label maps m_k is 0 wherever something has arrived.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vid2vid.conditions import told_apart
from vid2vid.flow import carried_in_space, motion_in_space, nearing, swerved, warp
from vid2vid.models.generator import FLOW_SCALE
from vid2vid.models.layers import Decoder, Encoder, Upsampling, head, initialise, pad_to_multiple
from vid2vid.types import GeneratorOutput, RecurrentState

UNTAUGHT = -3.0
"""The mask of an untrained network, before its sigmoid: what has learnt nothing leaves all to inertia."""
SWERVE = 0.1
"""Pixels a frame faster with every frame, per unit of the residual's head."""
LATELY = 8
"""Steps whose inertia is remembered: those of a chunk."""
FAR = 10.0
"""Frames ahead by which half of what time changes is changed."""
VARIETY = 0.1
"""Deviation of what noise does to a residual, before it has learnt: of futures that begin alike, none is ever
the nearest, and they stay alike."""


class ForecastNetwork(nn.Module):
    """One step: past conditions and what inertia makes of them to the next condition.

    Args:
        channels: of one encoded condition.
        classes: how many of them, the first, are a label map; others are borders of objects. 0: a picture.
        movers: those of things that move by themselves; none: anything may.
        history: L, at least 2.
        noise: numbers that tell one future from another.
        width, downs, blocks, kernel, upsampling, skips, use_flow: see ``Generator``.
    """

    def __init__(
        self,
        channels: int,
        *,
        classes: int,
        movers: Sequence[int],
        history: int,
        noise: int,
        width: int,
        downs: int,
        blocks: int,
        kernel: int = 7,
        upsampling: Upsampling = "transposed",
        skips: bool = False,
        use_flow: bool = True,
    ) -> None:
        super().__init__()
        self.channels, self.classes, self.use_flow = channels, classes, use_flow
        self.movers = list(movers)
        late = blocks // 2
        # Beside conditions: the motion, where none arrived, and the place.
        self.encode = Encoder(channels * (history + 1) + 5, width, downs, blocks - late, kernel, skips)
        sizes = range(downs + 1) if skips else [downs]
        self.age = nn.ModuleList(nn.Linear(1, width * 2**i, bias=False) for i in sizes)
        self.decode_image = Decoder(width, downs, late, upsampling, skips)
        self.image_head = head(width, channels, kernel)
        if use_flow:
            self.decode_mask = Decoder(width, downs, late, upsampling, skips)
            self.mask_head = head(width, 1, kernel)
            self.swerve = nn.Conv2d(width * 2**downs, 2 * (1 + noise), 1)

    def forward(
        self,
        past: Tensor,
        prior: Tensor,
        motion: Tensor,
        empty: Tensor,
        along: Tensor,
        noise: Tensor,
        k: int,
    ) -> GeneratorOutput:
        """The next condition; its ``flow`` is for the caller to fill in.

        Args:
            past: (B, L C, H, W), the newest last; H and W multiples of ``2 ** downs``.
            prior: (B, C, H, W), the last observed condition, carried on by k frames.
            motion: (B, 2, H, W), by which it was, pixels a frame.
            empty: (B, 1, H, W), 1 where nothing arrived.
            along: (B, 2, H, W), which way what comes nearer goes, up to 1 long.
            noise: (B, Z); zeros vary nothing.
        """
        seen = torch.cat([past, prior, motion / FLOW_SCALE, empty, _places(prior)], dim=1)
        age = noise.new_full((len(noise), 1), k / (k + FAR))
        # Normalisation would take away what is added to a channel; what it is multiplied by, it leaves.
        features = [
            feature * (1 + grow(age))[..., None, None]
            for feature, grow in zip(self.encode(seen), self.age, strict=True)
        ]
        raw = self._bounded(self.image_head(self.decode_image(features)))
        if not self.use_flow:
            return GeneratorOutput(raw, raw)
        residual = self._residual(features[-1], prior, along, noise, SWERVE * k * (k + 1) / 2)
        mask = torch.sigmoid(self.mask_head(self.decode_mask(features)) + UNTAUGHT)
        if self.classes:  # they have no looks that could change: only what nothing arrived at is made up
            mask = mask * F.max_pool2d(empty, 3, 1, 1)
        warped = warp(prior, residual)
        frame = raw * mask + warped * (1 - mask)
        return GeneratorOutput(frame, raw, mask=mask, warped=warped, residual=residual)

    def _residual(self, coarse: Tensor, prior: Tensor, along: Tensor, noise: Tensor, growth: float) -> Tensor:
        """(B, 2, H, W), pixels: smooth, so that things swerve as a whole, and only where a mover gets to, or
        leaves; movers along the street, then across it."""
        usual, *others = self.swerve(coarse).unflatten(1, (-1, 2)).unbind(1)
        fields = usual + torch.einsum("bz,bzchw->bchw", noise, torch.stack(others, 1).to(noise))
        fields = F.avg_pool2d(fields * growth, 3, 1, 1, count_include_pad=False)
        residual = F.interpolate(fields, prior.shape[-2:], mode="bilinear")
        if not self.movers:
            return residual
        nearer, aside = residual.unbind(1)
        residual = along * nearer[:, None] + torch.stack([aside, torch.zeros_like(aside)], dim=1)
        there = prior[:, self.movers].sum(1, keepdim=True)
        return residual * torch.maximum(there, warp(there, residual))

    def _bounded(self, x: Tensor) -> Tensor:
        """(B, C, H, W) of any value as what a condition can be."""
        if not self.classes:
            return torch.tanh(x)
        labels, borders = x.split((self.classes, self.channels - self.classes), dim=1)
        return torch.cat([labels.softmax(1), borders.sigmoid()], dim=1)


class Forecaster(nn.Module):
    """The recurrence around the network. The protocol is that of ``Renderer``: what it makes are encoded
    conditions, in the place of frames, and its own condition, (B, Z + 2, h, w), is noise, the same at all
    places, then a flow. Noise is zero for the most likely future; drawn, N(0, 1), and kept from step to step,
    for one that may be another. The flow, to the frame before, matters for observed frames alone: the steps
    do not look at it.

    Of its state ``conditions`` are the last observed one, how it moves in space, and the way back to it from
    the newest one; ``filled`` counts steps. Arguments are those of ``ForecastNetwork``.
    """

    given_flow = True

    def __init__(
        self,
        channels: int,
        *,
        classes: int = 0,
        movers: Sequence[int] = (),
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
        self._lately: deque[tuple[Tensor, int, tuple[Tensor, Tensor]]] = deque(maxlen=LATELY)
        self.network = ForecastNetwork(
            channels,
            classes=classes,
            movers=movers,
            history=history,
            noise=noise,
            downs=downs,
            kernel=kernel,
            **network,
        )
        initialise(self)
        if self.network.use_flow:
            nn.init.zeros_(self.network.mask_head.weight)  # inertia alone
            swerve = self.network.swerve
            nn.init.normal_(swerve.weight, 0.0, VARIETY / swerve.in_channels**0.5)
            nn.init.normal_(swerve.bias, 0.0, VARIETY)  # type: ignore[arg-type]
            with torch.no_grad():
                swerve.weight[:2].zero_()
                swerve.bias[:2].zero_()  # type: ignore[index]

    @property
    def networks(self) -> list[nn.Module]:
        """The only one."""
        return [self.network]

    def init_state(self, condition: Tensor, first_frames: Tensor | None = None) -> RecurrentState:
        """The state before the first step.

        Args:
            condition: (B, n, Z + 2, H, W), of the observed frames; the last one's flow is gone on with.
            first_frames: (B, n, C, H, W), the observed conditions, encoded, oldest first; the last L are
                kept, and where fewer are known, the oldest stands in.

        Raises:
            ValueError: nothing was observed.
        """
        if first_frames is None:
            raise ValueError("a forecaster goes on from what was observed: give it first frames")
        given = first_frames.shape[1]
        picks = [max(given - self.history + i, 0) for i in range(self.history)]
        flow = condition[:, -1, self.condition_channels :]
        last, classes = first_frames[:, -1], self.network.classes
        things = told_apart(last, classes, self.network.movers) if classes else None
        motion = motion_in_space(flow, things)
        conditions = last, motion, torch.zeros_like(flow)
        return RecurrentState(conditions, (first_frames[:, picks].flatten(1, 2),))

    def step(self, condition: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        """The next condition, (B, C, H, W), in ``frame``; of label maps class probabilities that sum to one,
        then that of a border of objects. ``condition``: see the class; noise alone will do."""
        observed, motion, before = state.conditions
        (past,) = state.frames
        k = int(state.filled) + 1
        height, width = past.shape[-2:]
        way, empty = self._carried(motion, k)
        seen = (
            pad_to_multiple(x, self.multiple, self._least)
            for x in (past, warp(observed, way), way / k, empty, nearing(motion))
        )
        output = self.network(*seen, condition[:, : self.condition_channels].mean((2, 3)), k)
        output = output.map(lambda tensor: tensor[..., :height, :width])
        if output.residual is not None:
            way = swerved(way, output.residual)
            output = replace(output, flow=way - warp(before, way / k), way=way)
        following = torch.cat([past[:, self.frame_channels :], output.frame], dim=1)
        return output, RecurrentState((observed, motion, way), (following,), k)

    def _carried(self, motion: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """``carried_in_space``, of the last few steps not computed again: futures that a training tries
        differ in nothing but noise."""
        # They are held, so that no other motion takes their place in memory.
        for known, step, found in self._lately:
            if step == k and known.shape == motion.shape and known.data_ptr() == motion.data_ptr() != 0:
                return found
        found = carried_in_space(motion, k)
        self._lately.append((motion, k, found))
        return found

    def forward(self, condition: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        return self.step(condition, state)


def _places(like: Tensor) -> Tensor:
    """(B, 2, H, W): x and y of every pixel, -1 to 1."""
    height, width = like.shape[-2:]
    x, y = (torch.linspace(-1, 1, n, device=like.device, dtype=like.dtype) for n in (width, height))
    return torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)]).expand(len(like), -1, -1, -1)
