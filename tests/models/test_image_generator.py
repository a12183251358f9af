"""The image generator and the encoder of styles."""

from __future__ import annotations

import pytest
import torch

from vid2vid.models.feature_encoder import FeatureEncoder, object_mean
from vid2vid.models.image_generator import ImageRenderer


@pytest.mark.parametrize("size", [(64, 32), (33, 17), (3, 50), (1, 1)])
@pytest.mark.parametrize("scales", [1, 2])
@pytest.mark.parametrize("styles", [0, 2])
@torch.no_grad()
def test_any_size(size: tuple[int, int], scales: int, styles: int) -> None:
    network = ImageRenderer(5 + styles, scales=scales, width=8, downs=3, blocks=1, styles=styles)
    condition = torch.rand(2, 5 + styles, *size[::-1])
    output, state = network.step(condition, network.init_state(condition))
    assert output.frame.shape == (2, 3, *size[::-1])
    assert output.frame.abs().max() <= 1
    assert output.flow is None
    assert state.frames == ()


def test_styles_change_the_picture_and_gradients_reach_every_weight() -> None:
    for scales in (1, 2):
        network = ImageRenderer(6, scales=scales, width=8, downs=2, blocks=1, styles=2)
        condition = torch.rand(1, 6, 32, 32, requires_grad=True)
        output, _ = network.step(condition, network.init_state(condition))
        output.frame.square().mean().backward()
        assert condition.grad is not None
        assert condition.grad[:, -2:].abs().sum() > 0
        for name, weight in network.named_parameters():
            if name.endswith("weight"):
                assert weight.grad is not None
                assert weight.grad.abs().sum() > 0, name


def test_wide_networks_are_capped() -> None:
    with torch.device("meta"):
        network = ImageRenderer(3, width=128, downs=4, blocks=1)
    assert max(parameter.shape[0] for parameter in network.parameters()) == 1024


def test_an_image_generator_has_one_or_two_scales() -> None:
    with pytest.raises(ValueError, match="1 or 2"):
        ImageRenderer(3, scales=3)


def test_the_mean_of_an_object_is_its_own() -> None:
    objects = torch.tensor([[[5, 5, 9], [5, 9, 9]], [[9, 9, 9], [9, 9, 70000]]])
    features = torch.rand(2, 4, 2, 3, dtype=torch.float64)
    means = object_mean(features, objects)
    for b in range(2):
        for number in objects[b].unique():
            here = objects[b] == number
            expected = features[b][:, here].mean(dim=1, keepdim=True)
            torch.testing.assert_close(means[b][:, here], expected.expand(-1, int(here.sum())))


def test_the_encoder_gives_each_object_one_style() -> None:
    torch.manual_seed(0)
    encoder = FeatureEncoder(3, width=4, downs=2)
    frames, objects = torch.rand(2, 3, 21, 34), torch.randint(0, 4, (2, 21, 34))
    styles = encoder(frames, objects)
    assert styles.shape == (2, 3, 21, 34)
    for b in range(2):
        seen = {
            (int(number), *styles[b][:, objects[b] == number].T.unique(dim=0).shape) for number in range(4)
        }
        assert seen == {(number, 1, 3) for number in range(4)}
    styles.square().mean().backward()
    assert all(p.grad is not None for p in encoder.parameters())
