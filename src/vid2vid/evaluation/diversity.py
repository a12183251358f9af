"""How far the styles of one model lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import cv2
import numpy as np

from vid2vid.evaluation.perceptual import PerceptualDistance

METHOD = (
    "Mean absolute difference (0 to 255, RGB) between the same frames of two styles, over all pixels; and "
    "their LPIPS where its weights are at hand (Zhu et al. 2017). More is more varied; noise and errors are "
    "varied too, so read it beside the label agreement."
)


class Diversity:
    """Streams over the frames of all styles at once.

    names: of the styles; lpips: None where it is not measured.
    """

    def __init__(self, names: Sequence[str], lpips: PerceptualDistance | None = None) -> None:
        self.pairs = list(combinations(names, 2))
        self._lpips = lpips
        self._sums = np.zeros((len(self.pairs), 2))
        self._frames = 0

    def update(self, pictures: Sequence[np.ndarray]) -> None:
        """One frame in every style, (H, W, 3) uint8 RGB each."""
        self._frames += 1
        for place, (one, other) in enumerate(combinations(pictures, 2)):
            self._sums[place, 0] += cv2.norm(one, other, cv2.NORM_L1) / one.size
            if self._lpips is not None:
                self._sums[place, 1] += self._lpips(one, other)

    def report(self) -> dict[str, Any]:
        """``{"note", "pixels": mean over pairs, "lpips", "pairs": [one dict each]}``."""
        means = self._sums / max(self._frames, 1)
        known = self._lpips is not None
        return {
            "note": METHOD,
            "pixels": float(means[:, 0].mean()) if self.pairs else None,
            "lpips": float(means[:, 1].mean()) if self.pairs and known else None,
            "pairs": [
                {
                    "one": one,
                    "other": other,
                    "pixels": float(row[0]),
                    "lpips": float(row[1]) if known else None,
                }
                for (one, other), row in zip(self.pairs, means, strict=True)
            ],
        }
