"""Raw frames that drive a model: their conditions are drawn on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from vid2vid.annotators import Drawn, Labeller, open_annotator
from vid2vid.conditions import ConditionSchema, ObjectTracker
from vid2vid.data.dataset import parse_part
from vid2vid.data.footage import frames_in
from vid2vid.errors import UserError
from vid2vid.inference.source import Described, relabelling
from vid2vid.types import Size
from vid2vid.video import PictureFolder, open_frames, resize_picture


class AnnotatedSource:
    """What ``ConditionSource`` is for conditions on disk, for frames that still want theirs; constant memory.

    Frames are brought to the size to be made first and drawn then, as ``prepare --size`` does it.

    Args:
        path: the driver: a video, a folder of pictures, or a clip folder (its frames).
        spec: the annotator, as ``open_annotator`` takes it.
        schema: what the model wants.
        size: (width, height) to draw at; None: that of the frames.
        frames: a part, such as ``55:71``. What is drawn is the same as in a rendering of all frames.
        relabel: semantic edits of label maps, as in ``ConditionSource``.
        device: what a network that draws runs on.

    Attributes:
        size: (width, height) of what it gives.
        sound: the driver itself where it has sound, else None.

    Raises:
        UserError: the annotator makes another condition than the model wants; no such driver, no frames.
    """

    def __init__(
        self,
        path: Path,
        spec: str,
        schema: ConditionSchema,
        size: Size | None = None,
        frames: str | None = None,
        relabel: Sequence[str] = (),
        device: str = "auto",
    ) -> None:
        self.schema = schema
        self._annotator = open_annotator(spec, schema.labels, device)
        made = self._annotator.folder
        labels = isinstance(self._annotator, Labeller)
        fits = schema.kind == "labels" if labels else schema.kind == "image" and schema.channels == 3
        if schema.name != made or not fits:
            raise UserError(
                f"--annotate {spec}: draws {made!r}, but the model renders {schema.name!r}; "
                "choose the annotator that its training set was made with"
            )
        if relabel and not labels:
            raise UserError(f"--relabel {relabel[0]}: what {spec} draws has no classes; drop one of them")
        self._relabelled = relabelling(schema, relabel) if labels else None
        if not path.exists():
            raise UserError(f"{path}: no such file or folder; give a video, a folder of pictures or a clip")
        self.path = frames_in(path)
        self._source = open_frames(self.path)
        self.size: Size = size or self._source.info.size
        self.picks = range(len(self._source))[parse_part(frames)]
        if not self.picks:
            raise UserError(
                f"{self.path}: no frames {frames or ''} among its {len(self._source)}; choose others"
            )

    def __len__(self) -> int:
        return len(self.picks)

    @property
    def rate(self) -> Fraction | None:
        """Frames per second of the driver."""
        return self._source.info.rate

    @property
    def sound(self) -> Path | None:
        return self.path if self._source.info.has_audio else None

    def __iter__(self) -> Iterator[Described]:
        memory = self._annotator.memory
        begin = 0 if memory is None else max(0, self.picks.start - memory)
        files = self._source.files if isinstance(self._source, PictureFolder) else None
        tracker = ObjectTracker()
        run = self._annotator.begin()
        try:
            for t, frame in enumerate(self._source.frames(begin, self.picks.stop), begin):
                picture = resize_picture(frame.image, self.size)
                if t < self.picks.start:
                    run.see(picture, frame.time)
                    continue
                drawn = run.draw(picture, frame.time)
                name, time = (files[t].stem, None) if files else (None, frame.time)
                if self._relabelled is None:
                    yield Described(name, time, image=drawn.picture)
                else:
                    yield Described(name, time, *self._indices(drawn, self._relabelled, tracker))
        finally:
            run.close()

    def _indices(
        self, drawn: Drawn, relabelled: np.ndarray, tracker: ObjectTracker
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Class indices and, if the model wants them, instances: those drawn, else tracked components."""
        classes = self.schema.labels
        assert classes is not None
        indices = relabelled[classes.indices(drawn.picture)].astype(np.int64)
        if not self.schema.instances:
            return indices, None
        found = drawn.instances
        if found is None:
            found = tracker.components(indices, classes.foreground)
        return indices, found.astype(np.int64)
