"""The sequential generator of the paper (section 3.2), one scale of it: a frame from the last ones.

    y_t = (1 - m_t) * warp(y_{t-1}, w_t) + m_t * h_t                                    (equation 4)

and with the foreground prior (equation 6) the foreground drawn over the whole result:

    y_t = f_t * h_fg + (1 - f_t) * y_t

The coarsest scale is a whole encoder and decoder. Every finer one is an enhancer (paper, figure 8): a single
halving, to which the last features of the scale below are added.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from vid2vid.flow.warp import warp
from vid2vid.models.layers import Decoder, Encoder, Upsampling, head
from vid2vid.types import GeneratorOutput

FLOW_SCALE = 20.0
"""Pixels of the coarsest scale per unit of its flow head, so that usual motion lies near one."""


class Features(NamedTuple):
    """Last decoder activations, (B, width, H, W) each: what the next finer scale adds to its own."""

    image: Tensor
    flow: Tensor | None
    foreground: Tensor | None


class Generator(nn.Module):
    """One step at one scale: (L + 1 conditions, L past frames) to a frame.

    Args:
        condition_channels: channels of one encoded condition.
        history: L, how many past frames and conditions are seen. 0 makes an image model: no past, no warp.
        width: channels at full resolution; they double at each of the ``downs`` halvings.
        blocks: residual blocks in all; the second half comes after both encoders are summed, in an enhancer
            all of them.
        scale: s; 0 is the coarsest, an enhancer works on frames ``2 ** s`` times as large.
        use_flow: predict flow and mask, and warp the last frame (the paper's ablation sets it to False).
        given_flow: predict the mask alone; the flow is an argument.
        foreground: channels of the foreground classes' own network, which sees only the conditions; 0: none.
        kernel: size of the first and last convolutions (7 in the paper); odd.
        upsampling: see ``layers.Upsampling``.
        skips: add the encoders' features to the decoders' at every size; see ``layers.Decoder``.
        cubic_warp: warp the last frame by splines: detail that is warped again and again stays sharp.
    """

    def __init__(
        self,
        condition_channels: int,
        *,
        history: int = 2,
        width: int = 64,
        downs: int = 3,
        blocks: int = 9,
        scale: int = 0,
        use_flow: bool = True,
        given_flow: bool = False,
        foreground: int = 0,
        kernel: int = 7,
        upsampling: Upsampling = "transposed",
        skips: bool = False,
        cubic_warp: bool = False,
    ) -> None:
        super().__init__()
        late = blocks if scale else blocks // 2
        conditions = condition_channels * (history + 1)
        self.encode_conditions = Encoder(conditions, width, downs, blocks - late, kernel, skips)
        self.decode_image = Decoder(width, downs, late, upsampling, skips)
        self.image_head = head(width, 3, kernel)

        self.has_history = history > 0
        if self.has_history:
            self.encode_frames = Encoder(3 * history, width, downs, blocks - late, kernel, skips)

        self.has_flow = self.has_history and use_flow
        self.cubic_warp = cubic_warp
        self.flow_scale = FLOW_SCALE * 2**scale
        if self.has_flow:
            self.decode_flow = Decoder(width, downs, late, upsampling, skips)
            self.flow_mask_head = head(width, 1 if given_flow else 3, kernel)

        self.has_foreground = foreground > 0
        if self.has_foreground:
            self.encode_foreground = Encoder(conditions, foreground, downs, 0, kernel, skips)
            self.decode_foreground = Decoder(foreground, downs, blocks, upsampling, skips)
            self.foreground_head = head(foreground, 3, kernel)

    def forward(
        self,
        conditions: Tensor,
        frames: Tensor,
        foreground: Tensor | None,
        first: bool | Tensor,
        coarser: Features | None = None,
        given_flow: Tensor | None = None,
    ) -> tuple[GeneratorOutput, Features]:
        """One frame.

        Args:
            conditions: (B, (L + 1) C, H, W), the newest last; H and W multiples of ``2 ** downs``.
            frames: (B, 3 L, H, W) in [-1, 1], the newest last.
            foreground: (B, 1, H, W) in [0, 1], 1 on foreground classes; read only with a foreground network.
            first: there is nothing to warp: the hallucination is the result. A tensor, (), decides it when a
                traced graph runs.
            coarser: features of the scale below, (B, ., H / 2, W / 2); an enhancer needs them.
            given_flow: (B, 2, H, W) in pixels, where it is not to be predicted.
        """
        features = self.encode_conditions(conditions)
        if self.has_history:
            past = self.encode_frames(frames)
            features = [one + other for one, other in zip(features, past, strict=True)]

        image_features = self.decode_image(_add(features, coarser and coarser.image))
        raw = torch.tanh(self.image_head(image_features))

        frame, flow, mask, warped, flow_features = raw, None, None, None, None
        if self.has_flow and first is not True:
            flow_features = self.decode_flow(_add(features, coarser and coarser.flow))
            motion = self.flow_mask_head(flow_features)
            flow = motion[:, :2] * self.flow_scale if given_flow is None else given_flow
            mask = torch.sigmoid(motion[:, -1:])
            warped = warp(frames[:, -3:], flow, "cubic" if self.cubic_warp else "bilinear").clamp(-1, 1)
            frame = raw * mask + warped * (1 - mask)
            if isinstance(first, Tensor):
                frame = torch.where(first, raw, frame)

        foreground_features = None
        if self.has_foreground:
            if foreground is None:
                raise ValueError("a generator with a foreground network needs the foreground mask")
            drawing = _add(self.encode_foreground(conditions), coarser and coarser.foreground)
            foreground_features = self.decode_foreground(drawing)
            drawn = torch.tanh(self.foreground_head(foreground_features))
            frame = drawn * foreground + frame * (1 - foreground)
            raw = drawn * foreground + raw * (1 - foreground)

        output = GeneratorOutput(frame=frame, raw=raw, flow=flow, mask=mask, warped=warped)
        return output, Features(image_features, flow_features, foreground_features)


def _add(features: list[Tensor], coarser: Tensor | None) -> list[Tensor]:
    """The smallest features and what the scale below knows of the same place."""
    return features if coarser is None else [*features[:-1], features[-1] + coarser]
