"""Raw frames that drive a model: their conditions are drawn on the way."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from vid2vid.annotators import open_annotator
from vid2vid.conditions import ConditionSchema
from vid2vid.data.dataset import parse_part
from vid2vid.data.footage import frames_in
from vid2vid.errors import UserError
from vid2vid.inference.source import Described
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
    ) -> None:
        self.schema = schema
        self._annotator = open_annotator(spec)
        made = self._annotator.folder
        if schema.name != made or schema.kind != "image" or schema.channels != 3:
            raise UserError(
                f"--annotate {spec}: draws {made!r}, but the model renders {schema.name!r}; "
                "choose the annotator that its training set was made with"
            )
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
        run = self._annotator.begin()
        try:
            for t, frame in enumerate(self._source.frames(begin, self.picks.stop), begin):
                picture = resize_picture(frame.image, self.size)
                if t < self.picks.start:
                    run.see(picture, frame.time)
                    continue
                image = run.draw(picture, frame.time).picture
                yield Described(files[t].stem if files else None, None if files else frame.time, image=image)
        finally:
            run.close()
