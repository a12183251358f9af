"""Curves through landmarks as the drawings of 2018 have them, to the last pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

STEEPEST = 1.0
"""A parabola with a larger quadratic coefficient is left out."""

_PRECISION = 2.220446049250313e-16
_TOLERANCE = 1.49012e-8
_LARGEST_SPAN = 1 << 16
"""No curve is longer: points far outside the picture are left out rather than sampled."""

Column = list[float]


def sample_curve(points: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The pixels of a line through 2 points, or of a parabola through 3, once per pixel of its longer axis.

    Args:
        points: (2 or 3, 2), x and y, pixels.

    Returns:
        x and y, truncated to int64, from the smaller to the larger end; None for a curve that is left out:
        too bent, shorter than a pixel, not a function of either axis, or endless.
    """
    x, y = np.asarray(points, dtype=np.float64).T
    if not np.isfinite(points).all() or np.abs(points).max() > _LARGEST_SPAN:
        return None
    swapped = np.abs(np.diff(x)).max() < np.abs(np.diff(y)).max()
    if swapped:
        x, y = y, x
    if len(set(x.tolist())) < len(x):
        return None
    coefficients = _fit(x, y)
    start, stop = sorted((float(x[0]), float(x[-1])))
    count = int(stop - start)
    if not count or (len(x) == 3 and abs(coefficients[0]) > STEEPEST):
        return None
    along = np.linspace(start, stop, count)
    across = _value(coefficients, along)
    if swapped:
        along, across = across, along
    return along.astype(np.int64), across.astype(np.int64)


def curve_pieces(points: np.ndarray, length: int) -> list[np.ndarray]:
    """A chain of points in pieces of ``length`` that share their end points; the last may be shorter."""
    step = length - 1
    return [points[start : start + length] for start in range(0, len(points) - 1, step)]


def paint(
    picture: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    colour: tuple[int, int, int] | int,
    brush: int,
    ends: bool = False,
) -> None:
    """Paint the pixels of a curve into a picture, (H, W) or (H, W, 3) uint8.

    Every pixel paints the square of offsets -brush ... brush - 1; at the border what is outside falls onto
    it. One offset of the whole curve is one stroke; a stroke that meets any colour is averaged, along all of
    its length, with what was there (in pictures of one channel it covers). That is how they were drawn.

    Args:
        ends: discs around both ends as well, of squared radius below 4 brush^2.
    """
    for down in range(-brush, brush):
        for right in range(-brush, brush):
            _stroke(picture, x + right, y + down, colour)
    if ends:
        two_x, two_y = x[[0, -1]], y[[0, -1]]
        for down in range(-2 * brush, 2 * brush):
            for right in range(-2 * brush, 2 * brush):
                if down * down + right * right < 4 * brush * brush:
                    _stroke(picture, two_x + right, two_y + down, colour)


def _stroke(picture: np.ndarray, x: np.ndarray, y: np.ndarray, colour: tuple[int, int, int] | int) -> None:
    height, width = picture.shape[:2]
    place = y.clip(0, height - 1), x.clip(0, width - 1)
    there = picture[place]
    if picture.ndim == 3 and there.any():
        picture[place] = ((there.astype(np.float64) + colour) / 2).astype(np.uint8)
    else:
        picture[place] = colour


# The published pictures took their curves from the least-squares fit of a scientific library. Pixels are
# truncated, and curves pass through landmarks at whole pixels, so the last bit of the fit decides on which
# side of a pixel's edge a sample falls: an exact fit, or one by any other route, differs in some fifty pixels
# of a face. Hence the same route: Gauss-Newton from ones, forward differences for the Jacobian, Householder
# triangles with column pivoting (Moré 1978, as in MINPACK), sums in that order.


def _value(coefficients: Sequence[float], x: np.ndarray) -> np.ndarray:
    if len(coefficients) == 3:
        return coefficients[0] * x**2 + coefficients[1] * x + coefficients[2]
    return coefficients[0] * x + coefficients[1]


def _fit(x: np.ndarray, y: np.ndarray) -> Column:
    """Coefficients, highest power first, of the polynomial through as many points."""
    current = [1.0] * len(x)
    error = _value(current, x) - y
    scale = [0.0] * len(x)
    for _ in range(20):
        jacobian = []
        for place, coefficient in enumerate(current):
            width = math.sqrt(_PRECISION) * abs(coefficient) or math.sqrt(_PRECISION)
            moved = [*current[:place], coefficient + width, *current[place + 1 :]]
            jacobian.append((((_value(moved, x) - y) - error) / width).tolist())
        scale = [max(old, _length(column)) for old, column in zip(scale, jacobian, strict=True)]
        step = _newton_step(jacobian, error.tolist())
        moved = [old + change for old, change in zip(current, step, strict=True)]
        moved_error = _value(moved, x) - y
        if _length(moved_error.tolist()) < _length(error.tolist()):
            current, error = moved, moved_error
        reach = 2 * _length([s * change for s, change in zip(scale, step, strict=True)])
        whole = _length([s * value for s, value in zip(scale, current, strict=True)])
        if reach <= _TOLERANCE * whole or not error.any():
            break
    return current


def _newton_step(jacobian: list[Column], error: Column) -> Column:
    """The step that cancels the error, for a Jacobian given by columns."""
    columns, order, diagonal = _triangle(jacobian)
    count, turned = len(columns), list(error)
    for j in range(count):
        if columns[j][j]:
            factor = -_dot(columns[j], turned, j) / columns[j][j]
            for i in range(j, count):
                turned[i] += columns[j][i] * factor
    usable = next((j for j in range(count) if diagonal[j] == 0), count)
    turned[usable:] = [0.0] * (count - usable)
    for k in range(usable - 1, -1, -1):
        turned[k] /= diagonal[k]
        for i in range(k):
            turned[i] -= columns[k][i] * turned[k]
    step = [0.0] * count
    for j in range(count):
        step[order[j]] = -turned[j]
    return step


def _triangle(jacobian: list[Column]) -> tuple[list[Column], list[int], Column]:
    """Householder vectors with the upper triangle beside them, the columns' order, the diagonal."""
    columns = [list(column) for column in jacobian]
    count = len(columns)
    order = list(range(count))
    norms = [_length(column) for column in columns]
    known = list(norms)  # what each norm was when last computed afresh
    for j in range(count):
        largest = max(range(j, count), key=lambda k: (norms[k], -k))
        if largest != j:
            columns[j], columns[largest] = columns[largest], columns[j]
            order[j], order[largest] = order[largest], order[j]
            norms[largest], known[largest] = norms[j], known[j]
        norm = _length(columns[j][j:])
        if norm:
            norm = -norm if columns[j][j] < 0 else norm
            columns[j][j:] = [value / norm for value in columns[j][j:]]
            columns[j][j] += 1
            for k in range(j + 1, count):
                factor = _dot(columns[j], columns[k], j) / columns[j][j]
                for i in range(j, count):
                    columns[k][i] -= factor * columns[j][i]
                if norms[k]:
                    share = columns[k][j] / norms[k]
                    norms[k] *= math.sqrt(max(0.0, 1 - share * share))
                    if 0.05 * (norms[k] / known[k]) ** 2 <= _PRECISION:
                        norms[k] = known[k] = _length(columns[k][j + 1 :])
        norms[j] = -norm
    return columns, order, norms


def _length(values: Column) -> float:
    total = 0.0
    for value in values:
        total += value * value
    return math.sqrt(total)


def _dot(first: Column, second: Column, start: int) -> float:
    total = 0.0
    for i in range(start, len(first)):
        total += first[i] * second[i]
    return total
