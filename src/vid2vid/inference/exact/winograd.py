"""Residual blocks by Winograd's minimal filtering (Winograd, 1980; Lavin and Gray, 2016).

A 3x3 convolution that makes a tile of 4x4 pixels costs one multiplication per point of the transformed tile:
36 where 9 * 16 are needed otherwise, a quarter. Along one axis

    y = A ((G g) * (B d))            d: 6 inputs, g: 3 weights, y: 4 outputs

with matrices that interpolate polynomials at five points and at infinity. Sums over channels become matrix
products, one per point of the plane.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from vid2vid.inference.exact.normalise import is_plain_float, normalise_

TILE, TAPS, POINTS = 4, 3, 6
"""Tiles of 4x8 need 17 % fewer multiplications, but gained 4 % of the time, for five times the rounding
errors and two thirds more memory (512 channels, 64x32 pixels)."""
LEAST_CHANNELS, LEAST_TILES = 64, 32
"""Below these the transforms and thin matrices cost more than is saved."""

# Interpolation at 0, 1, -1, 2, -2 and infinity. Lines of B are scaled to one at most, G against them.
A = torch.tensor([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]).float()
B = torch.tensor(
    [
        [4 / 5, 0, -1, 0, 1 / 5, 0],
        [0, 1, 1, -1 / 4, -1 / 4, 0],
        [0, -1, 1, 1 / 4, -1 / 4, 0],
        [0, -1, -1 / 2, 1, 1 / 2, 0],
        [0, 1, -1 / 2, -1, 1 / 2, 0],
        [0, 4 / 5, 0, -1, 0, 1 / 5],
    ]
)
G = torch.tensor(
    [
        [5 / 4, 0, 0],
        [2 / 3, 2 / 3, 2 / 3],
        [2 / 3, -2 / 3, 2 / 3],
        [1 / 12, 1 / 6, 1 / 3],
        [1 / 12, -1 / 6, 1 / 3],
        [0, 0, 5],
    ]
)


@dataclass(frozen=True)
class Tiling:
    """How a picture falls into tiles. Between convolutions pixels lie in the order in which tiles come out.

    count: tiles of a picture.
    order: (P,) the pixel (row * width + column) that comes at each place; rank: its inverse.
    windows: (points * count,) the place of each pixel of each tile with its border, mirrored at the edges.
    inside: (P,) which of the tiles' outputs are pixels; None where all are.
    """

    count: int
    order: Tensor
    rank: Tensor
    windows: Tensor
    inside: Tensor | None


@lru_cache(maxsize=32)
def tiling(height: int, width: int) -> Tiling:
    """The tiles of a picture of at least 2x2 pixels."""
    (rows, y), (columns, x) = (_axis(side) for side in (height, width))
    outputs_y, outputs_x = (a[1:-1] for a in (y, x))  # (4, tiles); a tile's border belongs to its neighbours
    made = (outputs_y[:, None, :, None] < height) & (outputs_x[None, :, None, :] < width)
    pixels = outputs_y[:, None, :, None] * width + outputs_x[None, :, None, :]
    inside = made.flatten().nonzero().flatten()
    order = pixels.flatten()[inside]
    rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))
    seen = _mirror(y, height)[:, None, :, None] * width + _mirror(x, width)[None, :, None, :]
    return Tiling(rows * columns, order, rank, rank[seen.flatten()], None if made.all() else inside)


def _axis(side: int) -> tuple[int, Tensor]:
    """The number of tiles, and the coordinates (6, number) that each of them sees."""
    number = -(-side // TILE)
    return number, torch.arange(-1, TILE + 1)[:, None] + TILE * torch.arange(number)


def _mirror(places: Tensor, side: int) -> Tensor:
    """Reflected at the borders; what lies further out belongs to no pixel and may be any."""
    places = places.abs()
    return torch.where(places < side, places, 2 * (side - 1) - places).clamp(0, side - 1)


class WinogradBlocks(nn.Module):
    """The residual blocks of an encoder or a decoder, (B, C, H, W) to the same.

    Pixels are rows of a matrix (P, C); biases are left out, since normalisation takes them away again.
    """

    def __init__(self, blocks: nn.Sequential) -> None:
        super().__init__()
        self.plain = blocks
        self.weights = [
            _transformed(module.weight.detach())
            for module in blocks.modules()
            if isinstance(module, nn.Conv2d)
        ]

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        few = height * width < LEAST_TILES * TILE**2
        if not self.weights or few or not is_plain_float(x):
            return self.plain(x)
        rows = x.permute(0, 2, 3, 1).flatten(1, 2)
        made = torch.stack([self._image(image, tiling(height, width)) for image in rows])
        return made.unflatten(1, (height, width)).permute(0, 3, 1, 2)

    def _image(self, image: Tensor, tiles: Tiling) -> Tensor:
        """(P, C), pixels in reading order, to the same."""
        x = image.index_select(0, tiles.order)
        sizes = (len(tiles.windows), len(tiles.windows), TILE**2 * tiles.count)
        memory = [x.new_empty(size, x.shape[1]) for size in sizes]
        for first, second in zip(self.weights[::2], self.weights[1::2], strict=True):
            inner = normalise_(self._convolve(x, first, tiles, memory)).relu_()
            x += normalise_(self._convolve(inner, second, tiles, memory))
        return x.index_select(0, tiles.rank)

    def _convolve(self, x: Tensor, weight: Tensor, tiles: Tiling, memory: list[Tensor]) -> Tensor:
        """(P, C) to (P, C), which lie in the last of ``memory``: fresh pages cost more than most sums."""
        one, other, made = memory
        channels, flat, plane = x.shape[1], (POINTS, -1), (POINTS, POINTS, -1)
        every = (POINTS**2, tiles.count, channels)
        torch.index_select(x, 0, tiles.windows, out=one)
        torch.mm(B, one.view(flat), out=other.view(flat))
        torch.bmm(B.expand(POINTS, -1, -1), other.view(plane), out=one.view(plane))
        torch.bmm(one.view(every), weight, out=other.view(every))
        half = one[: TILE * POINTS * tiles.count]
        torch.mm(A, other.view(flat), out=half.view(TILE, -1))
        torch.bmm(A.expand(TILE, -1, -1), half.view(TILE, POINTS, -1), out=made.view(TILE, TILE, -1))
        return made if tiles.inside is None else made.index_select(0, tiles.inside)


def _transformed(weight: Tensor) -> Tensor:
    """Weights (K, C, 3, 3) at each point: (36, C, K)."""
    outputs, inputs = weight.shape[:2]
    taps = weight.float().permute(2, 3, 1, 0).reshape(TAPS**2, -1)
    return (torch.kron(G, G) @ taps).view(-1, inputs, outputs)
