"""From clips on the disk to the videos that raters see: all encoded alike, under names that tell nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from vid2vid.errors import UserError
from vid2vid.evaluation.sources import Clip, clips_within, match, open_clip, own_name, parse_fake
from vid2vid.preference.answers import Answers
from vid2vid.preference.trials import REAL, Shown, degraded_owner
from vid2vid.progress import Progress
from vid2vid.types import Size
from vid2vid.video import (
    DEFAULT_RATE,
    VideoWriter,
    natural_key,
    recorded_rate,
)

CRF = 12
"""Constant rate factor of the videos: what raters judge is the system, not the encoder."""

_BLOCK = 32  # frames put out of order together: a long clip never has to be held at once
_ONLY = "clip"
"""Name of the clip where every path is a single one."""


@dataclass(frozen=True)
class Part:
    """One clip as every system shows it. frames: of each system, the indices shown; "" is the real clip."""

    name: str
    clips: Mapping[str, Clip]
    frames: Mapping[str, Sequence[int]]
    size: Size
    rate: Fraction

    @property
    def count(self) -> int:
        return len(next(iter(self.frames.values())))

    def about(self) -> dict[str, object]:
        """What makes it this clip and no other, as JSON: a study goes on only with the very same."""
        digests = {system: _digest(clip, self.frames[system]) for system, clip in self.clips.items()}
        return {"frames": self.count, "size": list(self.size), "rate": str(self.rate), "digests": digests}


@dataclass(frozen=True)
class Material:
    """All clips of a study, opened and found to fit together. systems: names, in the order given."""

    systems: list[str]
    parts: list[Part]
    real: bool
    clips: list[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "clips", [part.name for part in self.parts])


def open_material(
    specs: Sequence[Path | str],
    real: Path | None,
    *,
    frames: str | None = None,
    piece: int | None = None,
    rate: Fraction | None = None,
) -> Material:
    """Open every clip of every system. Reads no frame yet, and writes nothing.

    Args:
        specs: two systems or more, each NAME=PATH or a path: a video, a folder of pictures, or a folder of
            several such clips, which have the same names in every system.
        real: likewise, the real clips.
        frames: a slice "START:STOP" of each real clip, or without one, of each clip of the first system.
        piece: cut every clip into clips of so many frames; what is left over at the end is not shown.
        rate: frames per second for all; else that of the clips, which have to agree.

    Raises:
        UserError: what cannot be read or does not fit together, naming both sides.
    """
    paths = _named(specs)
    found = {name: _find_clips(path) for name, path in paths.items()}
    first = next(iter(found))
    for name, clips in found.items():
        _same_names(paths[first], found[first], paths[name], clips)
        _same_names(paths[name], clips, paths[first], found[first])
    truth = _find_clips(real) if real is not None else {}
    if real is not None:
        _same_names(paths[first], found[first], real, truth)
    parts = []
    for clip in sorted(found[first], key=natural_key):
        opened = {name: open_clip(clips[clip], name) for name, clips in found.items()}
        part = _fit(clip, opened, open_clip(truth[clip]) if truth else None, frames, rate)
        parts += _pieces(part, piece) if piece is not None else [part]
    return Material(list(paths), parts, real is not None)


def encode_material(material: Material, answers: Answers, folder: Path, progress: Progress) -> None:
    """Write the videos that are not there yet; may be stopped at any moment and called again."""
    wanted = [(part, shown) for part in material.parts for shown in _shown(part, material)]
    answers.add_videos([shown for _, shown in wanted])
    names = answers.videos()
    missing = [
        (part, shown)
        for part, shown in wanted
        if not names[shown][1] or not video_path(folder, names[shown][0]).is_file()
    ]
    total, done = sum(part.count for part, _ in missing), 0
    for part, shown in missing:
        name = names[shown][0]
        with VideoWriter(video_path(folder, name), part.rate, size=part.size, crf=CRF) as writer:
            for picture in _pictures(part, shown):
                writer.write(picture)
                done += 1
                progress(done, total, f"{part.name}: {shown.system or REAL}")
        # Only now: on Ctrl-C the writer leaves a video that is playable, but cut short.
        answers.video_written(name)


def video_path(folder: Path, name: str) -> Path:
    """Where the video of an id lies."""
    return folder / "videos" / f"{name}.mp4"


def degraded(pictures: Iterable[np.ndarray], seed: int = 0) -> Iterator[np.ndarray]:
    """A clip spoilt so that nobody who looks can prefer it: out of order, jittery and blurred."""
    dice = np.random.default_rng(seed)
    rest = iter(pictures)
    while block := list(islice(rest, _BLOCK)):
        for index in _out_of_order(len(block), dice):
            height, width = block[index].shape[:2]
            shift = dice.uniform(-0.05, 0.05, 2) * (width, height)
            blurred = cv2.GaussianBlur(block[index], (0, 0), max(2.0, min(width, height) / 40))
            move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
            yield cv2.warpAffine(blurred, move, (width, height), borderMode=cv2.BORDER_REPLICATE)


def _out_of_order(count: int, dice: np.random.Generator) -> list[int]:
    """A permutation; of several tried, the one whose neighbours are farthest from being neighbours."""
    tried = [dice.permutation(count) for _ in range(20)]
    return max(tried, key=lambda order: int(np.abs(np.diff(order)).sum())).tolist()


def _shown(part: Part, material: Material) -> list[Shown]:
    """Every video of a clip: the systems', the real one and a spoilt one."""
    good = degraded_owner(material.systems, material.clips, part.name, material.real)
    videos = [Shown(part.name, system) for system in material.systems]
    return [*videos, *([good] if material.real else []), Shown(part.name, good.system, "degraded")]


def _pictures(part: Part, shown: Shown) -> Iterator[np.ndarray]:
    pictures = part.clips[shown.system].read(part.frames[shown.system], part.size)
    return degraded(pictures) if shown.role == "degraded" else pictures


def _named(specs: Sequence[Path | str]) -> dict[str, Path]:
    """The systems by name."""
    named: dict[str, Path] = {}
    for spec in specs:
        name, path = parse_fake(spec)
        name = name or own_name(path)
        if name in named:
            raise UserError(f"{path}: two systems are named {name}; give them other names with NAME=PATH")
        named[name] = path
    if len(named) < 2:
        raise UserError(f"{', '.join(map(str, specs))}: nothing to compare with; give two systems or more")
    return named


def _find_clips(path: Path) -> dict[str, Path]:
    """The clips at a path, by name; a single one is named alike for all systems."""
    return clips_within(path) or {_ONLY: path}


def _same_names(one: Path, wanted: Mapping[str, Path], other: Path, there: Mapping[str, Path]) -> None:
    for name in wanted:
        if name not in there:
            what = f"holds no clip '{name}', which {one} has"
            if name == _ONLY:
                what = f"is a folder of several clips, but {one} is one"
            raise UserError(f"{other}: {what}; give every system clips of the same names")


def _fit(
    name: str, opened: dict[str, Clip], truth: Clip | None, frames: str | None, rate: Fraction | None
) -> Part:
    """The frames that belong together, once size, number and rate are found to agree."""
    clips = list(opened.values())
    for clip in clips[1:]:
        if clip.size != clips[0].size:
            raise UserError(
                f"{clip.path}: is {clip.size[0]}x{clip.size[1]}, but {clips[0].path} is "
                f"{clips[0].size[0]}x{clips[0].size[1]}; bring them to one size"
            )
    matching = match(truth or clips[0], clips, frames)
    chosen: dict[str, Sequence[int]] = dict(zip(opened, matching.fakes, strict=True))
    if truth is not None:
        opened, chosen = opened | {"": truth}, chosen | {"": matching.real}
    return Part(name, opened, chosen, clips[0].size, rate or _common_rate([*opened.values()]))


def _common_rate(clips: Sequence[Clip]) -> Fraction:
    """The one rate that videos have and folders record; a folder that records none takes any."""
    known: dict[Fraction, Clip] = {}
    for clip in clips:
        recorded = recorded_rate(clip.path) or recorded_rate(clip.path.parent) if clip.names else None
        rate = recorded if clip.names else clip.source.info.rate
        if rate is not None:
            known.setdefault(rate, clip)
    if len(known) > 1:
        (one, first), (two, second) = list(known.items())[:2]
        raise UserError(
            f"{second.path}: runs at {float(two):.4g} frames per second, but {first.path} at "
            f"{float(one):.4g}; give one rate for all with --fps"
        )
    return next(iter(known), DEFAULT_RATE)


def _pieces(part: Part, length: int) -> list[Part]:
    if not 2 <= length <= part.count:
        raise UserError(
            f"--piece {length}: clip '{part.name}' has {part.count} frames; give 2 to {part.count}"
        )
    first = part.name if part.name != _ONLY else ""
    return [
        replace(
            part,
            name=f"{first} {start}:{start + length}".strip(),
            frames={system: frames[start : start + length] for system, frames in part.frames.items()},
        )
        for start in range(0, part.count - length + 1, length)
    ]


def _digest(clip: Clip, frames: Sequence[int]) -> str:
    """Of the bytes of the files that the frames are read from: no picture has to be decoded for it."""
    total = hashlib.sha256(repr(list(frames) if clip.names is None else len(frames)).encode())
    files = getattr(clip.source, "files", None)
    for file in [files[index] for index in frames] if files else [clip.source.path]:  # type: ignore[attr-defined]
        with file.open("rb") as opened:
            total.update(hashlib.file_digest(opened, "sha256").digest())
    return total.hexdigest()
