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
from vid2vid.data.city.layout import FAR, House, Street, Thing
from vid2vid.data.city.ripmap import Ripmap
from vid2vid.data.city.walls import Wall, Walls
from vid2vid.types import Size

DETAIL = 40.0
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
        self._backdrop = Backdrop(street, self.detail)
        density = 40.0 * min(self.detail, 2.0)
        self._trees = [
            Ripmap(
                textures.tree(np.random.default_rng((street.seed, 4, kind)), density, street.light.sun[0]),
                density,
            )
            for kind in range(TREES)
        ]
        self._hedge = Ripmap(textures.hedge(np.random.default_rng((street.seed, 5)), 40.0), 40.0)
        # As many fronts as can be in sight; those behind the camera fall out.
        self._front = lru_cache(maxsize=64)(self._paint_front)

    def _paint_front(self, house: House) -> Ripmap:
        density = 20.0 * min(self.detail, 3.0)
        rng = np.random.default_rng((self.street.seed, 6, house.key))
        return Ripmap(facade(rng, house.end - house.start, house.floors, density), density)

    def paint(self, time: float, step: float) -> Canvas:
        """The canvas at ``time`` seconds; ``step``: seconds since the frame before."""
        camera = self.street.camera(time, self.size)
        canvas = Canvas(camera, self.size)
        heights = self.street.heights(camera.z - 25, camera.z + FAR + 25)
        things = list(self.street.things(time, step, camera.z))
        lit = self._sunshine(things, heights)
        self._backdrop.paint_sky(canvas)
        self._backdrop.paint_ground(canvas, heights)
        self._backdrop.paint_crossings(canvas, heights)
        self._backdrop.shade(canvas, things, lit)

        walls = Walls(canvas, [*self._houses(camera.z), *self._greenery(things, lit, camera.z)], self.light)
        bodies = [body for thing, share in zip(things, lit, strict=True) for body in self._bodies(thing, float(share), time, step, camera.z)]  # fmt: skip
        painter = Bodies(canvas, bodies, self.light)
        jobs: list[tuple[float, Callable[[], None]]] = [
            *((wall.order, partial(walls.paint, index)) for index, wall in enumerate(walls.walls)),
            *((body.order, partial(painter.paint, index)) for index, body in enumerate(bodies)),
        ]
        for _, job in sorted(jobs, key=lambda entry: -entry[0]):
            job()
        return canvas

    def _sunshine(self, things: list[Thing], heights: tuple[float, np.ndarray]) -> np.ndarray:
        """Share of the sun (N,) at the foot of each thing, smooth along the street."""
        around = np.linspace(-2.5, 2.5, 5)
        across = np.repeat([[thing.across] for thing in things], 5, axis=1)
        z = np.array([[thing.place[1]] for thing in things]) + around
        return 1 - self.street.shadow(across, z, heights).mean(axis=1)

    def _houses(self, eye: float) -> Iterator[Wall]:
        for side in (-1, 1):
            nearer: House | None = None
            for house in self.street.houses(side, eye + 0.5, eye + FAR):
                ends = np.array([house.start, house.end])
                x = np.asarray(self.street.curve(ends)) + side * house.offset
                front = ((float(x[0]), house.start), (float(x[1]), house.end))
                along = np.array([x[1] - x[0], house.end - house.start])
                normal = np.array([-side * along[1], 0.0, side * along[0]]) / np.linalg.norm(along)
                light, order = self.light.on(normal), ASIDE * house.offset
                if house.floors:
                    texture, surface = self._front(house), Surface(BUILDING, house.key, second=WINDOW)
                    yield Wall(front, house.height, texture, surface, light, house.end + order, side)
                    if house.start > eye + 1 and not house.hidden_by(nearer):
                        flank = (front[0], (front[0][0] + side * 9.0, house.start))
                        dim = 0.9 * self.light.on(np.array([0.0, 0.0, -1.0]))
                        yield Wall(flank, house.height, texture, surface, dim, house.start + order)
                else:
                    yield Wall(
                        front, 1.6, self._hedge, Surface(FENCE, house.key), light, house.end + order, side
                    )
                nearer = house

    def _greenery(self, things: list[Thing], lit: np.ndarray, eye: float) -> Iterator[Wall]:
        for thing, share in zip(things, lit, strict=True):
            x, z, _ = thing.place
            if thing.kind == "tree" and z > eye + 1:
                light = self.light.ambient + self.light.direct * (0.45 + 0.4 * share)
                half = 2.6 * thing.scale
                yield Wall(
                    ((x - half, z), (x + half, z)), 7.0 * thing.scale, self._trees[thing.variant % TREES],
                    Surface(TREE, thing.key), light, z + ASIDE * abs(thing.across), cutout=True, scale=thing.scale,
                )  # fmt: skip

    def _bodies(self, thing: Thing, lit: float, time: float, step: float, eye: float) -> Iterator[Body]:
        x, z, _ = thing.place
        order = z + ASIDE * abs(thing.across)
        if thing.person is not None:
            surface = Surface(PEDESTRIAN, thing.key, thing.instance)
            now, last = thing.person.mesh(time), thing.person.mesh(time - step)
            yield Body(now, thing.place, surface, lit, order, thing.before, last)
        elif thing.shape is None:
            return
        elif thing.kind in ("car", "parked"):
            mesh = thing.shape[int(z - eye > DETAIL)]
            before = thing.before if thing.before != thing.place else None
            yield Body(
                mesh, thing.place, Surface(CAR, thing.key, thing.instance), lit, order - mesh.radius, before
            )
        else:
            for mesh, label in zip(thing.shape, (POLE, SIGN), strict=False):
                yield Body(mesh, thing.place, Surface(label, thing.key), lit, order - 0.01 * label)
