"""Pedestrians: jointed figures of flat limbs, whose every limb has its own exact motion."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vid2vid.data.city.meshes import CORNERS, Mesh, Tint, dim

SKINS = ((232, 190, 160), (206, 156, 122), (150, 104, 76), (98, 66, 48), (240, 204, 180))
HAIRS = ((40, 30, 24), (84, 56, 34), (150, 116, 70), (24, 22, 24), (150, 146, 142))
TOPS = (
    (176, 44, 44), (40, 62, 110), (52, 54, 58), (222, 216, 204), (66, 104, 72), (198, 150, 60),
    (120, 80, 120), (92, 128, 160), (150, 96, 62), (30, 32, 38),
)  # fmt: skip
TROUSERS = ((38, 46, 70), (46, 46, 50), (92, 80, 66), (60, 76, 104), (28, 28, 32), (120, 110, 96))
SHOES = (44, 38, 34)

_Value = float | np.ndarray
_Point = tuple[_Value, _Value, _Value]
_Limb = tuple[_Point, _Point, _Value, _Value]
"""Both ends, and half the width there, of one person (numbers) or of many (arrays)."""


@dataclass(frozen=True, eq=False)
class Person:
    """How somebody looks and walks. ``heading`` +1: along z (seen from behind), -1: towards the camera.

    height: metres; stout: factor on the width; stride: radians of the gait a second; phase: where it begins.
    """

    height: float
    stout: float
    skin: Tint
    hair: Tint
    top: Tint
    legs: Tint
    coat: bool
    heading: int
    stride: float
    phase: float

    @classmethod
    def random(cls, rng: np.random.Generator, heading: int) -> Person:
        def pick(options: tuple[Tint, ...]) -> Tint:
            return dim(options[rng.integers(len(options))], rng.uniform(0.85, 1.1))

        return cls(
            height=rng.uniform(1.58, 1.88), stout=rng.uniform(0.9, 1.2), skin=pick(SKINS), hair=pick(HAIRS),
            top=pick(TOPS), legs=pick(TROUSERS), coat=bool(rng.uniform() < 0.35), heading=heading,
            stride=rng.uniform(5.2, 6.2), phase=rng.uniform(0, 6.28),
        )  # fmt: skip

    @cached_property
    def mesh(self) -> Mesh:
        """Everything about the figure but where its corners are, which :func:`walk` says."""
        side = [dim(self.legs, 0.85), self.legs, SHOES, dim(self.top, 0.8), dim(self.top, 0.74)]
        head = [self.skin, self.hair] if self.heading > 0 else [self.hair, self.skin]
        colours = np.array([*side, *side, self.top, dim(self.top, 0.86), dim(self.skin, 0.85), *head], float)
        number = len(colours)
        return Mesh(
            points=np.zeros((number, CORNERS, 3)),
            counts=np.array([4] * (number - 2) + [CORNERS] * 2),
            colours=colours,
            normals=np.tile([0.0, 0.35, -0.94], (number, 1)),
            lit=np.ones(number),
            open=np.ones(number, bool),
        )


def walk(people: list[Person], time: float) -> np.ndarray:
    """Corners (P, N, CORNERS, 3) of everybody's polygons at a moment (seconds), feet at the origin."""
    looks = [(who.stout, who.heading, who.phase + who.stride * time, who.coat, who.height) for who in people]
    wide, heading, swing, coat, height = np.array(looks, float).T
    hem, hips = np.where(coat, 0.62, 0.88), np.where(coat, 0.2, 0.165) * wide
    limbs: list[_Limb] = [
        *_side(-1, wide, heading, swing),
        *_side(1, wide, heading, swing),
        ((0, 1.46, 0), (0, hem, 0), 0.2 * wide, hips),
        ((0.1 * wide, 1.46, 0), (0.11 * wide, hem, 0), 0.1 * wide, hips - 0.1 * wide),
        ((0, 1.56, 0), (0, 1.45, 0), 0.05, 0.06),
    ]
    quads = _quads(limbs, len(people))
    quads = np.concatenate([quads, np.repeat(quads[:, :, -1:], CORNERS - 4, axis=2)], axis=2)
    heads = np.where(heading[:, None, None, None] > 0, _HEAD_BEHIND, _HEAD_BEFORE)
    return np.concatenate([quads, heads], axis=1) * (height / 1.72)[:, None, None, None]


def _side(side: int, wide: np.ndarray, heading: np.ndarray, swing: np.ndarray) -> list[_Limb]:
    """Shin, thigh, shoe, upper arm and forearm of one side of the body."""
    angle = 0.42 * np.sin(swing) * side
    lower = angle - 0.65 * np.maximum(0, np.cos(swing) * side)
    hip = (0.095 * side, 0.92, 0.0)
    knee = (hip[0], hip[1] - 0.44 * np.cos(angle), 0.44 * np.sin(angle) * heading)
    ankle = (hip[0], knee[1] - 0.42 * np.cos(lower), knee[2] + 0.42 * np.sin(lower) * heading)
    toe = (0.115 * side, ankle[1] - 0.075, ankle[2] + 0.05 * heading)
    shoulder = (0.205 * side * wide, 1.42, 0.0)
    elbow = (shoulder[0] + 0.054 * side, 1.42 - 0.3 * np.cos(angle), -0.3 * np.sin(angle) * heading)
    bent = angle - 0.5
    hand = (elbow[0], elbow[1] - 0.27 * np.cos(bent), elbow[2] - 0.27 * np.sin(bent) * heading)
    return [
        (knee, ankle, 0.066 * wide, 0.05 * wide),
        (hip, knee, 0.092 * wide, 0.07 * wide),
        (ankle, toe, 0.05, 0.06),
        (shoulder, elbow, 0.058 * wide, 0.05 * wide),
        (elbow, hand, 0.05 * wide, 0.04 * wide),
    ]


def _quads(limbs: list[_Limb], people: int) -> np.ndarray:
    """Quadrilaterals (P, N, 4, 3) as wide as told, turned to whoever looks along the street."""
    table = np.empty((len(limbs), 8, people))
    for row, limb in zip(table, limbs, strict=True):
        for place, value in enumerate((*limb[0], *limb[1], *limb[2:])):
            row[place] = value
    table = table.transpose(2, 0, 1)
    start, end = table[..., :3], table[..., 3:6]
    across = np.zeros_like(start)
    across[..., 0], across[..., 1] = start[..., 1] - end[..., 1], end[..., 0] - start[..., 0]
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    wide, narrow = across * table[..., 6:7], across * table[..., 7:]
    return np.stack([start - wide, start + wide, end + narrow, end - narrow], axis=2)


_TURN = np.arange(CORNERS) * (2 * np.pi / CORNERS)
_OVAL = np.stack([0.1 * np.cos(_TURN), 0.13 * np.sin(_TURN), 0 * _TURN], axis=-1)
_SKULL = _OVAL * 1.08 + np.array([0.0, 1.645, 0.01])
_HEAD_BEHIND = np.stack([_OVAL * 0.96 + [0.0, 1.62, 0.0], _SKULL])
_HEAD_BEFORE = np.stack([_SKULL, _OVAL * 0.94 + [0.0, 1.615, 0.0]])
