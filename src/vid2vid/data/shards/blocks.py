"""Shards from far away in blocks, the last used of which are kept on the local disk."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vid2vid.data.shards.index import Shard
from vid2vid.data.shards.store import Store

BLOCK = 1 << 20
"""Bytes: a sequence of small frames with all that describes them, for they lie side by side."""

KEPT = 16 * 2**30
"""Bytes on the local disk for one dataset."""


@dataclass(frozen=True)
class BlockCache:
    """A folder of blocks, which any number of processes share.

    Blocks are believed no more than what they were copied from: who reads a file of the dataset holds it
    against its checksum, and asks for fresh blocks where that fails. Where the folder cannot be written,
    nothing is kept.
    """

    store: Store
    folder: Path
    kept: int = KEPT

    def read(self, shard: Shard, offset: int, length: int, fresh: bool = False) -> bytes:
        """`length` bytes of a shard from `offset`; fewer where the shard is cut short.

        Args:
            fresh: ask the store, whatever is kept.

        Raises:
            UserError: as the store.
        """
        if not length:
            return b""
        numbers = range(offset // BLOCK, (offset + length - 1) // BLOCK + 1)
        blocks = {} if fresh else {n: block for n in numbers if (block := self._get(shard, n)) is not None}
        if lacking := [n for n in numbers if n not in blocks]:
            begin, end = lacking[0] * BLOCK, min((lacking[-1] + 1) * BLOCK, shard.size)
            data = self.store.read(shard.name, begin, end - begin)
            for n in range(lacking[0], lacking[-1] + 1):
                blocks[n] = data[n * BLOCK - begin :][:BLOCK]
                self._keep(shard, n, blocks[n])
        start = offset - numbers[0] * BLOCK
        return b"".join(blocks[n] for n in numbers)[start : start + length]

    def _path(self, shard: Shard, number: int) -> Path:
        return self.folder / f"{shard.name}-{number:07d}"

    def _get(self, shard: Shard, number: int) -> bytes | None:
        path = self._path(shard, number)
        try:
            block = path.read_bytes()
            os.utime(path)  # used now
        except OSError:
            return None
        return block if len(block) == min(BLOCK, shard.size - number * BLOCK) else None

    def _keep(self, shard: Shard, number: int, block: bytes) -> None:
        path = self._path(shard, number)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                temporary.write_bytes(block)  # not synced: a torn block fails the checksums
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError:
            return
        # Looking takes long, so it is done now and then; by chance, for no process knows of the others.
        if secrets.randbelow(max(1, self.kept // BLOCK // 64)) == 0:
            self._shrink()

    def _shrink(self) -> None:
        """Removes the blocks that were not used for longest, a tenth more than is needed."""
        found = []
        with suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(OSError):  # another process was faster
                    stat = entry.stat()
                    found.append((stat.st_mtime_ns, stat.st_size, entry.path))
        excess = sum(size for _, size, _ in found) - self.kept
        if excess <= 0:
            return
        excess += self.kept // 10
        for _, size, path in sorted(found):
            if excess <= 0:
                return
            with suppress(OSError):
                os.unlink(path)
                excess -= size
