"""Ground, sky and trees: pictures painted once per city, in metres, that the renderer samples.

See :mod:`~vid2vid.data.city.ripmap` for the meaning of the fourth channel.
"""

from __future__ import annotations

import cv2
import numpy as np

ROAD_HALF = 5.5
"""From the middle of the road to the kerb, metres."""
LANE = 3.3
"""Width of a lane of traffic; between it and the kerb cars are parked."""
GROUND_HALF = 12.0
GROUND_PERIOD = 24.0
SKY_REACH = (1.35, 0.75)
"""Radians of azimuth to either side, and of elevation, that the sky picture covers."""


def smooth_noise(
    rng: np.random.Generator, size: tuple[int, int], cell: float, octaves: int = 4
) -> np.ndarray:
    """Fractal noise (H, W) float32, mean 0, about [-1, 1], that wraps around.

    ``size`` is (width, height) in texels, ``cell`` the texels of the coarsest lump.
    """
    width, height = size
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        lump = cell / 2**octave
        across, down = max(2, round(width / lump)), max(2, round(height / lump))
        grid = rng.standard_normal((down, across)).astype(np.float32)
        grow = np.array([[across / width, 0, 0], [0, down / height, 0]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        total += 0.5**octave * cv2.warpAffine(grid, grow, size, flags=flags, borderMode=cv2.BORDER_WRAP)
    return total / 1.6


def to_bytes(colour: np.ndarray, fourth: np.ndarray) -> np.ndarray:
    """RGB (H, W, 3) and a channel (H, W), both 0 ... 255, as one uint8 texture."""
    return np.dstack([colour, fourth]).clip(0, 255).round().astype(np.uint8)


def ground(rng: np.random.Generator, density: float) -> np.ndarray:
    """One period of street: lanes, markings, kerbs, slabs. Column = metres from the middle + GROUND_HALF."""
    width, height = round(2 * GROUND_HALF * density), round(GROUND_PERIOD * density)
    size = (width, height)
    offset = (np.arange(width) + 0.5) / density - GROUND_HALF
    along = (np.arange(height)[:, None] + 0.5) / density
    side = np.abs(offset)
    road = side < ROAD_HALF

    asphalt = 107 + 5 * smooth_noise(rng, size, 3 * density) + 5 * smooth_noise(rng, size, 0.35 * density, 3)
    asphalt += 7 * np.exp(-(((side - 0.85) / 0.35) ** 2)) - 4 * np.exp(-(((side - LANE / 2) / 0.5) ** 2))
    asphalt -= 10 * (side > LANE + 0.1) + 16 * np.exp(-(((side - ROAD_HALF) / 0.25) ** 2))
    for _ in range(5):  # repairs: darker or lighter patches
        x, y = rng.uniform(-ROAD_HALF, ROAD_HALF - 2), rng.uniform(0, GROUND_PERIOD - 4)
        inside = (
            (offset > x) & (offset < x + rng.uniform(0.8, 2)) & (along > y) & (along < y + rng.uniform(1, 4))
        )
        asphalt += inside * rng.uniform(-14, 5)
    colour = asphalt[..., None] * np.array([0.99, 1.0, 1.03], np.float32)

    slabs = _slabs(rng, offset, along, size, density)
    colour = np.where(road[None, :, None], colour, slabs)
    kerb = (side >= ROAD_HALF) & (side < ROAD_HALF + 0.28)
    joint = (along % 1.2) < 0.05
    stone = np.where(joint, 130.0, 186.0)[..., None] * np.array([1.0, 0.985, 0.95], np.float32)
    face = np.clip((side - ROAD_HALF) / 0.1, 0.55, 1.0)  # the foot of the kerb lies in shade
    colour = np.where(kerb[None, :, None], stone * face[None, :, None], colour)

    dashes = (side < 0.075) & ((along % 6.0) < 2.6)
    lines = np.abs(side - LANE - 0.05) < 0.06
    worn = 0.86 + 0.1 * smooth_noise(rng, size, 0.8 * density)
    marking = np.where(dashes | lines, worn.clip(0, 1), 0.0)
    marking = cv2.GaussianBlur(marking.astype(np.float32), (0, 0), 0.6)[..., None]
    colour = colour * (1 - marking) + np.array([226, 224, 214], np.float32) * marking
    return to_bytes(colour, marking[..., 0] * 300)


def _slabs(
    rng: np.random.Generator, offset: np.ndarray, along: np.ndarray, size: tuple[int, int], density: float
) -> np.ndarray:
    """Paving stones 0.9 x 0.6 m with joints, each of its own shade."""
    width, height = size
    row = np.floor(along / 0.6).astype(np.intp)
    shifted = offset + GROUND_HALF + 0.45 * (row % 2)
    column = np.floor(shifted / 0.9).astype(np.intp)
    shade = rng.normal(0, 5, (height, width // 2)).astype(np.float32)[row, column]
    joint = ((along % 0.6) < 0.04) | ((shifted % 0.9) < 0.04)
    grey = 163 + shade + 6 * smooth_noise(rng, size, 2 * density) - 26 * joint
    return grey[..., None] * np.array([1.0, 0.965, 0.91], np.float32)


def sky(
    rng: np.random.Generator,
    density: float,
    zenith: np.ndarray,
    haze: np.ndarray,
    sun: np.ndarray,
    cover: float,
) -> np.ndarray:
    """The dome as (elevation, azimuth) with soft clouds and a far skyline; top row = highest elevation.

    density: texels per radian; zenith, haze: RGB; sun: unit vector; cover: 0 clear ... 1 cloudy.
    The fourth channel is the skyline.
    """
    width, height = round(2 * SKY_REACH[0] * density), round(SKY_REACH[1] * density)
    azimuth = ((np.arange(width) + 0.5) / density - SKY_REACH[0]).astype(np.float32)
    elevation = (SKY_REACH[1] - (np.arange(height) + 0.5) / density).astype(np.float32)[:, None]
    blend = np.exp(-elevation / 0.22)[..., None]
    colour = haze * blend + zenith * (1 - blend)
    direction = np.stack(np.broadcast_arrays(
        np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)
    ), axis=-1)  # fmt: skip
    glow = (direction @ sun.astype(np.float32)).clip(0, 1)[..., None]
    colour = colour + np.array([255, 238, 205], np.float32) * (0.16 * glow**6 + 0.5 * glow**80)

    lumps = smooth_noise(rng, (1024, 1024), 200, 6)
    stretch = 1 / (elevation + 0.09)  # a flat layer of cloud seen from below
    x = 1000 - abs((azimuth * stretch * 130).astype(np.float32) % 2000 - 1000)  # mirrored: no seams
    y = np.repeat(1000 - abs((stretch * 105).astype(np.float32) % 2000 - 1000), width, axis=1)
    cloud = cv2.remap(lumps, x, y, cv2.INTER_LINEAR)
    body = np.clip((cloud + 1.5 * cover - 0.75) * 1.6, 0, 1)
    body = (body * body * (3 - 2 * body) * np.clip(elevation / 0.12, 0, 1))[..., None]
    shaded = 1 - 0.16 * np.clip(cloud + cover - 0.6, 0, 1)[..., None]
    colour = colour * (1 - 0.88 * body) + np.array([250, 248, 246], np.float32) * shaded * 0.88 * body

    skyline = np.zeros((height, width), np.float32)
    for far, (tallest, step) in enumerate([(0.085, 0.05), (0.055, 0.035)]):
        tint = haze * (0.9 - 0.1 * far) + np.array([-14, -8, 0], np.float32)
        position = 0.0
        while position < width:
            span, rise = rng.uniform(0.4, 1.4) * step * density, rng.uniform(0.2, 1) ** 1.6 * tallest
            block = (elevation < rise) & (np.abs(np.arange(width) - position) < span / 2 + 1)
            colour[block] = tint * rng.uniform(0.96, 1.02)
            skyline[block] = 255
            position += span
    return to_bytes(colour, skyline)


def tree(rng: np.random.Generator, density: float, sun_x: float) -> np.ndarray:
    """A tree of 5.2 x 7 m on nothing, colour premultiplied; ``sun_x`` > 0: lit from the right."""
    width, height = round(5.2 * density), round(7.0 * density)
    colour = np.zeros((height, width, 3), np.float32)
    cover = np.zeros((height, width), np.uint8)
    middle, fork = width / 2, height * rng.uniform(0.55, 0.63)

    def stroke(start: tuple[float, float], end: tuple[float, float], thick: float, shade: float) -> None:
        (x0, y0), (x1, y1) = start, end
        corners = np.round(np.array([x0, y0, x1, y1]) * 16).astype(int).tolist()
        wide = max(1, round(thick * density))
        for target, tint in ((colour, (88 * shade, 72 * shade, 58 * shade)), (cover, (255.0,))):
            cv2.line(target, corners[:2], corners[2:], tint, wide, cv2.LINE_8, 4)

    lit = middle + 0.07 * density * float(np.sign(sun_x))
    stroke((middle, height), (middle, fork), 0.3, 0.8)
    stroke((lit, height), (lit, fork), 0.1, 1.25)
    for angle in rng.uniform(-0.8, 0.8, 5).tolist():
        reach = rng.uniform(1.2, 2.2) * density
        stroke((middle, fork), (middle + np.sin(angle) * reach, fork - np.cos(angle) * reach), 0.12, 0.8)
    _foliage(rng, colour, cover, density, sun_x)
    alpha = cv2.GaussianBlur(cover.astype(np.float32), (0, 0), 0.6)
    grain = 1 + 0.1 * smooth_noise(rng, (width, height), 0.25 * density, 2)[..., None]
    soft = cv2.GaussianBlur(colour * grain * (cover[..., None] > 0), (0, 0), 0.8)
    return to_bytes(soft, alpha)


def _foliage(
    rng: np.random.Generator, colour: np.ndarray, cover: np.ndarray, density: float, sun_x: float
) -> None:
    """Leaves onto ``colour`` (H, W, 3) and ``cover`` (H, W), in clusters about a few lobes."""
    height, width = cover.shape
    middle = width / 2
    hue = np.array([rng.uniform(74, 104), rng.uniform(112, 130), rng.uniform(44, 58)])
    centre_y, radius_x, radius_y = height * 0.36, width * 0.41, height * 0.31
    lobes = rng.uniform(-0.5, 0.5, (7, 2))
    leaves = []
    for _ in range(460):
        angle, reach = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform(0, 1))
        lobe = lobes[rng.integers(len(lobes))]
        leaves.append(
            (lobe + 0.56 * reach * np.array([np.cos(angle), np.sin(angle)]), rng.uniform(0.12, 0.34))
        )
    # Inner and lower clusters are dark; the crown facing the sun is painted last and brightest.
    leaves.sort(key=lambda leaf: leaf[0][0] * np.sign(sun_x) * 0.7 - leaf[0][1])
    for order, ((x, y), size) in enumerate(leaves):
        light = 0.5 + 0.62 * order / len(leaves) + rng.normal(0, 0.09)
        at = (round((middle + x * radius_x) * 16), round((centre_y + y * radius_y) * 16))
        cv2.circle(colour, at, round(size * density * 16), tuple(hue * light), -1, cv2.LINE_8, 4)
        cv2.circle(cover, at, round(size * density * 16), 255, -1, cv2.LINE_8, 4)


def hedge(rng: np.random.Generator, density: float) -> np.ndarray:
    """12 x 1.6 m of hedge on a low wall; no second class."""
    width, height = round(12 * density), round(1.6 * density)
    lumps = smooth_noise(rng, (width, height), 0.5 * density)
    up = 1 - np.arange(height)[:, None] / height
    light = 0.75 + 0.3 * up + 0.22 * lumps
    colour = light[..., None] * np.array([82, 104, 50], np.float32)
    stones = (150 + 12 * smooth_noise(rng, (width, height), 0.3 * density))[..., None] * np.array(
        [1, 0.95, 0.88]
    )
    wall = (np.arange(height) > 0.7 * height)[:, None, None]
    return to_bytes(np.where(wall, stones, colour), np.zeros((height, width), np.float32))
