"""Where a flow can be trusted: by colour (training, as in the paper), by both directions (evaluation)."""

from __future__ import annotations

import torch
from torch import Tensor

from vid2vid.flow.warp import warp


def photometric_confidence(
    current: Tensor, previous: Tensor, flow: Tensor, threshold: float = 0.02
) -> Tensor:
    """1.0 where the flow explains the colours of the current frame, else 0.0.

    A pixel counts as explained when the squared colour difference between ``current`` and
    ``warp(previous, flow)``, summed over the channels, is below ``threshold``.

    current, previous: (B, C, H, W) in [-1, 1]. flow: (B, 2, H, W), pixels, current to previous.
    Returns (B, 1, H, W) in current's dtype, without gradient.
    """
    with torch.no_grad():
        dtype = torch.promote_types(current.dtype, torch.float32)
        difference = current.to(dtype) - warp(previous.to(dtype), flow)
        return (difference.square().sum(dim=1, keepdim=True) < threshold).to(current.dtype)


def forward_backward_mask(backward: Tensor, forward: Tensor, threshold: float = 1.0) -> Tensor:
    """1.0 where following the flow there and back again returns to the start, else 0.0 (occluded or wrong).

    A pixel counts when ``|backward + warp(forward, backward)|``, summed over x and y, is below ``threshold``
    pixels.

    backward: (B, 2, H, W) flow from frame t to t-1. forward: (B, 2, H, W) flow from frame t-1 to t.
    Returns (B, 1, H, W) in backward's dtype, without gradient; the mask belongs to frame t.
    """
    with torch.no_grad():
        dtype = torch.promote_types(backward.dtype, torch.float32)
        round_trip = backward.to(dtype) + warp(forward.to(dtype), backward)
        return (round_trip.abs().sum(dim=1, keepdim=True) < threshold).to(backward.dtype)
