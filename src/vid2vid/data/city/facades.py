"""Fronts of houses: walls, windows, shops and doors, drawn in metres; the fourth channel marks glass."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vid2vid.data.city.textures import smooth_noise, to_bytes

GROUND_FLOOR = 3.9
FLOOR = 3.1
PARAPET = 0.9

WALLS = (
    (158, 92, 70), (134, 72, 58), (176, 118, 88), (204, 184, 150), (222, 208, 180), (196, 170, 132),
    (186, 182, 174), (160, 158, 156), (214, 196, 168), (172, 146, 120), (150, 164, 172), (206, 176, 140),
    (188, 132, 104), (228, 220, 206), (140, 120, 104), (200, 158, 122),
)  # fmt: skip
SHOPS = (
    (150, 36, 40), (34, 74, 120), (36, 94, 70), (44, 44, 48), (196, 142, 40), (108, 50, 88), (222, 214, 196),
    (28, 116, 130), (190, 86, 34),
)  # fmt: skip


def height_of(floors: int) -> float:
    """Metres from the ground to the top of a front with ``floors`` floors above the ground floor."""
    return GROUND_FLOOR + FLOOR * floors + PARAPET


@dataclass
class _Sheet:
    """A picture addressed in metres from its left, bottom corner."""

    colour: np.ndarray
    glass: np.ndarray
    density: float

    def _corners(self, x0: float, y0: float, x1: float, y1: float) -> tuple[slice, slice]:
        height, scale = len(self.glass), self.density
        rows = slice(max(0, round(height - y1 * scale)), max(0, round(height - y0 * scale)))
        return rows, slice(max(0, round(x0 * scale)), max(0, round(x1 * scale)))

    def fill(self, x0: float, y0: float, x1: float, y1: float, colour: tuple, *, glass: bool = False) -> None:
        area = self._corners(x0, y0, x1, y1)
        self.colour[area] = colour
        self.glass[area] = 255 * glass

    def scale(self, x0: float, y0: float, x1: float, y1: float, factor: float) -> None:
        self.colour[self._corners(x0, y0, x1, y1)] *= factor


def facade(rng: np.random.Generator, width: float, floors: int, density: float) -> np.ndarray:
    """The front of one house, (H, W, 4) uint8, ``width`` metres by ``height_of(floors)``."""
    height = height_of(floors)
    size = (round(width * density), round(height * density))
    wall = np.array(WALLS[rng.integers(len(WALLS))], np.float32) * rng.uniform(0.92, 1.06)
    modern = rng.uniform() < 0.25
    sheet = _Sheet(
        np.empty((size[1], size[0], 3), np.float32), np.zeros((size[1], size[0]), np.float32), density
    )
    grain = (
        1 + 0.035 * smooth_noise(rng, size, 3 * density) + 0.03 * smooth_noise(rng, size, 0.3 * density, 2)
    )
    sheet.colour[:] = wall * grain[..., None]
    if not modern and rng.uniform() < 0.6:  # courses of brick
        for y in np.arange(0, height, 0.3):
            sheet.scale(0, y, width, y + 0.06, 0.93)
    _upper_floors(rng, sheet, wall, width, floors, modern)
    _street_level(rng, sheet, wall, width)
    trim = np.minimum(wall * 1.18 + 8, 240)
    if not modern:
        sheet.fill(0, height - PARAPET, width, height - PARAPET + 0.3, tuple(trim))
        sheet.scale(0, height - PARAPET - 0.3, width, height - PARAPET, 0.72)
    if floors >= 3 and rng.uniform() < 0.45:
        _mansard(rng, sheet, width, height)
    else:
        sheet.fill(0, height - 0.18, width, height, tuple(trim * 0.85))
    sheet.scale(0, 0, 0.12, height, 0.8)  # the joint with the next house
    up = (np.arange(size[1])[::-1] / density)[:, None, None]
    sheet.colour *= 0.9 + 0.1 * np.clip(up / 9, 0, 1) - 0.16 * np.exp(-up / 0.5)
    return to_bytes(cv2.GaussianBlur(sheet.colour, (0, 0), 0.5), sheet.glass)


def _upper_floors(
    rng: np.random.Generator, sheet: _Sheet, wall: np.ndarray, width: float, floors: int, modern: bool
) -> None:
    bays = max(2, round(width / rng.uniform(2.3, 3.2)))
    bay = width / bays
    share = rng.uniform(0.62, 0.8) if modern else rng.uniform(0.36, 0.48)
    tall = rng.uniform(1.75, 2.05)
    trim = np.minimum(wall * 1.22 + 12, 246)
    frame = (236, 234, 228) if rng.uniform() < 0.6 else (70, 66, 64)
    balcony = not modern and rng.uniform() < 0.3
    band = rng.uniform() < 0.5
    for floor in range(floors):
        foot = GROUND_FLOOR + FLOOR * floor
        if band or floor == 0:
            sheet.fill(0, foot - 0.12, width, foot + 0.1, tuple(trim))
            sheet.scale(0, foot - 0.24, width, foot - 0.12, 0.8)
        for index in range(bays):
            centre = (index + 0.5) * bay
            x0, x1 = centre - share * bay / 2, centre + share * bay / 2
            y0 = foot + (0.55 if modern else 0.8)
            window(rng, sheet, x0, y0, x1, min(y0 + tall, foot + FLOOR - 0.25), frame, trim)
        if balcony and floor:
            x0, x1 = (0.4 * bay, width - 0.4 * bay)
            sheet.scale(x0, foot - 0.1, x1, foot + 0.75, 0.75)
            sheet.fill(x0, foot + 0.1, x1, foot + 0.2, tuple(trim * 0.95))
            sheet.fill(x0, foot + 0.9, x1, foot + 0.98, (58, 58, 60))


def window(
    rng: np.random.Generator,
    sheet: _Sheet,
    x0: float,
    y0: float,
    x1: float,
    y1: float,
    frame: tuple,
    trim: np.ndarray,
) -> None:
    """One window with surround, sill, reveal, reflecting glass, and sometimes a blind or curtains."""
    sheet.fill(x0 - 0.14, y0 - 0.1, x1 + 0.14, y1 + 0.18, tuple(trim))
    sheet.fill(x0 - 0.2, y0 - 0.16, x1 + 0.2, y0 - 0.02, tuple(np.minimum(trim * 1.08, 250)))
    sheet.scale(x0 - 0.2, y0 - 0.28, x1 + 0.2, y0 - 0.16, 0.74)
    sheet.fill(x0, y0, x1, y1, frame)
    deep = rng.uniform(0.7, 1.1)
    steps = 5
    for step in range(steps):  # the sky mirrored in the upper part
        low, high = (y0 + 0.06 + (y1 - y0 - 0.12) * part / steps for part in (step, step + 1))
        shade = deep * (0.75 + 0.55 * step / steps)
        sheet.fill(x0 + 0.06, low, x1 - 0.06, high, (54 * shade, 68 * shade, 82 * shade), glass=True)
    draw = rng.uniform()
    if draw < 0.22:
        sheet.fill(x0 + 0.06, y1 - rng.uniform(0.4, 1.2), x1 - 0.06, y1 - 0.06, (196, 190, 176), glass=True)
    elif draw < 0.4:
        for left, right in ((x0 + 0.06, x0 + 0.3), (x1 - 0.3, x1 - 0.06)):
            sheet.fill(left, y0 + 0.06, right, y1 - 0.06, (188, 176, 158), glass=True)
    elif draw < 0.45:
        sheet.fill(x0 + 0.06, y0 + 0.06, x1 - 0.06, y1 - 0.06, (232, 206, 150), glass=True)
    middle = (x0 + x1) / 2
    sheet.fill(middle - 0.05, y0, middle + 0.05, y1, frame)
    if y1 - y0 > 1.6:
        sheet.fill(x0, y1 - 0.6, x1, y1 - 0.52, frame)
    sheet.scale(x0, y1 - 0.2, x1, y1, 0.62)  # shade of the lintel


def _street_level(rng: np.random.Generator, sheet: _Sheet, wall: np.ndarray, width: float) -> None:
    """Shops with glass, sign and awning, or a plain ground floor with a door."""
    units = max(1, round(width / rng.uniform(5, 8)))
    unit = width / units
    for index in range(units):
        x0, x1 = index * unit, (index + 1) * unit
        if rng.uniform() < 0.72:
            _shop(rng, sheet, x0, x1)
            continue
        sheet.fill(x0, 0, x1, 0.7, tuple(wall * 0.7))
        door = x0 + rng.uniform(0.6, unit - 1.8)
        _door(rng, sheet, door, 2.5)
        for at in np.arange(x0 + 0.7, x1 - 1.6, 2.3):
            if not door - 1.6 < at < door + 1.4:
                window(rng, sheet, at, 1.1, at + 1.3, 2.9, (232, 230, 224), np.minimum(wall * 1.2 + 10, 245))


def _shop(rng: np.random.Generator, sheet: _Sheet, x0: float, x1: float) -> None:
    paint = np.array(SHOPS[rng.integers(len(SHOPS))], np.float32)
    sheet.fill(x0 + 0.15, 0, x1 - 0.15, 3.5, tuple(paint * 0.8))
    sheet.fill(x0 + 0.15, 2.75, x1 - 0.15, 3.45, tuple(paint))
    letters = (240, 236, 224) if paint.mean() < 140 else (50, 46, 44)
    at, end = x0 + 0.22 * (x1 - x0), x1 - rng.uniform(0.2, 0.4) * (x1 - x0)
    while at < end:  # words nobody can read from a car
        wide = rng.uniform(0.14, 0.32)
        sheet.fill(at, 2.95, at + wide, 3.0 + rng.uniform(0.15, 0.3), letters)
        at += wide + (0.3 if rng.uniform() < 0.15 else 0.09)
    door = rng.uniform(0.1, 0.75) * (x1 - x0 - 1.4) + x0 + 0.2
    sheet.fill(x0 + 0.35, 0.55, x1 - 0.35, 2.65, (48, 54, 58), glass=True)
    for _ in range(6):  # goods and lamps behind the glass
        left = rng.uniform(x0 + 0.4, x1 - 1.0)
        tint = rng.uniform(60, 190, 3) * np.array([1.0, 0.95, 0.85])
        sheet.fill(left, 0.6, left + rng.uniform(0.2, 0.5), rng.uniform(0.9, 1.9), tuple(tint), glass=True)
    sheet.fill(x0 + 0.35, 2.3, x1 - 0.35, 2.5, (206, 188, 150), glass=True)
    for at in np.arange(x0 + 0.35, x1 - 0.3, 1.7):
        sheet.fill(at, 0.5, at + 0.1, 2.7, tuple(paint * 0.7))
    _door(rng, sheet, door, 2.45)
    if rng.uniform() < 0.5:
        stripes = rng.uniform() < 0.5
        for index, at in enumerate(np.arange(x0 + 0.2, x1 - 0.2, 0.45)):
            pale = stripes and index % 2
            tint = np.array([232, 226, 212], np.float32) if pale else paint * 1.1 + 14
            sheet.fill(at, 2.25, min(at + 0.45, x1 - 0.2), 2.85, tuple(tint))
        sheet.scale(x0 + 0.2, 1.85, x1 - 0.2, 2.25, 0.62)


def _door(rng: np.random.Generator, sheet: _Sheet, x: float, tall: float) -> None:
    paint = np.array(SHOPS[rng.integers(len(SHOPS))], np.float32) * 0.75
    sheet.fill(x - 0.12, 0, x + 1.12, tall + 0.15, (206, 200, 188))
    sheet.fill(x, 0.05, x + 1.0, tall, tuple(paint))
    sheet.fill(x + 0.15, 1.2, x + 0.85, tall - 0.25, (62, 72, 80), glass=True)


def _mansard(rng: np.random.Generator, sheet: _Sheet, width: float, height: float) -> None:
    """The top floor as a steep slate roof with dormers."""
    foot = height - PARAPET - FLOOR + 0.4
    slate = np.array([82, 84, 92], np.float32) * rng.uniform(0.85, 1.15)
    sheet.fill(0, foot, width, height, tuple(slate))
    for y in np.arange(foot, height, 0.35):
        sheet.scale(0, y, width, y + 0.07, 0.88)
    sheet.fill(0, foot - 0.2, width, foot + 0.08, (196, 188, 174))
    bays = max(2, round(width / 3.2))
    for index in range(bays):
        centre = (index + 0.5) * width / bays
        sheet.fill(centre - 0.85, foot + 0.5, centre + 0.85, foot + 2.9, tuple(slate * 1.3))
        window(rng, sheet, centre - 0.5, foot + 0.7, centre + 0.5, foot + 2.4, (226, 224, 218), slate * 1.6)
