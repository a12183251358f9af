"""Recipes: strict reading, overrides, and the way back to YAML."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from vid2vid.config import (
    DataConfig,
    DiscriminatorConfig,
    LossWeights,
    ModelConfig,
    Recipe,
    TrainConfig,
    load_recipe,
    recipe_names,
)
from vid2vid.errors import UserError

NESTED = "[" * 500


def refused(name: str, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        load_recipe(name, overrides)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


def written(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_comes_back_from_yaml(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.about
    assert load_recipe(written(tmp_path, recipe.to_yaml())) == recipe


def test_the_recipes_that_others_name_are_there() -> None:
    assert {"paper", "street-tiny"} <= set(recipe_names())


def test_an_empty_file_is_the_defaults_and_a_run_folder_is_its_config(tmp_path: Path) -> None:
    assert load_recipe(written(tmp_path, "")) == Recipe()
    (tmp_path / "config.yaml").write_text("train: {steps: 7}")
    assert load_recipe(str(tmp_path)).train.steps == 7


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("3", "a recipe is a mapping"),
        ("[1, 2]", "a recipe is a mapping"),
        ("a: b: c", "not YAML"),
        ("\0", "not YAML"),
        (NESTED, "not YAML"),
        ("name: !!python/object/apply:os.system ['echo']", "not YAML"),
        ("modle: {}", "'modle' (did you mean model?)"),
        ("1: 2", "'1'"),
        ("data: 3", "data is a mapping"),
        ("data:", "data is a mapping"),
        ("train: {stepz: 3}", "'train.stepz' (did you mean train.steps?)"),
        ("steps: 3", "'steps' (did you mean train.steps?)"),
        ("train: {steps: 1.5}", "train.steps is 1.5; it must be a whole number"),
        ("train: {steps: true}", "train.steps is True"),
        ("train: {lr: }", "train.lr is None; it must be a number"),
        ("train: {lr: .nan}", "train.lr is nan"),
        ("train: {lr: .inf}", "train.lr is inf"),
        ("name: 3", "name is 3; it must be text"),
        ("data: {instances: 1}", "data.instances is 1; it must be true or false"),
        ("data: {size: 64x48}", "data.size is 64x48; it must be a list of 2"),
        ("data: {size: [64, 48, 3]}", "data.size is"),
        ("data: {size: [64, wide]}", "data.size is"),
        ("model: {upsampling: cubic}", "model.upsampling is cubic; there are transposed, resize"),
    ],
)
def test_a_bad_file_is_one_line_naming_the_key(tmp_path: Path, text: str, named: str) -> None:
    path = written(tmp_path, text)
    message = refused(path)
    assert message.startswith(f"{path}: ")
    assert named in message


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff")
    for name in ("nowhere.yaml", "latin.yaml"):
        assert "cannot be read" in refused(str(tmp_path / name))
    assert "street-tiny" in refused("street-tine")


NONSENSE = [
    *("data.size=[8, 64]", "data.size=[64, 1000000]", "data.sequence=0", "data.batch=0", "data.flip=1.5"),
    *("data.scale=[0.5, 1]", "data.scale=[2, 1]", "data.crop=[8, 8]", "data.crop=[4096, 64]"),
    *("data.workers=-1", "data.jitter=-0.1", "model.history=-1", "model.kernel=4", "model.kernel=0"),
    *("model.width=1", "model.width=1000000000", "model.downs=0", "model.downs=40", "model.blocks=-1"),
    *("discriminator.scales=0", "discriminator.scales=9", "discriminator.width=0", "discriminator.layers=0"),
    *("discriminator.temporal_scales=-1", "discriminator.frames=1", "loss.gan=-1", "train.steps=0"),
    *("train.backprop=0", "train.backprop=99", "train.chunk=99", "train.self_made_first=2"),
    *("train.betas=[0.5, 1]", "train.decay_from=-1", "train.ema=1", "train.seed=-1", "train.keep=0"),
    *("train.checkpoint_every=0", "train.sample_every=0", "train.lr=0", "train.discriminator_lr=-1"),
]


@pytest.mark.parametrize("word", NONSENSE)
def test_nonsense_is_refused_by_name(word: str) -> None:
    section, leaf = word.partition("=")[0].split(".")
    message = refused("street-tiny", word)
    assert message.startswith("street-tiny: ")
    assert section in message
    assert leaf in message or leaf == "gan"


def test_something_must_pull_towards_the_pictures() -> None:
    off = ("gan", "perceptual", "charbonnier", "ssim")
    assert "must count" in refused("paper", *(f"loss.{name}=0" for name in off))


@pytest.mark.parametrize(
    ("recipe", "word", "named"),
    [
        ("forecast-tiny", "loss.perceptual=1", "label maps makes none"),
        ("forecast-tiny", "loss.ssim=1", "label maps makes none"),
        ("forecast-tiny", "train.self_made_first=0.5", "set it to 0"),
        ("forecast-tiny", "train.futures=-1", "train.futures"),
        ("forecast-tiny-rgb", "loss.cross_entropy=1", "forecaster of label maps"),
        ("street-tiny", "train.futures=2", "forecaster of label maps"),
    ],
)
def test_what_a_forecaster_cannot_learn_from_is_refused(recipe: str, word: str, named: str) -> None:
    assert named in refused(recipe, word)


def test_overrides() -> None:
    words = (
        "train.steps=12",
        "data.size=[64, 48]",
        "train.lr=1e-3",
        "data.crop=[32, 32]",
        "about=why",
    )
    recipe = load_recipe("street-tiny", words)
    assert (recipe.train.steps, recipe.data.size, recipe.train.lr) == (12, (64, 48), 1e-3)
    assert (recipe.data.crop, recipe.about) == ((32, 32), "why")
    assert load_recipe("street-tiny", [*words, "data.crop=null"]).data.crop is None
    before = load_recipe("street-tiny")
    assert recipe.loss == before.loss
    assert recipe.model == before.model


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("train.steps", "key=value"),
        ("train.step=3", "did you mean train.steps?"),
        ("steps=3", "did you mean train.steps?"),
        ("train.steps.more=3", "train.steps.more"),
        ("train=3", "train is a mapping"),
        ("=3", "no key"),
        ("train.steps=many", "train.steps is many"),
        ("train.steps=", "train.steps is None"),
        ("train.steps={", "not YAML"),
        (f"name={NESTED}", "not YAML"),
    ],
)
def test_a_bad_override_is_one_line_naming_it(word: str, named: str) -> None:
    message = refused("street-tiny", word)
    assert message.startswith(word[:50])
    assert named in message


def share(**limits: bool) -> st.SearchStrategy[float]:
    return st.floats(0, 1, **limits)


SIZES = st.tuples(st.integers(16, 4096), st.integers(16, 4096))
WORDS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=20)
RECIPES = st.builds(
    Recipe,
    name=WORDS,
    about=WORDS,
    data=st.builds(
        DataConfig,
        size=SIZES,
        condition=WORDS,
        instances=st.booleans(),
        flip=share(),
        sequence=st.integers(4, 64),
        scale=st.tuples(st.floats(1, 2), st.floats(2, 4)),
    ),
    model=st.builds(
        ModelConfig,
        history=st.integers(0, 4),
        kernel=st.sampled_from((3, 5, 7)),
        upsampling=st.sampled_from(("transposed", "resize")),
    ),
    discriminator=st.builds(DiscriminatorConfig, scales=st.integers(1, 4), spectral=st.booleans()),
    loss=st.builds(LossWeights, gan=st.floats(0.5, 1e6), ssim=st.floats(0, 1e-30)),
    train=st.builds(
        TrainConfig,
        chunk=st.integers(1, 4),
        lr=st.floats(1e-12, 1),
        betas=st.tuples(share(exclude_max=True), share(exclude_max=True)),
        ema=share(exclude_max=True),
    ),
)


@settings(max_examples=30)
@given(recipe=RECIPES)
def test_any_recipe_comes_back_from_yaml(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(recipe.to_yaml(), encoding="utf-8")
    assert load_recipe(str(path)) == recipe


@settings(max_examples=15)
@given(steps=st.integers(1, 10**9), lr=st.floats(1e-12, 1), name=WORDS)
def test_any_value_can_be_overridden(steps: int, lr: float, name: str) -> None:
    quoted = yaml.safe_dump(name, default_style='"')
    recipe = load_recipe("street-tiny", [f"train.steps={steps}", f"train.lr={lr!r}", f"name={quoted}"])
    assert (recipe.train.steps, recipe.train.lr, recipe.name) == (steps, lr, name)


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_recipe("paper").train.steps = 3  # type: ignore[misc]
