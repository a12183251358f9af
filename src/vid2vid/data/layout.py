"""Where the pictures of a dataset lie, in our layout and those of other tools. Looks, never decodes."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from vid2vid.annotators.drawn import LANDMARK_FOLDERS
from vid2vid.annotators.landmark_clip import IMAGES
from vid2vid.caches import user_cache
from vid2vid.data.shards.path import ShardPath, open_root
from vid2vid.errors import UserError
from vid2vid.video import list_pictures, natural_key

VIDEOS = frozenset({".mp4", ".mkv", ".mov", ".webm", ".avi", ".mpg", ".mpeg", ".m4v", ".ts", ".wmv", ".ogv"})


@dataclass(frozen=True)
class Strip:
    """The pictures of one kind of one clip.

    path: the folder they lie in, or the video file.
    files: the picture files in natural order; empty for a video.
    """

    path: Path
    files: tuple[Path, ...] = ()

    @property
    def is_video(self) -> bool:
        return self.path.is_file()


@dataclass(frozen=True)
class ClipFiles:
    """The files of one clip.

    home: the folder it lies in, or its folder of images; ``labels.yaml`` is looked for there, then further up
        to the dataset's folder.
    strips: by name ("frames", "labels", "densepose", ...).
    cache: the folder for what is computed from it; need not exist.
    """

    name: str
    home: Path
    strips: dict[str, Strip]
    cache: Path

    @property
    def label_list(self) -> Path | None:
        """The clip's ``labels.yaml``, else its dataset's, else None."""
        return label_list_of(self.home)


def label_list_of(home: Path) -> Path | None:
    """The ``labels.yaml`` of the clip in a folder, else its dataset's, else None."""
    above = home.parent if isinstance(home, ShardPath) else Path(os.path.abspath(home)).parent
    folders = [home, above, above.parent] if above.name == IMAGES else [home, above]
    return next((folder / "labels.yaml" for folder in folders if (folder / "labels.yaml").is_file()), None)


def find_clips(root: Path | str, *, target: str = "frames", condition: str = "labels") -> list[ClipFiles]:
    """The clips of a dataset in natural order: the folder itself, its subfolders, the 2018 layout, a folder
    for each kind of thing (``images/CLIP``, ``seg_maps/CLIP``, ``landmarks-dlib68/CLIP``, ...), or the
    sequences of Cityscapes (``leftImg8bit_sequence``, see ``cityscapes_sequences``).

    Args:
        root: a folder, or shards: see `open_root`.
        target: name of the folder (or video) of real frames.
        condition: what the conditions of the 2018 layout (``train_A``) are called.

    Raises:
        UserError: no such folder, or no clip in it; what `open_root` raises.
    """
    root = open_root(root)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; give the folder of a clip or of several")
    for phase in ("train", "test"):
        if (root / f"{phase}_A").is_dir() or (root / f"{phase}_B").is_dir():
            return _clips_of_2018(root, phase, target, condition)
    if sequences := cityscapes_sequences(root):
        cache = _cache_folder(root)
        return [
            ClipFiles(name, strip.path, {target: strip}, cache / name) for name, strip in sequences.items()
        ]
    folders = [root, *_subfolders(root)]
    clips = [_clip(folder) for folder in folders if _strip(folder, target) is not None]
    clips = clips or clips_by_kind(root)
    if not clips:
        raise UserError(
            f"{root}: no clip here; put the pictures into {target}/ (or a video {target}.mp4), "
            "in this folder or in a folder per clip"
        )
    # A clip that is the root itself has no clips below: its subfolders are its conditions.
    return clips[:1] if clips[0].home == root else clips


def _subfolders(folder: Path) -> list[Path]:
    return sorted(
        (path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."), key=natural_key
    )


def _videos(folder: Path) -> list[Path]:
    found = (path for path in folder.iterdir() if path.suffix.lower() in VIDEOS and path.name[0] != ".")
    return sorted(found, key=natural_key)


def _strip(home: Path, name: str) -> Strip | None:
    """The folder of that name, else the one video of that name."""
    if (home / name).is_dir():
        return Strip(home / name, tuple(list_pictures(home / name)))
    videos = [path for path in _videos(home) if path.stem == name]
    if len(videos) > 1:
        raise UserError(f"{home}: {videos[0].name} and {videos[1].name} both stand for {name}; keep one")
    return Strip(videos[0]) if videos else None


def _clip(home: Path) -> ClipFiles:
    names = [folder.name for folder in _subfolders(home)] + [path.stem for path in _videos(home)]
    strips = {
        name: strip
        for name in dict.fromkeys(names)
        if (strip := _strip(home, name)) is not None and not _is_landmarks(name, strip)
    }
    return ClipFiles(home.resolve().name, home, strips, _cache_folder(home))


def _is_landmarks(name: str, strip: Strip) -> bool:
    """Points rather than pictures: conditions are drawn from them."""
    return name in LANDMARK_FOLDERS and not strip.is_video and not strip.files


_KINDS = {
    IMAGES: "frames",
    "seg_maps": "labels",
    "instance_maps": "instances",
    "pose_maps-densepose": "densepose",
}
"""Our names for theirs."""


def clips_by_kind(root: Path) -> list[ClipFiles]:
    """The clips of a dataset that has a folder for each kind of thing; none without ``images/CLIP``."""
    if not (root / IMAGES).is_dir():
        return []
    kinds = _subfolders(root)
    clips = []
    for home in _subfolders(root / IMAGES):
        there = {_KINDS.get(kind.name, kind.name): kind / home.name for kind in kinds}
        strips = {
            name: Strip(folder, tuple(files))
            for name, folder in there.items()
            if folder.is_dir() and (files := list_pictures(folder))
        }
        if "frames" in strips:
            clips.append(ClipFiles(home.name, home, strips, _cache_folder(home)))
    return clips


SEQUENCES = "leftImg8bit_sequence"
SEQUENCE_RATE = 17
"""Frames per second of Cityscapes."""
_SEQUENCE_FRAME = re.compile(r"(.+_\d+)_(\d+)_leftImg8bit")


def cityscapes_sequences(root: Path) -> dict[str, Strip]:
    """The frames of Cityscapes' sequences as they are distributed, by names such as ``aachen_000000_000000``:
    ``leftImg8bit_sequence/SPLIT/CITY/CITY_SEQUENCE_FRAME_leftImg8bit.png``.

    What is numbered without a gap is one clip; it is called like its first frame. Label maps lie there for
    one frame in thirty, so they are not among what is read: annotate the frames.

    Args:
        root: ``leftImg8bit_sequence``, what holds it, or a split or city of it; of anything else: none.
    """
    if isinstance(root, ShardPath):
        return {}
    place = root / SEQUENCES if (root / SEQUENCES).is_dir() else root.resolve()
    if SEQUENCES not in place.parts:
        return {}
    levels = 2 - len(place.parts[place.parts.index(SEQUENCES) + 1 :])
    cities = [place]
    for _ in range(levels):
        cities = [inner for folder in cities for inner in _subfolders(folder)]
    found: dict[str, Strip] = {}
    for city in cities:
        runs: list[list[Path]] = []
        expected = None
        for file in list_pictures(city):
            if match := _SEQUENCE_FRAME.fullmatch(file.stem):
                if (match[1], int(match[2])) != expected:
                    runs.append([])
                runs[-1].append(file)
                expected = match[1], int(match[2]) + 1
        names = {run[0].stem.removesuffix("_leftImg8bit"): run for run in runs}
        found.update({name: Strip(city, tuple(run)) for name, run in names.items()})
    return found


def cityscapes_sequence(path: Path) -> Strip | None:
    """The frames of one of them, ``CITY_FOLDER/NAME``; None for any other path."""
    if path.exists() or path.parent.parent.parent.name != SEQUENCES or not path.parent.is_dir():
        return None
    return cityscapes_sequences(path.parent).get(path.name)


def _clips_of_2018(root: Path, phase: str, target: str, condition: str) -> list[ClipFiles]:
    """A = conditions, B = frames, inst = instances; a subfolder per clip, or files named CLIP_FRAME."""
    clips: dict[str, dict[str, Strip]] = {}
    for letter, name in (("B", target), ("A", condition), ("inst", "instances")):
        folder = root / f"{phase}_{letter}"
        if not folder.is_dir():
            continue
        for clip in _subfolders(folder):
            clips.setdefault(clip.name, {})[name] = Strip(clip, tuple(list_pictures(clip)))
        groups: dict[str, list[Path]] = {}
        for path in list_pictures(folder):
            groups.setdefault(path.stem.rpartition("_")[0] or phase, []).append(path)
        for clip_name, files in groups.items():
            clips.setdefault(clip_name, {})[name] = Strip(folder, tuple(files))
    if not any(target in strips for strips in clips.values()):
        raise UserError(f"{root / f'{phase}_B'}: no frames here; put the real frames of each clip into it")
    cache = _cache_folder(root)
    return [ClipFiles(name, root, strips, cache / name) for name, strips in clips.items()]


def _cache_folder(home: Path) -> Path:
    """Beside the data; in the user's cache where the data are read-only, or in shards."""
    if isinstance(home, ShardPath):
        return home.cache
    # Root may write anywhere, so the mode is asked too: a folder nobody may write to stays as it is.
    if os.access(home, os.W_OK) and home.stat().st_mode & 0o222:
        return home / ".cache"
    resolved = home.resolve()
    return user_cache() / f"{resolved.name}-{hashlib.sha256(str(resolved).encode()).hexdigest()[:12]}"
