"""The pieces all networks are built from: convolution blocks, residual blocks, encoders and decoders."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS_LAST = torch.channels_last
LANES = 16
"""Numbers that a processor takes at once."""
Upsampling = Literal["transposed", "resize"]
"""How decoders double the size: ``transposed`` convolutions as published, or ``resize`` (nearest neighbour,
then a convolution), which cannot draw checkerboards."""


def pool(x: Tensor) -> Tensor:
    """Half the size: the pyramid step of conditions, frames and discriminator inputs."""
    return F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)


def pad_to_multiple(x: Tensor, multiple: int, least: int) -> Tensor:
    """x (B, C, H, W) mirrored at its right and lower border: sides of at least ``least``, a ``multiple``."""
    height, width = x.shape[-2:]
    down, right = (max(-side % multiple, least - side) for side in (height, width))
    if not (down or right):
        return x
    reflects = down < height and right < width
    return F.pad(x, (0, right, 0, down), mode="reflect" if reflects else "replicate")


def ordered_like(x: Tensor, network: nn.Module) -> Tensor:
    """x (B, C, H, W) with its numbers in the order that the network's weights have (channels first or last),
    so that all that is made of it keeps to that."""
    weight = next(network.parameters())
    return x.contiguous(memory_format=CHANNELS_LAST) if channels_come_last(weight) else x


def put_in_order(network: nn.Module, order: torch.memory_format = CHANNELS_LAST) -> None:
    """Lays the weights of convolutions in this order; values, and what is known of them, stay."""
    for weight in network.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=order)


def channels_come_last(x: Tensor) -> bool:
    """Whether the numbers of x (B, C, H, W) lie pixel by pixel."""
    return x.is_contiguous(memory_format=CHANNELS_LAST) and not x.is_contiguous()


class InstanceNorm(nn.Module):
    """Normalises every channel of every image by its own mean and variance (no affine part, eps 1e-5)."""

    def forward(self, x: Tensor) -> Tensor:
        if not channels_come_last(x):
            return F.instance_norm(x)
        # ``instance_norm`` would bring the channels first. An image is a batch of its own.
        images = [F.batch_norm(image, None, None, training=True) for image in x.split(1)]
        return torch.cat(images) if len(images) > 1 else images[0]


class MirrorConv(nn.Conv2d):
    """A convolution that pads by reflection and keeps the size.

    Where channels come last, few outputs leave most of the lanes of a processor empty. Then several rows of
    them are made at once, by a kernel that is so much taller and strides as far: a head of three channels
    takes half the time.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int) -> None:
        super().__init__(channels_in, channels_out, kernel, padding=kernel // 2, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        rows = math.gcd(1 << max(1, LANES // self.out_channels).bit_length() - 1, x.shape[-2])
        if rows == 1 or not channels_come_last(self.weight):
            return super().forward(x)
        kernels = [F.pad(self.weight, (0, 0, row, rows - 1 - row)) for row in range(rows)]
        weight = torch.cat(kernels).contiguous(memory_format=CHANNELS_LAST)
        bias = None if self.bias is None else self.bias.repeat(rows)
        x = F.pad(x, self._reversed_padding_repeated_twice, mode="reflect")
        made = F.conv2d(x, weight, bias, stride=(rows, 1)).unflatten(1, (rows, self.out_channels))
        return made.permute(0, 3, 1, 4, 2).flatten(1, 2).permute(0, 3, 1, 2)


def conv_block(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, instance norm, ReLU. Pads by reflection, and by zeros where it strides, as published."""
    conv: nn.Conv2d
    if stride == 1:
        conv = MirrorConv(channels_in, channels_out, kernel)
    else:
        conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2)
    return nn.Sequential(conv, InstanceNorm(), nn.ReLU(inplace=True))


def up_block(channels_in: int, channels_out: int, upsampling: Upsampling) -> nn.Sequential:
    """Doubles height and width: (B, channels_in, H, W) to (B, channels_out, 2H, 2W)."""
    if upsampling == "transposed":
        conv = nn.ConvTranspose2d(channels_in, channels_out, 3, stride=2, padding=1, output_padding=1)
        return nn.Sequential(conv, InstanceNorm(), nn.ReLU(inplace=True))
    return nn.Sequential(nn.Upsample(scale_factor=2), *conv_block(channels_in, channels_out, 3))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with instance norm, added to the input; channels stay."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        second = MirrorConv(channels, channels, 3)
        self.block = nn.Sequential(*conv_block(channels, channels, 3), second, InstanceNorm())

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


def residual_blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(count)))


class Encoder(nn.Module):
    """Stem to ``width`` channels, ``downs`` halvings that double the width, then residual blocks.

    A constant input (a history of nothing, a black frame) has features of exactly zero: normalisation would
    make them of its rounding errors, 300 times larger with every layer.
    """

    def __init__(
        self, channels_in: int, width: int, downs: int, blocks: int, kernel: int = 7, skips: bool = False
    ) -> None:
        super().__init__()
        self.skips = skips
        self.stem = conv_block(channels_in, width, kernel)
        self.halvings = nn.ModuleList(
            conv_block(width * 2**i, width * 2 ** (i + 1), 3, stride=2) for i in range(downs)
        )
        self.blocks = residual_blocks(width * 2**downs, blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features (B, width * 2**i, H / 2**i, W / 2**i): i = 0 ... downs with ``skips``, else the last."""
        features = [self.stem(ordered_like(x, self))]
        for halving in self.halvings:
            features.append(halving(features[-1]))
            if not self.skips:
                del features[0]  # the largest of all, and nobody will look at it
        features[-1] = self.blocks(features[-1])
        varies = (x != x[..., :1, :1]).flatten(1).any(dim=1)[:, None, None, None]
        return [feature * varies for feature in features]


class Decoder(nn.Module):
    """Residual blocks, then ``downs`` doublings back to ``width`` channels: the mirror of ``Encoder``.

    With ``skips`` the encoder's features are added at every size, so that what lies in the input need not
    pass the narrowest place. The published networks have none.
    """

    def __init__(self, width: int, downs: int, blocks: int, upsampling: Upsampling, skips: bool) -> None:
        super().__init__()
        self.skips = skips
        self.blocks = residual_blocks(width * 2**downs, blocks)
        self.doublings = nn.ModuleList(
            up_block(width * 2 ** (i + 1), width * 2**i, upsampling) for i in reversed(range(downs))
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features of an encoder, or sums of them, to (B, width, H, W)."""
        *larger, x = features
        x = self.blocks(x)
        for doubling in self.doublings:
            x = doubling(x) + larger.pop() if self.skips else doubling(x)
        return x


def head(width: int, channels: int, kernel: int = 7) -> nn.Conv2d:
    """One convolution from features to pictures, flows or masks; the caller applies what bounds them."""
    return MirrorConv(width, channels, kernel)


def initialise(network: nn.Module, std: float = 0.02) -> None:
    """Convolution weights N(0, ``std``), biases zero, as in the paper."""
    for module in network.modules():
        # Without memory (device "meta") there is nothing to fill, and torch takes seconds to find that out.
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and not module.weight.is_meta:
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
