"""The pieces of the networks: what order numbers lie in changes nothing but the time."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from vid2vid.models.discriminators import MultiScaleDiscriminator
from vid2vid.models.layers import InstanceNorm, MirrorConv, Upsampling, channels_come_last, put_in_order
from vid2vid.models.renderer import Renderer

LAST = torch.channels_last


def gradients(made: list[Tensor], network: nn.Module) -> list[Tensor]:
    total = sum((tensor.square() * torch.arange(tensor.shape[-1])).mean() for tensor in made)
    assert isinstance(total, Tensor)
    return list(torch.autograd.grad(total, list(network.parameters())))


def equal(ones: list[Tensor], others: list[Tensor]) -> None:
    for one, other in zip(ones, others, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("outputs", "kernel"), [(1, 7), (3, 7), (8, 3), (17, 5)])
@pytest.mark.parametrize("height", [8, 9, 10])
def test_several_rows_at_once_are_the_convolution(outputs: int, kernel: int, height: int) -> None:
    plain = MirrorConv(5, outputs, kernel).double()
    last = copy.deepcopy(plain)
    put_in_order(last)
    x = torch.randn(2, 5, height, 11, dtype=torch.float64)
    one, other = plain(x), last(x.contiguous(memory_format=LAST))
    equal([one, *gradients([one], plain)], [other, *gradients([other], last)])
    assert one.shape == (2, outputs, height, 11)
    assert outputs == 1 or channels_come_last(other)


@pytest.mark.parametrize("images", [1, 3])
def test_every_image_is_normalised_by_itself(images: int) -> None:
    x = torch.randn(images, 4, 6, 5, dtype=torch.float64) * 3 + torch.arange(4.0).view(4, 1, 1)
    made = InstanceNorm()(x.contiguous(memory_format=LAST))
    equal([InstanceNorm()(x)], [made])
    assert channels_come_last(made)
    assert made.mean((2, 3)).abs().max() < 1e-6


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
def test_a_network_is_the_same_in_either_order(upsampling: Upsampling) -> None:
    torch.manual_seed(0)
    plain = Renderer(6, width=4, blocks=2, foreground_channels=(1,), upsampling=upsampling).double()
    last = copy.deepcopy(plain)
    put_in_order(last)
    condition = torch.rand(1, 6, 32, 40, dtype=torch.float64)
    frames = torch.rand(1, 2, 3, 32, 40, dtype=torch.float64)
    results = []
    for network in (plain, last):
        state = network.init_state(condition[:, None].expand(-1, 2, -1, -1, -1), frames)
        first, state = network.step(condition, state)
        second, _ = network.step(condition.flip(-1), state)
        made = [first.frame, second.frame, second.raw]
        results.append([*made, *gradients(made, network)])
    equal(*results)


def test_a_discriminator_is_the_same_in_either_order() -> None:
    plain = MultiScaleDiscriminator(5, width=4).double()
    last = copy.deepcopy(plain)
    put_in_order(last)
    pictures = torch.rand(3, 5, 40, 48, dtype=torch.float64)
    results = []
    for network in (plain, last):
        activations = [layer for scale in network(pictures) for layer in scale]
        results.append([*activations, *gradients([a for a in activations if a.shape[1] == 1], network)])
    assert all(channels_come_last(a) or a.shape[1] == 1 for a in activations)
    equal(*results)
