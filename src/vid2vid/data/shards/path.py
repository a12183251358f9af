"""Packed files under the paths they had, so that whatever reads a folder of clips reads shards."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from vid2vid.caches import user_cache
from vid2vid.data.shards.blocks import BlockCache
from vid2vid.data.shards.index import INDEX, MAX_INDEX, ShardIndex, checksum, read_index
from vid2vid.data.shards.store import LocalStore, Store, missing, open_store, scheme_of
from vid2vid.errors import UserError

if TYPE_CHECKING:
    _Path = Path
elif sys.platform == "win32":
    from pathlib import WindowsPath as _Path
else:
    from pathlib import PosixPath as _Path


def open_root(root: Path | str) -> Path:
    """The folder itself; of shards (an address, or a folder with an ``index.json``) the tree packed in them.

    Raises:
        UserError: the index or, beside a local one, a shard is missing, damaged or lies.
    """
    if isinstance(root, ShardPath):
        return root
    if scheme_of(root) is None and not (Path(root) / INDEX).is_file():
        return Path(root)
    store = open_store(root)
    raw = store.read(INDEX, 0, MAX_INDEX + 1)
    index = read_index(raw, f"{store.address}/{INDEX}")
    if isinstance(store, LocalStore):
        _check_sizes(store, index)
    place = user_cache() / f"shards-{index.name}-{hashlib.sha256(raw).hexdigest()[:16]}"
    return ShardPath.at(_Tree(index, store, place), ())


def _check_sizes(store: LocalStore, index: ShardIndex) -> None:
    for shard in index.shards:
        path = store.folder / shard.name
        if not path.is_file():
            raise missing(str(path))
        if (size := path.stat().st_size) != shard.size:
            raise UserError(f"{path}: {size} bytes, {INDEX} says {shard.size}; copy the shard again")


@dataclass(frozen=True)
class _Tree:
    """An index with the store of its shards. cache: a local folder for what is computed from them, and for
    what is copied from far away."""

    index: ShardIndex
    store: Store
    cache: Path
    _folders: dict[str, list[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._folders[""] = []
        for file in self.index.files:
            *folders, name = file.split("/")
            here = ""
            for folder in folders:
                inside = f"{here}/{folder}" if here else folder
                if inside not in self._folders:
                    self._folders[inside] = []
                    self._folders[here].append(folder)
                here = inside
            self._folders[here].append(name)

    def names(self, folder: str) -> list[str] | None:
        """What lies in a folder; None where there is none."""
        return self._folders.get(folder)

    @cached_property
    def _blocks(self) -> BlockCache | None:
        # Hidden: no clip has such a name.
        return None if isinstance(self.store, LocalStore) else BlockCache(self.store, self.cache / ".blocks")

    def read(self, file: str) -> bytes:
        """A whole file, held against its checksum.

        Raises:
            UserError: the shard is missing, cut short, damaged, or cannot be reached.
        """
        extent = self.index.files[file]
        shard = self.index.shards[extent.shard]
        blocks = self._blocks
        if blocks is None:
            data = self.store.read(shard.name, extent.offset, extent.length)
        else:
            data = blocks.read(shard, extent.offset, extent.length)
            if checksum(data) != extent.checksum:
                data = blocks.read(shard, extent.offset, extent.length, fresh=True)
        if checksum(data) != extent.checksum:
            what = "cut short before" if len(data) < extent.length else "damaged in"
            raise UserError(f"{self.store.address}/{shard.name}: {what} {file}; copy the shard again")
        return data


class ShardPath(_Path):
    """A file or folder in shards, with as much of a path as reading a dataset takes.

    What would go to the disk behind its back (``open(path)``, ``os.stat(path)``, another ``Path`` made of it)
    fails in one line: the operating system knows nothing of it.
    """

    _tree: _Tree

    @classmethod
    def at(cls, tree: _Tree, inside: tuple[str, ...]) -> ShardPath:
        """The place of that path in the dataset; () is the dataset."""
        path = cls(tree.index.name, *inside)
        path._tree = tree
        return path

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardPath.at, (self._tree, self.parts[1:])

    @property
    def _inside(self) -> str:
        return "/".join(self.parts[1:])

    @property
    def cache(self) -> Path:
        """A local folder for what is computed from here."""
        return self._tree.cache.joinpath(*self.parts[1:])

    def __str__(self) -> str:
        return "/".join([self._tree.store.address, *self.parts[1:]])

    def __fspath__(self) -> str:
        raise UserError(f"{self}: lies in shards, and this wants folders; give the clips they were made from")

    def joinpath(self, *others: Any) -> ShardPath:
        return self.at(self._tree, (*self.parts[1:], *PurePosixPath(*others).parts))

    def __truediv__(self, other: Any) -> ShardPath:
        return self.joinpath(other)

    @property
    def parent(self) -> ShardPath:
        return self.at(self._tree, self.parts[1:-1])

    def resolve(self, strict: bool = False) -> ShardPath:
        return self

    absolute = resolve

    def relative_to(self, *other: Any) -> Any:
        root = other[0]
        return PurePosixPath(*self.parts).relative_to(PurePosixPath(*root.parts))

    def exists(self, **_: Any) -> bool:
        return self.is_file() or self.is_dir()

    def is_file(self, **_: Any) -> bool:
        return self._inside in self._tree.index.files

    def is_dir(self, **_: Any) -> bool:
        return self._tree.names(self._inside) is not None

    def iterdir(self) -> Iterator[ShardPath]:  # type: ignore[override]
        names = self._tree.names(self._inside)
        if names is None:
            raise FileNotFoundError(2, os.strerror(2), str(self))
        return (self / name for name in names)

    def glob(self, pattern: str, **_: Any) -> Iterator[ShardPath]:  # type: ignore[override]
        """The files of this folder whose names fit."""
        return (
            self / name for name in self._tree.names(self._inside) or () if fnmatchcase(name, str(pattern))
        )

    def stat(self, **_: Any) -> os.stat_result:
        """Kind and size; no dates, for the files of an index do not change."""
        if self.is_dir():
            mode, size = stat.S_IFDIR, 0
        elif self.is_file():
            mode, size = stat.S_IFREG, self._tree.index.files[self._inside].length
        else:
            raise FileNotFoundError(2, os.strerror(2), str(self))
        none = {"st_atime_ns": 0, "st_mtime_ns": 0, "st_ctime_ns": 0}
        return os.stat_result((mode, 0, 0, 0, 0, 0, size, 0, 0, 0), none)

    def open(self, mode: str = "r", *_: Any, encoding: str | None = None, **__: Any) -> IO[Any]:  # type: ignore[override]
        if not self.is_file():
            raise FileNotFoundError(2, os.strerror(2), str(self))
        if mode not in ("r", "rb"):
            raise UserError(f"{self}: shards are not written to; change the clips and pack them anew")
        content = io.BytesIO(self._tree.read(self._inside))
        return content if mode == "rb" else io.TextIOWrapper(content, encoding=encoding or "utf-8")
