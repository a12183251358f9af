"""A grid from end to end: equal budgets, true tables, going on where it stopped, and what it refuses."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from tiny import hidden_or_partial, write_street
from vid2vid.cli import main
from vid2vid.config import load_recipe
from vid2vid.errors import Diverged, UserError
from vid2vid.evaluation import evaluate
from vid2vid.experiments import ablate, plan
from vid2vid.training.budget import frames_after
from vid2vid.zoo import load_model

room = import_module("vid2vid.experiments.ablate")  # its function has the same name
STEPS = 3
SETTINGS = (
    *("data.size=[32, 32]", "data.sequence=6", "data.flip=0", "loss.perceptual=0"),
    *("model.width=4", "model.downs=2", "model.blocks=1", "discriminator.width=4", "discriminator.layers=2"),
    *("discriminator.scales=1", "train.ema=0", f"train.steps={STEPS}"),
)
VARY = ("no flow: model.use_flow=false",)
TRAIN, TEST, GIVEN, SEEDS = "0:8", "6:12", 2, (0, 7)


def call(dataset: Path, out: Path, *more: str, **options: Any) -> dict[str, Any]:
    options = {"seeds": SEEDS, "frames": TRAIN, "test_frames": TEST, "device": "cpu", "vary": VARY} | options
    return ablate(dataset, "street-tiny", out, options.pop("vary"), [*SETTINGS, *more], **options)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(dataset: Path, out: Path, *more: str, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        call(dataset, out, *more, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


@dataclass(frozen=True)
class Grid:
    dataset: Path
    out: Path
    results: dict[str, Any]
    said: list[str]
    notes: list[str]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_street(tmp_path_factory.mktemp("street"), 12, 12)


@pytest.fixture(scope="module")
def grid(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Grid:
    """Two rows, two seeds, two test clips."""
    out, said, notes = tmp_path_factory.mktemp("grid") / "out", [], []
    results = call(
        dataset, out, say=said.append, progress=lambda done, total=None, note="": notes.append(note)
    )
    return Grid(dataset, out, results, said, notes)


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that ``train`` was asked for from now on; it must not be."""
    asked: list[str] = []

    def forbidden(dataset: object, recipe: object, out: Path, *_: object, **__: object) -> None:
        asked.append(out.name)
        raise AssertionError(f"{out} was to be trained")

    monkeypatch.setattr(room, "train", forbidden)
    return asked


def rows(grid: Grid) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in grid.results["rows"]}


def test_every_run_has_the_same_budget(grid: Grid) -> None:
    folders = sorted(path.name for path in (grid.out / "runs").iterdir())
    assert folders == sorted(f"{row}-seed{k}" for row in ("full", "no-flow") for k in SEEDS)
    for folder in (grid.out / "runs").iterdir():
        recipe = load_recipe(str(folder))
        about = load_model(folder).about
        assert (about["frames_seen"], about["frames"], recipe.data.size) == (2 * STEPS, TRAIN, (32, 32))
        assert (recipe.data.sequence, recipe.train.chunk, recipe.model.width) == (6, 2, 4)
        assert folder.name.endswith(f"-seed{recipe.train.seed}")
    assert not load_recipe(str(grid.out / "runs" / "no-flow-seed7")).model.use_flow
    assert grid.said[0] == "1 of 4: full, seed 0"
    assert any(note.startswith("no flow, seed 7: generator") for note in grid.notes)
    assert not hidden_or_partial(grid.out)


def test_the_table_tells_what_evaluate_says(grid: Grid, tmp_path: Path) -> None:
    """Scored by hand from the rendered pictures."""
    by_seed = []
    for seed in SEEDS:
        values = []
        for clip in ("one", "two"):
            made = grid.out / "made" / f"no-flow-seed{seed}" / clip
            assert [path.name for path in sorted(made.iterdir())] == [f"{t:04d}.png" for t in range(6, 12)]
            report = evaluate(
                grid.dataset / clip, [f"x={made}"], tmp_path / f"{clip}{seed}", frames=TEST, given=GIVEN
            )
            values.append(report["systems"][1]["summary"]["psnr"])
        by_seed.append(fmean(values))
    row = rows(grid)["no flow"]
    assert row["mean"]["psnr"] == pytest.approx(fmean(by_seed))
    assert row["deviation"]["psnr"] == pytest.approx(stdev(by_seed))
    shown = f"{fmean(by_seed):.2f}"
    (line,) = (
        line for line in (grid.out / "table.md").read_text().splitlines() if line.startswith("| no flow")
    )
    assert shown in line.split("|")[2]
    assert f"± {stdev(by_seed):.2f}" in line.split("|")[2]
    with (grid.out / "results.csv").open() as file:
        (csv_row,) = (entry for entry in csv.DictReader(file) if entry["name"] == "no flow")
    assert float(csv_row["psnr"]) == pytest.approx(fmean(by_seed))
    assert float(csv_row["psnr_deviation"]) == pytest.approx(stdev(by_seed))


def test_the_counts_are_stated_and_the_costs_are_true(grid: Grid) -> None:
    text = (grid.out / "table.md").read_text()
    assert "Test clips: 2 (one, two). Frames scored: 8, after 2 given ones in each clip." in text
    assert "Training seeds: 2 (0, 7). Frames seen in training: 6," in text
    assert "± is the standard deviation over seeds" in text
    assert "Beware" not in text  # frames 6 and 7, trained on, are the given ones
    assert json.loads((grid.out / "results.json").read_text()) == grid.results
    assert list(rows(grid)) == ["real clip", "full", "no flow"]
    for name, run in (("full", "full"), ("no flow", "no-flow")):
        row = rows(grid)[name]
        model = load_model(grid.out / "runs" / f"{run}-seed0")
        assert row["parameters"] == sum(weight.numel() for weight in model.renderer.parameters())
        assert (row["steps"], row["frames_seen"], row["training_minutes_complete"]) == (STEPS, 6, True)
        assert 0 < row["training_minutes"] < 1
        assert row["frames_per_second"] > 0
    assert "deviation" in rows(grid)["real clip"]
    assert set(rows(grid)["real clip"]["deviation"].values()) == {None}


def test_the_same_call_trains_and_renders_nothing_anew(
    grid: Grid, tmp_path: Path, untrained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    again = shutil.copytree(grid.out, tmp_path / "again")
    monkeypatch.setattr(room, "synthesize", None)
    assert call(grid.dataset, again, vary=(), seeds=()) == grid.results, "all rows and seeds, as planned"
    assert not untrained


def test_a_grid_grows_by_rows_and_seeds(grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    again = shutil.copytree(grid.out, tmp_path / "again")
    asked: list[str] = []
    train = room.train

    def counted(*args: Any, **options: Any) -> Path:
        asked.append(args[2].name)
        return train(*args, **options)

    monkeypatch.setattr(room, "train", counted)
    results = call(grid.dataset, again, vary=["Frame-wise: @street-tiny-framewise"], seeds=())
    assert asked == ["frame-wise-seed0", "frame-wise-seed7"]
    for name in asked:  # another recipe with the budget of the first
        recipe, about = load_recipe(str(again / "runs" / name)), load_model(again / "runs" / name).about
        assert (recipe.name, recipe.model.history, recipe.model.width) == ("street-tiny-framewise", 0, 4)
        assert (recipe.data.sequence, recipe.train.chunk, about["frames_seen"]) == (6, 2, 2 * STEPS)
    assert [row["name"] for row in results["rows"]] == [*rows(grid), "Frame-wise"]
    assert results["rows"][1] == rows(grid)["full"]


def press_ctrl_c(note_of: str, asked: list[str]) -> Callable[..., None]:
    def progress(done: int, total: int | None = None, note: str = "") -> None:
        if note.startswith(note_of) and not asked:
            asked.append(note)
            os.kill(os.getpid(), signal.SIGINT)

    return progress


@pytest.mark.parametrize("when", ["no flow, seed 0: generator", "no flow, seed 0: rendering"])
def test_an_interrupted_grid_goes_on_where_it_stopped(
    when: str, grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"vary": VARY[:1], "seeds": (0,)}
    asked: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        call(grid.dataset, tmp_path / "out", progress=press_ctrl_c(when, asked), **options)
    assert asked
    assert not (tmp_path / "out" / "table.md").exists()
    trained: list[str] = []
    train = room.train
    monkeypatch.setattr(
        room, "train", lambda *args, **more: (trained.append(args[2].name), train(*args, **more))
    )
    results = call(grid.dataset, tmp_path / "out", **options)
    assert trained == (["no-flow-seed0"] if "generator" in when else [])
    for row in results["rows"][1:]:
        assert row["training_minutes_complete"]
        (score,) = (s for s in grid.results["scores"] if (s["clip"], s["seed"]) == ("one", 0))
        (straight,) = (s for s in score["systems"] if s["name"] == row["name"])
        (mine,) = (s for s in results["scores"][0]["systems"] if s["name"] == row["name"])
        assert mine == straight, "as if it had never stopped"


def test_another_plan_is_refused_and_nothing_is_touched(grid: Grid, tmp_path: Path, untrained: list) -> None:
    before = files(grid.out)
    assert "train.lr 0.0003, not 0.001" in refused(grid.dataset, grid.out, "train.lr=1e-3")
    assert f"train.steps {STEPS}, not 4" in refused(grid.dataset, grid.out, "train.steps=4")
    assert "frames 0:8, not 0:9" in refused(grid.dataset, grid.out, frames="0:9")
    assert "given 2, not 1" in refused(grid.dataset, grid.out, given=1)
    assert "test one, not" not in refused(grid.dataset, grid.out, test=grid.dataset / "one")
    line = refused(grid.dataset, grid.out, vary=["no flow: model.history=1"])
    assert "no flow is 'model.use_flow=false' already" in line
    (tmp_path / "diary").mkdir()
    (tmp_path / "diary" / "page.txt").write_text("dear me")
    assert "is no experiment" in refused(grid.dataset, tmp_path / "diary")
    assert files(grid.out) == before
    assert not untrained


@pytest.mark.parametrize(
    ("vary", "line"),
    [
        ("model.width=8", "write 'NAME: key=value"),
        ("wide model.width=8", "write 'NAME: key=value"),
        ("wide: 8", "write 'NAME: key=value"),
        ("wide: @", "write 'NAME: key=value"),
        ("full: model.width=8", "choose another"),
        ("...: model.width=8", "choose another"),
        (
            "wide: model.widht=8",
            "wide: model.widht=8: no key 'model.widht' (did you mean model.width?)",
        ),
        ("wide: model.width=broad", "model.width=broad: model.width is broad; it must be a whole number"),
        ("other: @street-tine", "street-tine: no such recipe"),
        ("same: model.width=4", "changes nothing in street-tiny"),
        ("long: train.steps=9", "train.steps is the same for all rows"),
        ("large: data.size=[64, 64]", "data.size is the same for all rows"),
        ("edges: data.condition=edges", "no edges"),
        ("longer: data.sequence=12 train.chunk=3", "frames, but sequences of 12"),
        (
            "odd: train.chunk=4 train.self_made_first=0",
            "the 6 of 'full', with seed 0; give train.steps=2",
        ),
    ],
)
def test_a_bad_row_is_refused_before_anything_is_trained(
    vary: str, line: str, dataset: Path, tmp_path: Path, untrained: list[str]
) -> None:
    assert line in refused(dataset, tmp_path / "out", vary=[VARY[0], vary])
    assert not untrained
    assert not (tmp_path / "out").exists()


def test_a_forecaster_is_no_row(dataset: Path, tmp_path: Path, untrained: list[str]) -> None:
    row = "ahead: model.network=forecast loss.ssim=0 loss.contrast=0"
    message = refused(dataset, tmp_path / "out", "train.self_made_first=0", vary=[row])
    assert "ahead" in message
    assert "is a forecaster" in message
    assert not untrained


def test_bad_data_is_refused_before_anything_is_trained(
    dataset: Path, tmp_path: Path, untrained: list[str]
) -> None:
    out = tmp_path / "out"
    assert "no such folder" in refused(tmp_path / "nowhere", out)
    assert "no such folder" in refused(dataset, out, test=tmp_path / "nowhere")
    assert "2 frames to test on, 2 of them given" in refused(dataset, out, test_frames="6:8")
    assert "not a part of a clip" in refused(dataset, out, test_frames="6-8")
    assert "--given -1" in refused(dataset, out, given=-1)
    assert "device nonsense" in refused(dataset, out, device="nonsense")
    assert "train.seed" in refused(dataset, out, seeds=[-1])
    assert not untrained
    assert not out.exists()


def test_steps_give_way_so_that_all_see_as_many_frames(dataset: Path, tmp_path: Path) -> None:
    vary = ["longer chunks: train.chunk=3", "blended: @street-tiny-blended loss.mask=0.1"]
    options = {"seeds": [0, 1], "test": dataset / "one"}
    with pytest.raises(UserError, match=r"119 frames, not the 120 of 'full', .* give train\.steps=52,"):
        plan(dataset, "street-tiny", tmp_path, vary, [*SETTINGS, "train.steps=60"], **options)
    made = plan(dataset, "street-tiny", tmp_path, vary, [*SETTINGS, "train.steps=52"], **options)
    assert len(made.runs) == 6
    for run in made.runs:
        assert run.frames == 104
        assert next(islice(frames_after(run.settings), run.settings.train.steps - 1, None)) == 104
    steps = {run.variant.name: run.settings.train.steps for run in made.runs}
    assert steps["full"] == 52
    assert steps["longer chunks"] < 52 < steps["blended"]
    assert made.runs[2].settings.loss.mask == 0.1
    assert made.facts()[1].startswith("Beware: 10 of the 10 scored frames were also trained on")


def test_a_run_that_diverges_is_named(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*_: object, **__: object) -> None:
        raise Diverged("losses not finite")

    monkeypatch.setattr(room, "train", diverge)
    with pytest.raises(Diverged, match=r"^full, seed 0: losses not finite"):
        call(dataset, tmp_path / "out")


WORDS = ["--recipe", "street-tiny", "--paper", "--frames", "0:8", *SETTINGS]


def test_a_dry_run_prints_the_plan_and_leaves_nothing(
    dataset: Path, tmp_path: Path, untrained: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["ablate", str(dataset), "--out", str(tmp_path / "out"), "--dry-run", *WORDS, "--seeds", "1", "2"]
    assert main([*words, "--vary", "a: model.width=6", "--vary", "b: model.blocks=2 model.width=6"]) == 0
    out = capsys.readouterr().out
    assert "| no flow warping | model.use_flow=false | 2 | 3 | 6 | 0.0" in out
    assert "| b | model.blocks=2 model.width=6 | 1 |" in out
    assert out.count("\n| ") == 1 + 2 * 6
    assert not untrained
    assert not (tmp_path / "out").exists()


def test_an_error_is_one_line(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["ablate", str(dataset), "--out", str(tmp_path / "out"), *WORDS]
    assert main([*words, "--vary", "wide: model.widht=8"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("vid2vid ablate: --vary wide: model.widht=8: no key")
