"""The street itself: its bends, its houses, where the camera drives.

Everything is a pure function of seed, place and time; nothing is remembered, so the street has no end. The
middle of the road runs along x = curve(z). Houses stand in numbered plots, whose numbers seed them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np

from vid2vid.data.city.camera import Camera
from vid2vid.data.city.facades import height_of
from vid2vid.data.city.light import draw_light
from vid2vid.data.city.textures import LANE
from vid2vid.types import Size

FRONTS = 9.6
"""From the middle of the road to the fronts of the houses, metres."""
PLOT = 14.0
"""Mean width of a plot, metres."""
SPEED = 8.0
"""Of the camera, metres a second, on average."""
CROSSINGS = 84.0
"""Mean distance between zebra crossings, metres."""
_TICKS = 12
"""Heights of houses are noted so many times a metre."""

_Number = TypeVar("_Number", float, np.ndarray)
Heights = tuple[float, np.ndarray]
"""z of the first entry, and heights of the houses on the sunny side every 1 / ``_TICKS`` metres."""


@dataclass(frozen=True)
class House:
    """A plot from z = ``start`` to ``end``, ``side`` +1 right or -1 left, ``offset`` metres from the middle.

    floors: above the ground floor; 0: no house but a garden.
    """

    key: int
    side: int
    start: float
    end: float
    offset: float
    floors: int

    @property
    def height(self) -> float:
        """Metres."""
        return height_of(self.floors) if self.floors else 0.0

    def hides_flank(self, next_house: House) -> bool:
        """Whether it covers the flank that the house behind it turns to the camera."""
        return (
            self.end == next_house.start
            and self.height >= next_house.height
            and self.offset <= next_house.offset
        )


class Street:
    """The plan of one city."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = self.rng(1)
        self._bends = [
            (rng.uniform(6, 10), 2 * np.pi / rng.uniform(260, 340), rng.uniform(0, 6.28)),
            (rng.uniform(1.5, 3), 2 * np.pi / rng.uniform(120, 160), rng.uniform(0, 6.28)),
        ]
        self._phases = rng.uniform(0, 2 * np.pi, 5).tolist()
        self.light = draw_light(rng)
        self.house = lru_cache(maxsize=96)(self._house)
        self._crossing = lru_cache(maxsize=16)(lambda index: float(self.rng(20, index).uniform(20, 64)))

    def rng(self, stream: int, index: int = 0) -> np.random.Generator:
        """Chance for one purpose (``stream``) at one place (``index``, of any sign)."""
        return np.random.default_rng((self.seed, stream, index % 2**32))

    def curve(self, z: _Number, order: int = 0) -> _Number:
        """x of the middle of the road at ``z``, or its first or second derivative."""
        (a, v, p), (b, w, q) = self._bends
        turn = order * np.pi / 2
        return a * v**order * np.sin(v * z + p + turn) + b * w**order * np.sin(w * z + q + turn)

    def eye(self, time: float) -> float:
        """z of the camera."""
        return SPEED * time + 5 * float(np.sin(0.2 * time + self._phases[0]))

    def camera(self, time: float, size: Size) -> Camera:
        """The eye of the driver, in the right-hand lane."""
        _, sway, bob, glance, nod = self._phases
        z = self.eye(time)
        width, height = size
        return Camera(
            x=float(self.curve(z)) + LANE / 2 + 0.12 * float(np.sin(0.5 * time + sway)),
            z=z,
            height=1.5 + 0.012 * float(np.sin(4.3 * time + bob)),
            yaw=float(np.arctan(self.curve(z + 9, 1))) + 0.012 * float(np.sin(0.37 * time + glance)),
            focal=0.8 * width,
            cx=(width - 1) / 2,
            cy=(height - 1) * (0.47 + 0.0012 * float(np.sin(3.1 * time + nod))),
        )

    def _edge(self, side: int, index: int) -> float:
        return PLOT * index + float(self.rng(10 + side, index).uniform(-4, 4))

    def _house(self, side: int, index: int) -> House:
        rng = self.rng(13 + side, index)
        gap = float(rng.uniform(2, 5)) if rng.uniform() < 0.15 else 0.0
        garden = rng.uniform() < 0.1
        return House(
            key=key_of(1 + side, index),
            side=side,
            start=self._edge(side, index),
            end=self._edge(side, index + 1) - gap,
            offset=FRONTS + float(rng.choice([0.0, 0.0, 0.3, 0.8])),
            floors=0 if garden else int(rng.choice([1, 2, 3, 4, 5], p=[0.08, 0.26, 0.34, 0.22, 0.1])),
        )

    def plots(self, side: int, low: float, high: float) -> Iterator[int]:
        """Numbers of the plots on one side that meet z in [low, high], nearest first."""
        for index in range(int(low // PLOT) - 1, int(high // PLOT) + 2):
            house = self.house(side, index)
            if house.end > low and house.start < high:
                yield index

    def heights(self, low: float, high: float) -> Heights:
        """Heights of the houses on the sunny side about [low, high], softened along the street."""
        low = np.floor(low)
        table = np.zeros(int((high - low) * _TICKS), np.float32)
        side = int(np.sign(self.light.sun[0]))
        for index in self.plots(side, low, high):
            house = self.house(side, index)
            start, end = (max(0, int((z - low) * _TICKS)) for z in (house.start, house.end))
            table[start:end] = house.height
        return float(low), np.convolve(table, np.full(_TICKS, 1 / _TICKS, np.float32), mode="same")

    def shadow(self, across: np.ndarray, z: np.ndarray, heights: Heights) -> np.ndarray:
        """Share (0 ... 1) of the sun that houses keep from the ground ``across`` metres right of the road."""
        start, table = heights
        aside, up, ahead = (float(part) for part in self.light.sun)
        reach = FRONTS - np.sign(aside) * across
        toward = (z - start + reach * (ahead / abs(aside))) * _TICKS
        height = table[np.clip(toward, 0, len(table) - 1).astype(np.int32)]
        return np.clip((height - reach * (up / abs(aside))) / 1.2 + 0.5, 0, 1)

    def crossings(self, low: float, high: float) -> Iterator[tuple[int, float]]:
        """Number, and z of the middle, of each zebra crossing."""
        for index in range(int(low // CROSSINGS), int(high // CROSSINGS) + 1):
            z = CROSSINGS * index + self._crossing(index)
            if low < z < high:
                yield index, z


def key_of(stream: int, index: int) -> int:
    """A number that tells one thing from every other thing in sight, the same in every frame."""
    return 16 + stream * 2**22 + index % 2**22
