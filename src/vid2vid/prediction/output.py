"""Where predicted futures go: a video of them side by side, and clips."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from torch import Tensor

from vid2vid.conditions import ConditionSchema
from vid2vid.data.settings import written
from vid2vid.evaluation.views import SideBySide
from vid2vid.prediction.past import Past
from vid2vid.types import Size
from vid2vid.video import PictureWriter, make_folder, whole_file

VIDEO = "prediction.mp4"


@dataclass(frozen=True)
class Shown:
    """One frame of one future. condition: (C, H, W), encoded; picture: (H, W, 3) uint8."""

    condition: Tensor | None
    picture: np.ndarray | None


class Output:
    """Writes frames as they are made; a context manager. On an error nothing is left; of pictures what was
    written stays on Ctrl-C.

    Args:
        out: a video file; or a folder, for a video and lossless clips.
        schema: of the label maps or pictures beside frames; None: there are none.
        size: (width, height) of a frame.
        past: gives names and frame rate.
        count: frames that will be written. futures: shown in each.
    """

    def __init__(
        self, out: Path, schema: ConditionSchema | None, size: Size, past: Past, count: int, futures: int
    ) -> None:
        self._schema = schema
        self._stack = ExitStack()
        self._past, self._count, self._done = past, count, 0
        self._folder = out if out.is_dir() or not out.suffix else None
        self._video = out if self._folder is None else self._folder / VIDEO
        self._size, self._futures = size, futures
        # Drawings of more channels than a picture has are for the video alone.
        kept = schema is not None and (schema.labels is not None or schema.channels == 3)
        self._kind = schema.name if schema is not None and kept else None
        self._clips: list[dict[str, PictureWriter]] = []

    def __enter__(self) -> Self:
        return self

    def write(self, shown: list[Shown]) -> None:
        """The next frame of every future."""
        if not self._done:
            self._begin(shown[0])
        place = self._past.start + self._done
        # Named like the clip's own pictures where it goes on as far, so that the two can be compared.
        last = self._past.start + self._count
        name = self._past.names[place] if last <= len(self._past.names) else f"{place:06d}"
        for one, clip in zip(shown, self._clips, strict=False):
            if one.picture is not None:
                clip["frames"].write(one.picture, name=f"{name}.png")
            if one.condition is not None and self._kind is not None:
                clip[self._kind].write(self._picture(one.condition), name=f"{name}.png")
        self._side_by_side.write([self._tile(one) for one in shown])
        self._done += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        if kind is None or issubclass(kind, KeyboardInterrupt):
            for clip in self._clips:
                self._describe(next(iter(clip.values())).path.parent)

    def _begin(self, first: Shown) -> None:
        tiles = [f"future {number}" for number in range(self._futures)]
        tiles[0] = "most likely future" if self._futures > 1 else "observed, then predicted"
        width, height = self._size
        wide = width * ((first.condition is not None) + (first.picture is not None))
        video = SideBySide(self._video, self._past.rate, tiles, (wide, height))
        self._side_by_side = self._stack.enter_context(video)
        if self._folder is None:
            return
        homes = [self._folder]
        if self._futures > 1:
            homes = [self._folder / f"future-{number}" for number in range(self._futures)]
        kinds = {"frames": first.picture, self._kind: first.condition if self._kind else None}
        for home in homes:
            self._clips.append(
                {
                    name: self._stack.enter_context(PictureWriter(home / name))
                    for name, there in kinds.items()
                    if name is not None and there is not None
                }
            )

    def _describe(self, home: Path) -> None:
        """What makes a folder of pictures a clip."""
        make_folder(home)
        with whole_file(home / "clip.yaml") as temporary:
            temporary.write_text(f"rate: {written(self._past.rate)}\n", encoding="utf-8")
        if self._schema is not None and self._schema.labels is not None:
            self._schema.labels.write(home / "labels.yaml")

    def _picture(self, condition: Tensor) -> np.ndarray:
        """As a clip has it: class ids, or a picture."""
        assert self._schema is not None
        labels = self._schema.labels
        if labels is None:
            return self._schema.tint(condition)
        return labels.ids(condition[: len(labels)].argmax(0).cpu().numpy())

    def _tile(self, shown: Shown) -> np.ndarray:
        parts = [] if shown.picture is None else [shown.picture]
        if shown.condition is not None and self._schema is not None:
            parts.insert(0, self._schema.tint(shown.condition))
        return np.concatenate(parts, axis=1)
