"""Coarse to fine, styles, image generators, and starting from another model: whole runs at tiny size."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tiny import write_clip, write_street
from vid2vid.config import Recipe, TrainConfig
from vid2vid.errors import UserError
from vid2vid.training import train
from vid2vid.training.schedule import stage_at
from vid2vid.video import write_picture
from vid2vid.zoo import load_model

SETTINGS = (
    *("data.size=[32, 32]", "data.sequence=4", "data.workers=0", "model.width=8", "model.downs=2"),
    *("model.blocks=2", "model.enhancer_blocks=1", "discriminator.width=4", "discriminator.layers=2"),
    *("discriminator.scales=1", "loss.perceptual=0", "train.chunk=2", "train.backprop=1", "train.steps=4"),
    *("train.self_made_first=0", "train.checkpoint_every=100", "train.sample_every=100"),
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_street(tmp_path_factory.mktemp("street"), 9)


def run(dataset: Path, out: Path, *overrides: str, **options: Any) -> Path:
    return train(dataset, "street-tiny", out, [*SETTINGS, *overrides], device="cpu", **options)


@pytest.fixture(scope="module")
def coarse(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(dataset, tmp_path_factory.mktemp("runs") / "coarse", "data.size=[16, 16]")


def weights(model: Path) -> dict[str, torch.Tensor]:
    return load_model(model).renderer.state_dict()


def test_the_finest_scale_learns_alone_and_then_all(dataset: Path, coarse: Path, tmp_path: Path) -> None:
    said: list[str] = []
    alone = run(
        dataset, tmp_path / "alone", "model.scales=2", "train.finest_alone=1", "train.ema=0",
        start_from=coarse, say=said.append,
    )  # fmt: skip
    assert any(
        "starting from" in line and "coarsest" in line and "anew: enhancers.0" in line for line in said
    )
    before, after = weights(coarse), weights(alone)
    for name, value in before.items():
        assert torch.equal(after[name], value), f"{name} was to be left alone"
    both = run(
        dataset, tmp_path / "both", "model.scales=2", "train.finest_alone=0.5", "train.ema=0",
        start_from=coarse,
    )  # fmt: skip
    after = weights(both)
    changed = [name for name, value in before.items() if not torch.equal(after[name], value)]
    # What only makes the coarse frame has its say in the next one, to which no gradient reaches back.
    assert any("decode_image" in name for name in changed)
    assert any("encode_conditions" in name for name in changed)


def test_a_stopped_stage_goes_on_bit_by_bit(dataset: Path, tmp_path: Path) -> None:
    settings = ("model.scales=2", "train.finest_alone=0.5", "model.styles=2", "model.style_downs=2")
    straight = run(dataset, tmp_path / "straight", *settings)

    def stop(done: int, total: int | None = None, note: str = "") -> None:
        if done == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(dataset, tmp_path / "resumed", *settings, progress=stop)
    stopped = load_model(tmp_path / "resumed")
    assert stopped.about["steps"] < 4
    resumed = run(dataset, tmp_path / "resumed", *settings)
    for part in ("generator", "encoder", "styles", "discriminators", "optimiser"):
        name = f"{part}.safetensors"
        assert (straight / name).read_bytes() == (resumed / name).read_bytes(), part


def test_a_model_of_styles_learns_its_encoder_and_the_looks(dataset: Path, tmp_path: Path) -> None:
    first = run(dataset, tmp_path / "one", "model.styles=3", "model.style_downs=2", "train.steps=1")
    later = run(dataset, tmp_path / "two", "model.styles=3", "model.style_downs=2", "train.steps=4")
    one, two = load_model(first), load_model(later)
    assert one.encoder is not None
    assert two.encoder is not None
    assert two.styles is not None
    moved = [
        not torch.equal(a, b) for a, b in zip(one.encoder.parameters(), two.encoder.parameters(), strict=True)
    ]
    assert all(moved[::2]), "every weight of the encoder learns"
    assert (two.styles.weights.sum(1) > 0.99).all(), "all three classes were seen"
    assert two.renderer.condition_channels == two.schema.channels + 3


def test_an_image_generator_is_trained_by_the_same_command(dataset: Path, tmp_path: Path) -> None:
    settings = ("model.network=image", "model.history=0", "model.scales=2", "discriminator.temporal_scales=0")
    folder = run(dataset, tmp_path / "image", *settings)
    config = json.loads((folder / "config.json").read_text())
    assert config["architecture"]["network"] == "image"
    model = load_model(folder)
    assert model.renderer.history == 0
    assert list((tmp_path / "image" / "samples").iterdir())


def test_the_face_discriminator_learns_where_there_are_heads(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "dance", 6)
    for t in range(6):
        picture = np.zeros((32, 32, 3), np.uint8)
        picture[4:8, 10 + t : 14 + t, 2] = 255  # part 24 of 24
        write_picture(clip / "densepose" / f"{t:04d}.png", picture)
    settings = ("data.condition=densepose", "discriminator.face=parts", "train.steps=2")
    folder = run(clip, tmp_path / "run", *settings)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1]).keys() >= {"generator/face_gan", "discriminator/face_real"}
    names = load_file(folder / "discriminators.safetensors")
    assert any(name.startswith("face_discriminator.") for name in names)


def test_a_model_of_another_shape_is_refused(dataset: Path, coarse: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no network in it has the shape"):
        run(dataset, tmp_path / "other", "model.width=4", start_from=coarse)
    assert not (tmp_path / "other").exists()
    spoilt = shutil.copytree(coarse, tmp_path / "spoilt")
    tensors = load_file(spoilt / "generator.safetensors")
    tensors["coarsest.image_head.bias"][0] = float("nan")
    save_file(tensors, spoilt / "generator.safetensors")
    with pytest.raises(UserError, match="not finite"):
        run(dataset, tmp_path / "other", start_from=spoilt)
    with pytest.raises(UserError, match="no such model"):
        run(dataset, tmp_path / "none", start_from=tmp_path / "nowhere")


def test_the_stage_is_a_function_of_the_step() -> None:
    recipe = Recipe(train=TrainConfig(steps=10, finest_alone=0.3))
    assert [stage_at(step, 0, recipe).finest_alone for step in range(10)] == [True] * 3 + [False] * 7
    assert not stage_at(0, 0, Recipe(train=TrainConfig(steps=10))).finest_alone
