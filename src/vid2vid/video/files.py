"""Nothing half-written: a file appears under its name only when it is whole."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vid2vid.errors import UserError

# A file-size limit (EFBIG) is to the user what a full disk is, and is how the tests simulate one.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def writing_failed(path: Path, error: OSError) -> UserError:
    """What to tell a user whose ``path`` could not be written because of ``error``."""
    if error.errno in _FULL:
        return UserError(f"{path}: the disk is full; free some space or write elsewhere, then run this again")
    return UserError(f"{path}: cannot be written ({error.strerror or error}); choose another place for it")


def make_folder(folder: Path) -> None:
    """``mkdir -p``. Raises UserError where a file is in the way or the place may not be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise writing_failed(folder, error) from error


def temporary_name(path: Path) -> Path:
    """A hidden neighbour of ``path`` for its unfinished contents; no two processes choose the same."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def publish(temporary: Path, path: Path) -> None:
    """Give the finished file its name, once its bytes are on the disk. Raises OSError."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


def as_path(path: Path | str) -> Path:
    """A path as it is, which may be of a kind of its own (``data.shards``); words as a path."""
    return path if isinstance(path, Path) else Path(path)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a temporary name to write to; renames it to ``path`` at the end, removes it on any error.

    Raises:
        UserError: the disk is full, or the place cannot be written.
    """
    make_folder(path.parent)
    temporary = temporary_name(path)
    try:
        yield temporary
        publish(temporary, path)
    except OSError as error:
        raise writing_failed(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def interrupt_later() -> Iterator[None]:
    """Holds Ctrl-C and SIGTERM back until the block is done: neither falls between two halves of a write."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread gets signals
        yield
        return
    held: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda caught, _: held.append(caught))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for caught in held:
            signal.raise_signal(caught)
