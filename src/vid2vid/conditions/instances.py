"""Instances: the borders between objects, and objects told apart where only classes are given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vid2vid.conditions.labels import LabelSchema

FORGET_AFTER = 10
"""Frames an object may be hidden before its id is given up."""


def instance_edges(instances: Tensor) -> Tensor:
    """1 where a pixel's instance differs from its left, right, upper or lower neighbour's, else 0.

    Args:
        instances: (B, H, W) integers.

    Returns:
        (B, 1, H, W) float32.
    """
    edges = torch.zeros(instances.shape, dtype=torch.bool, device=instances.device)
    across = instances[:, :, 1:] != instances[:, :, :-1]
    down = instances[:, 1:] != instances[:, :-1]
    edges[:, :, 1:] |= across
    edges[:, :, :-1] |= across
    edges[:, 1:] |= down
    edges[:, :-1] |= down
    return edges[:, None].float()


def told_apart(condition: Tensor, classes: int, foreground: Sequence[int]) -> Tensor:
    """Where one thing ends and another begins, of an encoded condition.

    Args:
        condition: (B, C, H, W): the classes, soft or hard, then borders of objects, if they are known.
        classes: how many. foreground: those whose objects are told apart.

    Returns:
        (B, H, W) integers on the same device: the class of every pixel or, of foreground classes, a number
        for each object: what hangs together within its borders, and the pixels of its class nearest to that.
    """
    import cv2

    if condition.is_meta:
        return condition[:, :classes].argmax(1)
    labels = condition[:, :classes].argmax(1).cpu().numpy()
    borders = (condition[:, classes:] > 0.5).any(1).cpu().numpy()
    for picture, border in zip(labels, borders, strict=True):
        number = classes
        for kind in foreground:
            here = picture == kind
            inside = here & ~border
            if inside.any():
                _, nearest = cv2.distanceTransformWithLabels(
                    (~inside).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP
                )
                picture[here] = number + nearest[here]
                number += nearest.max()
    return torch.from_numpy(labels).to(condition.device)


@dataclass(frozen=True)
class _Blob:
    """A connected component, or where one is expected: its pixels inside a box at (left, top)."""

    kind: int
    mask: np.ndarray
    left: int
    top: int
    centre: tuple[float, float]
    area: int

    def moved(self, dx: float, dy: float) -> _Blob:
        x, y = self.centre
        return replace(self, left=self.left + round(dx), top=self.top + round(dy), centre=(x + dx, y + dy))

    def distance(self, other: _Blob) -> float:
        return float(np.hypot(self.centre[0] - other.centre[0], self.centre[1] - other.centre[1]))

    def overlap(self, other: _Blob) -> float:
        """Intersection over union."""
        height, width = self.mask.shape
        left, top = max(self.left, other.left), max(self.top, other.top)
        right = min(self.left + width, other.left + other.mask.shape[1])
        bottom = min(self.top + height, other.top + other.mask.shape[0])
        if right <= left or bottom <= top:
            return 0.0
        mine = self.mask[top - self.top : bottom - self.top, left - self.left : right - self.left]
        theirs = other.mask[top - other.top : bottom - other.top, left - other.left : right - other.left]
        shared = int(np.count_nonzero(mine & theirs))
        return shared / (self.area + other.area - shared)


@dataclass(frozen=True)
class _Track:
    """An object: its id, the component it was last seen as, its motion in pixels a frame, frames unseen."""

    id: int
    blob: _Blob
    motion: tuple[float, float] = (0.0, 0.0)
    unseen: int = 0

    def expected(self) -> _Blob:
        steps = self.unseen + 1
        return self.blob.moved(self.motion[0] * steps, self.motion[1] * steps)

    def seen_as(self, blob: _Blob) -> _Track:
        steps = self.unseen + 1
        motion = tuple((new - old) / steps for new, old in zip(blob.centre, self.blob.centre, strict=True))
        return _Track(self.id, blob, (motion[0], motion[1]))


def track_components(label_maps: Iterable[np.ndarray], schema: LabelSchema) -> Iterator[np.ndarray]:
    """Tell objects apart where none are given: connected components of foreground classes, followed in time.

    A component keeps the id of the object of its class whose expected place (last seen shape, moved on with
    constant speed) it overlaps most. Touching objects are one component and keep one id, the best fitting
    one; an object hidden for up to `FORGET_AFTER` frames gets its id back where it is expected. Memory does
    not grow with the number of frames.

    Args:
        label_maps: (H, W) maps of label ids, in order.

    Yields:
        (H, W) int32, one per map: 0 = no object, ids from 1, never given twice.

    Raises:
        ValueError: a map holds an id outside the class list.
    """
    tracker = ObjectTracker()
    for label_map in label_maps:
        yield tracker.components(schema.indices(label_map), schema.foreground)


class ObjectTracker:
    """Gives the objects of a clip ids that they keep, frame by frame, as `track_components` says."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next = 1

    def components(self, indices: np.ndarray, foreground: tuple[int, ...]) -> np.ndarray:
        """The next frame, whose objects are the connected components of these classes.

        Args:
            indices: (H, W) class indices.

        Returns:
            (H, W) int32: 0 = no object, ids from 1, never given twice.
        """
        return self._follow(_components(indices, foreground), indices.shape)

    def __call__(self, indices: np.ndarray, objects: np.ndarray) -> np.ndarray:
        """The next frame, whose objects somebody has told apart, each of one class.

        Args:
            indices: (H, W) class indices.
            objects: (H, W) integers: 0 = no object; numbers that mean nothing beyond this frame.

        Returns:
            As ``components``.
        """
        return self._follow(_given(indices, objects), indices.shape)

    def _follow(self, blobs: list[_Blob], shape: tuple[int, ...]) -> np.ndarray:
        matched = _match(self._tracks, blobs)
        result = np.zeros(shape, dtype=np.int32)
        current = []
        for place, blob in enumerate(blobs):
            track = matched.get(place)
            if track is None:
                track = _Track(self._next, blob)
                self._next += 1
            current.append(track.seen_as(blob) if place in matched else track)
            height, width = blob.mask.shape
            result[blob.top : blob.top + height, blob.left : blob.left + width][blob.mask] = track.id
        seen = {track.id for track in current}
        hidden = [replace(track, unseen=track.unseen + 1) for track in self._tracks if track.id not in seen]
        self._tracks = current + [track for track in hidden if track.unseen <= FORGET_AFTER]
        return result


def _components(indices: np.ndarray, foreground: tuple[int, ...]) -> list[_Blob]:
    import cv2

    blobs = []
    for kind in foreground:
        count, marks, stats, centres = cv2.connectedComponentsWithStats((indices == kind).astype(np.uint8))
        for mark in range(1, count):  # 0 is the background
            left, top, width, height, area = (int(value) for value in stats[mark])
            mask = marks[top : top + height, left : left + width] == mark
            blobs.append(
                _Blob(kind, mask, left, top, (float(centres[mark][0]), float(centres[mark][1])), area)
            )
    return blobs


def _given(indices: np.ndarray, objects: np.ndarray) -> list[_Blob]:
    blobs = []
    for number in np.unique(objects[objects > 0]).tolist():
        y, x = np.nonzero(objects == number)
        left, top = int(x.min()), int(y.min())
        mask = objects[top : y.max() + 1, left : x.max() + 1] == number
        kind = int(indices[y[0], x[0]])
        blobs.append(_Blob(kind, mask, left, top, (float(x.mean()), float(y.mean())), len(x)))
    return blobs


def _match(tracks: list[_Track], blobs: list[_Blob]) -> dict[int, _Track]:
    """Pairs of (place in blobs, track), best fit first; each is used once."""
    candidates = []
    for number, track in enumerate(tracks):
        expected = track.expected()
        for place, blob in enumerate(blobs):
            if blob.kind == expected.kind and (fit := _fit(expected, blob)) is not None:
                candidates.append((fit, -number, -place))
    matched: dict[int, _Track] = {}
    used: set[int] = set()
    for _, number, place in sorted(candidates, reverse=True):
        if -place not in matched and -number not in used:
            matched[-place] = tracks[-number]
            used.add(-number)
    return matched


def _fit(expected: _Blob, blob: _Blob) -> float | None:
    """How well a component fits: the overlap; below 0 for one of like size close by; None: not at all."""
    overlap = expected.overlap(blob)
    if overlap > 0:
        return overlap
    # Something small may move by more than its own width before its speed is known.
    reach = 2 * np.sqrt(max(expected.area, blob.area))
    distance = expected.distance(blob)
    alike = max(expected.area, blob.area) <= 2 * min(expected.area, blob.area)
    return -distance / reach if alike and distance < reach else None
