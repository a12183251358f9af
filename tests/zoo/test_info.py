"""``info``: facts of models and recipes before anything runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tiny import PICTURES, build
from vid2vid.config import load_recipe, recipe_names
from vid2vid.errors import UserError
from vid2vid.models.renderer import Renderer
from vid2vid.zoo import bundled, info, save_model


@pytest.mark.parametrize("name", recipe_names())
def test_of_every_recipe(name: str) -> None:
    facts = info(name)
    recipe = load_recipe(name)
    assert facts["recipe"] == name
    assert facts["size"] == f"{recipe.data.size[0]}x{recipe.data.size[1]}"
    assert facts["parameters"] > 10_000
    assert 0 < facts["TFLOP a frame"] < 100
    json.dumps(facts)


def test_counts_agree_with_a_network_that_exists() -> None:
    facts = info("street-tiny", ["model.width=4", "data.condition=edges"])
    network = Renderer(3, width=4, downs=3, blocks=6, kernel=3, upsampling="resize")
    assert facts["parameters"] == sum(parameter.numel() for parameter in network.parameters())
    assert facts["settings"]["model"]["width"] == 4


def test_operations_follow_the_size() -> None:
    small, large = (info("street-tiny", size=size)["TFLOP a frame"] for size in ((128, 64), (256, 128)))
    assert large == pytest.approx(4 * small, rel=1e-6)
    assert info("street-tiny", size=(1, 1))["TFLOP a frame"] > 0


@pytest.mark.parametrize("history", [0, 1, 3])
def test_of_a_model(tmp_path: Path, history: int) -> None:
    model = build(history=history)
    save_model(model, tmp_path / "model")
    facts = info(str(tmp_path / "model"))
    assert facts["name"] == "tiny"
    assert facts["trained at"] == "32x32"
    assert facts["rate"] == 10
    assert facts["condition"] == "label maps from labels/ (road, tree, car), instances"
    assert facts["parameters"] == sum(parameter.numel() for parameter in model.renderer.parameters())
    assert facts["settings"]["history"] == history
    json.dumps(facts)


def test_a_recipe_in_bfloat16_is_counted_in_float32() -> None:
    plain, lower = (info("street-tiny", [f"train.precision={kind}"]) for kind in ("float32", "bfloat16"))
    assert plain["GiB to train"] == lower["GiB to train"] > 0


def test_of_a_model_of_pictures(tmp_path: Path) -> None:
    save_model(build(PICTURES), tmp_path / "model")
    assert info(str(tmp_path / "model"))["condition"] == "pictures from densepose/"


def test_of_everything() -> None:
    facts = info()
    assert facts["recipes"] == recipe_names()
    assert facts["bundled models"] == list(bundled())
    assert facts["recipe keys"]["train"]["steps"] == 20000


def test_what_is_neither(tmp_path: Path) -> None:
    save_model(build(), tmp_path / "model")
    cases = [
        (("nonsense",), "no such model"),
        (("nowhere.yaml",), "cannot be read"),
        (("street-tiny", ["model.widht=3"]), "did you mean model.width?"),
        ((str(tmp_path / "model"), ["model.width=3"]), "only a recipe's settings"),
    ]
    for arguments, expected in cases:
        with pytest.raises(UserError) as caught:
            info(*arguments)
        assert expected in str(caught.value)
        assert "\n" not in str(caught.value)
