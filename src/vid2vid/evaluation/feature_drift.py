"""Drift of what is shown: does a long video keep its subject, as a network sees it?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


class FeatureDrift:
    """Does a long clip go on showing the same thing? The mean features of each window of frames, from a
    network for pictures, by their cosine distance (0: the same direction, 1: nothing in common, 2 at most)
    to those of the first window of the same system, and to those of the real clip's same window.

    What is shown changes too, so the distance from the first window alone says little. The summary,
    `feature_drift`, is the distance to the real clip in the last window less that in the first, averaged over
    the clips that have two windows or more: 0 is best, above 0 the fake has wandered off. None without such
    clips. What the distance means depends on the network: compare only with the same one.

    A last window shorter than half is joined to the one before it. window: frames per window.
    """

    def __init__(self, systems: int, window: int = 100) -> None:
        self.window = window
        self._systems = systems
        self._clips: list[list[_Row]] = []
        self._closed: list[_Row] = []
        self._open: list[_Window] = []  # two at most: the second is shorter than half
        self._first: np.ndarray | None = None

    def begin_clip(self) -> None:
        """To be called at the start of every clip."""
        if rows := self._all_rows():
            self._clips.append(rows)
        self._closed, self._open, self._first = [], [], None

    def update(self, frame: int, features: np.ndarray) -> None:
        """The features of one more frame of every system, (systems, D), the real clip first.

        frame: its number in the clip; frames may be left out.
        """
        if not self._open or self._open[-1].frames == self.window:
            self._open.append(_Window(frame, features.shape))
        self._open[-1].add(frame, features)
        if len(self._open) == 2 and 2 * self._open[-1].frames >= self.window:
            full = self._open.pop(0)
            self._closed.append(self._row(full))
            if self._first is None:
                self._first = full.sums / full.frames

    def compute(self) -> list[dict]:
        """Per system ``{"window", "clips", "feature_drift"}``. A clip is a list of windows, each ``{"start",
        "stop", "from_first", "from_real"}``: the numbers of its frames, stop not included, and distances."""
        rows = self._all_rows()
        clips = [*self._clips, *([rows] if rows else [])]
        found = []
        for system in range(self._systems):
            windows = [[row.of(system) for row in rows] for rows in clips]
            moved = [rows[-1]["from_real"] - rows[0]["from_real"] for rows in windows if len(rows) > 1]
            drift = float(np.mean(moved)) if moved and system else None
            found.append({"window": self.window, "clips": windows, "feature_drift": drift})
        return found

    def _all_rows(self) -> list[_Row]:
        if not self._open:
            return self._closed
        last = _Window(self._open[0].start, self._open[0].sums.shape)
        for window in self._open:
            last.sums += window.sums
            last.frames += window.frames
            last.stop = window.stop
        return [*self._closed, self._row(last)]

    def _row(self, window: _Window) -> _Row:
        means = window.sums / window.frames
        first = means if self._first is None else self._first
        from_first = [_cosine_distance(*pair) for pair in zip(means, first, strict=True)]
        from_real = [_cosine_distance(mean, means[0]) for mean in means]
        return _Row(window.start, window.stop, from_first, from_real)


class _Window:
    """Running sums of the features of some frames."""

    def __init__(self, start: int, shape: tuple[int, ...]) -> None:
        self.start = self.stop = start
        self.frames = 0
        self.sums = np.zeros(shape)

    def add(self, frame: int, features: np.ndarray) -> None:
        self.sums += features
        self.frames += 1
        self.stop = frame + 1


@dataclass(frozen=True)
class _Row:
    """What is kept of a window: two distances for every system."""

    start: int
    stop: int
    from_first: list[float]
    from_real: list[float]

    def of(self, system: int) -> dict[str, float]:
        first, real = self.from_first[system], self.from_real[system]
        return {"start": self.start, "stop": self.stop, "from_first": first, "from_real": real}


def _cosine_distance(a: np.ndarray, b: np.ndarray) -> float:
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    if not lengths:
        return 0.0 if np.array_equal(a, b) else 1.0
    return max(0.0, 1 - float(a @ b) / lengths)
