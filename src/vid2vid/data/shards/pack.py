"""``prepare --shards``: clips into tar files in the naming of WebDataset, and the index of their files."""

from __future__ import annotations

import hashlib
import inspect
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vid2vid.annotators.landmark_clip import plain_stem
from vid2vid.data.layout import ClipFiles, find_clips
from vid2vid.data.prepare import prepare
from vid2vid.data.shards.index import (
    INDEX,
    MAX_FILE,
    MAX_INDEX,
    Extent,
    Shard,
    ShardIndex,
    checksum,
    is_name,
    read_index,
)
from vid2vid.errors import UserError
from vid2vid.progress import Progress, silent
from vid2vid.video import make_folder, natural_key, whole_file

_WORK = ".clips"
_RECORD = 512  # bytes of a tar header; files are filled up to a multiple
_END = 2 * _RECORD
_HOW = ("workers", "keep_going", "warn")
"""Settings of `prepare` that change nothing in what comes out."""


@dataclass(frozen=True)
class _Member:
    """A file to pack. path: in the dataset. name: in the tar."""

    path: str
    name: str
    file: Path
    size: int
    modified_ns: int

    @classmethod
    def of(cls, path: str, name: str, file: Path) -> _Member:
        for part in path.split("/"):
            if not is_name(part):
                raise UserError(f"{file}: {part!a} cannot be a name in shards; rename it")
        stat = file.stat()
        if stat.st_size > MAX_FILE:
            raise UserError(f"{file}: larger than {MAX_FILE >> 20} MiB; move it out of the clip")
        return cls(path, name, file, stat.st_size, stat.st_mtime_ns)

    @property
    def header(self) -> bytes:
        info = tarfile.TarInfo(self.name)
        info.size = self.size
        return info.tobuf(tarfile.PAX_FORMAT)

    @property
    def filling(self) -> bytes:
        return bytes(-self.size % _RECORD)

    @property
    def facts(self) -> list[Any]:
        return [self.path, self.name, self.size, self.modified_ns]


Sample = list[_Member]
"""What stays together: a frame with all that describes it."""


def prepare_shards(
    sources: Sequence[Path | str],
    out: Path | str | None,
    *,
    megabytes: int = 256,
    progress: Progress = silent,
    **settings: Any,
) -> list[Path]:
    """Write ``out/shard-000000.tar`` and so on, and ``index.json`` that says what lies where in them.

    Clips and datasets are packed as they are, byte for byte, where no setting wants them changed. Of all
    else clips are made first, in a hidden folder of ``out`` that goes away at the end.

    Each frame is a sample of WebDataset: ``CLIP/000000.frames.png``, ``CLIP/000000.labels.png``, ...; what
    belongs to a whole clip lies at ``__clip__/CLIP/``, which WebDataset passes over. Shards appear when whole
    and the index last, so an interrupted call can be repeated: what is there is kept.

    Args:
        megabytes: millions of bytes in a shard, at most, where a frame is not larger.
        settings: those of `prepare`.

    Returns:
        ``out``, which is a dataset then.

    Raises:
        UserError: what `prepare` raises; ``out`` holds something else; a name that cannot be packed; a video
            among the clips' pictures.
    """
    if out is None:
        raise UserError("prepare --shards: say with --out where the shards go")
    out = Path(out)
    if megabytes < 1:
        raise UserError(f"--shard-size {megabytes}: must be at least 1 (megabyte)")
    if inside := next((s for s in sources if out.resolve().is_relative_to(Path(s).resolve())), None):
        raise UserError(f"{out}: lies in {inside}, which is to be packed; choose another --out")
    defaults = inspect.signature(prepare).parameters
    changes = {
        key: value
        for key, value in settings.items()
        if key not in _HOW and (value or None) != (defaults[key].default or None)
    }
    facts = [[str(changes), megabytes], *(_facts(source) for source in sources)]
    made_of = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    if not _is_there(out, made_of):
        as_they_are = not changes and all(Path(source).is_dir() for source in sources)
        if as_they_are and (found := _clips(sources)):
            roots = [Path(source).resolve() for source in sources]
            name = roots[0].name if len(roots) == 1 else out.resolve().name
        else:
            made = prepare(sources, out / _WORK, **settings, progress=progress)
            found = [clip for clip in find_clips(out / _WORK) if clip.home in made]
            name = out.resolve().name
        _pack(found, out, name, made_of, megabytes * 10**6, progress)
    shutil.rmtree(out / _WORK, ignore_errors=True)
    for left in out.glob(".shard-*"):  # records, and what a killed call had begun
        left.unlink()
    return [out]


def _facts(source: Path | str) -> list[Any]:
    """What tells whether a source is still the same: names, sizes and dates."""
    path = Path(source)
    files = [path] if path.is_file() else sorted(path.rglob("*")) if path.is_dir() else []
    stats = [(file.relative_to(path).parts, file.stat()) for file in files if file.is_file()]
    return [
        str(source) if not stats else path.resolve().name,
        [
            ["/".join(parts), stat.st_size, stat.st_mtime_ns]
            for parts, stat in stats
            if not any(part.startswith(".") for part in parts)
        ],
    ]


def _is_there(out: Path, made_of: str) -> bool:
    """Whether the shards were finished before. UserError where something else is in their place."""
    if (out / INDEX).is_file():
        with (out / INDEX).open("rb") as file:
            index = read_index(file.read(MAX_INDEX + 1), str(out / INDEX))
        if index.made_of != made_of:
            raise UserError(
                f"{out}: holds shards of other sources or settings; remove it or choose another --out"
            )
        return True
    for path in out.iterdir() if out.is_dir() else ():
        if path.name[0] != "." and not _record(out, path.name).is_file():
            raise UserError(f"{path}: shards want a folder of their own; choose another --out")
    return False


def _clips(sources: Sequence[Path | str]) -> list[ClipFiles]:
    """The clips of datasets; none where one of the sources is raw footage."""
    found: dict[str, ClipFiles] = {}
    for source in sources:
        try:
            clips = find_clips(source)
        except UserError:
            return []
        for clip in clips:
            if clip.name in found:
                raise UserError(f"{clip.home}: another clip is named {clip.name} too; rename one")
            found[clip.name] = clip
    return list(found.values())


def _samples(clip: ClipFiles) -> Iterator[Sample]:
    """The files of a clip by frame; those of the whole clip come with the first."""
    frames = clip.strips.get("frames")
    video = next((strip for strip in clip.strips.values() if strip.is_video), None)
    if video is not None or frames is None or not frames.files:
        what = video.path if video is not None else clip.home / "frames"
        raise UserError(f"{what}: shards hold pictures; make some with vid2vid prepare, or move it away")
    place_of = {file: t for t, file in enumerate(frames.files)}
    number_of = {file.stem: t for file, t in place_of.items()}
    samples: list[dict[str, _Member]] = [{} for _ in frames.files]
    whole = []
    for folder, files in sorted(_folders(clip).items()):
        named = not number_of.keys().isdisjoint(map(plain_stem, files))
        in_order = bool(folder) and not named and len(files) == len(samples)
        for place, file in enumerate(files):
            t = place if in_order else place_of.get(file, number_of.get(plain_stem(file)) if folder else None)
            name = f"{clip.name}/{t or 0:06d}.{folder}{file.suffix}"
            inside = f"{clip.name}/{folder}/{file.name}" if folder else f"{clip.name}/{file.name}"
            if t is None or name in samples[t]:
                whole.append(_Member.of(inside, f"__clip__/{inside}", file))
            else:
                samples[t][name] = _Member.of(inside, name, file)
    for t, sample in enumerate(samples):
        yield [*(whole if t == 0 else ()), *sample.values()]


def _folders(clip: ClipFiles) -> dict[str, Sequence[Path]]:
    """The files of a clip by folder, in natural order; "" is the clip's own."""
    lists = [clip.label_list] if clip.label_list else []
    if clip.strips["frames"].path != clip.home / "frames":  # the layout of 2018, whose clips have no folder
        return {"": lists, **{name: strip.files for name, strip in clip.strips.items()}}
    inside = sorted((path for path in clip.home.iterdir() if path.name[0] != "."), key=natural_key)
    folders = {
        folder.name: sorted(
            (path for path in folder.iterdir() if path.is_file() and path.name[0] != "."), key=natural_key
        )
        for folder in inside
        if folder.is_dir()
    }
    own = [path for path in inside if path.is_file() and path.name != "labels.yaml"]
    return {"": own + lists, **folders}


def _pack(
    clips: Sequence[ClipFiles], out: Path, name: str, made_of: str, limit: int, progress: Progress
) -> None:
    """Write all shards, then the index."""
    plan = list(_fill((sample for clip in clips for sample in _samples(clip)), limit))
    total, done = sum(map(len, plan)), 0
    make_folder(out)
    shards: list[Shard] = []
    files: dict[str, Extent] = {}
    for number, samples in enumerate(plan):
        shard = f"shard-{number:06d}.tar"
        members = [member for sample in samples for member in sample]
        record = _kept(out, shard, members)
        if record is None:
            record = _write(out, shard, samples, partial(_tell, progress, shard, total, done))
        done += len(samples)
        shards.append(Shard(shard, record["size"], record["sha256"]))
        for member, (offset, digest) in zip(members, record["files"], strict=True):
            files[member.path] = Extent(number, offset, member.size, digest)
    names = {shard.name for shard in shards}
    for record_file in out.glob(".shard-*.tar.json"):
        if (left := record_file.name[1:].removesuffix(".json")) not in names:  # of a call with other settings
            (out / left).unlink(missing_ok=True)
    index = ShardIndex(name, made_of, tuple(shards), files).to_json()
    read_index(index.encode(), str(out / INDEX))  # nothing is written that would not be read
    with whole_file(out / INDEX) as temporary:
        temporary.write_text(index, encoding="utf-8")


def _tell(progress: Progress, shard: str, total: int, before: int, done: int) -> None:
    progress(before + done, total, shard)


def _fill(samples: Iterator[Sample], limit: int) -> Iterator[list[Sample]]:
    """The samples of each shard."""
    shard: list[Sample] = []
    size = _END
    for sample in samples:
        more = sum(len(member.header) + member.size + len(member.filling) for member in sample)
        if shard and size + more > limit:
            yield shard
            shard, size = [], _END
        shard.append(sample)
        size += more
    yield shard


def _write(out: Path, shard: str, samples: list[Sample], tell: Callable[[int], None]) -> dict[str, Any]:
    """One shard, and beside it until the index is there what it holds."""
    whole = hashlib.sha256()
    places, facts = [], []
    (out / shard).unlink(missing_ok=True)
    with whole_file(out / shard) as temporary:
        with temporary.open("wb") as file:

            def put(data: bytes) -> None:
                file.write(data)
                whole.update(data)

            for t, sample in enumerate(samples, 1):
                for member in sample:
                    data = _read(member)
                    put(member.header)
                    places.append((file.tell(), checksum(data)))
                    facts.append(member.facts)
                    put(data + member.filling)
                tell(t)
            put(bytes(_END))
            size = file.tell()
        record = {"size": size, "sha256": whole.hexdigest(), "files": places, "made_of": facts}
        with whole_file(_record(out, shard)) as beside:  # before its shard: none lies there unexplained
            beside.write_text(json.dumps(record), encoding="utf-8")
    return record


def _read(member: _Member) -> bytes:
    try:
        data = member.file.read_bytes()
    except OSError as error:
        raise UserError(f"{member.file}: cannot be read ({error.strerror}); check the file") from error
    if len(data) != member.size:
        raise UserError(f"{member.file}: changed its size while it was packed; leave the clips alone")
    return data


def _record(out: Path, shard: str) -> Path:
    return out / f".{shard}.json"


def _kept(out: Path, shard: str, members: list[_Member]) -> Mapping[str, Any] | None:
    """The record of a shard that an interrupted call finished, if it would be made the same now."""
    try:
        record = json.loads(_record(out, shard).read_text(encoding="utf-8"))
        if record["made_of"] != [member.facts for member in members]:
            return None
        return record if (out / shard).stat().st_size == record["size"] else None
    except (OSError, ValueError, LookupError, TypeError):
        return None
