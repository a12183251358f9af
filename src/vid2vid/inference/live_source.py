"""Conditions as they come through a pipe: label maps as PNGs, or pictures."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice

import numpy as np

from vid2vid.conditions import ConditionSchema, ObjectTracker
from vid2vid.data.dataset import parse_part
from vid2vid.errors import UserError
from vid2vid.inference.source import Described, relabelling
from vid2vid.types import Frame, Size
from vid2vid.video import Camera, Live, PipedPictures, resize_picture


class LiveSource:
    """What ``ConditionSource`` is for conditions on disk, for a stream of them.

    Args:
        live: open. Label maps are PNGs; objects are told apart by tracking, where the model wants them.
        schema: what the model wants.
        size: (width, height) to resize to; None keeps the size.
        frames: the first ones, ``:16``.
        relabel: semantic edits, as in ``ConditionSource``.

    Attributes:
        size: (width, height) of what it gives.

    Raises:
        UserError: a stream of another kind than the model wants; later, where a picture is damaged, or has
            another size than the first.
    """

    def __init__(
        self,
        live: Live,
        schema: ConditionSchema,
        size: Size | None = None,
        frames: str | None = None,
        relabel: Sequence[str] = (),
    ) -> None:
        if isinstance(live, Camera):
            raise UserError(
                f"{live.name}: sees raw frames; add --annotate NAME, as the training set was made with"
            )
        if schema.kind == "labels" and not isinstance(live, PipedPictures):
            raise UserError(
                f"{live.name}: the model wants label maps, and video compression mixes labels up; "
                "pipe PNGs, one after the other"
            )
        if schema.kind == "image" and schema.channels != 3:
            raise UserError(
                f"{live.name}: pictures have 3 channels, not {schema.channels} as the model wants"
            )
        wanted = parse_part(frames)
        if wanted.start or (wanted.stop is not None and wanted.stop < 1):
            raise UserError(f"--frames {frames}: a stream has no other frames than its next; write :N for N")
        self.schema, self.path, self._live = schema, live.name, live
        self._relabelled = relabelling(schema, relabel)
        self.size = size or live.size
        self.total: int | None = wanted.stop
        self.picks = range(sys.maxsize if wanted.stop is None else wanted.stop)

    @property
    def rate(self) -> Fraction | None:
        """Frames per second; None where nobody says it."""
        return None if isinstance(self._live, PipedPictures) else self._live.rate

    def __iter__(self) -> Iterator[Described]:
        if isinstance(self._live, PipedPictures) and self.schema.labels is not None:
            yield from self._maps(islice(self._live.maps(), self.total))
            return
        for frame in islice(self._live.frames(), self.total):
            time = None if isinstance(self._live, PipedPictures) else frame.time
            yield Described(None, time, image=resize_picture(frame.image, self.size))

    def _maps(self, maps: Iterator[Frame]) -> Iterator[Described]:
        classes, tracker = self.schema.labels, ObjectTracker()
        assert classes is not None
        for number, frame in enumerate(maps):
            try:
                labels = self._relabelled[classes.indices(frame.image)]
            except ValueError as error:
                raise UserError(
                    f"{self.path}: picture {number}: {error}; the model knows only its own classes"
                ) from None
            instances: np.ndarray | None = None
            if self.schema.instances:
                instances = tracker.components(labels, classes.foreground)
                instances = resize_picture(instances, self.size, labels=True)
            yield Described(None, None, resize_picture(labels, self.size, labels=True), instances)
