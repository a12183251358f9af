"""Points as imperfect detectors find them, for training: parts left out, places that waver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vid2vid.annotators.densepose import PARTS, without_parts
from vid2vid.annotators.draw_face import OUTLINES
from vid2vid.annotators.keypoints import BODY, FACE, HAND, Keypoints

_FOOT = ([22, 23, 24], [19, 20, 21])
_LIMBS: tuple[list[int], ...] = (
    *([4], [3, 4], [7], [6, 7]),
    *(_FOOT[0], [11, *_FOOT[0]], [10, 11, *_FOOT[0]], _FOOT[1], [14, *_FOOT[1]], [13, 14, *_FOOT[1]]),
    *([17, 15], [18, 16], [0, 15, 16, 17, 18]),
)
"""Joints of BODY_25 that are missed together: an arm from the hand upwards, a leg, the head."""
_PARTS = (
    *_LIMBS,
    *(np.arange(HAND) + BODY + FACE + HAND * side for side in (0, 1)),
    *(np.array(indices) + BODY for indices, _, _ in OUTLINES[68]),
)
_HELD = np.array([*range(BODY), *[0] * FACE, *[7] * HAND, *[4] * HAND])
"""The joint that a point wavers with."""

_FACE_PARTS = {
    68: ([0], [1], [2], [3, 4], [5], [6], [7, 8]),
    478: ([0], [1], [2], [3, 4], [5, 7], [6, 8], [9, 10]),
}
"""Which of `OUTLINES` belong together: contour, brows, nose, eyes (with their irises), mouth."""

_WAVES = 3
_SLOWEST, _FASTEST = 0.01, 0.08  # cycles per frame: a second or more at 30 frames per second, up to 100


@dataclass(frozen=True)
class Disturbance:
    """The same change for all frames of a sequence.

    drop: probability of each part (a limb, a hand, a line of the face, a part of DensePose) to be left out.
    wobble: how far points waver, as a share of the size of the person or the face; smooth in time.
    seed: of what is drawn.
    """

    drop: float
    wobble: float
    seed: int

    def person(self, person: Keypoints, t: int) -> Keypoints:
        """Frame t of a clip."""
        box = person.box
        if box is None:
            return person
        points = person.points.copy()
        size = max(box[2] - box[0], box[3] - box[1])
        points[:, :2] += self._offsets(BODY, t)[_HELD] * size
        for part in self._left_out(_PARTS):
            points[part] = 0
        return Keypoints.from_points(points)

    def face(self, points: np.ndarray, t: int) -> np.ndarray:
        """Frame t of a clip, (68, 2) or (478, 2). A part that is left out shrinks to a point, which no
        drawing shows; the contour stays. Parts waver as wholes."""
        groups = [
            np.unique([i for number in group for i in OUTLINES[len(points)][number][0]])
            for group in _FACE_PARTS[len(points)]
        ]
        offsets = self._offsets(len(groups), t) * np.ptp(points, axis=0).max()
        changed = points.astype(np.float64)
        for part, offset in zip(groups, offsets, strict=True):
            changed[part] += offset
        for part in self._left_out(groups[1:]):
            changed[part] = changed[part[0]]
        return changed

    def densepose(self, picture: np.ndarray) -> np.ndarray:
        """A picture as `scaled_parts` gives it, without some of its parts."""
        return without_parts(picture, self._left_out(range(1, PARTS + 1), 2))

    def _left_out(self, parts: Any, stream: int = 0) -> list[Any]:
        drawn = np.random.default_rng((self.seed, stream)).random(len(parts))
        return [part for part, chance in zip(parts, drawn, strict=True) if chance < self.drop]

    def _offsets(self, count: int, t: int) -> np.ndarray:
        """(count, 2): slow waves, each point its own; their root mean square is ``wobble``."""
        rate, phase = np.random.default_rng((self.seed, 1)).random((2, _WAVES, count, 2))
        rate = _SLOWEST + rate * (_FASTEST - _SLOWEST)
        waves = np.sin(2 * np.pi * (rate * t + phase)).sum(axis=0)
        return np.asarray(self.wobble * waves / np.sqrt(_WAVES / 2))
