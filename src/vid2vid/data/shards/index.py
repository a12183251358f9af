"""What lies where in the shards of a dataset: ``index.json``, which strangers may have written."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from vid2vid.errors import UserError

INDEX = "index.json"
FORMAT = 1
MAX_INDEX = 128 * 2**20
"""Bytes of an index, which is room for more than a million files."""

MAX_FILE = 2**30
"""Bytes of a packed file: no forged length exhausts the memory."""

_MAX_SHARD = 2**44
_SHARD = re.compile(r"[A-Za-z0-9][\w.-]{0,99}\.tar", re.ASCII)
# No separators, no drive, nothing hidden (which excludes ".."), nothing that a terminal would obey.
_PART = r"[^./\\:\x00-\x1f\x7f-\x9f\ud800-\udfff][^/\\:\x00-\x1f\x7f-\x9f\ud800-\udfff]{0,199}"
_NAME = re.compile(_PART)
_FILE = re.compile(rf"{_PART}(/{_PART}){{1,2}}")


class Extent(NamedTuple):
    """Where a packed file is: the number of the shard, the offset and the length in bytes; its checksum."""

    shard: int
    offset: int
    length: int
    checksum: str


@dataclass(frozen=True)
class Shard:
    """A tar file: its name, its bytes, and their SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class ShardIndex:
    """The files of a dataset.

    name: the dataset's.
    made_of: a checksum of the sources and settings, by which a repeated ``prepare --shards`` knows its work.
    files: by path in the dataset, ``CLIP/frames/000000.png``.
    """

    name: str
    made_of: str
    shards: tuple[Shard, ...]
    files: Mapping[str, Extent]

    def to_json(self) -> str:
        """What `read_index` gives back."""
        content = {
            "format": FORMAT,
            "name": self.name,
            "made_of": self.made_of,
            "shards": [asdict(shard) for shard in self.shards],
            "files": self.files,
        }
        return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def checksum(data: bytes) -> str:
    """Of a packed file: the first half of its SHA-256."""
    return hashlib.sha256(data).hexdigest()[:32]


def is_name(name: str) -> bool:
    """Whether a clip, a folder or a file may be called so."""
    return _NAME.fullmatch(name) is not None


def read_index(raw: bytes, where: str) -> ShardIndex:
    """The index in the bytes of an ``index.json``; ``where`` it lies is said in messages.

    Raises:
        UserError: too large, damaged, of another format; names that lead elsewhere; files outside
            their shard.
    """
    if len(raw) > MAX_INDEX:
        raise UserError(f"{where}: larger than {MAX_INDEX >> 20} MiB, which no index is; split the dataset")
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        raise _wrong(where, "damaged or not JSON") from None
    if not isinstance(content, dict) or "shards" not in content or "files" not in content:
        raise _wrong(where, "not an index of shards")
    if content.get("format") != FORMAT:
        raise _wrong(where, f"format {_shown(content.get('format'))}, this version reads {FORMAT}")
    name, made_of = content.get("name"), content.get("made_of")
    if not isinstance(name, str) or not is_name(name) or not isinstance(made_of, str):
        raise _wrong(where, f"{_shown(name)} is no name of a dataset")
    shards = _shards(content["shards"], where)
    return ShardIndex(name, made_of, shards, _files(content["files"], shards, where))


def _shards(entries: Any, where: str) -> tuple[Shard, ...]:
    if not isinstance(entries, list) or not entries:
        raise _wrong(where, "lists no shards")
    shards = []
    for entry in entries:
        if not isinstance(entry, dict) or entry.keys() != {"name", "size", "sha256"}:
            raise _wrong(where, f"{_shown(entry)} is no shard")
        name, size, digest = entry["name"], entry["size"], entry["sha256"]
        if not isinstance(name, str) or not _SHARD.fullmatch(name):
            raise _wrong(where, f"{_shown(name)} is no name of a shard")
        if not _is_count(size, _MAX_SHARD) or not isinstance(digest, str):
            raise _wrong(where, f"{name} has the size {_shown(size)}")
        shards.append(Shard(name, size, digest))
    if len({shard.name for shard in shards}) < len(shards):
        raise _wrong(where, "lists a shard twice")
    return tuple(shards)


def _files(entries: Any, shards: tuple[Shard, ...], where: str) -> dict[str, Extent]:
    if not isinstance(entries, dict) or not entries:
        raise _wrong(where, "lists no files")
    files = {}
    for path, entry in entries.items():
        if not _FILE.fullmatch(path):
            raise _wrong(where, f"{_shown(path)} is no place of a file")
        if path.rpartition("/")[0] in entries:
            raise _wrong(where, f"{_shown(path)} lies in a file")
        if not isinstance(entry, list) or len(entry) != 4:
            raise _wrong(where, f"{_shown(path)} is given as {_shown(entry)}")
        shard, offset, length, digest = entry
        if not _is_count(shard, len(shards) - 1):
            raise _wrong(where, f"{_shown(path)} lies in shard {_shown(shard)} of {len(shards)}")
        if not _is_count(length, MAX_FILE) or not _is_count(offset, shards[shard].size - length):
            raise _wrong(where, f"{_shown(path)} reaches outside {shards[shard].name}")
        if not isinstance(digest, str):
            raise _wrong(where, f"{_shown(path)} has no checksum")
        files[path] = Extent(shard, offset, length, digest)
    return files


def _is_count(value: Any, largest: int) -> bool:
    return type(value) is int and 0 <= value <= largest


def _shown(value: Any) -> str:
    """A stranger's value, short and without anything that a terminal would obey."""
    return ascii(value)[:60]


def _wrong(where: str, what: str) -> UserError:
    return UserError(f"{where}: {what}; copy the shards again, or make them anew with prepare --shards")
