"""Where one shot ends and the next begins."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np

from vid2vid.progress import Progress, silent
from vid2vid.types import FrameSource, Size

_THUMBNAIL: Size = (64, 36)
_BINS = [8, 4, 8]  # hue, saturation, value
_SHIFT = (10, 6)  # thumbnail pixels that the picture may move between two frames and still be the same

# Two frames differ by 1 in each measure where one would begin to suspect a cut.
_COLOURS, _PIXELS, _STRUCTURE = 0.4, 40.0, 0.4
_CERTAIN = 2.2  # a cut by itself
_SUSPECT = 1.0  # a cut where the neighbourhood is calm: this many times less different
_CALM = 3.0
_NEIGHBOURS = 8
_FLASH = 3  # frames that a flash or something passing the lens may last


def find_cuts(source: FrameSource, progress: Progress = silent) -> list[int]:
    """The frames that begin a new shot: i where frame i - 1 and frame i were not filmed in one go.

    Two frames are compared by their colours (histograms), their pixels, and their structure (correlation at
    the best shift), each small enough to be blind to noise. A large difference is a cut, a smaller one where
    it stands out from the motion around it; not where the picture returns within a few frames, as after a
    flash. Hard cuts only: a dissolve or a fade changes too little from frame to frame and stays in its shot.

    Reads the source once, in constant memory but for one number per frame.
    """
    differences = [0.0]
    returns: dict[int, bool] = {}
    recent: deque[_Look] = deque(maxlen=2 * _FLASH + 2)
    for number, frame in enumerate(source):
        look = _look(frame.image)
        if recent:
            differences.append(_difference(recent[-1], look))
        recent.append(look)
        candidate = number - _FLASH
        if candidate > 0 and differences[candidate] > _SUSPECT:
            # A flash begins here if the frame before is like one a little later, and ends here
            # if one a little earlier is like this frame.
            pairs = [(recent[-2 - _FLASH], look)]
            if len(recent) == recent.maxlen:
                pairs.append((recent[0], recent[-1 - _FLASH]))
            returns[candidate] = any(_difference(*pair) < differences[candidate] / 2 for pair in pairs)
        progress(number + 1, len(source), "looking for cuts")
    return [
        i for i in range(1, len(differences)) if not returns.get(i, False) and _stands_out(differences, i)
    ]


@dataclass(frozen=True)
class _Look:
    colours: np.ndarray
    """(8, 4, 8) float32, sums to 1."""
    pixels: np.ndarray
    """(36, 64, 3) uint8."""
    grey: np.ndarray
    """(36, 64) uint8."""


def _look(image: np.ndarray) -> _Look:
    pixels = cv2.resize(image, _THUMBNAIL, interpolation=cv2.INTER_AREA)
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    colours = cv2.calcHist([hsv], [0, 1, 2], None, _BINS, [0, 180, 0, 256, 0, 256])
    return _Look(colours / colours.sum(), pixels, cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))


def _difference(a: _Look, b: _Look) -> float:
    """0 for equal frames; above 2 for most pairs of frames of different scenes."""
    colours = 0.5 * float(np.abs(a.colours - b.colours).sum())
    pixels = float(cv2.absdiff(a.pixels, b.pixels).mean())
    x, y = _SHIFT
    middle = b.grey[y:-y, x:-x]
    structure = 0.0
    if middle.std() > 2:  # a blank wall correlates with anything
        structure = 1.0 - float(cv2.matchTemplate(a.grey, middle, cv2.TM_CCOEFF_NORMED).max())
    return colours / _COLOURS + pixels / _PIXELS + structure / _STRUCTURE


def _stands_out(differences: list[float], number: int) -> bool:
    here = differences[number]
    if here <= _SUSPECT:
        return False
    around = (
        differences[max(1, number - _NEIGHBOURS) : number]
        + differences[number + 1 : number + 1 + _NEIGHBOURS]
    )
    return here > _CERTAIN or here > _CALM * max(around, default=0.0)
