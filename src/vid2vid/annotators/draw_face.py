"""Faces drawn from their 68 landmarks: the 15 channels of the networks of 2018, and a plain sketch."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vid2vid.annotators.canny import canny_edges
from vid2vid.annotators.curves import curve_pieces, paint, sample_curve
from vid2vid.annotators.mediapipe_points import (
    MESH,
    MESH_BRIDGE,
    MESH_BROWS,
    MESH_EYES,
    MESH_IRISES,
    MESH_LIPS,
    MESH_NOSTRILS,
    MESH_OVAL,
)
from vid2vid.types import Size

CHANNELS = 15
"""All lines with the edges of the background, then the distance from each of the 14 lines."""

_CONTOUR = [*range(17), *range(68, 83)]
LINES: tuple[list[int], ...] = (
    [*_CONTOUR, 0],
    [*range(17, 22)],
    [*range(22, 27)],
    *([28, 31], [*range(31, 36)], [35, 28]),
    *([*range(36, 40)], [39, 40, 41, 36]),
    *([*range(42, 46)], [45, 46, 47, 42]),
    *([*range(48, 55)], [*range(54, 60), 48]),
    *([*range(60, 65)], [*range(64, 68), 60]),
)
"""Indices of landmarks; 68-82 are the forehead that `close_contour` adds."""

PARTS: tuple[tuple[int, list[int]], ...] = (
    (1, _CONTOUR),
    *((2, [*range(17, 22)]), (2, [*range(22, 27)])),
    (3, [28, *range(31, 36)]),
    *((4, [*range(36, 42)]), (4, [*range(42, 48)])),
    (5, [*range(48, 60)]),
    (6, [*range(60, 68)]),
)
"""Label and outline of what is filled: face, brows, nose, eyes, mouth, inner mouth."""


def close_contour(points: np.ndarray) -> np.ndarray:
    """(68, 2) landmarks to (83, 2) whole pixels: the chin mirrored upwards, at two thirds, as a forehead."""
    points = np.trunc(points).astype(np.int64)
    level = (points[0, 1] + points[16, 1]) / 2
    forehead = points[15:0:-1].astype(np.float64)
    forehead[:, 1] = level + (level - forehead[:, 1]) * 2 // 3
    return np.concatenate([points, np.trunc(forehead).astype(np.int64)])


def draw_face(points: np.ndarray, size: Size, frame: np.ndarray | None = None) -> np.ndarray:
    """The published face condition, to the pixel.

    Lines are two pixels wide and distances are in pixels whatever the size: draw at the size of the frames
    and resize the drawing, as the networks of 2018 saw it.

    Args:
        points: (68, 2), x and y, pixels.
        size: (width, height).
        frame: (H, W, 3) uint8 RGB of that size, whose edges are drawn outside the face; None: none are.

    Returns:
        (H, W, 15) uint8: all lines and edges, 255 on 0; a third of the distance (city block) from each line.
        Networks take it as [0, 1].
    """
    import cv2

    width, height = size
    closed = close_contour(points)
    drawing = np.zeros((height, width, CHANNELS), np.uint8)
    lines = np.zeros((height, width), np.uint8)
    for number, indices in enumerate(LINES, start=1):
        line = np.zeros((height, width), np.uint8)
        for piece in curve_pieces(closed[indices], 3):
            if (sampled := sample_curve(piece)) is not None:
                paint(line, *sampled, 255, brush=1)
        lines |= line
        distance = cv2.distanceTransform(255 - line, cv2.DIST_L1, 3)
        drawing[..., number] = (distance / 3).clip(0, 255).astype(np.uint8)
    if frame is not None:
        edges = canny_edges(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))
        lines[edges & (part_labels(points, size) == 0)] = 255
    drawing[..., 0] = lines
    return drawing


def part_labels(points: np.ndarray, size: Size) -> np.ndarray:
    """(H, W) uint8: 1 face, 2 brows, 3 nose, 4 eyes, 5 mouth, 6 inner mouth; 0 elsewhere."""
    import cv2

    closed = whole_pixels(close_contour(points))
    labels = np.zeros(size[::-1], np.uint8)
    for label, outline in PARTS:
        cv2.fillPoly(labels, [closed[outline]], label)
    return labels


def face_crop(faces: Iterable[np.ndarray | None], size: Size) -> tuple[int, int, int, int] | None:
    """The square that shows a clip's face, for all its frames: (x, y, width, height) within ``size``.

    As published it is 2.5 times as wide as the landmarks and lies a little higher; there it was taken from
    the first frame. Here the borders of the landmarks are medians over the clip, so that no frame that is off
    counts, and a face that moves about makes it larger, up to the frame. None where there is no face.

    Args:
        faces: (N, 2) of each frame, in pixels; None: none was found.
        size: (width, height) of the frames.
    """
    borders = np.array([[*face.min(axis=0), *face.max(axis=0)] for face in faces if face is not None])
    if not len(borders):
        return None
    left, top, right, bottom = np.median(borders, axis=0)
    low, high = np.percentile(borders[:, :2], 5, axis=0), np.percentile(borders[:, 2:], 95, axis=0)
    side = min(int(max(2.5 * (right - left), *(1.25 * (high - low)))), *size)
    x, y = int((left + right) / 2 - side / 2), int((3 * top + bottom) / 4 - side / 2)
    return min(max(x, 0), size[0] - side), min(max(y, 0), size[1] - side), side, side


Outline = tuple[tuple[int, ...], bool, tuple[int, int, int]]
"""Points by number, whether the last joins the first, colour."""

_WHITE, _ORANGE, _GREEN, _BLUE = (255, 255, 255), (255, 180, 60), (90, 220, 90), (80, 170, 255)
_RED, _PURPLE, _YELLOW = (255, 70, 110), (200, 60, 200), (255, 255, 120)
OUTLINES: dict[int, tuple[Outline, ...]] = {
    68: (
        (tuple(range(17)), False, _WHITE),
        *((tuple(range(17, 22)), False, _ORANGE), (tuple(range(22, 27)), False, _ORANGE)),
        *((tuple(range(27, 31)), False, _GREEN), (tuple(range(31, 36)), False, _GREEN)),
        *((tuple(range(36, 42)), True, _BLUE), (tuple(range(42, 48)), True, _BLUE)),
        *((tuple(range(48, 60)), True, _RED), (tuple(range(60, 68)), True, _PURPLE)),
    ),
    MESH: (
        (MESH_OVAL, True, _WHITE),
        *((brow, True, _ORANGE) for brow in MESH_BROWS),
        *((MESH_BRIDGE, False, _GREEN), (MESH_NOSTRILS, False, _GREEN)),
        *((eye, True, _BLUE) for eye in MESH_EYES),
        *((iris, True, _YELLOW) for iris in MESH_IRISES),
        *((MESH_LIPS[0], True, _RED), (MESH_LIPS[1], True, _PURPLE)),
    ),
}
"""The parts of a face by how many points it has: dlib's, MediaPipe's."""

WIDEST = 1024
"""Pixels: OpenCV draws no line that is much wider."""

_FINER = 4
"""Sketches are drawn this many times as large, then averaged."""


def sketch_face(points: np.ndarray, size: Size) -> np.ndarray:
    """A plain sketch of our own: smooth lines in a colour a part, as wide as the face is large.

    Args:
        points: (68, 2) or (478, 2), x and y, pixels; may lie between pixels.
        size: (width, height).

    Returns:
        (H, W, 3) uint8 RGB on black. Without face (all landmarks in one place) it is black.
    """
    import cv2

    width, height = size
    drawing = np.zeros((height * _FINER, width * _FINER, 3), np.uint8)
    extent = float(np.ptp(points, axis=0).max())
    if extent < 1:
        return np.zeros((height, width, 3), np.uint8)
    thickness = round(min(max(_FINER * extent / 75, _FINER), WIDEST))
    for indices, closed, colour in OUTLINES[len(points)]:
        if np.ptp(points[list(indices)], axis=0).any():  # else it is left out
            curve = smooth_curve(points[list(indices)], closed) * _FINER
            cv2.polylines(drawing, [whole_pixels(curve)], closed, colour, thickness, cv2.LINE_AA)
    return np.asarray(cv2.resize(drawing, size, interpolation=cv2.INTER_AREA), np.uint8)


def whole_pixels(points: np.ndarray) -> np.ndarray:
    """Points as OpenCV draws them: int32, and none so far outside that its own numbers overflow."""
    return points.clip(-(2**14), 2**14).round().astype(np.int32)


def smooth_curve(points: np.ndarray, closed: bool, steps: int = 6) -> np.ndarray:
    """A Catmull-Rom curve through (N, 2) points, with ``steps`` points for each piece."""
    if closed:
        around = np.concatenate([points[-1:], points, points[:2]])
    else:
        around = np.concatenate([points[:1], points, points[-1:]])
    before, start, stop, after = (around[i : len(around) - 3 + i, None] for i in range(4))
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    cubic = 3 * (start - stop) + after - before
    square = 2 * before - 5 * start + 4 * stop - after
    curve = start + 0.5 * t * (stop - before + t * (square + t * cubic))
    pieces = curve.reshape(-1, 2)
    return pieces if closed else np.concatenate([pieces, points[-1:]])
