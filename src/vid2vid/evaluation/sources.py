"""Real and fake clips: opening them, and saying which frame belongs to which."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vid2vid.errors import UserError
from vid2vid.types import FrameSource, Size
from vid2vid.video import open_frames, resize_picture
from vid2vid.video.pictures import PICTURE_SUFFIXES, PictureFolder


@dataclass(frozen=True)
class Clip:
    """An opened clip. names: the file stem of every frame, for a folder of pictures; None for a video."""

    name: str
    path: Path
    source: FrameSource
    names: tuple[str, ...] | None

    @property
    def size(self) -> Size:
        return self.source.info.size

    def read(self, indices: Sequence[int], size: Size) -> Iterator[np.ndarray]:
        """The frames of these indices, one by one, as (H, W, 3) uint8 RGB of the size asked for."""
        for index in indices:
            yield resize_picture(self.source[index].image, size)


@dataclass(frozen=True)
class Matching:
    """Frame k of the comparison is frame `real[k]` of the real clip and frame `fakes[i][k]` of fake i."""

    real: list[int]
    fakes: list[list[int]]
    names: list[str]
    """Of the frames: file stems, or their number in the real clip."""

    def __len__(self) -> int:
        return len(self.real)


def open_clip(path: Path, name: str | None = None) -> Clip:
    """Open a video file, a folder of pictures, or a clip folder holding `frames/` or one `frames.*` video.

    The default name is the file's or folder's own. Raises UserError for what cannot be read.
    """
    place = path
    if (path / "frames").is_dir():
        place = path / "frames"
    elif videos := [p for p in sorted(path.glob("frames.*")) if p.suffix.lower() not in PICTURE_SUFFIXES]:
        place = videos[0]
    source = open_frames(place)
    names = None
    if isinstance(source, PictureFolder):
        names = tuple(file.stem for file in source.files)
        if twice := [stem for stem, count in Counter(names).items() if count > 1]:
            raise UserError(f"{place}: two pictures are named {twice[0]}; keep one of them")
    return Clip(name or _own_name(path), path, source, names)


def _own_name(path: Path) -> str:
    path = path.resolve()
    if path.is_dir():
        return path.parent.name if path.name == "frames" else path.name
    return path.stem


def parse_fake(spec: Path | str) -> tuple[str | None, Path]:
    """``"NAME=PATH"`` or a path to (name, path); an existing file whose name holds "=" is a path."""
    if isinstance(spec, str) and "=" in spec and not Path(spec).exists():
        name, _, path = spec.partition("=")
        if not name or not path:
            raise UserError(f"{spec}: not NAME=PATH; give a name and a path, or a path alone")
        return name, Path(path)
    return None, Path(spec)


def match(real: Clip, fakes: Sequence[Clip], frames: str | None = None) -> Matching:
    """Pair the frames: by file stem where both are folders of pictures, else by index.

    frames: a slice "start:stop[:step]" of the real clip. A fake in a folder of pictures may hold a part of
    the real frames; other fakes as many frames as the real clip, or as the slice. All fakes have to cover
    the same frames, or their numbers could not be compared. Raises UserError otherwise."""
    chosen = range(len(real.source))[_slice(frames)] if frames else range(len(real.source))
    if not chosen:
        raise UserError(f"--frames {frames}: takes none of the {len(real.source)} frames of {real.path}")
    maps = [
        _by_stem(real, fake, chosen) if real.names and fake.names else _by_index(real, fake, chosen)
        for fake in fakes
    ]
    first, covered = fakes[0], list(maps[0])
    for fake, pairs in zip(fakes[1:], maps[1:], strict=True):
        if list(pairs) != covered:
            raise UserError(
                f"{fake.path}: covers other frames than {first.path} ({len(pairs)} and {len(covered)}); "
                "choose frames that both have with --frames"
            )
    names = [real.names[index] if real.names else str(index) for index in covered]
    return Matching(covered, [[pairs[index] for index in covered] for pairs in maps], names)


def _by_stem(real: Clip, fake: Clip, chosen: Sequence[int]) -> dict[int, int]:
    places = {name: index for index, name in enumerate(fake.names or ())}
    known = set(real.names or ())
    if unknown := [name for name in places if name not in known]:
        raise UserError(
            f"{fake.path}: frame {unknown[0]} has no picture of that name in {real.path}; "
            "name the frames as the real ones, or give the fake as a video"
        )
    pairs = {
        index: places[real.names[index]] for index in chosen if real.names and real.names[index] in places
    }
    if not pairs:
        raise UserError(f"{fake.path}: has none of the frames chosen by --frames; choose others")
    return pairs


def _by_index(real: Clip, fake: Clip, chosen: Sequence[int]) -> dict[int, int]:
    count = len(fake.source)
    if count == len(real.source):
        return {index: index for index in chosen}
    if count == len(chosen):
        return {index: place for place, index in enumerate(chosen)}
    wanted = f"{len(chosen)} chosen" if len(chosen) != len(real.source) else f"{len(chosen)}"
    raise UserError(
        f"{fake.path}: has {count} frames, but {real.path} has {wanted}; "
        f"choose the frames it stands for with --frames START:STOP"
    )


def _slice(text: str) -> slice:
    parts = re.fullmatch(r"(-?\d+)?:(-?\d+)?(?::([1-9]\d*))?", text.replace(" ", ""))
    if parts is None:
        raise UserError(f"--frames {text}: not a range; write START:STOP, as in 0:57")
    return slice(*(int(part) if part else None for part in parts.groups()))
