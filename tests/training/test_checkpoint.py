"""Checkpoints: what is found damaged, refused or removed, and which are kept."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tiny import hidden_or_partial, write_street
from vid2vid.errors import Diverged, UserError
from vid2vid.training import train
from vid2vid.training.checkpoint import best_checkpoint, prune, save_checkpoint, sweep
from vid2vid.training.trainer import Trainer
from vid2vid.training.validation import better_by
from vid2vid.zoo.files import CHECKSUMS, check_checksums, write_checksums
from vid2vid.zoo.folder import Model, checkpoint_folders, step_folders

SETTINGS = (
    *("data.size=[32, 32]", "data.sequence=6", "data.workers=0", "model.width=4", "model.downs=1"),
    *("model.blocks=1", "model.foreground=false", "discriminator.width=4", "discriminator.layers=1"),
    *("discriminator.scales=1", "loss.perceptual=0", "train.chunk=1", "train.backprop=1", "train.ema=0.9"),
    *("train.self_made_first=1", "train.steps=7", "train.checkpoint_every=2", "train.sample_every=100"),
    "train.keep=3",
)


def run(dataset: Path, out: Path, *overrides: str, **options: Any) -> Path:
    return train(dataset, "street-tiny", out, [*SETTINGS, *overrides], device="cpu", **options)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_street(tmp_path_factory.mktemp("street"), 8)


@pytest.fixture(scope="module")
def straight(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "straight"
    run(dataset, out)
    return out


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names(run: Path) -> list[str]:
    return [folder.name for folder in step_folders(run)]


PARTS = (
    *("generator.safetensors", "training_generator.safetensors", "discriminators.safetensors"),
    *("optimiser.safetensors", "random.safetensors", "place.safetensors", "training.json", "config.json"),
    *("README.md", CHECKSUMS),
)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("part", PARTS)
def test_a_flipped_bit_is_found_and_the_checkpoint_before_is_taken(
    part: str, dataset: Path, straight: Path, tmp_path: Path
) -> None:
    again = shutil.copytree(straight, tmp_path / "again")
    newest = checkpoint_folders(again)[-1]
    assert {path.name for path in newest.iterdir()} == set(PARTS)
    flip(newest / part)
    said: list[str] = []
    run(dataset, again, say=said.append)
    warning, going_on = said
    assert str(newest) in warning
    assert part in warning or part == CHECKSUMS
    assert warning.endswith("set aside as damaged-step-7")
    assert going_on == "going on from step-6"
    assert names(again) == ["step-4", "step-6", "step-7"]
    assert files(newest) == files(straight / "checkpoints" / "step-7"), "made again, bit by bit"
    assert (again / "metrics.jsonl").read_text() == (straight / "metrics.jsonl").read_text()


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_file_is_found_too(part: str, dataset: Path, straight: Path, tmp_path: Path) -> None:
    again = shutil.copytree(straight, tmp_path / "again")
    for name in ("step-6", "step-7"):
        (again / "checkpoints" / name / part).unlink(missing_ok=True)
        shutil.rmtree(again / "checkpoints" / "step-4", ignore_errors=True)
    if part == "place.safetensors":  # step 6 ends a sequence and has none
        (again / "checkpoints" / "step-6" / "README.md").unlink()
    before = files(again)
    with pytest.raises(UserError, match="and so are all 1 before it; copy the run again") as caught:
        run(dataset, again)
    assert "\n" not in str(caught.value)
    assert files(again) == before, "not begun anew, nothing touched"


def test_what_is_refused_touches_no_damaged_checkpoint(dataset: Path, straight: Path, tmp_path: Path) -> None:
    again = shutil.copytree(straight, tmp_path / "again")
    flip(again / "checkpoints" / "step-7" / "generator.safetensors")
    before = files(again)
    with pytest.raises(UserError, match="frames all, not 0:7"):
        run(dataset, again, frames="0:7")
    assert files(again) == before


@settings(max_examples=60)
@given(contents=st.dictionaries(st.sampled_from(["a", "b/c", "d"]), st.binary(max_size=40)), data=st.data())
def test_checksums_find_any_change(contents: dict[str, bytes], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for place, content in contents.items():
            (folder / place).parent.mkdir(exist_ok=True)
            (folder / place).write_bytes(content)
        write_checksums(folder)
        check_checksums(folder)
        if contents:
            changed = folder / data.draw(st.sampled_from(sorted(contents)))
            changed.write_bytes(data.draw(st.binary(max_size=40).filter(lambda x: x != changed.read_bytes())))
            with pytest.raises(UserError, match="its checksum differs"):
                check_checksums(folder)
            changed.unlink()
            with pytest.raises(UserError, match="cannot be read"):
                check_checksums(folder)


@contextmanager
def as_somebody_else(*places: Path) -> Iterator[None]:
    """The superuser may write everywhere: be nobody for a while, who may not write to ``places``."""
    was = os.geteuid()
    for place in places:
        place.chmod(0o555)
    try:
        if was == 0:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(was)
        for place in places:
            place.chmod(0o755)


def test_a_place_that_may_not_be_written_is_one_line(dataset: Path, straight: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        street, again = home / dataset.name, home / "again"
        shutil.copytree(dataset, street)
        shutil.copytree(straight, again)
        shutil.rmtree(again / "checkpoints" / "step-7")
        for path in (home, *home.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)
        before = files(again / "checkpoints")
        with as_somebody_else(again / "checkpoints"), pytest.raises(UserError) as caught:
            run(street, again)
        assert "cannot be written (Permission denied); choose another place" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert files(again / "checkpoints") == before
        run(street, again)
        assert files(again / "checkpoints") == files(straight / "checkpoints")


class Scored:
    """Checkpoints with nothing in them but scores."""

    def __init__(self, run: Path) -> None:
        self.run = run

    def write(self, step: int, **scores: float | None) -> None:
        folder = self.run / "checkpoints" / f"step-{step}"
        folder.mkdir(parents=True)
        (folder / "training.json").write_text(json.dumps({"scores": scores}))


@pytest.mark.parametrize(
    ("metric", "scores", "best"),
    [
        ("psnr", [20.0, 22.0, 21.0, None, 19.0], 2),
        ("psnr", [20.0, 22.0, 22.0, 21.0, 19.0], 2),
        ("warping_error", [4.0, 3.0, 2.0, 5.0, 6.0], 3),
        ("sharpness", [0.5, 1.2, 1.9, 0.7, 3.0], 2),
        ("psnr", [None, None, None, None, None], None),
    ],
)
def test_the_newest_and_the_best_are_kept(
    metric: str, scores: list[float | None], best: int | None, tmp_path: Path
) -> None:
    scored = Scored(tmp_path)
    for step, score in enumerate(scores, start=1):
        scored.write(step, **{metric: score})
        prune(tmp_path, 2, metric, better_by(metric))
    assert names(tmp_path) == [f"step-{step}" for step in sorted({4, 5} | ({best} if best else set()))]
    found = best_checkpoint(tmp_path, metric, better_by(metric))
    assert (found and found.name) == (f"step-{best}" if best else None)
    assert len(list((tmp_path / "checkpoints").iterdir())) == len(names(tmp_path))


def test_a_damaged_old_checkpoint_does_not_stop_a_training(tmp_path: Path) -> None:
    scored = Scored(tmp_path)
    scored.write(1, psnr=20.0)
    scored.write(2, psnr=10.0)
    (tmp_path / "checkpoints" / "step-1" / "training.json").write_text('{"scor')
    found = best_checkpoint(tmp_path, "psnr", better_by("psnr"))
    assert found is not None
    assert found.name == "step-2"


def test_what_a_killed_training_left_is_swept_away_and_nothing_else(
    dataset: Path, straight: Path, tmp_path: Path
) -> None:
    again = shutil.copytree(straight, tmp_path / "again")
    before = files(again)
    for left in (".config.yaml.7.part", "checkpoints/.step-8.9.part/x", "samples/.step-0000008.mp4.7.part"):
        (again / left).parent.mkdir(exist_ok=True)
        (again / left).write_text("half")
    (again / "checkpoints" / ".step-7.9.old").mkdir()
    sweep(again)
    assert files(again) == before
    assert not hidden_or_partial(again)


def test_a_training_killed_before_its_first_file_begins_again(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / ".config.yaml.7.part").write_text("half")
    run(dataset, out, "train.steps=1")
    assert not hidden_or_partial(out)


@pytest.mark.parametrize("part", ["generator", "discriminators", "optimiser"])
def test_what_is_not_finite_is_not_saved(
    part: str, tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(run: Path, model: Model, trainer: Trainer, *rest: Any) -> Path:
        if trainer.step == 4:
            places: dict[str, Callable[[], torch.Tensor]] = {
                "generator": lambda: next(trainer.result.parameters()),
                "discriminators": lambda: trainer.judges[0],
                "optimiser": lambda: trainer.optimiser.state[trainer.learners[0]]["exp_avg"],
            }
            with torch.no_grad():
                places[part]()[0] = float("nan")
        return save_checkpoint(run, model, trainer, *rest)

    monkeypatch.setattr("vid2vid.training.loop.save_checkpoint", poisoned)
    with pytest.raises(Diverged, match=f"^{part}: .* is not finite at step 4, so it is not saved") as caught:
        run(dataset, tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert names(tmp_path / "run") == ["step-2"]
    assert not hidden_or_partial(tmp_path / "run")
