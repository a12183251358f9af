"""Points of a face or of a body by MediaPipe's landmarkers, from raw frames."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np

from vid2vid.annotators.protocol import Drawn, picture_problem
from vid2vid.caches import user_cache
from vid2vid.errors import UserError
from vid2vid.video import whole_file


@dataclass(frozen=True)
class Bundle:
    """A file of Google's with the networks of a landmarker.

    address: where it is downloaded from, once. checksum: SHA-256 of what must come. bytes: how long that is.
    """

    address: str
    checksum: str
    bytes: int

    @property
    def name(self) -> str:
        return self.address.rpartition("/")[2]

    @property
    def place(self) -> Path:
        """Where it is kept in the user's cache; need not exist."""
        return user_cache() / self.name


_SHELF = "https://storage.googleapis.com/mediapipe-models"
BUNDLES: Mapping[str, Bundle] = {
    "face": Bundle(
        f"{_SHELF}/face_landmarker/face_landmarker/float16/1/face_landmarker.task",
        "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        3_758_596,
    ),
    "pose": Bundle(
        f"{_SHELF}/pose_landmarker/pose_landmarker_full/float16/1/pose_landmarker_full.task",
        "5134a3aad27a58b93da0088d431f366da362b44e3ccfbe3462b3827a839011b1",
        9_398_198,
    ),
}
"""By what is found: a face of 478 points, a body of 33. Apache-2.0, both."""

_WAIT = 30
"""Seconds of silence after which a download is given up."""


@dataclass(frozen=True)
class Landmarker:
    """The face, or the body, in each frame: the likeliest where there are several.

    It is followed from frame to frame, which is steadier than looking for it in each: so a frame depends on
    all before it.

    name: "face" or "pose". model: the landmarker's file. checksum: its SHA-256.
    """

    name: str
    model: Path
    checksum: str

    memory = None

    @classmethod
    def of(cls, name: str, argument: str) -> Landmarker:
        """With the named file, else the one in the user's cache, which is downloaded if it is not there.

        Raises:
            UserError: MediaPipe is not installed; there is no such file, or it cannot be downloaded; the one
                in the cache is damaged.
        """
        if find_spec("mediapipe") is None:
            raise UserError(
                f"annotate {name}: needs MediaPipe; install it with pip install 'vid2vid[annotate]'"
            )
        bundle = BUNDLES[name]
        path = Path(argument) if argument else bundle.place
        if not argument and not path.exists():
            _download(bundle, name)
        try:
            checksum = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}; check the name, or its permissions") from None
        if not argument and checksum != bundle.checksum:
            raise UserError(f"{path}: damaged, its checksum is another; remove it, to have it fetched anew")
        return cls(name, path, checksum)

    @property
    def result(self) -> str:
        return {"face": "face478.json", "pose": "pose33.json"}[self.name]

    @property
    def fingerprint(self) -> str:
        try:
            release = version("mediapipe")
        except PackageNotFoundError:
            release = "unknown"
        return f"{self.name} landmarks; mediapipe {release}, model {self.checksum[:16]}, v2"

    def begin(self) -> LandmarkerPass:
        """See :class:`Annotator`."""
        return LandmarkerPass(self.name, self.model)


class LandmarkerPass:
    """One clip's face or body. Raises UserError where MediaPipe or its model cannot be loaded."""

    def __init__(self, name: str, model: Path) -> None:
        try:
            import mediapipe
            from mediapipe.tasks.python import vision
            from mediapipe.tasks.python.core.base_options import BaseOptions
        except (ImportError, OSError) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"annotate {name}: MediaPipe cannot be loaded ({reason}); install it anew"
            ) from error
        kind = {"face": vision.FaceLandmarker, "pose": vision.PoseLandmarker}[name]
        wishes = {"face": vision.FaceLandmarkerOptions, "pose": vision.PoseLandmarkerOptions}[name](
            base_options=BaseOptions(model_asset_buffer=model.read_bytes()),
            running_mode=vision.RunningMode.VIDEO,
        )
        try:
            self._landmarker: Any = kind.create_from_options(wishes)
        except Exception as error:  # whatever it raises, the file is to blame
            raise UserError(
                f"{model}: not a {name} landmarker; give MediaPipe's {BUNDLES[name].name}"
            ) from error
        self._name = name
        self._image = lambda picture: mediapipe.Image(
            mediapipe.ImageFormat.SRGB, np.ascontiguousarray(picture)
        )
        self._last = -1

    def see(self, picture: np.ndarray, time: float) -> None:
        """See :class:`Pass`."""
        self.draw(picture, time)

    def draw(self, picture: np.ndarray, time: float) -> Drawn:
        """See :class:`Pass`. Points of a body have their visibility too, 0 to 1. Raises ValueError for what
        is no picture."""
        if problem := picture_problem(picture):
            raise ValueError(problem)
        self._last = max(self._last + 1, round(time * 1000))  # milliseconds must rise
        height, width = picture.shape[:2]
        found = self._landmarker.detect_for_video(self._image(picture), self._last)
        if self._name == "face":
            points = [[float(p.x * width), float(p.y * height)] for p in _first(found.face_landmarks)]
        else:
            points = [
                [float(p.x * width), float(p.y * height), min(max(float(p.visibility or 0), 0.0), 1.0)]
                for p in _first(found.pose_landmarks)
            ]
        return Drawn(points=points)

    def close(self) -> None:
        """Frees the network."""
        self._landmarker.close()


def _first(found: list[Any]) -> Any:
    return found[0] if found else []


def _download(bundle: Bundle, name: str) -> None:
    """Fetch a bundle into the user's cache; it appears there whole and checked, or not at all."""
    mend = f"put {bundle.name} into {bundle.place.parent}, or name it as {name}:FILE"
    try:
        with urlopen(bundle.address, timeout=_WAIT) as answer:
            content = answer.read(bundle.bytes + 1)
    except OSError as error:  # URLError, timeouts and the rest of the network's
        reason = " ".join(str(getattr(error, "reason", error)).split())
        raise UserError(
            f"annotate {name}: its model is not here and cannot be downloaded ({reason}); {mend}"
        ) from None
    if hashlib.sha256(content).hexdigest() != bundle.checksum:
        raise UserError(f"{bundle.address}: another file than expected came from there; {mend}")
    with whole_file(bundle.place) as temporary:
        temporary.write_bytes(content)
