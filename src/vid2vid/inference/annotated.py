"""Raw frames that drive a model: their conditions are drawn on the way."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vid2vid.annotators import Annotator, Drawn, Labeller, finds_points, open_annotator
from vid2vid.annotators.drawn import DRAWN
from vid2vid.conditions import ConditionSchema, ObjectTracker
from vid2vid.data.crop import FACE, Box, Crop, box_of_face, check_box, cut, look_through
from vid2vid.errors import UserError
from vid2vid.inference.driver import open_driver
from vid2vid.inference.point_drawing import PointDrawing
from vid2vid.inference.source import Described, relabelling
from vid2vid.types import Frame, Size
from vid2vid.video import Live, resize_picture


class AnnotatedSource:
    """What ``ConditionSource`` is for conditions on disk, for frames that still want theirs; constant memory.

    What draws pictures is given frames of the size to be made, as ``prepare --size`` does it; points are
    found in frames as they are.

    Args:
        driver: a video, a folder of pictures, a clip folder (its frames), or an open camera.
        spec: the annotator, as ``open_annotator`` takes it.
        schema: what the model wants.
        size: (width, height) to draw at; None: that of the frames.
        frames: a part, such as ``55:71``. What is drawn is the same as in a rendering of all frames.
            Of a camera the first ones, ``:16``.
        crop: the part of the picture that is used, as ``prepare`` takes it; None: all of it.
        retarget: the clip of the person to be shown, where the annotator finds points. A camera is looked
            through beforehand, for it as for the crop to a face: for 2 seconds, once somebody is seen.
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
        driver: Path | Live,
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
        self._driver = open_driver(driver, frames)
        self.path, self.picks = self._driver.path, self._driver.picks
        self._box = self._open_crop(crop)
        native = self._box[2:] if self._box else self._driver.size
        self.size: Size = size or native
        self._relabelled = relabelling(schema, relabel) if isinstance(self._annotator, Labeller) else None
        self._drawing: PointDrawing | None = None
        if finds_points(self._annotator):
            rate = float(self._driver.rate) if smooth else None
            self._drawing = PointDrawing(schema.name, native, self.size, rate)
            if retarget is not None:
                self._drawing.retarget(self._look(self._box), self._driver.path, retarget)
        elif retarget is not None or smooth:
            word = "--smooth" if retarget is None else f"--retarget {retarget}"
            raise UserError(f"{word}: is for points, and {spec} finds none; drop it")

    @property
    def total(self) -> int | None:
        """How many it gives; None where nobody knows."""
        return self._driver.total

    @property
    def rate(self) -> Fraction | None:
        """Frames per second of the driver."""
        return self._driver.rate

    @property
    def sound(self) -> Path | None:
        """The driver itself where it has sound, else None."""
        return self._driver.sound

    def __iter__(self) -> Iterator[Described]:
        tracker = ObjectTracker()
        run = self._annotator.begin()
        try:
            for raw in self._driver.frames(self._annotator.memory):
                picture, seconds = self._shaped(raw.frame), raw.frame.time
                if not raw.wanted:
                    run.see(picture, seconds)
                    continue
                time = seconds if raw.name is None else None
                drawn = run.draw(picture, seconds)
                if self._drawing is not None:
                    image = self._drawing(drawn.points or [], picture, seconds)
                    yield Described(raw.name, time, image=image)
                elif self._relabelled is not None:
                    yield Described(raw.name, time, *self._indices(drawn, self._relabelled, tracker))
                else:
                    yield Described(raw.name, time, image=drawn.picture)
        finally:
            run.close()

    def _look(self, box: Box | None = None) -> list[Any]:
        """What is found in some frames of the driver, before it is rendered."""
        found, begin = [], math.inf
        for time, points in look_through(self._driver.glimpses(), self._annotator, box):
            if points is not None:
                found.append(points)
                begin = min(begin, time)
            if time >= begin + self._driver.look:
                break
        return found

    def _shaped(self, frame: Frame) -> np.ndarray:
        picture = cut(frame.image, self._box)
        return picture if finds_points(self._annotator) else resize_picture(picture, self.size)

    def _open_crop(self, crop: Crop | None) -> Box | None:
        size = self._driver.size
        if crop != FACE:
            if crop is not None:
                check_box(self.path, crop, size)
            return crop
        if self._annotator.name != FACE:
            raise UserError(
                f"--crop face: {self._annotator.name} finds no face; write --crop X,Y,WIDTH,HEIGHT"
            )
        return box_of_face(self.path, self._look(), size)

    def _indices(
        self, drawn: Drawn, relabelled: np.ndarray, tracker: ObjectTracker
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Class indices and, if the model wants them, instances: those drawn, else tracked components."""
        classes = self.schema.labels
        assert classes is not None
        assert drawn.picture is not None
        indices = relabelled[classes.indices(drawn.picture)]
        if not self.schema.instances:
            return indices, None
        found = drawn.instances
        if found is None:
            found = tracker.components(indices, classes.foreground)
        return indices, found


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
