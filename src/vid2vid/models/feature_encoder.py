"""Multimodal synthesis (paper, section 3.4): what a frame's objects look like, as a few numbers each."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from vid2vid.models.layers import conv_block, head, initialise, pad_to_multiple, up_block


class FeatureEncoder(nn.Module):
    """A real frame to a map of ``styles`` channels in [-1, 1], the same all over each object.

    Args:
        styles: channels of the map.
        width: channels at full size; doubled at each of the ``downs`` halvings.
    """

    def __init__(self, styles: int = 3, *, width: int = 16, downs: int = 4) -> None:
        super().__init__()
        self.styles = styles
        widths = [width * 2**i for i in range(downs + 1)]
        self.network = nn.Sequential(
            conv_block(3, width, 7),
            *(conv_block(a, b, 3, stride=2) for a, b in pairwise(widths)),
            *(up_block(widths[i], widths[i - 1], "transposed") for i in range(downs, 0, -1)),
        )
        self.head = head(width, styles)
        self.multiple = 2**downs
        self._least = self.multiple * max(2, (3 >> downs) + 1)
        initialise(self)

    def forward(self, frames: Tensor, objects: Tensor) -> Tensor:
        """Frames (B, 3, H, W) in [-1, 1] and objects (B, H, W), integers: (B, styles, H, W).

        Clips, (B, T, 3, H, W) and (B, T, H, W), give (B, T, styles, H, W): an object has one style in all
        frames of its clip.
        """
        clip = frames.shape[1:-3]
        height, width = frames.shape[-2:]
        flat = frames.reshape(-1, *frames.shape[-3:])
        features = self.network(pad_to_multiple(flat, self.multiple, self._least))
        features = torch.tanh(self.head(features))[..., :height, :width]
        if not clip:
            return object_mean(features, objects)
        # The frames of a clip, one below the other, are one tall picture.
        tall = features.unflatten(0, (-1, *clip)).transpose(1, 2).flatten(2, 3)
        return object_mean(tall, objects.flatten(1, 2)).unflatten(2, (-1, height)).transpose(1, 2)


def object_mean(features: Tensor, objects: Tensor) -> Tensor:
    """Each pixel's features replaced by the mean over its object, frame by frame.

    Args:
        features: (B, C, H, W).
        objects: (B, H, W) integers; equal numbers in one frame are one object.
    """
    batch, channels, height, width = features.shape
    _, place = torch.unique(objects, return_inverse=True)
    kinds = int(place.max()) + 1
    place = (place + kinds * torch.arange(batch, device=place.device)[:, None, None]).flatten()
    pixels = features.permute(0, 2, 3, 1).reshape(-1, channels)
    sums = pixels.new_zeros(batch * kinds, channels).index_add_(0, place, pixels)
    counts = torch.bincount(place, minlength=batch * kinds).clamp(min=1)
    means = sums / counts[:, None].to(sums.dtype)
    return means[place].view(batch, height, width, channels).permute(0, 3, 1, 2)
