"""The remaining layers, with pixels as rows (channels last) and normalised in place."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vid2vid.inference.exact.labels import LabelMaps
from vid2vid.inference.exact.normalise import is_plain_float, normalise_
from vid2vid.models.layers import Encoder

LAST = torch.channels_last
LANES = 8
"""Numbers that a processor takes at once: outputs are filled up to a multiple."""


class FusedBlock(nn.Module):
    """Convolution (or a transposed one), instance norm, ReLU: ``plain`` is the block as the networks have it.

    The bias is left out, since normalisation takes it away again.
    """

    def __init__(self, plain: nn.Sequential) -> None:
        super().__init__()
        self.plain = plain
        *before, convolution, _, _ = plain
        assert isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d)
        self.convolution = convolution
        self.before = nn.Sequential(*before)
        self.weight = self.convolution.weight.detach().contiguous(memory_format=LAST)

    def forward(self, x: Tensor) -> Tensor:
        if not is_plain_float(x):
            return self.plain(x)
        x = self.before(x).contiguous(memory_format=LAST)
        made = self._convolved(x).contiguous(memory_format=LAST)
        for image in made:
            normalise_(image.permute(1, 2, 0).flatten(0, 1))
        return made.relu_()

    def _convolved(self, x: Tensor) -> Tensor:
        module = self.convolution
        assert not isinstance(module.padding, str)
        if isinstance(module, nn.ConvTranspose2d):
            return F.conv_transpose2d(
                x, self.weight, None, module.stride, module.padding, module.output_padding
            )
        if module.padding_mode == "zeros":
            return F.conv2d(x, self.weight, None, module.stride, module.padding)
        return F.conv2d(
            _mirrored(x, (module.padding[1],) * 2, (module.padding[0],) * 2), self.weight, None, module.stride
        )


class Head(nn.Module):
    """A head of few outputs in two steps: each row of the kernel makes its own, and these are added.

    So the processor's lanes, eight and more, are filled: 7 * 3 outputs, not 3.
    """

    def __init__(self, plain: nn.Conv2d) -> None:
        super().__init__()
        self.plain = plain
        outputs, inputs, kernel, _ = plain.weight.shape
        rows = plain.weight.detach().transpose(1, 2).transpose(0, 1)  # (row, output, input, column)
        rows = rows.reshape(kernel * outputs, inputs, 1, kernel)
        filled = F.pad(rows, (0, 0, 0, 0, 0, 0, 0, -len(rows) % (LANES * outputs)))
        self.weight = filled.contiguous(memory_format=LAST)

    def forward(self, x: Tensor) -> Tensor:
        outputs, _, kernel, _ = self.plain.weight.shape
        edge = kernel // 2
        if not is_plain_float(x) or x.shape[-1] < 2 * kernel or not edge:
            return self.plain(x)
        x = x.contiguous(memory_format=LAST)
        rows = F.conv2d(x, self.weight, padding=(0, edge))
        # Mirrored are only the columns that see across an edge: a mirrored copy of everything takes as long.
        rows[..., :edge] = F.conv2d(_mirrored(x[..., : 2 * edge], (edge, 0)), self.weight)
        rows[..., -edge:] = F.conv2d(_mirrored(x[..., -2 * edge :], (0, edge)), self.weight)
        rows = _mirrored(rows, (0, 0), (edge, edge)).unflatten(1, (-1, outputs))
        made = rows[:, 0, :, : x.shape[-2]].contiguous()
        for row in range(1, kernel):
            made += rows[:, row, :, row : row + x.shape[-2]]
        return made if self.plain.bias is None else made.add_(self.plain.bias[:, None, None])


class FusedEncoder(nn.Module):
    """``Encoder`` of faster parts, which reads label maps too."""

    def __init__(self, plain: Encoder, stem: nn.Module) -> None:
        super().__init__()
        self.skips, self.stem, self.halvings, self.blocks = plain.skips, stem, plain.halvings, plain.blocks

    def forward(self, x: Tensor | LabelMaps) -> list[Tensor]:
        features = [self.stem(x)]
        for halving in self.halvings:
            features.append(halving(features[-1]))
            if not self.skips:
                del features[0]
        features[-1] = self.blocks(features[-1])
        varies = (x != x[..., :1, :1]).flatten(1).any(1) if isinstance(x, Tensor) else x.varies
        return [feature * varies[:, None, None, None] for feature in features]


def _mirrored(x: Tensor, sides: tuple[int, int], ends: tuple[int, int] = (0, 0)) -> Tensor:
    """x with so many columns (left, right) and rows (above, below) more, mirrored."""
    return F.pad(x, (*sides, *ends), mode="reflect")
