"""Multi-scale PatchGAN discriminators: one network for frames, one per temporal scale for short videos."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from vid2vid.models.layers import InstanceNorm, initialise, ordered_like, pool

Judgement = list[list[Tensor]]
"""Per scale, the full resolution first: the activations of every layer, the last being the verdict."""


class PatchDiscriminator(nn.Module):
    """Judges overlapping patches: (B, C, H, W) to the list of its layers' activations, the last (B, 1, h, w).

    Args:
        channels: input channels.
        width: channels of the first layer; they double up to 512.
        layers: how many layers halve the size; two more follow.
    """

    def __init__(self, channels: int, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        widths = [min(width * 2**i, 512) for i in range(layers + 1)]
        blocks = []
        for i, (before, after) in enumerate(zip([channels, *widths], [*widths, 1], strict=True)):
            parts: list[nn.Module] = [nn.Conv2d(before, after, 4, stride=2 if i < layers else 1, padding=2)]
            if 0 < i <= layers:
                parts.append(InstanceNorm())
            if i <= layers:
                parts.append(nn.LeakyReLU(0.2, inplace=True))
            blocks.append(nn.Sequential(*parts))
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        activations = []
        for block in self.blocks:
            x = block(x)
            activations.append(x)
        return activations


class MultiScaleDiscriminator(nn.Module):
    """The same judgement at ``scales`` resolutions, each half the one before.

    The coarser a scale, the wider its network: width ``min(64, width * 2**i)`` at the i-th halving.
    With ``spectral`` every weight is divided by its largest singular value.
    """

    def __init__(
        self, channels: int, *, scales: int = 2, width: int = 64, layers: int = 3, spectral: bool = False
    ) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            PatchDiscriminator(channels, min(64, width * 2**i), layers) for i in range(scales)
        )
        initialise(self)
        if spectral:
            for module in [module for module in self.modules() if isinstance(module, nn.Conv2d)]:
                spectral_norm(module)

    def forward(self, x: Tensor) -> Judgement:
        judgement, x = [], ordered_like(x, self)
        for i, scale in enumerate(self.scales):
            x = pool(x) if i else x
            judgement.append(scale(x))
        return judgement
