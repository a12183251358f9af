"""A forecaster is trained like any renderer: what it learns, from which noise, and a run from end to end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_trainer import CPU, spied, video
from torch import Tensor

from tiny import CLASSES, LABELS, write_clip
from vid2vid.conditions import told_apart
from vid2vid.config import load_recipe
from vid2vid.data import Dataset
from vid2vid.errors import UserError
from vid2vid.flow import motion_in_space
from vid2vid.losses.pixel import cross_entropy
from vid2vid.models.forecaster import Forecaster
from vid2vid.training import plan, train
from vid2vid.training.distributed import ALONE
from vid2vid.training.futures import nearest_future
from vid2vid.training.trainer import Trainer
from vid2vid.training.validation import render
from vid2vid.types import GeneratorOutput, RecurrentState
from vid2vid.zoo import Model, load_model

SMALL = (
    *("data.size=[32, 32]", "data.sequence=7", "model.width=4", "model.downs=2", "model.blocks=2"),
    *("model.history=2", "model.noise=3", "discriminator.width=4", "discriminator.layers=2"),
    *("train.chunk=2", "train.backprop=2", "train.rollout=0", "train.ema=0"),
)
JUDGED = ("loss.gan=1", "loss.video_gan=1", "loss.feature_matching=1")


def trainer(*overrides: str, name: str = "forecast-tiny") -> Trainer:
    recipe = load_recipe(name, [*SMALL, *overrides])
    torch.manual_seed(0)
    return Trainer(Model.build(recipe.model, LABELS, (32, 32), 10), recipe, CPU)


def encoded(frames: int = 7, batch: int = 1) -> Tensor:
    seen = video(frames, batch)
    assert seen.labels is not None
    assert seen.instances is not None
    flat = LABELS.encode(seen.labels.flatten(0, 1), seen.instances.flatten(0, 1))
    return flat.unflatten(0, (batch, frames))


def test_it_learns_the_conditions_and_sees_nothing_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = trainer("train.futures=0", *JUDGED)
    chunks: list[Any] = []
    judge = trained.objective.forward
    monkeypatch.setattr(trained.objective, "forward", lambda chunk: chunks.append(chunk) or judge(chunk))
    noises, made, states = spied(trained, monkeypatch)
    metrics = list(trained.train_sequence(video(7), 2))
    real = encoded()
    assert torch.equal(torch.cat([chunk.real for chunk in chunks], dim=1), real[:, 2:])
    assert torch.equal(chunks[0].before_real, real[:, 1:3])
    assert torch.equal(states[0].frames[0], real[:, :2].flatten(1, 2))
    assert all(chunk.condition.shape[2] == 0 for chunk in chunks)
    assert all(noise.shape == (1, 3, 1, 1) and not noise.any() for noise in noises)
    assert torch.equal(states[2].frames[0][:, 4:], made[1]), "from its own history"
    assert torch.equal(states[2].conditions[0], real[:, 1]), "what was observed last"
    moved = motion_in_space(video(7).flow[:, 1], told_apart(real[:, 1], 3, LABELS.labels.foreground))
    assert torch.equal(states[2].conditions[1], moved), "goes on as it moved"
    flow = torch.cat([chunk.flow for chunk in chunks], dim=1)
    assert torch.equal(flow, video(7).flow[:, 2:]), "reference flow is that of the frames"
    names = {name for step in metrics for name in step}
    assert {"generator/cross_entropy", "generator/flow_warp", "discriminator/real"} <= names
    assert {"generator/video_0_gan", "discriminator/video_0_fake"} <= names


def test_it_gets_better_at_what_it_is_shown() -> None:
    trained = trainer("train.futures=0", "train.lr=0.003", "train.decay_from=1")
    found = [
        step["generator/cross_entropy"] for _ in range(20) for step in trained.train_sequence(video(), 2)
    ]
    assert sum(found[-4:]) < 0.7 * sum(found[:4])


class Fixed:
    """A step whose first channel is the noise's first number, whatever came before."""

    def __call__(self, noise: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        chance = torch.sigmoid(noise[:, :1]).expand(-1, 1, 4, 4)
        return GeneratorOutput(chance, chance), replace(state, filled=0)


def test_the_future_that_comes_nearest_is_learnt_clip_by_clip() -> None:
    still, state = torch.zeros(2, 3, 5, 1, 1), RecurrentState((), ())
    real = torch.stack([torch.ones(3, 1, 4, 4), torch.zeros(3, 1, 4, 4)])
    drawn = 0
    for seed in range(20):
        draw = torch.Generator().manual_seed(seed)
        noise = nearest_future(Fixed(), still, state, real, 16, draw, ALONE)
        assert noise.shape == still.shape
        assert torch.equal(noise, noise[:, :1].expand_as(noise)), "the same in all frames"
        drawn += bool(noise.any())
        if noise.any():
            assert noise[0, 0, 0] > 0 > noise[1, 0, 0]
            step = Fixed()
            best, other = (
                cross_entropy(step(x[:, 0], state)[0].frame, real[:, 0]) for x in (noise, noise.flip(0))
            )
            assert (best < other).all()
    assert 4 < drawn < 16, "half of the steps learn the most likely future"
    assert nearest_future(Fixed(), still, state, real, 0, torch.Generator(), ALONE) is still


def test_futures_are_drawn_by_the_step_so_that_a_training_goes_on_exactly() -> None:
    runs = []
    for _ in range(2):
        trained = trainer("train.futures=3")
        runs.append([step for _ in range(3) for step in trained.train_sequence(video(batch=2), 2)])
    assert runs[0] == runs[1]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("street")
    for number, name in enumerate(("one", "two", "three")):
        write_clip(root / name, 10, shift=number)
    CLASSES.write(root / "labels.yaml")
    return root


RUN = (
    "train.steps=8",
    "train.checkpoint_every=4",
    "train.sample_every=5",
    "train.rollout=2",
    "train.ema=0.9",
)


@pytest.mark.parametrize(
    ("name", "more"),
    [("forecast-tiny", ()), ("forecast-tiny", JUDGED), ("forecast-tiny-rgb", ())],
    ids=["labels", "judged", "rgb"],
)
def test_a_run_from_end_to_end(name: str, more: tuple[str, ...], dataset: Path, tmp_path: Path) -> None:
    words = [*SMALL, *RUN, *more]
    planned = plan(dataset, name, tmp_path / "run", words, device="cpu")
    assert all(stretch.memory > 0 for stretch in planned.costs)
    last = train(dataset, name, tmp_path / "run", words, validate_on="two", device="cpu")
    model = load_model(last)
    assert isinstance(model.renderer, Forecaster)
    assert model.renderer.frame_channels == model.schema.channels == (3 if "rgb" in name else 4)
    assert (tmp_path / "run" / "samples" / "step-0000008.mp4").is_file()
    assert "validation/ms_ssim" in (tmp_path / "run" / "metrics.jsonl").read_text()
    again = train(dataset, name, tmp_path / "again", [*words, "train.seed=1"], start_from=last, device="cpu")
    assert load_model(again).about["steps"] == 8


def test_what_is_shown_is_the_frame_and_both_label_maps(dataset: Path) -> None:
    clip = Dataset.open(dataset).clips[0]
    recipe = load_recipe("forecast-tiny", SMALL)
    model = Model.build(recipe.model, clip.schema, (32, 32), 10)
    shown = list(render(model.renderer, model, clip, 5))
    assert all((picture.seen == clip.frame(t)).all() for t, picture in enumerate(shown))
    labels = clip.read(3, 4)
    assert labels.labels is not None
    assert labels.instances is not None
    tinted = clip.schema.tint(
        clip.schema.encode(torch.tensor(labels.labels), torch.tensor(labels.instances))[0]
    )
    assert (shown[3].real == tinted).all()
    assert [(picture.real == picture.made).all() for picture in shown[:2]] == [True, True]


def test_what_cannot_be_is_refused(dataset: Path, tmp_path: Path) -> None:
    words = [*SMALL, "train.steps=1"]
    with pytest.raises(UserError, match="--teacher"):
        train(dataset, "forecast-tiny", tmp_path / "a", words, teacher=tmp_path, device="cpu")
    last = train(dataset, "forecast-tiny", tmp_path / "b", words, device="cpu")
    with pytest.raises(UserError, match="vid2vid predict"):
        train(dataset, "street-tiny", tmp_path / "c", teacher=last, device="cpu")
    text = (last / "config.json").read_text()
    (last / "config.json").write_text(text.replace('"tree"', '"bush"'))
    with pytest.raises(UserError, match="other classes"):
        train(dataset, "forecast-tiny", tmp_path / "d", words, start_from=last, device="cpu")
