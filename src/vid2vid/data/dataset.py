"""A dataset: clips of real frames with what describes them, read at one size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vid2vid.annotators.disturb import Disturbance
from vid2vid.annotators.drawn import DRAWN
from vid2vid.annotators.landmark_clip import LandmarkClip
from vid2vid.conditions import ConditionSchema, LabelSchema
from vid2vid.data.layout import ClipFiles, Strip, find_clips
from vid2vid.data.pictures import Pictures, class_indices
from vid2vid.data.reference_flow import ReferenceFlow, open_reference_flow
from vid2vid.data.shards.path import open_root
from vid2vid.data.tracked import TrackedInstances
from vid2vid.errors import UserError
from vid2vid.progress import Progress, silent
from vid2vid.types import Size
from vid2vid.video import resize_picture

MEMORY = 512 * 2**20
"""Bytes of resized pictures and flow that a dataset keeps, in each process that reads it."""


@dataclass(frozen=True)
class ClipFrames:
    """Consecutive frames of a clip, as read.

    frames: (T, H, W, 3) uint8 RGB.
    labels: (T, H, W) int64 class indices, or None.
    instances: (T, H, W) int64, or None.
    image: (T, H, W, C) uint8: an image-valued condition (RGB, or as it was drawn), or None.
    """

    frames: np.ndarray
    labels: np.ndarray | None = None
    instances: np.ndarray | None = None
    image: np.ndarray | None = None


class Memory:
    """The most recently used arrays, up to a number of bytes; a copy in another process starts empty."""

    def __init__(self, limit: int = MEMORY) -> None:
        self.limit = limit
        self.size = 0
        self._arrays: OrderedDict[tuple[Any, ...], np.ndarray] = OrderedDict()

    def get(self, key: tuple[Any, ...], make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of that key, made where it is not at hand."""
        if key in self._arrays:
            self._arrays.move_to_end(key)
            return self._arrays[key]
        array = self._arrays[key] = make()
        self.size += array.nbytes
        while self.size > self.limit:
            self.size -= self._arrays.popitem(last=False)[1].nbytes
        return array

    def __reduce__(self) -> tuple[Any, ...]:
        return Memory, (self.limit,)


class Clip:
    """Consecutive frames with their conditions. Frame 0 is the first of the part that was asked for.

    size: (width, height) of everything it gives; native_size: of its files.
    rate: frames per second, of the video or as ``clip.yaml`` records it; else 25.
    """

    def __init__(
        self,
        files: ClipFiles,
        frames: Pictures,
        condition: Pictures | LandmarkClip,
        schema: ConditionSchema,
        size: Size | None,
        flow: str,
        memory: Memory,
    ) -> None:
        height, width = frames[0].shape[:2]
        self.name = files.name
        self.schema = schema
        self.native_size: Size = (width, height)
        self.size: Size = size or self.native_size
        self.rate = frames.rate
        self._frames = frames
        self._condition = condition
        self._memory = memory
        self._instances: Pictures | TrackedInstances | None = None
        if schema.labels is not None and schema.instances and isinstance(condition, Pictures):
            given = files.strips.get("instances")
            self._instances = (
                frames.beside(given, labels=True)
                if given
                else TrackedInstances(condition, schema.labels, files.cache)
            )
        self._flow: ReferenceFlow = open_reference_flow(flow, files, frames, self.size)

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def places(self) -> Sequence[int]:
        """Where its frames lie in the whole clip."""
        return self._frames.picks

    @property
    def has_points(self) -> bool:
        """Whether its condition is drawn from landmarks."""
        return isinstance(self._condition, LandmarkClip)

    def read(self, start: int, stop: int, disturb: Disturbance | None = None) -> ClipFrames:
        """Frames start ... stop - 1 with their conditions, at the clip's `size`.

        Args:
            disturb: changes the landmarks that the condition is drawn from.

        Raises:
            UserError: a file is unreadable, has another size than the clip, or holds foreign ids.
            IndexError: there are no such frames.
        """
        if not 0 <= start < stop <= len(self):
            raise IndexError(f"frames {start} to {stop} of {len(self)}")

        def stack(read: Callable[[int], np.ndarray]) -> np.ndarray:
            return np.stack([read(t) for t in range(start, stop)])

        labelled = self.schema.labels is not None
        return ClipFrames(
            frames=stack(self.frame),
            labels=stack(self.labels).astype(np.int64) if labelled else None,
            instances=stack(self._instance_ids).astype(np.int64) if self._instances is not None else None,
            image=None if labelled else stack(partial(self._image, disturb=disturb)),
        )

    def frame(self, t: int) -> np.ndarray:
        """Frame t, uint8 (H, W, 3) at the clip's `size`."""
        return self._kept("frame", t, lambda: self._resized(self._frames[t], self._frames.where(t)))

    def flow(self, t: int) -> np.ndarray:
        """Reference flow from frame t to t - 1, float32 (2, H, W), pixels at `size`; zero for t = 0.

        Raises:
            UserError: exact flow is asked for and cannot be read; the estimator cannot be had.
        """
        width, height = self.size
        if t == 0:
            return np.zeros((2, height, width), np.float32)
        return self._kept("flow", t, lambda: self._flow(t, self.frame))

    def prepare(self, progress: Progress = silent) -> None:
        """Do now what else the first read would do for the whole clip: tell its objects apart."""
        if isinstance(self._instances, TrackedInstances):
            self._instances.ensure(progress)

    def labels(self, t: int) -> np.ndarray:
        """Class indices of frame t, (H, W), of the smallest type that holds them; for label maps only."""
        schema, condition = self.schema.labels, self._condition
        assert schema is not None
        assert isinstance(condition, Pictures)
        small = np.uint8 if len(schema) <= 256 else np.uint16

        def make() -> np.ndarray:
            indices = class_indices(condition, t, schema).astype(small)
            return self._resized(indices, condition.where(t), labels=True)

        return self._kept("labels", t, make)

    def _instance_ids(self, t: int) -> np.ndarray:
        source = self._instances
        assert source is not None
        return self._kept("instances", t, lambda: self._resized(source[t], source.where(t), labels=True))

    def _image(self, t: int, disturb: Disturbance | None) -> np.ndarray:
        condition = self._condition
        if isinstance(condition, Pictures):
            return self._kept("image", t, lambda: self._resized(condition[t], condition.where(t)))
        frames = self._frames
        draw = partial(condition.draw, frames.picks[t], self.size, partial(self._checked, frames, t))
        return self._kept("image", t, draw) if disturb is None else draw(disturb)

    def _checked(self, pictures: Pictures, t: int) -> np.ndarray:
        """Picture t, of the clip's own size."""
        picture = pictures[t]
        self._check_size(picture, pictures.where(t))
        return picture

    def _kept(self, what: str, t: int, make: Callable[[], np.ndarray]) -> np.ndarray:
        return self._memory.get((self.name, what, t), make)

    def _resized(self, picture: np.ndarray, where: str, labels: bool = False) -> np.ndarray:
        self._check_size(picture, where)
        return picture if self.size == self.native_size else resize_picture(picture, self.size, labels=labels)

    def _check_size(self, picture: np.ndarray, where: str) -> None:
        height, width = picture.shape[:2]
        if (width, height) != self.native_size:
            mine = "x".join(map(str, self.native_size))
            raise UserError(f"{where}: {width}x{height}, but the clip is {mine}; bring the clip to one size")


@dataclass(frozen=True)
class Dataset:
    """Clips with one schema. Cheap to copy to other processes: files are opened where they are read.

    name: the folder's name.
    """

    name: str
    clips: tuple[Clip, ...]
    schema: ConditionSchema

    @classmethod
    def open(
        cls,
        root: Path | str,
        *,
        condition: str = "labels",
        target: str = "frames",
        size: Size | None = None,
        frames: str | None = None,
        instances: bool = True,
        flow: str = "dis",
    ) -> Dataset:
        """Open a folder of clips, one clip, a dataset in the layout of 2018, or shards.

        Args:
            root: a folder; of shards also an address, such as https://host/data or s3://bucket/data.
            condition: what describes the frames: "labels" (label maps), a folder of pictures, or, where there
                is no such folder, a drawing (``annotators.drawn``) that is made from landmarks.
            target: the folder, or video, of the real frames.
            size: (width, height) everything is brought to; None: as it is.
            frames: a part of each clip, as in a Python slice: "0:57", "57:", "-14:".
            instances: give labels instance ids: from ``instances/``, else tracked foreground classes.
            flow: "exact" (``flow/NAME.npz``) or the name of an estimator.

        Raises:
            UserError: no clip, no such condition, no or differing class lists, frames without condition;
                shards that are damaged or out of reach.
        """
        root = open_root(root)
        part = parse_part(frames)
        found = find_clips(root, target=target, condition=condition)
        labels = _shared_classes(root, found) if condition == "labels" else None
        given = any("instances" in files.strips for files in found)
        drawn = condition in DRAWN and not any(condition in files.strips for files in found)
        schema = ConditionSchema(
            kind="image" if labels is None else "labels",
            name=condition,
            labels=labels,
            instances=instances and labels is not None and (given or bool(labels.foreground)),
            image_channels=DRAWN[condition].channels if drawn else 3,
        )
        memory = Memory()
        clips = []
        for files in found:
            pictures = Pictures(_wanted(files, target)).part(part)
            if not len(pictures):
                raise UserError(
                    f"{files.home}: {files.name} has no frames {frames or ''} in {target}; choose others"
                )
            described = (
                _drawn(files, pictures, condition)
                if drawn
                else pictures.beside(_wanted(files, condition), labels=labels is not None)
            )
            clips.append(Clip(files, pictures, described, schema, size, flow, memory))
        return cls(root.resolve().name, tuple(clips), schema)

    def prepare(self, progress: Progress = silent) -> None:
        """`Clip.prepare` for every clip."""
        for clip in self.clips:
            clip.prepare(partial(_named, progress, clip.name))


def _named(progress: Progress, clip: str, done: int, total: int | None = None, note: str = "") -> None:
    progress(done, total, f"{clip}: {note}")


def parse_part(text: str | None) -> slice:
    """ "0:57", "57:", ":-14" as a slice.

    Raises:
        UserError: it is none.
    """
    if text is None:
        return slice(None)
    try:
        start, stop = (int(end) if end.strip() else None for end in text.split(":"))
    except ValueError:
        raise UserError(
            f"--frames {text!r}: not a part of a clip; write START:STOP, such as 0:57 or 57:"
        ) from None
    return slice(start, stop)


def _wanted(files: ClipFiles, name: str) -> Strip:
    strip = files.strips.get(name)
    if strip is None:
        there = ", ".join(files.strips) or "nothing"
        raise UserError(f"{files.home}: {files.name} has no {name}/; there is {there}")
    return strip


def _drawn(files: ClipFiles, frames: Pictures, condition: str) -> LandmarkClip:
    """The drawings of all frames of a clip, whatever part of them is chosen."""
    height, width = frames[0].shape[:2]
    stems = None if frames.strip.is_video else [path.stem for path in frames.strip.files]
    return LandmarkClip(condition, files.home, (width, height), stems, frames.total)


def _shared_classes(root: Path, found: list[ClipFiles]) -> LabelSchema:
    """The one class list of all clips."""
    lists: dict[Path, LabelSchema] = {}
    for files in found:
        path = files.label_list
        if path is None:
            raise UserError(
                f"{files.home / 'labels.yaml'}: missing; list the classes of the label maps there"
            )
        if path not in lists:
            lists[path] = LabelSchema.read(path)
    (first, schema), *others = lists.items()
    for path, other in others:
        if other != schema:
            raise UserError(f"{path}: other classes than {first}; give all clips of {root} one list")
    return schema
