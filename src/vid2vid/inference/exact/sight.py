"""What the fast renderer sees of conditions, by tables where these are labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vid2vid.inference.exact.labels import read_codes, rows_of
from vid2vid.models.fast import Sight


class TableSight(nn.Module):
    """Stands in for a ``Sight``, whose convolutions are all linear. What a condition will add to the features
    of later steps is known when it comes: that is remembered, not the condition.

    The memory is (B, L width, H / 2, W / 2): what is owed to the next step, then to the one after, and so on.
    """

    def __init__(self, plain: Sight) -> None:
        super().__init__()
        self.history, self.width = plain.history, plain.now.out_channels
        later = plain.past.weight.detach().unflatten(1, (plain.history, -1)).flip(1).unbind(1)
        spread = [weight.expand(-1, -1, 2, 2) / 4 for weight in later]  # a mean of four, then the weights
        self.weight = torch.cat([plain.now.weight.detach(), *spread])
        self.table = rows_of(self.weight)
        assert plain.now.bias is not None
        assert plain.past.bias is not None
        self.bias = (plain.now.bias + plain.past.bias).detach()[:, None, None]
        self.outlines = plain.outlines.weight.detach()
        self.outline_table = rows_of(self.outlines)

    def memory(self, conditions: Sequence[Tensor]) -> Tensor:
        """As of ``Sight``."""
        first = conditions[0]
        height, width = first.shape[-2] // 2, first.shape[-1] // 2
        owed = first.new_zeros(len(first), self.history * self.width, height, width)
        for condition in conditions:
            _, _, owed = self(condition, owed)
        return owed

    def forward(self, condition: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As of ``Sight``."""
        codes = read_codes(condition)
        if codes is None:
            made, outlines = F.conv2d(condition, self.weight, stride=2), F.conv2d(condition, self.outlines)
        else:
            made = _looked_up(F.pixel_unshuffle(codes, 2), self.table)
            outlines = _looked_up(codes, self.outline_table)
        features = made[:, : self.width] + memory[:, : self.width] + self.bias
        owed = made[:, self.width :]
        owed[:, : -self.width] += memory[:, self.width :]
        return features, outlines, owed


def _looked_up(codes: Tensor, table: Tensor) -> Tensor:
    """Codes (B, taps, H, W) to (B, C, H, W): of each tap a row of the table (taps * codes, C), added up."""
    batch, taps, height, width = codes.shape
    first_rows = len(table) // taps * torch.arange(taps, dtype=torch.int32)
    rows = codes.int().permute(0, 2, 3, 1).reshape(-1, taps) + first_rows
    made = table.index_select(0, rows[:, 0]) if taps == 1 else F.embedding_bag(rows, table, mode="sum")
    return made.view(batch, height, width, -1).permute(0, 3, 1, 2).contiguous()
