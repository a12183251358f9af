"""Points over time: trembling taken out by the one-euro filter, short gaps filled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from vid2vid.annotators.keypoints import SEEN, Found, Keypoints

_CUTOFF = 1.0
"""Hz, for points at rest."""
_RESPONSE = 12.0
"""Hz more where a point moves, in a second, as far as the person or the face is large."""
_LONGEST = 5
"""Frames of a gap that is filled."""


class OneEuro:
    """The one-euro filter (Casiez, Roussel and Vogel, 2012): a low pass that opens when a point moves fast.

    Holds the last place and speed of every point, however long the clip. A point that was not seen passes as
    it is, and is taken up afresh when it comes back.

    Args:
        rate: frames per second, above 0.
        cutoff: Hz for a point at rest; lower is calmer.
        response: Hz more for each pixel per second; higher lags less.
        speed_cutoff: Hz, for the speed itself.

    Raises:
        ValueError: values that make no sense.
    """

    def __init__(
        self, rate: float, cutoff: float = 1.0, response: float = 0.02, speed_cutoff: float = 1.0
    ) -> None:
        for name, value in {"rate": rate, "cutoff": cutoff, "speed_cutoff": speed_cutoff}.items():
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value}; it must be above 0")
        if not (math.isfinite(response) and response >= 0):
            raise ValueError(f"response is {response}; it must be 0 or more")
        self.rate = rate
        self.cutoff = cutoff
        self.response = response
        self.speed_cutoff = speed_cutoff
        self._place: np.ndarray | None = None
        self._speed: np.ndarray | None = None
        self._seen: np.ndarray | None = None

    def __call__(self, points: np.ndarray, after: float | None = None) -> np.ndarray:
        """The next frame: (N, 3) x, y, confidence, to the same, float32.

        Args:
            after: seconds since the last one, above 0; None: as the rate says.

        Raises:
            ValueError: another number of points than before.
        """
        place = points[:, :2].astype(np.float64)
        seen = points[:, 2] > SEEN
        rate = 1 / after if after else self.rate
        if self._place is None or self._speed is None or self._seen is None:
            self._place, self._speed, self._seen = place, np.zeros_like(place), seen
        elif len(place) != len(self._place):
            raise ValueError(f"{len(place)} points after {len(self._place)}; a filter is for one kind")
        known = (seen & self._seen)[:, None]
        rise = (place - self._place) * rate
        calm = self._share(np.full((1, 1), self.speed_cutoff), rate)
        speed = np.where(known, self._speed + calm * (rise - self._speed), 0.0)
        share = self._share(self.cutoff + self.response * np.abs(speed), rate)
        place = np.where(known, self._place + share * (place - self._place), place)
        self._place, self._speed, self._seen = place, speed, seen
        return np.concatenate([place, points[:, 2:]], axis=1).astype(np.float32)

    @staticmethod
    def _share(cutoff: np.ndarray, rate: float) -> np.ndarray:
        """How much of a new value is taken."""
        return 1 / (1 + rate / (2 * math.pi * cutoff))


def smooth_points(points: np.ndarray, rate: float, cutoff: float = 1.0, response: float = 0.02) -> np.ndarray:
    """A clip's points (T, N, 3) through `OneEuro`."""
    smooth = OneEuro(rate, cutoff, response)
    frames = [smooth(frame) for frame in points]
    return np.stack(frames) if frames else points.astype(np.float32)


def fill_gaps(points: np.ndarray, longest: int = 5) -> np.ndarray:
    """Points missing for up to ``longest`` frames, put on the straight way between where they were seen.

    Their confidence is the smaller one of both ends. Longer gaps, and those at either end of the clip, stay.

    Args:
        points: (T, N, 3) x, y, confidence.

    Returns:
        The same, float32; what was given is not changed.
    """
    filled = points.astype(np.float32)
    seen = points[..., 2] > SEEN
    for number in range(points.shape[1]):
        times = np.flatnonzero(seen[:, number])
        for before, after in pairwise(times.tolist()):
            gap = after - before - 1
            if 0 < gap <= longest:
                share = (np.arange(1, gap + 1) / (gap + 1))[:, None]
                ends = points[[before, after], number].astype(np.float64)
                filled[before + 1 : after, number, :2] = ends[0, :2] * (1 - share) + ends[1, :2] * share
                filled[before + 1 : after, number, 2] = ends[:, 2].min()
    return filled


def steady_clip(frames: Sequence[Found | None], rate: float) -> list[Found | None]:
    """A clip's points without trembling and short gaps; what is missing for longer stays None.

    Args:
        frames: all of one kind; None: nothing was found.
        rate: frames per second.
    """
    like = next((found for found in frames if found is not None), None)
    if like is None:
        return list(frames)
    nothing = np.zeros_like(_as_points(like))
    points = np.stack([nothing if found is None else _as_points(found) for found in frames])
    size = float(np.median([_extent(frame) for frame in points if (frame[:, 2] > SEEN).any()] or [1.0]))
    points = smooth_points(fill_gaps(points, _LONGEST), rate, _CUTOFF, _RESPONSE / max(size, 1.0))
    return [_as_found(frame, like) if (frame[:, 2] > SEEN).any() else None for frame in points]


class Steady:
    """The same frame by frame, for what cannot be looked ahead in: a gap is bridged by the last place.

    Args:
        rate: frames per second, where no times are given.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._time: float | None = None
        self._filter: OneEuro | None = None
        self._last: np.ndarray | None = None
        self._unseen = np.zeros(0, np.int64)

    def __call__(self, found: Found | None, time: float | None = None) -> Found | None:
        """The next frame. time: its seconds, rising; a camera's frames come when there is time for them."""
        after = None if time is None or self._time is None else time - self._time
        self._time = time
        if found is not None:
            self._like, points = found, _as_points(found).astype(np.float32)
        elif self._last is None:
            return None
        else:
            points = np.zeros_like(self._last)
        if self._filter is None or self._last is None:
            self._filter = OneEuro(self._rate, _CUTOFF, _RESPONSE / max(_extent(points), 1.0))
            self._last, self._unseen = points, np.full(len(points), _LONGEST)
        seen = points[:, 2] > SEEN
        self._unseen = np.where(seen, 0, self._unseen + 1)
        held = ~seen & (self._unseen <= _LONGEST)
        self._last = np.where(
            held[:, None], self._last, self._filter(np.where(held[:, None], self._last, points), after)
        )
        return _as_found(self._last, self._like) if (self._last[:, 2] > SEEN).any() else None


def _as_points(found: Found) -> np.ndarray:
    """(N, 3): x, y, how sure."""
    points = found.points if isinstance(found, Keypoints) else found
    return points if points.shape[1] == 3 else np.concatenate([points, np.ones((len(points), 1))], axis=1)


def _as_found(points: np.ndarray, like: Found) -> Found:
    """The inverse of `_as_points`."""
    return Keypoints.from_points(points) if isinstance(like, Keypoints) else points[:, : like.shape[1]]


def _extent(points: np.ndarray) -> float:
    """The longer side of the box around what is seen, pixels."""
    seen = points[points[:, 2] > SEEN, :2]
    return float(np.ptp(seen, axis=0).max()) if len(seen) else 0.0
