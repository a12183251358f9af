"""``ablate``: a grid of recipes is trained, rendered and scored; the same call goes on where it stopped."""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from vid2vid.device import pick_device
from vid2vid.errors import Diverged, UserError
from vid2vid.evaluation import evaluate
from vid2vid.experiments.grid import Grid, TestClip, plan
from vid2vid.experiments.table import summarise, write_tables
from vid2vid.experiments.variants import Run
from vid2vid.inference import synthesize
from vid2vid.progress import Progress, silent
from vid2vid.training import train
from vid2vid.video import list_pictures, open_frames, whole_file, write_picture
from vid2vid.zoo.files import read_json
from vid2vid.zoo.folder import checkpoint_folders


def ablate(
    dataset: Path | str,
    recipe: str,
    out: Path | str,
    vary: Iterable[str] = (),
    overrides: Iterable[str] = (),
    *,
    paper: bool = False,
    seeds: Sequence[int] = (),
    frames: str | None = None,
    test: Path | str | None = None,
    test_frames: str | None = None,
    given: int | None = None,
    controls: bool = False,
    device: str = "auto",
    progress: Progress = silent,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Trains a recipe and variants of it with the same seeds, data and number of frames, and tabulates.

    Called again with the same folder, finished runs are kept, an interrupted one goes on, and further
    variants or seeds join those that are there: the table always shows the whole grid. Scores are taken anew
    each time; they cost little.

    Args:
        dataset: a dataset folder, or one clip.
        recipe: name of a recipe of the package, or a YAML file: the row "full".
        out: folder of the experiment: ``table.md``, ``results.csv``, ``results.json``, ``runs/``, ``made/``,
            ``reports/``.
        vary: the other rows: ``NAME: key=value key=value``, or ``NAME: @RECIPE key=value`` for another recipe
            with the budget of the first. Where a variant makes other frames a step, it gets other steps, so
            that all see equally many frames.
        overrides: ``section.key=value`` words for all rows.
        paper: add the paper's three ablations.
        seeds: training seeds; each row is trained once with each. None: the recipe's own.
        frames: the part of each clip to train on, such as ``0:57``.
        test: a clip or dataset to test on; default: the dataset.
        test_frames: the part of each test clip that is rendered, such as ``55:71``; default: all.
        given: the first so many of those are real frames, handed over as history and not scored; default:
            the recipe's ``model.history``.
        controls: score what needs no system at all, too; see ``evaluate``.
        device: auto, cpu, cuda, cuda:1, mps.
        progress: called after every step or frame.
        say: called with the few lines worth telling.

    Returns:
        What ``results.json`` holds: "about" (counts of clips, frames and seeds), "metrics", "rows" (means
        over clips, then seeds, with deviations over seeds) and "scores" (each seed's and clip's own).

    Raises:
        UserError: anything that does not fit, before the first training begins.
        Diverged: the losses of a run stayed non-finite.
        KeyboardInterrupt: interrupted; the run was saved, and the same call goes on.
    """
    grid = plan(
        *(dataset, recipe, out, vary, overrides),
        paper=paper,
        seeds=seeds,
        frames=frames,
        test=test,
        test_frames=test_frames,
        given=given,
    )
    return carry_out(grid, controls=controls, device=device, progress=progress, say=say)


def carry_out(
    grid: Grid,
    *,
    controls: bool = False,
    device: str = "auto",
    progress: Progress = silent,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """What ``ablate`` does once its plan is settled."""
    pick_device(device)  # complains before anything is written
    grid.write()
    measured = {}
    for number, run in enumerate(grid.runs, start=1):
        say(f"{number} of {len(grid.runs)}: {run.title}")
        measured[run.name] = _Work(grid, run, device, progress, say).finish()
    scores = [
        _score(grid, clip, seed, controls, partial(_noted, progress, f"{clip.name}, seed {seed}"))
        for seed in grid.seeds
        for clip in grid.clips
    ]
    results = summarise(grid, measured, scores)
    write_tables(grid, results)
    return results


class _Work:
    """One run of the grid: trained, then rendered; what that took is kept beside it."""

    def __init__(
        self, grid: Grid, run: Run, device: str, progress: Progress, say: Callable[[str], None]
    ) -> None:
        self.grid, self.run, self.device, self.say = grid, run, device, say
        self.progress = partial(_noted, progress, run.title)
        self.folder = grid.out / "runs" / run.name
        self._path = grid.out / "measured" / f"{run.name}.json"
        self.measured: dict[str, Any] = {"train_seconds": 0.0, "steps_timed": 0, "rendered": {}}
        try:
            self.measured |= read_json(self._path) if self._path.exists() else {}
        except UserError as error:
            raise UserError(f"{self._path}: damaged; remove it to measure anew") from error

    def finish(self) -> dict[str, Any]:
        """Whatever is still to do. Returns what was measured."""
        steps = self.run.settings.train.steps
        if [folder.name for folder in checkpoint_folders(self.folder)[-1:]] != [f"step-{steps}"]:
            self._train()
        (newest,) = checkpoint_folders(self.folder)[-1:]
        seen = read_json(newest / "config.json").get("about", {}).get("frames_seen")
        if seen != self.run.frames:
            raise UserError(
                f"{self.folder}: saw {seen} frames, not {self.run.frames}; remove it to train it again"
            )
        for clip in self.grid.clips:
            self._render(clip)
        return self.measured

    def _train(self) -> None:
        begun, timed = time.monotonic(), self.measured["steps_timed"]
        seconds = self.measured["train_seconds"]

        def progress(done: int, total: int | None = None, note: str = "") -> None:
            self.measured["steps_timed"] += 1
            self.progress(done, total, note)

        try:
            train(
                *(self.grid.dataset, self.run.recipe, self.folder, self.run.words),
                frames=self.grid.frames,
                device=self.device,
                progress=progress,
                say=self.say,
            )
        except Diverged as error:
            raise Diverged(f"{self.run.title}: {error}") from error
        finally:
            if self.measured["steps_timed"] > timed:
                self.measured["train_seconds"] = seconds + time.monotonic() - begun
                self._keep()

    def _render(self, clip: TestClip) -> None:
        """Render a test clip, unless that is done; an unfinished one begins anew."""
        made = made_folder(self.grid, self.run, clip)
        there = len(list_pictures(made)) if made.is_dir() else 0
        if clip.name in self.measured["rendered"] and there == len(clip.picks):
            return
        shutil.rmtree(made, ignore_errors=True)
        times: list[float] = []

        def progress(done: int, total: int | None = None, note: str = "") -> None:
            times.append(time.monotonic())
            self.progress(done, total, f"rendering {clip.name}")

        count = synthesize(
            *(self.folder, clip.home, made),
            first_frames=_given(self.grid, clip),
            frames=self.grid.test_frames,
            device=self.device,
            precision="float32",
            path="plain",
            progress=progress,
        ).frames
        # The first frame that is made warms up what the others find ready.
        warm = times[self.grid.given :]
        self.measured["rendered"][clip.name] = {
            "frames": count,
            "timed": len(warm) - 1,
            "seconds": round(warm[-1] - warm[0], 4),
            "machine": _machine(self.device),
        }
        self._keep()

    def _keep(self) -> None:
        with whole_file(self._path) as temporary:
            temporary.write_text(json.dumps(self.measured, indent=1) + "\n", "utf-8")


def made_folder(grid: Grid, run: Run, clip: TestClip) -> Path:
    """Where a run's pictures of a clip lie."""
    return grid.out / "made" / run.name / clip.name


def _given(grid: Grid, clip: TestClip) -> list[Path]:
    """The real frames handed over, as pictures: written once, for the clip may be a video."""
    folder = grid.out / "given" / clip.name
    paths = [folder / f"{number:06d}.png" for number in clip.picks[: grid.given]]
    if not all(path.is_file() for path in paths):
        real = open_frames(clip.real)
        for number, path in zip(clip.picks, paths, strict=False):
            write_picture(path, real[number].image)
    return paths


def _score(grid: Grid, clip: TestClip, seed: int, controls: bool, progress: Progress) -> dict[str, Any]:
    """The report on all rows of one seed and one clip, without its curves."""
    report = evaluate(
        clip.real,
        [f"{run.variant.name}={made_folder(grid, run, clip)}" for run in grid.runs if run.seed == seed],
        grid.out / "reports" / f"{clip.name}-seed{seed}",
        frames=grid.test_frames,
        given=grid.given,
        controls=controls,
        progress=progress,
    )
    kept = [{key: system[key] for key in ("name", "kind", "summary")} for system in report["systems"]]
    return {"clip": clip.name, "seed": seed, "metrics": report["metrics"], "systems": kept}


def _noted(progress: Progress, what: str, done: int, total: int | None = None, note: str = "") -> None:
    progress(done, total, f"{what}: {note}")


def _machine(device: str) -> str:
    """What a speed was measured on, in a few words; nothing that tells whose machine it is."""
    where = pick_device(device)
    if where.type == "cuda":
        return torch.cuda.get_device_name(where)
    threads = f"{os.cpu_count()} cores, torch threads: {torch.get_num_threads()}"
    words = f"{platform.system()} {platform.machine()}, {threads}"
    return words if where.type == "cpu" else f"{where.type}, {words}"
