"""Backward warping: the only place of the package that samples along a flow."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(x: Tensor, flow: Tensor) -> Tensor:
    """Sample ``x`` at ``p + flow(p)`` for every pixel centre ``p``: ``warp(x[t-1], flow[t]) ~ x[t]``.

    Bilinear; places outside the picture take the nearest border pixel (border padding). Coordinates and
    interpolation are computed in float32 at least, whatever the inputs are; gradients reach ``x`` and
    ``flow``.

    x: (B, C, H, W) floating point. flow: (B, 2, H, W) in pixels, (x, y). Returns (B, C, H, W) in x's dtype.
    Raises ValueError where the shapes do not belong together.
    """
    batch, _, height, width = x.shape
    if flow.shape != (batch, 2, height, width):
        raise ValueError(f"flow of shape {tuple(flow.shape)} cannot warp pictures of shape {tuple(x.shape)}")
    dtype = torch.promote_types(torch.promote_types(x.dtype, flow.dtype), torch.float32)
    flow = flow.to(dtype)
    columns = _axis(width, flow) + flow[:, 0] / (max(width - 1, 1) / 2)
    rows = _axis(height, flow)[:, None] + flow[:, 1] / (max(height - 1, 1) / 2)
    grid = _clamp(torch.stack((columns, rows), dim=-1))
    # With the grid clamped, zero padding has nothing to pad: it equals border padding, which MPS lacks.
    sampled = F.grid_sample(x.to(dtype), grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    return sampled.to(x.dtype)


def _axis(length: int, like: Tensor) -> Tensor:
    """Pixel centres of one axis in grid units: the outermost centres lie at -1 and 1."""
    return torch.linspace(-1, 1, length, dtype=like.dtype, device=like.device)


def _clamp(grid: Tensor) -> Tensor:
    """The grid held in [-1, 1], without gradient where it meets or passes an edge, as border padding has it.

    A plain clamp would let a gradient through exactly at the edge, where it would see the zeros beyond.
    """
    return torch.where(grid.abs() < 1, grid, grid.detach().clamp(-1, 1))
