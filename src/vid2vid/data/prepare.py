"""Raw footage to a dataset: videos and folders of pictures become clips of numbered pictures."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from vid2vid.annotators import Annotator, Labeller, open_annotators
from vid2vid.annotators.labels import cityscapes
from vid2vid.conditions import LabelSchema
from vid2vid.data.annotate import annotate as draw_conditions
from vid2vid.data.crop import FACE, Crop
from vid2vid.data.face_crop import around_face, face_finder
from vid2vid.data.footage import Footage
from vid2vid.data.layout import cityscapes_sequences, clips_by_kind, label_list_of
from vid2vid.data.settings import Settings, written
from vid2vid.errors import UserError
from vid2vid.progress import Progress, silent
from vid2vid.types import Size
from vid2vid.video import Part, VideoFile, between, find_cuts, make_folder, whole_file

RECORD = "clip.yaml"
_CITY = re.compile(r"city(?::(\d+))?")
_CITY_FRAMES, _CITY_SIZE, _CITY_RATE = 120, (512, 256), Fraction(15)
_SHORTEST = 2  # frames: a shot of fewer is no clip


def prepare(
    sources: Sequence[Path | str],
    out: Path | str | None = None,
    *,
    annotate: Sequence[str] = (),
    classes: Path | str | None = None,
    workers: int = 0,
    size: Size | str | None = None,
    fps: Fraction | float | None = None,
    start: float | None = None,
    end: float | None = None,
    crop: Crop | str | None = None,
    smooth: bool = False,
    split_cuts: bool = True,
    frames: int | None = None,
    seed: int = 0,
    keep_going: bool = False,
    warn: Callable[[str], object] = warnings.warn,
    progress: Progress = silent,
) -> list[Path]:
    """Turn raw footage into a dataset: ``out/CLIP/frames/000000.png`` and so on, a folder per shot.

    A source that is a clip already (a folder with ``frames/`` or ``frames.mp4``) brings its conditions along:
    every folder of pictures beside the frames, landmarks (``*.json`` with ``width``, ``height``, ``frames``)
    and folders of them (``landmarks/``, ``openpose/``) go through the same choice of frames, crop and size;
    ``labels.yaml`` is copied. Flow is not taken along, for it would no longer fit.

    ``clip.yaml`` in each clip records its frame rate, size and settings. A clip appears under its name when
    whole, so an interrupted call can be repeated: clips that are there with the same record are kept.

    Args:
        sources: videos, folders of pictures, clip folders; "city" or "city:SEED" for the synthetic city.
        out: the dataset's folder. None: ``sources`` are clips, or datasets, that stay where they are and get
            the conditions that ``annotate`` names.
        annotate: conditions to draw from the frames once these are there ("edges", "sketch", ...), as
            ``vid2vid.data.annotate`` does; they replace those of these names that a source brings along.
        classes: a ``labels.yaml``, or "cityscapes": what "labels:NETWORK" writes, mapped by name (None: the
            classes of Cityscapes), and what the label maps mean that come without a list.
        workers: processes that draw them; 0: this one.
        size: (width, height) or "512x256", after the crop. One of them may be 0 or -1 to keep the aspect; it
            becomes the nearest even number. None: as the source.
        fps: frames per second: at each tick the frame nearest in time. None: every frame, at the source's
            rate (its average where it varies). Pictures whose rate nobody recorded are taken to be at this
            rate.
        start: seconds of the source where it begins.
        end: seconds of the source where it ends.
        crop: (x, y, width, height) or "x,y,width,height" in pixels of the source; or "face": the square
            around the face of each shot, the same in all its frames. Where it is, the clip's landmarks say,
            else the landmarker of ``annotate`` face.
        smooth: take the trembling out of the points that are found, and fill gaps of up to 5 frames.
        split_cuts: a clip per shot (NAME-000, NAME-001, ...), split at scene cuts; shots under 2 frames are
            dropped.
        frames: at most this many frames of each source; of the city as many (None: 120).
        seed: the city's seed where the source does not name one.
        keep_going: leave out a source that cannot be read, and take the readable beginning of a video that is
            cut short or damaged. Frames after the damage are not taken: a gap would lie about the motion.
        warn: is given one line for each such source.

    Returns:
        The clip folders, in order.

    Raises:
        UserError: a source that cannot be read (with ``keep_going``: none that can), a crop outside the
            picture, conditions that are missing for a frame, a clip that is there with another record, two
            sources of one name, a full disk; what ``annotate`` raises.
    """
    settings = Settings.of(size, fps, start, end, crop, split_cuts, frames)
    # Complains now, not after an hour of frames.
    schema = (
        cityscapes() if classes == "cityscapes" else None if classes is None else LabelSchema.read(classes)
    )
    annotators = open_annotators(annotate, schema)
    labelled = any(isinstance(one, Labeller) for one in annotators)
    if out is None:
        if schema is not None and not labelled:
            raise UserError("classes: nothing is annotated that has classes; add --annotate labels:NETWORK")
        _refuse_changes(sources, settings, annotators)
        return draw_conditions(sources, annotators, smooth=smooth, workers=workers, progress=progress)
    anew = {one.result for one in annotators}
    if labelled:
        anew |= {"instances", "labels.yaml"}
    finder = face_finder(sources, annotators) if settings.crop == FACE else None
    out = Path(out)
    clips: list[Path] = []
    for name, source in _name_sources(sources, seed).items():
        try:
            if isinstance(source, int):
                clips.append(_prepare_city(out / name, source, settings, progress))
            else:
                footage = Footage.open(
                    source, crop=settings.box, size=settings.size, rate=settings.fps, partial=keep_going
                ).without(anew)
                if isinstance(footage.source, VideoFile) and (fault := footage.source.index.fault):
                    warn(f"{footage.source.path}: {fault}; these are taken")
                clips += _prepare_footage(out / name, footage, settings, finder, progress)
        except UserError as error:
            if not keep_going or not str(error).startswith(str(source)):  # not of this source's making
                raise
            warn(f"{error} (left out)")
    if keep_going and not clips:
        raise UserError("none of the sources gave a clip; the lines before this one say why")
    if schema is not None and not labelled:
        _give_classes(clips, schema)
    if annotators:
        draw_conditions(clips, annotators, smooth=smooth, workers=workers, progress=progress)
    return clips


def resample(times: np.ndarray, fps: Fraction | float, period: float) -> np.ndarray:
    """Which frames to show at a constant rate: at each tick the frame nearest in time.

    Args:
        times: (N,) seconds, rising.
        fps: ticks per second; the first is at times[0].
        period: seconds that the last frame lasts.

    Returns:
        (M,) int64 indices into times, never falling; M = the ticks before times[-1] + period, at least 1.
    """
    duration = times[-1] + period - times[0]
    # The allowances keep rounded time stamps from adding a frame (a tenth of a tick) or preferring another.
    ticks = times[0] + np.arange(max(1, int(np.ceil(duration * float(fps) - 0.1)))) / float(fps)
    after = np.searchsorted(times, ticks).clip(max=len(times) - 1)
    before = (after - 1).clip(min=0)
    return np.where(times[after] - ticks < ticks - times[before] - 1e-6, after, before).astype(np.int64)


def _refuse_changes(
    sources: Sequence[Path | str], settings: Settings, annotators: Sequence[Annotator]
) -> None:
    """Without a place for new clips, those that are there are only added to."""
    raw = next((source for source in sources if not Path(source).is_dir()), None)
    if not annotators or raw is not None or settings.record() != {"split_cuts": True}:
        raise UserError(
            f"{raw or 'prepare'}: say with --out where the clips go; only --annotate works without it, "
            "on clips that are there"
        )


def _name_sources(sources: Sequence[Path | str], seed: int) -> dict[str, Path | int]:
    """Clip names with their sources; the city's with its seed."""
    named: dict[str, Path | int] = {}
    for source in _clips_of(sources):
        here: Path | int
        if (match := _CITY.fullmatch(str(source))) and not Path(source).exists():
            here = int(match[1] or seed)
            name = f"city-{here}"
        else:
            here = Path(source)
            path = here.resolve()
            # Many clips are called "frames"; what tells them apart is the folder they lie in.
            name = path.parent.name if path.stem == "frames" else path.name if path.is_dir() else path.stem
            name = re.sub(r"\s+", "-", name.lstrip(".")) or "clip"
        if name in named:
            raise UserError(f"{source}: another source is named {name} too; rename one or prepare it apart")
        named[name] = here
    if not named:
        raise UserError("nothing to prepare; name videos or folders of pictures")
    return named


def _clips_of(sources: Sequence[Path | str]) -> Iterator[Path | str]:
    """Sources, with the clips of a dataset that has a folder for each kind of thing, or of the sequences of
    Cityscapes, in its place."""
    for source in sources:
        clips = [files.home for files in clips_by_kind(Path(source))]
        clips = clips or [strip.path / name for name, strip in cityscapes_sequences(Path(source)).items()]
        yield from clips or (source,)


def _give_classes(clips: Sequence[Path], classes: LabelSchema) -> None:
    """Say what the label maps mean that came without a list. Raises UserError where there are none."""
    with_maps = [clip for clip in clips if (clip / "labels").is_dir()]
    if not with_maps:
        raise UserError("classes: no clip has label maps; add --annotate labels:NETWORK, or drop it")
    for clip in with_maps:
        if label_list_of(clip) is None:
            classes.write(clip / "labels.yaml")


def _prepare_footage(
    clip: Path, footage: Footage, settings: Settings, finder: Annotator | None, progress: Progress
) -> list[Path]:
    """A clip per shot, called like ``clip`` with the number of the shot."""
    part = between(footage.source, footage.path, settings.start, settings.end)
    cuts, clips = _cuts(clip, footage, part, settings, progress), []
    for suffix, chosen in _shots(part, cuts, settings):
        shot = footage if settings.crop != FACE else around_face(footage, chosen, settings.size, finder)
        clips.append(
            _prepare_clip(clip.with_name(clip.name + suffix), shot, chosen, cuts, settings, progress)
        )
    return clips


def _cuts(clip: Path, footage: Footage, part: Part, settings: Settings, progress: Progress) -> list[int]:
    """Where to split; on a repeated call known from the first clip's record, for looking takes long."""
    if not settings.split_cuts:
        return []
    for first in (clip, clip.with_name(f"{clip.name}-000")):
        found = _read_record(first) or {}
        if (found.get("source"), found.get("settings")) == (footage.path.name, settings.record()):
            return [int(cut) for cut in found.get("cuts", [])]
    return find_cuts(part, progress)


def _shots(part: Part, cuts: list[int], settings: Settings) -> Iterator[tuple[str, np.ndarray]]:
    """For each shot the suffix of its clip's name, and the frames to take of it."""
    left = settings.frames or len(part) * 1000
    for number, (begin, end) in enumerate(zip([0, *cuts], [*cuts, len(part)], strict=True)):
        chosen = np.arange(begin, end)
        if settings.fps:
            chosen = begin + resample(part.times[begin:end], settings.fps, 1 / float(part.info.rate))
        chosen = chosen[:left] + part.start
        left -= len(chosen)
        if len(chosen) >= _SHORTEST or not cuts:
            yield (f"-{number:03d}" if cuts else ""), chosen


def _prepare_clip(
    clip: Path, footage: Footage, chosen: np.ndarray, cuts: list[int], settings: Settings, progress: Progress
) -> Path:
    record = {
        "source": footage.path.name,
        "rate": written(settings.fps or footage.source.info.rate),
        "size": list(footage.size),
        "frames": len(chosen),
        "first": int(chosen[0]),
        "last": int(chosen[-1]),
        "cuts": cuts,
        "settings": settings.record(),
    }
    if settings.crop == FACE:
        record["face"] = list(footage.crop)
    if not _is_there(clip, record):
        with _whole_clip(clip, record) as folder:
            footage.write(folder, chosen, lambda done: progress(done, len(chosen), clip.name))
    return clip


def _prepare_city(clip: Path, seed: int, settings: Settings, progress: Progress) -> Path:
    from vid2vid.data.city import write_city

    if settings.crop or settings.start is not None or settings.end is not None:
        raise UserError(
            "city: has no beginning, end or edge; drop start, end and crop, and give frames and size"
        )
    size = settings.size or _CITY_SIZE
    if min(size) < 1:
        raise UserError("city: has no aspect to keep; give width and height")
    count, rate = settings.frames or _CITY_FRAMES, settings.fps or _CITY_RATE
    record = {"source": f"city:{seed}", "rate": written(rate), "size": list(size), "frames": count}
    if not _is_there(clip, record):
        with _whole_clip(clip, record) as folder:
            write_city(folder, seed=seed, frames=count, size=size, rate=rate, progress=progress)
    return clip


def _is_there(clip: Path, record: dict[str, Any]) -> bool:
    """Whether the clip was finished before. UserError where something else is in its place."""
    if not clip.exists():
        return False
    found = _read_record(clip)
    if found is None:
        raise UserError(f"{clip}: is there already and was not made by prepare; choose another --out")
    for key in record:
        if found.get(key) != record[key]:
            was = f"{key} {found.get(key)}, now {record[key]}"
            raise UserError(f"{clip}: was made otherwise ({was}); remove it or choose another --out")
    return True


def _read_record(clip: Path) -> dict[str, Any] | None:
    try:
        found = yaml.safe_load((clip / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return found if isinstance(found, dict) else None


@contextmanager
def _whole_clip(clip: Path, record: dict[str, Any]) -> Iterator[Path]:
    """Yields a folder to fill, which becomes ``clip`` at the end, or goes away on any error or Ctrl-C."""
    made = not clip.parent.exists()
    make_folder(clip.parent)
    folder = clip.with_name(f".{clip.name}.part")
    # What a killed run left; two runs that make the same clip at the same time are not foreseen.
    shutil.rmtree(folder, ignore_errors=True)
    try:
        make_folder(folder)
        yield folder
        with whole_file(folder / RECORD) as temporary:
            temporary.write_text(
                yaml.safe_dump(record, sort_keys=False, default_flow_style=None), encoding="utf-8"
            )
        folder.rename(clip)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if made:
            with suppress(OSError):  # goes only if it is empty
                clip.parent.rmdir()
