"""Depth that does not flicker and masks of people: by stand-ins, and by tiny random networks through the real
transformers where that is installed."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from tiny import build
from vid2vid.annotators import depth, mask, open_annotator
from vid2vid.annotators.depth import Depth
from vid2vid.annotators.networks import NetworkFiles
from vid2vid.annotators.segmentation import Segmented
from vid2vid.conditions import ConditionSchema
from vid2vid.data.annotate import annotate
from vid2vid.errors import UserError
from vid2vid.inference import synthesize
from vid2vid.inference.annotated import AnnotatedSource
from vid2vid.video import open_frames, read_picture, write_picture

FRAMES = 5


def scene(t: int) -> np.ndarray:
    """A slope that is nearer below; from frame 3 on something very near stands on the left."""
    frame = np.repeat(np.linspace(20, 120, 32).astype(np.uint8)[:, None, None], 32, axis=1).repeat(3, axis=2)
    if t >= 3:
        frame[:, :8] = 250
    return np.roll(frame, t, axis=1)


class Near:
    """Bright is near, in units that differ from one network to the next."""

    def __init__(self, files: NetworkFiles, device: torch.device, asked: str) -> None:
        pass

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        return picture[..., 0] * np.float32(0.03) - 7


class Bright:
    """Sees people where it is bright, a rider where it is brighter, else a tree."""

    def __init__(self, files: NetworkFiles, device: torch.device, asked: str) -> None:
        pass

    def __call__(self, picture: np.ndarray) -> Segmented:
        return Segmented(np.digitize(picture[..., 0], [100, 200]))


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    classes = ("tree", "person, individual", "Rider")
    for module, network in ((depth, "DepthNetwork"), (mask, "SegmentationNetwork")):
        monkeypatch.setattr(module, "find_network", lambda name, asked: NetworkFiles(name, "1", "x", classes))
        monkeypatch.setattr(module, network, Near if module is depth else Bright)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    for t in range(FRAMES):
        write_picture(tmp_path / "walk" / "frames" / f"a{t}.png", scene(t))
    return tmp_path / "walk"


def drawn(folder: Path) -> list[np.ndarray]:
    return [read_picture(path) for path in sorted(folder.glob("*.png"))]


def test_what_comes_near_does_not_darken_the_rest_at_once(stand_in: None, clip: Path) -> None:
    annotate([clip], ["depth:net"])
    pictures = drawn(clip / "depth")
    assert (pictures[0][0] == 0).all()
    assert (pictures[0][-1] == 255).all(), "near is bright"
    ground = [float(picture[16, 20, 0]) for picture in pictures]
    alone = Depth.of("net")
    fresh = type(alone)(alone.network, alone.made, window=1).begin().draw(scene(3), 0).picture
    assert fresh is not None
    assert abs(ground[0] - ground[2]) <= 1
    assert 0 < ground[2] - ground[3] < (ground[2] - float(fresh[16, 20, 0])) / 2
    flat = Depth.of("net").begin().draw(np.full((8, 8, 3), 9, np.uint8), 0).picture
    assert flat is not None
    assert len(np.unique(flat)) == 1


@pytest.mark.parametrize("name", ["depth", "mask"])
def test_a_driver_gives_what_its_prepared_clip_gives(
    stand_in: None, clip: Path, tmp_path: Path, name: str
) -> None:
    annotate([clip], [f"{name}:net"])
    model = build(ConditionSchema("image", name))
    options: dict[str, Any] = {"native": True, "device": "cpu"}
    synthesize(model, clip, tmp_path / "prepared", **options)
    synthesize(model, clip, tmp_path / "driven", annotate=f"{name}:net", **options)
    made, expected = ([f.image for f in open_frames(tmp_path / one)] for one in ("driven", "prepared"))
    assert all(np.array_equal(*pair) for pair in zip(made, expected, strict=True))
    part = [item.image for item in AnnotatedSource(clip, f"{name}:net", model.schema, frames="3:")]
    assert part[0] is not None
    assert np.array_equal(part[0], drawn(clip / name)[3]), "earlier frames were seen"


def test_people_are_white_whatever_they_do(stand_in: None, clip: Path) -> None:
    annotate([clip], ["mask:net"])
    for t, picture in enumerate(drawn(clip / "mask")):
        assert np.array_equal(picture[..., 1] == 255, scene(t)[..., 0] >= 100)
        assert set(np.unique(picture).tolist()) == {0, 255}


def test_mistakes_are_one_line(stand_in: None, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = NetworkFiles("net", "1", "x", ("tree", "manhole"))
    monkeypatch.setattr(mask, "find_network", lambda name, asked: nobody)
    for spec, told in {
        "depth": r"which network\? write depth:FOLDER",
        "mask": r"which network\? write mask:FOLDER",
        "mask:net": r"none of its classes \(tree, manhole \.\.\.\) is people",
    }.items():
        with pytest.raises(UserError, match=told):
            open_annotator(spec)


@pytest.fixture(scope="module")
def transformers() -> ModuleType:
    found: ModuleType = pytest.importorskip("transformers", reason="transformers is not installed")
    return found


def network(transformers: ModuleType, kind: str, folder: Path) -> Path:
    """Random weights, but loud enough that something is near."""
    torch.manual_seed(0)
    neck = {"neck_hidden_sizes": [8] * 4, "fusion_hidden_size": 8}
    sizes = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 32}
    outs = {"out_features": [f"stage{n}" for n in (1, 2, 3, 4)], "reshape_hidden_states": False}
    if kind == "DPT":
        config = transformers.DPTConfig(**sizes, **neck, patch_size=8, intermediate_size=16,
                                        backbone_out_indices=[0, 1, 2, 3])  # fmt: skip
    elif kind == "DepthAnything":
        backbone = transformers.Dinov2Config(**sizes, **outs, patch_size=8, mlp_ratio=1,
                                             apply_layernorm=True)  # fmt: skip
        config = transformers.DepthAnythingConfig(backbone_config=backbone, patch_size=8, head_hidden_size=4,
                                                  reassemble_hidden_size=16, **neck)  # fmt: skip
    else:
        config = transformers.GLPNConfig(hidden_sizes=[8] * 4, depths=[1] * 4, num_attention_heads=[1] * 4,
                                         decoder_hidden_size=8)  # fmt: skip
    made = getattr(transformers, f"{kind}ForDepthEstimation")(config)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            weight.mul_(6 if weight.dim() > 1 else 1).add_(0.2 * ("head" in name and "bias" in name))
    made.save_pretrained(folder)
    if kind == "GLPN":
        transformers.GLPNImageProcessor().save_pretrained(folder)
    else:
        transformers.DPTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["DPT", "DepthAnything", "GLPN"])
def test_a_real_network_gives_depth(transformers: ModuleType, tmp_path: Path, kind: str) -> None:
    folder = network(transformers, kind, tmp_path / kind)
    picture = np.random.default_rng(0).integers(0, 256, (40, 64, 3), np.uint8)
    found = open_annotator(f"depth:{folder}", device="cpu").begin()
    made = found.draw(picture, 0.0).picture
    assert made is not None
    assert (made.shape, made.dtype) == ((40, 64, 3), np.uint8)
    assert made.std() > 10
    opened = found._network  # type: ignore[attr-defined]
    with torch.inference_mode():
        outputs = opened._network(**opened._prepare(images=picture, return_tensors="pt"))
        own = F.interpolate(outputs.predicted_depth[None], (40, 64), mode="bicubic")[0, 0]
    expected = 1 / own.clamp(min=0.1) if kind == "GLPN" else own
    assert np.allclose(opened(picture), expected.numpy(), rtol=1e-4), "distances are turned round"


def test_weights_that_lack_what_is_used_are_refused(transformers: ModuleType, tmp_path: Path) -> None:
    folder = network(transformers, "DPT", tmp_path / "net")
    weights = load_file(folder / "model.safetensors")
    unused = [name for name in weights if "fusion_stage.layers.0.residual_layer1" in name]
    assert unused
    save_file(
        {n: w for n, w in weights.items() if n not in unused}, folder / "model.safetensors", {"format": "pt"}
    )
    open_annotator(f"depth:{folder}", device="cpu").begin()
    save_file(
        {n: w for n, w in weights.items() if "head" not in n}, folder / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(UserError, match="its weights lack head"):
        open_annotator(f"depth:{folder}", device="cpu").begin()
