"""Trainings that are killed, ended by a scheduler, and started again: nothing is lost, nothing is left."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from zygote import Zygote, zygote

from tiny import hidden_or_partial, write_street
from vid2vid.zoo import load_model
from vid2vid.zoo.folder import checkpoint_folders

EVERY, STEPS = 4, 40
SETTINGS = (
    *("data.size=[32, 32]", "data.sequence=5", "data.workers=0", "model.width=4", "model.downs=1"),
    *("model.blocks=1", "model.foreground=false", "discriminator.width=4", "discriminator.layers=1"),
    *("discriminator.scales=1", "loss.perceptual=0", "train.chunk=2", "train.backprop=2", "train.ema=0.9"),
    *(f"train.steps={STEPS}", f"train.checkpoint_every={EVERY}", "train.sample_every=14", "train.keep=2"),
)
CALLS_OF_A_SAVE = 40
"""About as many calls into the file system as a save makes; a kill beyond its end falls into the next."""


class Trials:
    """Trainings in a zygote."""

    def __init__(self, folder: Path, zygote: Zygote) -> None:
        self.folder, self.zygote = folder, zygote
        write_street(folder / "street", 6, 7)
        self.start(self.straight)
        assert self.zygote.wait()[0] == 0

    @property
    def straight(self) -> Path:
        return self.folder / "straight"

    def start(self, run: Path, *settings: str, die_at: int | None = None) -> int:
        words = ["train", str(self.folder / "street"), *SETTINGS, *settings, "--recipe", "street-tiny"]
        return self.zygote.start(*words, "--out", str(run), "--device", "cpu", die_at=die_at)


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    folder = tmp_path_factory.mktemp("kills")
    with zygote(folder) as server:
        yield Trials(folder, server)


def newest(run: Path) -> int:
    folders = checkpoint_folders(run)
    return int(folders[-1].name[5:]) if folders else 0


def logged(run: Path) -> int:
    """The last step that metrics.jsonl has a whole line of."""
    path = run / "metrics.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return int(json.loads(lines[-1])["step"]) if lines else 0


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def is_like_the_straight(run: Path, trials: Trials) -> None:
    """A finished run: the state of the one without a break, bit by bit, and nothing left to clean."""
    last, straight = (checkpoint_folders(place)[-1] for place in (run, trials.straight))
    assert content(last) == content(straight)
    assert (run / "metrics.jsonl").read_text() == (trials.straight / "metrics.jsonl").read_text()
    assert not hidden_or_partial(run)
    assert {path.name for path in run.iterdir() if "tfevents" not in path.name} == {
        *("config.yaml", "checkpoints", "samples", "metrics.jsonl", "report.html")
    }
    assert len(checkpoint_folders(run)) == len(list((run / "checkpoints").iterdir())) == 2


def wait_for(run: Path, step: int) -> None:
    for _ in range(60_000):
        if logged(run) >= step:
            return
        time.sleep(0.01)
    raise AssertionError(f"step {step} never came")


def kill(trials: Trials, seed: int, kills: int, saves: int) -> Counter[str]:
    """Kills trainings of as many runs as that takes; ``saves`` of them while they write a checkpoint."""
    chance, found = random.Random(seed), Counter[str]()
    within = [True] * saves + [False] * (kills - saves)
    chance.shuffle(within)
    runs = (trials.folder / f"killed-{seed}-{number}" for number in count())
    run, before, most = next(runs), 0, 0
    while within:
        process = trials.start(run, die_at=chance.randrange(CALLS_OF_A_SAVE) if within[-1] else None)
        if not within[-1]:
            wait_for(run, min(before + chance.randrange(2 * EVERY), STEPS))
            time.sleep(chance.uniform(0, 0.3))  # in its start, a step, a save, a sample
            os.kill(process, signal.SIGKILL)  # no other has its number before it was waited for
        code, words = trials.zygote.wait()
        if code == 0:
            assert not before or f"going on from step-{before}" in words
            is_like_the_straight(run, trials)
            found["finished"] += 1
            run, before = next(runs), 0
            continue
        assert code == -signal.SIGKILL, words
        found["in a save" if within.pop() else "anywhere"] += 1
        assert newest(run) >= before, "a checkpoint was lost"
        lost = logged(run) - newest(run)
        assert lost <= EVERY
        assert logged(run) >= before, "begun anew"
        most = max(most, lost)
        if before := newest(run):
            load_model(run)
    trials.start(run)
    assert trials.zygote.wait()[0] == 0
    is_like_the_straight(run, trials)
    found["finished"] += 1
    found["most steps lost"] = most
    return found


def test_killed_at_any_time_it_goes_on_from_the_last_checkpoint(trials: Trials) -> None:
    found = kill(trials, seed=1, kills=10, saves=3)
    assert (found["anywhere"], found["in a save"]) == (7, 3)


@pytest.mark.torture
def test_killed_a_hundred_times(trials: Trials) -> None:
    found = kill(trials, seed=2, kills=100, saves=30)
    print(f"\n100 kills: {dict(found)}; checkpoints every {EVERY} steps")
    assert (found["anywhere"], found["in a save"]) == (70, 30)


def terminate(trials: Trials, seed: int, times: int, workers: int = 0) -> list[float]:
    """Ends trainings as schedulers do, all processes of a job at once; seconds until they were gone."""
    chance = random.Random(seed)
    taken = []
    run = trials.folder / f"ended-{seed}"
    for number in range(times):
        step = newest(run) + chance.randrange(1, 5)
        if step >= STEPS / 2:  # lest it end by itself before it is told to
            run, step = trials.folder / f"ended-{seed}-{number}", chance.randrange(1, 5)
        process = trials.start(run, f"data.workers={workers}")
        wait_for(run, step)
        time.sleep(chance.uniform(0, 0.1))
        begun = time.monotonic()
        os.killpg(process, signal.SIGTERM)
        code, words = trials.zygote.wait()
        taken.append(time.monotonic() - begun)
        assert code == 143, words
        assert newest(run) == logged(run) >= step, "saved where it stood"
        assert f"stopped at step {newest(run)}; the same command goes on from there" in words
        assert not hidden_or_partial(run)
    trials.start(run, f"data.workers={workers}")
    assert trials.zygote.wait()[0] == 0
    is_like_the_straight(run, trials)
    return taken


def test_ended_by_a_scheduler_it_saves_and_leaves(trials: Trials) -> None:
    taken = terminate(trials, seed=3, times=1) + terminate(trials, seed=4, times=1, workers=1)
    assert max(taken) < 30


@pytest.mark.torture
def test_ended_twenty_times(trials: Trials) -> None:
    taken = terminate(trials, seed=5, times=15) + terminate(trials, seed=6, times=5, workers=2)
    print(f"\n20 SIGTERMs: saved and gone after {min(taken):.1f} to {max(taken):.1f} s")
    assert max(taken) < 30
