"""Metrics over pairs of real and fake frames, one small protocol.

A metric sees a clip frame by frame and keeps a few numbers a frame, no pictures, so that memory does not grow
with the size of the clip and hardly with its length. What it keeps adds up: the figure of several frames, or
of several clips, follows from the sum of theirs, and so does every figure of a bootstrap (``intervals.py``).

Pictures are (H, W, 3) uint8 RGB; "grey" is luma by ITU-R BT.601, rounded to uint8, as OpenCV gives it. The
class docstrings are shown on the report page.

torchmetrics has PSNR, SSIM and MS-SSIM too, at thirty times the cost on one core and with SSIM continued over
the border; a test holds ours to it where both mean the same.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import cv2
import numpy as np
from torch import Tensor

from vid2vid.evaluation.motion import Motion, warp_picture
from vid2vid.flow import FlowEstimator

Direction = Literal["higher", "lower", "one"]
"""Which way a metric is better; "one" is a ratio to the real clip, best when it is 1."""

SMALLEST_SIDE = 11
"""SSIM's window: pictures with a shorter side cannot be scored."""


@dataclass(frozen=True)
class Context:
    """What surrounds one pair of frames.

    motion: of the real clip from this frame to the one before; None at the first frame.
    previous_real, previous_fake: the frames before, (H, W, 3) uint8; None at the first frame.
    estimator: estimates flow on the fake.
    given: this frame was given to the system rather than made by it: it is not scored.
    labels: class indices of the frame (H, W), where they are known; -1 where they are not.
    real_seen: what LPIPS compares of the real frame, and real_step: its distance from the one before; where
        that is measured.
    """

    estimator: FlowEstimator
    motion: Motion | None = None
    previous_real: np.ndarray | None = None
    previous_fake: np.ndarray | None = None
    given: bool = False
    labels: np.ndarray | None = None
    real_seen: list[Tensor] | None = None
    real_step: float | None = None


class Metric(Protocol):
    """Streams over a clip: `update` once a frame, in order; `compute` at any time."""

    key: ClassVar[str]
    label: ClassVar[str]
    better: ClassVar[Direction]
    unit: ClassVar[str]
    decimals: ClassVar[int]

    @property
    def curve(self) -> list[float | None]: ...

    def update(self, real: np.ndarray, fake: np.ndarray, context: Context) -> None: ...

    def terms(self) -> np.ndarray:
        """(frames, k): what adds up; zeros where the metric is not defined."""
        ...

    @staticmethod
    def summary(sums: np.ndarray) -> np.ndarray:
        """Sums of terms (..., k) to figures (...); not a number where nothing was summed."""
        ...


class FrameMetric:
    """One number a frame; the summary is the mean over the frames."""

    NOTHING: ClassVar[tuple[float, ...]] = (0.0, 0.0)

    key: ClassVar[str]
    label: ClassVar[str]
    better: ClassVar[Direction]
    unit: ClassVar[str] = ""
    decimals: ClassVar[int] = 2

    def __init__(self) -> None:
        # Compact: a long video has many frames.
        self._curve = array("d")
        self._terms = array("d")

    @property
    def curve(self) -> list[float | None]:
        """One value a frame; None where the metric is not defined (first frame, given frames)."""
        return [None if math.isnan(value) else value for value in self._curve]

    def measure(self, real: np.ndarray, fake: np.ndarray, context: Context) -> float | None:
        raise NotImplementedError

    def parts(self, value: float) -> tuple[float, ...]:
        """What adds up, of the frame just measured."""
        return value, 1.0

    def update(self, real: np.ndarray, fake: np.ndarray, context: Context) -> None:
        value = None if context.given else self.measure(real, fake, context)
        self._curve.append(math.nan if value is None else value)
        self._terms.extend(self.NOTHING if value is None else self.parts(value))

    def terms(self) -> np.ndarray:
        return np.array(self._terms, np.float64).reshape(-1, len(self.NOTHING))

    @staticmethod
    def summary(sums: np.ndarray) -> np.ndarray:
        return ratio(sums[..., 0], sums[..., 1])

    def compute(self) -> float | None:
        """The figure of the clip; None where no frame could be measured."""
        figure = float(self.summary(self.terms().sum(axis=0)))
        return figure if np.isfinite(figure) else None


class PSNR(FrameMetric):
    """Peak signal-to-noise ratio in dB, 10 log10(255² / mean squared error over all pixels and the three
    RGB channels), averaged over frames. Higher is better; about 15 (same scene, wrong picture) to 40 (hard
    to tell apart), capped at 138.1 for equal frames. It forgives blur and punishes a shift of one pixel. At
    the size scored."""

    key, label, better, unit = "psnr", "PSNR", "higher", "dB"
    SMALLEST_ERROR: ClassVar = 1e-9
    CAP: ClassVar = 10 * np.log10(255**2 / SMALLEST_ERROR)

    def measure(self, real: np.ndarray, fake: np.ndarray, context: Context) -> float:
        error = cv2.norm(real, fake, cv2.NORM_L2SQR) / real.size
        return float(10 * np.log10(255**2 / max(error, self.SMALLEST_ERROR)))


class SSIM(FrameMetric):
    """Structural similarity (Wang et al. 2004): luminance, contrast and structure compared in gaussian
    windows of 11 pixels (sigma 1.5) that lie inside the picture, on grey. Higher is better, at most 1. At
    the size scored."""

    key, label, better, decimals = "ssim", "SSIM", "higher", 4

    def measure(self, real: np.ndarray, fake: np.ndarray, context: Context) -> float:
        return ssim_and_contrast(grey(real).astype(np.float32), grey(fake).astype(np.float32))[0]


class MSSSIM(FrameMetric):
    """Multi-scale structural similarity (Wang et al. 2003): SSIM's contrast and structure at five scales,
    each half the one before (means of 2 x 2, not rounded), and its luminance at the coarsest, on grey. Higher
    is better, 0 to 1. Below 176 pixels on the shorter side there are fewer scales (the first weights, scaled
    to sum to 1): compare only at equal size."""

    key, label, better, decimals = "ms_ssim", "MS-SSIM", "higher", 4
    WEIGHTS: ClassVar = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

    @classmethod
    def levels(cls, width: int, height: int) -> int:
        """How many scales a picture of this size has room for: its coarsest still holds one window."""
        return min(len(cls.WEIGHTS), int(np.log2(min(width, height) / SMALLEST_SIDE)) + 1)

    def measure(self, real: np.ndarray, fake: np.ndarray, context: Context) -> float:
        a, b = grey(real).astype(np.float32), grey(fake).astype(np.float32)
        levels = self.levels(a.shape[1], a.shape[0])
        weights = np.array(self.WEIGHTS[:levels]) / sum(self.WEIGHTS[:levels])
        product = 1.0
        for level, weight in enumerate(weights):
            if level:
                a, b = _halved(a), _halved(b)
            whole, contrast = ssim_and_contrast(a, b)
            # Negative similarity has no real power; it is as bad as none.
            product *= max(whole if level == levels - 1 else contrast, 1e-6) ** weight
        return product


class WarpingError(FrameMetric):
    """Does the colour of things stay the same while they move? The mean absolute colour error (0 to 255,
    RGB) between each frame and the one before it, warped by the optical flow of the REAL clip, where
    forward and backward flow agree (so that what was hidden does not count); averaged over those pixels,
    then over frames (after Lai et al. 2018). Lower is better, but blur and frozen detail lower it too: read
    it beside gradient energy and the blurred control. The real clip has a value of its own, from noise and
    errors of the flow."""

    key, label, better = "warping_error", "Warping error", "lower"

    def measure(self, real: np.ndarray, fake: np.ndarray, context: Context) -> float | None:
        if context.motion is None or context.previous_fake is None or not context.motion.valid.any():
            return None
        warped = warp_picture(context.previous_fake, context.motion.flow)
        return float(np.mean(cv2.mean(cv2.absdiff(fake, warped), mask=context.motion.valid)[:3]))


class FlowDifference(FrameMetric):
    """tOF (Chu et al. 2020, TecoGAN): does the fake move as the real clip does? The mean absolute
    difference, in pixels at the size scored, between the optical flow estimated on the fake and that
    estimated on the real clip, over both components and all pixels. Lower is better."""

    key, label, better, unit, decimals = "flow_difference", "Flow difference (tOF)", "lower", "px", 3

    def measure(self, real: np.ndarray, fake: np.ndarray, context: Context) -> float | None:
        if context.motion is None or context.previous_fake is None:
            return None
        flow = context.estimator.estimate(fake, context.previous_fake)
        # Both estimated: an estimator's errors are the same on both where the fake is true.
        reference = context.motion.flow if context.motion.estimated is None else context.motion.estimated
        return float(np.abs(flow - reference).mean())


class Flicker(FrameMetric):
    """Does each pixel change in time as it does in the real clip? The mean absolute difference (0 to 255,
    RGB) between the change of the fake and the change of the real clip from one frame to the next. Lower is
    better. Needs no optical flow, so it checks the warping error; but detail in the wrong place counts as
    flicker."""

    key, label, better = "flicker", "Flicker", "lower"

    def measure(self, real: np.ndarray, fake: np.ndarray, context: Context) -> float | None:
        if context.previous_real is None or context.previous_fake is None:
            return None
        change = cv2.subtract(fake, context.previous_fake, dtype=cv2.CV_16S)
        real_change = cv2.subtract(real, context.previous_real, dtype=cv2.CV_16S)
        return cv2.norm(change, real_change, cv2.NORM_L1) / real.size


class RatioMetric(FrameMetric):
    """A property of one picture, as a ratio to the real clip: the sum over fake frames by the sum over real
    ones."""

    better = "one"
    decimals = 3

    def __init__(self) -> None:
        super().__init__()
        self._pair = 0.0, 0.0

    def of_picture(self, picture: np.ndarray) -> float:
        raise NotImplementedError

    def measure(self, real: np.ndarray, fake: np.ndarray, context: Context) -> float | None:
        fake_value, real_value = self._pair = self.of_picture(fake), self.of_picture(real)
        return fake_value / real_value if real_value else None

    def parts(self, value: float) -> tuple[float, ...]:
        return self._pair


class GradientEnergy(RatioMetric):
    """How much detail there is: the mean squared gradient (forward differences, on grey), as a ratio to the
    real clip. 1 is as detailed as the real clip, less is blurred, more is noisy or over-sharp. At the size
    scored."""

    key, label = "gradient_energy", "Gradient energy"

    def of_picture(self, picture: np.ndarray) -> float:
        return gradient_energy(picture)


class Sharpness(RatioMetric):
    """How much of the finest detail there is: the variance of the Laplacian (on grey), as a ratio to the
    real clip. 1 is as sharp, less is blurred, more is noisy; a checkerboard pattern raises it. At the size
    scored."""

    key, label = "sharpness", "Sharpness"

    def of_picture(self, picture: np.ndarray) -> float:
        return float(cv2.Laplacian(grey(picture), cv2.CV_32F).var(dtype=np.float64))


class GradientError(FrameMetric):
    """Are things as sharp as they should be, and there? The mean absolute difference (0 to 255) between the
    gradients of the fake and of the real frame (gradient difference, after Mathieu et al. 2016): magnitudes
    of forward differences, across and down, on grey. Lower is better; a blur is punished, and so is detail in
    the wrong place. At the size scored."""

    key, label, better, decimals = "gradient_error", "Gradient error", "lower", 3

    def measure(self, real: np.ndarray, fake: np.ndarray, context: Context) -> float:
        apart = [
            cv2.absdiff(cv2.absdiff(a[:, 1:], a[:, :-1]), cv2.absdiff(b[:, 1:], b[:, :-1])).mean()
            for a, b in ((grey(real), grey(fake)), (grey(real).T, grey(fake).T))
        ]
        return float(sum(apart))


class EdgeF1(FrameMetric):
    """Are things drawn where they should be? Edges of the fake against those of the real frame: the harmonic
    mean of precision and recall of Canny edges (after Martin et al. 2004), an edge counting as found within 2
    pixels. The thresholds are taken from the real frame (0.66 and 1.33 times its median grey) for both.
    Higher is better, 0 to 1. On grey, at the size scored."""

    key, label, better, decimals = "edge_f1", "Edge F1", "higher", 3
    REACH: ClassVar = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))

    def measure(self, real: np.ndarray, fake: np.ndarray, context: Context) -> float | None:
        middle = float(np.median(grey(real)))
        edges, made = (cv2.Canny(grey(x), 0.66 * middle, 1.33 * middle) > 0 for x in (real, fake))
        if not edges.any() and not made.any():
            return None
        near, near_made = (cv2.dilate(x.astype(np.uint8), self.REACH) > 0 for x in (edges, made))
        precision = float(near[made].mean()) if made.any() else 0.0
        recall = float(near_made[edges].mean()) if edges.any() else 0.0
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


METRICS: tuple[type[FrameMetric], ...] = (
    PSNR,
    SSIM,
    MSSSIM,
    WarpingError,
    FlowDifference,
    Flicker,
    GradientEnergy,
    Sharpness,
    EdgeF1,
)
"""What needs no network, in the order of a report's columns; ``instruments.py`` has those that do."""


def ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    """over / under; not a number where under is 0."""
    return np.divide(over, under, out=np.full(np.shape(over), np.nan), where=np.asarray(under) != 0)


def _halved(levels: np.ndarray) -> np.ndarray:
    height, width = levels.shape[0] // 2 * 2, levels.shape[1] // 2 * 2
    return cv2.resize(levels[:height, :width], (width // 2, height // 2), interpolation=cv2.INTER_AREA)


def grey(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB to (H, W) uint8 luma."""
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def gradient_energy(picture: np.ndarray) -> float:
    """Mean of dx² + dy² by forward differences of the grey picture, in grey levels squared."""
    levels = grey(picture)
    across = cv2.norm(levels[:, 1:], levels[:, :-1], cv2.NORM_L2SQR) / levels[:, 1:].size
    down = cv2.norm(levels[1:], levels[:-1], cv2.NORM_L2SQR) / levels[1:].size
    return across + down


def ssim_and_contrast(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Mean SSIM, and its contrast-structure part alone, of two (H, W) float32 pictures in [0, 255]."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    reach = SMALLEST_SIDE // 2

    def local_mean(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(x, (SMALLEST_SIDE, SMALLEST_SIDE), 1.5)[reach:-reach, reach:-reach]

    mean_a, mean_b = local_mean(a), local_mean(b)
    product, sum_of_squares = mean_a * mean_b, mean_a * mean_a + mean_b * mean_b
    covariance = local_mean(a * b) - product
    variances = local_mean(a * a + b * b) - sum_of_squares
    contrast = (2 * covariance + c2) / (variances + c2)
    luminance = (2 * product + c1) / (sum_of_squares + c1)
    return cv2.mean(luminance * contrast)[0], cv2.mean(contrast)[0]
