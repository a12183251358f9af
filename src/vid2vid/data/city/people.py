"""Pedestrians: jointed figures of flat limbs, whose every limb has its own exact motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vid2vid.data.city.meshes import CORNERS, Mesh, Tint

SKINS = ((232, 190, 160), (206, 156, 122), (150, 104, 76), (98, 66, 48), (240, 204, 180))
HAIRS = ((40, 30, 24), (84, 56, 34), (150, 116, 70), (24, 22, 24), (150, 146, 142))
TOPS = (
    (176, 44, 44), (40, 62, 110), (52, 54, 58), (222, 216, 204), (66, 104, 72), (198, 150, 60), (120, 80, 120),
    (92, 128, 160), (150, 96, 62), (30, 32, 38),
)  # fmt: skip
TROUSERS = ((38, 46, 70), (46, 46, 50), (92, 80, 66), (60, 76, 104), (28, 28, 32), (120, 110, 96))


@dataclass(frozen=True)
class Person:
    """How somebody looks and walks. ``heading`` +1: along z (seen from behind), -1: towards the camera."""

    height: float
    stout: float
    skin: Tint
    hair: Tint
    top: Tint
    legs: Tint
    coat: bool
    heading: float
    stride: float
    phase: float

    @classmethod
    def random(cls, rng: np.random.Generator, heading: float) -> Person:
        def pick(options: tuple[Tint, ...]) -> Tint:
            return tuple(np.array(options[rng.integers(len(options))]) * rng.uniform(0.85, 1.1))

        return cls(
            height=rng.uniform(1.58, 1.88), stout=rng.uniform(0.9, 1.2), skin=pick(SKINS), hair=pick(HAIRS),
            top=pick(TOPS), legs=pick(TROUSERS), coat=bool(rng.uniform() < 0.35), heading=heading,
            stride=rng.uniform(5.2, 6.2), phase=rng.uniform(0, 6.28),
        )  # fmt: skip

    def mesh(self, time: float) -> Mesh:
        """The figure at a moment (seconds), feet at the origin; the same polygons in the same order at any time."""
        swing = self.phase + self.stride * time
        limbs, tints = self._limbs(swing)
        quads = _quads(limbs)
        points = np.concatenate([quads, np.repeat(quads[:, -1:], CORNERS - 4, axis=1)], axis=1)
        heads, head_tints = self._head()
        points = np.concatenate([points, heads]) * (self.height / 1.72)
        counts = np.array([4] * len(quads) + [CORNERS] * len(heads))
        colours = np.array(tints + head_tints, float)
        normals = np.tile([0.0, 0.35, -0.94], (len(points), 1))
        ones = np.ones(len(points))
        return Mesh(points, counts, colours, normals, ones, ones.astype(bool))

    def _limbs(self, swing: float) -> tuple[np.ndarray, list[Tint]]:
        """Limbs as (N, 8): both ends (x, y, z) and half widths, in painting order; their colours."""
        wide, face = self.stout, self.heading
        rows: list[tuple[float, ...]] = []
        tints: list[Tint] = []
        for side in (-1.0, 1.0):
            angle = 0.42 * np.sin(swing) * side
            bend = 0.65 * max(0.0, np.cos(swing) * side)
            hip = np.array([0.095 * side, 0.92, 0.0])
            knee = hip + 0.44 * np.array([0.0, -np.cos(angle), np.sin(angle) * face])
            lower = angle - bend
            ankle = knee + 0.42 * np.array([0.0, -np.cos(lower), np.sin(lower) * face])
            rows += [(*knee, *ankle, 0.066, 0.05), (*hip, *knee, 0.092 * wide, 0.07)]
            rows += [(*ankle, *(ankle + [0.02 * side, -0.075, 0.05 * face]), 0.05, 0.06)]
            tints += [_dim(self.legs, 0.85), self.legs, (44, 38, 34)]
            shoulder = np.array([0.205 * side * wide, 1.42, 0.0])
            elbow = shoulder + 0.3 * np.array([0.18 * side, -np.cos(angle), -np.sin(angle) * face])
            hand = elbow + 0.27 * np.array([0.0, -np.cos(angle - 0.5), -np.sin(angle - 0.5) * face])
            rows += [(*shoulder, *elbow, 0.058, 0.05), (*elbow, *hand, 0.05, 0.04)]
            tints += [_dim(self.top, 0.8), _dim(self.top, 0.74)]
        foot = 0.62 if self.coat else 0.88
        hips = (0.2 if self.coat else 0.165) * wide
        rows += [(0.0, 1.46, 0.0, 0.0, foot, 0.0, 0.2 * wide, hips)]
        rows += [(0.1 * wide, 1.46, 0.0, 0.11 * wide, foot, 0.0, 0.1 * wide, hips - 0.1 * wide)]
        rows += [(0.0, 1.56, 0.0, 0.0, 1.45, 0.0, 0.05, 0.06)]
        tints += [self.top, _dim(self.top, 0.86), _dim(self.skin, 0.85)]
        return np.array(rows), tints

    def _head(self) -> tuple[np.ndarray, list[Tint]]:
        turn = np.arange(CORNERS) * (2 * np.pi / CORNERS)
        oval = np.stack([0.1 * np.cos(turn), 0.13 * np.sin(turn), 0 * turn], axis=-1)
        skull = oval * 1.08 + np.array([0.0, 1.645, 0.01])
        if self.heading > 0:
            return np.stack([oval * 0.96 + [0.0, 1.62, 0.0], skull]), [self.skin, self.hair]
        return np.stack([skull, oval * 0.94 + np.array([0.0, 1.615, 0.0])]), [self.hair, self.skin]


def _quads(limbs: np.ndarray) -> np.ndarray:
    """Limbs (N, 8) as upright quadrilaterals (N, 4, 3), as wide as they are, facing the street's length."""
    start, end, thick0, thick1 = limbs[:, :3], limbs[:, 3:6], limbs[:, 6:7], limbs[:, 7:8]
    axis = end - start
    across = np.stack([-axis[:, 1], axis[:, 0], 0 * axis[:, 0]], axis=-1)
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    return np.stack(
        [start - across * thick0, start + across * thick0, end + across * thick1, end - across * thick1],
        axis=1,
    )


def _dim(tint: Tint, factor: float) -> Tint:
    return tuple(factor * value for value in tint)  # type: ignore[return-value]
