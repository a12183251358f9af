"""What the video discriminators see: groups of K frames at several temporal scales (paper, section 3.2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vid2vid.flow.warp import warp

FLOW_DIVISOR = 20.0
"""Brings flows, in pixels, near the range of frames before a discriminator sees them."""


def temporal_groups(
    seen: int, new: int, scale: int, length: int, sparse: bool = False
) -> list[tuple[int, ...]]:
    """The frame numbers of every group that a chunk of new frames completes at one temporal scale.

    Args:
        seen: frames of the clip before this chunk.
        new: frames in this chunk.
        scale: r; frames of a group lie ``length ** r`` apart.
        length: K, frames in a group.
        sparse: take frames divisible by the stride only, oldest group first; else every ``length``-th ending,
            newest group first.
    """
    stride = length**scale
    if sparse:
        first, last = -(-seen // stride), (seen + new - 1) // stride
        groups = temporal_groups(first, last - first + 1, 0, length)
        return [tuple(frame * stride for frame in group) for group in reversed(groups)]
    ends = range(seen + new - 1, seen - 1, -length)
    span = (length - 1) * stride
    return [tuple(range(end - span, end + 1, stride)) for end in ends if end >= span]


class Group(NamedTuple):
    """Groups of one temporal scale, stacked in the batch: N groups of K frames, the K - 1 flows between them.

    real, fake: (N, K * 3, H, W), oldest first; flows: (N, (K - 1) * 2, H, W), already divided by 20.
    """

    real: Tensor
    fake: Tensor
    flows: Tensor


class TemporalWindow:
    """The last frames of a clip, so that groups can reach back over chunks. One per clip; made anew for each.

    Frames of earlier chunks are detached: gradients reach only the frames just made.
    """

    def __init__(self, scales: int, length: int = 3, sparse: bool = False) -> None:
        self.scales, self.length, self.sparse = scales, length, sparse
        self._reach = (length - 1) * length ** max(scales - 1, 0) + 1
        self._seen = 0
        self._frames: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    @property
    def made(self) -> tuple[Tensor, ...]:
        """The fake frames that groups to come can reach back to, (B, 3, H, W) each, oldest first."""
        return tuple(fake for _, fake, _ in self._frames.values())

    def push(self, real: Tensor, fake: Tensor, flow: Tensor) -> list[Group | None]:
        """Adds a chunk and returns the groups it completes, per scale (None where there is none).

        Args:
            real, fake: (B, n, 3, H, W) in [-1, 1].
            flow: (B, n, 2, H, W), the reference flow of each frame back to the frame before.
        """
        new = real.shape[1]
        for i in range(new):
            self._frames[self._seen + i] = (real[:, i], fake[:, i], flow[:, i])
        groups = [self._gather(scale, new) for scale in range(self.scales)]
        self._seen += new
        self._frames = {
            number: (real_, fake_.detach(), flow_)
            for number, (real_, fake_, flow_) in self._frames.items()
            if number > self._seen - self._reach  # the next group ends at frame ``seen`` at the earliest
        }
        return groups

    def _gather(self, scale: int, new: int) -> Group | None:
        groups = temporal_groups(self._seen, new, scale, self.length, self.sparse)
        if not groups:
            return None
        real = torch.cat([torch.cat([self._frames[i][0] for i in group], dim=1) for group in groups])
        fake = torch.cat([torch.cat([self._frames[i][1] for i in group], dim=1) for group in groups])
        flows = torch.cat(
            [
                torch.cat([self._flow(*pair) for pair in zip(g[1:], g[:-1], strict=True)], dim=1)
                for g in groups
            ]
        )
        return Group(real, fake, flows / FLOW_DIVISOR)

    def _flow(self, later: int, earlier: int) -> Tensor:
        """Reference flow from frame ``later`` back to ``earlier``, composed of the steps between."""
        flow = self._frames[later][2]
        for number in range(later - 1, earlier, -1):
            flow = flow + warp(self._frames[number][2], flow)
        return flow
