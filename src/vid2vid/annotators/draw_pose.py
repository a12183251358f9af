"""People drawn from their keypoints: as the networks of 2018 had them, and in a cleaner style of our own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from vid2vid.annotators.curves import curve_pieces, paint, sample_curve
from vid2vid.annotators.draw_face import WIDEST, smooth_curve, whole_pixels
from vid2vid.annotators.keypoints import SEEN, Keypoints
from vid2vid.types import Size

Colour = tuple[int, int, int]

FACE_SEEN = 0.1
"""A point of a face of no larger confidence does not count."""

LIMBS: tuple[tuple[int, int, Colour], ...] = (
    *((17, 15, (153, 0, 153)), (15, 0, (153, 0, 102)), (0, 16, (102, 0, 153)), (16, 18, (51, 0, 153))),
    *((0, 1, (153, 0, 51)), (1, 8, (153, 0, 0))),
    *((1, 2, (153, 51, 0)), (2, 3, (153, 102, 0)), (3, 4, (153, 153, 0))),
    *((1, 5, (102, 153, 0)), (5, 6, (51, 153, 0)), (6, 7, (0, 153, 0))),
    *((8, 9, (0, 153, 51)), (9, 10, (0, 153, 102)), (10, 11, (0, 153, 153))),
    *((11, 24, (0, 153, 153)), (11, 22, (0, 153, 153)), (22, 23, (0, 153, 153))),
    *((8, 12, (0, 102, 153)), (12, 13, (0, 51, 153)), (13, 14, (0, 0, 153))),
    *((14, 21, (0, 0, 153)), (14, 19, (0, 0, 153)), (19, 20, (0, 0, 153))),
)
"""Joints of BODY_25 and colours, in the order of drawing: head, trunk, arms, legs; the right one first."""

FINGERS: tuple[tuple[list[int], Colour], ...] = (
    ([0, 1, 2, 3, 4], (204, 0, 0)),
    ([0, 5, 6, 7, 8], (163, 204, 0)),
    ([0, 9, 10, 11, 12], (0, 204, 82)),
    ([0, 13, 14, 15, 16], (0, 82, 204)),
    ([0, 17, 18, 19, 20], (163, 0, 204)),
)

FACE_LINES: tuple[list[int], ...] = (
    *([*range(17, 22)], [*range(22, 27)], [*range(27, 31)], [*range(31, 36)]),
    *([*range(36, 40)], [39, 40, 41, 36], [*range(42, 46)], [45, 46, 47, 42]),
    *([*range(48, 55)], [*range(54, 60), 48]),
)


def draw_openpose(people: Iterable[Keypoints], size: Size) -> np.ndarray:
    """The published drawing, to the pixel: limbs, then fingers, then face lines of each person.

    Limbs are six pixels wide whatever the size: draw at the size of the frames and resize the drawing, as the
    networks of 2018 saw it. A finger or a line of a face is left out unless all its points count.

    Args:
        size: (width, height).

    Returns:
        (H, W, 3) uint8 RGB on black; people are drawn apart and added.
    """
    import cv2

    total = np.zeros((size[1], size[0], 3), np.uint8)
    for person in people:
        picture = np.zeros_like(total)
        for first, second, colour in LIMBS:
            _draw_chain(picture, person.body[[first, second]], colour, SEEN, brush=3)
        for hand in (person.left_hand, person.right_hand):
            for finger, colour in FINGERS:
                _draw_chain(picture, hand[finger], colour, SEEN, brush=1)
        for line in FACE_LINES:
            _draw_chain(picture, person.face[line], (255, 255, 255), FACE_SEEN, brush=1)
        cv2.add(total, picture, dst=total)  # stays at 255 where it would go beyond
    return total


def _draw_chain(picture: np.ndarray, points: np.ndarray, colour: Colour, least: float, brush: int) -> None:
    """Lines between points (N, 3), if all of them are surer than ``least``."""
    if not (points[:, 2] > least).all():
        return
    for piece in curve_pieces(points[:, :2], 2):
        if (sampled := sample_curve(piece)) is not None:
            paint(picture, *sampled, colour, brush, ends=True)


_TRUNK = (200, 200, 200)
_RIGHT = ((255, 96, 32), (255, 160, 32), (255, 224, 64))
_LEFT = ((32, 96, 255), (32, 176, 255), (96, 240, 255))
_OWN_LIMBS: tuple[tuple[int, int, Colour], ...] = (
    *((1, 8, _TRUNK), (1, 2, _RIGHT[0]), (1, 5, _LEFT[0]), (8, 9, _RIGHT[0]), (8, 12, _LEFT[0])),
    *((9, 10, _RIGHT[1]), (10, 11, _RIGHT[2]), (12, 13, _LEFT[1]), (13, 14, _LEFT[2])),
    *((2, 3, _RIGHT[1]), (3, 4, _RIGHT[2]), (5, 6, _LEFT[1]), (6, 7, _LEFT[2])),
)
_OWN_FINE_LIMBS: tuple[tuple[int, int, Colour], ...] = (
    *((11, 24, _RIGHT[2]), (11, 22, _RIGHT[2]), (22, 23, _RIGHT[2])),
    *((14, 21, _LEFT[2]), (14, 19, _LEFT[2]), (19, 20, _LEFT[2])),
    *((1, 0, _TRUNK), (0, 15, _RIGHT[1]), (15, 17, _RIGHT[2]), (0, 16, _LEFT[1]), (16, 18, _LEFT[2])),
)
_OWN_FINGERS: tuple[Colour, ...] = (
    (255, 64, 64),
    (224, 224, 64),
    (64, 224, 64),
    (64, 160, 255),
    (224, 64, 224),
)
HAND_SHARE = 0.3
"""OpenPose is that much less sure of hands that it gets right."""
_FACE_COLOUR = (255, 255, 255)
_FINE = 1 << 20
"""Pictures of up to so many pixels are drawn four times as large and averaged, larger ones twice."""


def draw_pose(person: Keypoints | None, size: Size, least: float = FACE_SEEN) -> np.ndarray:
    """Our own style: smooth limbs as wide as the person is large, the right side warm and the left one cold,
    joints as lighter dots, hands and the lines of the face finer. What is nearer the viewer is not known;
    arms are drawn last, for they are in front more often than not.

    Args:
        person: pixels may lie between; None: nobody, a black picture.
        size: (width, height).
        least: points of no larger confidence are left out, and only the lines that end in them.

    Returns:
        (H, W, 3) uint8 RGB on black.
    """
    import cv2

    width, height = size
    finer = 4 if width * height <= _FINE else 2
    drawing = np.zeros((height * finer, width * finer, 3), np.uint8)
    if person is not None and (unit := _unit(person, least)) > 0:
        unit = min(unit * finer, WIDEST)
        body = person.body * np.array([finer, finer, 1], np.float32)
        thick = max(unit * 0.1, finer * 1.5)
        for limbs, share in ((_OWN_FINE_LIMBS, 0.5), (_OWN_LIMBS, 1.0)):
            _draw_lines(drawing, body, limbs, thick * share, least)
            _draw_dots(drawing, body, limbs, thick * share * 0.65, least)
        for hand in (person.left_hand, person.right_hand):
            scaled = hand * np.array([finer, finer, 1], np.float32)
            lines = [
                (first, second, colour)
                for (finger, _), colour in zip(FINGERS, _OWN_FINGERS, strict=True)
                for first, second in pairwise(finger)
            ]
            _draw_lines(drawing, scaled, lines, max(unit * 0.025, finer), least * HAND_SHARE)
        face = person.face * np.array([finer, finer, 1], np.float32)
        for line in FACE_LINES:
            if (face[line, 2] > least).all():
                curve = smooth_curve(face[line, :2], closed=False)
                fine = max(round(unit * 0.013), finer)
                cv2.polylines(drawing, [whole_pixels(curve)], False, _FACE_COLOUR, fine, cv2.LINE_AA)
    return np.asarray(cv2.resize(drawing, size, interpolation=cv2.INTER_AREA), np.uint8)


def _unit(person: Keypoints, least: float) -> float:
    """About the width of the shoulders, pixels; told by what is seen of the body, else of face or hands."""
    body = person.body

    def span(first: int, second: int) -> float:
        if min(body[first, 2], body[second, 2]) <= least:
            return 0.0
        return float(np.hypot(*(body[first, :2] - body[second, :2])))

    # Turned away or bent, one of these is short but not all.
    lengths = [span(2, 5), 0.75 * span(1, 8), *(0.9 * span(*leg) for leg in ((9, 10), (12, 13)))]
    lengths += [*(0.9 * span(*arm) for arm in ((2, 3), (5, 6))), 1.5 * span(0, 1)]
    if longest := max(lengths):
        return longest
    for part, ratio in ((person.face, 2.5), (person.left_hand, 2.0), (person.right_hand, 2.0), (body, 0.5)):
        seen = part[part[:, 2] > least, :2]
        if len(seen) > 1:
            return ratio * float(np.ptp(seen, axis=0).max())
    return 0.0


def _visible(
    points: np.ndarray, lines: Sequence[tuple[int, int, Colour]], least: float
) -> Iterator[tuple[np.ndarray, np.ndarray, Colour]]:
    for first, second, colour in lines:
        if min(points[first, 2], points[second, 2]) > least:
            ends = whole_pixels(points[[first, second], :2])
            yield ends[0], ends[1], colour


def _draw_lines(
    drawing: np.ndarray,
    points: np.ndarray,
    lines: Sequence[tuple[int, int, Colour]],
    thickness: float,
    least: float,
) -> None:
    import cv2

    for start, stop, colour in _visible(points, lines, least):
        cv2.line(drawing, start.tolist(), stop.tolist(), colour, max(round(thickness), 1), cv2.LINE_AA)


def _draw_dots(
    drawing: np.ndarray,
    points: np.ndarray,
    lines: Sequence[tuple[int, int, Colour]],
    radius: float,
    least: float,
) -> None:
    import cv2

    done: set[tuple[int, int]] = set()
    for start, stop, colour in _visible(points, lines, least):
        lighter = tuple((value + 255) // 2 for value in colour)
        for place in (start, stop):
            centre = (int(place[0]), int(place[1]))
            if centre not in done:
                done.add(centre)
                cv2.circle(drawing, centre, max(round(radius), 1), lighter, -1, cv2.LINE_AA)
