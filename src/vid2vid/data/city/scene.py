"""From the plan of the street to one painted canvas: sky, ground, houses and things, farthest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial

import numpy as np

from vid2vid.data.city import textures
from vid2vid.data.city.backdrop import Backdrop
from vid2vid.data.city.bodies import Bodies, Body
from vid2vid.data.city.canvas import Canvas, Surface
from vid2vid.data.city.classes import BUILDING, CAR, FENCE, PEDESTRIAN, POLE, SIGN, TREE, WINDOW
from vid2vid.data.city.facades import facade
from vid2vid.data.city.layout import Heights, House, Street
from vid2vid.data.city.light import FAR
from vid2vid.data.city.people import walk
from vid2vid.data.city.ripmap import Ripmap
from vid2vid.data.city.traffic import Slot, Thing, Traffic
from vid2vid.data.city.walls import Wall, Walls
from vid2vid.types import Size

DETAIL = 36.0
"""Metres up to which cars are painted in full."""
ASIDE = 0.6
"""How much farther a thing counts, per metre beside the road's middle, when it is decided what hides what."""
TREES = 6
"""Kinds of trees."""


class Scene:
    """The street with its textures, ready to be painted at any moment."""

    def __init__(self, street: Street, size: Size) -> None:
        self.street, self.size, self.light = street, size, street.light
        # Pictures larger than 512 x 256 get finer textures, within reason.
        self.detail = float(np.clip(round(max(size[0] / 512, size[1] / 256)), 1, 4))
        self._traffic = Traffic(street)
        self._backdrop = Backdrop(street, self.detail)
        density = 40.0 * min(self.detail, 2.0)
        sun_x = float(self.light.sun[0])
        self._trees = [
            Ripmap(textures.tree(street.rng(4, kind), density, sun_x), density) for kind in range(TREES)
        ]
        self._hedge = Ripmap(textures.hedge(street.rng(5), 40.0), 40.0)
        # As many as can be in sight; what the camera has passed falls out.
        self._plot = lru_cache(maxsize=44)(self._walls_of)
        self._tree = lru_cache(maxsize=48)(self._wall_of)

    def paint(self, time: float, step: float) -> Canvas:
        """The canvas at ``time`` seconds; ``step``: seconds since the frame before."""
        camera = self.street.camera(time, self.size)
        canvas = Canvas(camera, self.size)
        heights = self.street.heights(camera.z - 25, camera.z + FAR + 25)
        things = list(self._traffic.things(time, step))
        lit = self._sunshine(things, heights)
        self._backdrop.paint_sky(canvas)
        self._backdrop.paint_ground(canvas, heights)
        self._backdrop.paint_crossings(canvas, heights)
        self._backdrop.shade(canvas, things, lit)

        upright = [*self._houses(camera.z)]
        upright += [
            self._tree(thing, round(share, 2))
            for thing, share in zip(things, lit, strict=True)
            if thing.slot.kind == "tree" and thing.place[1] > camera.z + 1
        ]
        walls = Walls(canvas, upright, self.light)
        bodies = Bodies(canvas, self._bodies(things, lit, time, step, camera.z), self.light)
        jobs: list[tuple[float, Callable[[], None]]] = [
            *((wall.order, partial(walls.paint, index)) for index, wall in enumerate(walls.walls)),
            *((body.order, partial(bodies.paint, index)) for index, body in enumerate(bodies.bodies)),
        ]
        for _, job in sorted(jobs, key=lambda entry: -entry[0]):
            job()
        return canvas

    def _sunshine(self, things: list[Thing], heights: Heights) -> list[float]:
        """Share of the sun (N,) at the foot of each thing, changing softly along the street."""
        across = np.array([[thing.slot.across] for thing in things])
        z = np.array([[thing.place[1]] for thing in things]) + np.linspace(-2.5, 2.5, 5)
        return (1 - self.street.shadow(np.repeat(across, 5, axis=1), z, heights).mean(axis=1)).tolist()

    def _houses(self, eye: float) -> Iterator[Wall]:
        for side in (-1, 1):
            for index in self.street.plots(side, eye + 0.5, eye + FAR):
                front, *flank = self._plot(side, index)
                yield front
                if flank and self.street.house(side, index).start > eye + 1:
                    yield flank[0]

    def _walls_of(self, side: int, index: int) -> list[Wall]:
        """The front of a house, and its flank if that can be seen; or the hedge of a garden."""
        house, nearer = self.street.house(side, index), self.street.house(side, index - 1)
        z = np.array([house.start, house.end])
        x = self.street.curve(z) + side * house.offset
        ends = (float(x[0]), house.start), (float(x[1]), house.end)
        normal = np.array([side * (z[0] - z[1]), 0.0, side * (x[1] - x[0])])
        light, order = self.light.on(normal / np.linalg.norm(normal)), ASIDE * house.offset
        if not house.floors:
            surface = Surface(FENCE, house.key)
            return [Wall(ends, 1.6, self._hedge, surface, light, house.end + order, side)]
        texture, surface = self._front(house), Surface(BUILDING, house.key, second=WINDOW)
        walls = [Wall(ends, house.height, texture, surface, light, house.end + order, side)]
        if not nearer.hides_flank(house):
            back = ends[0], (ends[0][0] + side * 9.0, house.start)
            dark = 0.9 * self.light.on(np.array([0.0, 0.0, -1.0]))
            walls.append(Wall(back, house.height, texture, surface, dark, house.start + order))
        return walls

    def _front(self, house: House) -> Ripmap:
        density = 20.0 * min(self.detail, 3.0)
        rng = self.street.rng(6, house.key)
        return Ripmap(facade(rng, house.end - house.start, house.floors, density), density)

    def _wall_of(self, tree: Thing, share: float) -> Wall:
        (x, z, _), scale = tree.place, 0.8 + 0.5 * tree.slot.chance
        light = self.light.ambient + self.light.direct * (0.45 + 0.4 * share)
        half, order = 2.6 * scale, z + ASIDE * abs(tree.slot.across)
        texture, surface = self._trees[tree.slot.key % TREES], Surface(TREE, tree.slot.key)
        ends = (x - half, z), (x + half, z)
        return Wall(ends, 7.0 * scale, texture, surface, light, order, cutout=True, scale=scale)

    def _bodies(
        self, things: list[Thing], lit: list[float], time: float, step: float, eye: float
    ) -> list[Body]:
        bodies = []
        walkers = [thing.slot.person for thing in things if thing.slot.person is not None]
        gait = iter(zip(walk(walkers, time), walk(walkers, time - step), strict=True) if walkers else ())
        for thing, share in zip(things, lit, strict=True):
            slot, z = thing.slot, thing.place[1]
            order = z + ASIDE * abs(slot.across)
            if slot.person is not None:
                now, last = next(gait)
                surface = Surface(PEDESTRIAN, slot.key, slot.instance)
                body = Body(slot.person.mesh, thing.place, surface, share, order, thing.before, now, last)
                bodies.append(body)
            elif slot.instance:
                mesh = slot.shapes[int(z - eye > DETAIL)]
                surface = Surface(CAR, slot.key, slot.instance)
                # A car hides what stands beside it from its near end on.
                bodies.append(Body(mesh, thing.place, surface, share, order - mesh.radius, thing.before))
            else:
                bodies.extend(_poles(slot, thing, share, order))
        return bodies


def _poles(slot: Slot, thing: Thing, share: float, order: float) -> Iterator[Body]:
    """A post and what it carries, in front of it."""
    for mesh, label in zip(slot.shapes, (POLE, SIGN), strict=False):
        yield Body(mesh, thing.place, Surface(label, slot.key), share, order - 0.01 * label)
