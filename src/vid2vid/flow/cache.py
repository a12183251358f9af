"""Estimated flow kept on disk beside the dataset, never used once what it was made from has changed."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from vid2vid.flow.estimators import FlowEstimator
from vid2vid.types import Size

FORMAT = 1
"""To be raised when entries are written otherwise, or frames resized otherwise before the estimate."""

STEP = 1 / 64
"""Pixels between two stored values: stored flow is off by 1/128 pixel at most (see :func:`quantise`)."""


@dataclass(frozen=True)
class FileIdentity:
    """What tells one version of a file from another; ``name`` is relative to the clip, so clips can move."""

    name: str
    size: int
    modified_ns: int
    changed_ns: int
    """Last change of the file's record: betrays a replacement that kept size and modification time."""

    @classmethod
    def of(cls, path: Path, root: Path) -> FileIdentity:
        """Of a file below ``root``. Raises OSError where it cannot be looked at."""
        stat = path.stat()
        return cls(path.relative_to(root).as_posix(), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


class FlowCache:
    """A folder of flows, one file per frame.

    An entry is valid for one digest of everything it depends on: the estimator's fingerprint, the identity of
    the files both frames came from, their size, the frame's index, the format. The digest keys the entry's
    checksum, so a stale entry fails the same check as a damaged one, is computed anew and overwritten: the
    folder does not grow with the changes of its frames. Any number of processes may share it. Where it cannot
    be written, nothing is kept.
    """

    def __init__(self, folder: Path, estimator: FlowEstimator) -> None:
        self._folder = folder
        self._estimator = estimator

    def get(
        self, files: Sequence[FileIdentity], size: Size, index: int, compute: Callable[[], np.ndarray]
    ) -> np.ndarray:
        """The flow from frame ``index`` to the one before: as kept, else as ``compute`` returns it, now kept.

        files: the current frame's file, then the previous frame's (one and the same file for a video). size:
        (width, height) the frames have when their flow is estimated; ``compute`` returns (2, height, width),
        pixels. Returns float32 of that shape, rounded as by :func:`quantise` whether it was kept or not, so
        that the first pass over a dataset sees the same numbers as later ones. Raises ValueError for a flow
        of another shape.
        """
        key = self._digest(files, size, index)
        path = self._folder / f"{self._estimator.name}-{size[0]}x{size[1]}" / f"{index:06d}.flow"
        flow = _read(path, key, size)
        if flow is not None:
            return flow
        computed = compute()
        if computed.shape != (2, size[1], size[0]):
            raise ValueError(f"flow of shape {computed.shape} for frames of {size[0]}x{size[1]}")
        if not np.isfinite(computed).all():
            return computed.astype(np.float32)  # cannot be stored; the caller sees what the estimator said
        values, step = quantise(computed)
        _write(path, key, values, step)
        return dequantise(values, step)

    def _digest(self, files: Sequence[FileIdentity], size: Size, index: int) -> bytes:
        parts = [FORMAT, self._estimator.fingerprint, [astuple(file) for file in files], list(size), index]
        return hashlib.blake2b(json.dumps(parts).encode(), digest_size=32).digest()


def quantise(flow: np.ndarray) -> tuple[np.ndarray, float]:
    """Fixed point: int16 values, and the pixels one unit is worth.

    The step is 1/64 pixel, so the error is at most 1/128 pixel, for displacements up to 511 pixels; beyond,
    it doubles until the largest fits.
    """
    step, largest = STEP, float(np.abs(flow).max(initial=0))
    while largest > 32_767 * step:
        step *= 2
    return np.rint(flow / step).astype(np.int16), step


def dequantise(values: np.ndarray, step: float) -> np.ndarray:
    """float32 pixels, exact: the step is a power of two."""
    return values.astype(np.float32) * np.float32(step)


def _checksum(key: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(body, key=key, digest_size=32).digest()


def _read(path: Path, key: bytes, size: Size) -> np.ndarray | None:
    """The flow of an entry; None when it is absent, unreadable, stale or damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    stored, body = data[:32], data[32:]
    if not secrets.compare_digest(stored, _checksum(key, body)):
        return None
    (step,) = struct.unpack_from("<d", body)
    differences = np.frombuffer(zlib.decompress(body[8:]), "<i2").reshape(2, size[1], size[0])
    return dequantise(np.cumsum(differences, axis=2, dtype=np.int16), step)  # wraps back as it wrapped


def _write(path: Path, key: bytes, values: np.ndarray, step: float) -> None:
    """Atomic: readers see all of an entry or none. A folder that refuses is no error: nothing is kept."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                differences = np.diff(values, axis=2, prepend=np.int16(0)).astype(
                    "<i2"
                )  # wraps around, harmlessly
                body = struct.pack("<d", step) + zlib.compress(differences.tobytes(), level=1)
                file.write(
                    _checksum(key, body) + body
                )  # not synced: the checksum tells an entry torn by a crash
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError:
        return
