"""`evaluate`: real and fake clips in, numbers and a page out. One pass, constant memory."""

from __future__ import annotations

import datetime
import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cv2
import numpy as np

from vid2vid.errors import UserError
from vid2vid.evaluation.metrics import METRICS, MSSSIM, PSNR, SMALLEST_SIDE, Context
from vid2vid.evaluation.motion import reference_motion
from vid2vid.evaluation.page import write_page
from vid2vid.evaluation.report import FORMAT, write_report
from vid2vid.evaluation.sources import Clip, Matching, match, open_clip, parse_fake
from vid2vid.evaluation.systems import COPIED, System, control_pictures, control_systems
from vid2vid.evaluation.views import SideBySide, Views
from vid2vid.flow import FlowEstimator, open_estimator
from vid2vid.progress import Progress, silent
from vid2vid.types import Size
from vid2vid.video.files import make_folder


def evaluate(
    real: Path | str,
    fakes: Sequence[Path | str],
    out: Path | str,
    *,
    size: Size | None = None,
    frames: str | None = None,
    flow: str = "dis",
    controls: bool = False,
    given: int = 0,
    window: int = 100,
    progress: Progress = silent,
) -> dict:
    """Compare synthesised clips with the real one; write numbers and a web page, and return the numbers.

    Each clip is a video file, a folder of pictures, or a clip folder with `frames/`. Frames are matched by
    file stem where both are folders of pictures (a fake may then hold a part of the frames), else by index.

    Args:
        real: the real clip.
        fakes: paths, or "NAME=PATH" to choose the name in the report.
        out: folder to write `report.json`, `index.html` and `side_by_side.mp4` to; made if need be.
        size: (width, height) at which all clips are scored; default: that of the fakes, which have to agree.
        frames: a slice "START:STOP[:STEP]" of the real clip; default: all, or those the fakes hold.
        flow: estimator of the optical flow, as for `vid2vid.flow.open_estimator`.
        controls: add rows that need no system at all: the last given real frame (or else the first) copied,
            scored from the next one on, and each fake blurred. A coherence figure that a control beats means
            little.
        given: number of leading frames that were handed to the systems rather than made by them: they are
            shown but not scored. The step from the last given frame to the first made one is scored.
        window: frames per window of the drift figures.
        progress: called once a frame.

    Returns:
        What `report.json` holds: "settings", "real", "frames", "metrics" (key, label, unit, "better": higher,
        lower or one, and a note), "systems" (the real clip first; each with "summary", per-frame "curves",
        where None stands for "not scored", and "drift"), "notes", "versions", "machine".

    Raises:
        UserError: clips that cannot be read or do not fit together (before anything is written), or a folder
            that cannot be written to.
    """
    began = time.monotonic()
    if given < 0 or window < 1:
        raise UserError(
            f"--given {given}, --window {window}: give 0 or more given frames and 1 or more per window"
        )
    comparison = _prepare(Path(real), fakes, size, frames, given, window, controls)
    estimator = open_estimator(flow)
    with _folder(Path(out)) as folder:
        views = _run(comparison, estimator, folder / "side_by_side.mp4", progress)
        settings = {"frames": frames, "flow": flow, "controls": controls, "given": given, "window": window}
        report = _report(comparison, settings, began)
        write_report(report, folder / "report.json")
        write_page(report, views, folder / "index.html")
    return report


@dataclass(frozen=True)
class _Comparison:
    """Everything settled before the first frame is read. systems: the real clip, the fakes, the controls."""

    real: Clip
    fakes: list[Clip]
    matching: Matching
    size: Size
    systems: list[System]
    controls: bool

    @property
    def rate(self) -> Fraction:
        """Frames per second of the real clip, or where that is a folder, of a video among the fakes."""
        clips = (self.real, *self.fakes)
        return next((clip for clip in clips if clip.names is None), self.real).source.info.rate


def _prepare(
    real_path: Path,
    specs: Sequence[Path | str],
    size: Size | None,
    frames: str | None,
    given: int,
    window: int,
    controls: bool,
) -> _Comparison:
    real, fakes = _open_all(real_path, specs)
    matching = match(real, fakes, frames)
    if len(matching) <= given:
        raise UserError(
            f"--given {given}: leaves none of the {len(matching)} frames to score; give a smaller number"
        )
    size = size or _common_size(fakes)
    if min(size) < SMALLEST_SIDE:
        raise UserError(
            f"--size {size[0]}x{size[1]}: too small to score; use {SMALLEST_SIDE} pixels or more a side"
        )
    made = [System(clip.name, "fake", str(clip.path), given, window) for clip in fakes]
    systems = [System(real.name, "real", str(real.path), given, window), *made]
    if controls:
        systems += control_systems(made, window)
    return _Comparison(real, fakes, matching, size, systems, controls)


def _run(comparison: _Comparison, estimator: FlowEstimator, video_path: Path, progress: Progress) -> Views:
    """The one pass over the frames: measures them, writes the video, and keeps what the page shows."""
    total, names = len(comparison.matching), [system.name for system in comparison.systems]
    views = Views(names, total)
    with SideBySide(video_path, comparison.rate, names, comparison.size) as video:
        for index, row in enumerate(_score(comparison.systems, _pictures(comparison), estimator)):
            views.add(index, row)
            video.write(row)
            progress(index + 1, total, "scoring")
    return views


def _report(comparison: _Comparison, settings: dict, began: float) -> dict:
    real, matching = comparison.real, comparison.matching
    packages = ("vid2vid", "torch", "numpy", "opencv-python-headless", "av")
    return {
        "format": FORMAT,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - began, 1),
        "settings": {**settings, "size": list(comparison.size)},
        "real": {"path": str(real.path), "size": list(real.size), "rate": str(comparison.rate)},
        "frames": {"count": len(matching), "of": len(real.source), "names": matching.names},
        "metrics": [_describe(metric) for metric in METRICS],
        "systems": [system.report() for system in comparison.systems],
        "notes": _notes(comparison),
        "versions": {name: _version(name) for name in packages},
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "threads": cv2.getNumThreads(),
            "python": platform.python_version(),
        },
    }


def _open_all(real: Path, fakes: Sequence[Path | str]) -> tuple[Clip, list[Clip]]:
    if not fakes:
        raise UserError(f"{real}: nothing to compare it with; name one or more fakes")
    real_clip = open_clip(real, "real clip")
    clips = [open_clip(path, name) for name, path in map(parse_fake, fakes)]
    names = [clip.name for clip in clips]
    if twice := [
        clip for clip in clips if names.count(clip.name) > 1 or clip.name in (COPIED, real_clip.name)
    ]:
        raise UserError(
            f"{twice[-1].path}: the name {twice[-1].name!r} is taken; name it as NAME={twice[-1].path}"
        )
    return real_clip, clips


def _common_size(fakes: Sequence[Clip]) -> Size:
    first = fakes[0]
    for fake in fakes[1:]:
        if fake.size != first.size:
            (a, b), (c, d) = fake.size, first.size
            raise UserError(
                f"{fake.path}: is {a}x{b} but {first.path} is {c}x{d}; choose one with --size WIDTHxHEIGHT"
            )
    return first.size


def _pictures(comparison: _Comparison) -> Iterator[list[np.ndarray]]:
    """Per frame: the picture of every system, the real one first."""
    real, matching, size = comparison.real, comparison.matching, comparison.size
    readers = [
        fake.read(indices, size) for fake, indices in zip(comparison.fakes, matching.fakes, strict=True)
    ]
    given = max(1, comparison.systems[0].given)
    copied: np.ndarray | None = None
    for index, (picture, *made) in enumerate(zip(real.read(matching.real, size), *readers, strict=True)):
        copied = picture if copied is None or index < given else copied
        yield [picture, *made, *(control_pictures(copied, made) if comparison.controls else ())]


def _score(
    systems: Sequence[System], pictures: Iterator[list[np.ndarray]], estimator: FlowEstimator
) -> Iterator[list[np.ndarray]]:
    """Feed every system frame by frame; yields the pictures once they have been measured."""
    before: list[np.ndarray] = []
    for index, row in enumerate(pictures):
        motion = reference_motion(row[0], before[0], estimator) if before else None
        for place, system in enumerate(systems):
            context = Context(
                estimator=estimator,
                motion=motion,
                previous_real=before[0] if before else None,
                previous_fake=before[place] if before else None,
                given=index < system.given,
            )
            system.update(row[0], row[place], context)
        yield row
        before = row


def _describe(metric: type) -> dict[str, str | int]:
    keys = ("key", "label", "unit", "better", "decimals")
    return {**{key: getattr(metric, key) for key in keys}, "note": " ".join((metric.__doc__ or "").split())}


def _notes(comparison: _Comparison) -> list[str]:
    """What a reader has to know before comparing these numbers with others."""
    real, size, systems = comparison.real, comparison.size, comparison.systems
    notes = []
    for clip in (real, *comparison.fakes):
        if clip.size != size:
            (a, b), (c, d) = clip.size, size
            notes.append(f"{clip.name} was resized from {a}x{b} to {c}x{d}.")
    if len(comparison.matching) < len(real.source):
        notes.append(f"{len(comparison.matching)} of the {len(real.source)} real frames were compared.")
    if systems[0].given:
        notes.append(f"Leading frames given to every system, and not scored: {systems[0].given}.")
    elif comparison.controls:
        notes.append(f"“{COPIED}” is scored from the second frame on: its first is the real one.")
    if (levels := MSSSIM.levels(*size)) < len(MSSSIM.WEIGHTS):
        notes.append(f"MS-SSIM uses {levels} scales instead of {len(MSSSIM.WEIGHTS)}: the frames are small.")
    for system in systems:
        curve = next((metric.curve for metric in system.metrics if isinstance(metric, PSNR)), [])
        if equal := sum(value is not None and value >= PSNR.CAP - 0.01 for value in curve):
            notes.append(
                f"{system.name}: {equal} frames equal the real ones; each counts {PSNR.CAP:.1f} dB in PSNR."
            )
    return notes


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@contextmanager
def _folder(path: Path) -> Iterator[Path]:
    """The folder to write to; taken away again when it was made here and the work failed before writing."""
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: is a file; name a folder for the report")
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    make_folder(path)
    try:
        yield path
    finally:
        for folder in missing:
            with suppress(OSError):  # not empty: it holds what was written
                folder.rmdir()
