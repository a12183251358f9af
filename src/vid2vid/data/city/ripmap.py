"""Anti-aliased sampling of textures seen at a slant.

Every texture is (H, W, 4) uint8: RGB and a fourth channel that is either coverage (trees; the colour is
premultiplied) or the share of a second class (windows in a wall, markings on the road).
"""

from __future__ import annotations

import cv2
import numpy as np

LEVELS = 7
PAD = 2
"""Texels around each level of a ripmap, so that bilinear taps never reach into its neighbour."""


class Ripmap:
    """A texture reduced by powers of two in each direction independently, for surfaces seen at a slant.

    ``wrap`` repeats the texture along v (rows) without end; u is always clamped.
    """

    def __init__(self, texture: np.ndarray, density: float, *, wrap: bool = False) -> None:
        """``texture``: (H, W, 4) uint8; ``density``: texels per metre."""
        height, width = texture.shape[:2]
        self.density = density
        self.period = height / density if wrap else 0.0
        widths, heights = _halvings(width), _halvings(height, smallest=4)
        self.starts_u, self.starts_v = _starts(widths), _starts(heights)
        self.sizes_u, self.sizes_v = np.array(widths, np.float32), np.array(heights, np.float32)
        columns = (self.starts_u, self.sizes_u, self.starts_v, self.sizes_v)
        # (LEVELS, 4): start and size of each level in u, then in v; missing small levels repeat the last one.
        self.table = np.stack(
            [np.pad(column, (0, LEVELS - len(column)), mode="edge") for column in columns], axis=1
        )
        self.atlas = np.empty((int(sum(heights)) + 2 * PAD * len(heights),
                               int(sum(widths)) + 2 * PAD * len(widths), 4), np.uint8)  # fmt: skip
        thinner = texture
        for level_v, (v, rows) in enumerate(zip(self.starts_v, heights, strict=True)):
            if level_v:
                thinner = cv2.resize(thinner, (width, rows), interpolation=cv2.INTER_AREA)
            level = thinner
            for level_u, (u, cols) in enumerate(zip(self.starts_u, widths, strict=True)):
                if level_u:
                    level = cv2.resize(level, (cols, rows), interpolation=cv2.INTER_AREA)
                tile = cv2.copyMakeBorder(
                    level, PAD, PAD, 0, 0, cv2.BORDER_WRAP if wrap else cv2.BORDER_REPLICATE
                )
                tile = cv2.copyMakeBorder(tile, 0, 0, PAD, PAD, cv2.BORDER_REPLICATE)
                top, left = int(v) - PAD, int(u) - PAD
                self.atlas[top : top + rows + 2 * PAD, left : left + cols + 2 * PAD] = tile

    def sample(self, u: np.ndarray, v: np.ndarray, step_u: np.ndarray, step_v: np.ndarray) -> np.ndarray:
        """Colours (H, W, 4) uint8 at metres ``u``, ``v``; ``step_*`` metres that one pixel spans there.

        All four broadcast to (H, W); levels are worked out on the small shape of the steps.
        """
        shape = np.broadcast_shapes(u.shape, v.shape)
        x = _texels(u, step_u, self.density, self.starts_u, self.sizes_u)
        y = _texels(v, step_v, self.density, self.starts_v, self.sizes_v)
        x, y = (np.ascontiguousarray(np.broadcast_to(axis, shape), np.float32) for axis in (x, y))
        return cv2.remap(self.atlas, x, y, cv2.INTER_LINEAR)


def _halvings(size: int, smallest: int = 1) -> list[int]:
    sizes = [size]
    while sizes[-1] // 2 >= smallest and len(sizes) < LEVELS:
        sizes.append(sizes[-1] // 2)
    return sizes


def _starts(sizes: list[int]) -> np.ndarray:
    """Where each level's first texel lies in the atlas."""
    return (np.cumsum([0, *sizes[:-1]]) + PAD * (2 * np.arange(len(sizes)) + 1)).astype(np.float32)


def _texels(
    metres: np.ndarray, step: np.ndarray, density: float, starts: np.ndarray, sizes: np.ndarray
) -> np.ndarray:
    # A pixel may span up to ~1.4 texels of the level it is read from.
    level = np.log2(np.maximum(step * density, 1.0)).round().astype(np.intp).clip(0, len(sizes) - 1)
    scale = density * sizes[level] / sizes[0]
    return np.clip(metres * scale - 0.5, -1.0, sizes[level]) + starts[level]
