"""Interrupted or killed anywhere and gone on with, a training ends as it would have without: bit by bit."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from itertools import accumulate, count
from pathlib import Path
from typing import Any

import pytest
import torch

from tiny import write_street
from vid2vid.config import load_recipe
from vid2vid.training import train
from vid2vid.training.budget import given_frames
from vid2vid.zoo.folder import checkpoint_folders

STEPS, EVERY, EPOCH = 28, 4, 2
SETTINGS = (
    *("data.size=[32, 32]", "data.sequence=5", "data.flip=0.5", "data.jitter=0.1", "model.width=4"),
    *("model.downs=1", "model.blocks=1", "model.foreground=false", "discriminator.width=4"),
    *("discriminator.layers=1", "discriminator.scales=1", "discriminator.spectral=true"),
    *("discriminator.temporal_scales=1", "loss.perceptual=0", "train.chunk=2", "train.backprop=2"),
    *("train.self_made_first=0.5", "train.ema=0.9", f"train.steps={STEPS}", "train.sample_every=1000"),
    *(f"train.checkpoint_every={EVERY}", "train.seed=5"),
)
CUTS = 20


class Killed(BaseException):
    """Nobody catches it, so nothing is saved: what SIGKILL is to a process."""


def run(dataset: Path, out: Path, workers: int, **options: Any) -> Path:
    settings = [*SETTINGS, f"data.workers={workers}"]
    return train(
        dataset, "street-tiny", out, settings, device="cpu", frames="0:5", validate_on="5:9", **options
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips: a sequence of each an epoch."""
    return write_street(tmp_path_factory.mktemp("street"), 9, 9)


@pytest.fixture(scope="module")
def straight(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "straight"
    run(dataset, out, workers=0)
    return out


def state(run: Path) -> dict[str, bytes]:
    """All that a run has come to: networks, moments, random states, place, scores; and the log."""
    newest = checkpoint_folders(run)[-1]
    files = {path.name: path.read_bytes() for path in newest.iterdir()}
    return files | {"metrics.jsonl": (run / "metrics.jsonl").read_bytes(), "name": newest.name.encode()}


def epoch_ends() -> list[int]:
    """The steps after which an epoch is done."""
    recipe = load_recipe("street-tiny", SETTINGS)
    length, chunk = recipe.data.sequence, recipe.train.chunk
    steps = accumulate(-(-(length - given_frames(recipe, number)) // chunk) for number in range(STEPS))
    return [step for step in list(steps)[EPOCH - 1 :: EPOCH] if step < STEPS]


def interrupt(step: int, number: int) -> Callable[..., None]:
    def progress(done: int, total: int | None = None, note: str = "") -> None:
        if done == step:
            os.kill(os.getpid(), number)

    return progress


def cut(
    place: int, dataset: Path, out: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, int]:
    """Ends a training at one of the places; says how and at which step."""
    chance = random.Random(place)
    ends = epoch_ends()
    within = random.Random(0).sample([step for step in range(1, STEPS) if step not in ends], CUTS)
    match place % 4:
        case 0:
            kind, step, number = "at the end of an epoch", ends[place // 4 % len(ends)], signal.SIGINT
        case 1:
            kind, step, number = "within an epoch", within[place], signal.SIGINT
        case 2:
            kind, step, number = "by a scheduler", within[place], signal.SIGTERM
        case _:
            # Each step has two optimisers: the kill falls before either of them has moved its weights.
            kind, calls, original = "within a step", count(), torch.optim.Adam.step
            fatal = chance.randrange(2 * STEPS)

            def adam(*args: Any, **options: Any) -> Any:
                if next(calls) == fatal:
                    raise Killed
                return original(*args, **options)

            monkeypatch.setattr(torch.optim.Adam, "step", adam)
            with pytest.raises(Killed):
                run(dataset, out, workers)
            monkeypatch.undo()
            return kind, fatal // 2
    with pytest.raises(KeyboardInterrupt):
        run(dataset, out, workers, progress=interrupt(step, number))
    assert checkpoint_folders(out)[-1].name == f"step-{step}"
    return kind, step


def goes_on_exactly(
    place: int, dataset: Path, straight: Path, out: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> str:
    kind, step = cut(place, dataset, out, workers, monkeypatch)
    before = [int(folder.name[5:]) for folder in checkpoint_folders(out)]
    assert step - max(before, default=0) <= EVERY
    torch.manual_seed(place)  # whatever random state a new process has
    run(dataset, out, workers)
    mine, expected = state(out), state(straight)
    assert mine.keys() == expected.keys()
    assert [name for name in mine if mine[name] != expected[name]] == []
    return f"{kind}, at step {step} of {STEPS}, {workers} workers"


@pytest.mark.parametrize(("place", "workers"), [(0, 0), (1, 2), (6, 0), (7, 0)])
def test_a_tenth_of_the_cuts(
    place: int,
    workers: int,
    dataset: Path,
    straight: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    goes_on_exactly(place, dataset, straight, tmp_path / "run", workers, monkeypatch)


@pytest.mark.torture
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("place", range(CUTS))
def test_every_cut(
    place: int,
    workers: int,
    dataset: Path,
    straight: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    print(goes_on_exactly(place, dataset, straight, tmp_path / "run", workers, monkeypatch), end=" ")


def test_the_straight_run_is_scored_and_keeps_its_best(straight: Path) -> None:
    """What the cuts are compared with is not empty."""
    files = state(straight)
    assert {"random.safetensors", "optimiser.safetensors", "place.safetensors"} <= files.keys()
    assert b"validation/ms_ssim" in files["metrics.jsonl"]
    assert len(epoch_ends()) >= CUTS // 4
