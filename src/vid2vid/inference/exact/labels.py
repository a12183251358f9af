"""A convolution of one-hot maps is a sum of its weights: one row of a table per tap and condition.

Where a whole window shows one class, the sum is known beforehand: a street is mostly such places.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vid2vid.inference.exact.normalise import is_plain_float, normalise_

CHUNK = 1 << 11
"""Pixels whose windows are listed at a time, 147 numbers each: it bounds the memory of large frames."""


@dataclass(frozen=True)
class LabelMaps:
    """Encoded conditions as class indices, and what a stem of ``kernel`` taps a side needs of them.

    With C channels a pixel has one of 2 C codes: 2 * class (C - 1: none of the first C - 1 channels), plus
    one where the last channel is set: the borders of objects, or the last class.

    shape: (B, H, W).
    codes: (B, conditions, H + kernel - 1, W + kernel - 1) int32, mirrored at the borders.
    centres: (B * H * W, conditions) int32, rows of a table of 2 C per condition.
    borders: (n,) pixels whose windows are of more than one code.
    """

    shape: tuple[int, int, int]
    channels: int
    kernel: int
    codes: Tensor
    centres: Tensor
    borders: Tensor

    @classmethod
    def read(cls, conditions: Tensor, channels: int, kernel: int) -> LabelMaps | None:
        """Of conditions (B, n * ``channels``, H, W); None where these are anything but labels."""
        batch, stacked, height, width = conditions.shape
        edge = kernel // 2
        if channels < 2 or not edge or min(height, width) <= edge or not is_plain_float(conditions):
            return None
        codes = _codes(conditions.reshape(batch, stacked // channels, channels, height * width))
        if codes is None:
            return None
        codes = codes.unflatten(-1, (height, width))
        wide = F.pad(codes, (edge,) * 4, mode="reflect")
        across, down = (wide.diff(dim=dim).eq(0).all(1) for dim in (3, 2))
        rows_are = _all_along(_all_along(across, kernel - 1, 2), kernel, 1)
        flat = rows_are & _all_along(down[..., edge:-edge], kernel - 1, 1)
        first_rows = 2 * channels * torch.arange(codes.shape[1])
        return cls(
            (batch, height, width),
            channels,
            kernel,
            wide.int(),
            (codes.permute(0, 2, 3, 1).flatten(0, 2) + first_rows).int(),
            (~flat).flatten().nonzero().flatten(),
        )

    @property
    def varies(self) -> Tensor:
        """(B,) whether an image has more than one code in any condition."""
        return (self.codes != self.codes[..., :1, :1]).flatten(1).any(1)

    def windows(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pixels (n,) of ``borders``, and for each the table's rows (n, conditions * kernel ** 2)."""
        _, height, width = self.shape
        _, conditions, high, wide = self.codes.shape
        taps = torch.arange(self.kernel)
        around = (wide * taps[:, None] + taps).flatten()
        offsets = (high * wide * torch.arange(conditions)[:, None] + around).flatten().int()
        first_rows = (2 * self.channels * torch.arange(len(offsets))).int()
        codes = self.codes.flatten()
        for pixels in self.borders.split(CHUNK):
            image, place = pixels // (height * width), pixels % (height * width)
            corner = image * (conditions * high * wide) + place // width * wide + place % width
            seen = corner.int()[:, None] + offsets
            yield pixels, codes.index_select(0, seen.flatten()).view_as(seen).add_(first_rows)


def _all_along(x: Tensor, length: int, dim: int) -> Tensor:
    """Whether all of ``length`` neighbours along ``dim`` are true."""
    count = x.shape[dim] - length + 1
    together = x.narrow(dim, 0, count).clone()
    for start in range(1, length):
        together &= x.narrow(dim, start, count)
    return together


def _codes(x: Tensor) -> Tensor | None:
    """The codes, (B, n, P) float, of channels x (B, n, C, P); None where x is not one-hot.

    What is not negative and sums to one is one-hot just where its variance, as a distribution, is zero.
    """
    channels = x.shape[2]
    number = torch.arange(channels - 1, dtype=x.dtype)
    moments = x.new_zeros(4, channels)
    moments[0, :-1], moments[1, :-1], moments[2, :-1], moments[3, -1] = 1, number, number.square(), 1
    total, mean, square, last = torch.matmul(moments, x).unbind(2)
    binary = ((total == 0) | (total == 1)) & ((last == 0) | (last == 1))
    if x.amin() < 0 or not (binary & (mean.square() == square)).all():
        return None
    return 2 * torch.where(total == 1, mean, channels - 1) + last


def read_codes(condition: Tensor) -> Tensor | None:
    """The codes of one condition (B, C, H, W), as ``LabelMaps`` has them: (B, 1, H, W); None where it is
    anything but labels."""
    if condition.shape[1] < 2 or not is_plain_float(condition):
        return None
    codes = _codes(condition.flatten(2)[:, None])
    return None if codes is None else codes.unflatten(-1, condition.shape[-2:])


def rows_of(weight: Tensor) -> Tensor:
    """The table of a convolution (K, C, h, w): a row for each tap and code, (h * w * 2 C, K)."""
    taps = weight.flatten(2).permute(2, 1, 0)  # (taps, C, K)
    rows = torch.cat([taps[:, :-1], torch.zeros_like(taps[:, :1])], dim=1)
    return torch.stack([rows, rows + taps[:, -1:]], dim=2).flatten(0, 2)


class TableStem(nn.Module):
    """The stem of an encoder of conditions: ``plain`` where these are pictures, tables where they are labels.

    conditions: how many are stacked.
    """

    def __init__(self, plain: nn.Module, convolution: nn.Conv2d, conditions: int) -> None:
        super().__init__()
        self.plain = plain
        weight = convolution.weight.detach()
        self.channels, self.kernel = weight.shape[1] // conditions, weight.shape[-1]
        each = weight.unflatten(1, (conditions, -1)).unbind(1)
        self.table = torch.cat([rows_of(one) for one in each])
        self.flat_table = torch.cat([rows_of(one.sum((2, 3), keepdim=True)) for one in each])

    def forward(self, x: Tensor | LabelMaps) -> Tensor:
        """(B, C, H, W) or its maps to features (B, width, H, W)."""
        if isinstance(x, Tensor):
            return self.plain(x)
        made = F.embedding_bag(x.centres, self.flat_table, mode="sum")
        for pixels, rows in x.windows():
            made.index_copy_(0, pixels, F.embedding_bag(rows, self.table, mode="sum"))
        features = made.unflatten(0, x.shape)
        for image in features:
            normalise_(image.flatten(0, 1))
        return features.relu_().permute(0, 3, 1, 2)
