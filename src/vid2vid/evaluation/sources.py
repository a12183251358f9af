"""Real and fake clips: opening them, and saying which frame belongs to which."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vid2vid.data.layout import VIDEOS
from vid2vid.errors import UserError
from vid2vid.types import FrameSource, Size
from vid2vid.video import natural_key, open_frames, resize_picture
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


@dataclass(frozen=True)
class Pair:
    """One real clip and where each fake shows it."""

    name: str
    real: Path
    fakes: list[Path]


def pair_clips(real: Path, fakes: Sequence[Path]) -> list[Pair]:
    """The clips to compare: the one that is named, or all those of the same names in folders of clips.

    A folder of clips holds clip folders, folders of pictures or videos; its own name means nothing. The fakes
    may leave out clips, but all have to leave out the same ones.

    Raises:
        UserError: one is a clip and the other a folder of clips, or their clips do not go together.
    """
    if not fakes:
        raise UserError(f"{real}: nothing to compare it with; name one or more fakes")
    known = clips_within(real)
    if known is None:
        return [Pair(own_name(real), real, list(fakes))]
    found = []
    for fake in fakes:
        clips = clips_within(fake)
        if clips is None:
            raise UserError(
                f"{fake}: is one clip, but {real} is a folder of {len(known)}; name clips or folders"
            )
        if strangers := sorted(clips.keys() - known.keys()):
            raise UserError(
                f"{fake}: {real} has no clip named {strangers[0]}; name the clips as the real ones"
            )
        found.append(clips)
    for fake, clips in zip(fakes[1:], found[1:], strict=True):
        if odd := sorted(clips.keys() ^ found[0].keys()):
            raise UserError(
                f"{fake} and {fakes[0]}: only one of them has clip {odd[0]}; score the same clips"
            )
    return [Pair(name, known[name], [clips[name] for clips in found]) for name in found[0]]


def clips_within(path: Path) -> dict[str, Path] | None:
    """The clips in a folder of clips, by name; None for what is a clip, or nothing at all."""
    if not path.is_dir() or (path / "frames").is_dir() or list(path.glob("frames.*")):
        return None
    entries = sorted((p for p in path.iterdir() if p.name[0] != "."), key=natural_key)
    if any(p.suffix.lower() in PICTURE_SUFFIXES for p in entries):
        return None
    clips: dict[str, Path] = {}
    for entry in entries:
        if not entry.is_dir() and entry.suffix.lower() not in VIDEOS:
            continue
        if (name := entry.stem if entry.is_file() else entry.name) in clips:
            raise UserError(f"{path}: {clips[name].name} and {entry.name} have one name; keep one of them")
        clips[name] = entry
    return clips or None


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
    return Clip(name or own_name(path), path, source, names)


def own_name(path: Path) -> str:
    """What a clip, or a folder of clips, is called where no other name is given."""
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
