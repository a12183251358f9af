"""Line drawings that need no weights: Canny edges with thresholds found by themselves, and a soft sketch."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from vid2vid.annotators.protocol import Drawn, picture_problem
from vid2vid.errors import UserError

WINDOW = 12
"""Pictures whose thresholds are averaged: long enough that a passing bright thing does not make all edges
come and go, short enough to follow the light."""

DEPTH = 6
"""Pictures whose grey is averaged where nothing moves: noise is most of what makes edges flicker."""

_STILL = 4.0
"""Grey levels: a pixel that differs by this from the current picture counts 0.6, by twice as much 0.1. The
noise of a smoothed picture is below, what moves is above."""

_BLUR = 1.4
"""Standard deviation in pixels of the smoothing before Canny, as is usual."""

_LEAST = 20.0
"""The upper threshold is never below, or the noise of an empty picture would be all edges; an edge between
two greys that differ by some 12 reaches it."""

_LOWER = {"otsu": 0.4, "median": 0.5}
"""The lower threshold as a share of the upper one."""


@dataclass(frozen=True)
class Edges:
    """Canny edges (1986), white on black, one pixel wide.

    rule: where the upper threshold comes from. "otsu": it parts the lengths of the picture's gradients into
        small and large ones as Otsu (1979) does (the lower one is 2/5 of it). "median": 4/3 of the median
        grey (the lower one 2/3), which is widespread but finds little before a bright background.
    window: pictures, the current one and those before it, whose thresholds are averaged; 1: none but its own.
    depth: likewise, whose grey is averaged where nothing moves.
    """

    rule: Literal["otsu", "median"] = "otsu"
    window: int = WINDOW
    depth: int = DEPTH

    result = "edges"

    @classmethod
    def of(cls, argument: str) -> Edges:
        """By what stands after the colon: "", "otsu" or "median". Raises UserError for others."""
        if argument not in ("", "otsu", "median"):
            raise UserError(
                f"annotate edges:{argument}: no such rule; write edges, edges:otsu or edges:median"
            )
        return cls("median" if argument == "median" else "otsu")

    @property
    def name(self) -> str:
        return "edges" if self.rule == "otsu" else f"edges:{self.rule}"

    @property
    def memory(self) -> int:
        return max(self.window, self.depth) - 1

    @property
    def fingerprint(self) -> str:
        return f"canny {self.rule} blur {_BLUR} window {self.window} depth {self.depth} v1"

    def begin(self) -> EdgesPass:
        """See :class:`Annotator`."""
        return EdgesPass(self)


class EdgesPass:
    """One clip's edges: remembers the last pictures and their thresholds."""

    def __init__(self, settings: Edges) -> None:
        self._rule = settings.rule
        self._greys: deque[np.ndarray] = deque(maxlen=settings.depth)
        self._found: deque[float] = deque(maxlen=settings.window)

    def see(self, picture: np.ndarray, time: float) -> None:
        """See :class:`Pass`."""
        grey = _blurred(_grey(picture).astype(np.float32), _BLUR)
        self._greys.append(grey)
        # Asked of the picture alone: of the steadied one it would depend on pictures seen ever longer ago.
        high = _otsu(*_gradient(grey)) if self._rule == "otsu" else 4 / 3 * float(np.median(grey))
        self._found.append(max(high, _LEAST))

    def draw(self, picture: np.ndarray, time: float) -> Drawn:
        """See :class:`Pass`. Raises ValueError for what is no picture, or not of the size of the others."""
        self.see(picture, time)
        # Canny takes whole numbers: an eighth of a grey level is fine enough.
        across, down = (np.rint(8 * part).astype(np.int16) for part in _gradient(_steadied(self._greys)))
        high = 8 * float(np.mean(self._found))
        lines = cv2.Canny(across, down, _LOWER[self._rule] * high, high, L2gradient=True)
        return Drawn(np.repeat(lines[..., None], 3, axis=2))

    def close(self) -> None:
        """Holds nothing."""


def _steadied(greys: Sequence[np.ndarray]) -> np.ndarray:
    """The last of some pictures (H, W) float32, where it resembles the earlier ones averaged with them."""
    current = greys[-1]
    total, weights = np.zeros_like(current), np.zeros_like(current)
    for grey in greys:
        if grey.shape != current.shape:
            raise ValueError(f"pictures of two sizes in one clip: {grey.shape} and {current.shape}")
        weight = np.exp((grey - current) ** 2 / np.float32(-2 * _STILL**2))
        total += weight * grey
        weights += weight
    return total / weights


def _gradient(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """To the right and down, (H, W) float32 each; a step between two greys is at most 4 times their gap."""
    return (
        cv2.Sobel(grey, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REPLICATE),
        cv2.Sobel(grey, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_REPLICATE),
    )


def _otsu(across: np.ndarray, down: np.ndarray) -> float:
    """The length of gradient that parts the short from the long ones best."""
    halves = np.minimum(np.hypot(across, down) / 2, 255).astype(
        np.uint8
    )  # hardly anything is longer than 510
    return 2 * cv2.threshold(halves, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0]


@dataclass(frozen=True)
class Sketch:
    """Soft grey pencil lines on white: a thresholded difference of Gaussians (XDoG, Winnemoeller 2011).

    Dark beside bright gives a line on the dark side. The threshold is soft, so nothing switches on and off
    between two frames, and every picture is drawn for itself.

    sigma: pixels, half the width of a line. ratio: of the wide Gaussian to the narrow one. least: difference
    of grey (0 to 1) that just begins to show. slope: how steeply lines darken beyond it.
    """

    sigma: float = 1.0
    ratio: float = 1.6
    least: float = 0.004
    slope: float = 25.0

    name = "sketch"
    result = "sketch"
    memory = 0

    @property
    def fingerprint(self) -> str:
        return f"xdog sigma {self.sigma} ratio {self.ratio} least {self.least} slope {self.slope} v1"

    def begin(self) -> SketchPass:
        """See :class:`Annotator`."""
        return SketchPass(self)


class SketchPass:
    """One clip's sketches; remembers nothing."""

    def __init__(self, settings: Sketch) -> None:
        self._settings = settings

    def see(self, picture: np.ndarray, time: float) -> None:
        """Nothing to remember."""

    def draw(self, picture: np.ndarray, time: float) -> Drawn:
        """See :class:`Pass`. Raises ValueError for what is no picture."""
        of = self._settings
        grey = _grey(picture).astype(np.float32) / 255
        near, far = _blurred(grey, of.sigma), _blurred(grey, of.sigma * of.ratio)
        # Positive where a point is darker than its surroundings by more than the least difference.
        darker = np.maximum(far - near - of.least, 0)
        tone = np.rint(255 * (1 - np.tanh(of.slope * darker))).astype(np.uint8)
        return Drawn(np.repeat(tone[..., None], 3, axis=2))

    def close(self) -> None:
        """Holds nothing."""


def _grey(picture: np.ndarray) -> np.ndarray:
    if problem := picture_problem(picture):
        raise ValueError(problem)
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def _blurred(grey: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(grey, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
