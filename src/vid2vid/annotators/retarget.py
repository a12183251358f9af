"""One person's motion on another's body or face: place, size and proportions are the subject's.

What is needed of a clip are its statistics; with those of both, frames are changed one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from vid2vid.annotators.draw_face import OUTLINES
from vid2vid.annotators.keypoints import BODY, SEEN, Found, Keypoints

_LIMBS = (
    *((1, 0), (1, 2), (1, 5), (1, 8), (2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (8, 12), (9, 10), (10, 11)),
    *((12, 13), (13, 14), (0, 15), (0, 16), (15, 17), (16, 18)),
    *((14, 19), (19, 20), (14, 21), (11, 22), (22, 23), (11, 24)),
)
PARENTS = {outer: inner for inner, outer in _LIMBS}
"""The joint of BODY_25 that each hangs on, from the neck outwards; a limb is named by its outer joint."""

_SIDES = (
    (2, 5),
    (3, 6),
    (4, 7),
    (9, 12),
    (10, 13),
    (11, 14),
    (15, 16),
    (17, 18),
    (22, 19),
    (23, 20),
    (24, 21),
)
_LARGE = (0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)
"""Limbs that tell how large somebody is."""

_STRETCHED = 80
"""Percentile of a limb's lengths that counts: in a picture it is as long as it is only now and then."""
_RAREST = 0.05
"""Share of a clip's frames that a point or limb must be seen in to count."""
_MOST = 2.0
"""A limb is no more than so many times as much longer or shorter as the whole person is."""


def retargeting(driver: Sequence[Found], subject: Sequence[Found]) -> Callable[[Any], Any]:
    """What makes of each frame of the driver one of the subject.

    Args:
        driver: frames of a clip, or a choice of them, at least one.
        subject: likewise.

    Raises:
        ValueError: faces of other points, or a face and a body.
    """
    if isinstance(driver[0], Keypoints) and isinstance(subject[0], Keypoints):
        bodies = [[f for f in found if isinstance(f, Keypoints)] for found in (driver, subject)]
        moved, aim = (body_statistics(found) for found in bodies)
        return partial(retarget_body, driver=moved, subject=aim)
    faces = [[f for f in found if isinstance(f, np.ndarray)] for found in (driver, subject)]
    counts = [len(found[0]) if found else 0 for found in faces]
    if counts[0] != counts[1]:
        raise ValueError(f"{counts[1]} points of a face, and {counts[0]}")
    looks, shown = (face_statistics(found) for found in faces)
    return partial(retarget_face, driver=looks, subject=shown)


@dataclass(frozen=True, eq=False)
class FaceStatistics:
    """A clip's face. NaN where a point was hardly seen.

    centre: (2,) pixels, median of the frames. size: pixels, median. angle: of the head, radians, median.
    shape: (N, 2), the median face: upright, its centre at 0, in shares of ``size``.
    """

    centre: np.ndarray
    size: float
    angle: float
    shape: np.ndarray


@dataclass(frozen=True, eq=False)
class BodyStatistics:
    """A clip's person. NaN for what was hardly seen.

    places: (25, 2) pixels, each joint's median. limbs: (25,) pixels, by outer joint.
    hand: pixels, the extent of a hand. face: None where none was seen.
    """

    places: np.ndarray
    limbs: np.ndarray
    hand: float
    face: FaceStatistics | None


def body_statistics(frames: Iterable[Keypoints | None]) -> BodyStatistics:
    """Of all frames of a clip; None is a frame without the person."""
    people = [person for person in frames if person is not None]
    body = np.stack([person.body for person in people]) if people else np.zeros((0, BODY, 3))
    points = _known(body)
    limbs = np.full(BODY, np.nan)
    for outer, inner in PARENTS.items():
        limbs[outer] = _often(np.hypot(*(points[:, outer] - points[:, inner]).T), _STRETCHED)
    for right, left in _SIDES:  # both sides are as long, and one may be hidden
        limbs[[right, left]] = _often(limbs[[right, left]], 100)
    hands = [hand for person in people for hand in (person.left_hand, person.right_hand)]
    face = face_statistics([_known(person.face) for person in people])
    return BodyStatistics(
        places=np.array([[_often(axis) for axis in joint.T] for joint in np.moveaxis(points, 1, 0)]),
        limbs=limbs,
        hand=_often(np.array([_extent(_known(hand)) for hand in hands]), _STRETCHED, 0),
        face=face if np.isfinite(face.size) else None,
    )


def body_scale(driver: BodyStatistics, subject: BodyStatistics) -> float:
    """How much larger the subject is, by the limbs that both clips show: a cropped driver has fewer.

    1 where they have none in common.
    """
    for limbs in (_LARGE, tuple(PARENTS)):
        chosen = list(limbs)
        ratios = subject.limbs[chosen] / np.maximum(driver.limbs[chosen], 1e-6)
        if np.isfinite(ratios).any():
            return float(np.nanmedian(ratios))
    return 1.0


def retarget_body(person: Keypoints, driver: BodyStatistics, subject: BodyStatistics) -> Keypoints:
    """A frame of the driver with the subject's limbs, standing where the subject stands.

    Limbs keep the driver's directions. What one of the clips hardly shows is scaled like the whole person; a
    joint that this frame lacks stays unknown.
    """
    scale = body_scale(driver, subject)
    ratios = subject.limbs / np.maximum(driver.limbs, 1e-6)
    ratios = np.where(np.isfinite(ratios), ratios.clip(scale / _MOST, scale * _MOST), scale)
    old = _known(person.body)
    new = np.full_like(old, np.nan)
    for joint in (1, 8, *PARENTS):  # parents come before those that hang on them
        if np.isnan(new[joint, 0]) and np.isfinite(old[joint, 0]):
            new[joint] = _hung(joint, old, new, ratios, scale, driver, subject)
    anchored: dict[str, np.ndarray] = {}
    hand = subject.hand / driver.hand if driver.hand > 0 and np.isfinite(subject.hand) else scale
    for name, wrist in (("left_hand", 7), ("right_hand", 4)):
        points = getattr(person, name)
        seen = _known(points)
        anchor = seen[0] if np.isnan(old[wrist, 0]) else old[wrist]
        place = _placed(anchor, scale, driver, subject) if np.isnan(new[wrist, 0]) else new[wrist]
        anchored[name] = _joined((seen - anchor) * hand + place, points)
    anchored["face"] = _face_of(person, old[0], new[0], scale, driver, subject)
    return Keypoints(body=_joined(new, person.body), **anchored)


def _hung(
    joint: int,
    old: np.ndarray,
    new: np.ndarray,
    ratios: np.ndarray,
    scale: float,
    driver: BodyStatistics,
    subject: BodyStatistics,
) -> np.ndarray:
    """The new place of a joint, by the nearest one on the way to the neck that has one."""
    ratio = ratios[joint]
    inner = PARENTS.get(joint)
    while inner is not None and np.isnan(new[inner, 0]):
        inner, ratio = PARENTS.get(inner), scale
    if inner is None:
        return _placed(old[joint], scale, driver, subject, joint)
    return np.asarray(new[inner] + (old[joint] - old[inner]) * ratio)


def _placed(
    point: np.ndarray,
    scale: float,
    driver: BodyStatistics,
    subject: BodyStatistics,
    joint: int = 1,
) -> np.ndarray:
    """A place in the driver's picture as one in the subject's, by where a joint is in both clips: the one
    asked for, else the first that both show."""
    both = np.isfinite(driver.places[:, 0] + subject.places[:, 0])
    shared = [joint] if both[joint] else np.flatnonzero(both).tolist()
    if not shared:
        return point
    return np.asarray(subject.places[shared[0]] + (point - driver.places[shared[0]]) * scale)


def _face_of(
    person: Keypoints,
    nose: np.ndarray,
    new_nose: np.ndarray,
    scale: float,
    driver: BodyStatistics,
    subject: BodyStatistics,
) -> np.ndarray:
    """The face's points on the subject's head."""
    seen = _known(person.face)
    if np.isnan(nose[0]) or np.isnan(new_nose[0]):
        nose = _middle(seen)
        new_nose = _placed(nose, scale, driver, subject, 0)
    if driver.face is None or subject.face is None:
        return _joined((seen - nose) * scale + new_nose, person.face)
    growth = subject.face.size / driver.face.size
    centre = (_middle(seen) - nose) * growth + new_nose
    return _joined(_reshaped(seen, driver.face, subject.face) + centre, person.face)


def face_statistics(frames: Iterable[np.ndarray | None]) -> FaceStatistics:
    """Of all frames of a clip, (N, 2) pixels each, NaN for what is not known; None: no face.

    Without any face all is NaN, and the shape is empty.
    """
    faces = [face for face in frames if face is not None and np.isfinite(face).any()]
    if not faces:
        return FaceStatistics(np.full(2, np.nan), np.nan, 0.0, np.zeros((0, 2)))
    size = _often(np.array([_extent(face) for face in faces]))
    angles = np.array([_angle(face) for face in faces])
    upright = np.stack([_turned(face - _middle(face), -a) for face, a in zip(faces, angles, strict=True)])
    shape = np.array([[_often(axis) for axis in point.T] for point in np.moveaxis(upright, 1, 0)])
    centre = np.median([_middle(face) for face in faces], axis=0)
    return FaceStatistics(centre, size, float(np.median(angles)), shape / max(size, 1e-6))


def retarget_face(points: np.ndarray, driver: FaceStatistics, subject: FaceStatistics) -> np.ndarray:
    """A frame of the driver's face, (N, 2) pixels, as the subject would look.

    The subject's median face moves as the driver's departs from its own, each part as far as it is large: so
    eyes, nose and mouth keep their sizes and places. The head's turn is taken over.

    Raises:
        ValueError: faces of other points.
    """
    if not len(points) == len(driver.shape) == len(subject.shape):
        raise ValueError(f"faces of {len(points)}, {len(driver.shape)} and {len(subject.shape)} points")
    moved = (_middle(points) - driver.centre) * (subject.size / driver.size)
    return _reshaped(points, driver, subject) + subject.centre + moved


def _reshaped(points: np.ndarray, driver: FaceStatistics, subject: FaceStatistics) -> np.ndarray:
    """The subject's face in the driver's mien, (N, 2) pixels around its centre; where a median is not known,
    the driver's own points."""
    angle = _angle(points)
    upright = _turned(points - _middle(points), -angle) / driver.size
    new = upright.copy()
    known = np.isfinite(driver.shape + subject.shape).all(axis=1)
    ratios = np.ones(len(points))
    for indices, _, _ in OUTLINES[478 if len(points) == 478 else 68]:
        part = [i for i in indices if known[i]]
        if len(part) > 1 and (width := _extent(driver.shape[part])) > 0:
            ratios[part] = min(max(_extent(subject.shape[part]) / width, 1 / _MOST), _MOST)
    departed = (upright - driver.shape) * ratios[:, None]
    new[known] = (subject.shape + departed)[known]
    return _turned(new * subject.size, angle - driver.angle + subject.angle)


_EYES = {478: ([33, 133], [362, 263]), 68: ([*range(36, 42)], [*range(42, 48)])}


def _angle(face: np.ndarray) -> float:
    """How far the line between the eyes is turned, radians; 0 where one is not known."""
    first, second = (face[eye] for eye in _EYES[478 if len(face) == 478 else 68])
    across, down = _middle(second) - _middle(first)
    return float(np.arctan2(down, across)) if np.isfinite(across + down) else 0.0


def _turned(points: np.ndarray, angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]))


def _middle(points: np.ndarray) -> np.ndarray:
    """Of the known points (N, 2); NaN where there is none."""
    known = points[np.isfinite(points[:, 0])]
    return np.asarray(known.mean(axis=0)) if len(known) else np.full(2, np.nan)


def _extent(points: np.ndarray) -> float:
    """The diagonal of the box around the known points; NaN for less than two."""
    known = points[np.isfinite(points[:, 0])]
    return float(np.hypot(*np.ptp(known, axis=0))) if len(known) > 1 else float("nan")


def _known(points: np.ndarray) -> np.ndarray:
    """(..., N, 3) with confidence to (..., N, 2) float64, NaN for what is not seen."""
    return np.where(points[..., 2:] > SEEN, points[..., :2].astype(np.float64), np.nan)


def _joined(places: np.ndarray, points: np.ndarray) -> np.ndarray:
    """New places with the confidence of the old points; 0 where there is none."""
    known = np.isfinite(places).all(axis=1, keepdims=True)
    joined = np.concatenate([places, points[:, 2:]], axis=1)
    return np.where(known, joined, 0).astype(np.float32)


def _often(values: np.ndarray, percentile: float = 50, least: float = _RAREST) -> float:
    """A percentile of what is known; NaN where that is too little."""
    known = values[np.isfinite(values)]
    enough = len(known) and len(known) >= least * len(values)
    return float(np.percentile(known, percentile)) if enough else float("nan")
