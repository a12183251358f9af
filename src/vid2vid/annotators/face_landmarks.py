"""Faces by MediaPipe's face landmarker: 478 points, drawn as the outlines of their parts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vid2vid.annotators.protocol import Drawn, picture_problem
from vid2vid.errors import UserError

MODEL = "face_landmarker.task"
CHECKSUM = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
"""SHA-256 of Google's file (float16, version 1)."""

_PARTS = (("FACE_OVAL", "NOSE"), ("LEFT_EYE", "LEFT_EYEBROW", "RIGHT_EYE", "RIGHT_EYEBROW"), ("LIPS",))
"""What is drawn in red, in green and in blue."""
_IRISES = ("LEFT_IRIS", "RIGHT_IRIS")

Lines = Sequence[tuple[int, int]]
"""Pairs of points, by number, that a line joins."""


@dataclass(frozen=True)
class FaceLandmarks:
    """The face in each frame, the likeliest where there are several. Black where there is none.

    It is followed from frame to frame, which is steadier than looking for it in each: so a frame depends on
    all before it.

    model: the landmarker's file. checksum: its SHA-256.
    """

    model: Path
    checksum: str

    name = "face"
    folder = "face_lines"
    points_file = "face478.json"
    memory = None

    @classmethod
    def of(cls, argument: str) -> FaceLandmarks:
        """With the named file, else the one in the user's cache.

        Raises:
            UserError: MediaPipe is not installed; there is no such file; the one in the cache is damaged.
        """
        if find_spec("mediapipe") is None:
            raise UserError("annotate face: needs MediaPipe; install it with pip install 'vid2vid[annotate]'")
        path = Path(argument) if argument else cached_model()
        try:
            checksum = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            mend = (
                "check the name"
                if argument
                else "put MediaPipe's face landmarker there, or name it as face:FILE"
            )
            raise UserError(f"{path}: {error.strerror}; {mend}") from None
        if not argument and checksum != CHECKSUM:
            raise UserError(
                f"{path}: its checksum is not that of version 1; fetch it anew, or name it as face:FILE"
            )
        return cls(path, checksum)

    @property
    def fingerprint(self) -> str:
        try:
            release = version("mediapipe")
        except PackageNotFoundError:
            release = "unknown"
        return f"face mesh, 478 points; mediapipe {release}, model {self.checksum[:16]}, lines v1"

    def begin(self) -> FacePass:
        """See :class:`Annotator`."""
        return FacePass(self.model)


def cached_model() -> Path:
    """Where the landmarker's file is looked for; need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vid2vid" / MODEL


class FacePass:
    """One clip's face. Raises UserError where MediaPipe or its model cannot be loaded."""

    def __init__(self, model: Path) -> None:
        try:
            import mediapipe
            from mediapipe.tasks.python import vision
            from mediapipe.tasks.python.core.base_options import BaseOptions
        except (ImportError, OSError) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"annotate face: MediaPipe cannot be loaded ({reason}); install it anew"
            ) from error
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_buffer=model.read_bytes()),
            running_mode=vision.RunningMode.VIDEO,
        )
        try:
            self._landmarker: Any = vision.FaceLandmarker.create_from_options(options)
        except Exception as error:  # whatever it raises, the file is to blame
            raise UserError(f"{model}: not a face landmarker; give MediaPipe's {MODEL}") from error
        self._image = lambda picture: mediapipe.Image(
            mediapipe.ImageFormat.SRGB, np.ascontiguousarray(picture)
        )
        of = vision.FaceLandmarksConnections

        def lines(part: str) -> Lines:
            return [(line.start, line.end) for line in getattr(of, f"FACE_LANDMARKS_{part}")]

        self._parts = [[line for part in parts for line in lines(part)] for parts in _PARTS]
        self._parts[1] += [line for iris in _IRISES for line in lines(iris)]
        self._last = -1

    def see(self, picture: np.ndarray, time: float) -> None:
        """See :class:`Pass`."""
        self._find(picture, time)

    def draw(self, picture: np.ndarray, time: float) -> Drawn:
        """See :class:`Pass`. Raises ValueError for what is no picture."""
        points = self._find(picture, time)
        return Drawn(draw_lines(points, self._parts, picture.shape[:2]), points)

    def close(self) -> None:
        """Frees the network."""
        self._landmarker.close()

    def _find(self, picture: np.ndarray, time: float) -> list[list[float]]:
        """The points in pixels, or none."""
        if problem := picture_problem(picture):
            raise ValueError(problem)
        self._last = max(self._last + 1, round(time * 1000))  # milliseconds must rise
        height, width = picture.shape[:2]
        faces = self._landmarker.detect_for_video(self._image(picture), self._last).face_landmarks
        return [[float(p.x * width), float(p.y * height)] for p in faces[0]] if faces else []


def draw_lines(
    points: Sequence[Sequence[float]], parts: Sequence[Lines], size: tuple[int, ...]
) -> np.ndarray:
    """Lines between points, (H, W, 3) uint8 on black, each part in a channel of its own.

    Args:
        points: [x, y] in pixels; none: the picture stays black.
        parts: for red, green and blue: which points are joined.
        size: (height, width). Lines are a pixel wide for each 256 pixels of the shorter.
    """
    channels = np.zeros((3, *size), np.uint8)
    thickness = max(1, round(min(size) / 256))
    # OpenCV counts in sixteenths of a pixel here, from the middle of the first one.
    places = [(round(16 * point[0] - 8), round(16 * point[1] - 8)) for point in points]
    for channel, lines in zip(channels, parts, strict=True):
        for start, end in lines if places else ():
            cv2.line(channel, places[start], places[end], 255, thickness, cv2.LINE_AA, 4)
    return np.ascontiguousarray(channels.transpose(1, 2, 0))
