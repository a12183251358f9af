"""What a training will do, known before its first step: its stages, their memory and their time."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from vid2vid.config import ModelConfig, Recipe, load_recipe
from vid2vid.data.sampling import SequencePlan
from vid2vid.device import pick_device
from vid2vid.training.budget import foretold, rolled_frames
from vid2vid.training.footage import augmentation, keep_out, open_dataset
from vid2vid.training.loop import check_folder
from vid2vid.training.partner import partner
from vid2vid.training.schedule import Stage, lengths, rate_at, stage_at
from vid2vid.types import Size
from vid2vid.zoo.folder import load_renderer
from vid2vid.zoo.footprint import Rehearsal

Rehearse = Callable[[Size, Stage, torch.device], Rehearsal]
"""A step on pictures of that size, in that stage."""

PATIENCE = 8.0
"""Seconds a rehearsed step may take: that of a larger picture is foretold."""
LEAST_SIDE = 32
"""Pixels a side of the smallest picture rehearsed."""


@dataclass(frozen=True)
class Stretch:
    """Steps ``first`` ... ``stop`` - 1, at which one stage holds.

    rates: factor on the learning rates at the first and the last of them. frames: made and judged, over the
    whole batch. rolled: made before those and not learnt.
    """

    stage: Stage
    first: int
    stop: int
    rates: tuple[float, float]
    frames: int
    rolled: int


@dataclass(frozen=True)
class Cost:
    """What a stretch costs. memory: bytes, of float32. seconds: without reading, optimisers, validation and
    sample videos; None where the device has not so much memory."""

    stretch: Stretch
    memory: int
    seconds: float | None


@dataclass(frozen=True)
class Plan:
    """A training as settled. rehearsed: (width, height) of the picture whose step was timed, if any was."""

    settings: Recipe
    clips: tuple[tuple[str, int], ...]
    costs: tuple[Cost, ...]
    device: torch.device
    rehearsed: Size | None


def plan(
    dataset: Path | str,
    recipe: str,
    out: Path | str,
    overrides: Iterable[str] = (),
    *,
    frames: str | None = None,
    validate_on: str | None = None,
    renderer: Path | str | None = None,
    start_from: Path | str | None = None,
    device: str = "auto",
) -> Plan:
    """Settles a training without starting it, and writes nothing; the arguments are those of ``train``.

    Memory is counted on tensors that have none. Time is that of a step on noise, on pictures that grow
    until it takes a few seconds, carried on to the full size; from stage to stage by the operations counted.

    Raises:
        UserError: the dataset, the recipe or the run does not fit; a clip is shorter than a sequence will be.
    """
    settings = load_recipe(recipe, overrides)
    check_folder(Path(out), settings)
    data = open_dataset(dataset, settings, frames)
    if validate_on is not None:
        data, _ = keep_out(validate_on, dataset, settings, data)
    SequencePlan(data.clips, lengths(settings.data), settings.train.seed, augmentation(settings))
    folder = partner(settings, recipe, renderer, start_from)
    shown_by = None if folder is None else load_renderer(folder).architecture
    place = pick_device(device)
    rehearsal = partial(
        _rehearsal, settings, (data.schema.channels, data.schema.foreground_channels), shown_by
    )
    costs, rehearsed = _costs(settings, rehearsal, place)
    clips = tuple((clip.name, len(clip)) for clip in data.clips)
    return Plan(settings, clips, costs, place, rehearsed)


def stages(recipe: Recipe) -> list[Stretch]:
    """The stages of a training, in their order: every step lies in one of them. Where a step is skipped, all
    that depends on the number of a sequence comes so much sooner."""

    train = recipe.train
    turns = {math.ceil(share * train.steps) for share in (train.decay_from, train.finest_alone)}
    begun: list[tuple[Stage, int]] = []
    made, rolled = [], []  # of each stage
    last = -1
    for step, (sequence, frames) in enumerate(islice(foretold(recipe), train.steps)):
        if sequence != last or step in turns:
            stage = stage_at(step, sequence, recipe)
            if not begun or begun[-1][0] != stage:
                begun.append((stage, step))
                made.append(0)
                rolled.append(0)
        if sequence != last:
            rolled[-1] += rolled_frames(recipe, sequence) * recipe.data.batch
        made[-1] += frames
        last = sequence
    stops = [*(first for _, first in begun[1:]), train.steps]
    return [
        Stretch(stage, first, stop, (rate_at(first, train), rate_at(stop - 1, train)), *counts)
        for (stage, first), stop, *counts in zip(begun, stops, made, rolled, strict=True)
    ]


def _costs(recipe: Recipe, rehearse: Rehearse, device: torch.device) -> tuple[tuple[Cost, ...], Size | None]:
    stretches, full = stages(recipe), recipe.data.crop or recipe.data.size
    meta = torch.device("meta")
    kinds = [replace(stretch.stage, length=0, decays=False) for stretch in stretches]
    demands = {kind: _demand(rehearse(full, kind, meta)) for kind in dict.fromkeys(kinds)}
    dearest = max(demands, key=lambda kind: demands[kind])
    needed, most = demands[dearest]
    seconds, rehearsed = None, None
    if needed < _memory(device):
        seconds, rehearsed = _step_time(rehearse, full, dearest, device)
    costs = []
    for stretch, kind in zip(stretches, kinds, strict=True):
        memory, operations = demands[kind]
        # Of what a frame costs that is learnt, a third is to make it; checkpointing makes it twice.
        frames = stretch.frames * (4 / 3 if recipe.train.checkpointing else 1) + stretch.rolled / 3
        steps = frames / (recipe.data.batch * recipe.train.chunk)
        costs.append(Cost(stretch, memory, None if seconds is None else steps * seconds * operations / most))
    return tuple(costs), rehearsed


def _step_time(rehearse: Rehearse, full: Size, stage: Stage, device: torch.device) -> tuple[float, Size]:
    """Seconds of a step, and the largest picture rehearsed for it: ever larger ones, until it takes long;
    from there on time grows with the pixels as it did between the last two."""
    halvings = 0
    while min(full) >> (halvings + 1) >= LEAST_SIDE:
        halvings += 1
    share, before, growth = 0.0, 0.0, 0.0
    while True:
        size = full[0] >> halvings, full[1] >> halvings
        step = rehearse(size, stage, device)
        seconds = _seconds(step, device)
        if seconds <= PATIENCE:
            seconds = _seconds(step, device)  # the first looks for algorithms and memory
        larger = size[0] * size[1] / (full[0] * full[1])
        growth = (seconds - before) / (larger - share)
        if not halvings or 4 * seconds > PATIENCE:
            # Noise may make a small picture look dearer than a larger one.
            return max(seconds, seconds + (1 - larger) * growth), size
        share, before = larger, seconds
        halvings -= 1


def _seconds(step: Rehearsal, device: torch.device) -> float:
    begun = time.perf_counter()
    _differentiate(step)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begun


def _demand(step: Rehearsal) -> tuple[int, int]:
    """Bytes, and operations of convolutions and matrix products (a multiply-add counts as two), on "meta"."""
    memory = step.memory()
    with FlopCounterMode(display=False) as counter:
        _differentiate(step)
    return memory, counter.get_total_flops()


def _differentiate(step: Rehearsal) -> None:
    """Both sides, as ``Trainer`` does."""
    losses = step.forward()
    judges, learners = (
        [weight for weight in side.parameters() if weight.requires_grad]
        for side in (step.objective, step.renderer)
    )
    if losses.discriminator:
        loss = torch.stack(list(losses.discriminator.values())).sum()
        loss.backward(inputs=judges, retain_graph=True)
    torch.stack(list(losses.generator.values())).sum().backward(inputs=learners)


def _rehearsal(
    recipe: Recipe,
    schema: tuple[int, tuple[int, ...]],
    shown_by: ModelConfig | None,
    size: Size,
    stage: Stage,
    device: torch.device,
) -> Rehearsal:
    return Rehearsal.build(
        recipe,
        schema,
        size,
        device,
        backprop=stage.backprop,
        temporal_scales=stage.temporal_scales,
        finest_alone=stage.finest_alone,
        shown_by=shown_by,
    )


def _memory(device: torch.device) -> int:
    """Bytes of the device; of a CPU, those of the machine."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
