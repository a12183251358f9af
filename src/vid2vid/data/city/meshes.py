"""Flat-faced bodies: cars, people, lamps, signs. Local axes: x right, y up, z forward; metres."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

CORNERS = 12
"""Every polygon is kept with this many corners; shorter ones repeat their last."""

Tint = tuple[float, float, float]

GLASS, TYRE, DARK, CHROME = (46, 56, 66), (28, 28, 30), (34, 34, 36), (176, 180, 184)
PAINTS = (
    (168, 26, 30), (28, 62, 128), (226, 226, 224), (26, 28, 32), (124, 130, 136), (186, 190, 194),
    (24, 84, 74), (206, 168, 60), (92, 32, 42), (66, 92, 120), (222, 212, 190), (196, 92, 34),
)  # fmt: skip


def dim(tint: Tint, factor: float) -> Tint:
    """A colour made darker or brighter."""
    red, green, blue = tint
    return factor * red, factor * green, factor * blue


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross products (N, 3); quicker than numpy's for few vectors."""
    (ax, ay, az), (bx, by, bz) = a.T, b.T
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


@dataclass(frozen=True, eq=False)
class Mesh:
    """Convex polygons in the order they are painted.

    points: (N, CORNERS, 3); counts: (N,) corners in use; colours: (N, 3) RGB; normals: (N, 3) unit, outward;
    lit: (N,) how much light matters (0: a lamp that shines by itself); open: (N,) seen from both sides.
    """

    points: np.ndarray
    counts: np.ndarray
    colours: np.ndarray
    normals: np.ndarray
    lit: np.ndarray
    open: np.ndarray

    @cached_property
    def radius(self) -> float:
        """Metres from the origin to the farthest corner on the ground plane."""
        return float(np.hypot(self.points[..., 0], self.points[..., 2]).max())


class MeshBuilder:
    """Collects polygons; every ``add`` paints over what was added before."""

    def __init__(self) -> None:
        self._faces: list[tuple[np.ndarray, Tint, np.ndarray, float, bool]] = []

    def add(
        self,
        corners: np.ndarray,
        tint: Tint,
        *,
        out: np.ndarray | None = None,
        lit: float = 1.0,
        open: bool = False,
    ) -> np.ndarray:
        """A convex polygon (K, 3), turned so that it faces along ``out``; returns its corners in order."""
        corners = np.asarray(corners, float)
        normal = cross(corners[1] - corners[0], corners[2] - corners[0])
        normal /= np.linalg.norm(normal)
        if out is not None and normal @ out < 0:
            corners, normal = corners[::-1], -normal
        self._faces.append((corners, tint, normal, lit, open))
        return corners

    def frustum(
        self,
        low: tuple[float, float, float, float],
        high: tuple[float, float, float, float],
        tint: Tint,
        **kind: float,
    ) -> dict[str, np.ndarray]:
        """A box that may taper: ``low`` and ``high`` are (y, half width, z back, z front). Its faces by name.

        Corners of the four walls run bottom left, bottom right, top right, top left as seen from outside.
        """
        (y0, w0, b0, f0), (y1, w1, b1, f1) = low, high
        walls = {
            "front": ([(w0, y0, f0), (-w0, y0, f0), (-w1, y1, f1), (w1, y1, f1)], (0, 0, 1)),
            "left": ([(-w0, y0, f0), (-w0, y0, b0), (-w1, y1, b1), (-w1, y1, f1)], (-1, 0, 0)),
            "right": ([(w0, y0, b0), (w0, y0, f0), (w1, y1, f1), (w1, y1, b1)], (1, 0, 0)),
            "top": ([(-w1, y1, b1), (w1, y1, b1), (w1, y1, f1), (-w1, y1, f1)], (0, 1, 0)),
            "back": ([(-w0, y0, b0), (w0, y0, b0), (w1, y1, b1), (-w1, y1, b1)], (0, 0, -1)),
        }
        faces = {}
        for name, (corners, out) in walls.items():
            faces[name] = np.array(corners, float)
            self.add(faces[name], tint, out=np.array(out, float), **kind)  # type: ignore[arg-type]
        return faces

    def patch(
        self,
        wall: np.ndarray,
        left: float,
        right: float,
        low: float,
        high: float,
        tint: Tint,
        *,
        lit: float = 1.0,
    ) -> None:
        """A rectangle on a wall of four corners, in shares of its width and height."""
        share = np.array([[left, low], [right, low], [right, high], [left, high]])
        bottom = wall[0] + share[:, :1] * (wall[1] - wall[0])
        top = wall[3] + share[:, :1] * (wall[2] - wall[3])
        out = cross(wall[3] - wall[0], wall[1] - wall[0])  # these axes are left-handed
        self.add(bottom + share[:, 1:] * (top - bottom), tint, out=out, lit=lit)

    def disc(
        self, centre: Tint, radius: float, axis: int, tint: Tint, *, sign: float = 1.0, open: bool = False
    ) -> None:
        """A round plate across ``axis`` (0: x, 2: z), facing along it with ``sign``."""
        turn = np.arange(CORNERS) * (2 * np.pi / CORNERS) + np.pi / CORNERS
        ring = np.zeros((CORNERS, 3))
        ring[:, 2 - axis], ring[:, 1] = radius * np.cos(turn), radius * np.sin(turn)
        out = np.zeros(3)
        out[axis] = sign
        self.add(ring + np.array(centre), tint, out=out, open=open)

    def mesh(self) -> Mesh:
        corners, tints, normals, lit, open_ = zip(*self._faces, strict=True)
        padded = [np.vstack([face, np.repeat(face[-1:], CORNERS - len(face), axis=0)]) for face in corners]
        return Mesh(
            points=np.stack(padded),
            counts=np.array([len(face) for face in corners]),
            colours=np.array(tints, float),
            normals=np.stack(normals),
            lit=np.array(lit, float),
            open=np.array(open_, bool),
        )


def car(rng: np.random.Generator) -> tuple[Mesh, Mesh]:
    """A car facing +z, its middle at the origin: (in full, simplified for far away)."""
    paint = dim(PAINTS[rng.integers(len(PAINTS))], rng.uniform(0.85, 1.1))
    kind = rng.choice(["hatch", "saloon", "estate", "van"], p=[0.34, 0.3, 0.2, 0.16])
    long, wide, tall, bonnet = {
        "hatch": (3.9, 0.86, 1.48, 0.88), "saloon": (4.5, 0.88, 1.43, 0.88),
        "estate": (4.5, 0.88, 1.52, 0.9), "van": (4.9, 0.95, 2.05, 1.08),
    }[kind]  # fmt: skip
    back, front = -long / 2, long / 2
    # Where the cabin stands on the body, and where its roof begins and ends (z, back and front).
    stand = {"hatch": (back + 0.06, front - 1.0), "saloon": (back + 0.75, front - 1.2)}.get(
        kind, (back + 0.05, front - 0.95)
    )
    roof = {"hatch": (back + 0.5, front - 1.75), "saloon": (back + 1.45, front - 2.0)}.get(
        kind, (back + 0.3, front - 1.7)
    )
    return tuple(  # type: ignore[return-value]
        _car(paint, wide, tall, bonnet, (back, front), stand, roof, detailed) for detailed in (True, False)
    )


def _car(
    paint: Tint, wide: float, tall: float, bonnet: float,
    ends: tuple[float, float], stand: tuple[float, float], roof: tuple[float, float], detailed: bool,
) -> Mesh:  # fmt: skip
    back, front = ends
    build = MeshBuilder()
    build.frustum(
        (0.14, wide - 0.12, back + 0.12, front - 0.12), (0.4, wide - 0.08, back + 0.1, front - 0.1), DARK
    )
    lower = build.frustum((0.27, wide - 0.04, back + 0.04, front - 0.05), (0.62, wide, back, front), paint)
    upper = build.frustum((0.62, wide, back, front), (bonnet, wide - 0.05, back + 0.05, front - 0.12), paint)
    lamp, stop, plate = (244, 240, 222), (188, 20, 22), (222, 220, 206)
    for left, right in ((0.03, 0.22), (0.78, 0.97)):
        build.patch(upper["front"], left, right, 0.1, 0.75, lamp, lit=0.5)
        build.patch(upper["back"], left, right, 0.15, 0.85, stop, lit=0.6)
    if detailed:
        _trim(build, lower, upper, plate, paint)
    for side in (-1.0, 1.0):
        for z in (back + 0.78, front - 0.82):
            build.disc((side * (wide - 0.01), 0.34, z), 0.39, 0, DARK, sign=side)
            build.disc((side * (wide + 0.01), 0.31, z), 0.31, 0, TYRE, sign=side)
            if detailed:
                build.disc((side * (wide + 0.02), 0.31, z), 0.18, 0, (128, 130, 134), sign=side)
    cabin = build.frustum((bonnet, wide - 0.07, *stand), (tall, wide - 0.24, *roof), paint)
    for name, margin in (("front", 0.05), ("back", 0.09), ("left", 0.06), ("right", 0.06)):
        build.patch(cabin[name], margin, 1 - margin, 0.08, 0.88, GLASS)
        if detailed:  # the sky in the glass, and the pillar between the doors
            build.patch(cabin[name], margin + 0.02, 1 - margin - 0.02, 0.55, 0.86, (86, 102, 118))
            if name in ("left", "right"):
                build.patch(cabin[name], 0.47, 0.52, 0.08, 0.88, paint)
    return build.mesh()


def _trim(
    build: MeshBuilder, lower: dict[str, np.ndarray], upper: dict[str, np.ndarray], plate: Tint, paint: Tint
) -> None:
    shade = dim(paint, 0.72)
    build.patch(upper["front"], 0.27, 0.73, 0.15, 0.6, DARK)
    build.patch(lower["front"], 0.08, 0.92, 0.0, 0.5, DARK)
    build.patch(lower["front"], 0.36, 0.64, 0.5, 0.9, plate)
    build.patch(lower["back"], 0.06, 0.94, 0.0, 0.4, DARK)
    build.patch(upper["back"], 0.34, 0.66, 0.1, 0.5, plate)
    for name in ("left", "right"):
        build.patch(lower[name], 0.0, 1.0, 0.0, 0.16, DARK)
        build.patch(upper[name], 0.0, 1.0, 0.0, 0.1, shade)
        for at in (0.33, 0.56):
            build.patch(upper[name], at, at + 0.008, 0.0, 1.0, shade)
        build.patch(upper[name], 0.36, 0.41, 0.6, 0.72, CHROME)


def lamp() -> Mesh:
    """A street lamp whose arm reaches along +x."""
    build = MeshBuilder()
    grey = (96, 102, 104)
    build.frustum((0, 0.11, -0.11, 0.11), (0.9, 0.1, -0.1, 0.1), (84, 90, 92))
    build.frustum((0.9, 0.07, -0.07, 0.07), (6.8, 0.05, -0.05, 0.05), grey)
    build.add(np.array([(0, 6.7, 0), (1.5, 7.0, 0), (1.5, 7.08, 0), (0, 6.84, 0)]), grey, open=True)
    build.add(
        np.array([(1.25, 6.94, 0), (2.0, 6.98, 0), (1.95, 7.12, 0), (1.3, 7.12, 0)]),
        (120, 124, 124),
        open=True,
    )
    build.add(
        np.array([(1.35, 6.9, 0), (1.95, 6.93, 0), (2.0, 6.98, 0), (1.3, 6.95, 0)]),
        (236, 234, 220),
        lit=0.4,
        open=True,
    )
    return build.mesh()


def post(tall: float) -> Mesh:
    """The pole of a sign."""
    build = MeshBuilder()
    build.frustum((0, 0.045, -0.045, 0.045), (tall, 0.045, -0.045, 0.045), (140, 144, 146))
    return build.mesh()


def plate(rng: np.random.Generator, high: float) -> Mesh:
    """The plate of a traffic sign with its middle at ``high``, facing -z."""
    build = MeshBuilder()
    kind = rng.integers(5)
    red, white, blue, yellow = (192, 30, 34), (236, 236, 230), (28, 76, 156), (232, 190, 40)

    def shape(corners: list[tuple[float, float]], tint: Tint, z: float) -> None:
        build.add(np.array([(x, high + y, z) for x, y in corners]), tint, open=True)

    def square(half: float, tint: Tint, z: float, tall: float | None = None) -> None:
        rise = half if tall is None else tall
        shape([(-half, -rise), (half, -rise), (half, rise), (-half, rise)], tint, z)

    if kind == 0:
        build.disc((0, high, -0.06), 0.36, 2, red, sign=-1, open=True)
        build.disc((0, high, -0.07), 0.27, 2, white, sign=-1, open=True)
        shape([(-0.13, -0.12), (-0.05, -0.12), (-0.05, 0.12), (-0.13, 0.12)], DARK, -0.08)
        shape([(0.03, -0.12), (0.14, -0.12), (0.14, 0.12), (0.03, 0.12)], DARK, -0.08)
    elif kind == 1:
        shape([(-0.42, -0.34), (0.42, -0.34), (0, 0.4)], red, -0.06)
        shape([(-0.27, -0.25), (0.27, -0.25), (0, 0.22)], white, -0.07)
        square(0.035, DARK, -0.08, 0.12)
    elif kind == 2:
        square(0.34, blue, -0.06)
        shape([(-0.12, -0.22), (-0.03, -0.22), (-0.03, 0.22), (-0.12, 0.22)], white, -0.07)
        shape([(-0.03, 0.0), (0.14, 0.0), (0.14, 0.22), (-0.03, 0.22)], white, -0.07)
    elif kind == 3:
        shape([(0, -0.46), (0.46, 0), (0, 0.46), (-0.46, 0)], white, -0.06)
        shape([(0, -0.36), (0.36, 0), (0, 0.36), (-0.36, 0)], yellow, -0.07)
    else:
        build.disc((0, high, -0.06), 0.36, 2, red, sign=-1, open=True)
        square(0.26, white, -0.07, 0.06)
    return build.mesh()


def signals(rng: np.random.Generator) -> Mesh:
    """A set of traffic lights at 2.6 m, facing -z."""
    build = MeshBuilder()
    build.frustum((2.3, 0.17, -0.14, 0.14), (3.3, 0.17, -0.14, 0.14), (30, 32, 34))
    lights = [((226, 48, 40), 3.12), ((226, 160, 44), 2.8), ((52, 208, 112), 2.48)]
    on = rng.choice([0, 2])
    for index, (tint, y) in enumerate(lights):
        shown = tint if index == on else dim(tint, 0.25)
        build.add(_ring((0, y, -0.16), 0.11), shown, open=True, lit=0.2)
    return build.mesh()


def _ring(centre: Tint, radius: float) -> np.ndarray:
    turn = np.arange(CORNERS) * (2 * np.pi / CORNERS)
    return np.array(centre) + radius * np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=-1)
