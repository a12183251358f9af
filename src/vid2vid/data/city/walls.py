"""Upright textured planes: fronts of houses, hedges, trees; worked out together, then painted one by one."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vid2vid.data.city.canvas import Canvas, Surface, fill, fixed_point, on_ground
from vid2vid.data.city.light import FAR, Light
from vid2vid.data.city.ripmap import Ripmap

CLOSE = 0.5
"""Depth in metres at which walls are cut."""


@dataclass(frozen=True, eq=False)
class Wall:
    """A texture between two ground points.

    ends: ((x, z), (x, z)) metres, u runs from the first; height: metres; light: (3,) factors on the colour;
    order: walls of greater order are painted earlier; side: +1 or -1 for a wall right or left of the road,
    painted only if its front is seen, 0: seen from anywhere; cutout: the fourth channel is coverage.
    """

    ends: tuple[tuple[float, float], tuple[float, float]]
    height: float
    texture: Ripmap
    surface: Surface
    light: np.ndarray
    order: float
    side: int = 0
    cutout: bool = False
    scale: float = 1.0
    """Metres of the wall per metre of the texture."""


class Walls:
    """Walls of one frame, ready to be painted one by one."""

    def __init__(self, canvas: Canvas, walls: list[Wall], light: Light) -> None:
        self.canvas = canvas
        ends = np.array([wall.ends for wall in walls], float).reshape(-1, 2, 2)
        view = canvas.camera.to_camera(on_ground(ends))[..., [0, 2]]
        shown, cut = _in_sight(canvas, view, np.array([wall.side for wall in walls]))
        self.walls = [wall for wall, keep in zip(walls, shown, strict=True) if keep]
        if self.walls:
            self._prepare(view[shown], cut[shown], light)

    def _prepare(self, view: np.ndarray, cut: np.ndarray, light: Light) -> None:
        canvas, camera, walls = self.canvas, self.canvas.camera, self.walls
        at = camera.cx + camera.focal * cut[..., 0] / cut[..., 1]
        start = np.maximum(np.floor(at.min(axis=1)), 0).astype(int)
        stop = np.minimum(np.ceil(at.max(axis=1)) + 1, len(canvas.ray_x)).astype(int)
        self.start, self.stop = start, stop
        high = np.array([wall.height for wall in walls])
        edges = np.stack([high - camera.height, np.full(len(walls), -camera.height)], axis=1)
        rows = camera.cy - camera.focal * edges[:, :, None] / cut[:, None, :, 1]
        self.top = np.maximum(np.floor(rows.min(axis=(1, 2))), 0).astype(int)
        self.foot = np.minimum(np.ceil(rows.max(axis=(1, 2))) + 1, len(canvas.ray_y)).astype(int)
        corners = np.stack(
            [at[:, [0, 1, 1, 0]], np.concatenate([rows[:, 0], rows[:, 1, ::-1]], axis=1)], axis=-1
        )
        self.corners = corners - np.stack([start, self.top], axis=-1)[:, None]

        # Every column of every wall, one after the other.
        (x0, z0), (x1, z1) = view[:, 0].T, view[:, 1].T
        across = x0 * z1 - x1 * z0
        count = stop - start
        which = np.repeat(np.arange(len(walls)), count)
        self.first = np.concatenate([[0], np.cumsum(count)])
        slope = canvas.ray_x[np.arange(len(which)) - self.first[which] + start[which]].astype(float)
        nearest, farthest = 1 / cut[..., 1].min(axis=1), 1 / cut[..., 1].max(axis=1)
        planes = np.column_stack([(z1 - z0) / across, 0 * across, (x0 - x1) / across, farthest, nearest])
        self.face = canvas.enter(planes, [wall.surface for wall in walls])
        inverse = np.clip(planes[which, 0] * slope + planes[which, 2], farthest[which], nearest[which])
        depth = 1 / inverse
        length = np.hypot(x1 - x0, z1 - z0)
        along = (slope * depth - x0[which]) * (x1 - x0)[which] + (depth - z0[which]) * (z1 - z0)[which]
        scale = np.array([wall.scale for wall in walls])[which]
        step_u = (length / np.abs(across))[which] * depth**2 / camera.focal
        self._texels(which, along / length[which] / scale, step_u / scale, depth / scale, high[which] / scale)
        veil = light.veil(np.minimum(depth, 2 * FAR))[:, None]
        self.gain = ((1 - veil) * np.array([wall.light for wall in walls])[which]).astype(np.float32)
        self.haze = (veil * light.haze).astype(np.float32)

    def _texels(
        self, which: np.ndarray, u: np.ndarray, step_u: np.ndarray, depth: np.ndarray, high: np.ndarray
    ) -> None:
        """Where in its texture's atlas each column reads: x, and y = y0 - slope * ray_y within bounds."""
        camera = self.canvas.camera
        textures = [wall.texture for wall in self.walls]
        tables = np.stack(
            [texture.table for texture in textures]
        )  # (N, levels, start u, size u, start v, size v)
        density = np.array([texture.density for texture in textures])[which]
        level_u = np.log2(np.maximum(step_u * density, 1)).round().astype(int).clip(0, tables.shape[1] - 1)
        level_v = (
            np.log2(np.maximum(depth * density / camera.focal, 1))
            .round()
            .astype(int)
            .clip(0, tables.shape[1] - 1)
        )
        start_u, size_u = tables[which, level_u, 0], tables[which, level_u, 1]
        start_v, size_v = tables[which, level_v, 2], tables[which, level_v, 3]
        x = u * density * size_u / tables[which, 0, 1] - 0.5
        self.x = (np.clip(x, -1, size_u) + start_u).astype(np.float32)
        scale = density * size_v / tables[which, 0, 3]
        eye = camera.height * high / np.array([wall.height for wall in self.walls])[which]
        self.y0 = ((high - eye) * scale - 0.5 + start_v).astype(np.float32)
        self.slope = (depth * scale).astype(np.float32)
        self.low_y, self.high_y = (start_v - 1).astype(np.float32), (start_v + size_v).astype(np.float32)

    def paint(self, index: int) -> None:
        """Paint one wall over what is there."""
        wall, canvas = self.walls[index], self.canvas
        top, foot = int(self.top[index]), int(self.foot[index])
        if top >= foot:
            return
        area = (slice(top, foot), slice(int(self.start[index]), int(self.stop[index])))
        part = slice(int(self.first[index]), int(self.first[index + 1]))
        y = self.y0[part] - canvas.ray_y[top:foot, None] * self.slope[part]
        np.maximum(y, self.low_y[part], out=y)
        np.minimum(y, self.high_y[part], out=y)
        x = np.empty_like(y)
        x[:] = self.x[part]
        texels = cv2.remap(wall.texture.atlas, x, y, cv2.INTER_LINEAR)
        colour = texels[..., :3] * self.gain[part]
        if wall.cutout:
            cover = texels[..., 3:] * np.float32(1 / 255)
            colour += self.haze[part] * cover
            colour += canvas.image[area] * (1 - cover)
            canvas.image[area] = colour
            canvas.faces[area][texels[..., 3] > 127] = self.face + index
            return
        colour += self.haze[part]
        mask = np.zeros(y.shape, np.uint8)
        fill(mask, fixed_point(self.corners[index]), 255, smooth=True)
        rim = np.nonzero((mask > 0) & (mask < 255))
        blend = mask[rim][:, None] * np.float32(1 / 255)
        colour[rim] = colour[rim] * blend + canvas.image[area][rim] * (1 - blend)
        cv2.copyTo(np.minimum(colour, 255).astype(np.uint8), mask, canvas.image[area])
        seen = mask > 127
        canvas.faces[area][seen] = self.face + index
        cv2.copyTo((texels[..., 3] > 127).view(np.uint8), seen.view(np.uint8), canvas.second[area])


def _in_sight(canvas: Canvas, view: np.ndarray, side: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which walls (N, 2, 2), given in camera axes (x, z), can be seen, and their ends beyond ``CLOSE``."""
    camera = canvas.camera
    (x0, z0), (x1, z1) = view[:, 0].T, view[:, 1].T
    across = x0 * z1 - x1 * z0
    shown = (view[..., 1].max(axis=1) > CLOSE) & (np.abs(across) > 1e-6) & (side * across >= 0)
    cut = view.copy()
    for end in (0, 1):
        behind = np.flatnonzero(shown & (view[:, end, 1] < CLOSE))
        near, far = view[behind, end], view[behind, 1 - end]
        cut[behind, end] = far + (near - far) * ((CLOSE - far[:, 1:]) / (near - far)[:, 1:])
    at = camera.cx + camera.focal * cut[..., 0] / np.maximum(cut[..., 1], CLOSE)
    return shown & (at.max(axis=1) > 0) & (at.min(axis=1) < len(canvas.ray_x) - 1), cut
