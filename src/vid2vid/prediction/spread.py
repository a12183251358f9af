"""How far several futures lie apart, and where: much where the scene is open, little where it is not."""

from __future__ import annotations

import torch
from torch import Tensor

from vid2vid.conditions import LabelSchema


class Spread:
    """Sums up, by the class that the most likely future has at a pixel, how often others have another one."""

    def __init__(self, labels: LabelSchema) -> None:
        self._labels = labels
        self._apart = torch.zeros(len(labels), dtype=torch.float64)
        self._pixels = torch.zeros(len(labels), dtype=torch.float64)

    def see(self, condition: Tensor) -> None:
        """The next frame of B futures, (B, C, H, W) encoded; the first is the most likely, B at least 2."""
        likeliest, *others = condition[:, : len(self._labels)].argmax(1).cpu()
        apart = torch.stack([other != likeliest for other in others]).double().mean(0)
        self._apart.index_add_(0, likeliest.flatten(), apart.flatten())
        self._pixels += torch.bincount(likeliest.flatten(), minlength=len(self._labels))

    def shares(self) -> dict[str, float]:
        """0 to 1 by the names of the classes that were seen."""
        return {
            name: float(apart / pixels)
            for name, apart, pixels in zip(self._labels.names, self._apart, self._pixels, strict=True)
            if pixels
        }
