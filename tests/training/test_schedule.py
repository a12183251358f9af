"""The schedule: every step has one stage, sequences only grow, and what is foretold is what happens."""

from __future__ import annotations

import os
import signal
from itertools import islice, pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tiny import LABELS, build, write_street
from vid2vid.cli import main
from vid2vid.config import (
    DataConfig,
    DiscriminatorConfig,
    ModelConfig,
    Recipe,
    TrainConfig,
    load_recipe,
    recipe_names,
)
from vid2vid.errors import UserError
from vid2vid.training import plan, train
from vid2vid.training.budget import foretold, frames_after
from vid2vid.training.distributed import ALONE
from vid2vid.training.footage import batches, open_dataset
from vid2vid.training.outlook import stages
from vid2vid.training.schedule import length_at, lengths, rate_at, stage_at
from vid2vid.training.trainer import Trainer
from vid2vid.zoo.folder import checkpoint_folders

STEPS = 14
SETTINGS = (
    *("data.size=[32, 32]", "data.sequence=7", "data.first_sequence=2", "data.longer_every=2"),
    *("data.flip=0.5", "data.workers=0", "model.width=4", "model.downs=1", "model.blocks=1"),
    *("model.foreground=false", "discriminator.width=4", "discriminator.layers=1", "discriminator.scales=1"),
    *("discriminator.temporal_scales=2", "loss.perceptual=0", "train.chunk=2", "train.backprop=2"),
    *("train.first_backprop=1", "train.self_made_first=0.5", f"train.steps={STEPS}", "train.ema=0.9"),
    *("train.sample_every=1000", "train.checkpoint_every=100"),
)

RECIPES = st.builds(
    Recipe,
    data=st.builds(
        DataConfig,
        sequence=st.integers(1, 40),
        first_sequence=st.integers(1, 40),
        longer_every=st.integers(1, 5),
        batch=st.integers(1, 3),
    ),
    model=st.builds(ModelConfig, history=st.integers(0, 3)),
    discriminator=st.builds(
        DiscriminatorConfig, temporal_scales=st.integers(0, 4), frames=st.integers(2, 4)
    ),
    train=st.builds(
        TrainConfig,
        steps=st.integers(1, 120),
        chunk=st.integers(1, 5),
        first_backprop=st.integers(0, 2),
        backprop=st.integers(2, 5),
        self_made_first=st.floats(0, 1),
        decay_from=st.floats(0, 1),
        finest_alone=st.floats(0, 1),
        rollout=st.integers(0, 3),
    ),
)  # fmt: skip


@settings(max_examples=60)
@given(RECIPES)
def test_stages_hold_at_every_step_once(recipe: Recipe) -> None:
    found = stages(recipe)
    assert [0, *(stretch.stop for stretch in found)] == [*(s.first for s in found), recipe.train.steps]
    assert all(one.stage != other.stage for one, other in pairwise(found))
    at = [stretch.stage for stretch in found for _ in range(stretch.first, stretch.stop)]
    steps = list(islice(foretold(recipe), recipe.train.steps))
    assert at == [stage_at(step, sequence, recipe) for step, (sequence, _) in enumerate(steps)]
    assert (
        sum(stretch.frames for stretch in found) == list(islice(frames_after(recipe), recipe.train.steps))[-1]
    )
    for stretch in found:
        assert stretch.rates == tuple(
            rate_at(step, recipe.train) for step in (stretch.first, stretch.stop - 1)
        )


@settings(max_examples=60)
@given(RECIPES)
def test_sequences_grow_and_never_beyond_the_longest(recipe: Recipe) -> None:
    data = recipe.data
    grown = [length_at(sequence, data) for sequence in range(60)]
    assert grown == sorted(grown)
    assert grown[0] == min(data.first_sequence, data.sequence)
    assert length_at(10**9, data) == data.sequence
    table = dict(lengths(data))
    assert [table[n] for n in sorted(table)] == list(dict.fromkeys(length_at(n, data) for n in range(400)))
    assert all(grown[n] == length for n, length in table.items() if n < 60)
    reach = [stage_at(0, sequence, recipe) for sequence in range(60)]
    assert [s.backprop for s in reach] == sorted(s.backprop for s in reach)
    assert all(1 <= s.backprop <= recipe.train.backprop for s in reach)
    span = recipe.discriminator.frames - 1
    for stage in reach:
        fit = [stage.length + recipe.train.rollout > span * recipe.discriminator.frames**r for r in range(4)]
        assert stage.temporal_scales == min(sum(fit), recipe.discriminator.temporal_scales)


@pytest.mark.parametrize("name", recipe_names())
def test_without_growth_all_sequences_are_as_long(name: str) -> None:
    recipe = load_recipe(name)
    if not recipe.data.longer_every:
        assert lengths(recipe.data) == ((0, recipe.data.sequence),)
        assert stage_at(0, 10**6, recipe).backprop == recipe.train.backprop
    else:
        assert [length for _, length in lengths(recipe.data)] == [6, 12, 24, 30]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_street(tmp_path_factory.mktemp("street"), 9, 8)


def test_batches_are_as_long_as_foretold_wherever_one_begins(dataset: Path) -> None:
    recipe = load_recipe("street-tiny", [*SETTINGS, "data.batch=2"])
    data = open_dataset(dataset, recipe, None)
    straight = list(islice(batches(data, recipe, 0, ALONE), 7))
    assert [batch.frames.shape[1] for batch in straight] == [2, 2, 4, 4, 7, 7, 7]
    for first in (1, 3, 4):
        again = next(batches(data, recipe, first, ALONE))
        assert torch.equal(again.frames, straight[first].frames)


def test_a_simulated_run_makes_what_was_foretold(dataset: Path) -> None:
    recipe = load_recipe("street-tiny", [*SETTINGS, "train.rollout=1"])
    trained = Trainer(build(LABELS, width=4), recipe, torch.device("cpu"))
    trained._optimise = lambda chunk: {}  # type: ignore[method-assign]
    expected = foretold(recipe)
    made = 0
    for batch in islice(batches(open_dataset(dataset, recipe, None), recipe, 0, ALONE), 6):
        given_, rolled = trained.given_frames(trained.sequence), trained.rolled_frames(trained.sequence)
        for _ in trained.train_sequence(batch, given_, rolled):
            made += next(expected)[1]
            assert trained.frames == made
    assert next(expected)[0] == trained.sequence == 6


def state(run: Path) -> dict[str, bytes]:
    newest = checkpoint_folders(run)[-1]
    files = {path.name: path.read_bytes() for path in newest.iterdir()}
    return files | {"metrics.jsonl": (run / "metrics.jsonl").read_bytes()}


def test_a_run_that_grows_goes_on_bit_by_bit(dataset: Path, tmp_path: Path) -> None:
    def stopping(*places: int):  # type: ignore[no-untyped-def]
        def progress(done: int, total: int | None = None, note: str = "") -> None:
            if done in places:
                os.kill(os.getpid(), signal.SIGINT)

        return progress

    train(dataset, "street-tiny", tmp_path / "straight", SETTINGS, device="cpu")
    grown = stages(load_recipe("street-tiny", SETTINGS))
    assert [stretch.stage.length for stretch in grown if not stretch.stage.decays][:2] == [2, 4]
    assert grown[-1].stage.length == 7
    for place in (2, 6, 11):
        with pytest.raises(KeyboardInterrupt):
            train(
                *(dataset, "street-tiny", tmp_path / "cut", SETTINGS),
                device="cpu", progress=stopping(place),
            )  # fmt: skip
    train(dataset, "street-tiny", tmp_path / "cut", SETTINGS, device="cpu")
    one, other = state(tmp_path / "straight"), state(tmp_path / "cut")
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []
    assert b"video_1" not in one["metrics.jsonl"].splitlines()[3]
    assert b"video_1" in one["metrics.jsonl"]


def test_a_dry_run_prints_the_stages_and_writes_nothing(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in dataset.rglob("*")}
    words = ["train", str(dataset), "--recipe", "street-tiny", "--out", str(tmp_path / "run")]
    assert main([*words, "--device", "cpu", "--dry-run", *SETTINGS, "train.finest_alone=0.2"]) == 0
    printed = capsys.readouterr().out
    assert "the shortest, two, has 8 frames, and the longest sequence 7" in printed
    recipe = load_recipe("street-tiny", [*SETTINGS, "train.finest_alone=0.2"])
    rows = [line.split() for line in printed.splitlines() if "GiB" in line]
    found = stages(recipe)
    assert [row[0] for row in rows] == [f"{s.first + 1}-{s.stop}" for s in found]
    assert [row[1] for row in rows] == [str(s.stage.length) for s in found]
    assert "1 of 2" in printed
    assert "estimate" in printed
    assert not list(tmp_path.iterdir())
    assert before == {path: path.stat().st_mtime_ns for path in dataset.rglob("*")}


def test_scales_that_sleep_cost_less(dataset: Path, tmp_path: Path) -> None:
    words = [*SETTINGS, "model.scales=2", "model.enhancer_blocks=1", "train.finest_alone=0.3"]
    made = plan(dataset, "street-tiny", tmp_path / "run", words, device="cpu")
    alone, *_, last = made.costs
    assert alone.stretch.stage.finest_alone
    assert alone.memory < last.memory
    assert all(forecast.seconds for forecast in made.costs)
    assert made.rehearsed == (32, 32)


@pytest.mark.parametrize("call", [train, plan])
def test_a_clip_too_short_for_the_longest_stage_is_named(call, dataset: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError, match="two: 8 frames, but sequences of 9 are asked for; ask for shorter"):
        call(dataset, "street-tiny", tmp_path / "run", [*SETTINGS, "data.sequence=9"], device="cpu")
    assert not (tmp_path / "run").exists()


def test_a_dry_run_complains_of_what_a_run_would(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="exists and is not a run"):
        plan(dataset, "street-tiny", tmp_path, SETTINGS, device="cpu")
    for word in ("data.first_sequence=0", "data.longer_every=0", "train.first_backprop=3"):
        with pytest.raises(UserError, match=word.partition("=")[0]):
            load_recipe("street-tiny", [*SETTINGS, word])
