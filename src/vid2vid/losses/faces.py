"""Where the faces are: the extra discriminator of the people models looks at nothing else."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

HeadFrom = Literal["none", "parts", "colours"]
"""How a DensePose picture tells the head: by the part number in its third channel, as published, or by the
colours of the usual renderings (yellow is the last of the parts, the head)."""

_PARTS = 24
_HEAD = 23
"""The first of the two parts of the head."""


def head_mask(pictures: Tensor, head_from: HeadFrom) -> Tensor:
    """Pictures (N, 3 or more, H, W) in [-1, 1], DensePose in their first three channels: (N, H, W) bool."""
    red, green, blue = ((pictures[:, i] + 1) / 2 for i in range(3))
    if head_from == "parts":
        return blue > (_HEAD - 0.5) / _PARTS
    return (red > 0.9) & (green > 0.88) & (blue < 0.35)


def face_squares(mask: Tensor) -> list[tuple[int, int, int, int]]:
    """For each frame with a head the square around it: (frame, top, left, side).

    mask: (N, H, W) bool. The side is a quarter of the height, the square moved inside the frame.
    """
    count, height, width = mask.shape
    side = _side(height, width)
    squares = []
    for number in range(count):
        rows, columns = torch.where(mask[number])
        if len(rows):
            # The median: compressed pictures have stray pixels of any colour.
            top, left = (int(axis.median()) - side // 2 for axis in (rows, columns))
            squares.append((number, min(max(top, 0), height - side), min(max(left, 0), width - side), side))
    return squares


def corner(mask: Tensor) -> tuple[int, int, int, int]:
    """A square where nobody is, for those who must look although there is no face."""
    return 0, 0, 0, _side(*mask.shape[1:])


def _side(height: int, width: int) -> int:
    return min(max(height // 4, 1), width)


def cut_squares(x: Tensor, squares: list[tuple[int, int, int, int]]) -> Tensor:
    """x (N, C, H, W) at each of the squares: (squares, C, side, side)."""
    return torch.stack(
        [x[number, :, top : top + side, left : left + side] for number, top, left, side in squares]
    )
