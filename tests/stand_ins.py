"""What stands in for a camera, and for a network that finds points of faces."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from vid2vid.annotators import Drawn
from vid2vid.video import Camera

RATE = 50
PACED = f"testsrc2=size=64x48:rate={RATE},realtime"


def opened(source: str = PACED) -> Camera:
    """ffmpeg's test pictures as a camera."""
    return Camera("camera 0", "lavfi", source)


@contextmanager
def no_thread_stays() -> Iterator[None]:
    """Of those that read cameras."""
    yield
    assert [one.name for one in threading.enumerate() if one.name.startswith("camera")] == []


@dataclass(frozen=True)
class Dots:
    """Finds the face that ``face`` says belongs to the grey of a frame; no points: nobody is there."""

    face: Callable[[int], list[list[float]]]
    name = "face"
    result = "face68.json"
    memory = None
    fingerprint = "dots v1"

    def begin(self) -> Dots:
        return self

    def see(self, picture: np.ndarray, time: float) -> None:
        pass

    def draw(self, picture: np.ndarray, time: float) -> Drawn:
        return Drawn(points=self.face(int(picture[5, 5, 0])))

    def close(self) -> None:
        pass
