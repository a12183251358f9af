"""Conditions drawn for the clips of a dataset: beside their frames, by several processes, and resumable."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from vid2vid.annotators import (
    Annotator,
    Labeller,
    finds_points,
    gives_instances,
    open_annotators,
    steady_clip,
)
from vid2vid.conditions import LabelSchema
from vid2vid.data.drawing_jobs import INSTANCES, Job, Target, finished, points_path, rounded_points, run_jobs
from vid2vid.data.layout import ClipFiles, find_clips
from vid2vid.errors import UserError
from vid2vid.progress import Progress, silent
from vid2vid.video import PictureFolder, TimedSource, make_folder, open_frames, whole_file

RECORD = "annotation.yaml"
"""In the folder of a condition: what drew it, from which frames. A file of points holds that itself."""

CHUNK = 48
"""Frames of one job: long beside the frames that are seen again at its beginning."""


def annotate(
    roots: Sequence[Path | str],
    annotators: Sequence[str | Annotator],
    *,
    smooth: bool = False,
    workers: int = 0,
    progress: Progress = silent,
) -> list[Path]:
    """Draw conditions of clips that are there: ``CLIP/edges/NAME.png`` for ``CLIP/frames/NAME.png``.

    A condition appears under its name when all of its pictures are there; until then they wait in a hidden
    folder beside it, and the next call goes on from them. Pictures do not depend on how often that happened,
    nor on the number of workers. Points, of faces or bodies, become one file, ``face478.json`` or
    ``pose33.json``, with ``width``, ``height`` and ``frames``; with label maps come ``labels.yaml`` and,
    where objects are told apart, ``instances/``.

    Args:
        roots: clips, or folders of clips, as ``Dataset.open`` finds them.
        annotators: opened, or by name: "edges", "sketch", "edges,sketch".
        smooth: take the trembling out of points, and fill gaps of up to 5 frames.
        workers: processes that draw; 0: this one does. With any, a script that calls this needs the usual
            ``if __name__ == "__main__"``.
        progress: counts pictures.

    Returns:
        The clip folders, in order.

    Raises:
        UserError: no clip; an unknown annotator, or one whose package or file is not at hand; a condition of
            that name which was not drawn so; another list of classes; a frame that cannot be read; a full
            disk.
    """
    if workers < 0:
        raise UserError(f"workers {workers}: cannot be below 0; 0 draws without other processes")
    opened = [one for one in annotators if not isinstance(one, str)]
    opened += open_annotators([one for one in annotators if isinstance(one, str)])
    clips = {files.home: files for root in roots for files in _clips(Path(root))}
    strips = [strip for files in clips.values() for strip in _strips(files, opened, smooth)]
    for strip in strips:
        strip.begin()
    jobs = list(_jobs(strips))
    left = Counter(target.part for job in jobs for target in job.targets)
    for strip in strips:
        if not left[strip.part]:
            strip.finish()
    by_part = {strip.part: strip for strip in strips}
    total = sum(len(strip.source) for strip in strips)
    done = total - sum(len(strip.missing()) for strip in strips if left[strip.part])
    try:
        for job, drawn, over in run_jobs(jobs, workers):
            done += drawn
            progress(done, total, job.name)
            for target in job.targets if over else ():
                left[target.part] -= 1
                if not left[target.part]:
                    by_part[target.part].finish()
    finally:
        for strip in strips:
            strip.drop_if_empty()
    return list(clips)


def _clips(root: Path) -> list[ClipFiles]:
    clips = find_clips(root)
    if len({files.home for files in clips}) < len(clips) or "frames" not in clips[0].strips:
        raise UserError(
            f"{root}: not folders of clips; bring them into that layout with vid2vid prepare first"
        )
    for files in clips:
        strip = files.strips.get("frames")
        if strip is None or not (strip.is_video or strip.files):
            raise UserError(f"{files.home}: {files.name} has no frames to draw from; add them or remove it")
    return clips


@dataclass(frozen=True)
class _Strip:
    """One condition of one clip on its way: ``place`` is where it will be, ``part`` where it is now."""

    clip: ClipFiles
    annotator: Annotator
    source: TimedSource
    names: tuple[str, ...]
    record: dict[str, Any]
    smooth: bool

    @property
    def place(self) -> Path:
        return self.clip.home / self.annotator.result

    @property
    def part(self) -> Path:
        return self.place.with_name(f".{self.place.name}.part")

    @property
    def instances(self) -> Path:
        return self.clip.home / INSTANCES

    @property
    def _gives_instances(self) -> bool:
        return gives_instances(self.annotator)

    def is_there(self) -> bool:
        """Whether it was drawn before. UserError where something else is in its place."""
        found = _annotation(self.place) if finds_points(self.annotator) else _read(self.place / RECORD)
        if found == self.record:
            return True
        if found is not None:
            key = next((key for key in self.record if found.get(key) != self.record[key]), "record")
            was = (
                "from other frames" if key == "of" else f"{key} {found.get(key)}, now {self.record.get(key)}"
            )
            raise UserError(f"{self.place}: was drawn otherwise ({was}); remove it to have it drawn anew")
        ours = _read(self.part / RECORD) == self.record  # instances come before the folder has its name
        for path in (self.place, self.instances) if self._gives_instances and not ours else (self.place,):
            if path.exists():
                raise UserError(
                    f"{path}: is there already and was not drawn by --annotate; move it away first"
                )
        if isinstance(self.annotator, Labeller):
            _refuse_other_classes(self.clip, self.annotator.classes)
        return False

    def begin(self) -> None:
        """Keep what an interrupted call has drawn, if it was drawn of the same frames in the same way."""
        if _read(self.part / RECORD) != self.record:
            shutil.rmtree(self.part, ignore_errors=True)
        elif self._gives_instances and self.instances.is_dir():
            self.instances.rename(self.part / INSTANCES)  # it was killed while it gave names
        make_folder(self.part)
        with whole_file(self.part / RECORD) as temporary:
            temporary.write_text(yaml.safe_dump(self.record, sort_keys=False), encoding="utf-8")

    def missing(self) -> list[int]:
        """The frames that still want their picture."""
        return [t for t, name in enumerate(self.names) if not finished(self.part, name, self.annotator)]

    def finish(self) -> None:
        """All frames are done: gather the points, or give the folder its name."""
        if finds_points(self.annotator):
            self._gather()
            shutil.rmtree(self.part)
            return
        if isinstance(self.annotator, Labeller) and self.clip.label_list is None:
            self.annotator.classes.write(self.clip.home / "labels.yaml")
        if self._gives_instances:
            (self.part / INSTANCES).rename(self.instances)
        self.part.rename(self.place)
        for leftover in self.place.glob(".*"):  # hidden files are what a killed run left
            with suppress(OSError):
                leftover.unlink()

    def drop_if_empty(self) -> None:
        """Take the part away if nothing was drawn; what was drawn stays for the next call."""
        if self.part.is_dir() and len(self.missing()) == len(self.names):
            shutil.rmtree(self.part, ignore_errors=True)

    def _gather(self) -> None:
        files = [points_path(self.part, name) for name in self.names]
        frames = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        if not any(frames):
            shutil.rmtree(self.part, ignore_errors=True)
            raise UserError(
                f"{self.clip.strips['frames'].path}: {self.annotator.name} found nothing in any of its "
                f"{len(frames)} frames; leave this clip out, or give larger pictures"
            )
        if self.smooth:
            steady = steady_clip(
                [np.array(points) if points else None for points in frames], float(self.source.info.rate)
            )
            frames = [
                rounded_points(points.tolist()) if isinstance(points, np.ndarray) else [] for points in steady
            ]
        width, height = self.source.info.size
        content = {"width": width, "height": height, "annotation": self.record, "frames": frames}
        with whole_file(self.place) as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")


def _refuse_other_classes(clip: ClipFiles, classes: LabelSchema) -> None:
    path = clip.label_list
    if path is not None and LabelSchema.read(path) != classes:
        raise UserError(
            f"{path}: lists other classes than the annotator writes; name it with --classes, or move it away"
        )


def _strips(clip: ClipFiles, annotators: Sequence[Annotator], smooth: bool) -> Iterator[_Strip]:
    """Those of a clip's conditions that are not there yet."""
    frames = clip.strips["frames"]
    source = open_frames(frames.path)
    files = source.files if isinstance(source, PictureFolder) else [frames.path]
    names = [f"{t:06d}" for t in range(len(source))] if frames.is_video else [file.stem for file in files]
    if len(set(names)) < len(names):
        raise UserError(f"{frames.path}: two pictures of one name; keep one of them")
    # Names and sizes, not dates: a dataset may be copied.
    facts = json.dumps([(file.name, file.stat().st_size) for file in files]).encode()
    for annotator in annotators:
        record = {
            "annotator": annotator.name,
            "made": annotator.fingerprint,
            "frames": len(source),
            "of": hashlib.sha256(facts).hexdigest()[:16],
        }
        steadied = smooth and finds_points(annotator)
        if steadied:
            record["smooth"] = True
        strip = _Strip(clip, annotator, source, tuple(names), record, steadied)
        if not strip.is_there():
            yield strip


def _jobs(strips: Sequence[_Strip]) -> Iterator[Job]:
    """What is to be done, in parts; annotators with a short memory share the decoding of a clip."""
    groups: dict[tuple[Path, str], list[_Strip]] = {}
    for strip in strips:
        shared = "" if strip.annotator.memory is not None else strip.annotator.result
        groups.setdefault((strip.clip.home, shared), []).append(strip)
    for (_, alone), group in groups.items():
        first = group[0]
        wanted = sorted({t for strip in group for t in strip.missing()})
        parts: dict[int, list[int]] = {}
        for t in wanted:
            parts.setdefault(0 if alone else t // CHUNK, []).append(t)
        targets = tuple(Target(strip.annotator, strip.part) for strip in group)
        for part in parts.values():
            yield Job(first.clip.name, first.source, {t: first.names[t] for t in part}, targets)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return found if isinstance(found, dict) else None


def _annotation(points: Path) -> dict[str, Any] | None:
    """The record within a file of points, where it was made here."""
    try:
        found = json.loads(points.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    record = found.get("annotation") if isinstance(found, dict) else None
    return record if isinstance(record, dict) else None
