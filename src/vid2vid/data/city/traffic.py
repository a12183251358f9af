"""What stands and moves in the street: rows of numbered slots, and a slot's number seeds what is in it.

The slots of moving things travel with them: whoever goes at speed v keeps the place z - v * time. So where
everything is at any moment follows from the seed alone, and nothing is remembered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vid2vid.data.city import meshes
from vid2vid.data.city.layout import Street, key_of
from vid2vid.data.city.light import FAR
from vid2vid.data.city.meshes import Mesh
from vid2vid.data.city.people import Person
from vid2vid.data.city.textures import LANE

Pose = tuple[float, float, float]
"""x, z and yaw in metres and radians; yaw 0 looks along z."""
NEAR_ENOUGH = 150.0
"""Metres up to which cars and small things are shown."""
IDS = 8191
"""Countable things of one row before their numbers start anew: far more than are ever in sight."""


@dataclass(frozen=True)
class Row:
    """Slots ``pitch`` metres apart, filled with chance ``share``, ``across`` metres right of the middle.

    start, slack: a thing stands at ``start + chance * slack`` in its slot; spread: metres it may be aside;
    way: +1 facing along the street, -1 facing us; speed: metres a second along z; reach: in metres.
    """

    kind: str
    across: float
    pitch: float
    share: float
    start: float = 0.0
    slack: float = 0.0
    spread: float = 0.0
    way: int = 1
    speed: float = 0.0
    reach: float = NEAR_ENOUGH


def _rows() -> tuple[Row, ...]:
    rows = [Row("car", -LANE / 2, 24.0, 0.6, slack=14.0, spread=0.2, way=-1, speed=-7.0)]
    for side in (-1, 1):
        rows += [
            Row("parked", side * 4.45, 6.4, 0.5, slack=1.2, spread=0.2, way=side),
            Row(
                "person",
                side * 7.6,
                13.0,
                0.65,
                slack=11.0,
                spread=0.9,
                way=side,
                speed=1.3 * side,
                reach=110,
            ),
            Row(
                "person",
                side * 8.6,
                16.0,
                0.6,
                slack=14.0,
                spread=0.9,
                way=-side,
                speed=-1.3 * side,
                reach=110,
            ),
        ]
    countable = tuple(rows)
    for side in (-1, 1):
        rows += [
            Row("tree", side * 6.5, 12.0, 0.72, start=2.5, slack=7.0, reach=FAR),
            Row("lamp", side * 6.0, 29.0, 1.0, way=-side),
            Row("sign", side * 6.0, 23.0, 0.75, start=8.0, slack=9.0),
        ]
    assert len(countable) + 1 <= 2**16 // IDS, "their numbers must fit into 16 bits"
    return tuple(rows)


ROWS = _rows()
_AHEAD = 7
"""Stands for the cars in front of us where a row's number is asked for."""


@dataclass(frozen=True)
class Slot:
    """What is in one slot. ``shapes``: of a car in full and from afar, of a sign its post and its plate."""

    kind: str
    key: int
    instance: int
    across: float
    z: float
    chance: float
    shapes: tuple[Mesh, ...] = ()
    person: Person | None = None


@dataclass(frozen=True)
class Thing:
    """Something at its place now and, if it moves, one frame ago."""

    slot: Slot
    place: Pose
    before: Pose | None = None


class Traffic:
    """Everything that stands or moves in one street."""

    def __init__(self, street: Street) -> None:
        self.street = street
        self._phases = street.rng(2).uniform(-1, 1, 2).tolist()
        # Bounded: what the camera has passed falls out.
        self._slot = lru_cache(maxsize=256)(self._fill)
        self._standing = lru_cache(maxsize=96)(self._stand)
        self._signals = lru_cache(maxsize=16)(self._fill_signals)
        self._leader = lru_cache(maxsize=8)(self._fill_leader)

    def things(self, time: float, step: float) -> Iterator[Thing]:
        """What can be in sight at ``time``; ``step``: seconds since the last frame."""
        eye = self.street.eye(time)
        for number, row in enumerate(ROWS):
            drift = row.speed * time
            first, last = int((eye - 3 - drift) // row.pitch), int((eye + row.reach - drift) // row.pitch)
            for index in range(first - 1, last + 1):
                slot = self._slot(number, index)
                if slot is None or not eye - 3 < slot.z + drift < eye + row.reach:
                    continue
                if row.speed == 0:
                    yield self._standing(number, index)
                else:
                    place = self._pose(row, slot.across, slot.z + drift)
                    yield Thing(slot, place, self._pose(row, slot.across, slot.z + drift - row.speed * step))
        yield from self._ahead(time, step)
        for index, z in self.street.crossings(eye - 3, eye + NEAR_ENOUGH):
            for side in (-1, 1):
                x = float(self.street.curve(z)) + side * 6.0
                yield Thing(self._signals(side, index), (x, z - 2.2, 0.0))

    def _fill(self, number: int, index: int) -> Slot | None:
        row = ROWS[number]
        rng = self.street.rng(100 + number, index)
        there, chance, aside = rng.uniform(size=3).tolist()
        z = row.pitch * index + row.start + row.slack * chance
        if there > row.share or (row.kind == "parked" and any(self.street.crossings(z - 5, z + 5))):
            return None
        across = row.across + row.spread * (aside - 0.5)
        instance = 1 + IDS * number + index % IDS if row.kind in ("car", "parked", "person") else 0
        shapes: tuple[Mesh, ...] = ()
        if row.kind in ("car", "parked"):
            shapes = meshes.car(rng)
        elif row.kind == "lamp":
            shapes = (meshes.lamp(),)
        elif row.kind == "sign":
            high = rng.uniform(2.3, 2.7)
            shapes = (meshes.post(high + 0.3), meshes.plate(rng, high))
        person = Person.random(rng, row.way) if row.kind == "person" else None
        return Slot(row.kind, key_of(50 + number, index), instance, across, z, chance, shapes, person)

    def _stand(self, number: int, index: int) -> Thing:
        slot = self._slot(number, index)
        assert slot is not None
        return Thing(slot, self._pose(ROWS[number], slot.across, slot.z))

    def _pose(self, row: Row, across: float, z: float) -> Pose:
        x = float(self.street.curve(z)) + across
        if row.kind in ("car", "parked"):
            return x, z, float(np.arctan(self.street.curve(z, 1))) + np.pi * (row.way < 0)
        if row.kind == "lamp":  # its arm reaches over the road
            return x, z, np.pi * (across > 0)
        return x, z, 0.0

    def _fill_signals(self, side: int, index: int) -> Slot:
        shapes = meshes.post(2.3), meshes.signals(self.street.rng(40, index))
        return Slot("sign", key_of(30 + side, index), 0, side * 6.0, 0.0, 0.0, shapes)

    def _fill_leader(self, index: int) -> Slot:
        shapes = meshes.car(self.street.rng(45, index))
        return Slot("car", key_of(45, index), 1 + IDS * _AHEAD + index % IDS, LANE / 2, 0.0, 0.0, shapes)

    def _ahead(self, time: float, step: float) -> Iterator[Thing]:
        """The two cars in front of us: we come up to them, then they draw away and others follow."""

        def place(moment: float, second: bool) -> tuple[float, float]:
            turn = moment / 110 + 0.09 * self._phases[0]
            gap = 12.5 + 75 * (1 - float(np.cos(2 * np.pi * turn)))
            gap += second * (13 + 5 * float(np.sin(moment / 9 + 3 * self._phases[1])))
            return gap, self.street.eye(moment) + gap

        row = Row("car", LANE / 2, 1.0, 1.0)
        for second in (False, True):
            (gap, z), (_, last) = place(time, second), place(time - step, second)
            if gap < NEAR_ENOUGH:
                slot = self._leader(2 * round(time / 110 + 0.09 * self._phases[0]) + second)
                yield Thing(slot, self._pose(row, LANE / 2, z), self._pose(row, LANE / 2, last))
