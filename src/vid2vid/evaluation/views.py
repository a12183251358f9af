"""What the page shows of the frames themselves: the side-by-side video, strips, and slices through time."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from vid2vid.types import Size
from vid2vid.video import VideoWriter

STRIP_SIDE = 720
"""Pictures on the page are no larger than this."""
SLICE_FRAMES = 960
"""A slice through time holds at most this many frames; longer clips are thinned evenly."""
SLICE_WIDTH = 480
"""Pixels that shorter ones are stretched to."""
DIFFERENCE_RANGE = 96
"""Colour differences of this much and more (0 to 255) are shown as white."""


class Views:
    """Keeps the first, middle and last frame of every system, and a column of pixels of each frame, as a page
    can hold them.

    names: of the systems, the real clip first. frames: how many will be added.
    """

    def __init__(self, names: Sequence[str], frames: int) -> None:
        self.names = list(names)
        self.moments = sorted({0, frames // 2, frames - 1})
        self.strips: list[list[tuple[str, str]]] = []
        """Per moment and system: the picture, and where it differs from the real one."""
        self.slices: list[str] = []
        """Per system, once finished: the middle column of every frame, time running to the right."""
        self.video: Path | None = None
        self.tiles: list[tuple[int, int, int, int]] = []
        """Per system: left, top, width, height in the video."""
        self._step = max(1, math.ceil(frames / SLICE_FRAMES))
        self._columns: list[list[np.ndarray]] = [[] for _ in names]

    def add(self, index: int, pictures: Sequence[np.ndarray]) -> None:
        if index in self.moments:
            self.strips.append(
                [(data_uri(picture), data_uri(difference(picture, pictures[0]))) for picture in pictures]
            )
        if index % self._step == 0:
            for columns, picture in zip(self._columns, pictures, strict=True):
                columns.append(picture[:, picture.shape[1] // 2].copy())

    def finish(self, path: Path, video: SideBySide) -> None:
        """All frames have been added, and the video lies at ``path``."""
        for columns in self._columns:
            slice_ = np.stack(columns, axis=1)
            wide = np.repeat(slice_, max(1, SLICE_WIDTH // slice_.shape[1]), axis=1)
            self.slices.append(data_uri(wide, lossless=True))
        self._columns = []
        self.video, self.tiles = path, video.tiles


def difference(picture: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Where two pictures differ, (H, W, 3) uint8 RGB: black where equal, through red and yellow to white."""
    gap = cv2.absdiff(picture, real).mean(axis=-1)
    levels = np.clip(gap * (255 / DIFFERENCE_RANGE), 0, 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


def data_uri(picture: np.ndarray, lossless: bool = False) -> str:
    """A picture as text that a page can hold; made smaller if need be."""
    height, width = picture.shape[:2]
    if (scale := STRIP_SIDE / max(height, width)) < 1 and not lossless:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    suffix, kind = (".png", "png") if lossless else (".jpg", "jpeg")
    options = [] if lossless else [cv2.IMWRITE_JPEG_QUALITY, 90]
    _, data = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}"


class SideBySide:
    """Writes all systems into one video, each under its name; tiles are made smaller to fit 1920 pixels
    across.

    A context manager; on an exception nothing is left of the video.
    """

    WIDEST, TALLEST, BAR, GAP = 1920, 1080, 24, 4

    def __init__(self, path: Path, rate: Fraction | float, names: Sequence[str], size: Size) -> None:
        self.names = list(names)
        self.columns, scale = self._layout(len(names), size)
        self.tile = max(2, round(size[0] * scale)), max(2, round(size[1] * scale))
        rows = math.ceil(len(names) / self.columns)
        self.width = self.columns * (self.tile[0] + self.GAP) - self.GAP
        self.height = rows * (self.tile[1] + self.BAR)
        # Even sizes, so that the video needs no padding of its own.
        self.width, self.height = self.width + self.width % 2, self.height + self.height % 2
        self.tiles = [(*self._corner(place), *self.tile) for place in range(len(names))]
        self._canvas = self._blank()
        self._writer = VideoWriter(path, rate)

    def write(self, pictures: Sequence[np.ndarray]) -> None:
        """One frame: a (H, W, 3) uint8 RGB picture of each system."""
        canvas = self._canvas.copy()
        width, height = self.tile
        for place, picture in enumerate(pictures):
            x, y = self._corner(place)
            if picture.shape[:2] != (height, width):
                picture = cv2.resize(picture, self.tile, interpolation=cv2.INTER_AREA)
            canvas[y : y + height, x : x + width] = picture
        self._writer.write(canvas)

    def __enter__(self) -> SideBySide:
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # On Ctrl-C the writer keeps what there is; but part of a comparison must not replace a whole one.
        self._writer.__exit__(kind and Exception, error, trace)

    @classmethod
    def _layout(cls, count: int, size: Size) -> tuple[int, float]:
        """How many tiles to a row, and their scale: the largest that fit, never enlarged."""

        def room(columns: int) -> float:
            rows = math.ceil(count / columns)
            across = (cls.WIDEST - (columns - 1) * cls.GAP) / (columns * size[0])
            down = (cls.TALLEST - rows * cls.BAR) / (rows * size[1])
            return min(across, down)

        columns = max(range(1, count + 1), key=room)
        return columns, min(1.0, room(columns))

    def _corner(self, place: int) -> tuple[int, int]:
        row, column = divmod(place, self.columns)
        return column * (self.tile[0] + self.GAP), row * (self.tile[1] + self.BAR) + self.BAR

    def _blank(self) -> np.ndarray:
        canvas = np.full((self.height, self.width, 3), 18, np.uint8)
        for place, name in enumerate(self.names):
            x, y = self._corner(place)
            text = name
            while (
                len(text) > 4
                and cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, 0.45, 1)[0][0] > self.tile[0] - 12
            ):
                text = text.removesuffix("...")[:-1] + "..."
            cv2.putText(
                canvas, text, (x + 6, y - 8), cv2.FONT_HERSHEY_DUPLEX, 0.45, (225, 225, 225), 1, cv2.LINE_AA
            )
        return canvas
