"""What ``prepare`` is asked for, checked, and as it is recorded in a clip."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from vid2vid.data.crop import FACE, Box, Crop, parse_crop
from vid2vid.errors import UserError
from vid2vid.types import Size
from vid2vid.video import as_rate


def parse_size(size: Size | str) -> Size:
    """(width, height) of "512x256", "512x-1", ...; at least one of them above 0. Raises UserError."""
    match = re.fullmatch(r"(-?\d+)x(-?\d+)", size) if isinstance(size, str) else None
    pair = (int(match[1]), int(match[2])) if match else size
    if isinstance(pair, str) or len(pair) != 2 or max(pair) < 1:
        raise UserError(f"size {size}: not a size; write WIDTHxHEIGHT, one of them -1 to keep the aspect")
    return pair


@dataclass(frozen=True)
class Settings:
    """As `prepare` describes them."""

    size: Size | None
    fps: Fraction | None
    start: float | None
    end: float | None
    crop: Crop | None
    split_cuts: bool
    frames: int | None

    @classmethod
    def of(
        cls,
        size: Size | str | None,
        fps: Fraction | float | None,
        start: float | None,
        end: float | None,
        crop: Crop | str | None,
        split_cuts: bool,
        frames: int | None,
    ) -> Settings:
        """Checked. Raises UserError."""
        if frames is not None and frames < 1:
            raise UserError(f"frames {frames}: nothing to prepare; ask for at least 1")
        if end is not None and end <= (start or 0):
            raise UserError(f"end {end}: not after start {start or 0}; swap or drop them")
        try:
            rate = None if fps is None else as_rate(fps)
        except ValueError as error:
            raise UserError(f"fps {fps}: {error}; give frames per second, such as 25") from error
        return cls(
            None if size is None else parse_size(size),
            rate,
            start,
            end,
            None if crop is None else parse_crop(crop),
            split_cuts,
            frames,
        )

    @property
    def box(self) -> Box | None:
        """The crop, where it is known beforehand."""
        return None if self.crop == FACE else self.crop

    def record(self) -> dict[str, Any]:
        """The settings that were given, as YAML holds them."""
        given = {
            name: value for name, value in vars(self).items() if value is not None and value is not False
        }
        return {
            name: list(value) if isinstance(value, tuple) else written(value) if name == "fps" else value
            for name, value in given.items()
        }


def written(rate: Fraction) -> int | str:
    """30, or "30000/1001"."""
    return rate.numerator if rate.denominator == 1 else str(rate)
