"""Direct comparisons of frames: for small data, and where no perceptual network is at hand."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def charbonnier(a: Tensor, b: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Smooth L1: mean of sqrt((a - b)^2 + epsilon^2)."""
    return torch.sqrt((a - b).square() + epsilon**2).mean()


def contrast_difference(a: Tensor, b: Tensor, levels: int = 2) -> Tensor:
    """L1 between the local contrasts of two pictures (B, 3, H, W), mean over ``levels`` resolutions.

    Contrast is the root mean square of the fine detail (a picture less its 3x3 mean) within 8x8 windows. It
    asks for as much detail as there should be, without saying where: pixel distances like a blur best.
    """
    terms: list[Tensor] = []
    for level in range(levels):
        if level:
            if min(a.shape[-2:]) < 20:
                break
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        detail = torch.cat([a, b])
        detail = detail - F.avg_pool2d(detail, 3, stride=1, padding=1, count_include_pad=False)
        energy = F.avg_pool2d(detail.square().mean(1, keepdim=True), 8, stride=4)
        one, other = torch.sqrt(energy + 1e-4).chunk(2)
        terms.append((one - other).abs().mean())
    return torch.stack(terms).mean()


def structural_dissimilarity(a: Tensor, b: Tensor, levels: int = 3) -> Tensor:
    """1 - SSIM of the luminance, mean over ``levels`` resolutions; 7x7 uniform windows, frames in [-1, 1].

    Frames are (B, 3, H, W) of at least 7 pixels a side; resolutions at which less is left do not count.

    Source: Wang et al., "Image quality assessment", IEEE TIP 2004, with the usual constants for a range of 2.
    """
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    luminance = a.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    a, b = (a * luminance).sum(1, keepdim=True), (b * luminance).sum(1, keepdim=True)
    terms: list[Tensor] = []
    for level in range(levels):
        if level:
            if min(a.shape[-2:]) < 14:
                break
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        stacked = F.avg_pool2d(torch.cat([a, b, a * a, b * b, a * b]), 7, stride=1)
        mean_a, mean_b, square_a, square_b, product = stacked.chunk(5)
        variance = square_a - mean_a.square() + square_b - mean_b.square()
        covariance = product - mean_a * mean_b
        ssim = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
        ssim = ssim / ((mean_a.square() + mean_b.square() + c1) * (variance + c2))
        terms.append(1 - ssim.mean())
    return torch.stack(terms).mean()


def cross_entropy(a: Tensor, b: Tensor, least: float = 1e-3) -> Tensor:
    """How surprised the probabilities ``a`` are by what is there, ``b``: (B,), mean over the places and sum
    over the channels of (B, C, H, W), each of which is or is not. ``least`` bounds it, and its gradient."""
    a = a * (1 - 2 * least) + least
    return -(b * a.log() + (1 - b) * (1 - a).log()).sum(1).mean((1, 2))


def masked_l1(a: Tensor, b: Tensor, confidence: Tensor) -> Tensor:
    """Mean over *all* elements of |a c - b c|: what is not confident counts as equal."""
    return (a * confidence - b * confidence).abs().mean()
