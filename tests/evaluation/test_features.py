"""Feature networks: torchvision's with random weights against its own parts, scripts, and VideoMAE."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_clips import panned
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.transforms import v2

from vid2vid.errors import UserError
from vid2vid.evaluation.features import open_features, remarks
from vid2vid.weights import weights_name

CPU = torch.device("cpu")
LAST = {"resnet50": "avgpool", "inception_v3": "avgpool", "mc3_18": "avgpool", "s3d": "avgpool"}
WIDTHS = {"resnet50": 2048, "inception_v3": 2048, "mc3_18": 512, "s3d": 1024}


def windows(count: int, frames: int, size: tuple[int, int] = (48, 40)) -> np.ndarray:
    return np.stack([np.stack(panned(frames, size, seed=seed)) for seed in range(count)])


@pytest.mark.parametrize("kind", LAST)
def test_torchvision_networks_give_what_torchvision_gives(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    options = {"transform_input": True, "init_weights": False} if kind == "inception_v3" else {}
    reference = models.get_model(kind, **options).eval()
    save_file(reference.state_dict(), tmp_path / "random.safetensors")
    network = open_features(f"{kind}:{tmp_path / 'random.safetensors'}", CPU)
    given = windows(2 if network.frames == 1 else 1, network.frames)
    found = network(given)
    assert found.shape == (len(given), WIDTHS[kind])
    assert found.dtype == np.float64

    transforms = models.get_model_weights(kind).DEFAULT.transforms()
    side = transforms.crop_size[0]
    pictures = torch.from_numpy(given).permute(0, 1, 4, 2, 3).float() / 255
    pictures = v2.functional.resize(pictures, [side, side], antialias=True)
    pictures = v2.functional.normalize(pictures, transforms.mean, transforms.std)
    x = pictures[:, 0] if network.frames == 1 else pictures.transpose(1, 2)
    with torch.inference_mode():
        expected = create_feature_extractor(reference, [LAST[kind]])(x)[LAST[kind]].flatten(1).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert network.name == f"{kind} (random.safetensors)"
    assert "not that of published" in remarks(network)[0]


def test_weights_are_found_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(
        UserError, match=r"mc3_18-a90a0ba3\.pth into .*checkpoints, or .* mc3_18:FILE"
    ) as error:
        open_features("mc3_18", CPU)
    assert "\n" not in str(error.value)
    (tmp_path / "checkpoints").mkdir()
    torch.save(models.get_model("mc3_18").state_dict(), tmp_path / "checkpoints" / weights_name("mc3_18"))
    network = open_features("mc3_18", CPU)
    assert (network.name, network.frames) == ("mc3_18", 16)
    with pytest.raises(ValueError, match="expected"):
        network(windows(1, 8))


class Plain(nn.Module):
    """Says what it was given: the mean and the largest value."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x.flatten(1).mean(1), x.flatten(1).amax(1)], 1)


class LikeI3D(nn.Module):
    """Has the forward of the public I3D file, and says in its output which options it was given."""

    def forward(
        self, x: Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False
    ) -> Tensor:
        options = torch.tensor([float(rescale), float(resize), float(return_features)])
        return torch.cat([x.flatten(1).amax(1, keepdim=True), options.expand(x.shape[0], 3)], 1)


class Maps(nn.Module):
    """Leaves axes of time and space, and takes no windows but those of 8 frames."""

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2] == 8, "8 frames are needed"
        return x


def script(network: nn.Module, path: Path) -> Path:
    torch.jit.save(torch.jit.script(network), str(path))
    return path


def test_scripts_get_minus_one_to_one(tmp_path: Path) -> None:
    path = script(Plain(), tmp_path / "plain.pt")
    given = windows(3, 16)
    network = open_features(f"script:{path}", CPU)
    expected = given.reshape(3, -1) / 127.5 - 1
    np.testing.assert_allclose(network(given), np.stack([expected.mean(1), expected.max(1)], 1), atol=1e-5)
    assert (network.name, network.frames) == ("plain.pt", 16)
    assert "[-1, 1]" in remarks(network)[0]
    pictures = open_features(f"script:{path}:1", CPU)
    assert pictures.frames == 1
    assert pictures(windows(3, 1)).shape == (3, 2)


def test_the_public_i3d_gets_bytes_and_its_options(tmp_path: Path) -> None:
    network = open_features(f"script:{script(LikeI3D(), tmp_path / 'i3d_torchscript.pt')}", CPU)
    given = windows(2, 16)
    expected = [[window.max(), 1, 1, 1] for window in given]
    np.testing.assert_array_equal(network(given), expected)
    assert remarks(network) == []


def test_scripts_with_maps_are_averaged_and_misfits_told(tmp_path: Path) -> None:
    path = script(Maps(), tmp_path / "maps.pt")
    given = windows(2, 8)
    found = open_features(f"script:{path}:8", CPU)(given)
    np.testing.assert_allclose(found, (given / 127.5 - 1).mean((1, 2, 3)), atol=1e-5)
    with pytest.raises(UserError, match="script:FILE:FRAMES") as error:
        open_features(f"script:{path}", CPU)(windows(2, 16))
    assert "\n" not in str(error.value)


def test_videomae_gets_normalised_frames_and_is_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class StandIn(nn.Module):
        config = types.SimpleNamespace(num_frames=4, image_size=32)

        @classmethod
        def from_pretrained(cls, place: str) -> "StandIn":
            if place == "nowhere":
                raise OSError("nothing\nthere")
            return cls()

        def forward(self, x: Tensor) -> types.SimpleNamespace:
            seen.append(x)
            return types.SimpleNamespace(last_hidden_state=x.flatten(3).mean(3))

    stand_in = types.SimpleNamespace(VideoMAEModel=StandIn)
    monkeypatch.setitem(sys.modules, "transformers", stand_in)
    network = open_features("videomae:some/where", CPU)
    assert (network.name, network.frames) == ("VideoMAE (where)", 4)
    found = network(np.full((2, 4, 20, 30, 3), 255, np.uint8))
    assert seen[0].shape == (2, 4, 3, 32, 32)
    white = (1 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(found, np.tile(white, (2, 1)), rtol=1e-5)
    with pytest.raises(UserError, match=r"cannot be opened \(nothing there\)"):
        open_features("videomae:nowhere", CPU)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match="pip install transformers"):
        open_features("videomae:some/where", CPU)


def test_the_real_videomae_where_it_is_installed(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.VideoMAEConfig(
        image_size=32, patch_size=16, num_frames=4, hidden_size=16, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=32,
    )  # fmt: skip
    transformers.VideoMAEModel(config).save_pretrained(tmp_path)
    network = open_features(f"videomae:{tmp_path}", CPU)
    found = network(windows(3, 4))
    assert found.shape == (3, 16)
    np.testing.assert_array_equal(found, network(windows(3, 4)))


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("no weights")
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "linear.pth")
    for spec, said in (
        ("i3d", "unknown; use inception_v3, resnet50"),
        ("script:", "unknown"),
        ("videomae:", "unknown"),
        (f"s3d:{tmp_path / 'none.pth'}", "no such file"),
        (f"s3d:{tmp_path / 'linear.pth'}", "weights of another network"),
        (f"script:{tmp_path / 'none.pt'}", "no such file"),
        (f"script:{tmp_path / 'text.pt'}", "not a TorchScript network"),
    ):
        with pytest.raises(UserError, match=said) as error:
            open_features(spec, CPU)
        assert "\n" not in str(error.value)


def test_features_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1) / 0

    network = open_features(f"script:{script(Broken(), tmp_path / 'broken.pt')}:1", CPU)
    with pytest.raises(UserError, match="not finite"):
        network(windows(1, 1))
