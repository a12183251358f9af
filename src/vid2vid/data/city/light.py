"""Sun, shade and air."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FAR = 230.0
"""Metres to where the haze has swallowed everything."""


@dataclass(frozen=True)
class Light:
    """Colours are RGB; ``sun`` is the unit vector towards it; ``direct`` and ``ambient`` are factors on a
    surface's colour; ``cover`` is 0 for a clear sky, 1 for a cloudy one."""

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


def draw_light(rng: np.random.Generator) -> Light:
    """The weather of one city."""
    side = rng.choice([-1.0, 1.0])
    azimuth, height = np.radians(rng.uniform(62, 122)), np.radians(rng.uniform(48, 62))
    warm, cover = rng.uniform(0, 1), rng.uniform(0.1, 0.75)
    strength = 1.08 - 0.3 * cover
    return Light(
        sun=np.array(
            [side * np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)]
        ),
        direct=strength * (np.array([0.62, 0.585, 0.53]) + warm * np.array([0.04, 0.0, -0.05])),
        ambient=np.array([0.54, 0.565, 0.615]) + cover * np.array([0.07, 0.06, 0.04]),
        zenith=np.array([82, 132, 196]) + cover * np.array([46, 30, 8]),
        haze=np.array([206, 214, 222]) + warm * np.array([12, 2, -14]),
        cover=cover,
    )
