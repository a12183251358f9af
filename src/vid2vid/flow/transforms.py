"""What happens to a flow when its frames are flipped, cropped or resized.

Each keeps ``warp(x[t-1], flow) ~ x[t]`` true when both frames are changed alike. Flows are (..., 2, H, W)
with any leading dimensions, pixels, (x, y).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from vid2vid.types import Size


def flip_flow(flow: Tensor, *, horizontal: bool = True, vertical: bool = False) -> Tensor:
    """The flow of mirrored frames: mirrored itself, and the mirrored component negated."""
    mirrored = [axis for axis, wanted in ((-1, horizontal), (-2, vertical)) if wanted]
    signs = flow.new_tensor([-1 if horizontal else 1, -1 if vertical else 1]).view(2, 1, 1)
    return flow.flip(mirrored) * signs


def crop_flow(flow: Tensor, left: int, top: int, size: Size) -> Tensor:
    """The flow of frames cut to ``size`` (width, height) at (left, top), a view.

    Displacements stay as they are; those that now point outside the picture meet the border of :func:`warp`,
    as any motion out of sight does, and photometric confidence drops them. Raises ValueError for a box
    outside the flow.
    """
    width, height = size
    if min(left, top) < 0 or min(size) < 1 or left + width > flow.shape[-1] or top + height > flow.shape[-2]:
        raise ValueError(
            f"a box of {width}x{height} at ({left}, {top}) leaves a flow of shape {tuple(flow.shape)}"
        )
    return flow[..., top : top + height, left : left + width]


def resize_flow(flow: Tensor, size: Size) -> Tensor:
    """The flow of frames resized to ``size`` (width, height): resampled, and scaled as each axis grew.

    Resampling is bilinear, with the footprint widened when it shrinks, and measures from picture edge to
    picture edge as picture resizing does (pixel k's centre lies at k + 1/2), so frames and flow stay
    registered.
    """
    width, height = size
    old_height, old_width = flow.shape[-2:]
    if (width, height) == (old_width, old_height):
        return flow
    flat = flow.reshape(-1, 2, old_height, old_width)
    resized = F.interpolate(flat, (height, width), mode="bilinear", align_corners=False, antialias=True)
    growth = flow.new_tensor([width / old_width, height / old_height]).view(2, 1, 1)
    return (resized * growth).reshape(*flow.shape[:-2], height, width)
