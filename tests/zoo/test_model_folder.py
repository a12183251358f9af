"""Models on disk: what is written comes back, what is damaged or hostile is refused in one line."""

from __future__ import annotations

import json
import os
import shutil
import struct
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tiny import LABELS, PICTURES, build, full_disk, hidden_or_partial, label_conditions
from vid2vid.data.city import City
from vid2vid.errors import UserError
from vid2vid.inference import stream
from vid2vid.inference.source import Described
from vid2vid.types import to_picture
from vid2vid.zoo import Model, bundled, load_model, save_model
from vid2vid.zoo.folder import checkpoint_folders

WEIGHTS = "generator.safetensors"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo") / "model"
    save_model(build(), folder)
    return folder


@pytest.fixture
def spoilt(saved: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(saved, tmp_path / "spoilt"))


def refused(path: Path | str) -> str:
    began = time.perf_counter()
    with pytest.raises(UserError) as caught:
        load_model(path)
    assert time.perf_counter() - began < 2
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


@pytest.mark.parametrize(
    ("schema", "changes"),
    [
        (LABELS, {}),
        (PICTURES, {}),
        (LABELS, {"history": 0}),
        (LABELS, {"use_flow": False, "upsampling": "resize"}),
    ],
)
def test_a_model_comes_back_bit_by_bit(schema: Any, changes: dict[str, Any], tmp_path: Path) -> None:
    model = build(schema, **changes)
    save_model(model, tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert (again.architecture, again.schema, again.size, again.rate, again.about) == (
        *(model.architecture, model.schema, model.size, model.rate, model.about),
    )
    weights = again.renderer.state_dict()
    assert weights.keys() == model.renderer.state_dict().keys()
    assert all(torch.equal(weights[name], value) for name, value in model.renderer.state_dict().items())
    assert not again.renderer.training
    assert not any(weight.requires_grad for weight in again.renderer.parameters())
    conditions = (
        [schema.encode(image=torch.zeros(1, 3, 32, 32))] * 3 if schema is PICTURES else label_conditions(3)
    )
    for one, other in zip(stream(model, conditions), stream(again, conditions), strict=True):
        assert torch.equal(one, other)


def test_the_folder_is_safetensors_json_and_a_card(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == ["README.md", "config.json", WEIGHTS]
    card = (saved / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# tiny\n")
    assert all(word in card for word in ("32x32", "10 frames a second", "street", "road, tree, car"))


def test_rates_and_sizes_are_exact(tmp_path: Path) -> None:
    model = Model.build(build().architecture, LABELS, (480, 270), Fraction(30000, 1001))
    save_model(model, tmp_path / "model")
    assert load_model(tmp_path / "model").rate == Fraction(30000, 1001)


def test_further_parts_are_written_beside(tmp_path: Path) -> None:
    save_model(build(), tmp_path / "model", {"styles": {"x": torch.ones(3)}})
    assert torch.equal(load_file(tmp_path / "model" / "styles.safetensors")["x"], torch.ones(3))
    load_model(tmp_path / "model")


def test_a_run_stands_for_its_newest_checkpoint(saved: Path, tmp_path: Path) -> None:
    for step in (9, 10, 100):
        shutil.copytree(saved, tmp_path / "run" / "checkpoints" / f"step-{step}")
    (tmp_path / "run" / "checkpoints" / "step-200").mkdir()  # not whole
    (tmp_path / "run" / "checkpoints" / "step-²").mkdir()
    folders = checkpoint_folders(tmp_path / "run")
    assert [folder.name for folder in folders] == ["step-9", "step-10", "step-100"]
    (folders[-1] / WEIGHTS).unlink()
    assert "step-100" in refused(tmp_path / "run")


def test_what_is_no_model(saved: Path, tmp_path: Path) -> None:
    assert "no such model" in refused(tmp_path / "nowhere")
    assert "neither a model" in refused(tmp_path)
    (tmp_path / "file").write_text("x")
    assert "no such model" in refused(tmp_path / "file")


def test_bundled_models_are_known_and_small() -> None:
    assert list(bundled()) == ["city"]
    for folder in bundled().values():
        assert sum(file.stat().st_size for file in folder.iterdir()) < 16e6


def test_the_bundled_model_paints_the_city() -> None:
    """Frames it never saw: nearer to the real street than any one colour, and never a copy of its input."""
    model = load_model("city")
    classes = model.schema.labels
    assert classes is not None
    street = list(City(3, (256, 128), model.rate).frames(3))
    inputs = (Described(None, None, classes.indices(f.labels), f.instances.astype(np.int64)) for f in street)
    made = stream(model, (item.encode(model.schema, torch.device("cpu")) for item in inputs))
    for frame, picture in zip(street, made, strict=True):
        real, fake = frame.image.astype(float), to_picture(picture[0]).astype(float)
        assert np.corrcoef(real.ravel(), fake.ravel())[0, 1] > 0.5
        assert np.sqrt(np.square(real - fake).mean()) < 0.9 * real.std(axis=(0, 1)).mean()


def _tensors(change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        tensors = {name: tensor.clone() for name, tensor in load_file(folder / WEIGHTS).items()}
        change(tensors)
        save_file(tensors, folder / WEIGHTS)

    return spoil


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda folder: (folder / WEIGHTS).write_bytes(change((folder / WEIGHTS).read_bytes())) and None


def _set(name: str, value: Tensor) -> Callable[[Path], None]:
    return _tensors(lambda tensors: tensors.update({name: value}))


def _header(text: str) -> Callable[[bytes], bytes]:
    return lambda data: struct.pack("<Q", len(text)) + text.encode() + data


class _Bomb:
    def __reduce__(self) -> Any:
        return os.mkdir, ("exploded",)


def _pickle(folder: Path) -> None:
    torch.save({"coarsest.image_head.bias": _Bomb()}, folder / WEIGHTS)


HEAD = "coarsest.image_head.bias"
SPOILERS: dict[str, Callable[[Path], object]] = {
    "cut in half": _bytes(lambda data: data[: len(data) // 2]),
    "cut in its header": _bytes(lambda data: data[:20]),
    "empty": _bytes(lambda data: b""),
    "longer": _bytes(lambda data: data + b"x"),
    "text": _bytes(lambda data: b"hello" * 100),
    "header of 2^60 bytes": _bytes(lambda data: struct.pack("<Q", 2**60) + data[8:]),
    "header of 2^64-1 bytes": _bytes(lambda data: b"\xff" * 8 + data[8:]),
    "header that is no JSON": _bytes(_header("{" * 1000)),
    "header nested deep": _bytes(_header('{"x":' + "[" * 100_000 + "]" * 100_000 + "}")),
    "absurd shape": _bytes(
        _header(json.dumps({HEAD: {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}}))
    ),
    "unknown type": _bytes(
        _header(json.dumps({HEAD: {"dtype": "F8_E8M0", "shape": [3], "data_offsets": [0, 3]}}))
    ),
    "a pickle by another name": _pickle,
    "a folder": lambda folder: ((folder / WEIGHTS).unlink(), (folder / WEIGHTS).mkdir()),
    "missing": lambda folder: (folder / WEIGHTS).unlink(),
    "missing tensor": _tensors(lambda tensors: tensors.pop(HEAD)),
    "surplus tensor": _set("coarsest.more", torch.ones(3)),
    "wrong shape": _set(HEAD, torch.ones(4)),
    "transposed shape": _tensors(
        lambda tensors: tensors.update(
            {"coarsest.image_head.weight": tensors["coarsest.image_head.weight"].transpose(0, 1).contiguous()}
        )
    ),
    "integers": _set(HEAD, torch.ones(3, dtype=torch.int64)),
    "half precision": _set(HEAD, torch.ones(3, dtype=torch.float16)),
    "not a number": _set(HEAD, torch.tensor([0.0, float("nan"), 0.0])),
    "infinity": _set(HEAD, torch.tensor([0.0, float("-inf"), 0.0])),
}


@pytest.mark.parametrize("spoiler", SPOILERS)
def test_spoilt_weights_are_one_line(spoiler: str, spoilt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(spoilt)
    SPOILERS[spoiler](spoilt)
    message = refused(spoilt)
    assert message.startswith(f"{spoilt / WEIGHTS}: ")
    assert not (spoilt / "exploded").exists()


CONFIGS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no format": lambda config: config.pop("format"),
    "unknown format": lambda config: config.update(format=2),
    "format of another type": lambda config: config.update(format=[[]]),
    "no architecture": lambda config: config.pop("architecture"),
    "architecture as a list": lambda config: config.update(architecture=[1, 2]),
    "absurd width": lambda config: config["architecture"].update(width=10**9),
    "enormous width": lambda config: config["architecture"].update(width=10**30),
    "largest width": lambda config: config["architecture"].update(width=4096, downs=8, blocks=64),
    "no halvings": lambda config: config["architecture"].update(downs=0),
    "many blocks": lambda config: config["architecture"].update(blocks=10**6),
    "negative blocks": lambda config: config["architecture"].update(blocks=-1),
    "long history": lambda config: config["architecture"].update(history=10**6),
    "even kernel": lambda config: config["architecture"].update(kernel=2),
    "width as text": lambda config: config["architecture"].update(width="4"),
    "width as a switch": lambda config: config["architecture"].update(width=True),
    "width as a fraction": lambda config: config["architecture"].update(width=4.0),
    "other upsampling": lambda config: config["architecture"].update(upsampling="cubic"),
    "unknown setting": lambda config: config["architecture"].update(depth=3),
    "no condition": lambda config: config.pop("condition"),
    "condition of unknown kind": lambda config: config["condition"].update(kind="sound"),
    "no classes": lambda config: config["condition"].update(labels=None),
    "fewer classes": lambda config: config["condition"]["labels"]["classes"].pop(),
    "classes twice": lambda config: config["condition"]["labels"]["classes"].append(
        config["condition"]["labels"]["classes"][0]
    ),
    "absurd channels": lambda config: config.update(
        condition={"kind": "image", "name": "x", "image_channels": 10**18}
    ),
    "beyond integers": lambda config: config.update(
        condition={"kind": "image", "name": "x", "image_channels": 10**40}
    ),
    "condition elsewhere": lambda config: config["condition"].update(name="/etc"),
    "condition above": lambda config: config["condition"].update(name="../x"),
    "no size": lambda config: config.pop("size"),
    "size of nothing": lambda config: config.update(size=[0, 32]),
    "absurd size": lambda config: config.update(size=[10**9, 32]),
    "size as text": lambda config: config.update(size=["32", "32"]),
    "size of three": lambda config: config.update(size=[32, 32, 3]),
    "size infinite": lambda config: config.update(size=[float("inf"), 32]),
    "rate of nothing": lambda config: config.update(rate=[0, 1]),
    "rate by nothing": lambda config: config.update(rate=[25, 0]),
    "absurd rate": lambda config: config.update(rate=[10**8, 1]),
    "about as text": lambda config: config.update(about="me"),
}


@pytest.mark.parametrize("spoiler", CONFIGS)
def test_a_spoilt_config_is_one_line(spoiler: str, spoilt: Path) -> None:
    path = spoilt / "config.json"
    config = json.loads(path.read_text())
    CONFIGS[spoiler](config)
    path.write_text(json.dumps(config))
    message = refused(spoilt)
    assert message.startswith((f"{path}: ", f"{spoilt / WEIGHTS}: "))


TEXTS = [
    "",
    "{",
    "[]",
    "3",
    "null",
    "\0",
    "[" * 100_000,
    '{"format": 1',
    '{"format": ' + "9" * 5000 + "}",
    "{'a': 1}",
]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_a_config_that_is_no_json_object_is_one_line(text: str, spoilt: Path) -> None:
    (spoilt / "config.json").write_text(text)
    assert refused(spoilt).startswith(f"{spoilt / 'config.json'}: ")


def test_a_config_of_strange_bytes_is_one_line(spoilt: Path) -> None:
    (spoilt / "config.json").write_bytes(b"\xff\xfe\x00")
    assert "damaged" in refused(spoilt)


def test_facts_in_a_config_cannot_stand_in_for_its_parts(spoilt: Path) -> None:
    path = spoilt / "config.json"
    config = json.loads(path.read_text())
    config["about"] = {"schema": 1, "architecture": 2, "name": "x"}
    path.write_text(json.dumps(config))
    assert load_model(spoilt).about == config["about"]


def test_an_absurd_architecture_costs_no_memory(spoilt: Path) -> None:
    """Shapes are compared before any weight is made; 4096 wide would want terabytes."""
    path = spoilt / "config.json"
    config = json.loads(path.read_text())
    config["architecture"].update(width=4096)
    path.write_text(json.dumps(config))
    assert "not (" in refused(spoilt)


def test_an_older_model_is_replaced_and_nothing_else(saved: Path, spoilt: Path, tmp_path: Path) -> None:
    newer = build(seed=5)
    save_model(newer, spoilt)
    assert torch.equal(
        load_model(spoilt).renderer.coarsest.image_head.weight, newer.renderer.coarsest.image_head.weight
    )
    (tmp_path / "diary").mkdir()
    (tmp_path / "diary" / "page.txt").write_text("dear me")
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "diary", tmp_path / "file"):
        with pytest.raises(UserError, match="is not a model"):
            save_model(newer, place)
    assert (tmp_path / "diary" / "page.txt").read_text() == "dear me"
    (tmp_path / "empty").mkdir()
    save_model(newer, tmp_path / "empty")
    load_model(tmp_path / "empty")
    assert not hidden_or_partial(tmp_path)


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError("bug")])
def test_an_interrupted_save_leaves_the_older_model(
    failure: Any, spoilt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in spoilt.iterdir()}

    def fail(model: Model) -> str:
        raise failure

    monkeypatch.setattr("vid2vid.zoo.folder._card", fail)
    with pytest.raises(KeyboardInterrupt if failure is KeyboardInterrupt else RuntimeError):
        save_model(build(seed=5), spoilt)
    assert {path.name: path.read_bytes() for path in spoilt.iterdir()} == before
    assert [path.name for path in spoilt.parent.iterdir()] == [spoilt.name]


@pytest.mark.parametrize("room", [0, 1000, 20_000])
def test_a_full_disk_is_one_line_and_leaves_the_older_model(room: int, spoilt: Path) -> None:
    before = {path.name: path.read_bytes() for path in spoilt.iterdir()}
    with full_disk(room), pytest.raises(UserError, match="the disk is full") as caught:
        save_model(build(seed=5), spoilt)
    assert "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in spoilt.iterdir()} == before
    assert [path.name for path in spoilt.parent.iterdir()] == [spoilt.name]


def test_a_rename_that_fails_puts_the_older_model_back(spoilt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in spoilt.iterdir()}
    original = os.replace

    def fail(source: Path, target: Path) -> None:
        if Path(source).suffix == ".part" and Path(source).is_dir():
            raise OSError(13, "Permission denied")
        original(source, target)

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(UserError, match="Permission denied"):
        save_model(build(seed=5), spoilt)
    assert {path.name: path.read_bytes() for path in spoilt.iterdir()} == before
    assert [path.name for path in spoilt.parent.iterdir()] == [spoilt.name]
