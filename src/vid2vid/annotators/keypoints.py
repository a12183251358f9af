"""Where the joints of a person are: plain arrays with names."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np

BODY, FACE, HAND = 25, 70, 21
"""Points of OpenPose's BODY_25, of its face (68 and the pupils), of each hand."""

SEEN = 0.01
"""A point of no larger confidence does not count."""


def _absent(count: int) -> np.ndarray:
    return np.zeros((count, 3), np.float32)


@dataclass(frozen=True, eq=False)
class Keypoints:
    """One person in one frame: x, y in pixels and confidence 0 ... 1, each (points, 3) float32.

    A point that was not found has confidence 0; its place means nothing.

    Raises:
        ValueError: a part of another shape.
    """

    body: np.ndarray = field(default_factory=lambda: _absent(BODY))
    face: np.ndarray = field(default_factory=lambda: _absent(FACE))
    left_hand: np.ndarray = field(default_factory=lambda: _absent(HAND))
    right_hand: np.ndarray = field(default_factory=lambda: _absent(HAND))

    def __post_init__(self) -> None:
        for part, count in zip(fields(self), (BODY, FACE, HAND, HAND), strict=True):
            shape = getattr(self, part.name).shape
            if shape != (count, 3):
                raise ValueError(f"{part.name} has the shape {shape}; it must be ({count}, 3)")

    @property
    def points(self) -> np.ndarray:
        """All of them in the order of the fields, (137, 3)."""
        return np.concatenate([self.body, self.face, self.left_hand, self.right_hand])

    @classmethod
    def from_points(cls, points: np.ndarray) -> Keypoints:
        """The inverse of `points`."""
        parts = np.split(points.astype(np.float32), np.cumsum([BODY, FACE, HAND]))
        return cls(*parts)

    def scaled(self, across: float, down: float) -> Keypoints:
        """For a picture ``across`` times as wide and ``down`` times as high."""
        return Keypoints.from_points(self.points * np.array([across, down, 1], np.float32))

    def moved(self, right: float, down: float) -> Keypoints:
        """The same by so many pixels to the right and down; what was not found stays where it is."""
        points = self.points
        return Keypoints.from_points(points + (points[:, 2:] > 0) * np.array([right, down, 0], np.float32))

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """(left, top, right, bottom) of the points that count; None where there are none."""
        points = self.points
        seen = points[points[:, 2] > SEEN, :2]
        if not len(seen):
            return None
        left, top = seen.min(axis=0).tolist()
        right, bottom = seen.max(axis=0).tolist()
        return left, top, right, bottom


Found = Keypoints | np.ndarray
"""What is found of somebody in a frame: joints, or points in pixels, (N, 2) of a face, or (N, 3) with how
sure each is."""


def follow_person(frames: list[list[Keypoints]]) -> list[Keypoints | None]:
    """The same person in every frame of a clip: the largest at first, then whoever overlaps them most.

    Where nobody overlaps the last place (they left, or the scene was cut) the largest person is next. A frame
    without people gives None.
    """
    chosen: list[Keypoints | None] = []
    last: tuple[float, float, float, float] | None = None
    for people in frames:
        boxed = [(person, box) for person in people if (box := person.box) is not None]
        best = max(boxed, key=lambda item: (_overlap(last, item[1]), _area(item[1])), default=None)
        chosen.append(best[0] if best else None)
        last = best[1] if best else last
    return chosen


def _area(box: tuple[float, float, float, float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _overlap(
    first: tuple[float, float, float, float] | None, second: tuple[float, float, float, float]
) -> float:
    """Intersection over union; 0 where there is no first."""
    if first is None:
        return 0.0
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (_area(first) + _area(second) - width * height)
