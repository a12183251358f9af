"""`evaluate`: real and fake clips in, numbers and a page out. One pass, constant memory."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vid2vid.data import Dataset
from vid2vid.device import pick_device
from vid2vid.errors import UserError
from vid2vid.evaluation.comparison import Comparison, common_size, prepare
from vid2vid.evaluation.distribution import Distributions
from vid2vid.evaluation.diversity import Diversity
from vid2vid.evaluation.feature_drift import FeatureDrift
from vid2vid.evaluation.instruments import Instruments
from vid2vid.evaluation.metrics import Context, FrameMetric
from vid2vid.evaluation.notes import bootstrap_settings, machine, notes_on, versions
from vid2vid.evaluation.page import write_page
from vid2vid.evaluation.perceptual import Activations
from vid2vid.evaluation.pooling import pooled
from vid2vid.evaluation.protocols import open_protocol
from vid2vid.evaluation.report import FORMAT, write_csv, write_report
from vid2vid.evaluation.segmenter import InClassesOf, fit_segmenter
from vid2vid.evaluation.sources import Pair, own_name, pair_clips, parse_fake
from vid2vid.evaluation.systems import control_pictures
from vid2vid.evaluation.truth import Truth
from vid2vid.evaluation.views import SideBySide, Views
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
    protocol: str | None = None,
    flow: str = "dis",
    lpips: str = "auto",
    features: Sequence[str] = (),
    stride: int | None = None,
    segmenter: Path | str | None = None,
    fit: Path | str | None = None,
    fit_frames: str | None = None,
    controls: bool = False,
    styles: bool = False,
    given: int = 0,
    window: int = 100,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Compare synthesised clips with the real ones; write numbers and a web page, and return the numbers.

    Each clip is a video file, a folder of pictures, or a clip folder with `frames/`; or all are folders of
    clips with the same names. Frames are matched by file stem where both are folders of pictures (a fake may
    then hold a part of the frames), else by index.

    Args:
        real: the real clip, or a folder of them.
        fakes: paths, or "NAME=PATH" to choose the name in the report.
        out: folder to write `report.json`, `report.csv`, `index.html` and the videos to; made if need be.
        size: (width, height) at which all clips are scored; default: that of the fakes, which have to agree.
        frames: a slice "START:STOP[:STEP]" of each real clip; default: all, or those the fakes hold.
        protocol: a benchmark of the field, which fixes sizes, frames and averaging; see ``protocols``.
        flow: estimator of the optical flow, as for `vid2vid.flow.open_estimator`; or "exact": the flow files
            of the real clip, with their occlusions.
        lpips: "alex", "vgg", either with ":FILE", "none"; "auto" takes AlexNet where its weights are at hand.
        features: networks for distances between distributions (FID, FVD, KID), as for
            ``features.open_features``.
        stride: frames between the starts of their windows; default: windows do not overlap.
        segmenter: a folder written by `fit`, or "hub:NAME"; finds the classes of the real clips' label maps
            again.
        fit: train such a segmenter on this dataset first and write it to `out/segmenter`.
        fit_frames: the part of its clips to learn from.
        controls: add rows that need no system at all: the last given real frame (or else the first) copied,
            scored from the next one on, and each fake blurred. A coherence figure that a control beats means
            little.
        styles: the fakes are styles of one model: how far they lie apart is measured too.
        given: number of leading frames that were handed to the systems rather than made by them: they are
            shown but not scored. The step from the last given frame to the first made one is scored.
        window: frames per window of the drift figures.
        seed: of what is drawn: bootstrap, subsets of KID.
        device: auto, cpu, cuda, cuda:1, mps: where networks run.
        progress: called once a frame.

    Returns:
        What `report.json` holds: "settings", "metrics" (key, label, unit, "better": higher, lower or one, and
        a note), "systems" (the real clip first; each with "summary", "interval", "difference" to the first
        fake and "distribution"), "clips" (each with its "frames" and "systems": "summary", per-frame
        "curves", where None stands for "not scored", and "drift"), "diversity", "protocol", "notes", "
        ""versions", "machine".

    Raises:
        UserError: clips that cannot be read or do not fit together (before anything is written), or a folder
            that cannot be written to.
    """
    began = time.monotonic()
    rules = open_protocol(protocol) if protocol else None
    if rules is not None:
        size, given = rules.settle(size, given)
    where = pick_device(device)
    instruments = Instruments.open(flow, lpips, segmenter, features, where)
    asked = partial(prepare, size=size, frames=frames, given=given, window=window, controls=controls)
    comparisons = _lay_out(Path(real), fakes, asked)
    labelled = segmenter is not None or fit is not None
    truths = [Truth(c.real, c.matching.real, c.size, instruments, labelled) for c in comparisons]
    lesson = _lesson(fit, fit_frames, segmenter, comparisons[0].size)
    if rules is not None:
        rules.check(comparisons)
    with _folder(Path(out)) as folder:
        if lesson is not None:
            fitted = fit_segmenter(lesson, where, seed=seed, progress=progress)
            fitted.save(folder / "segmenter")
            instruments = replace(instruments, classifier=fitted)
        run = _Run(comparisons, instruments, stride, window, styles, folder, progress)
        clips = [run.clip(comparison, truth) for comparison, truth in zip(comparisons, truths, strict=True)]
        settings = {"frames": frames, "flow": flow, "controls": controls, "given": given, "window": window}
        report = {
            "format": FORMAT,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - began, 1),
            "settings": settings | {"seed": seed} | run.settings(),
            "real": {"path": str(real)} | run.counts(),
            "metrics": [describe(metric) for metric in comparisons[0].systems[1].metrics],
            "systems": run.systems(clips, seed),
            "clips": clips,
            "diversity": run.diversity and run.diversity.report(),
            "protocol": rules and rules.report(comparisons),
            "notes": notes_on(comparisons, instruments, run.distributions),
            "versions": versions(),
            "machine": machine(),
        }
        write_report(report, folder / "report.json")
        write_csv(report, folder / "report.csv")
        write_page(report, run.views, folder)
    return report


class _Run:
    """The one pass over the frames of all clips: measures them, writes videos, and keeps what the page
    shows."""

    def __init__(
        self,
        comparisons: Sequence[Comparison],
        instruments: Instruments,
        stride: int | None,
        window: int,
        styles: bool,
        folder: Path,
        progress: Progress,
    ) -> None:
        systems = comparisons[0].systems
        self.comparisons = comparisons
        self.instruments = instruments
        self.folder = folder
        self.drifts = [
            FeatureDrift(len(systems), window) if net.frames == 1 else None for net in instruments.networks
        ]
        self.distributions = [
            Distributions(net, len(systems), stride, drift)
            for net, drift in zip(instruments.networks, self.drifts, strict=True)
        ]
        made = [system.name for system in systems if system.kind == "fake"]
        self.diversity = Diversity(made, instruments.lpips) if styles else None
        self.views: dict[str, Views] = {}
        self._many = len(comparisons) > 1
        self._progress = progress
        self._total = sum(len(comparison.matching) for comparison in comparisons)
        self._done = 0

    def clip(self, comparison: Comparison, truth: Truth) -> dict[str, Any]:
        """Scores one clip; what the report says of it."""
        classifier = self.instruments.classifier
        if classifier is not None and truth.labels is not None:
            classifier = InClassesOf(classifier, truth.labels)
        for system in comparison.systems:
            of_real = system.kind == "real"
            make = self.instruments.metrics_of_real if of_real else self.instruments.metrics
            system.metrics = make(classifier)
        names = [system.name for system in comparison.systems]
        path = self.folder / "side_by_side.mp4"
        if self._many:
            make_folder(self.folder / "side_by_side")
            path = self.folder / "side_by_side" / f"{comparison.name}.mp4"
        views = self.views[comparison.name] = Views(names, len(comparison.matching))
        for distribution in self.distributions:
            distribution.begin_clip()
        with SideBySide(path, comparison.rate, names, comparison.size) as video:
            for index, row in enumerate(self._score(comparison, truth)):
                views.add(index, row)
                video.write(row)
                self._done += 1
                self._progress(
                    self._done, self._total, f"scoring {comparison.name}" if self._many else "scoring"
                )
        views.finish(path, video)
        matching = comparison.matching
        return {
            "name": comparison.name,
            "real": {
                "path": str(comparison.real.path),
                "size": list(comparison.real.size),
                "rate": str(comparison.rate),
            },
            "frames": {"count": len(matching), "of": len(comparison.real.source), "names": matching.names},
            "systems": [system.report() for system in comparison.systems],
        }

    def counts(self) -> dict[str, int]:
        """Of clips and frames that are compared."""
        frames = sum(len(comparison.matching) for comparison in self.comparisons)
        return {"clips": len(self.comparisons), "frames": frames}

    def settings(self) -> dict[str, Any]:
        """What was measured with."""
        classifier = self.instruments.classifier
        return {
            "size": list(self.comparisons[0].size),
            "lpips": self.instruments.lpips_name,
            "segmenter": None if classifier is None else classifier.name,
            "features": [distribution.settings() for distribution in self.distributions],
            "bootstrap": bootstrap_settings(self.comparisons),
        }

    def systems(self, clips: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
        """The figures of all clips together. What the first picture network, if there is one, says of drift
        is added to them and to each of the clips."""
        systems = pooled(self.comparisons, self.distributions, seed)
        drift = next((one for one in self.drifts if one is not None), None)
        for place, found in enumerate([] if drift is None else drift.compute()):
            systems[place]["summary"]["feature_drift"] = found["feature_drift"]
            for clip, windows in zip(clips, found["clips"], strict=False):
                clip["systems"][place]["drift"]["features"] = windows
        return systems

    def _score(self, comparison: Comparison, truth: Truth) -> Iterator[list[np.ndarray]]:
        """Feed every system frame by frame; yields the pictures once they have been measured."""
        systems, lpips = comparison.systems, self.instruments.lpips
        before: list[np.ndarray] = []
        real_seen: Activations | None = None
        for index, row in enumerate(_pictures(comparison)):
            motion = truth.motion(index, row[0], before[0]) if before else None
            labels = truth.classes(index)
            real_step = None
            if lpips is not None:
                last, real_seen = real_seen, lpips.activations(row[0])
                real_step = None if last is None else lpips.between(last, real_seen)
            for place, system in enumerate(systems):
                context = Context(
                    estimator=self.instruments.estimator,
                    motion=motion,
                    previous_real=before[0] if before else None,
                    previous_fake=before[place] if before else None,
                    given=index < system.given,
                    labels=labels,
                    real_seen=real_seen,
                    real_step=real_step,
                )
                system.update(row[0], row[place], context)
            made = [
                picture if index >= system.given else None
                for picture, system in zip(row, systems, strict=True)
            ]
            for distribution in self.distributions:
                distribution.update(made)
            if self.diversity is not None and index >= systems[0].given:
                self.diversity.update([p for p, s in zip(row, systems, strict=True) if s.kind == "fake"])
            yield row
            before = row


def _pictures(comparison: Comparison) -> Iterator[list[np.ndarray]]:
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


def _lesson(
    dataset: Path | str | None, frames: str | None, segmenter: Path | str | None, size: Size
) -> Dataset | None:
    """What a segmenter is to learn from."""
    if dataset is None:
        return None
    if segmenter is not None:
        raise UserError(
            f"--fit-segmenter {dataset}: there is --segmenter {segmenter} already; give one of them"
        )
    return Dataset.open(dataset, size=size, frames=frames, instances=False)


def _lay_out(
    real: Path, fakes: Sequence[Path | str], prepare_pair: Callable[[Pair, Sequence[str]], Comparison]
) -> list[Comparison]:
    """A comparison for each real clip that the fakes show, all of one size."""
    named = [parse_fake(fake) for fake in fakes]
    names = [name or own_name(path) for name, path in named]
    pairs = pair_clips(real, [path for _, path in named])
    comparisons = [prepare_pair(pair, names) for pair in pairs]
    common_size([(comparison.fakes[0].path, comparison.size) for comparison in comparisons])
    return comparisons


def describe(metric: FrameMetric | type[FrameMetric]) -> dict[str, str | int]:
    """A metric's key, label, unit, direction, decimals, and what it is, as reports hold them."""
    keys = ("key", "label", "unit", "better", "decimals")
    return {**{key: getattr(metric, key) for key in keys}, "note": " ".join((metric.__doc__ or "").split())}


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
