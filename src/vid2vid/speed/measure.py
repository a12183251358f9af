"""``bench``: conditions from PNGs to an mp4, the plain way and the engine's in turn, at several sizes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from vid2vid.annotators.drawn import DRAWN
from vid2vid.annotators.labels import cityscapes
from vid2vid.conditions import ConditionSchema
from vid2vid.config import load_recipe
from vid2vid.device import pick_device
from vid2vid.errors import UserError
from vid2vid.inference import synthesize
from vid2vid.inference.accelerate import Running, accelerate, warm_up
from vid2vid.inference.engine import Timing
from vid2vid.progress import Progress, silent
from vid2vid.speed.drive import write_drive
from vid2vid.speed.machine import describe
from vid2vid.speed.page import write_bench_page
from vid2vid.speed.usage import Usage, forget_peak, peak_mib, usage_now
from vid2vid.types import Size
from vid2vid.video import make_folder, whole_file
from vid2vid.zoo import Model, load_renderer
from vid2vid.zoo.exported.renderer import ExportedRenderer
from vid2vid.zoo.files import write_json

SAMPLES = 100
"""How often memory, files and threads are looked at in the course of a block."""
TENTHS = 10

SIZES: tuple[Size, ...] = ((256, 128), (512, 256), (1024, 512), (2048, 1024))


def bench(
    model: Model | Path | str | None = None,
    *,
    recipe: str | None = None,
    sizes: Sequence[Size] = SIZES,
    frames: int = 48,
    rounds: int = 3,
    rate: float | None = None,
    alone: bool = False,
    ahead: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    path: str = "auto",
    out: Path | str | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measures how fast a model renders: a drive through the synthetic city from PNGs to an mp4.

    The baseline (float32, the networks as they are, one thing after the other) and the engine take turns in
    one run, so that both find the machine in the same state; the ratio is of neighbours.

    Args:
        model: a model, its folder, a run, or the name of a bundled model.
        recipe: instead of a model: its network, untrained. Label maps then have 35 classes.
        sizes: (width, height) of the frames.
        frames: that are rendered at a time; rounds: how many times each.
        rate: conditions come at so many a second, as from a camera; None: as soon as they are asked for.
        alone: the engine without the baseline.
        ahead: frames that each stage of the engine works ahead; see ``Stages``.
        device, precision, path: of the engine; see ``accelerate``.
        out: a folder for ``bench.json`` and the page ``bench.html``.
        progress: called after every frame.

    Returns:
        Plain data, as in ``bench.json``: the machine, and by size and way frames a second, milliseconds from
        frame to frame ("interval") and from condition to frame ("latency"), the first frame, memory, stages,
        and the course of the last round.

    Raises:
        UserError: no such model or recipe; a model that bench has no conditions for; ``out`` cannot be
            written.
    """
    if (model is None) == (recipe is None):
        raise UserError("bench: give a model, or --recipe NAME, and not both")
    if frames < 2 or rounds < 1:
        raise UserError(f"--frames {frames} --rounds {rounds}: at least 2 frames and 1 round are needed")
    if rate is not None and not 0 < rate <= 1000:
        raise UserError(f"--rate {rate:g}: write a number of frames a second up to 1000")
    where = pick_device(device)
    wanted = untrained(recipe) if recipe is not None else model
    assert wanted is not None
    plain = load_renderer(wanted, where).to(where)
    if plain.architecture.given_flow:
        raise UserError(
            "bench: this model is handed the flow of real frames, and there are none; try another"
        )
    if isinstance(plain.renderer, ExportedRenderer) and not alone:
        raise UserError("bench: an exported model has no plain way to compare with; add --alone")
    if out is not None:
        make_folder(Path(out))
    ways = [_Way("engine", *accelerate(plain, where, precision, path), ahead)]
    if not alone:
        ways.insert(0, _Way("baseline", *accelerate(plain, where, "float32", "plain"), 0))
    told = _Counted(progress, len(sizes) * rounds * len(ways) * frames)
    rows = []
    for size in sizes:
        with TemporaryDirectory(prefix="vid2vid-bench-") as place:
            clip = write_drive(Path(place) / "clip", plain.schema, size, frames)
            job = _Job(clip, size, frames, 1 / rate if rate else 0.0, where, told)
            blocks = job.take_turns(ways, rounds)
        rows.append({"size": f"{size[0]}x{size[1]}", "pixels": size[0] * size[1], **_figures(blocks)})
    report = {
        "machine": describe(),
        "model": recipe or plain.about.get("name") or str(model),
        "parameters": sum(p.numel() for p in plain.renderer.parameters()),
        "running": {way.name: str(way.running) for way in ways},
        "frames": frames,
        "rounds": rounds,
        "conditions a second": rate,
        "ahead": ahead,
        "sizes": rows,
    }
    if out is not None:
        with whole_file(Path(out) / "bench.json") as temporary:
            write_json(temporary, report)
        write_bench_page(report, Path(out))
    return report


def untrained(name: str) -> Model:
    """The network of a recipe with random weights, for 35 classes or three channels."""
    recipe = load_recipe(name)
    torch.manual_seed(0)
    data = recipe.data
    if data.condition == "labels":
        schema = ConditionSchema("labels", "labels", cityscapes(), instances=data.instances)
    else:
        drawn = DRAWN.get(data.condition)
        channels = 3 if drawn is None else drawn.channels
        schema = ConditionSchema("image", data.condition, image_channels=channels)
    return Model.build(recipe.model, schema, data.size, 25, name=f"{name}, untrained")


@dataclass(frozen=True)
class _Way:
    """One way to render."""

    name: str
    model: Model
    running: Running
    ahead: int | None


@dataclass(frozen=True)
class _Block:
    """A number of frames, rendered one way. seconds: until the video was closed; ready: seconds that warming
    up took before; peak: MiB; course: what was held after so many frames."""

    timing: Timing
    seconds: float
    ready: float
    peak: dict[str, float | None]
    course: list[tuple[int, Usage]]

    @property
    def rate(self) -> float:
        return len(self.timing.done) / self.seconds


@dataclass
class _Counted:
    """Progress over all blocks."""

    progress: Progress
    total: int
    done: int = 0

    def __call__(self, note: str) -> None:
        self.done += 1
        self.progress(self.done, self.total, note)


@dataclass(frozen=True)
class _Job:
    """What is rendered at one size. pace: seconds between two conditions."""

    clip: Path
    size: Size
    frames: int
    pace: float
    device: torch.device
    told: _Counted

    def take_turns(self, ways: Sequence[_Way], rounds: int) -> dict[str, list[_Block]]:
        """By way: a block for each round; before the first, what has to be warmed up is."""
        blocks: dict[str, list[_Block]] = {way.name: [] for way in ways}
        for turn in range(rounds):
            for way in ways:
                begun = time.perf_counter()
                if way.running.warms and not turn:
                    warm_up(way.model, self.size)
                blocks[way.name].append(self._block(way, time.perf_counter() - begun))
        return blocks

    def _block(self, way: _Way, ready: float) -> _Block:
        timing, course = Timing(self.pace), []
        every = max(1, self.frames // SAMPLES)

        def progress(done: int, total: int | None = None, note: str = "") -> None:
            if done % every == 0:
                course.append((done, usage_now()))
            self.told(f"{self.size[0]}x{self.size[1]} {way.name}")

        forget_peak(self.device)
        synthesize(
            (way.model, replace(way.running, warms=False)),
            self.clip,
            self.clip.with_name("made.mp4"),
            native=True,
            ahead=way.ahead,
            device=str(self.device),
            timing=timing,
            progress=progress,
        )
        seconds = time.perf_counter() - timing.begun[0]
        return _Block(timing, seconds, ready, peak_mib(self.device), course)


def _figures(blocks: dict[str, list[_Block]]) -> dict[str, Any]:
    """By way its figures; and how many times the baseline's frame rate the engine has, round by round."""
    figures: dict[str, Any] = {name: _way_figures(rounds) for name, rounds in blocks.items()}
    if "baseline" in blocks:
        pairs = zip(blocks["engine"], blocks["baseline"], strict=True)
        ratios = [engine.rate / baseline.rate for engine, baseline in pairs]
        figures |= {"ratio": round(median(ratios), 3), "ratios": [round(one, 3) for one in ratios]}
    return figures


def _way_figures(blocks: list[_Block]) -> dict[str, Any]:
    intervals = np.concatenate([np.diff(block.timing.done) for block in blocks])
    latencies = np.concatenate([np.subtract(block.timing.done, block.timing.begun) for block in blocks])
    last, count = blocks[-1], sum(len(block.timing.done) for block in blocks)
    stages = {
        name: round(1000 * sum(block.timing.stages.get(name, 0.0) for block in blocks) / count, 3)
        for name in last.timing.stages
    }
    peaks = {
        kind: max((block.peak[kind] or 0.0 for block in blocks), default=0.0) or None for kind in last.peak
    }
    return {
        "frames a second": round(median(block.rate for block in blocks), 3),
        "interval ms": _spread(intervals),
        "latency ms": _spread(latencies),
        "first frame s": round(blocks[0].timing.done[0] - blocks[0].timing.begun[0], 4),
        "warm-up s": round(blocks[0].ready, 2),
        "peak MiB": peaks,
        "stages ms": stages,
        "course": _course(last),
    }


def _spread(seconds: np.ndarray) -> dict[str, float]:
    """Median and 99th percentile, in milliseconds."""
    return {
        "median": round(float(np.median(seconds)) * 1000, 3),
        "p99": round(float(np.percentile(seconds, 99)) * 1000, 3),
    }


def _course(block: _Block) -> dict[str, Any]:
    """Frames a second by tenths of the block; memory, open files and threads after so many frames."""
    done = np.asarray(block.timing.done)
    edges = np.linspace(0, len(done) - 1, TENTHS + 1)
    times = np.interp(edges, np.arange(len(done)), done)  # of a short block, tenths end within a frame
    rates = np.diff(edges) / np.diff(times)
    return {
        "frames a second by tenths": rates.round(3).tolist(),
        "frame": [number for number, _ in block.course],
        "resident MiB": [usage.resident for _, usage in block.course],
        "open files": [usage.files for _, usage in block.course],
        "threads": [usage.threads for _, usage in block.course],
    }
