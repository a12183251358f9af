"""Raw frames that drive a model: their conditions are drawn on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from vid2vid.annotators import Annotator, Drawn, Labeller, finds_points, open_annotator
from vid2vid.annotators.drawn import DRAWN
from vid2vid.conditions import ConditionSchema, ObjectTracker
from vid2vid.data.crop import FACE, Box, Crop, box_of_face, check_box, cut, look_through
from vid2vid.data.dataset import parse_part
from vid2vid.data.footage import frames_in
from vid2vid.errors import UserError
from vid2vid.inference.point_drawing import PointDrawing
from vid2vid.inference.source import Described, relabelling
from vid2vid.types import Frame, Size
from vid2vid.video import PictureFolder, open_frames, resize_picture


class AnnotatedSource:
    """What ``ConditionSource`` is for conditions on disk, for frames that still want theirs; constant memory.

    What draws pictures is given frames of the size to be made, as ``prepare --size`` does it; points are
    found in frames as they are.

    Args:
        path: the driver: a video, a folder of pictures, or a clip folder (its frames).
        spec: the annotator, as ``open_annotator`` takes it.
        schema: what the model wants.
        size: (width, height) to draw at; None: that of the frames.
        frames: a part, such as ``55:71``. What is drawn is the same as in a rendering of all frames.
        crop: the part of the picture that is used, as ``prepare`` takes it; None: all of it.
        retarget: the clip of the person to be shown, where the annotator finds points.
        smooth: take the trembling out of points; see ``annotators.Steady``.
        relabel: semantic edits of label maps, as in ``ConditionSource``.
        device: what a network that draws runs on.

    Attributes:
        size: (width, height) of what it gives.

    Raises:
        UserError: the annotator makes another condition than the model wants; no such driver, no frames;
            nobody is found who could be retargeted or cropped to.
    """

    def __init__(
        self,
        path: Path,
        spec: str,
        schema: ConditionSchema,
        size: Size | None = None,
        frames: str | None = None,
        *,
        crop: Crop | None = None,
        retarget: Path | None = None,
        smooth: bool = False,
        relabel: Sequence[str] = (),
        device: str = "auto",
    ) -> None:
        self.schema = schema
        self._annotator = open_fitting(spec, schema, device)
        if relabel and not isinstance(self._annotator, Labeller):
            raise UserError(f"--relabel {relabel[0]}: what {spec} draws has no classes; drop one of them")
        if not path.exists():
            raise UserError(f"{path}: no such file or folder; give a video, a folder of pictures or a clip")
        self.path = frames_in(path)
        self._source = open_frames(self.path)
        self.picks = range(len(self._source))[parse_part(frames)]
        if not self.picks:
            raise UserError(
                f"{self.path}: no frames {frames or ''} among its {len(self._source)}; choose others"
            )
        self._box = self._open_crop(crop)
        native = self._box[2:] if self._box else self._source.info.size
        self.size: Size = size or native
        self._relabelled = relabelling(schema, relabel) if isinstance(self._annotator, Labeller) else None
        self._drawing: PointDrawing | None = None
        if finds_points(self._annotator):
            rate = float(self._source.info.rate) if smooth else None
            self._drawing = PointDrawing(schema.name, native, self.size, rate)
            if retarget is not None:
                looked = look_through(self._source, self.picks, self._annotator, self._box)
                self._drawing.retarget([found for found in looked if found is not None], retarget)
        elif retarget is not None or smooth:
            word = "--smooth" if retarget is None else f"--retarget {retarget}"
            raise UserError(f"{word}: is for points, and {spec} finds none; drop it")

    def __len__(self) -> int:
        return len(self.picks)

    @property
    def rate(self) -> Fraction | None:
        """Frames per second of the driver."""
        return self._source.info.rate

    @property
    def sound(self) -> Path | None:
        """The driver itself where it has sound, else None."""
        return self.path if self._source.info.has_audio else None

    def __iter__(self) -> Iterator[Described]:
        memory = self._annotator.memory
        begin = 0 if memory is None else max(0, self.picks.start - memory)
        files = self._source.files if isinstance(self._source, PictureFolder) else None
        tracker = ObjectTracker()
        run = self._annotator.begin()
        try:
            for t, frame in enumerate(self._source.frames(begin, self.picks.stop), begin):
                picture = self._shaped(frame)
                if t < self.picks.start:
                    run.see(picture, frame.time)
                    continue
                name, time = (files[t].stem, None) if files else (None, frame.time)
                drawn = run.draw(picture, frame.time)
                if self._drawing is not None:
                    yield Described(name, time, image=self._drawing(drawn.points or [], picture))
                elif self._relabelled is not None:
                    yield Described(name, time, *self._indices(drawn, self._relabelled, tracker))
                else:
                    yield Described(name, time, image=drawn.picture)
        finally:
            run.close()

    def _shaped(self, frame: Frame) -> np.ndarray:
        picture = cut(frame.image, self._box)
        return picture if finds_points(self._annotator) else resize_picture(picture, self.size)

    def _open_crop(self, crop: Crop | None) -> Box | None:
        size = self._source.info.size
        if crop != FACE:
            if crop is not None:
                check_box(self.path, crop, size)
            return crop
        if self._annotator.name != FACE:
            raise UserError(
                f"--crop face: {self._annotator.name} finds no face; write --crop X,Y,WIDTH,HEIGHT"
            )
        return box_of_face(self.path, list(look_through(self._source, self.picks, self._annotator)), size)

    def _indices(
        self, drawn: Drawn, relabelled: np.ndarray, tracker: ObjectTracker
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Class indices and, if the model wants them, instances: those drawn, else tracked components."""
        classes = self.schema.labels
        assert classes is not None
        assert drawn.picture is not None
        indices = relabelled[classes.indices(drawn.picture)].astype(np.int64)
        if not self.schema.instances:
            return indices, None
        found = drawn.instances
        if found is None:
            found = tracker.components(indices, classes.foreground)
        return indices, found.astype(np.int64)


def open_fitting(spec: str, schema: ConditionSchema, device: str) -> Annotator:
    """The annotator of that name, if what it makes is what a model wants. Raises UserError."""
    annotator = open_annotator(spec, schema.labels, device)
    if isinstance(annotator, Labeller):
        fits = schema.kind == "labels"
    elif finds_points(annotator):
        drawn = DRAWN.get(schema.name) if schema.kind == "image" else None
        alone = drawn is not None and drawn.channels == schema.channels and len(drawn.kinds) == 1
        fits = drawn is not None and alone and annotator.result in drawn.kinds[0].places
    else:
        fits = schema.kind == "image" and schema.channels == 3 and schema.name == annotator.result
    if not fits:
        raise UserError(
            f"--annotate {spec}: gives {annotator.result}, but the model renders {schema.name!r}; "
            "choose the annotator that its training set was made with"
        )
    return annotator
