"""How good are predictions, by how far ahead they look? Many starts per clip, and all of them count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vid2vid.conditions import LabelSchema
from vid2vid.data.dataset import parse_part
from vid2vid.errors import UserError
from vid2vid.evaluation.instruments import LPIPS
from vid2vid.evaluation.metrics import MSSSIM, Context, FrameMetric, GradientEnergy, GradientError
from vid2vid.evaluation.obedience import ClassIoU
from vid2vid.evaluation.perceptual import PerceptualDistance
from vid2vid.evaluation.segmenter import ignored_classes
from vid2vid.flow import FlowEstimator

HORIZONS = (1, 3, 5, 10, 20, 30, 50, 100)
"""Frames ahead that a table has columns for, as far as predictions go."""


@dataclass(frozen=True)
class Start:
    """A prediction of one clip: frames ``first`` ... ``stop - 1``; those before are observed."""

    clip: int
    first: int
    stop: int


def starts(
    lengths: Sequence[int], observed: int, frames: int, targets: str | None, every: int
) -> list[Start]:
    """Where predictions begin.

    Args:
        lengths: of the clips.
        observed: frames before the first predicted one; they may lie before the targets.
        frames: predicted ones; fewer where the targets end before.
        targets: the part of each clip that may be predicted, such as ``57:``; None: all.
        every: frames from one start to the next.

    Raises:
        UserError: no clip is long enough.
    """
    if frames < 1 or every < 1:
        raise UserError(f"--frames {frames}, --every {every}: give 1 or more")
    found = []
    for clip, length in enumerate(lengths):
        part = range(length)[parse_part(targets)]
        found += [
            Start(clip, first, min(first + frames, part.stop))
            for first in range(max(part.start, observed), part.stop, every)
        ]
    if not found:
        among = f" among --targets {targets}" if targets else ""
        raise UserError(
            f"--observed {observed}: leaves nothing to predict{among}; the longest clip has {max(lengths)} "
            "frames, so observe fewer or give a longer one"
        )
    return found


def horizons(found: Sequence[Start]) -> list[int]:
    """Those that a start reaches."""
    longest = max(start.stop - start.first for start in found)
    return [k for k in HORIZONS if k <= longest]


class Tally:
    """Sums of a metric's terms by frames ahead, over all starts; memory does not grow with these."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self._at: list[np.ndarray] = []
        self._until: list[np.ndarray] = []

    def add(self, terms: np.ndarray) -> None:
        """Another start: (frames, k), the first is the one next to the observed ones."""
        for ahead, (here, so_far) in enumerate(zip(terms, np.cumsum(terms, axis=0), strict=True)):
            if ahead == len(self.counts):
                self.counts.append(0)
                self._at.append(np.zeros_like(here))
                self._until.append(np.zeros_like(here))
            self.counts[ahead] += 1
            self._at[ahead] += here
            self._until[ahead] += so_far

    def figures(self, metric: type[FrameMetric], k: int) -> dict[str, float | None]:
        """At horizon k: "frame", of frame t+k alone, and "running", of the first k frames together; over the
        starts that reach as far."""
        sums = {"frame": self._at[k - 1], "running": self._until[k - 1]}
        found = {name: float(metric.summary(terms)) for name, terms in sums.items()}
        return {name: figure if np.isfinite(figure) else None for name, figure in found.items()}


class LabelIoU(ClassIoU):
    """Intersection over union of each class, between the real label map and the predicted one, averaged over
    the classes that occur in either; the pixels of all frames count together. Pixels without a label are left
    out. Higher is better, 0 to 1. At the size scored."""

    key, label = "label_iou", "Label IoU"

    def __init__(self, labels: LabelSchema) -> None:
        super().__init__(_AsPredicted(labels))


class _AsPredicted:
    """Reads the classes off a predicted label map: no network has to find them. Ignored ones are none."""

    name = "predicted labels"

    def __init__(self, labels: LabelSchema) -> None:
        self.classes = labels.names
        self._table = np.where(ignored_classes(labels), len(labels), np.arange(len(labels)))

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        indices: np.ndarray = self._table[picture]
        return indices


class Judge:
    """Measures one prediction, frame by frame.

    Args:
        labels: classes of label maps, where these are predicted and known.
        lpips: None: not measured.
        estimator: what a context has to have; nothing here estimates flow.
    """

    def __init__(
        self, labels: LabelSchema | None, lpips: PerceptualDistance | None, estimator: FlowEstimator
    ) -> None:
        self._lpips, self._estimator = lpips, estimator
        self.of_frames: list[FrameMetric] = [MSSSIM(), GradientError(), GradientEnergy()]
        if lpips is not None:
            self.of_frames.insert(1, LPIPS(lpips))
        self._ignored = None if labels is None else ignored_classes(labels)
        self.of_labels: list[FrameMetric] = [] if labels is None else [LabelIoU(labels)]

    def see(
        self,
        real: tuple[np.ndarray, np.ndarray | None],
        frame: np.ndarray | None,
        labels: np.ndarray | None,
    ) -> None:
        """The next frame: the real picture and class indices, the predicted picture and class indices."""
        picture, truth = real
        if frame is not None:
            seen = None if self._lpips is None else self._lpips.activations(picture)
            for metric in self.of_frames:
                metric.update(picture, frame, Context(self._estimator, real_seen=seen))
        if labels is not None and truth is not None and self._ignored is not None:
            known = np.where(self._ignored[truth], -1, truth.astype(np.int64))
            for metric in self.of_labels:
                metric.update(truth, labels, Context(self._estimator, labels=known))

    @property
    def terms(self) -> dict[str, tuple[type[FrameMetric], np.ndarray]]:
        """By the metric's key, of those that have seen anything: its kind and what adds up, (frames, k)."""
        return {
            metric.key: (type(metric), metric.terms())
            for metric in (*self.of_labels, *self.of_frames)
            if metric.curve
        }
