"""The dataset doctor: looks at every file and names every problem, not only the first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from vid2vid.annotators.drawn import DRAWN
from vid2vid.annotators.landmark_clip import LandmarkClip, has_landmarks
from vid2vid.conditions import LabelSchema
from vid2vid.data.dataset import parse_part
from vid2vid.data.findings import Finding, Report
from vid2vid.data.label_checks import LabelCheck, class_shares
from vid2vid.data.layout import ClipFiles, Strip, find_clips
from vid2vid.data.pictures import Pictures, by_name
from vid2vid.data.shards.path import open_root
from vid2vid.errors import UserError
from vid2vid.flow import read_exact_flow
from vid2vid.progress import Progress, silent
from vid2vid.types import Size
from vid2vid.video import natural_key

LABEL_MAPS = ("labels", "instances")
"""Strips that hold ids; all others are pictures."""


def check_dataset(
    root: Path | str,
    *,
    condition: str | None = None,
    target: str = "frames",
    min_length: int | None = None,
    frames: str | None = None,
    progress: Progress = silent,
) -> Report:
    """Check a dataset: layout, names, every picture, sizes, label maps, exact flow.

    Args:
        condition: what describes the frames; None: everything beside them is looked at, and pictures (not
            label maps) that do not go with the frames are warned of rather than errors.
        target: the folder, or video, of the real frames.
        min_length: frames that a recipe's sequences need; shorter clips are errors.
        frames: a part of each clip, "0:57"; pictures outside it are not opened.

    Raises:
        UserError: there is no such folder, or nothing in it that could be a clip.
    """
    root = open_root(root)
    clips = find_clips(root, target=target, condition=condition or "labels")
    checkup = _Checkup(target, condition, min_length, parse_part(frames), progress)
    checkup.expect(clips)
    checkup.lost_clips(root, clips)
    checkup.class_lists(clips)
    for files in clips:
        checkup.clip(files)
    return checkup.report(root, len(clips))


class _Checkup:
    """One run over a dataset: gathers findings and figures."""

    def __init__(
        self, target: str, condition: str | None, min_length: int | None, part: slice, progress: Progress
    ) -> None:
        self.target = target
        self.condition = condition
        self.min_length = min_length
        self.part = part
        self.findings: list[Finding] = []
        self.frames = 0
        self.sizes: Counter[Size] = Counter()
        self.schemas: dict[Path, LabelSchema] = {}
        self.pixels = np.zeros(0, dtype=np.int64)
        self._expected: list[str] = []
        self._progress = progress
        self._seen = 0
        self._total: int | None = None

    def report(self, root: Path, clips: int) -> Report:
        """What was found, at the end."""
        if len(self.sizes) > 1:
            sizes = ", ".join(
                f"{width}x{height} ({count})" for (width, height), count in self.sizes.most_common()
            )
            self._add(root, f"clips of different sizes: {sizes}", "train with one size for all", warning=True)
        schema = next(iter(self.schemas.values()), None)
        shares = class_shares(schema, self.pixels) if schema is not None and self.pixels.any() else ()
        return Report(tuple(self.findings), clips, self.frames, dict(self.sizes), shares)

    def expect(self, clips: list[ClipFiles]) -> None:
        """What each clip should have; and the pictures to come, whose number nobody knows with videos."""
        names = [name for files in clips for name in files.strips if self._wanted(name)]
        self._expected = [self.condition] if self.condition else list(dict.fromkeys(names))
        strips = [strip for files in clips for name, strip in files.strips.items() if self._wanted(name)]
        strips += [files.strips[self.target] for files in clips if self.target in files.strips]
        if not any(strip.is_video for strip in strips):
            self._total = sum(len(strip.files) for strip in strips)

    def lost_clips(self, root: Path, clips: list[ClipFiles]) -> None:
        """Folders that have a condition and no frames, which nothing would ever read."""
        homes = {files.home for files in clips}
        if root in homes:
            return
        for folder in sorted((path for path in root.iterdir() if path.is_dir()), key=natural_key):
            if folder not in homes and (folder / (self.condition or "labels")).is_dir():
                self._add(
                    folder, f"no {self.target}/ and no video {self.target}.*", "add the frames, or remove it"
                )

    def class_lists(self, clips: list[ClipFiles]) -> None:
        """Every ``labels.yaml`` that is needed, once."""
        broken = set()
        for files in clips:
            if "labels" not in files.strips or not self._wanted("labels"):
                continue
            path = files.label_list
            if path is None:
                self._add(files.home / "labels.yaml", "missing", "list the classes of the label maps there")
            elif path not in self.schemas and path not in broken:
                try:
                    self.schemas[path] = LabelSchema.read(path)
                except UserError as error:
                    broken.add(path)
                    self.findings.append(Finding.of(error, str(path)))
        for path, schema in self.schemas.items():
            first = next(iter(self.schemas))
            if schema != self.schemas[first]:
                self._add(path, f"other classes than {first}", "give all clips one list")
            elif path == first:
                self.pixels = np.zeros(len(schema), dtype=np.int64)

    def clip(self, files: ClipFiles) -> None:
        """Everything about one clip."""
        strip = files.strips.get(self.target)
        if strip is None:
            self._add(
                files.home, f"{files.name} has no {self.target}", "add the frames, or remove its conditions"
            )
            return
        everything = self._open(strip)
        if everything is None:
            return
        self._doubles(strip)
        self._gaps(strip)
        frames = everything.part(self.part)
        self.frames += len(frames)
        if len(frames) < (self.min_length or 1):
            what = (
                f"{files.name} has {len(frames)} frames here, but {self.min_length or 1} are needed in a row"
            )
            self._add(files.home, what, "film more, leave it out, or train on shorter sequences")
        sizes = []
        for where, picture in self._look(frames):
            sizes.append((where, _size(picture)))
            self._constant(where, picture)
        size = Counter(size for _, size in sizes).most_common(1)[0][0] if sizes else None
        self._same_size(sizes, size)
        if size is not None:
            self.sizes[size] += 1
        for name in self._expected:
            if name not in files.strips and name in DRAWN and has_landmarks(files.home, name):
                if size is not None:
                    self._landmarks(files, frames, name, size)
            elif name not in files.strips:
                told = "is asked for" if self.condition else "other clips have"
                # Without instances, objects are told apart by tracking.
                lenient = name == "instances" or self._lenient(name)
                self._add(files.home, f"{files.name} has no {name}, which {told}", "add it", lenient)
        for name, other in files.strips.items():
            if self._wanted(name):
                self._beside(files, frames, name, other, size)
        self._exact_flow(files, frames, size)

    def _landmarks(self, files: ClipFiles, frames: Pictures, name: str, size: Size) -> None:
        """One condition that is drawn: every frame has its points, and they can be read."""
        stems = None if frames.strip.is_video else [path.stem for path in frames.strip.files]
        try:
            drawings = LandmarkClip(name, files.home, size, stems, frames.total)
        except UserError as error:
            self.findings.append(Finding.of(error, str(files.home)))
            return
        for t in frames.picks:
            try:
                drawings.draw(t, size)
            except UserError as error:
                self.findings.append(Finding.of(error, str(files.home)))

    def _beside(self, files: ClipFiles, frames: Pictures, name: str, strip: Strip, size: Size | None) -> None:
        """One condition of a clip, or its instances."""
        everything = self._open(strip, labels=name in LABEL_MAPS)
        if everything is None:
            return
        self._doubles(strip)
        pictures = self._partners(frames, everything, self._lenient(name))
        check = None
        if name == "labels":
            path = files.label_list
            check = LabelCheck(self.schemas.get(path) if path is not None else None)
        sizes = []
        for where, picture in self._look(pictures, check):
            sizes.append((where, _size(picture)))
            if check is not None:
                self.findings += check.look(where, picture)
            elif name != "instances":  # no object in sight is nothing unusual
                self._constant(where, picture)
        self._same_size(sizes, size)
        if check is not None:
            self.findings += check.swapped(str(strip.path))
            if check.schema is not None and len(check.pixels) == len(self.pixels):
                self.pixels += check.pixels

    def _partners(self, frames: Pictures, others: Pictures, lenient: bool) -> Pictures:
        """The pictures that go with the frames; those that lack or are too many are told."""
        strip = others.strip
        if not by_name(frames.strip, strip):
            if frames.total != others.total:
                what = f"{others.total} pictures for the {frames.total} frames of {frames.strip.path.name}"
                self._add(strip.path, what, "give every frame one of the same name", lenient)
            return others.chosen([place for place in frames.picks if place < others.total])
        place_of = {path.stem: place for place, path in enumerate(strip.files)}
        needed = [frames.file(t) for t in range(len(frames))]
        for path in needed:
            if path.stem not in place_of:
                self._add(
                    strip.path, f"no picture for frame {path.name}", "add it, or remove the frame", lenient
                )
        known = {path.stem for path in frames.strip.files}
        for path in strip.files:
            if path.stem not in known:
                self._add(
                    path, f"no frame of this name in {frames.strip.path.name}", "add it, or remove this", True
                )
        return others.chosen([place_of[path.stem] for path in needed if path.stem in place_of])

    def _doubles(self, strip: Strip) -> None:
        for stem, count in Counter(path.stem for path in strip.files).items():
            if count > 1:
                self._add(strip.path, f"{count} files named {stem}", "keep one of them")

    def _gaps(self, strip: Strip) -> None:
        """Gaps in the numbering."""
        numbers = [int(digits[-1]) for path in strip.files if (digits := re.findall(r"\d+", path.stem))]
        steps = [after - before for before, after in pairwise(numbers)]
        usual, count = Counter(steps).most_common(1)[0] if steps else (0, 0)
        if len(numbers) < len(strip.files) or usual < 1 or 3 * count < 2 * len(steps):
            return  # not numbered evenly at all
        for path, before, after in zip(strip.files[1:], numbers, numbers[1:], strict=False):
            if after - before > usual:
                what = f"a gap before it in the numbering: {before} to {after}, elsewhere steps of {usual}"
                self._add(path, what, "restore what is missing, or split the clip here", warning=True)

    def _exact_flow(self, files: ClipFiles, frames: Pictures, size: Size | None) -> None:
        """``flow/NAME.npz`` of every frame but the first, where there is exact flow at all."""
        folder = files.home / "flow"
        if frames.strip.is_video or not any(folder.glob("*.npz")):
            return
        for t in range(1, len(frames)):
            path = folder / f"{frames.file(t).stem}.npz"
            if not path.is_file():
                self._add(path, "missing", "make the flow anew, or train with an estimator", warning=True)
                continue
            try:
                flow, _ = read_exact_flow(path)
            except UserError as error:
                self.findings.append(Finding.of(error, str(path)))
                continue
            self._same_size([(str(path), (flow.shape[2], flow.shape[1]))], size)

    def _open(self, strip: Strip, labels: bool = False) -> Pictures | None:
        try:
            pictures = Pictures(strip, labels)
        except UserError as error:
            self.findings.append(Finding.of(error, str(strip.path)))
            return None
        if not pictures.total:
            self._add(strip.path, "no pictures in it", "put the pictures there, or remove the folder")
            return None
        return pictures

    def _look(self, pictures: Pictures, check: LabelCheck | None = None) -> Iterator[tuple[str, np.ndarray]]:
        """Where and what each readable picture is."""
        for t in range(len(pictures)):
            where = pictures.where(t)
            self._seen += 1
            self._progress(self._seen, self._total, where)
            try:
                picture = pictures[t]
            except UserError as error:
                finding = (
                    check.unreadable(where, error) if check else Finding.of(error, str(pictures.file(t)))
                )
                self.findings.append(finding)
            else:
                yield where, picture

    def _constant(self, where: str, picture: np.ndarray) -> None:
        if (picture == picture[0, 0]).all():
            self._add(
                where, "empty: every pixel has the same colour", "replace it, or leave the frame out", True
            )

    def _same_size(self, sizes: list[tuple[str, Size]], expected: Size | None) -> None:
        for where, (width, height) in sizes:
            if expected is not None and (width, height) != expected:
                what = f"{width}x{height}, but the clip's frames are {expected[0]}x{expected[1]}"
                self._add(where, what, "bring it to the size of the frames")

    def _wanted(self, name: str) -> bool:
        """Whether a strip is looked at beside the frames."""
        if self.condition is None:
            return name not in ("flow", self.target)
        return name == self.condition or (self.condition == "labels" and name == "instances")

    def _lenient(self, name: str) -> bool:
        """Whether what is missing in a strip may be meant: pictures that nobody asked for."""
        return name not in (*LABEL_MAPS, self.condition)

    def _add(self, file: Path | str, what: str, mend: str, warning: bool = False) -> None:
        self.findings.append(Finding(str(file), what, mend, "warning" if warning else "error"))


def _size(picture: np.ndarray) -> Size:
    return picture.shape[1], picture.shape[0]
