"""Pixel losses against their closed forms, the perceptual one around a small network."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vid2vid.errors import UserError
from vid2vid.losses.perceptual import PerceptualLoss, find_vgg_weights
from vid2vid.losses.pixel import (
    charbonnier,
    contrast_difference,
    cross_entropy,
    masked_l1,
    structural_dissimilarity,
)

Distance = Callable[[Tensor, Tensor], Tensor]
DISTANCES = [charbonnier, contrast_difference, structural_dissimilarity]


def frames(seed: int, height: int = 32, width: int = 40) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_charbonnier() -> None:
    a, b = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.3)
    assert float(charbonnier(a, b)) == pytest.approx(math.sqrt(0.09 + 1e-6))
    assert float(charbonnier(a, a)) == pytest.approx(1e-3)


def test_cross_entropy_is_bounded_and_least_where_the_chances_are_right() -> None:
    there = torch.tensor([1.0, 0.0, 1.0]).view(1, 3, 1, 1).expand(2, 3, 4, 5)
    sure, wrong = (cross_entropy(made, there) for made in (there, 1 - there))
    assert sure.shape == (2,)
    torch.testing.assert_close(sure, torch.full((2,), -3 * math.log(0.999)))
    torch.testing.assert_close(wrong, torch.full((2,), -3 * math.log(0.001)))
    # Three of four times: no other probability surprises less.
    happens = torch.tensor([1.0, 1.0, 1.0, 0.0]).view(4, 1, 1, 1)
    chances = torch.linspace(0.05, 0.95, 19)
    surprise = [float(cross_entropy(torch.full((4, 1, 1, 1), float(p)), happens).mean()) for p in chances]
    assert float(chances[surprise.index(min(surprise))]) == pytest.approx(0.75)


def test_contrast_difference_asks_how_much_detail_not_where() -> None:
    stripes = torch.tensor([-0.5, 0.5]).repeat(160).expand(1, 3, 32, 320)
    assert float(contrast_difference(stripes, stripes.flip(-1))) == pytest.approx(0, abs=1e-6)
    # The 3x3 mean of stripes is a third of the middle's, with the other sign; the two sides weigh little.
    flat = torch.zeros_like(stripes)
    assert float(contrast_difference(stripes, flat, levels=1)) == pytest.approx(2 / 3, abs=0.02)
    blurred = torch.nn.functional.avg_pool2d(frames(3), 3, stride=1, padding=1)
    assert float(contrast_difference(blurred, frames(3))) > 0.1


def test_structural_dissimilarity_of_flat_pictures_compares_means_only() -> None:
    a, b = torch.full((1, 3, 32, 32), 0.2), torch.full((1, 3, 32, 32), -0.4)
    c1 = 0.02**2
    expected = 1 - (2 * 0.2 * -0.4 + c1) / (0.2**2 + 0.4**2 + c1)
    assert float(structural_dissimilarity(a, b)) == pytest.approx(expected, abs=1e-3)


def test_structural_dissimilarity_against_plain_loops() -> None:
    a, b = frames(1, 16, 20)[:1].double(), frames(2, 16, 20)[:1].double()
    weights = np.array([0.299, 0.587, 0.114])
    x, y = (np.tensordot(weights, item[0].numpy(), 1) for item in (a, b))

    def ssim(x: np.ndarray, y: np.ndarray) -> float:
        values = []
        for top in range(x.shape[0] - 6):
            for left in range(x.shape[1] - 6):
                p, q = (z[top : top + 7, left : left + 7] for z in (x, y))
                covariance = ((p - p.mean()) * (q - q.mean())).mean()
                values.append(
                    (2 * p.mean() * q.mean() + 0.02**2)
                    * (2 * covariance + 0.06**2)
                    / ((p.mean() ** 2 + q.mean() ** 2 + 0.02**2) * (p.var() + q.var() + 0.06**2))
                )
        return float(np.mean(values))

    halves = [z.reshape(8, 2, 10, 2).mean(axis=(1, 3)) for z in (x, y)]
    expected = 1 - (ssim(x, y) + ssim(*halves)) / 2  # the third level would have 4 pixels: it does not count
    assert float(structural_dissimilarity(a, b)) == pytest.approx(expected, rel=1e-9)


def test_the_smallest_frames_of_a_recipe_have_a_structure() -> None:
    assert 0 < float(structural_dissimilarity(frames(1, 16, 16), frames(2, 16, 16))) < 2


@pytest.mark.parametrize("distance", DISTANCES)
def test_distances_are_least_where_nothing_differs_and_symmetric(distance: Distance) -> None:
    a, b = frames(1), frames(2)
    assert float(distance(a, a)) < 2e-3 < float(distance(a, b))
    torch.testing.assert_close(distance(a, b), distance(b, a))


@pytest.mark.parametrize("distance", DISTANCES)
def test_gradients_are_finite_even_without_a_difference_and_lead_home(distance: Distance) -> None:
    real = frames(1)
    same = real.clone().requires_grad_()
    distance(same, real).backward()
    assert same.grad is not None
    assert torch.isfinite(same.grad).all()
    fake = (real + 0.2 * frames(2)).requires_grad_()
    before = distance(fake, real)
    (gradient,) = torch.autograd.grad(before, fake)
    assert distance(fake - 1e-2 * gradient / gradient.abs().max(), real) < before


def test_masked_l1_divides_by_all_elements() -> None:
    a, b = torch.ones(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    confidence = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    assert float(masked_l1(a, b, confidence)) == 0.25
    a = torch.full((1, 2, 2, 2), 3.0).requires_grad_()
    masked_l1(a, b, confidence).backward()
    assert a.grad is not None
    assert (a.grad != 0).sum() == 2, "only the confident pixel, in both channels"


class _SmallVgg(nn.Module):
    """VGG-19's sequence of layers, two channels wide."""

    def __init__(self, weights: object = None) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for convolutions in (2, 2, 4, 4, 4):
            for _ in range(convolutions):
                layers += [nn.Conv2d(channels, 2, 3, padding=1), nn.ReLU(inplace=True)]
                channels = 2
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)


@pytest.fixture
def perceptual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PerceptualLoss:
    torch.manual_seed(0)
    monkeypatch.setattr("torchvision.models.vgg19", _SmallVgg)
    torch.save(_SmallVgg().state_dict(), tmp_path / "small.pth")
    return PerceptualLoss(tmp_path / "small.pth")


def test_perceptual_compares_the_first_activations_of_each_block(perceptual: PerceptualLoss) -> None:
    a, b = frames(1), frames(2)
    places = [1, 6, 11, 20, 29]
    assert [type(perceptual.features[i]) for i in places] == [nn.ReLU] * 5
    assert [type(perceptual.features[i - 2]) for i in places[1:]] == [nn.MaxPool2d] * 4

    def activations(x: Tensor) -> list[Tensor]:
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        x = ((x + 1) / 2 - mean) / std
        return [perceptual.features[: i + 1](x) for i in places]

    weights = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)
    parts = zip(weights, activations(a), activations(b), strict=True)
    expected = sum(weight * (one - other).abs().mean() for weight, one, other in parts)
    torch.testing.assert_close(perceptual(a, b), expected)
    assert float(perceptual(a, a)) == 0


def test_perceptual_teaches_the_fake_side_only(perceptual: PerceptualLoss) -> None:
    fake, real = frames(1).requires_grad_(), frames(2).requires_grad_()
    perceptual(fake, real).backward()
    assert fake.grad is not None
    assert real.grad is None
    assert not any(weight.requires_grad for weight in perceptual.parameters())


def test_perceptual_halves_wide_frames(perceptual: PerceptualLoss, monkeypatch: pytest.MonkeyPatch) -> None:
    widths = []
    original = perceptual._activations
    monkeypatch.setattr(perceptual, "_activations", lambda x: widths.append(x.shape[-1]) or original(x))
    perceptual(frames(1, 64, 2080), frames(2, 64, 2080))
    assert widths == [520, 520]


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x02."])
def test_a_file_that_is_no_vgg_is_one_line(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchvision.models.vgg19", _SmallVgg)
    (tmp_path / "small.pth").write_bytes(content)
    with pytest.raises(UserError, match=r"small\.pth: not VGG-19 weights") as caught:
        PerceptualLoss(tmp_path / "small.pth")
    assert "\n" not in str(caught.value)


def test_vgg_weights_are_looked_for_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert find_vgg_weights() is None
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "vgg19-dcbb9e9d.pth").write_bytes(b"")
    assert find_vgg_weights() == tmp_path / "checkpoints" / "vgg19-dcbb9e9d.pth"
