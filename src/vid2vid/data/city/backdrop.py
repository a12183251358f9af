"""What lies behind and under everything: sky, ground, zebra crossings and the shadows of things."""

from __future__ import annotations

import cv2
import numpy as np

from vid2vid.data.city import textures
from vid2vid.data.city.camera import NEAR, cut_near
from vid2vid.data.city.canvas import Canvas, Surface, fill, fixed_point, on_ground
from vid2vid.data.city.classes import BUILDING, MARKING, PAVEMENT, ROAD, SKY
from vid2vid.data.city.layout import Heights, Street
from vid2vid.data.city.light import FAR
from vid2vid.data.city.ripmap import Ripmap
from vid2vid.data.city.textures import GROUND_HALF, GROUND_PERIOD, ROAD_HALF, SKY_REACH
from vid2vid.data.city.traffic import NEAR_ENOUGH, Thing

SKY_KEY, GROUND_KEY = 1, 2
PAINT = np.array([222.0, 220.0, 212.0])
"""Of the stripes of a zebra crossing."""
SHADOWS = 60.0
"""Metres up to which things cast a shadow."""


class Backdrop:
    """Sky and ground of one street."""

    def __init__(self, street: Street, detail: float) -> None:
        """``detail``: texels per metre, relative to what suits 512 x 256 pixels."""
        self.street, self.light = street, street.light
        light = street.light
        density = 40.0 * min(detail, 2.0)
        self._ground = Ripmap(textures.ground(street.rng(7), density), density, wrap=True)
        self._sky_density = 420.0 * detail
        rng = street.rng(3)
        self._sky = textures.sky(rng, self._sky_density, light.zenith, light.haze, light.sun, light.cover)

    def paint_sky(self, canvas: Canvas) -> None:
        camera, density = canvas.camera, np.float32(self._sky_density)
        rows = slice(0, min(len(canvas.ray_y), int(np.ceil(camera.cy)) + 1))
        slope_x, slope_y = canvas.ray_x[None], canvas.ray_y[rows, None]
        azimuth = np.arctan(slope_x) + np.float32(camera.yaw)
        elevation = np.arctan(slope_y / np.sqrt(1 + slope_x**2))
        u = np.repeat(
            (azimuth + np.float32(SKY_REACH[0])) * density - np.float32(0.5), len(elevation), axis=0
        )
        v = (np.float32(SKY_REACH[1]) - elevation) * density - np.float32(0.5)
        texels = cv2.remap(self._sky, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        canvas.image[rows] = texels[..., :3]
        canvas.second[rows] = texels[..., 3] > 127
        canvas.enter(np.zeros((1, 5)), [Surface(SKY, SKY_KEY, second=BUILDING)])

    def paint_ground(self, canvas: Canvas, heights: Heights) -> None:
        """``heights``: of the houses between the sun and the road, see :meth:`Street.heights`."""
        camera, light = canvas.camera, self.light
        top = int(np.floor(camera.cy)) + 1
        slope = canvas.ray_y[top:, None]
        depth = np.minimum(
            np.float32(camera.height) / np.maximum(-slope, np.float32(1e-6)), np.float32(2 * FAR)
        )
        across, along = self._on_ground(canvas, depth)
        v = along + np.float32(camera.z % GROUND_PERIOD)
        v -= np.float32(GROUND_PERIOD) * np.floor(v * np.float32(1 / GROUND_PERIOD))
        step = depth / np.float32(camera.focal)
        step_v = depth * step / np.float32(camera.height)
        texels = self._ground.sample(across + np.float32(GROUND_HALF), v, step, step_v)
        start, table = heights
        sunlit = 1 - self.street.shadow(across, along, (start - camera.z, table))
        veil = light.veil(depth)[..., None].astype(np.float32)
        direct, ambient = (
            (light.direct * light.sun[1] * 1.25).astype(np.float32),
            light.ambient.astype(np.float32),
        )
        colour = sunlit[..., None] * ((1 - veil) * direct)
        colour += (1 - veil) * ambient
        colour *= texels[..., :3]
        colour += veil * light.haze.astype(np.float32)
        canvas.image[top:] = np.minimum(colour, 255)
        plane = np.array([[0.0, -1 / camera.height, 0.0, 0.0, 10.0]] * 2)
        road = canvas.enter(plane, [Surface(ROAD, GROUND_KEY, second=MARKING), Surface(PAVEMENT, GROUND_KEY)])
        canvas.faces[top:] = road + (np.abs(across) >= np.float32(ROAD_HALF))
        canvas.second[top:] = texels[..., 3] > 127

    def _on_ground(self, canvas: Canvas, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Per pixel of rows at ``depth`` (h, 1): metres right of the road's middle, metres ahead."""
        camera = canvas.camera
        sin, cos = np.float32(np.sin(camera.yaw)), np.float32(np.cos(camera.yaw))
        middle = depth * cos
        # Along a row z changes little: the curve of the road is its Taylor series about the middle column.
        far = camera.z + middle.astype(np.float64)
        base, lean, bend = (self.street.curve(far, order) for order in (0, 1, 2))
        ahead = -sin * canvas.ray_x[None] * depth
        across = cos * canvas.ray_x[None] * depth + (camera.x + sin * depth - base).astype(np.float32)
        across -= ahead * (lean.astype(np.float32) + (0.5 * bend).astype(np.float32) * ahead)
        return across, ahead + middle

    def paint_crossings(self, canvas: Canvas, heights: Heights) -> None:
        camera, light = canvas.camera, self.light
        stripes = np.arange(-ROAD_HALF + 0.25, ROAD_HALF - 0.5, 1.0)
        for _, z in self.street.crossings(camera.z - 2, camera.z + NEAR_ENOUGH):
            near, far = z - 1.5, z + 1.5
            x0, x1 = self.street.curve(near) + stripes, self.street.curve(far) + stripes
            corners = np.stack([x0, x0 + 0.5, x1 + 0.5, x1], axis=1)
            ground = np.stack([corners, np.broadcast_to([near, near, far, far], corners.shape)], axis=-1)
            sunlit = 1 - self.street.shadow(stripes, np.full(len(stripes), z), heights)
            tint = PAINT * (light.ambient + light.direct * (light.sun[1] * 1.25 * sunlit[:, None]))
            tints = light.through_air(tint, np.array(z - camera.z)).tolist()
            for stripe, outline in enumerate(_project_ground(canvas, ground)):
                if outline is not None:
                    fill(canvas.image, outline, tints[stripe], smooth=True)
                    fill(canvas.second, outline, 1)

    def shade(self, canvas: Canvas, things: list[Thing], lit: list[float]) -> None:
        """Soft shadows of things: rings that grow darker inwards, all rings of one size at a time.

        lit: (N,) share of the sun that reaches each thing.
        """
        camera = canvas.camera
        top = int(np.floor(camera.cy)) + 1
        sunshine = float(self.light.direct.mean()) / 0.6
        shadows = [
            shadow
            for thing, share in zip(things, lit, strict=True)
            if thing.place[1] - camera.z < SHADOWS
            for shadow in _shadows(thing, self.light.sun, share * sunshine)
        ]
        if not shadows:
            return
        centres = np.array([shadow[0] for shadow in shadows])[:, None]
        outlines = np.stack([shadow[1] for shadow in shadows])
        rings = [(1.22, 0.3), (1.0, 0.65), (0.8, 1.0)]
        grown = np.concatenate([centres + size * outlines for size, _ in rings])
        darkness = [255 * share * shadow[2] for _, share in rings for shadow in shadows]
        mask = np.zeros(canvas.faces.shape, np.uint8)
        for corners, dark in zip(_project_ground(canvas, grown), darkness, strict=True):
            if corners is not None:
                fill(mask, corners, dark, smooth=True)
        factor = mask[top:, :, None] * np.array([-0.66 / 255, -0.64 / 255, -0.6 / 255], np.float32)
        factor += 1
        factor *= canvas.image[top:]
        canvas.image[top:] = factor


def _project_ground(canvas: Canvas, ground: np.ndarray) -> list[np.ndarray | None]:
    """Polygons on the ground (N, K, 2) (x, z) in the picture; None where nothing of one is in front of us."""
    view = canvas.camera.to_camera(on_ground(ground))
    nearest = view[..., 2].min(axis=1)
    whole = fixed_point(canvas.camera.project(np.maximum(view, [-np.inf, -np.inf, NEAR])))
    result: list[np.ndarray | None] = list(whole)
    for index in np.flatnonzero(nearest < NEAR):
        part = cut_near(view[index])
        result[index] = fixed_point(canvas.camera.project(part)) if len(part) > 2 else None
    return result


_TURN = np.linspace(0, 2 * np.pi, 14, endpoint=False)[:, None]
_COS, _SIN = np.cos(_TURN), np.sin(_TURN)
_ROUND = np.hstack([_COS, _SIN])
_BOX = np.sign(_ROUND) * np.abs(_ROUND) ** 0.4


def _shadows(thing: Thing, sun: np.ndarray, lit: float) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Centre (2,), outline about it (K, 2) and strength of each shadow on the ground."""
    (x, z, yaw), kind = thing.place, thing.slot.kind
    foot, cast = np.array([x, z]), -sun[[0, 2]] / sun[1]
    if thing.slot.kind in ("car", "parked"):
        ahead, aside = np.array([np.sin(yaw), np.cos(yaw)]), np.array([np.cos(yaw), -np.sin(yaw)])
        body = _BOX[:, :1] * 2.25 * ahead + _BOX[:, 1:] * 0.95 * aside
        return [(foot + 0.45 * cast, body * 1.04, 0.85 * lit), (foot, body * 0.97, 0.9)]
    scale = 0.8 + 0.5 * thing.slot.chance
    reach, thick = {"person": (0.85, 0.22), "tree": (2.2 * scale, 0.13), "lamp": (3.4, 0.06)}.get(
        kind, (1.3, 0.05)
    )
    half = reach * cast
    across = np.array([half[1], -half[0]]) / np.hypot(*half)
    shadows = [(foot + half, _COS * half + _SIN * thick * across, 0.8 * lit)]
    if kind == "tree":
        shadows.append((foot + 2.1 * half, 1.7 * scale * _ROUND, 0.75 * lit))
    return shadows
