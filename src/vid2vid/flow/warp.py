"""Backward warping: the only place of the package that samples along a flow."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Interpolation = Literal["bilinear", "cubic", "sharp"]
"""Between pixels. ``bilinear`` blurs what is warped frame after frame. ``cubic``, Catmull-Rom splines, keeps
detail much longer, and amplifies no frequency; edges may overshoot by an eighth. ``sharp`` is nearly the same
in a fraction of the time: one third bilinear, two thirds torch's own cubic kernel, a sharper spline. That by
itself would amplify fine detail; a third is just enough that together they do not, at any place."""


def warp(x: Tensor, flow: Tensor, between: Interpolation = "bilinear") -> Tensor:
    """Sample ``x`` at ``p + flow(p)`` for every pixel centre ``p``: ``warp(x[t-1], flow[t]) ~ x[t]``.

    Places outside the picture take the nearest border pixel (border padding). Coordinates and interpolation
    are computed in float32 at least, whatever the inputs are; gradients reach ``x`` and ``flow``.

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
    sample = {"bilinear": _bilinear, "cubic": _cubic, "sharp": _sharp}[between]
    return sample(x.to(dtype), columns, rows).to(x.dtype)


def _bilinear(x: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """x (B, C, h, w) at places (B, H, W) in grid units."""
    grid = _clamp(torch.stack((columns, rows), dim=-1))
    # With the grid clamped, zero padding has nothing to pad: it equals border padding, which MPS lacks.
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


def _cubic(x: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """Likewise. Torch has a cubic sampler too, but its spline amplifies fine detail, and MPS lacks it.

    The two inner weights of a spline are positive, so one bilinear tap between the two pixels fetches both.
    """
    across, down = _spline_taps(columns, x.shape[-1]), _spline_taps(rows, x.shape[-2])
    taps = [(column, row, one * other) for row, other in down for column, one in across]
    sampled = _bilinear(x, torch.cat([tap[0] for tap in taps], 1), torch.cat([tap[1] for tap in taps], 1))
    weights = torch.cat([tap[2] for tap in taps], 1).unsqueeze(1)
    return (sampled * weights).unflatten(2, (len(taps), -1)).sum(2)


def _sharp(x: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """Likewise. Catmull-Rom splines stand in where torch lacks its cubic kernel, as on MPS."""
    grid = _clamp(torch.stack((columns, rows), dim=-1))
    try:
        cubic = F.grid_sample(x, grid, mode="bicubic", padding_mode="border", align_corners=True)
    except RuntimeError:
        return _cubic(x, columns, rows)
    return torch.lerp(cubic, F.grid_sample(x, grid, align_corners=True), 1 / 3)


def _spline_taps(places: Tensor, length: int) -> list[tuple[Tensor, Tensor]]:
    """(place in grid units, weight) of the three taps of one axis of a Catmull-Rom spline."""
    scale = max(length - 1, 1) / 2
    pixels = (_clamp(places) + 1) * scale
    base = pixels.detach().floor()
    t = pixels - base
    before = t * (t * (1 - t / 2) - 0.5)
    after = t * t * (t - 1) / 2
    inner = 1 - before - after
    middle = t * (0.5 + t * (2 - 1.5 * t)) / inner
    return [
        ((pixel / scale - 1), weight)
        for pixel, weight in ((base - 1, before), (base + middle, inner), (base + 2, after))
    ]


def _axis(length: int, like: Tensor) -> Tensor:
    """Pixel centres of one axis in grid units: the outermost centres lie at -1 and 1.

    Of float32 precision in float64 too, as published: sequences amplify what the two differ by.
    """
    return torch.linspace(-1, 1, length, device=like.device).to(like.dtype)


def _clamp(grid: Tensor) -> Tensor:
    """The grid held in [-1, 1], without gradient where it meets or passes an edge, as border padding has it.

    A plain clamp would let a gradient through exactly at the edge, where it would see the zeros beyond.
    """
    return torch.where(grid.abs() < 1, grid, grid.detach().clamp(-1, 1))
