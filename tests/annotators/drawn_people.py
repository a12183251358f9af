"""Landmarks and people that nobody was filmed for."""

from __future__ import annotations

import numpy as np

from vid2vid.annotators import Keypoints


def face(width: int = 160, height: int = 120, move: float = 0.0) -> np.ndarray:
    """68 landmarks, (68, 2), of a face that looks straight ahead, on whole pixels."""

    def arc(cx: float, cy: float, rx: float, ry: float, degrees: np.ndarray) -> np.ndarray:
        t = np.radians(degrees)
        return np.stack([cx + rx * np.cos(t), cy + ry * np.sin(t)], axis=-1)

    def turn(count: int) -> np.ndarray:
        return 180 + 360 * np.arange(count) / count

    parts = [
        arc(0, 0, 0.8, 1.0, np.linspace(180, 0, 17)),
        *(arc(x, -0.2, 0.25, 0.15, np.linspace(200, 340, 5)) for x in (-0.4, 0.4)),
        np.stack([np.zeros(4), np.linspace(-0.1, 0.25, 4)], axis=-1),
        arc(0, 0.3, 0.15, 0.08, np.linspace(180, 0, 5)),
        *(arc(x, -0.02, 0.16, 0.07, turn(6)) for x in (-0.4, 0.4)),
        *(arc(0, 0.6, rx, ry, turn(count)) for rx, ry, count in ((0.3, 0.14, 12), (0.22, 0.06, 8))),
    ]
    points = np.concatenate(parts) * (0.4 * height) + (width / 2 + move, height * 0.45)
    return points.round()


def person(width: int = 120, height: int = 160, move: float = 0.0) -> Keypoints:
    """Somebody who stands, seen from the front, all points sure."""
    places = [
        *(
            (0, -0.8),
            (0, -0.55),
            (-0.25, -0.5),
            (-0.35, -0.2),
            (-0.3, 0.1),
            (0.25, -0.5),
            (0.4, -0.25),
            (0.5, 0),
        ),
        *((0, 0), (-0.12, 0), (-0.15, 0.4), (-0.15, 0.8), (0.12, 0), (0.15, 0.4), (0.2, 0.8)),
        *((-0.05, -0.85), (0.05, -0.85), (-0.12, -0.82), (0.12, -0.82)),
        *((0.25, 0.9), (0.22, 0.9), (0.2, 0.83), (-0.2, 0.9), (-0.22, 0.9), (-0.15, 0.83)),
    ]
    middle, scale = np.array([width / 2 + move, height / 2]), 0.45 * height

    def sure(points: np.ndarray) -> np.ndarray:
        return np.concatenate([points, np.ones((len(points), 1))], axis=1).astype(np.float32)

    hand = np.array([[0, 0], *([0.02 * (f - 2), 0.02 * (k + 1)] for f in range(5) for k in range(4))])
    head = (face(160, 120) - (80, 54)) / 48 * 0.1 + (0, -0.82)
    return Keypoints(
        body=sure(np.array(places) * scale + middle),
        face=sure(np.concatenate([head, head[[37, 44]]]) * scale + middle),
        left_hand=sure((hand + places[7]) * scale + middle),
        right_hand=sure((hand + places[4]) * scale + middle),
    )
