"""The plan of a grid: what is trained, and on what it is tested. All that can be wrong is found here."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vid2vid.config import Recipe, load_recipe
from vid2vid.data import Dataset
from vid2vid.data.dataset import parse_part
from vid2vid.data.layout import ClipFiles, find_clips
from vid2vid.data.sampling import SequencePlan
from vid2vid.errors import UserError
from vid2vid.evaluation.metrics import SMALLEST_SIDE
from vid2vid.experiments.variants import PAPER, Run, make_runs, read_variants
from vid2vid.training.footage import augmentation, open_dataset
from vid2vid.video import open_frames, whole_file
from vid2vid.zoo.renderers import build_renderer

FORMAT = 1
RECORD = "plan.json"


@dataclass(frozen=True)
class TestClip:
    """A clip to test on. picks: the numbers of its frames that are rendered; trained: how many of those that
    are scored were also trained on."""

    __test__ = False  # pytest takes the name for a test

    name: str
    home: Path
    real: Path
    picks: range
    trained: int


@dataclass(frozen=True)
class Grid:
    """An experiment as settled. given: real frames handed over as history; they are not scored.

    runs: each seed's, the full recipe first; parameters: of each run's generator, by the name of the run.
    """

    out: Path
    dataset: Path
    frames: str | None
    clips: tuple[TestClip, ...]
    test_frames: str | None
    given: int
    runs: tuple[Run, ...]
    parameters: dict[str, int]
    record: dict[str, Any]

    @property
    def base(self) -> Recipe:
        return self.runs[0].settings

    @property
    def seeds(self) -> list[int]:
        return list(dict.fromkeys(run.seed for run in self.runs))

    @property
    def scored(self) -> int:
        """Frames that are scored of every run."""
        return sum(len(clip.picks) - self.given for clip in self.clips)

    def write(self) -> None:
        """Leave the plan in the folder, so that a later call can go on with it and with no other."""
        with whole_file(self.out / RECORD) as temporary:
            temporary.write_text(json.dumps(self.record, indent=1, ensure_ascii=False) + "\n", "utf-8")

    def describe(self) -> str:
        """The plan as a table for people."""
        lines = [*self.facts(), "", "| | Changes | Seed | Steps | Frames seen | Parameters (M) |"]
        lines.append("|---|---|---:|---:|---:|---:|")
        for run in self.runs:
            million = f"{self.parameters[run.name] / 1e6:.2f}"
            cells = (run.variant.name, run.variant.what or "—", run.seed, run.settings.train.steps)
            lines.append("| " + " | ".join(map(str, (*cells, run.frames, million))) + " |")
        return "\n".join(lines)

    def facts(self) -> list[str]:
        """The counts without which no table of results can be judged."""
        seeds, frames = self.seeds, sorted({run.frames for run in self.runs})
        seen = " to ".join(map(str, dict.fromkeys((frames[0], frames[-1]))))
        lines = [
            f"Test clips: {len(self.clips)} ({', '.join(clip.name for clip in self.clips)}). "
            f"Frames scored: {self.scored}, after {self.given} given ones in each clip. "
            f"Training seeds: {len(seeds)} ({', '.join(map(str, seeds))}). "
            f"Frames seen in training: {seen}, equal for all rows of a seed.",
        ]
        if known := sum(clip.trained for clip in self.clips):
            lines.append(f"Beware: {known} of the {self.scored} scored frames were also trained on.")
        return lines


def plan(
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
) -> Grid:
    """Settle an experiment without starting it; the arguments are those of ``ablate``.

    Raises:
        UserError: anything that would stop it later: recipes, keys, clips, sizes, or a folder that holds
            another experiment.
    """
    out, dataset, overrides = Path(out), Path(dataset), list(overrides)
    base = load_recipe(recipe, overrides)
    given = base.model.history if given is None else given
    before = _remembered(out)
    texts = [*before.get("variants", ()), *(PAPER if paper else ()), *vary]
    variants = read_variants(texts)
    seeds = [*before.get("seeds", ()), *seeds] or [base.train.seed]
    runs = make_runs(recipe, overrides, variants, list(dict.fromkeys(seeds)))
    if min(base.data.size) < SMALLEST_SIDE or given < 0:
        raise UserError(
            f"data.size {list(base.data.size)}, --given {given}: give sides of {SMALLEST_SIDE} pixels "
            "or more, and 0 frames or more"
        )
    parameters = _check_data(runs, dataset, frames, Path(test or dataset), test_frames)
    clips = _test_clips(base, dataset, frames, Path(test or dataset), test_frames, given)
    record = {
        "format": FORMAT,
        "recipe": recipe,
        "settings": _settings(base),
        "data": {
            "dataset": dataset.resolve().name,
            "frames": frames or "all",
            "test": Path(test or dataset).resolve().name,
            "test_frames": test_frames or "all",
            "given": given,
            "test clips": {clip.name: len(clip.picks) for clip in clips},
        },
        "variants": [f"{variant.name}: {variant.what}" for variant in variants],
        "seeds": list(dict.fromkeys(seeds)),
    }
    _refuse_another(out, before, record, runs)
    return Grid(out, dataset, frames, tuple(clips), test_frames, given, tuple(runs), parameters, record)


def _settings(base: Recipe) -> dict[str, Any]:
    """The recipe as plain JSON, without what may differ from call to call: the seed is one of a list."""
    plain = json.loads(json.dumps(dataclasses.asdict(base)))
    del plain["train"]["seed"], plain["about"]
    return dict(plain)


def _remembered(out: Path) -> dict[str, Any]:
    """The plan that the folder holds; empty for a new folder."""
    path = out / RECORD
    if not path.exists():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UserError(f"{out}: exists and is no experiment; name another --out")
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] == FORMAT and all(isinstance(found[key], list) for key in ("variants", "seeds")):
            return dict(found)
        raise ValueError("another format")
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read as a plan ({reason}); name another --out") from error


def _refuse_another(out: Path, before: dict[str, Any], record: dict[str, Any], runs: Sequence[Run]) -> None:
    """Rows and seeds may be added; what all rows share may not change, nor a run that is there."""
    for part in ("settings", "data") if before else ():
        old, new = _flat(before.get(part)), _flat(record[part])
        for key in new:
            if old.get(key) != new[key]:
                raise UserError(
                    f"{out}: holds an experiment with {key} {old.get(key)}, not {new[key]}; "
                    "name another --out"
                )
    for run in runs:
        folder = out / "runs" / run.name
        if (folder / "config.yaml").is_file() and load_recipe(str(folder)) != run.settings:
            raise UserError(f"{folder}: holds a run with other settings; give the row another name")


def _flat(values: Any, within: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {within.rstrip("."): values}
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{within}{key}.")
    return flat


def _check_data(
    runs: Sequence[Run], dataset: Path, frames: str | None, test: Path, test_frames: str | None
) -> dict[str, int]:
    """That every run can be trained and tested on these data; the number of parameters of each."""
    parameters, opened = {}, {}
    for run in runs:
        settings = run.settings
        if settings.data not in opened:
            data = opened[settings.data] = open_dataset(dataset, settings, frames)
            SequencePlan(data.clips, settings.data.sequence, run.seed, augmentation(settings))
            condition, target = settings.data.condition, settings.data.target
            tested = Dataset.open(
                test, condition=condition, target=target, frames=test_frames, instances=False
            )
            if tested.schema.labels != data.schema.labels:
                raise UserError(f"{test}: has other classes than {dataset}; give clips of the same classes")
        schema = opened[settings.data].schema
        if settings.model.network == "forecast":
            raise UserError(f"{run.name}: is a forecaster; ablate compares what makes frames")
        with torch.device("meta"):
            network = build_renderer(settings.model, schema.channels, schema.foreground_channels)
        parameters[run.name] = sum(weight.numel() for weight in network.parameters())
    return parameters


def _test_clips(
    base: Recipe, dataset: Path, frames: str | None, test: Path, test_frames: str | None, given: int
) -> list[TestClip]:
    names = {"target": base.data.target, "condition": base.data.condition}
    homes = {clip.home.resolve() for clip in find_clips(dataset, **names)}
    clips: list[TestClip] = []
    for files in find_clips(test, **names):
        real = files.strips[base.data.target].path
        if real.parent != files.home:
            raise UserError(
                f"{test}: is laid out as in 2018; test on clips with {base.data.target}/ in a folder each"
            )
        every = range(len(open_frames(real)))
        picks = every[parse_part(test_frames)]
        if len(picks) <= given:
            raise UserError(
                f"{files.home}: {len(picks)} frames to test on, {given} of them given; take more frames"
            )
        known = every[parse_part(frames)] if files.home.resolve() in homes else range(0)
        trained = len(set(picks[given:]) & set(known))
        clips.append(TestClip(_name(files, clips), files.home, real, picks, trained))
    return clips


def _name(files: ClipFiles, others: Sequence[TestClip]) -> str:
    if any(other.name == files.name for other in others):
        raise UserError(f"{files.home}: another test clip is called {files.name}; rename one of them")
    return files.name
