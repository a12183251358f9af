"""Thirty values that are not finite, wherever one can get in: none reaches a weight or a file."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from test_trainer import trainer, video
from torch import Tensor

from tiny import build
from vid2vid.errors import Diverged
from vid2vid.training.checkpoint import save_checkpoint
from vid2vid.training.logging import RunLog
from vid2vid.training.trainer import Trainer
from vid2vid.types import VideoBatch

POINTS = (
    *(
        "frames",
        "flow",
        "condition",
        "history",
        "gradient",
        "judge's gradient",
        "term",
        "judgement",
        "output",
    ),
    *("optimiser", "judges' optimiser", "average"),
)
LASTING = POINTS[-3:]
"""What is kept from step to step: nothing mends it, so the training has to end, and is gone on with."""


def spoil(tensor: Tensor, chance: random.Random) -> Tensor:
    """The same with one value that is not finite."""
    spoilt = tensor.detach().clone() if tensor.is_leaf else tensor.clone()
    with torch.no_grad():
        place = torch.unravel_index(torch.tensor(chance.randrange(spoilt.numel())), spoilt.shape)
        spoilt[place] = chance.choice([math.nan, math.inf, -math.inf])
    return spoilt


def inject(point: str, trained: Trainer, batch: VideoBatch, chance: random.Random) -> Iterator[VideoBatch]:
    """Spoils one value; on the next call, what can be undone is undone."""
    undo: list[Any] = []

    def hooked(module: torch.nn.Module) -> None:
        def hook(module: Any, inputs: Any, result: Any) -> Any:
            if point == "judgement":
                return [[spoil(x, chance) for x in scale] for scale in result]
            output, features = result
            return replace(output, frame=spoil(output.frame, chance)), features

        undo.append(module.register_forward_hook(hook).remove)

    def patched(owner: Any, name: str, changed: Any) -> None:
        setattr(owner, name, changed)
        undo.append(lambda: delattr(owner, name))

    if point in ("frames", "flow"):
        start, rest = getattr(batch, point).split([3, 3], dim=1)  # nobody looks at the flow of given frames
        batch = replace(batch, **{point: torch.cat([start, spoil(rest, chance)], dim=1)})
    elif point == "condition":
        encoded = trained._encoded
        patched(trained, "_encoded", lambda batch: spoil(encoded(batch), chance))
    elif point == "history":
        begin = trained.renderer.init_state

        def spoilt_state(*args: Any) -> Any:
            state = begin(*args)
            return replace(state, frames=tuple(spoil(frame, chance) for frame in state.frames))

        patched(trained.renderer, "init_state", spoilt_state)
    elif point in ("gradient", "judge's gradient"):
        weight = chance.choice(trained.learners[:4] if point == "gradient" else trained.judges[:4])
        undo.append(weight.register_hook(lambda gradient: spoil(gradient, chance)).remove)
    elif point == "term":
        forward = trained.objective.forward

        def spoilt_terms(chunk: Any) -> Any:
            losses = forward(chunk)
            side = chance.choice(losses)
            name = chance.choice(list(side))
            side[name] = side[name] * chance.choice([math.nan, math.inf])
            return losses

        patched(trained.objective, "forward", spoilt_terms)
    elif point == "judgement":
        hooked(trained.objective.discriminators[chance.randrange(2)])
    elif point == "output":
        hooked(trained.renderer.networks[-1])
    elif point == "average":
        assert trained.average is not None
        weight = chance.choice(list(trained.average.parameters()))
        weight.data = spoil(weight, chance)
    else:
        optimiser = trained.optimiser if point == "optimiser" else trained.judge_optimiser
        assert optimiser is not None
        state = chance.choice([state for state in optimiser.state.values() if state])
        name = chance.choice(["exp_avg", "exp_avg_sq"])
        state[name] = spoil(state[name], chance)
    yield batch
    for each in undo:
        each()
    yield batch


def finite_weights(trained: Trainer, average: bool = True) -> bool:
    parts = [trained.renderer, trained.objective, *([trained.average] if average else [])]
    return all(bool(x.isfinite().all()) for part in parts for x in part.state_dict().values())  # type: ignore[union-attr]


def campaign(number: int, folder: Path) -> None:
    chance = random.Random(number)
    point = POINTS[number % len(POINTS)]
    trained = trainer("train.ema=0.9", "train.chunk=1", "train.backprop=1", "discriminator.spectral=true")
    model = build()

    def save() -> None:
        save_checkpoint(folder, replace(model, renderer=trained.result), trained)

    with RunLog(folder, 0) as log:

        def learn(batch: VideoBatch) -> None:
            for metrics in trained.train_sequence(batch, chance.choice([0, 2])):
                log.write(trained.step, trained.frames, metrics)
                assert finite_weights(trained, average=point != "average")

        def learn_on(batch: VideoBatch) -> None:
            for _ in range(10):
                learn(batch)

        learn(video(4))
        save()
        (sound,) = (folder / "checkpoints").iterdir()
        injecting = inject(point, trained, video(6), chance)
        spoilt = next(injecting)
        if point in LASTING:
            if point != "average":
                with pytest.raises(Diverged, match="'s optimiser"):
                    learn_on(spoilt)
            trained.step += 1
            with pytest.raises(Diverged, match="is not finite"):
                save()
            assert list((folder / "checkpoints").iterdir()) == [sound]
        else:
            learn(spoilt)
            assert trained.skipped_in_all > 0, "it came through"
            next(injecting)
            before = trained.step
            learn(video(6))
            assert trained.skipped == 0
            assert trained.step >= before + 4, "training goes on"
            save()
    files = sorted((folder / "checkpoints").rglob("*.safetensors"))
    assert files
    for path in files:
        assert all(bool(x.isfinite().all()) for x in load_file(path).values() if x.is_floating_point())
    lines = (folder / "metrics.jsonl").read_text()
    assert not {"NaN", "Infinity"} & set(lines.replace(",", " ").split())
    if point not in LASTING:
        assert max(json.loads(line)["skipped"] for line in lines.splitlines()) == trained.skipped_in_all


@pytest.mark.parametrize("number", random.Random(6).sample(range(30), 3))
def test_a_tenth_of_the_injections(number: int, tmp_path: Path) -> None:
    campaign(number, tmp_path)


@pytest.mark.torture
@pytest.mark.parametrize("number", range(30))
def test_what_is_not_finite_reaches_no_weight_and_no_file(number: int, tmp_path: Path) -> None:
    campaign(number, tmp_path)
