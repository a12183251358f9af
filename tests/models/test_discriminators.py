"""The judges."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vid2vid.models.discriminators import MultiScaleDiscriminator, PatchDiscriminator, pool


def test_one_activation_a_layer_and_a_verdict_of_patches() -> None:
    judgement = PatchDiscriminator(6, width=4, layers=3)(torch.rand(2, 6, 32, 48))
    shapes = [tuple(layer.shape) for layer in judgement]
    assert shapes == [(2, 4, 17, 25), (2, 8, 9, 13), (2, 16, 5, 7), (2, 32, 6, 8), (2, 1, 7, 9)]


def test_scales_halve_and_widen() -> None:
    discriminator = MultiScaleDiscriminator(6, scales=3, width=16, layers=2)
    judgement = discriminator(torch.rand(1, 6, 64, 64))
    assert [tuple(scale[0].shape[1:]) for scale in judgement] == [(16, 33, 33), (32, 17, 17), (64, 9, 9)]
    assert all(len(scale) == 4 for scale in judgement)
    wide = MultiScaleDiscriminator(3, scales=2, width=64)
    assert [scale.blocks[0][0].out_channels for scale in wide.scales] == [64, 64]


@pytest.mark.parametrize("size", [(16, 16), (17, 23), (16, 64)])
def test_the_smallest_frames_of_a_recipe_can_be_judged(size: tuple[int, int]) -> None:
    judgement = MultiScaleDiscriminator(3, scales=4, width=2, layers=4)(torch.rand(1, 3, *size))
    assert all(torch.isfinite(layer).all() for scale in judgement for layer in scale)


def test_no_verdict_depends_on_batch_mates() -> None:
    torch.manual_seed(0)
    discriminator = MultiScaleDiscriminator(3, width=4).double()
    x = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    for i in range(2):
        for alone, together in zip(discriminator(x[i : i + 1]), discriminator(x), strict=True):
            torch.testing.assert_close(alone[-1], together[-1][i : i + 1])


def test_pool_averages_what_is_there() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert torch.equal(pool(x), torch.tensor([[[[2.5, 4.0], [8.5, 10.0]]]]))
    assert torch.equal(pool(torch.ones(1, 1, 5, 7)), torch.ones(1, 1, 3, 4))


def test_spectral_normalisation_bounds_every_weight_and_begins_as_published() -> None:
    torch.manual_seed(0)
    discriminator = MultiScaleDiscriminator(6, width=16, spectral=True)
    convolutions = [module for module in discriminator.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 10
    for _ in range(20):
        discriminator(torch.rand(1, 6, 32, 32))
    for convolution in convolutions:
        largest = torch.linalg.matrix_norm(convolution.weight.detach().flatten(1), ord=2)
        assert float(largest) == pytest.approx(1, abs=0.05)
        original = convolution.parametrizations.weight.original
        assert float(original.detach().std()) == pytest.approx(0.02, rel=0.15)
        assert not convolution.bias.any()
