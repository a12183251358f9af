"""One real clip and what is held against it: everything that is settled before the first frame is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vid2vid.errors import UserError
from vid2vid.evaluation.metrics import SMALLEST_SIDE
from vid2vid.evaluation.sources import Clip, Matching, Pair, match, open_clip
from vid2vid.evaluation.systems import COPIED, System, control_systems
from vid2vid.types import Size
from vid2vid.video import recorded_rate

SAME = 0.02
"""Shapes and rates may differ by this share: sizes are rounded to even numbers, rates to what a format can
say."""


@dataclass(frozen=True)
class Comparison:
    """systems: the real clip, the fakes, the controls."""

    name: str
    real: Clip
    fakes: list[Clip]
    matching: Matching
    size: Size
    systems: list[System]
    controls: bool

    @property
    def rate(self) -> Fraction:
        """Frames per second of the real clip, or where that does not say, of a video among the fakes."""
        known = [rate for clip in (self.real, *self.fakes) if (rate := rate_of(clip)) is not None]
        return known[0] if known else self.real.source.info.rate


def prepare(
    pair: Pair,
    names: Sequence[str],
    *,
    size: Size | None,
    frames: str | None,
    given: int,
    window: int,
    controls: bool,
) -> Comparison:
    """Opens the clips of a pair and lays them side by side; ``names``: of the fakes in the report.

    Raises:
        UserError: clips that cannot be read, or do not go together in number of frames, shape or rate.
    """
    if given < 0 or window < 1:
        raise UserError(
            f"--given {given}, --window {window}: give 0 or more given frames and 1 or more per window"
        )
    real, fakes = _open_all(pair, names)
    matching = match(real, fakes, frames)
    if len(matching) <= given:
        raise UserError(
            f"--given {given}: leaves none of the {len(matching)} frames to score; give a smaller number"
        )
    for fake in fakes:
        _refuse_other_rate(real, fake)
    if size is None:
        size = common_size([(fake.path, fake.size) for fake in fakes])
        _refuse_other_shape(real, fakes[0], size)
    if min(size) < SMALLEST_SIDE:
        raise UserError(
            f"--size {size[0]}x{size[1]}: too small to score; use {SMALLEST_SIDE} pixels or more a side"
        )
    made = [System(clip.name, "fake", str(clip.path), given, window) for clip in fakes]
    systems = [System(real.name, "real", str(real.path), given, window), *made]
    if controls:
        systems += control_systems(made, window)
    return Comparison(pair.name, real, fakes, matching, size, systems, controls)


def rate_of(clip: Clip) -> Fraction | None:
    """Frames per second, where the clip says it: a video does, a folder of pictures only by its clip.yaml."""
    if clip.names is None:
        return clip.source.info.rate
    return recorded_rate(clip.path) or recorded_rate(clip.path.parent)


def _open_all(pair: Pair, names: Sequence[str]) -> tuple[Clip, list[Clip]]:
    real = open_clip(pair.real, "real clip")
    clips = [open_clip(path, name) for name, path in zip(names, pair.fakes, strict=True)]
    known = [clip.name for clip in clips]
    if twice := [clip for clip in clips if known.count(clip.name) > 1 or clip.name in (COPIED, real.name)]:
        raise UserError(
            f"{twice[-1].path}: the name {twice[-1].name!r} is taken; name it as NAME={twice[-1].path}"
        )
    return real, clips


def common_size(sizes: Sequence[tuple[Path, Size]]) -> Size:
    """The one size of all; figures of different sizes must not be mixed.

    Raises:
        UserError: they differ.
    """
    (first, size), *others = sizes
    for path, other in others:
        if other != size:
            (a, b), (c, d) = other, size
            raise UserError(f"{path}: is {a}x{b} but {first} is {c}x{d}; choose one with --size WIDTHxHEIGHT")
    return size


def _refuse_other_shape(real: Clip, fake: Clip, size: Size) -> None:
    (width, height), (wide, high) = real.size, size
    if abs(width * high / (height * wide) - 1) > SAME:
        raise UserError(
            f"{fake.path}: {wide}x{high} is another shape than {width}x{height} of {real.path}; "
            "say what to compare at with --size WIDTHxHEIGHT"
        )


def _refuse_other_rate(real: Clip, fake: Clip) -> None:
    one, other = rate_of(real), rate_of(fake)
    if one and other and abs(other / one - 1) > SAME:
        raise UserError(
            f"{fake.path}: {float(other):.4g} frames a second, but {real.path} has {float(one):.4g}; "
            "make both of one rate"
        )


def own_path(path: Path) -> Path:
    """The clip folder that a ``frames`` folder belongs to, or the path itself."""
    return path.parent if path.name == "frames" else path
