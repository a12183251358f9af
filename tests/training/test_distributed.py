"""Processes that train together: the same as one, none of them lost without a word, and gone on with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from ranks import Ranks, command, exact_steps, meet, ranks, steps, weights
from safetensors.torch import load_file

from tiny import CLASSES, hidden_or_partial, write_clip
from vid2vid.errors import UserError
from vid2vid.training import train
from vid2vid.training.distributed import ALONE, together
from vid2vid.video import write_picture
from vid2vid.zoo.files import check_checksums
from vid2vid.zoo.folder import checkpoint_folders

SETTINGS = [
    *("data.size=[32, 32]", "data.sequence=5", "data.flip=0.5", "data.jitter=0.1", "data.workers=0"),
    *("model.width=4", "model.downs=1", "model.blocks=1", "model.foreground=false", "discriminator.width=4"),
    *("discriminator.layers=1", "discriminator.scales=1", "discriminator.spectral=true"),
    *("discriminator.temporal_scales=1", "loss.perceptual=0", "train.chunk=2", "train.backprop=2"),
    *("train.self_made_first=0.5", "train.ema=0.9", "train.seed=5", "train.rollout=2"),
    *("train.history_noise=0.05", "train.clip=1"),
]
STEPS, EVERY = 14, 3
"""An interval that ends within sequences as well."""
RUN = [*SETTINGS, f"train.steps={STEPS}", f"train.checkpoint_every={EVERY}", "train.sample_every=1000"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips; in some frames of the first, DensePose shows a head."""
    root = tmp_path_factory.mktemp("street")
    write_clip(root / "one", 9)
    write_clip(root / "two", 8, shift=2)
    for t in range(9):
        picture = np.zeros((32, 32, 3), np.uint8)
        if t > 3:
            picture[8:16, 4 + t : 12 + t] = (250, 250, 20)
        write_picture(root / "one" / "densepose" / f"{t:04d}.png", picture)
    CLASSES.write(root / "labels.yaml")
    return root


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ranks]:
    with ranks(tmp_path_factory.mktemp("ranks")) as server:
        yield server


LOOKS = ["model.styles=2", "model.style_downs=1"]
FACES = ["data.condition=densepose", "discriminator.face=colours"]


@pytest.mark.parametrize(
    ("size", "kind", "count"),
    [
        (2, LOOKS, 20),
        (2, FACES, 6),
        pytest.param(2, FACES, 20, marks=pytest.mark.torture),
        pytest.param(3, LOOKS, 20, marks=pytest.mark.torture),
    ],
)
def test_processes_are_one_with_all_of_the_batch(
    size: int, kind: list[str], count: int, dataset: Path, server: Ranks, tmp_path: Path
) -> None:
    settings = [*SETTINGS, *kind, "train.steps=80", "train.lr=1e-3"]
    processes = server.start(size, exact_steps, str(tmp_path), str(dataset), settings, count)
    alone, trained = steps(str(dataset), [*settings, f"data.batch={size}"], count)
    assert server.wait(*processes) == [0] * size, server.words(0)
    worst = 0.0  # rounding errors double with every step or two
    for rank in range(size):
        theirs = json.loads((tmp_path / f"losses-{rank}.json").read_text())
        assert len(theirs) == len(alone) == count
        for mine, other in zip(theirs, alone, strict=True):
            assert mine.keys() == other.keys()
            worst = max(worst, *(abs(mine[k] - x) / max(abs(x), 1e-12) for k, x in other.items()))
        found = load_file(tmp_path / f"weights-{rank}.safetensors")
        for name, weight in weights(trained).items():
            # Biases before an instance norm matter to nobody: they follow the rounding of their gradients.
            torch.testing.assert_close(found[name], weight, rtol=1e-6, atol=1e-6)
    print(f"\n{size} processes, {count} steps: losses differ by {worst:.1e} at most")
    assert worst < 1e-6
    names = set.union(*map(set, alone))
    assert "generator/face_gan" in names or "generator/video_0_gan" in names
    assert ("generator/face_gan" in names) == ("discriminator.face=colours" in kind)


def test_what_processes_tell_each_other(dataset: Path, server: Ranks, tmp_path: Path) -> None:
    processes = server.start(2, meet, str(tmp_path), str(dataset), SETTINGS)
    assert server.wait(*processes) == [0, 0], server.words(0) + server.words(1)
    assert not checkpoint_folders(tmp_path)
    for rank in range(2):
        told = "process 1 of 2 has other weights than the first at step 0, so none are saved"
        assert told in server.words(rank)


class Runs:
    """Trainings of two processes, by the command line."""

    def __init__(self, dataset: Path, server: Ranks, straight: Path) -> None:
        self.dataset, self.server, self.straight = dataset, server, straight
        self.finish(straight)
        self.words = [server.words(rank) for rank in range(2)]

    def start(self, out: Path, patience: float = 60) -> list[int]:
        words = ["train", str(self.dataset), *RUN, "--recipe", "street-tiny", "--out", str(out)]
        return self.server.start(2, command, [*words, "--device", "cpu"], patience=patience)

    def finish(self, out: Path) -> None:
        assert self.server.wait(*self.start(out)) == [0, 0], self.server.words(0) + self.server.words(1)


@pytest.fixture(scope="module")
def runs(dataset: Path, server: Ranks, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(dataset, server, tmp_path_factory.mktemp("runs") / "straight")


def wait_for(run: Path, step: int) -> None:
    log = run / "metrics.jsonl"
    for _ in range(6000):
        if log.exists() and log.read_text().count("\n") >= step:
            return
        time.sleep(0.01)
    raise AssertionError(f"step {step} never came")


def is_like_the_straight(run: Path, runs: Runs) -> None:
    last, straight = (checkpoint_folders(place)[-1] for place in (run, runs.straight))
    assert last.name == straight.name == f"step-{STEPS}"
    assert {p.name: p.read_bytes() for p in last.iterdir()} == {
        p.name: p.read_bytes() for p in straight.iterdir()
    }
    assert (run / "metrics.jsonl").read_text() == (runs.straight / "metrics.jsonl").read_text()
    assert not hidden_or_partial(run)


def test_the_first_writes_and_speaks(runs: Runs) -> None:
    assert len((runs.straight / "metrics.jsonl").read_text().splitlines()) == STEPS
    assert json.loads((runs.straight / "metrics.jsonl").read_text().splitlines()[0])["frames"] == 4
    assert len(list((runs.straight / "samples").iterdir())) == 1
    assert "generator" in runs.words[0]
    assert "generator" not in runs.words[1]


@pytest.mark.parametrize(
    ("number", "lost"),
    [
        (signal.SIGKILL, 1),
        pytest.param(signal.SIGKILL, 0, marks=pytest.mark.torture),
        (signal.SIGSTOP, 1),
        pytest.param(signal.SIGSTOP, 0, marks=pytest.mark.torture),
    ],
)
def test_a_lost_process_ends_the_others_and_the_next_start_goes_on(
    number: int, lost: int, runs: Runs, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    processes = runs.start(run, patience=60 if number == signal.SIGKILL else 5)
    wait_for(run, EVERY + 2)
    os.kill(processes[lost], number)
    left = 1 - lost
    assert runs.server.wait(processes[left]) == [1], runs.server.words(left)
    os.kill(processes[lost], signal.SIGKILL)  # not waited for yet: nobody else has its number
    runs.server.wait(processes[lost])
    said = [line for line in runs.server.words(left).splitlines() if line.startswith("vid2vid train: ")]
    assert len(said) == 1, runs.server.words(left)
    assert f"process {left} of 2: another process of this training is gone, or does not answer" in said[0]
    for folder in checkpoint_folders(run):
        check_checksums(folder)
    runs.finish(run)
    assert "going on from step-" in runs.server.words(0)
    is_like_the_straight(run, runs)


def test_one_asked_to_stop_all_save_and_leave_and_as_many_clips_a_step_go_on(
    runs: Runs, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    processes = runs.start(run)
    wait_for(run, EVERY + 1)
    os.kill(processes[1], signal.SIGTERM)
    os.kill(processes[1], signal.SIGTERM)  # from the scheduler, and by way of torchrun
    assert runs.server.wait(*processes) == [143, 143]
    stopped = len((run / "metrics.jsonl").read_text().splitlines())
    assert checkpoint_folders(run)[-1].name == f"step-{stopped}"
    assert f"stopped at step {stopped}" in runs.server.words(0)

    alone = shutil.copytree(run, tmp_path / "alone")
    with pytest.raises(UserError, match="was trained with 2 sequences a step, not 1"):
        train(runs.dataset, "street-tiny", alone, RUN, device="cpu")
    train(runs.dataset, "street-tiny", alone, [*RUN, "data.batch=2"], device="cpu")
    one, two = (
        [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()[stopped:]]
        for place in (alone, runs.straight)
    )
    assert len(one) == len(two) == STEPS - stopped > 0
    for mine, other in zip(one, two, strict=True):
        assert mine == pytest.approx(other, rel=1e-2, abs=1e-3)
    assert one[0] == pytest.approx(two[0], rel=1e-4, abs=1e-5), "from the same place in the data"

    runs.finish(run)
    is_like_the_straight(run, runs)


def test_alone_where_nobody_started_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.delenv("RANK", raising=False)
    with together("cpu") as (team, device):
        assert team == ALONE
        assert device.type == "cpu"
        assert not torch.distributed.is_initialized()


def test_a_folder_that_only_the_first_sees_is_told(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    shutil.copytree(runs.straight, tmp_path / "run" / "0")
    words = [
        "train",
        str(runs.dataset),
        *RUN,
        "--recipe",
        "street-tiny",
        "--out",
        str(tmp_path / "run" / "RANK"),
    ]
    processes = runs.server.start(2, command, [*words, "--device", "cpu"])
    assert 2 in runs.server.wait(*processes)
    said = runs.server.words(0) + runs.server.words(1)
    assert (
        "process 1 of 2 does not find there what the first does; name a folder that all machines share"
        in said
    )
    assert "Traceback" not in said


def test_others_that_cannot_be_reached_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(UserError, match="torchrun: the other processes cannot be reached"), together("cpu"):
        pass
