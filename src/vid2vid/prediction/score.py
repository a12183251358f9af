"""``score``: predictions of clips whose future is known, held against it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vid2vid.conditions import ConditionSchema, LabelSchema, check_alike, check_classes
from vid2vid.data import Dataset
from vid2vid.data.dataset import Clip, ClipFrames
from vid2vid.data.layout import find_clips
from vid2vid.device import pick_device
from vid2vid.errors import UserError
from vid2vid.evaluation.instruments import Instruments
from vid2vid.evaluation.metrics import MSSSIM, SMALLEST_SIDE, FrameMetric
from vid2vid.evaluation.notes import machine, versions
from vid2vid.evaluation.report import write_report
from vid2vid.evaluation.scoring import describe
from vid2vid.flow import FlowEstimator
from vid2vid.inference.accelerate import accelerate
from vid2vid.prediction.baselines import copy_last, inertia
from vid2vid.prediction.pair import Pair, open_forecaster
from vid2vid.prediction.past import FRAMES, check_observed, encoded
from vid2vid.prediction.protocol import Judge, Start, Tally, horizons, starts
from vid2vid.prediction.rollout import Forecast, Future, draw_noise, render
from vid2vid.prediction.table import REAL, Strip
from vid2vid.progress import Progress, silent
from vid2vid.types import Size, to_bytes
from vid2vid.video import make_folder, resize_picture
from vid2vid.zoo import Model

FORMAT = 1
TAKEN = (REAL, "forecast", "copy", "flow", "inertia")
Tallies = dict[str, tuple[type[FrameMetric], Tally]]
Predictor = Callable[[ClipFrames, Clip, Start], Iterator[Future]]
"""Observed frames to a future; also told which clip and where, for those who know the truth."""


def score(
    forecaster: Model | Path | str | None,
    renderer: Model | Path | str | None,
    clips: Path | str,
    out: Path | str,
    *,
    beside: Sequence[str] = (),
    observed: int = 4,
    frames: int = 10,
    targets: str | None = None,
    every: int = 1,
    size: Size | None = None,
    flow: str = "dis-fine",
    lpips: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    path: str = "auto",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Predicts parts of clips from those before them, from many starts, and measures how well.

    Beside the forecaster stand baselines (the last frame copied; everything moving on, at a constant speed in
    the picture or in space) and, where there is a renderer, what it makes of the real label maps to come.

    Args:
        forecaster: None: baselines alone. renderer: as for ``predict``.
        clips: a clip, or a dataset; with label maps or pictures, unless only frames are compared.
        out: folder for ``report.json`` and pictures of one start, ``frames.png`` and ``labels.png``.
        beside: further forecasters, NAME=FOLDER each; those that hold no renderer share the first one's.
        observed: frames seen before each prediction.
        frames: predicted ones.
        targets: the part of each clip that is predicted, such as ``57:``; observed frames may lie before it.
        every: frames from one start to the next.
        size: (width, height) that is scored at; default: that of the renderer, else of the forecaster, else
            of the clips.
        flow: estimator of the flow that forecasts and baselines go on with.
        lpips: as for ``evaluate``.
        device, precision, path: as for ``predict``.
        progress: counts predictions.

    Returns:
        What ``report.json`` holds: "settings", "horizons", "starts" by horizon, "metrics", and "systems",
        each with "figures" by metric and horizon: "running", of the first k frames, and "frame", of frame
        t+k.

    Raises:
        UserError: as for ``predict``; no clip is long enough.
    """
    check_observed(observed)
    where = pick_device(device)
    pair = Pair.open(forecaster, renderer, where, precision, path)
    named = {"forecast": pair.forecaster, **dict(_named(word, pair, where) for word in beside)}
    forecasters = {name: model for name, model in named.items() if model is not None}
    dataset = _open(clips, [*forecasters.values(), *filter(None, [pair.renderer])])
    found = starts([len(clip) for clip in dataset.clips], observed, frames, targets, every)
    scored = _scored_size(pair, dataset, size)
    instruments = Instruments.open(flow, lpips, None, (), where)
    renderers = {name: _renderer_of(model, pair, precision, path) for name, model in forecasters.items()}
    forecasts = {
        name: Forecast(model, renderers[name], scored, where, instruments.estimator)
        for name, model in forecasters.items()
    }
    systems = _systems(pair, forecasts, dataset, scored, instruments)
    make_folder(Path(out))
    tallies, strip = _measured(systems, dataset, found, observed, scored, instruments, progress)
    report = {
        "format": FORMAT,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "settings": {
            "clips": str(clips),
            "observed": observed,
            "frames": frames,
            "targets": targets,
            "every": every,
            "size": list(scored),
            "flow": flow,
            "lpips": instruments.lpips_name,
        },
        **_figures(tallies, horizons(found)),
        "notes": _notes(scored, dataset, instruments),
        "versions": versions(),
        "machine": machine(),
    }
    write_report(report, Path(out) / "report.json")
    strip.write(Path(out))
    return report


def _named(word: str, pair: Pair, device: torch.device) -> tuple[str, Model]:
    """A further forecaster, NAME=FOLDER."""
    name, equals, folder = word.partition("=")
    if not (name and equals and folder) or name in TAKEN or name.startswith("true "):
        raise UserError(f"--beside {word}: write NAME=FOLDER, with another name than {', '.join(TAKEN)}")
    model = open_forecaster(folder, device)
    if pair.renderer is not None and model.shown_by is None and model.schema.name != FRAMES:
        check_alike(model.schema, pair.renderer.schema, folder)
    return name, model


def _renderer_of(model: Model, pair: Pair, precision: str, path: str) -> Model | None:
    """Who shows what a forecaster says: the renderer it has learnt with, else that of the pair."""
    if model.schema.name == FRAMES:
        return None
    if model is pair.forecaster or model.shown_by is None:
        return pair.renderer
    return accelerate(model.shown_by, pair.device, precision, path)[0]


def _open(clips: Path | str, models: Sequence[Model]) -> Dataset:
    """The clips, with what the models want to see; without label maps where nobody wants them and there are
    none."""
    known = [model.schema for model in models if model.schema.name != FRAMES]
    if pictured := [schema for schema in known if schema.labels is None]:
        dataset = Dataset.open(clips, condition=pictured[0].name)
        for schema in known:
            check_alike(schema, dataset.schema, str(clips))
        return dataset
    labelled = all("labels" in files.strips for files in find_clips(clips))
    if known and not labelled:
        raise UserError(
            f"{clips}: not every clip has label maps; make them: vid2vid prepare {clips} --annotate "
            "labels:NETWORK"
        )
    dataset = Dataset.open(
        clips,
        condition="labels" if labelled else "frames",
        instances=any(schema.instances for schema in known),
    )
    for schema in known:
        assert schema.labels is not None
        assert dataset.schema.labels is not None
        check_classes(schema.labels, dataset.schema.labels, str(clips))
    return dataset


def _scored_size(pair: Pair, dataset: Dataset, size: Size | None) -> Size:
    native = {clip.native_size for clip in dataset.clips}
    found = pair.size(size)
    if found is None and len(native) > 1:
        raise UserError(f"{dataset.name}: clips of several sizes; choose one with --size WIDTHxHEIGHT")
    found = found or native.pop()
    if min(found) < SMALLEST_SIDE:
        raise UserError(
            f"--size {found[0]}x{found[1]}: too small to score; use {SMALLEST_SIDE} or more a side"
        )
    return found


def _systems(
    pair: Pair, forecasts: Mapping[str, Forecast], dataset: Dataset, size: Size, instruments: Instruments
) -> dict[str, Predictor]:
    """By name, in the order of the table: forecasts, baselines, the real labels rendered."""
    schema = dataset.schema if dataset.schema.labels is not None else None
    systems: dict[str, Predictor] = {}
    for name, forecast in forecasts.items():
        systems[name] = partial(_most_likely, forecast)
    systems["copy"] = lambda seen, *_: copy_last(seen, schema, size)
    for name, in_space in (("flow", False), ("inertia", True)):
        systems[name] = partial(_moving_on, schema, size, instruments.estimator, in_space)
    if pair.renderer is not None and not pair.renderer.architecture.given_flow:
        systems[f"true {pair.renderer.schema.name}"] = partial(
            _rendered_truth, pair.renderer, size, pair.device
        )
    return systems


def _moving_on(
    schema: ConditionSchema | None,
    size: Size,
    estimator: FlowEstimator,
    in_space: bool,
    seen: ClipFrames,
    clip: Clip,
    start: Start,
) -> Iterator[Future]:
    return inertia(seen, schema, size, estimator, in_space)


def _most_likely(forecast: Forecast, seen: ClipFrames, clip: Clip, start: Start) -> Iterator[Future]:
    return forecast(seen, draw_noise(forecast.forecaster, 1, 0, forecast.device))


def _rendered_truth(
    model: Model, size: Size, device: torch.device, seen: ClipFrames, clip: Clip, start: Start
) -> Iterator[Future]:
    """The renderer's frames of the real label maps to come."""
    real = (clip.read(t, t + 1) for t in range(start.first, start.stop))
    maps = ((encoded(one, model.schema, size, device), None) for one in real)
    for frame in render(model, seen, size, device, maps):
        yield Future(None, frame)


def _measured(
    systems: Mapping[str, Predictor],
    dataset: Dataset,
    found: Sequence[Start],
    observed: int,
    size: Size,
    instruments: Instruments,
    progress: Progress,
) -> tuple[dict[str, Tallies], Strip]:
    """Every system from every start: its figures, and pictures of the first of the longest predictions."""
    labels = dataset.schema.labels
    tallies: dict[str, Tallies] = {name: {} for name in systems}
    strip = Strip(labels, horizons(found))
    shown = max(found, key=lambda start: start.stop - start.first)
    for number, start in enumerate(found, 1):
        clip = dataset.clips[start.clip]
        seen = clip.read(start.first - observed, start.first)
        if start == shown:
            for t in range(start.first, start.stop):
                strip.add(REAL, t - start.first + 1, *_real(clip, t, size, labels is not None))
        for name, system in systems.items():
            judge = Judge(labels, instruments.lpips, instruments.estimator)
            for t, future in zip(range(start.first, start.stop), system(seen, clip, start), strict=False):
                made = _made(future, labels)
                judge.see(_real(clip, t, size, labels is not None), *made)
                if start == shown:
                    strip.add(name, t - start.first + 1, *made)
            for key, (kind, terms) in judge.terms.items():
                tallies[name].setdefault(key, (kind, Tally()))[1].add(terms)
        progress(number, len(found), clip.name)
    return tallies, strip


def _real(clip: Clip, t: int, size: Size, labelled: bool) -> tuple[np.ndarray, np.ndarray | None]:
    labels = resize_picture(clip.labels(t), size, labels=True) if labelled else None
    return resize_picture(clip.frame(t), size), labels


def _made(future: Future, labels: LabelSchema | None) -> tuple[np.ndarray | None, np.ndarray | None]:
    picture = None if future.frame is None else to_bytes(future.frame)[0].cpu().numpy()
    if future.condition is None or labels is None:
        return picture, None
    return picture, future.condition[0, : len(labels)].argmax(0).cpu().numpy()


def _figures(tallies: Mapping[str, Tallies], ahead: list[int]) -> dict[str, Any]:
    kinds: dict[str, type[FrameMetric]] = {}
    for tally in tallies.values():
        kinds.update({key: kind for key, (kind, _) in tally.items()})
    systems = [
        {
            "name": name,
            "figures": {
                key: {str(k): tally.figures(kind, k) for k in ahead} for key, (kind, tally) in found.items()
            },
        }
        for name, found in tallies.items()
    ]
    counts = next(tally for found in tallies.values() for _, tally in found.values()).counts
    return {
        "horizons": ahead,
        "starts": {str(k): counts[k - 1] for k in ahead},
        "metrics": [describe(kind) for kind in kinds.values()],
        "systems": systems,
    }


def _notes(size: Size, dataset: Dataset, instruments: Instruments) -> list[str]:
    """What a reader has to know before comparing these numbers with others."""
    notes = [
        "Running figures are over the first k predicted frames of every start that has so many; MS-SSIM here "
        "is 0 to 1, on grey, where published tables have it times 100."
    ]
    if (levels := MSSSIM.levels(*size)) < len(MSSSIM.WEIGHTS):
        notes.append(f"MS-SSIM uses {levels} scales instead of {len(MSSSIM.WEIGHTS)}: the frames are small.")
    if instruments.lpips is None:
        notes.append("LPIPS was not measured: no weights of AlexNet at hand (--lpips).")
    for clip in dataset.clips:
        if clip.native_size != size:
            (a, b), (c, d) = clip.native_size, size
            notes.append(f"{clip.name} was resized from {a}x{b} to {c}x{d}.")
    return notes
