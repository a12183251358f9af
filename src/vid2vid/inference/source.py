"""Conditions as they come from disk: a clip, a folder of pictures, or a video."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import tee
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vid2vid.annotators.drawn import image_tensor
from vid2vid.conditions import ConditionSchema, track_components
from vid2vid.data.dataset import parse_part
from vid2vid.data.layout import VIDEOS
from vid2vid.errors import UserError
from vid2vid.inference.drawn_source import DrawnSource, open_drawn
from vid2vid.inference.engine import to_device
from vid2vid.types import FrameSource, Size
from vid2vid.video import (
    PictureFolder,
    list_pictures,
    open_frames,
    read_picture,
    recorded_rate,
    resize_picture,
)


@dataclass(frozen=True)
class Described:
    """The condition of one frame at the size to be made: class indices and instances (H, W), of any integer
    type, or a picture (H, W, C) uint8."""

    name: str | None
    time: float | None
    labels: np.ndarray | None = None
    instances: np.ndarray | None = None
    image: np.ndarray | None = None

    def encode(self, schema: ConditionSchema, device: torch.device) -> Tensor:
        """(1, C, H, W) on ``device``: what the renderer sees. Only the maps, or the bytes, travel there."""
        labels, instances = self._maps(device)
        image = None
        if self.image is not None:
            image = image_tensor(to_device(self.image, device), schema.name)[None]
        return schema.encode(labels, instances, image)

    def objects(self, schema: ConditionSchema, like: Tensor) -> Tensor:
        """(1, H, W) on the device of ``like``, (1, C, H, W): what can have a style of its own."""
        return schema.objects(*self._maps(like.device), like)

    def _maps(self, device: torch.device) -> tuple[Tensor | None, Tensor | None]:
        """Labels and instances (1, H, W) int64."""
        labels, instances = (
            None if kind is None else to_device(kind, device)[None].long()
            for kind in (self.labels, self.instances)
        )
        return labels, instances


class ConditionSource:
    """The conditions under a path, read one at a time.

    Args:
        path: a clip folder (the schema's name says which of its folders or videos, or what is drawn from its
            landmarks), a folder of pictures, or a video.
        schema: what the model wants.
        size: (width, height) to resize to; None keeps the size.
        frames: a part, such as ``55:71``.
        relabel: semantic edits, ``tree=building`` each: what is a tree is taken for a building.
        retarget: the clip of the person to be shown, where the condition is drawn from landmarks.
        smooth: take the trembling out of the landmarks that it is drawn from.

    Attributes:
        size: (width, height) of what it gives.

    Raises:
        UserError: nothing there, or a condition of another kind; later, where a picture is damaged or has
            another size than the first.
    """

    def __init__(
        self,
        path: Path,
        schema: ConditionSchema,
        size: Size | None = None,
        frames: str | None = None,
        relabel: Sequence[str] = (),
        retarget: Path | None = None,
        smooth: bool = False,
    ) -> None:
        self.schema = schema
        self._relabelled = relabelling(schema, relabel)
        self._drawn = open_drawn(path, schema)
        if (retarget is not None or smooth) and self._drawn is None:
            word = "--smooth" if retarget is None else f"--retarget {retarget}"
            raise UserError(f"{word}: {path} holds no landmarks to draw {schema.name} from; drop it")
        if smooth and self._drawn is not None:
            self._drawn.smooth()
        if retarget is not None and self._drawn is not None:
            self._drawn.retarget(retarget)
        self.path = _find(path, schema) if self._drawn is None else self._drawn.path
        if self._drawn is None and schema.kind == "image" and schema.channels != 3:
            raise UserError(
                f"{self.path}: pictures have 3 channels, not {schema.channels} as the model wants; "
                "call vid2vid.stream with tensors"
            )
        if schema.kind == "labels" and self.path.is_file():
            raise UserError(
                f"{self.path}: the model wants label maps, and video compression mixes labels up; "
                "give a folder of PNG label maps"
            )
        self._instances = _beside(self.path, "instances") if schema.instances else None
        if schema.kind == "labels":
            self._files = _label_files(self.path)
            self._count = len(self._files)
            height, width = read_picture(self._files[0], mode="labels").shape
            self._native: Size = (width, height)
        elif self._drawn is not None:
            self._files, self._count, self._native = [], len(self._drawn), self._drawn.native
        else:
            self._source: FrameSource = open_frames(self.path)
            self._files = self._source.files if isinstance(self._source, PictureFolder) else []
            self._count = len(self._source)
            self._native = self._source.info.size
        _refuse_namesakes(self._files)
        self.size = size or self._native
        self.picks = range(self._count)[parse_part(frames)]
        if not self.picks:
            raise UserError(f"{self.path}: no frames {frames or ''} among its {self._count}; choose others")

    def __len__(self) -> int:
        return len(self.picks)

    @property
    def total(self) -> int:
        """How many it gives."""
        return len(self.picks)

    @property
    def rate(self) -> Fraction | None:
        """Frames per second, where the source says it."""
        if self._drawn is not None:
            return self._drawn.rate
        return self._source.info.rate if self.path.is_file() else recorded_rate(self.path.parent)

    def __iter__(self) -> Iterator[Described]:
        if self._drawn is not None:
            return self._read_drawings(self._drawn)
        return self._read_labels() if self.schema.kind == "labels" else self._read_images()

    def _read_drawings(self, drawn: DrawnSource) -> Iterator[Described]:
        for t in self.picks:
            yield Described(drawn.stem(t), None, image=drawn.draw(t, self.size))

    def _read_images(self) -> Iterator[Described]:
        for t in self.picks:
            frame = self._source[t]
            name, time = (self._files[t].stem, None) if self._files else (None, frame.time)
            yield Described(name, time, image=resize_picture(frame.image, self.size))

    def _read_labels(self) -> Iterator[Described]:
        maps, again = tee(self._label_maps())
        for number, (labels, instances) in enumerate(zip(maps, self._instance_maps(again), strict=True)):
            labels = resize_picture(labels, self.size, labels=True)
            if instances is not None:
                instances = resize_picture(instances, self.size, labels=True)
            yield Described(self._files[self.picks[number]].stem, None, labels, instances)

    def _ids(self, file: Path) -> np.ndarray:
        """A label or instance map as stored, of the size of all others."""
        ids = read_picture(file, mode="labels")
        if ids.shape[::-1] != self._native:
            (width, height), first = self._native, self._files[0].name
            raise UserError(
                f"{file}: {ids.shape[1]}x{ids.shape[0]}, but {first} is {width}x{height}; give all one size"
            )
        return ids

    def _label_maps(self) -> Iterator[np.ndarray]:
        """Class indices at the size of the files."""
        labels = self.schema.labels
        assert labels is not None
        for t in self.picks:
            try:
                yield self._relabelled[labels.indices(self._ids(self._files[t]))]
            except ValueError as error:
                raise UserError(f"{self._files[t]}: {error}; the model knows only its own classes") from None

    def _instance_maps(self, maps: Iterator[np.ndarray]) -> Iterator[np.ndarray | None]:
        labels = self.schema.labels
        assert labels is not None
        if not self.schema.instances:
            yield from (None for _ in maps)
        elif self._instances is not None:
            names = {path.stem: path for path in _label_files(self._instances)}
            for t, _ in zip(self.picks, maps, strict=True):
                stem = self._files[t].stem
                if stem not in names:
                    raise UserError(f"{self._instances}: no picture named {stem}; every label map needs one")
                yield self._ids(names[stem])
        else:
            yield from track_components((labels.ids(item) for item in maps), labels)


def relabelling(schema: ConditionSchema, words: Sequence[str]) -> np.ndarray:
    """The class index, of 8 bits where they suffice, that stands for each one."""
    if words and schema.labels is None:
        raise UserError(f"--relabel {words[0]}: the model renders {schema.name}, which has no classes")
    names = schema.labels.names if schema.labels is not None else ()
    table = np.arange(len(names), dtype=np.uint8 if len(names) <= 256 else np.int32)
    for word in words:
        old, equals, new = word.partition("=")
        for name in (old, new):
            if not equals or name not in names:
                raise UserError(f"--relabel {word}: write OLD=NEW with two of {', '.join(names)}")
        table[names.index(old)] = names.index(new)
    return table


def _find(path: Path, schema: ConditionSchema) -> Path:
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; give a clip, a folder of conditions or a video")
    if path.is_file():
        return path
    if (path / schema.name).is_dir():
        return path / schema.name
    videos = [file for file in path.glob(f"{schema.name}.*") if file.suffix.lower() in VIDEOS]
    if videos:
        return videos[0]
    if any(item.is_dir() and item.name[0] != "." for item in path.iterdir()):
        raise UserError(
            f"{path}: holds no {schema.name!r}, which this model renders; give the folder that does"
        )
    return path


def _beside(path: Path, name: str) -> Path | None:
    folder = path.parent / name
    return folder if folder.is_dir() and folder != path else None


def _label_files(folder: Path) -> list[Path]:
    files = list_pictures(folder)
    if not files:
        raise UserError(f"{folder}: no label maps here, and this model wants label maps; give their folder")
    return files


def _refuse_namesakes(files: list[Path]) -> None:
    """Frames are named like their conditions, so no two of these may share a name."""
    for name, times in Counter(file.stem for file in files).most_common(1):
        if times > 1:
            raise UserError(f"{files[0].parent}: {times} pictures are named {name}; keep one of them")
