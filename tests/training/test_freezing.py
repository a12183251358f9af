"""What is frozen stays, bit by bit; the rest learns."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_trainer import CPU, SETTINGS, video

from tiny import build, write_street
from vid2vid.config import load_recipe
from vid2vid.errors import UserError
from vid2vid.training import train
from vid2vid.training.freezing import freeze, parts
from vid2vid.training.trainer import Trainer
from vid2vid.zoo.folder import checkpoint_folders

IMAGE = {"network": "image", "history": 0}
RUN = (
    *SETTINGS,
    *("data.sequence=4", "data.workers=0", "model.scales=2", "model.enhancer_blocks=1", "train.ema=0.5"),
    *("train.steps=4", "train.checkpoint_every=2", "train.sample_every=100", "discriminator.scales=1"),
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_street(tmp_path_factory.mktemp("street"), 7)


def test_every_weight_belongs_to_one_part() -> None:
    for architecture, names in (
        ({"scales": 2, "styles": 2}, "encoder image flow foreground coarse styles"),
        ({}, "encoder image flow foreground"),
        ({"use_flow": False, "foreground": False}, "encoder image"),
        (IMAGE, "encoder image"),
        ({**IMAGE, "scales": 2}, "encoder image coarse"),
    ):
        model = build(**architecture)  # type: ignore[arg-type]
        found = parts(model)
        assert list(found) == names.split()
        own = [id(w) for name, weights in found.items() if name not in ("coarse", "styles") for w in weights]
        assert sorted(own) == sorted(id(w) for w in model.renderer.parameters())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["wings"], "--freeze wings: this model has no such part; it has encoder, image, flow, foreground"),
        (["image", "coarse"], "--freeze coarse: this model has no such part; it has "),
        (
            ["image", "flow", "foreground", "encoder"],
            "--freeze image flow foreground encoder: leaves nothing that learns; name fewer parts",
        ),
    ],
)
def test_what_cannot_be_frozen_is_refused(names: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        freeze(build(), names)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", ["encoder", "image", "flow", "foreground"])
def test_what_is_frozen_gets_neither_gradient_nor_moments(name: str) -> None:
    model = build()
    freeze(model, [name])
    trained = Trainer(model, load_recipe("street-tiny", SETTINGS), CPU)
    frozen = parts(model)[name]
    before = [weight.clone() for weight in frozen]
    others = [weight.detach().clone() for weight in trained.learners]
    list(trained.train_sequence(video(6), 2))
    assert all(weight.grad is None and weight not in trained.optimiser.state for weight in frozen)
    assert all(torch.equal(a, b) for a, b in zip(before, frozen, strict=True))
    moved = [not torch.equal(a, b) for a, b in zip(others, trained.learners, strict=True)]
    assert sum(moved) > len(moved) / 2
    assert len(frozen) + len(others) == len(list(model.renderer.parameters()))


def test_frames_from_which_nothing_can_be_learnt_are_passed_over() -> None:
    model = build()
    freeze(model, ["encoder", "image", "foreground"])
    recipe = load_recipe(
        "street-tiny", [*SETTINGS, "train.chunk=1", "train.backprop=1", "loss.gan=0", "loss.video_gan=0"]
    )
    steps = list(Trainer(model, recipe, CPU).train_sequence(video(3), 0))
    assert steps[0]["gradient/generator"] == 0  # the first frame is made without a flow
    assert steps[1]["gradient/generator"] > 0


def test_a_run_keeps_what_is_frozen_and_goes_on_only_so(dataset: Path, tmp_path: Path) -> None:
    start = train(dataset, "street-tiny", tmp_path / "start", [*RUN, "train.steps=1"], device="cpu")

    def stop(done: int, total: int | None = None, note: str = "") -> None:
        if done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    run = tmp_path / "run"
    options = {"device": "cpu", "start_from": start, "freeze": ("flow", "coarse")}
    with pytest.raises(KeyboardInterrupt):
        train(dataset, "street-tiny", run, RUN, progress=stop, **options)  # type: ignore[arg-type]
    for other in ((), ("flow",)):
        with pytest.raises(UserError, match="was trained with frozen coarse, flow, not"):
            train(dataset, "street-tiny", run, RUN, device="cpu", freeze=other)
    options["freeze"] = ("coarse", "flow")
    end = train(dataset, "street-tiny", run, RUN, **options)  # type: ignore[arg-type]
    assert json.loads((end / "config.json").read_text())["about"]["frozen"] == "coarse, flow"
    assert len(checkpoint_folders(run)) == 2
    for file in ("generator", "training_generator"):
        before, after = load_file(start / "generator.safetensors"), load_file(end / f"{file}.safetensors")
        same = {name for name, value in before.items() if torch.equal(after[name], value)}
        kept = {name for name in before if name.startswith("coarsest") or "flow" in name}
        assert kept <= same
        assert any(name.endswith("weight") for name in before.keys() - kept)
        assert not any(name.endswith("weight") for name in same - kept)
    assert "frozen: coarse, flow" in (end / "README.md").read_text()


def test_the_parts_of_a_fast_renderer() -> None:
    found = parts(build(network="fast"))
    assert set(found) == {"encoder", "image", "flow"}
    assert {len(weight) for weight in found["flow"]} == {2}  # motion; the mask is painted with the picture
