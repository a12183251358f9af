"""One source of footage on its way into a dataset: its frames, and its conditions if it is a clip already."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vid2vid.annotators import read_landmarks, read_openpose, write_landmarks, write_openpose
from vid2vid.annotators.drawn import LANDMARKS, OPENPOSE
from vid2vid.annotators.landmark_clip import IMAGES, beside, landmark_files, match_files
from vid2vid.data.crop import Box, check_box, cut
from vid2vid.data.layout import SEQUENCE_RATE, cityscapes_sequence, clips_by_kind, label_list_of
from vid2vid.errors import UserError
from vid2vid.types import Size
from vid2vid.video import (
    PictureFolder,
    PictureWriter,
    TimedSource,
    list_pictures,
    open_frames,
    read_picture,
    recorded_rate,
    resize_picture,
    whole_file,
    write_picture,
)

_IDS = ("labels", "instances")  # pictures whose values are ids: never blended
_VIDEO_PATTERN = "frames.*"


@dataclass(frozen=True)
class Footage:
    """An opened source with the crop and the size that its pictures will have.

    conditions: by name, one picture for each frame of the source.
    landmarks: files of points, one entry for each frame.
    points: by name of their folder (of `LANDMARKS` or `OPENPOSE`), a file of points for each frame.
    labels: the list of classes.
    """

    path: Path
    source: TimedSource
    crop: Box
    size: Size
    conditions: dict[str, list[Path]]
    landmarks: list[Path]
    points: dict[str, list[Path]]
    labels: Path | None

    @classmethod
    def open(
        cls, path: Path, *, crop: Box | None, size: Size | None, rate: Fraction | None, partial: bool
    ) -> Footage:
        """Open a video, a folder of pictures, or a clip folder.

        Args:
            crop: None: the whole picture.
            size: (width, height) after the crop; one of them may be 0 or below: what keeps the aspect,
                rounded to an even number. None: as cropped.
            rate: frames per second of pictures whose rate nobody recorded.
            partial: take the readable beginning of a damaged video.

        Raises:
            UserError: unreadable, a crop that reaches outside, a condition without a picture for some frame.
        """
        frames = frames_in(path)
        recorded = recorded_rate(frames.parent) if frames.is_dir() else None
        source: TimedSource
        if strip := cityscapes_sequence(path):
            source = PictureFolder(strip.path, rate=SEQUENCE_RATE, files=strip.files)
        else:
            source = open_frames(frames, rate=None if recorded else rate, partial=partial)
        width, height = source.info.size
        crop = crop or (0, 0, width, height)
        check_box(path, crop, (width, height))
        by_kind = (
            path == frames and path.parent.name == IMAGES
        )  # the clip of a dataset with a folder for each kind of thing
        clip = path != frames or by_kind
        conditions = {
            name: _pictures_for(folder, source)
            for name, folder in _folders(path, by_kind).items()
            if clip and folder != frames
        }
        landmarks = sorted(path.glob("*.json")) if clip else []
        return cls(
            path,
            source,
            crop,
            _final_size(size, (crop[2], crop[3])),
            conditions,
            landmarks,
            _points_for(path, source) if clip else {},
            label_list_of(path) if clip else None,
        )

    def without(self, names: Collection[str]) -> Footage:
        """The same without the conditions, points and list of classes of these names: they are made anew."""
        return replace(
            self,
            conditions={name: files for name, files in self.conditions.items() if name not in names},
            landmarks=[file for file in self.landmarks if file.name not in names],
            labels=None if "labels.yaml" in names else self.labels,
        )

    def cropped(self, crop: Box, size: Size | None) -> Footage:
        """The same with another crop; ``size`` as in `open`."""
        return replace(self, crop=crop, size=_final_size(size, crop[2:]))

    def write(self, folder: Path, chosen: np.ndarray, tell: Callable[[int], None]) -> None:
        """Write the chosen frames (indices, never falling) and what describes them, numbered from 0.

        Args:
            tell: is given the number of frames written so far.
        """
        with PictureWriter(folder / "frames") as writer:
            for image in self._images(chosen):
                writer.write(self._shaped(image))
                tell(writer.count)
        for name, pictures in self.conditions.items():
            for number, index in enumerate(chosen.tolist()):
                picture = read_picture(pictures[index], "labels" if name in _IDS else "rgb")
                if picture.shape[1::-1] != self.source.info.size:
                    raise UserError(f"{pictures[index]}: not of the size of its frame; see vid2vid check")
                write_picture(folder / name / f"{number:06d}.png", self._shaped(picture, name in _IDS))
        for file in self.landmarks:
            self._write_landmarks(file, folder / file.name, chosen)
        for name, files in self.points.items():
            (folder / name).mkdir()
            for number, index in enumerate(chosen.tolist()):
                self._write_points(files[index], folder / name / f"{number:06d}")
        if self.labels:
            shutil.copyfile(self.labels, folder / "labels.yaml")

    def _images(self, chosen: np.ndarray) -> Iterator[np.ndarray]:
        wanted, counts = np.unique(chosen, return_counts=True)
        times = dict(zip(wanted.tolist(), counts.tolist(), strict=True))
        first, last = int(chosen[0]), int(chosen[-1])
        for index, frame in enumerate(self.source.frames(first, last + 1), first):
            yield from [frame.image] * times.get(index, 0)

    def _shaped(self, picture: np.ndarray, labels: bool = False) -> np.ndarray:
        return resize_picture(cut(picture, self.crop), self.size, labels)

    @property
    def _move(self) -> tuple[tuple[int, int], tuple[float, float]]:
        """What is taken off x and y of a point, and what they are then multiplied by."""
        x, y, width, height = self.crop
        return (x, y), (self.size[0] / width, self.size[1] / height)

    def _write_points(self, file: Path, target: Path) -> None:
        """A frame's points, moved and scaled with its picture; ``target`` has no suffix yet."""
        (x, y), (across, down) = self._move
        if target.parent.name in LANDMARKS.folders:
            write_landmarks(target.with_suffix(".txt"), (read_landmarks(file) - (x, y)) * (across, down))
            return
        people = [person.moved(-x, -y).scaled(across, down) for person in read_openpose(file)]
        write_openpose(target.with_name(f"{target.name}_keypoints.json"), people)

    def _write_landmarks(self, file: Path, target: Path, chosen: np.ndarray) -> None:
        """Points [x, y, ...] per frame, moved and scaled with the pictures; other JSON files are left out."""
        try:
            content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            frames = content["frames"]
            if len(frames) != len(self.source):
                raise UserError(
                    f"{file}: {len(frames)} entries for {len(self.source)} frames; make them agree"
                )
            (x, y), (across, down) = self._move
            content.pop("annotation", None)  # it tells of other frames
            content["frames"] = [
                [
                    [round((p[0] - x) * across, 3), round((p[1] - y) * down, 3), *p[2:]]
                    for p in frames[index] or []
                ]
                for index in chosen.tolist()
            ]
        except (OSError, ValueError, TypeError, LookupError, AttributeError):
            return
        content["width"], content["height"] = self.size
        with whole_file(target) as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")


def frames_in(path: Path) -> Path:
    """The frames of a clip folder: ``frames/`` or a video of that name; else the path itself."""
    if not path.is_dir() or list_pictures(path):
        return path
    if (path / "frames").is_dir():
        return path / "frames"
    videos = [
        p for p in sorted(path.glob(_VIDEO_PATTERN)) if p.is_file() and p.suffix not in (".json", ".yaml")
    ]
    return videos[0] if videos else path


def _folders(path: Path, by_kind: bool) -> dict[str, Path]:
    """The folders of pictures of a clip, by name."""
    if by_kind:
        clips = {files.home: files for files in clips_by_kind(path.parent.parent)}
        return {name: strip.path for name, strip in clips[path].strips.items()} if path in clips else {}
    folders = [p for p in sorted(path.iterdir()) if p.is_dir()] if path.is_dir() else []
    return {p.name: p for p in folders if p.name[0] != "." and list_pictures(p)}


def _pictures_for(folder: Path, source: TimedSource) -> list[Path]:
    """The condition of each frame: the picture of its name, or the n-th one beside a video."""
    pictures = list_pictures(folder)
    if not isinstance(source, PictureFolder):
        if len(pictures) != len(source):
            raise UserError(f"{folder}: {len(pictures)} pictures for {len(source)} frames; make them agree")
        return pictures
    named = {picture.stem: picture for picture in pictures}
    for frame in source.files:
        if frame.stem not in named:
            raise UserError(f"{folder}: no picture for frame {frame.name}; add it, or move the folder away")
    return [named[frame.stem] for frame in source.files]


def _points_for(home: Path, source: TimedSource) -> dict[str, list[Path]]:
    """The points of each frame: the file of its name, or the n-th one where no name is shared."""
    stems = [file.stem for file in source.files] if isinstance(source, PictureFolder) else None
    found = {}
    for kind in (LANDMARKS, OPENPOSE):
        places = {name: beside(home, name) for name in kind.folders}
        name, folder = next(((n, p) for n, p in places.items() if p.is_dir()), ("", None))
        if folder is not None and not list_pictures(folder):
            found[name] = match_files(landmark_files(home, kind), stems, len(source))
    return found


def _final_size(size: Size | None, cropped: Size) -> Size:
    if size is None:
        return cropped
    width, height = size
    if width <= 0:
        width = max(2, 2 * round(height * cropped[0] / cropped[1] / 2))
    if height <= 0:
        height = max(2, 2 * round(width * cropped[1] / cropped[0] / 2))
    return width, height
