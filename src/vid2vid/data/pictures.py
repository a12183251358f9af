"""The pictures of a clip by index, whether they lie in a folder or in a video."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vid2vid.conditions import LabelSchema
from vid2vid.data.layout import Strip
from vid2vid.errors import UserError
from vid2vid.types import FrameSource
from vid2vid.video.pictures import read_picture
from vid2vid.video.reader import open_frames


class Pictures:
    """A choice of a strip's pictures: `picks[t]` is the place of picture t in the strip.

    Args:
        strip: where they lie.
        labels: integer maps (H, W) rather than RGB (H, W, 3).
        picks: which of them; None: all.

    Raises:
        UserError: labels in a video; a video that cannot be opened.
    """

    def __init__(self, strip: Strip, labels: bool = False, picks: Sequence[int] | None = None) -> None:
        if labels and strip.is_video:
            raise UserError(
                f"{strip.path}: video compression mixes labels up; give them as a folder of PNG files"
            )
        self.strip = strip
        self.labels = labels
        self._video: FrameSource | None = None
        self._process = 0
        if picks is None:
            picks = range(len(self._open()) if strip.is_video else len(strip.files))
        self.picks = picks

    def __len__(self) -> int:
        return len(self.picks)

    def __getitem__(self, t: int) -> np.ndarray:
        """Picture t at its own size: uint8 (H, W, 3), or integers (H, W).

        Raises:
            UserError: it cannot be read.
        """
        if self.strip.is_video:
            return self._open()[self.picks[t]].image
        return read_picture(self.file(t), mode="labels" if self.labels else "rgb")

    def part(self, chosen: slice) -> Pictures:
        """A stretch of them."""
        return Pictures(self.strip, self.labels, self.picks[chosen])

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
        if not strip.is_video and not self.strip.is_video:
            place_of = {path.stem: place for place, path in enumerate(strip.files)}
            if any(path.stem in place_of for path in self.strip.files):
                names = [self.file(t).stem for t in range(len(self))]
                if missing := [name for name in names if name not in place_of]:
                    others = f" (and {len(missing) - 1} more are missing)" if len(missing) > 1 else ""
                    raise UserError(
                        f"{strip.path}: no picture named {missing[0]}{others}; every frame needs one"
                    )
                return Pictures(strip, labels, [place_of[name] for name in names])
        other = Pictures(strip, labels)
        mine = Pictures(self.strip)
        if len(other) != len(mine):
            raise UserError(
                f"{strip.path}: {len(other)} pictures for the {len(mine)} frames of {self.strip.path}; "
                "give every frame one of the same name"
            )
        return Pictures(strip, labels, self.picks)

    def _open(self) -> FrameSource:
        # An open file must not be shared with a forked worker: both would move its one reading position.
        if self._video is None or self._process != os.getpid():
            self._video, self._process = open_frames(self.strip.path), os.getpid()
        return self._video

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_video": None}


def class_indices(labels: Pictures, t: int, schema: LabelSchema) -> np.ndarray:
    """(H, W) int64 class indices of label map t.

    Raises:
        UserError: it cannot be read, or holds ids outside the class list.
    """
    try:
        return schema.indices(labels[t])
    except ValueError as error:
        raise UserError(f"{labels.where(t)}: {error}; mend the map or add them to labels.yaml") from None
