"""The pictures of a clip by index, whether they lie in a folder or in a video."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from fractions import Fraction
from pathlib import Path

import numpy as np

from vid2vid.conditions import LabelSchema
from vid2vid.data.layout import Strip
from vid2vid.errors import UserError
from vid2vid.video import DEFAULT_RATE, open_frames, read_picture, recorded_rate


class Pictures:
    """A choice of a strip's pictures: `picks[t]` is the place of picture t in the strip.

    Args:
        strip: where they lie.
        labels: integer maps (H, W) rather than RGB (H, W, 3).

    Raises:
        UserError: labels in a video; a video that cannot be opened.
    """

    def __init__(self, strip: Strip, labels: bool = False) -> None:
        if labels and strip.is_video:
            raise UserError(
                f"{strip.path}: video compression mixes labels up; give them as a folder of PNG files"
            )
        self.strip = strip
        self.labels = labels
        self._video = open_frames(strip.path) if strip.is_video else None
        self.total = len(strip.files) if self._video is None else len(self._video)
        self.picks: Sequence[int] = range(self.total)

    def __len__(self) -> int:
        return len(self.picks)

    def __getitem__(self, t: int) -> np.ndarray:
        """Picture t at its own size: uint8 (H, W, 3), or integers (H, W).

        Raises:
            UserError: it cannot be read.
        """
        if self._video is not None:
            return self._video[self.picks[t]].image
        return read_picture(self.file(t), mode="labels" if self.labels else "rgb")

    @property
    def rate(self) -> Fraction:
        """Frames per second: the video's, else as ``clip.yaml`` beside the folder records, else 25.

        Raises:
            UserError: ``clip.yaml`` cannot be understood.
        """
        if self._video is not None:
            return self._video.info.rate
        return recorded_rate(self.strip.path.parent) or DEFAULT_RATE

    def chosen(self, picks: Sequence[int]) -> Pictures:
        """Those at the given places in the strip."""
        other = copy(self)
        other.picks = picks
        return other

    def part(self, part: slice) -> Pictures:
        """A stretch of them."""
        return self.chosen(self.picks[part])

    def file(self, t: int) -> Path:
        """The file picture t is in."""
        return self.strip.path if self.strip.is_video else self.strip.files[self.picks[t]]

    def where(self, t: int) -> str:
        """What to call picture t in a message."""
        return f"{self.file(t)}, frame {self.picks[t]}" if self.strip.is_video else str(self.file(t))

    def beside(self, strip: Strip, labels: bool = False) -> Pictures:
        """The pictures of another strip of the clip, one for each of these.

        They are matched by name, or in order where one is a video or no name is shared.

        Raises:
            UserError: there is none for one of these.
        """
        other = Pictures(strip, labels)
        if by_name(self.strip, strip):
            place_of = {path.stem: place for place, path in enumerate(strip.files)}
            names = [self.file(t).stem for t in range(len(self))]
            if missing := [name for name in names if name not in place_of]:
                more = f" (and {len(missing) - 1} more are missing)" if len(missing) > 1 else ""
                raise UserError(f"{strip.path}: no picture named {missing[0]}{more}; every frame needs one")
            return other.chosen([place_of[name] for name in names])
        if other.total != self.total:
            raise UserError(
                f"{strip.path}: {other.total} pictures for the {self.total} frames of {self.strip.path}; "
                "give every frame one of the same name"
            )
        return other.chosen(self.picks)


def by_name(first: Strip, second: Strip) -> bool:
    """Whether two strips of a clip are matched by their files' names, not by order."""
    return not {path.stem for path in first.files}.isdisjoint(path.stem for path in second.files)


def class_indices(labels: Pictures, t: int, schema: LabelSchema) -> np.ndarray:
    """(H, W) int64 class indices of label map t.

    Raises:
        UserError: it cannot be read, or holds ids outside the class list.
    """
    try:
        return schema.indices(labels[t])
    except ValueError as error:
        raise UserError(f"{labels.where(t)}: {error}; mend the map or add them to labels.yaml") from None
