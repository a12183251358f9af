"""A forecaster and a renderer that learn together: by frames, at the very step that ``predict`` runs."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_trainer import CPU, video

from tiny import CLASSES, LABELS, PICTURES, build, write_street
from vid2vid.conditions import LabelClass, LabelSchema
from vid2vid.config import load_recipe
from vid2vid.data.dataset import ClipFrames
from vid2vid.errors import UserError
from vid2vid.models.joint import Joint
from vid2vid.prediction import predict
from vid2vid.prediction.rollout import Forecast
from vid2vid.training import plan, train
from vid2vid.training.trainer import Trainer
from vid2vid.types import VideoBatch, to_bytes, to_tensor
from vid2vid.zoo import Model, load_model, save_model
from vid2vid.zoo.folder import RENDERER, checkpoint_folders

SMALL = (
    *("data.size=[32, 32]", "data.sequence=6", "model.width=4", "model.downs=2", "model.blocks=2"),
    *("model.noise=3", "train.chunk=2", "train.backprop=2", "train.ema=0"),
)
RUN = (*SMALL, "train.steps=6", "train.checkpoint_every=2", "train.sample_every=5", "train.ema=0.9")
NAME = "forecast-tiny-joint"


def model(words: tuple[str, ...] = SMALL, **renderer: Any) -> Model:
    recipe = load_recipe(NAME, words)
    torch.manual_seed(0)
    found = Model.build(recipe.model, LABELS, (32, 32), 10)
    head = found.renderer.get_submodule("network.mask_head")
    with torch.no_grad():  # untrained it would paint nothing
        head.bias.fill_(3.5)  # type: ignore[operator, union-attr]
    return replace(found, shown_by=build(seed=1, **renderer))


def trainer(*words: str, **renderer: Any) -> Trainer:
    found = model((*SMALL, *words), **renderer)
    assert found.shown_by is not None
    found.shown_by.renderer.requires_grad_(True)
    return Trainer(found, load_recipe(NAME, [*SMALL, *words]), CPU)


class Told:
    """An estimator that has the flow of the batch."""

    name = fingerprint = "told"

    def __init__(self, batch: VideoBatch, t: int) -> None:
        self.flow = batch.flow[0, t].numpy()

    def estimate(self, current: np.ndarray, previous: np.ndarray) -> np.ndarray:
        return self.flow


@pytest.mark.parametrize("renderer", [{}, {"given_flow": True}, {"network": "fast"}], ids=str)
def test_training_and_predicting_make_equal_frames(
    renderer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = trainer(**renderer)
    trained.renderer.eval()
    monkeypatch.setattr(trained.optimiser, "step", lambda: None)  # the same weights throughout
    made: list[torch.Tensor] = []
    step = trained.renderer.step

    def spied(*arguments: Any) -> Any:
        output, state = step(*arguments)
        made.append(output.frame.detach())
        return output, state

    monkeypatch.setattr(trained.renderer, "step", spied)
    batch = video(6)
    # Frames as files have them: predict reads bytes.
    pictures = to_bytes(batch.frames[0])
    batch = replace(batch, frames=to_tensor(pictures)[None])
    assert len(list(trained.train_sequence(batch, 2))) == 2
    assert batch.labels is not None
    assert batch.instances is not None
    seen = ClipFrames(pictures[:2].numpy(), batch.labels[0, :2].numpy(), batch.instances[0, :2].numpy())
    both = model(**renderer)
    assert both.shown_by is not None
    joint = trained.renderer
    assert isinstance(joint, Joint)
    both.renderer.load_state_dict(joint.forecaster.state_dict())
    both.shown_by.renderer.load_state_dict(joint.renderer.state_dict())
    forecast = Forecast(both, both.shown_by, (32, 32), CPU, Told(batch, 1))
    futures = list(islice(forecast(seen, torch.zeros(1, 3, 1, 1)), 4))
    for ours, theirs in zip(made, futures, strict=True):
        torch.testing.assert_close(ours, theirs.frame, rtol=0, atol=1e-5)
    assert (made[0] - made[-1]).abs().max() > 1e-3, "the test needs frames that differ"


def test_both_parts_learn_and_the_frames_get_better() -> None:
    trained = trainer("train.lr=0.002", "train.decay_from=1")
    before = {name: weight.clone() for name, weight in trained.renderer.state_dict().items()}
    found = [step for _ in range(20) for step in trained.train_sequence(video(), 2)]
    assert {"generator/cross_entropy", "generator/charbonnier", "generator/ssim"} <= found[0].keys()
    assert {"generator/contrast", "generator/flow", "generator/flow_warp"} <= found[0].keys()
    for term in ("charbonnier", "ssim"):
        values = [step[f"generator/{term}"] for step in found]
        assert sum(values[-4:]) < 0.9 * sum(values[:4])
    moved = [name for name, weight in trained.renderer.state_dict().items() if (weight != before[name]).any()]
    for part in ("forecaster.", "renderer."):
        assert sum(name.startswith(part) for name in moved) > 4


def test_several_futures_are_tried_without_being_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = trainer("train.futures=3")
    joint = trained.renderer
    assert isinstance(joint, Joint)
    calls = {"foresee": 0, "step": 0}
    for name in calls:
        original = getattr(joint, name)

        def counted(*arguments: Any, name: str = name, original: Any = original) -> Any:
            calls[name] += 1
            return original(*arguments)

        monkeypatch.setattr(joint, name, counted)
    for _ in range(4):
        list(trained.train_sequence(video(), 2))
    assert calls["step"] == 16
    assert calls["foresee"] > 0
    assert calls["foresee"] % 6 == 0


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_street(tmp_path_factory.mktemp("street"), 8, 8)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A forecaster and a renderer, apart."""
    root = tmp_path_factory.mktemp("parts")
    found = model()
    assert found.shown_by is not None
    save_model(replace(found, shown_by=None), root / "future")
    save_model(found.shown_by, root / "drive")
    return root / "future", root / "drive"


def run(dataset: Path, parts: tuple[Path, Path], out: Path, *words: str, **options: Any) -> Path:
    settings = [*RUN, *words]
    given = {"start_from": parts[0], "renderer": parts[1], "device": "cpu"}
    return train(dataset, NAME, out, settings, **{**given, **options})


def files(checkpoint: Path) -> dict[str, bytes]:
    """All that a checkpoint holds."""
    return {
        path.relative_to(checkpoint).as_posix(): path.read_bytes()
        for path in checkpoint.rglob("*")
        if path.is_file()
    }


def test_a_run_goes_on_exactly_and_predicts_by_itself(
    dataset: Path, parts: tuple[Path, Path], tmp_path: Path
) -> None:
    straight = run(dataset, parts, tmp_path / "straight", validate_on="two")

    def stop(done: int, total: int | None = None, note: str = "") -> None:
        if done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(dataset, parts, tmp_path / "cut", validate_on="two", progress=stop)
    assert checkpoint_folders(tmp_path / "cut")[-1].name == "step-3"
    resumed = run(dataset, parts, tmp_path / "cut", validate_on="two")
    assert files(resumed) == files(straight)
    assert "renderer/generator.safetensors" in files(straight)
    log = [json.loads(line) for line in (tmp_path / "cut" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == list(range(1, 7))
    assert log[-1]["validation/ms_ssim"] is not None
    assert (tmp_path / "cut" / "samples" / "step-0000006.mp4").is_file()

    both = load_model(straight)
    assert both.shown_by is not None
    assert (both.shown_by.size, both.shown_by.rate) == (both.size, both.rate)
    for part, home in ((both, parts[0]), (both.shown_by, parts[1])):
        before = load_model(home).renderer.state_dict()
        assert any((weight != before[name]).any() for name, weight in part.renderer.state_dict().items())
    predict(tmp_path / "cut", None, dataset / "one", tmp_path / "out", frames=2, device="cpu")
    assert len(list((tmp_path / "out" / "frames").iterdir())) == 6
    again = run(dataset, (straight, straight), tmp_path / "again", renderer=None)
    assert (again / RENDERER / "config.json").is_file()


@pytest.mark.parametrize("frozen", ["forecaster", "renderer"])
def test_either_half_can_stay_as_it_is(
    frozen: str, dataset: Path, parts: tuple[Path, Path], tmp_path: Path
) -> None:
    end = load_model(run(dataset, parts, tmp_path / "run", "train.steps=2", freeze=(frozen,)))
    assert end.shown_by is not None
    halves = {"forecaster": (end, parts[0]), "renderer": (end.shown_by, parts[1])}
    for name, (half, home) in halves.items():
        before = load_model(home).renderer.state_dict()
        same = all(torch.equal(before[key], value) for key, value in half.renderer.state_dict().items())
        assert same is (name == frozen)


def test_what_it_takes_is_known_beforehand(dataset: Path, parts: tuple[Path, Path], tmp_path: Path) -> None:
    planned = plan(dataset, NAME, tmp_path / "run", RUN, renderer=parts[1], device="cpu")
    alone = plan(dataset, "forecast-tiny", tmp_path / "run", RUN, device="cpu")
    assert planned.costs[0].memory > alone.costs[0].memory


def test_what_does_not_go_together_is_one_line(
    dataset: Path, parts: tuple[Path, Path], tmp_path: Path
) -> None:
    others = LabelSchema((LabelClass(0, "sea", (0, 0, 0)), *CLASSES.classes[1:]))
    for name, wrong in {
        "pictures": build(PICTURES),
        "sea": build(replace(LABELS, labels=others)),
        "bare": build(replace(LABELS, instances=False)),
        "styles": build(styles=2),
        "image": build(network="image", history=0),
    }.items():
        save_model(wrong, tmp_path / name)
    for options, said in (
        ({"renderer": None}, "joins a forecaster with a renderer; name one with --renderer"),
        ({"renderer": parts[0]}, "is a forecaster, which makes no frames"),
        ({"renderer": tmp_path / "pictures"}, "renders 'densepose', and 'labels' is forecast"),
        ({"renderer": tmp_path / "sea"}, "other classes than the forecaster's"),
        (
            {"renderer": tmp_path / "bare"},
            "does not know borders of objects; train with data.instances=false",
        ),
        ({"renderer": tmp_path / "styles"}, "has styles, which nobody forecasts"),
        ({"renderer": tmp_path / "image"}, "looks at no past frames"),
    ):
        with pytest.raises(UserError, match=said):
            run(dataset, parts, tmp_path / "run", **options)
        assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match="street-tiny learns alone"):
        train(dataset, "street-tiny", tmp_path / "run", renderer=parts[1], device="cpu")
    with pytest.raises(UserError, match=r"train.joint: is for a forecaster"):
        load_recipe("street-tiny", ["train.joint=true"])
    with pytest.raises(UserError, match="two histories"):
        load_recipe(NAME, ["train.history_noise=0.1"])
