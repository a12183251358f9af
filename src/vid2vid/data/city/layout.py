"""Where everything in the endless street is, as pure functions of seed, place and time: nothing is remembered.

The middle of the road runs along x = curve(z). Things stand in numbered slots along it; a slot's number seeds what
is in it. Moving things live in slots that travel: whoever drives at speed v has the fixed place z - v * time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vid2vid.data.city import meshes
from vid2vid.data.city.camera import Camera
from vid2vid.data.city.facades import height_of
from vid2vid.data.city.meshes import Mesh
from vid2vid.data.city.people import Person
from vid2vid.data.city.textures import LANE
from vid2vid.types import Size

FAR = 230.0
"""Metres to where the haze has swallowed everything."""
NEAR_ENOUGH = 150.0
"""Metres up to which cars, people and small things are shown."""
FRONTS = 9.6
"""From the middle of the road to the fronts of the houses, metres."""
HOUSE = 14.0
"""Mean width of a plot, metres."""
SPEED = 8.0
"""Of the camera, metres a second, on average."""


@dataclass(frozen=True)
class Light:
    """Sun, shade and air. Colours are RGB; ``direct`` and ``ambient`` are factors on a surface's colour."""

    sun: np.ndarray
    direct: np.ndarray
    ambient: np.ndarray
    zenith: np.ndarray
    haze: np.ndarray
    cover: float

    def on(self, normals: np.ndarray, shadow: float | np.ndarray = 0.0) -> np.ndarray:
        """Factors (..., 3) for surfaces with unit ``normals`` (..., 3)."""
        facing = np.clip(1.3 * (normals @ self.sun), 0, 1) * (1 - shadow)
        return self.ambient + self.direct * np.asarray(facing)[..., None]

    def veil(self, depth: np.ndarray) -> np.ndarray:
        """Share of haze between the eye and ``depth`` metres."""
        clear = np.exp(-((depth / 210) ** 1.5))
        return 1 - clear * (1 - np.clip((depth / FAR - 0.7) / 0.3, 0, 1) ** 2)

    def through_air(self, colours: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Colours (..., 3) as seen ``depth`` (...) metres away, 0 ... 255."""
        veil = self.veil(np.maximum(depth, 0))[..., None]
        return np.clip(colours * (1 - veil) + self.haze * veil, 0, 255)


@dataclass(frozen=True)
class House:
    """A plot: z from ``start`` to ``end`` on ``side`` (+1 right, -1 left); ``floors`` 0 = no house but a garden."""

    key: int
    side: int
    start: float
    end: float
    offset: float
    floors: int

    @property
    def height(self) -> float:
        return height_of(self.floors) if self.floors else 0.0

    def hidden_by(self, nearer: House | None) -> bool:
        """Whether the next house towards the camera covers the flank of this one."""
        return (
            nearer is not None
            and nearer.end == self.start
            and nearer.height >= self.height
            and nearer.offset <= self.offset
        )


@dataclass(frozen=True)
class Thing:
    """Something standing or moving: its shape in full and from afar, its place now and one frame ago (x, z, yaw)."""

    key: int
    kind: str
    instance: int
    across: float
    """Metres from the middle of the road, to the right."""
    place: tuple[float, float, float]
    before: tuple[float, float, float]
    shape: tuple[Mesh, ...] | None = None
    person: Person | None = None
    variant: int = 0
    scale: float = 1.0


class Street:
    """The plan of one city."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = np.random.default_rng((seed, 1))
        self._bends = [
            (rng.uniform(6, 10), 2 * np.pi / rng.uniform(260, 340), rng.uniform(0, 6.28)),
            (rng.uniform(1.5, 3), 2 * np.pi / rng.uniform(120, 160), rng.uniform(0, 6.28)),
        ]
        self._phases = rng.uniform(0, 2 * np.pi, 8)
        self.light = _light(rng)
        # One cache of what fills a slot, bounded: slots behind the camera fall out of it.
        self._slot = lru_cache(maxsize=1024)(self._fill)
        self.house = lru_cache(maxsize=256)(self._house)

    def curve(self, z: np.ndarray | float, order: int = 0) -> np.ndarray | float:
        """x of the middle of the road at ``z``, or its first or second derivative."""
        waves = [a * w**order * np.sin(w * z + p + order * np.pi / 2) for a, w, p in self._bends]
        return sum(waves[1:], waves[0])

    def camera(self, time: float, size: Size) -> Camera:
        """The eye of the driver, in the right-hand lane."""
        p = self._phases
        z = SPEED * time + 5 * float(np.sin(0.2 * time + p[0]))
        x = float(self.curve(z)) + LANE / 2 + 0.12 * float(np.sin(0.5 * time + p[1]))
        width, height = size
        return Camera(
            x=x,
            z=z,
            height=1.5 + 0.012 * float(np.sin(4.3 * time + p[2])),
            yaw=float(np.arctan(self.curve(z + 9, 1))) + 0.012 * float(np.sin(0.37 * time + p[3])),
            focal=0.8 * width,
            cx=(width - 1) / 2,
            cy=(height - 1) * (0.47 + 0.0012 * float(np.sin(3.1 * time + p[4]))),
        )

    def _rng(self, stream: int, index: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, stream, index % 2**32))

    def _edge(self, side: int, index: int) -> float:
        return HOUSE * index + self._rng(10 + side, index).uniform(-4, 4)

    def _house(self, side: int, index: int) -> House:
        rng = self._rng(13 + side, index)
        gap = rng.uniform(2, 5) if rng.uniform() < 0.15 else 0.0
        garden = rng.uniform() < 0.1
        return House(
            key=_key(1 + side, index),
            side=side,
            start=self._edge(side, index),
            end=self._edge(side, index + 1) - gap,
            offset=FRONTS + rng.choice([0.0, 0.0, 0.3, 0.8]),
            floors=0 if garden else int(rng.choice([1, 2, 3, 4, 5], p=[0.08, 0.26, 0.34, 0.22, 0.1])),
        )

    def houses(self, side: int, low: float, high: float) -> Iterator[House]:
        """Plots on one side that meet z in [low, high], nearest first."""
        for index in range(int(low // HOUSE) - 1, int(high // HOUSE) + 2):
            house = self.house(side, index)
            if house.end > low and house.start < high:
                yield house

    def shadow(self, x: np.ndarray, z: np.ndarray, heights: tuple[float, np.ndarray]) -> np.ndarray:
        """Share of the sun that the houses keep from ground points (distance across, z): 0 ... 1."""
        start, table = heights
        sun = self.light.sun
        reach = FRONTS - float(np.sign(sun[0])) * x
        toward = (z - start + reach * float(sun[2] / abs(sun[0]))) * 4
        height = table[np.clip(toward, 0, len(table) - 1).astype(np.int32)]
        return np.clip((height - reach * float(sun[1] / abs(sun[0]))) / 1.2 + 0.5, 0, 1)

    def heights(self, low: float, high: float) -> tuple[float, np.ndarray]:
        """Heights of the houses on the sunny side every 0.25 m from ``low``, softened: (low, table)."""
        table = np.zeros(int((high - low) * 4), np.float32)
        for house in self.houses(int(np.sign(self.light.sun[0])), low, high):
            table[max(0, int((house.start - low) * 4)) : max(0, int((house.end - low) * 4))] = house.height
        return low, np.convolve(table, np.full(5, 0.2, np.float32), mode="same")

    def crossings(self, low: float, high: float) -> Iterator[float]:
        """z of the middle of each zebra crossing."""
        for index in range(int(low // 84), int(high // 84) + 1):
            z = 84 * index + self._rng(20, index).uniform(20, 64)
            if low < z < high:
                yield z

    def things(self, time: float, step: float, eye: float) -> Iterator[Thing]:
        """Everything near the road at ``time`` s, seen from z = ``eye``; ``step``: seconds since the last frame."""
        low, high = eye - 3, eye + NEAR_ENOUGH
        for side in (-1, 1):
            yield from self._standing(30 + side, 12.0, "tree", side * 6.5, low, eye + FAR)
            yield from self._standing(33 + side, 29.0, "lamp", side * 6.0, low, high)
            yield from self._standing(36 + side, 23.0, "sign", side * 6.0, low, high)
            yield from self._moving(
                0 if side < 0 else 1, 6.4, "parked", side * 4.45, 0.0, time, step, low, high
            )
            for way in (-1, 1):
                stream = 2 + (side > 0) + 2 * (way > 0)
                across = side * (7.6 if way == side else 8.6)
                yield from self._moving(stream, 16.0, "person", across, 1.3 * way, time, step, low, low + 110)
        yield from self._moving(6, 24.0, "car", -LANE / 2, -7.0, time, step, low, high)
        yield from self._ahead(time, step)
        for z in self.crossings(low, high):
            for side in (-1, 1):
                place = (float(self.curve(z)) + side * 6.0, z - 2.2, 0.0)
                yield Thing(_key(8 + side, round(z)), "signals", 0, side * 6.0, place, place, self._slot("signals", 40 + side, round(z))[1])  # fmt: skip

    def _fill(
        self, kind: str, stream: int, index: int
    ) -> tuple[bool, tuple[Mesh, ...] | None, Person | None, float]:
        """What a slot holds: whether anything, its shapes, its person, and where in the slot (0 ... 1)."""
        rng = self._rng(100 + stream, index)
        share = {"tree": 0.72, "lamp": 1.0, "sign": 0.75, "parked": 0.5, "person": 0.6, "car": 0.6}.get(
            kind, 1.0
        )
        there, jitter = bool(rng.uniform() < share), float(rng.uniform())
        if kind in ("parked", "car"):
            return there, meshes.car(rng), None, jitter
        if kind == "person":
            return there, None, Person.random(rng, 1.0 if stream in (4, 5) else -1.0), jitter
        if kind == "sign":
            high = rng.uniform(2.3, 2.7)
            return there, (meshes.post(high + 0.3), meshes.plate(rng, high)), None, jitter
        if kind == "signals":
            return there, (meshes.post(2.3), meshes.signals(rng)), None, jitter
        return there, (meshes.lamp(),) if kind == "lamp" else None, None, jitter

    def _standing(
        self, stream: int, pitch: float, kind: str, across: float, low: float, high: float
    ) -> Iterator[Thing]:
        for index in range(int(low // pitch), int(high // pitch) + 1):
            there, shape, _, jitter = self._slot(kind, stream, index)
            room = {"tree": (2.5, 7.0), "lamp": (0.0, 0.0), "sign": (8.0, 9.0)}[kind]
            z = pitch * index + room[0] + jitter * room[1]
            if there and low < z < high:
                yaw = 0.0 if across < 0 else np.pi  # lamps reach over the road
                place = (float(self.curve(z)) + across, z, yaw if kind == "lamp" else 0.0)
                yield Thing(_key(stream, index), kind, 0, across, place, place, shape, variant=index % 2**20, scale=0.8 + 0.5 * jitter)  # fmt: skip

    def _moving(
        self, stream: int, pitch: float, kind: str, across: float, speed: float, time: float, step: float, low: float, high: float
    ) -> Iterator[Thing]:  # fmt: skip
        drift = speed * time
        for index in range(int((low - drift) // pitch), int((high - drift) // pitch) + 1):
            there, shape, person, jitter = self._slot(kind, stream, index)
            slack = {"parked": 1.2, "person": 14.0, "car": 14.0}[kind]
            z = pitch * index + jitter * slack + drift
            if not there or not low < z < high:
                continue
            aside = across + (jitter * 7 % 1 - 0.5) * (0.8 if kind == "person" else 0.2)
            back = kind != "person" and across < 0
            place, before = self._pose(aside, z, back), self._pose(aside, z - speed * step, back)
            if kind == "person":  # they keep facing along the street's mean direction
                place, before = (*place[:2], 0.0), (*before[:2], 0.0)
            yield Thing(
                key=_key(50 + stream, index), kind=kind, instance=1 + 8191 * stream + index % 8191, across=aside,
                place=place, before=before, shape=shape, person=person,
            )  # fmt: skip

    def _ahead(self, time: float, step: float) -> Iterator[Thing]:
        """The cars in front of us: we come up to them, then they draw away and others follow."""

        def gap(moment: float, second: bool) -> float:
            turn = moment / 110 + (self._phases[5] - np.pi) * 0.03
            return (
                12.5
                + 75 * (1 - np.cos(2 * np.pi * turn))
                + second * (13 + 5 * np.sin(moment / 9 + self._phases[6]))
            )

        for second in (False, True):
            index = 2 * round(time / 110 + (self._phases[5] - np.pi) * 0.03) + second
            z = self.camera(time, (2, 2)).z + gap(time, second)
            if z - self.camera(time, (2, 2)).z > NEAR_ENOUGH:
                continue
            last = self.camera(time - step, (2, 2)).z + gap(time - step, second)
            yield Thing(
                key=_key(57, index), kind="car", instance=1 + 8191 * 7 + index % 8191, across=LANE / 2,
                place=self._pose(LANE / 2, z, False), before=self._pose(LANE / 2, last, False),
                shape=self._slot("car", 7, index)[1],
            )  # fmt: skip

    def _pose(self, across: float, z: float, back: bool) -> tuple[float, float, float]:
        return float(self.curve(z)) + across, z, float(np.arctan(self.curve(z, 1))) + np.pi * back


def _key(stream: int, index: int) -> int:
    """A number that tells one thing from every other thing in sight, the same in every frame."""
    return 16 + stream * 2**22 + index % 2**22


def _light(rng: np.random.Generator) -> Light:
    side = rng.choice([-1.0, 1.0])
    azimuth, height = np.radians(rng.uniform(62, 122)), np.radians(rng.uniform(42, 56))
    warm, cover = rng.uniform(0, 1), rng.uniform(0.1, 0.75)
    strength = 1.08 - 0.3 * cover
    return Light(
        sun=np.array(
            [side * np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)]
        ),
        direct=strength * (np.array([0.62, 0.585, 0.53]) + warm * np.array([0.04, 0.0, -0.05])),
        ambient=np.array([0.52, 0.55, 0.61]) + cover * np.array([0.07, 0.06, 0.04]),
        zenith=np.array([82, 132, 196]) + cover * np.array([46, 30, 8]),
        haze=np.array([206, 214, 222]) + warm * np.array([12, 2, -14]),
        cover=cover,
    )
