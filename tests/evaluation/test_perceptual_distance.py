"""LPIPS against torchmetrics, on random backbones: the trained ones are not part of the tests."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_clips import blurred, noisy, texture
from safetensors.torch import save_file
from torchmetrics.functional.image.lpips import _LPIPS

from vid2vid import weights
from vid2vid.errors import UserError
from vid2vid.evaluation import perceptual
from vid2vid.evaluation.perceptual import PerceptualDistance, find_lpips_weights, open_lpips

CPU = torch.device("cpu")
BACKBONES = ("alex", "vgg")


@cache
def random_state(backbone: str) -> dict[str, torch.Tensor]:
    """Convolutions after He, which keep activations at the size that trained ones have."""
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in perceptual._features(backbone).state_dict().items()}
    random = torch.Generator().manual_seed(5)
    return {
        f"features.{name}": torch.randn(shape, generator=random)
        * ((2 / shape[1:].numel()) ** 0.5 if len(shape) == 4 else 0.05)
        for name, shape in shapes.items()
    }


@pytest.fixture(scope="module", params=BACKBONES)
def lpips(request: pytest.FixtureRequest) -> PerceptualDistance:
    return PerceptualDistance(request.param, random_state(request.param), CPU)


@cache
def second_implementation(backbone: str) -> _LPIPS:
    """torchmetrics' LPIPS with its own linear weights and the same random backbone."""
    other = _LPIPS(pretrained=False, pnet_rand=True, net=backbone)
    linear = Path(torch.__file__).parents[1] / f"torchmetrics/functional/image/lpips_models/{backbone}.pth"
    other.load_state_dict(torch.load(linear, map_location="cpu", weights_only=True), strict=False)
    state = random_state(backbone)
    for slice_name in ("slice1", "slice2", "slice3", "slice4", "slice5"):
        part = getattr(other.net, slice_name)
        part.load_state_dict({name: state[f"features.{name}"] for name in part.state_dict()})
    return other.eval()


def tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.transpose(2, 0, 1).copy())[None].float() / 127.5 - 1


@pytest.mark.parametrize("size", [(64, 64), (96, 37), (50, 71)])
def test_agrees_with_torchmetrics(lpips: PerceptualDistance, size: tuple[int, int]) -> None:
    other = second_implementation(lpips.backbone)
    a = texture(*size)
    for b in (noisy([a], 3)[0], noisy([a], 40)[0], blurred([a])[0], texture(*size, seed=9), 255 - a):
        with torch.inference_mode():
            expected = other(tensor(a), tensor(b)).item()
        assert expected > 0
        assert lpips(a, b) == pytest.approx(expected, abs=1e-6, rel=1e-5)


def test_equal_pictures_are_at_no_distance(lpips: PerceptualDistance) -> None:
    for size in ((31, 31), (64, 48)):
        assert lpips(texture(*size), texture(*size)) == 0
    flat = np.zeros((40, 40, 3), np.uint8)
    assert lpips(flat, flat) == 0


def test_is_symmetric(lpips: PerceptualDistance) -> None:
    a, b = texture(48, 48), texture(48, 48, seed=2)
    assert lpips(a, b) == pytest.approx(lpips(b, a), rel=1e-6)


def test_more_damage_is_further_away(lpips: PerceptualDistance) -> None:
    a = texture(64, 64)
    for damage, grades in ((noisy, (2, 6, 18, 54)), (blurred, (0.5, 1, 2, 4))):
        values = [lpips(a, damage([a], grade)[0]) for grade in grades]
        assert values == sorted(values)
        assert values[0] > 0


def test_activations_can_be_kept(lpips: PerceptualDistance) -> None:
    a, b = texture(48, 48), texture(48, 48, seed=2)
    kept = lpips.activations(a)
    assert lpips.between(kept, lpips.activations(b)) == lpips(a, b)


def test_small_pictures_are_refused_and_the_smallest_is_not(lpips: PerceptualDistance) -> None:
    smallest = {"alex": 31, "vgg": 16}[lpips.backbone]
    a, b = texture(smallest, smallest), texture(smallest, smallest, seed=2)
    assert lpips(a, b) > 0
    with pytest.raises(UserError, match=f"{smallest} pixels or more a side"):
        lpips(a[1:], b[1:])
    with pytest.raises(ValueError, match="two sizes"):
        lpips(a, b[1:])
    with pytest.raises(ValueError, match="uint8"):
        lpips(a.astype(np.float32), b.astype(np.float32))


def test_weights_are_found_in_the_cache_or_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert find_lpips_weights("alex") is None
    with pytest.raises(
        UserError, match=r"alexnet-owt-7be5be79\.pth into .*checkpoints, or .* alex:FILE"
    ) as e:
        open_lpips("alex", CPU)
    assert "\n" not in str(e.value)
    # As torchvision's file: the whole network.
    state = {**random_state("alex"), "classifier.1.weight": torch.zeros(2, 2)}
    (tmp_path / "checkpoints").mkdir()
    cached = tmp_path / "checkpoints" / weights.weights_name("alexnet")
    torch.save(state, cached)
    save_file(state, tmp_path / "own.safetensors")
    assert find_lpips_weights("alex") == cached
    a, b = texture(40, 40), texture(40, 40, seed=2)
    expected = PerceptualDistance("alex", state, CPU)(a, b)
    for spec in ("alex", f"alex:{cached}", f"alex:{tmp_path / 'own.safetensors'}"):
        assert open_lpips(spec, CPU)(a, b) == expected


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("no weights")
    torch.save(random_state("vgg"), tmp_path / "vgg.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    for spec, said in (
        ("squeeze", "unknown; use alex, vgg"),
        (f"alex:{tmp_path / 'none.pth'}", "no such file"),
        (f"alex:{tmp_path / 'text.pth'}", "damaged or not a weights file"),
        (f"alex:{tmp_path / 'list.pth'}", "no plain state dict"),
        (f"alex:{tmp_path / 'vgg.pth'}", "weights of another network"),
    ):
        with pytest.raises(UserError, match=said) as error:
            open_lpips(spec, CPU)
        assert "\n" not in str(error.value)
