"""Models exported to other runtimes: what is written, that it renders as torch does, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

import vid2vid
from tiny import PICTURES, build, label_conditions, pictures
from vid2vid.cli import main
from vid2vid.errors import UserError
from vid2vid.inference import export as export_function
from vid2vid.inference import stream
from vid2vid.video import list_pictures, write_picture
from vid2vid.zoo import Model, load_model, save_model
from vid2vid.zoo.exported.ports import FlatStep, flat_state
from vid2vid.zoo.folder import with_painter

PACKAGES = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("openvino",), "torch": ()}


def need(format: str) -> None:
    for package in PACKAGES[format]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")


@pytest.fixture(scope="module")
def model() -> Model:
    return build(cubic_warp=True)


@pytest.fixture(scope="module")
def exported(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "model"
    vid2vid.export(model, folder, format="torch", check=3)
    return folder


def farthest(one: list[Tensor], other: list[Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    "settings", [{}, {"scales": 2, "width": 8}, {"use_flow": False}, {"history": 0}, {"network": "fast"}]
)
def test_the_flat_step_is_the_step(settings: dict[str, object]) -> None:
    renderer = build(**settings).renderer
    conditions = label_conditions(4)
    state = renderer.init_state(conditions[0])
    with torch.inference_mode():
        for condition in conditions:
            named = FlatStep(renderer).named(condition, [*flat_state(state, renderer.history).values()])
            output, state = renderer.step(condition, state)
            assert torch.equal(named["frame"], output.frame)
            for name, tensor in flat_state(state, renderer.history).items():
                assert torch.equal(named[f"next_{name}"], tensor)


@pytest.mark.parametrize("format", PACKAGES)
def test_a_step_file_renders_as_torch_does(format: str, model: Model, tmp_path: Path) -> None:
    need(format)
    facts = vid2vid.export(model, tmp_path / "made", format=format, check=4)  # type: ignore[arg-type]
    assert facts["parity"]["frames"] == 4
    assert facts["parity"]["per step"] <= 1e-3
    back = load_model(tmp_path / "made")
    assert (back.size, back.schema, back.rate) == (model.size, model.schema, model.rate)
    conditions, first = label_conditions(3, batch=2), pictures(2, batch=2)
    wanted = list(stream(model, conditions, first))  # one step from a given state, and two rows
    assert farthest(list(stream(back, conditions, first)), wanted) <= 1e-3
    conditions = label_conditions(1)
    assert farthest(list(stream(back, conditions)), list(stream(model, conditions))) <= 1e-3
    card = (tmp_path / "made" / "README.md").read_text()
    assert f"differs by more than {facts['parity']['per step']:.1e}" in card
    assert "made for 32x32" in card
    assert "street" in card  # what the model's own card said of its data


def test_other_kinds_of_models_go_along(tmp_path: Path) -> None:
    painter = build(network="image", history=0, scales=2, width=8)
    model = build(scales=2, width=8, given_flow=False)
    save_model(painter, tmp_path / "painter")
    save_model(model, tmp_path / "model")
    whole = with_painter(model, tmp_path / "painter", "cpu")
    vid2vid.export(whole, tmp_path / "made", format="torch", check=2, size=(44, 36))
    back = load_model(tmp_path / "made")
    assert back.first_frame is not None
    conditions = label_conditions(4, size=(44, 36))
    assert farthest(list(stream(back, conditions)), list(stream(whole, conditions))) == 0
    vid2vid.export(build(PICTURES, given_flow=True), tmp_path / "flow", format="torch", check=2)
    assert load_model(tmp_path / "flow").renderer.given_flow
    fast = build(network="fast", width=8)
    assert fast.schema.foreground_channels
    vid2vid.export(fast, tmp_path / "fast", format="torch", check=2)
    vid2vid.export(painter, tmp_path / "image", format="torch", check=2)
    assert load_model(tmp_path / "image").renderer.history == 0


def test_the_state_is_an_argument_and_a_result(exported: Path) -> None:
    renderer = load_model(exported).renderer
    first, second = label_conditions(2)
    state = renderer.init_state(first)
    output, following = renderer.step(first, state)
    assert (state.filled, following.filled) == (0, 1)
    assert output.flow is None
    kept = following.frames[0].clone()
    again, _ = renderer.step(second, following)
    assert again.flow is not None
    assert torch.equal(following.frames[0], kept)
    assert torch.equal(renderer.step(second, following)[0].frame, again.frame)


def test_the_command_line_exports_and_renders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_model(build(), tmp_path / "model")
    clip = tmp_path / "clip" / "labels"
    clip.mkdir(parents=True)
    for number in range(2):
        write_picture(clip / f"{number}.png", torch.randint(0, 2, (32, 32)).mul(3).byte().numpy())
    words = ["--out", str(tmp_path / "made"), "--format", "torch", "--check", "2"]
    assert main(["export", str(tmp_path / "model"), *words, "--conditions", str(clip)]) == 0
    assert "a step differs from torch by 0.0e+00 at most" in capsys.readouterr().out
    words = [str(tmp_path / "made"), str(clip), "--out"]
    assert main(["synthesize", *words, str(tmp_path / "frames")]) == 0
    assert len(list_pictures(tmp_path / "frames")) == 2
    assert main(["synthesize", *words, str(tmp_path / "large"), "--size", "40x32"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "was exported for frames of 32x32, not 40x32" in line
    assert main(["export", str(tmp_path / "made"), "--out", str(tmp_path / "again")]) == 2
    assert "is exported already" in capsys.readouterr().err


def test_what_is_not_near_torch_is_not_written(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[export_function.__module__], "TOLERANCE", -1.0)
    with pytest.raises(UserError, match="not written, a step in torch differs"):
        vid2vid.export(model, tmp_path / "made", format="torch", check=1)
    assert not any(tmp_path.iterdir())


def test_what_makes_no_sense_is_refused(model: Model, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nobody compared"):
        vid2vid.export(model, tmp_path / "x", format="torch", check=0)
    with pytest.raises(UserError, match="size 0x9"):
        vid2vid.export(model, tmp_path / "x", format="torch", size=(0, 9))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(UserError, match="is not a model"):
        vid2vid.export(model, tmp_path / "other", format="torch")
    with pytest.raises(UserError, match="copy its folder instead"):
        save_model(load_model(exported), tmp_path / "x")


@pytest.mark.parametrize("package", ["onnx", "openvino"])
def test_a_missing_package_is_named(
    package: str, model: Model, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    mend = rf"{package}: needed .* pip install 'vid2vid\[export\]'"
    with pytest.raises(UserError, match=mend):
        vid2vid.export(model, tmp_path / "made", format=package)  # type: ignore[arg-type]
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("step", [None, [], {}, {"format": "pickle"}, {"format": ["onnx"]}])
def test_a_damaged_description_is_refused(step: object, exported: Path, tmp_path: Path) -> None:
    config = json.loads((exported / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"step": step}))
    with pytest.raises(UserError, match=r"config.json: damaged \(step"):
        load_model(tmp_path)
