"""Drift: does a long video keep its colours and its sharpness, or wander off?"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from vid2vid.evaluation.metrics import gradient_energy


@dataclass
class Sums:
    """Running sums of one window of a clip."""

    frames: int = 0
    colour: np.ndarray = field(default_factory=lambda: np.zeros(3))
    energy: float = 0.0

    def add(self, picture: np.ndarray) -> None:
        self.frames += 1
        self.colour += mean_lab(picture)
        self.energy += gradient_energy(picture)

    def means(self) -> tuple[np.ndarray, float]:
        return self.colour / self.frames, self.energy / self.frames


class Drift:
    """Mean colour and gradient energy of each window of frames, against the first window and against the
    real clip.

    Colour is the mean in CIE L*a*b* (D65); distances are Delta E 1976, of which 2 to 3 is just visible.
    What is shown changes too, so the comparison with the first window alone says little. The two summary
    numbers compare the last window with the first after the real clip's own change is taken out:

    * colour_drift: the distance by which the fake's colour error has moved. 0 is best.
    * sharpness_drift: the factor by which its gradient energy, as a ratio to the real clip, has changed. 1 is
      best.

    Both are None without truth, and for clips of one window. A last window shorter than half is joined to
    the one before it.

    window: frames per window. start: number of the first frame, for the report.
    """

    def __init__(self, window: int = 100, start: int = 0) -> None:
        self.window = window
        self.start = start
        self._fake: list[Sums] = []
        self._real: list[Sums] = []

    def update(self, fake: np.ndarray, real: np.ndarray | None = None) -> None:
        """One more frame, (H, W, 3) uint8 RGB, and its truth if there is any (for all frames or for none)."""
        for picture, windows in ((fake, self._fake), (real, self._real)):
            if picture is None:
                continue
            if not windows or windows[-1].frames == self.window:
                windows.append(Sums())
            windows[-1].add(picture)

    def compute(self) -> dict:
        """``{"window", "windows": [one dict each], "colour_drift", "sharpness_drift"}``."""
        fakes, reals = self._merged(self._fake), self._merged(self._real)
        windows, start = [], self.start
        for index, sums in enumerate(fakes):
            colour, energy = sums.means()
            first_colour, first_energy = fakes[0].means()
            row = {
                "start": start,
                "stop": start + sums.frames,
                "lab": colour.round(3).tolist(),
                "gradient_energy": energy,
                "colour_from_first": float(np.linalg.norm(colour - first_colour)),
                "gradient_from_first": energy / first_energy if first_energy else None,
            }
            if reals:
                real_colour, real_energy = reals[index].means()
                row["colour_from_real"] = float(np.linalg.norm(colour - real_colour))
                row["gradient_to_real"] = energy / real_energy if real_energy else None
            windows.append(row)
            start += sums.frames
        return {"window": self.window, "windows": windows, **self._summary(fakes, reals)}

    def _merged(self, windows: list[Sums]) -> list[Sums]:
        if len(windows) < 2 or 2 * windows[-1].frames >= self.window:
            return windows
        *head, before, last = windows
        joined = Sums(before.frames + last.frames, before.colour + last.colour, before.energy + last.energy)
        return [*head, joined]

    @staticmethod
    def _summary(fakes: list[Sums], reals: list[Sums]) -> dict[str, float | None]:
        if len(fakes) < 2 or not reals:
            return {"colour_drift": None, "sharpness_drift": None}
        errors, ratios = [], []
        for index in (0, -1):
            (colour, energy), (real_colour, real_energy) = fakes[index].means(), reals[index].means()
            errors.append(colour - real_colour)
            ratios.append(energy / real_energy if real_energy else 0.0)
        sharpness = ratios[1] / ratios[0] if ratios[0] else None
        return {
            "colour_drift": float(np.linalg.norm(errors[1] - errors[0])),
            "sharpness_drift": sharpness,
        }


def mean_lab(picture: np.ndarray) -> np.ndarray:
    """Mean CIE L*a*b* (D65; L 0 to 100) over the pixels of an (H, W, 3) uint8 sRGB picture."""
    return np.array(cv2.mean(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2Lab))[:3])
