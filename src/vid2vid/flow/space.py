"""Inertia in space: every surface goes on towards the camera as it did last.

Of a point at d from the focus of expansion, which comes nearer by the share s of its distance in a frame and
drifts across by t pixels (by itself, or because the camera turns), d becomes after k frames

    (d + k (1 - k s / 2) t) / (1 - k s)

On a plane s is an affine function of the place in the picture, for 1 / depth is one. So s is fitted by
planes, around every pixel over what belongs to one region with it: what thirty frames make of the noise of a
flow would else be rubble. What is thin, as poles and signs are, goes on as a whole, on one plane, which
faces us unless that is plainly wrong: a flow is blurred across it, and a pole would bend.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from torch import Tensor

from vid2vid.flow.inertia import arrivals, places

MOTION_CHANNELS = 7
"""Of ``motion_in_space``: d (x, y), where there is no focus from the middle, s, its slope (x, y) a pixel, and
t (x, y)."""
SLOWEST = 0.3
"""Pixels a frame that count as motion."""
NARROW = 0.02
"""Share of directions across the usual one, below which all go the same way: there is no focus."""
ASTRAY = 0.3
"""Part of its speed by which half of what moves may go elsewhere than away from the focus."""
STEADY = 25
"""Within this part of the width from the focus, how fast a point comes nearer can hardly be told."""
AROUND = 60
"""Planes are fitted over this part of the width to each side."""
THIN = 64
"""What is nowhere deeper than this part of the width goes on as a whole."""
FEW = 8
"""Pixels, below which there is nothing to keep straight."""
PLAINLY = 0.05
"""By so much, in the mean, must a plane fit what is thin better than one that faces us."""
TOLERANCE = 1.0
"""Pixels by which a flow may miss its plane and still count half."""
FINE = 3
"""Samples of a pixel, to each side, so that what grows stays whole."""
NEAREST = 0.02
"""Of its distance that a point has to keep: what would be behind the camera is out of the picture."""


def motion_in_space(flow: Tensor, regions: Tensor | None = None) -> Tensor:
    """What goes on, of each pixel of the last frame.

    Args:
        flow: from the last frame to the one before, (B, 2, H, W), pixels.
        regions: (B, H, W), whole numbers; surfaces do not go on over their borders. None: there is one.

    Returns:
        (B, 7, H, W), for ``carried_in_space``. No gradient reaches the flow.
    """
    if flow.is_meta:
        return flow.new_empty(len(flow), MOTION_CHANNELS, *flow.shape[2:])
    flows = flow.detach().cpu().double().numpy()
    maps = np.zeros((len(flows), *flows.shape[2:])) if regions is None else regions.cpu().numpy()
    found = [_motion(*one) for one in zip(flows, maps, strict=True)]
    return torch.from_numpy(np.stack(found)).to(flow)


def carried_in_space(motion: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Where points come from that have gone on in space for k frames; see ``carried``.

    Where several points arrive the nearest one is seen, the one that has grown most.

    Args:
        motion: as ``motion_in_space`` gives it. k: at least 1.
    """
    if motion.is_meta:
        return motion[:, :2], motion[:, :1]
    found = [_carried(one, k) for one in motion.detach().float()]
    ways, empty = (torch.stack(part).to(motion.dtype) for part in zip(*found, strict=True))
    return ways, empty[:, None]


def nearing(motion: Tensor) -> Tensor:
    """Which way what comes nearer goes in the picture, (B, 2, H, W): up to 1 long, less close to the focus.

    Args:
        motion: as ``motion_in_space`` gives it.
    """
    away = motion[:, :2]
    return away / (torch.hypot(away[:, :1], away[:, 1:]) + motion.shape[-1] / STEADY)


def heading(flow: np.ndarray, rounds: int = 15) -> tuple[np.ndarray, np.ndarray] | None:
    """Where the camera goes, a place (x, y) in the picture or not; and by how many pixels (x, y) all that is
    far away moves in a frame, because it turns. None where little moves, all goes one way, or everything its
    own.

    For a flow away from the focus e, beside the turn r: (v - r) x (q - e) = 0 at every place q. That is
    linear in e, r and r x e; least squares, in which points count the less the further they miss it.
    """
    height, width = flow.shape[1:]
    every, half = max(1, width // 128), width / 2
    centre = np.array([[half], [height / 2]])
    place = (places(height, width)[:, ::every, ::every].reshape(2, -1) - centre) / half
    speed_x, speed_y = moved = -flow[:, ::every, ::every].reshape(2, -1)
    speed = np.hypot(speed_x, speed_y)
    moving = speed > SLOWEST
    if moving.mean() < 0.25:
        return None
    least, most = np.linalg.eigvalsh(
        (moved[:, moving] / speed[moving]) @ (moved[:, moving] / speed[moving]).T
    )
    if least < NARROW * most:
        return None
    x, y = place
    terms = np.stack([-speed_y, speed_x, y, -x, -np.ones_like(x)])
    known, weight = speed_x * y - speed_y * x, np.minimum(1, speed)
    for _ in range(rounds):
        matrix = (terms * weight) @ terms.T
        matrix += np.diag([0, 0, 1, 1, 0]) * 1e-4 * np.trace(matrix) + 1e-9 * np.eye(5)
        found = np.linalg.solve(matrix, (terms * weight) @ known)
        focus, turn = found[:2, None], found[2:4, None]
        away = place - focus
        far = np.hypot(*away) + 0.05
        missed = ((speed_x - turn[0]) * away[1] - (speed_y - turn[1]) * away[0]) / far
        weight = 1 / (far**2 * (0.5 + missed**2))
    if np.median(np.abs(missed[moving]) / speed[moving]) > ASTRAY:
        return None
    return focus[:, 0] * half + centre[:, 0], turn[:, 0]


def _motion(flow: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """(7, H, W)."""
    height, width = flow.shape[1:]
    ahead = heading(flow)
    focus, turn = (np.array([width / 2, height / 2]), np.zeros(2)) if ahead is None else ahead
    away = places(height, width) - focus[:, None, None]
    drift = -flow - turn[:, None, None]
    weight = (away**2).sum(0) + (width / STEADY) ** 2
    share = np.zeros_like(weight) if ahead is None else (drift * away).sum(0) / weight
    across = drift - share * away
    share = share / (1 - np.minimum(share, 0.5))  # of the distance there was a frame ago; now of what is left
    found = np.zeros((MOTION_CHANNELS, height, width))
    found[:2] = away
    for region in np.unique(regions):
        here = regions == region
        box = tuple(slice(line.min(), line.max() + 1) for line in np.nonzero(here))
        here, whole = here[box], (slice(None), *box)
        part = found[whole]
        radius = max(1, width // AROUND)
        tolerance = TOLERANCE / np.sqrt(weight[box])
        part[2:5, here] = _planes(share[box], weight[box] * here, tolerance, radius)[:, here]
        for i in (0, 1):
            plane = _planes(across[i][box], here.astype(float), np.full(here.shape, TOLERANCE), radius)
            part[5 + i, here] = plane[0, here] + turn[i]
        for rows, columns in _thin(here, width / THIN):
            thin = slice(2, None), rows, columns
            part[thin] = _whole(part[thin], weight[box][rows, columns], np.stack([columns, rows]))
    return found


def _thin(here: np.ndarray, depth: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of a region, (H, W), the connected parts that are nowhere so deep: rows and columns of each, (N,)."""
    mask = here.astype(np.uint8)
    inside = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    count, marks = cv2.connectedComponents(mask)
    shallow = np.ones(count, bool)
    shallow[marks[inside >= depth]] = False
    shallow[0] = False  # what is not of the region
    pixels = np.flatnonzero(shallow[marks])
    pixels = pixels[np.argsort(marks.ravel()[pixels], kind="stable")]
    ends = np.cumsum(np.bincount(marks.ravel()[pixels], minlength=count)[shallow])
    for part in np.split(pixels, ends)[:-1]:
        if len(part) >= FEW:
            yield np.divmod(part, here.shape[1])


def _whole(motion: np.ndarray, weight: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Motion, (5, N) without d, of what goes on as a whole: s on one plane, which may be one that faces us,
    and one t."""
    facing, tilted = (_plane(motion[0], weight, place, flat) for flat in (True, False))
    (share, slopes, _) = tilted if tilted[2] < facing[2] - PLAINLY else facing
    alike = np.concatenate([slopes, np.median(motion[3:], axis=1)])
    return np.concatenate([share[None], np.repeat(alike[:, None], len(share), axis=1)])


def _plane(
    values: np.ndarray, weight: np.ndarray, place: np.ndarray, flat: bool, rounds: int = 3
) -> tuple[np.ndarray, np.ndarray, float]:
    """The plane through N values, fitted as by ``_planes``, without slopes if it is flat: its heights, (N,),
    its slopes, (2,), and how far it misses them in the mean."""
    trust, slopes = weight, np.zeros(2)
    for _ in range(rounds):
        share = trust / trust.sum()
        off = place - (place @ share)[:, None]
        mean = values @ share
        if not flat:
            slopes = np.linalg.solve((share * off) @ off.T + 0.1 * np.eye(2), (share * off) @ (values - mean))
        heights = mean + slopes @ off
        missed = (values - heights) ** 2 * weight / TOLERANCE**2
        trust = weight / (1 + missed)
    return heights, slopes, float(np.log1p(missed).mean())


def _planes(
    values: np.ndarray, weight: np.ndarray, tolerance: np.ndarray, radius: int, rounds: int = 3
) -> np.ndarray:
    """Around every pixel the plane through the values, (H, W), around it: its height there and its slopes,
    (3, H, W). Weighted least squares; what misses its plane by the tolerance counts half in the next round.
    """

    def summed(x: np.ndarray) -> np.ndarray:
        size = (2 * radius + 1,) * 2
        total: np.ndarray = cv2.boxFilter(
            x, cv2.CV_64F, size, normalize=False, borderType=cv2.BORDER_CONSTANT
        )
        return total

    x, y = places(*values.shape).astype(float)
    trust = weight
    for _ in range(rounds):
        count = np.maximum(summed(trust), 1e-9)
        mean_x, mean_y, mean = (summed(trust * z) / count for z in (x, y, values))
        # Of two or three pixels in a row no slope can be told: it is held back.
        xx = summed(trust * x * x) / count - mean_x**2 + 4.0
        yy = summed(trust * y * y) / count - mean_y**2 + 4.0
        xy = summed(trust * x * y) / count - mean_x * mean_y
        xz = summed(trust * x * values) / count - mean_x * mean
        yz = summed(trust * y * values) / count - mean_y * mean
        slope_x, slope_y = (xz * yy - yz * xy), (yz * xx - xz * xy)
        slope_x, slope_y = slope_x / (xx * yy - xy**2), slope_y / (xx * yy - xy**2)
        height = mean + slope_x * (x - mean_x) + slope_y * (y - mean_y)
        trust = weight / (1 + ((values - height) / tolerance) ** 2)
    return np.stack([height, slope_x, slope_y])


def _carried(motion: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The way back, (2, H, W), and where no point arrived, (H, W); of motion (7, H, W)."""
    height, width = motion.shape[1:]
    offsets = (torch.arange(FINE, device=motion.device) - (FINE - 1) / 2) / FINE
    rows, columns = (torch.arange(float(n), device=motion.device) for n in (height, width))
    x, y = columns[:, None] + offsets, (rows[:, None] + offsets)[..., None, None]
    moved, left = _moved(motion[:, :, None, :, None], offsets, offsets[:, None, None], k)
    # A sample, of (H, FINE, W, FINE), stands for what lies half way to the next one: what grows needs more,
    # what shrinks less. What would be behind the camera is not seen.
    reach = torch.where(left > NEAREST, (0.55 / FINE / left).clamp(max=0.5), -1.0)
    seen, empty = arrivals(torch.stack([x + moved[0], y + moved[1]]), 1 / left, reach, (height, width))
    row, y_part, column, x_part = torch.unravel_index(seen, left.shape)
    beside = torch.stack([offsets[x_part], offsets[y_part]])
    moved, left = _moved(motion[:, row, column], beside[0], beside[1], k)
    way = torch.stack([column - columns, row - rows[:, None]]) + beside
    missed = torch.where(empty, 0, way + moved)  # where none arrived the nearest one is seen
    return way - missed * left, empty


def _moved(motion: Tensor, x: Tensor, y: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """How far points have got, (2, ...), that lie x and y beside those whose motion, (7, ...), is known; and
    the share of their distance that is left, (...), at least ``NEAREST``."""
    share = motion[2] + motion[3] * x + motion[4] * y
    left = (1 - k * share).clamp(min=NEAREST)
    bent = k * (1 - k * share / 2)
    axes = (motion[0] + x, motion[5]), (motion[1] + y, motion[6])
    return torch.stack([(away + bent * turn) / left - away for away, turn in axes]), left
