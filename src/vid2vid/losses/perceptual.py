"""VGG-19 perceptual loss (weights from torchvision's cache or a named file; off where there are none)."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vid2vid.errors import UserError
from vid2vid.weights import find_weights

_TAPS = {1: 1 / 32, 6: 1 / 16, 11: 1 / 8, 20: 1 / 4, 29: 1.0}
"""Weights of relu1_1, 2_1, 3_1, 4_1 and 5_1, by their place in torchvision's ``features``."""
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def find_vgg_weights() -> Path | None:
    """torchvision's cached VGG-19 weights, if this machine has them."""
    return find_weights("vgg19")


class PerceptualLoss(nn.Module):
    """L1 between VGG-19 activations of two pictures in [-1, 1], weighted per layer as published.

    Inputs wider than 1024 are halved first. Of k N fakes each N are compared with the same N real ones, which
    are looked at once. Raises UserError when the file is not a VGG-19.
    """

    def __init__(self, weights: Path) -> None:
        super().__init__()
        from torchvision.models import vgg19

        network = vgg19(weights=None)
        try:
            network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        except Exception as error:
            reason = " ".join(str(error).split())[:120]
            raise UserError(
                f"{weights}: not VGG-19 weights ({reason}); remove the file or name another"
            ) from error
        self.features = network.features[: max(_TAPS) + 1].eval().requires_grad_(False)
        for module in self.features:
            if isinstance(module, nn.ReLU):
                module.inplace = False

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        while fake.shape[-1] > 1024:
            fake, real = F.avg_pool2d(fake, 2), F.avg_pool2d(real, 2)
        total = fake.new_zeros(())
        times = len(fake) // len(real)
        with torch.no_grad():
            targets = self._activations(real)
        for weight, one, other in zip(_TAPS.values(), self._activations(fake), targets, strict=True):
            difference = one.to(fake.dtype).unflatten(0, (times, -1)) - other.to(fake.dtype)
            total = total + weight * difference.abs().mean()
        return total

    def _activations(self, x: Tensor) -> list[Tensor]:
        mean, std = (x.new_tensor(values).view(1, 3, 1, 1) for values in (_MEAN, _STD))
        x = ((x + 1) / 2 - mean) / std
        kept = []
        for i, module in enumerate(self.features):
            x = module(x)
            if i in _TAPS:
                kept.append(x)
        return kept
