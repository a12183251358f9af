"""A run from end to end: what it leaves on disk, how it stops and goes on, what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tiny import CLASSES, full_disk, hidden_or_partial, scene, write_street
from vid2vid.config import load_recipe
from vid2vid.data import Dataset, sequences
from vid2vid.data.shards.pack import prepare_shards
from vid2vid.errors import Diverged, UserError
from vid2vid.training import train
from vid2vid.training.budget import frames_after
from vid2vid.video import open_frames, write_picture
from vid2vid.zoo import load_model
from vid2vid.zoo.folder import checkpoint_folders

SEQUENCES = 6
STEPS = 15  # of six sequences: three steps each where the first frame is self-made, two else
SETTINGS = (
    *("data.size=[32, 32]", "data.sequence=6", "data.flip=0.5", "data.jitter=0.1", "data.workers=0"),
    *("model.width=4", "model.downs=2", "model.blocks=2", "discriminator.width=4", "discriminator.layers=2"),
    *(
        "discriminator.scales=1",
        "discriminator.spectral=true",
        "loss.perceptual=0",
        "train.chunk=2",
        "train.backprop=2",
    ),
    *("train.self_made_first=0.5", "train.ema=0.9", f"train.steps={STEPS}", "train.decay_from=0.5"),
    *("train.checkpoint_every=4", "train.sample_every=6", "train.keep=2", "train.seed=3"),
)


def run(dataset: Path, out: Path, *overrides: str, **options: Any) -> Path:
    options = {"device": "cpu"} | options
    return train(dataset, "street-tiny", out, [*SETTINGS, *overrides], **options)


def interrupt_at(step: int, times: int = 1) -> Callable[..., None]:
    """A progress that presses Ctrl-C."""

    def progress(done: int, total: int | None = None, note: str = "") -> None:
        if done == step:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)

    return progress


@dataclass(frozen=True)
class Runs:
    """The same training straight, stopped in its third sequence, and gone on with."""

    dataset: Path
    straight: Path
    stopped: Path
    resumed: Path
    progress: list[tuple[int, int | None, str]]
    said: list[str]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of different length."""
    return write_street(tmp_path_factory.mktemp("street"), 8, 11)


@pytest.fixture(scope="module")
def runs(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("runs")
    progress: list[tuple[int, int | None, str]] = []
    said: list[str] = []
    run(dataset, folder / "straight", progress=lambda *report: progress.append(report), say=said.append)
    with pytest.raises(KeyboardInterrupt, match="stopped at step"):
        run(dataset, folder / "stopped", progress=interrupt_at(7), say=said.append)
    shutil.copytree(folder / "stopped", folder / "resumed")
    with (folder / "resumed" / "metrics.jsonl").open("a") as file:  # as if it had been killed after some more
        file.write(json.dumps({"step": 14, "frames": 28}) + "\n" + '{"step": 1')
    run(dataset, folder / "resumed", say=said.append)
    return Runs(dataset, folder / "straight", folder / "stopped", folder / "resumed", progress, said)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(dataset: Path, out: Path, *overrides: str, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        run(dataset, out, *overrides, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_what_a_run_leaves(runs: Runs) -> None:
    names = {path.name.split(".")[0] for path in runs.straight.iterdir()}
    assert names == {"config", "checkpoints", "samples", "metrics", "events", "report"}
    assert load_recipe(str(runs.straight)) == load_recipe("street-tiny", SETTINGS)
    newest = checkpoint_folders(runs.straight)[-1]
    assert {path.name for path in newest.iterdir()} == {
        *("config.json", "README.md", "training.json", "generator.safetensors", "discriminators.safetensors"),
        *("optimiser.safetensors", "training_generator.safetensors", "random.safetensors"),
        "checksums.json",
    }
    assert not hidden_or_partial(runs.straight)


def test_progress_counts_the_steps_and_stops_exactly(runs: Runs) -> None:
    assert [done for done, _, _ in runs.progress] == list(range(1, STEPS + 1))
    assert {total for _, total, _ in runs.progress} == {STEPS}
    assert all("generator" in note and "discriminator" in note for _, _, note in runs.progress)


def test_metrics_are_a_line_of_json_a_step(runs: Runs) -> None:
    lines = [json.loads(line) for line in (runs.straight / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    frames = [line["frames"] for line in lines]
    assert all(later - earlier == 2 for earlier, later in pairwise(frames))
    assert [line["rate"] for line in lines[:8]] == [1.0] * 8
    assert lines[-1]["rate"] == pytest.approx(1 / 7.5, rel=1e-4)
    assert all(
        {"generator/gan", "generator/flow_warp", "discriminator/fake"} <= line.keys() for line in lines[1:]
    )


def test_checkpoints_are_pruned_and_are_models(runs: Runs) -> None:
    folders = checkpoint_folders(runs.straight)
    assert len(folders) == 2
    assert folders[-1].name == f"step-{STEPS}"
    model = load_model(runs.straight)
    assert model.about == {
        "name": "street-tiny",
        "dataset": runs.dataset.name,
        "frames": "all",
        "steps": STEPS,
        "frames_seen": 2 * STEPS,
    }
    assert (model.schema.labels, model.size, model.rate) == (CLASSES, (32, 32), 25)


def test_samples_are_videos_side_by_side(runs: Runs) -> None:
    samples = sorted((runs.straight / "samples").iterdir())
    assert len(samples) >= 2
    assert samples[-1].name == f"step-{STEPS:07d}.mp4"
    for sample in samples:
        video = open_frames(sample)
        assert (len(video), video.info.size) == (8, (96, 32))
        condition, real = video[3].image[:, :32], video[3].image[:, 32:64]
        assert np.abs(real.astype(int) - scene(3)[0]).mean() < 12
        assert np.abs(condition.astype(int) - real).mean() > 12


def test_a_stopped_run_has_saved_its_last_step(runs: Runs) -> None:
    newest = checkpoint_folders(runs.stopped)[-1]
    progress = json.loads((newest / "training.json").read_text())
    assert progress["step"] == 7
    assert progress["sequence"] == 2
    assert progress["place"]["frame"] == 4
    assert newest.name == "step-7"
    assert not hidden_or_partial(runs.stopped)
    load_model(runs.stopped)
    assert any("stopping after this step" in line for line in runs.said)
    assert f"going on from {newest.name}" in runs.said


def test_a_stopped_run_goes_on_bit_by_bit(runs: Runs) -> None:
    straight, resumed = (files(checkpoint_folders(run)[-1]) for run in (runs.straight, runs.resumed))
    assert straight.keys() == resumed.keys()
    for name in straight:
        assert straight[name] == resumed[name], name
    assert (runs.straight / "metrics.jsonl").read_text() == (runs.resumed / "metrics.jsonl").read_text()
    assert (runs.straight / "config.yaml").read_text() == (runs.resumed / "config.yaml").read_text()


def test_a_finished_run_stays_as_it_is(runs: Runs, tmp_path: Path) -> None:
    again = shutil.copytree(runs.straight, tmp_path / "again")
    calls: list[object] = []
    assert run(runs.dataset, again, progress=lambda *report: calls.append(report)).name == f"step-{STEPS}"
    assert not calls
    for part in (checkpoint_folders(again)[-1].relative_to(again), Path("metrics.jsonl")):
        mine, theirs = ((place / part) for place in (again, runs.straight))
        assert (files(mine), mine.is_file() and mine.read_text()) == (
            *(files(theirs), theirs.is_file() and theirs.read_text()),
        )


def test_other_settings_or_data_are_refused_and_nothing_is_touched(runs: Runs, tmp_path: Path) -> None:
    again = shutil.copytree(runs.stopped, tmp_path / "again")
    before = files(again)
    assert "other settings" in refused(runs.dataset, again, "train.lr=1e-3")
    assert "frames all, not 0:7" in refused(runs.dataset, again, frames="0:7")
    other = shutil.copytree(runs.dataset, tmp_path / "elsewhere")
    assert "dataset" in refused(other, again)
    assert files(again) == before


def test_foreign_folders_are_refused_and_nothing_is_touched(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "diary").mkdir()
    (tmp_path / "diary" / "page.txt").write_text("dear me")
    assert "is not a run" in refused(dataset, tmp_path / "diary")
    assert "is not a run" in refused(dataset, tmp_path / "diary" / "page.txt")
    assert files(tmp_path) == {"diary/page.txt": b"dear me"}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("train: {steps: many}")
    assert "train.steps is many" in refused(dataset, tmp_path / "run")


def test_bad_input_is_one_line_and_leaves_no_folder(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    monkeypatch.setattr("vid2vid.losses.objective.find_vgg_weights", lambda: None)
    wrong = shutil.copytree(dataset / "two", tmp_path / "wrong")
    CLASSES.write(wrong / "labels.yaml")
    write_picture(wrong / "labels" / "0005.png", np.full((32, 32), 200, np.uint8))
    only_vgg = [f"loss.{name}=0" for name in ("gan", "charbonnier", "ssim")]
    assert "no such folder" in refused(tmp_path / "nowhere", out)
    assert "one: 8 frames, but sequences of 10" in refused(dataset, out, "data.sequence=10")
    assert "no edges" in refused(dataset, out, "data.condition=edges")
    assert "200" in refused(wrong, out)
    assert "device nonsense" in refused(dataset, out, device="nonsense")
    assert "VGG-19" in refused(dataset, out, *only_vgg, "loss.perceptual=1")
    assert "estimator" in refused(dataset, out, "data.flow=nonsense")
    assert not out.exists()


def test_without_vgg_it_is_said_once(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vid2vid.losses.objective.find_vgg_weights", lambda: None)
    said: list[str] = []
    run(dataset, tmp_path / "run", "loss.perceptual=1", "train.steps=1", say=said.append)
    assert len([line for line in said if "VGG-19" in line]) == 1


def test_ctrl_c_twice_goes_back_to_the_last_checkpoint(runs: Runs, tmp_path: Path) -> None:
    again = shutil.copytree(runs.stopped, tmp_path / "again")
    before = files(again / "checkpoints")
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(runs.dataset, again, progress=interrupt_at(8, times=2))
    assert signal.getsignal(signal.SIGINT) is handler
    assert files(again / "checkpoints") == before
    assert not hidden_or_partial(again)
    run(runs.dataset, again)
    assert files(checkpoint_folders(again)[-1]) == files(checkpoint_folders(runs.straight)[-1])


def test_a_full_disk_leaves_the_older_checkpoint(runs: Runs, tmp_path: Path) -> None:
    again = shutil.copytree(runs.stopped, tmp_path / "again")
    before = files(again / "checkpoints")
    largest = max(len(data) for data in before.values())
    with full_disk(largest - 1), pytest.raises(UserError, match="the disk is full") as caught:
        run(runs.dataset, again)
    assert "\n" not in str(caught.value)
    assert files(again / "checkpoints") == before
    assert not hidden_or_partial(again)
    run(runs.dataset, again)
    assert files(checkpoint_folders(again)[-1]) == files(checkpoint_folders(runs.straight)[-1])


def test_a_full_disk_in_the_log_is_one_line(runs: Runs, tmp_path: Path) -> None:
    again = shutil.copytree(runs.stopped, tmp_path / "again")
    log = again / "metrics.jsonl"
    with full_disk(log.stat().st_size + 10):
        message = refused(runs.dataset, again)
    assert message.startswith(f"{log}: the disk is full")
    run(runs.dataset, again)
    assert log.read_text() == (runs.straight / "metrics.jsonl").read_text()


def test_losses_that_are_not_finite_are_logged_as_null_and_end_the_run(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(frame: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        return frame.sum() * float("nan")

    monkeypatch.setattr("vid2vid.losses.objective.charbonnier", broken)
    with pytest.raises(Diverged, match="first charbonnier"):
        run(dataset, tmp_path / "run", "train.checkpoint_every=100")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert "NaN" not in lines
    assert {json.loads(line)["generator/charbonnier"] for line in lines.splitlines()} == {None}
    assert not checkpoint_folders(tmp_path / "run")


@pytest.mark.parametrize(
    "overrides",
    [
        ("model.history=0", "model.use_flow=false", "discriminator.temporal_scales=0", "train.ema=0"),
        ("data.condition=densepose", "data.flip=0", "loss.gan=0", "train.self_made_first=0"),
        (
            "model.given_flow=true",
            "model.history=1",
            "discriminator.temporal_scales=0",
            "train.self_made_first=0",
        ),
        ("data.crop=[24, 16]", "data.scale=[1, 1.5]", "data.batch=2", "discriminator.sparse=true"),
        ("data.sequence=1", "train.chunk=1", "train.backprop=1", "data.size=[16, 16]", "loss.video_gan=0"),
    ],
)
def test_other_kinds_of_run(overrides: tuple[str, ...], dataset: Path, tmp_path: Path) -> None:
    run(dataset, tmp_path / "run", *overrides, "train.steps=3", "train.decay_from=1")
    about = load_model(tmp_path / "run").about
    assert about["steps"] == 3
    foretold = frames_after(load_recipe(str(tmp_path / "run")))
    assert about["frames_seen"] == [next(foretold) for _ in range(3)][-1]
    (sample,) = (tmp_path / "run" / "samples").iterdir()
    assert len(open_frames(sample)) == 8


def test_ctrl_c_is_kept_from_the_readers(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal sends it to all processes; the server that starts the readers is busy importing at first."""
    seen: list[object] = []
    monkeypatch.setattr(
        "multiprocessing.forkserver.ensure_running", lambda: seen.append(signal.getsignal(signal.SIGINT))
    )
    before = signal.getsignal(signal.SIGINT)
    sequences(Dataset.open(dataset), 3, workers=1)
    assert seen == [signal.SIG_IGN]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_goes_on_from_shards_of_its_dataset(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    again = shutil.copytree(runs.stopped, tmp_path / "again")
    (packed,) = prepare_shards([runs.dataset], tmp_path / "packed")
    run(packed, again)
    assert files(checkpoint_folders(again)[-1]) == files(checkpoint_folders(runs.straight)[-1])
