"""What measures: networks and estimators, opened once, and the metrics they make possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vid2vid.evaluation.features import FeatureNetwork, open_features
from vid2vid.evaluation.metrics import METRICS, Context, FrameMetric, WarpingError
from vid2vid.evaluation.obedience import ClassIoU, PixelAccuracy, PixelClassifier
from vid2vid.evaluation.perceptual import Activations, PerceptualDistance, find_lpips_weights, open_lpips
from vid2vid.evaluation.segmenter import open_classifier
from vid2vid.flow import FlowEstimator, open_estimator

EXACT = "exact"
"""Instead of an estimator: the flow files of the real clip."""


class LPIPS(FrameMetric):
    """Learned perceptual distance (Zhang et al. 2018, version 0.1): features of AlexNet or VGG-16 of both
    pictures, normalised per pixel, their squared differences weighted as people judged them. Lower is better,
    0 to about 1. On RGB, at the size scored."""

    key, label, better, decimals = "lpips", "LPIPS", "lower", 4

    def __init__(self, distance: PerceptualDistance) -> None:
        super().__init__()
        self._distance = distance
        self.seen: Activations | None = None
        """Of the fake last measured."""

    def measure(self, real: np.ndarray, fake: np.ndarray, context: Context) -> float:
        assert context.real_seen is not None
        self.seen = self._distance.activations(fake)
        return self._distance.between(context.real_seen, self.seen)


class TLP(FrameMetric):
    """tLP (Chu et al. 2020, TecoGAN): does the fake change as much from frame to frame, to the eye, as the
    real clip? The absolute difference of the LPIPS between two fake frames and that between the two real
    ones, times 100. Lower is better. On RGB, at the size scored."""

    key, label, better, decimals = "tlp", "tLP", "lower", 3

    def __init__(self, distance: PerceptualDistance, lpips: LPIPS) -> None:
        super().__init__()
        self._distance = distance
        self._lpips = lpips
        """Measured just before, on the same frame."""
        self._before: Activations | None = None

    def measure(self, real: np.ndarray, fake: np.ndarray, context: Context) -> float | None:
        before, self._before = self._before, self._lpips.seen
        if context.previous_fake is None or context.real_step is None or self._lpips.seen is None:
            return None
        if before is None:  # the frame before was given, and not measured
            before = self._distance.activations(context.previous_fake)
        return 100 * abs(self._distance.between(before, self._lpips.seen) - context.real_step)


@dataclass(frozen=True)
class Instruments:
    """flow: the estimator's name, or ``EXACT``; estimator: of the flow on fakes, and on the real clip if not
    exact.

    lpips, classifier: None where not measured. networks: of features, for distances between distributions.
    """

    flow: str
    estimator: FlowEstimator
    lpips: PerceptualDistance | None = None
    lpips_name: str | None = None
    classifier: PixelClassifier | None = None
    networks: Sequence[FeatureNetwork] = ()

    @classmethod
    def open(
        cls,
        flow: str,
        lpips: str | None,
        segmenter: Path | str | None,
        features: Sequence[str],
        device: torch.device,
    ) -> Instruments:
        """Opens what is asked for. LPIPS: ``auto`` takes AlexNet's weights if they are at hand, ``none``
        nothing.

        Raises:
            UserError: something cannot be had.
        """
        if lpips == "auto":
            lpips = "alex" if find_lpips_weights("alex") else "none"
        name = None if lpips in (None, "none") else lpips
        return cls(
            flow,
            open_estimator("dis" if flow == EXACT else flow),
            None if name is None else open_lpips(name, device),
            name,
            None if segmenter is None else open_classifier(str(segmenter), device),
            [open_features(spec, device) for spec in features],
        )

    def metrics(self, classifier: PixelClassifier | None) -> list[FrameMetric]:
        """New metrics for one system and clip, in the order of a report's columns."""
        found: list[FrameMetric] = [kind() for kind in METRICS]
        if self.lpips is not None:
            lpips = LPIPS(self.lpips)
            found[3:3] = [lpips, TLP(self.lpips, lpips)]
        return found + self._obedience(classifier)

    def metrics_of_real(self, classifier: PixelClassifier | None) -> list[FrameMetric]:
        """Of the real clip only what is measured without a second clip says anything."""
        return [WarpingError(), *self._obedience(classifier)]

    @staticmethod
    def _obedience(classifier: PixelClassifier | None) -> list[FrameMetric]:
        if classifier is None:
            return []
        classes = ClassIoU(classifier)
        return [classes, PixelAccuracy(classes)]
