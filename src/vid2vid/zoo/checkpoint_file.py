"""The files of the published checkpoints, read as data.

They hold pickles: lists of steps, of which a state dict needs two dozen. Those are followed here; what they
want called is noted, not called. (Torch's own reader, with ``weights_only=True``, runs nothing either, but a
small hostile file can make it take minutes or gigabytes.)
"""

from __future__ import annotations

import math
import pickletools
import re
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from vid2vid.errors import UserError

_IGNORED = (".running_mean", ".running_var", ".num_batches_tracked")
"""Statistics the published norms carried along and did not use."""
_MAGIC = 0x1950A86A20F9469CFC6C
_MOST_STEPS = 100_000  # of a pickle; the largest published network takes a tenth
_DTYPES = {
    "torch FloatStorage": torch.float32,
    "torch DoubleStorage": torch.float64,
    "torch HalfStorage": torch.float16,
    "torch LongStorage": torch.int64,
}
_DICT, _PARAMETER = "collections OrderedDict", "torch._utils _rebuild_parameter"
_TENSORS = ("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor")


class _Foreign(Exception):
    """Why a file is refused, in a few words."""


def read_published(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.pth`` file, read as data: nothing in it is executed.

    Raises:
        UserError: not a whole file of plain, finite tensors by name.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            raise _Foreign("it is no file")
        with path.open("rb") as file:
            read = _read_archive if file.read(4) == b"PK\3\4" else _read_old
            file.seek(0)
            tensors = read(file, path.stat().st_size)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); copy it again") from error
    except Exception as error:  # whatever a stranger's file can make the reader stumble over
        reason = error if isinstance(error, _Foreign) else "it is damaged, or no state dict"
        raise UserError(
            f"{path}: not a file of plain tensors ({reason}); nothing in it was run: get the original"
        ) from error
    for name, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise UserError(f"{path}: {name} holds values that are not finite; get the original")
    return {name: value for name, value in tensors.items() if not name.endswith(_IGNORED)}


def _read_old(file: IO[bytes], room: int) -> dict[str, Tensor]:
    """As torch wrote in 2018: pickles, then the numbers, row by row."""
    if _unpickle(file) != _MAGIC or _unpickle(file) != 1001:
        raise _Foreign("it is no file of torch")
    _unpickle(file)  # the machine it was written on
    views = _views(_unpickle(file), room)
    rows = {view.key: view for view in views.values()}
    numbers = {}
    for key in _unpickle(file):
        row = rows.get(key) if isinstance(key, str) else None
        if row is None or struct.unpack("<q", file.read(8)) != (row.length,):
            raise _Foreign("its numbers belong to no tensor")
        numbers[key] = bytearray(file.read(row.length * row.dtype.itemsize))
    return {name: view.tensor(numbers[view.key]) for name, view in views.items()}


def _read_archive(file: IO[bytes], room: int) -> dict[str, Tensor]:
    """As torch writes today: a zip archive, never a compressed one, which could grow to any size."""
    with zipfile.ZipFile(file) as archive:
        items = archive.infolist()
        if any(item.compress_type for item in items) or sum(item.file_size for item in items) > room:
            raise _Foreign("an archive that is compressed, or claims to be larger than the file")
        pickles = [item.filename for item in items if item.filename.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise _Foreign("an archive, and not torch's")
        folder = pickles[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise _Foreign("its numbers have the bytes in another order")
        views = _views(_unpickle(archive.read(pickles[0])), room)
        keys = {view.key for view in views.values()}
        numbers = {key: bytearray(archive.read(f"{folder}data/{key}")) for key in keys}
    return {name: view.tensor(numbers[view.key]) for name, view in views.items()}


@dataclass(frozen=True)
class _View:
    """A tensor: from ``offset`` on in a row of so many numbers."""

    key: str
    dtype: torch.dtype
    length: int
    offset: int
    shape: tuple[int, ...]

    def tensor(self, row: bytearray) -> Tensor:
        start, count = self.offset * self.dtype.itemsize, math.prod(self.shape)
        return torch.frombuffer(row, dtype=self.dtype, count=count, offset=start).view(self.shape)


def _views(state: Any, room: int) -> dict[str, _View]:
    """The tensors a pickle describes, if those are all it describes and the file has room for them."""
    views: dict[str, _View] = {}
    for name, value in state.items() if isinstance(state, dict) else state[1][0]:  # as of Python 2
        if not re.fullmatch(r"[\w.]{1,200}", name):
            raise _Foreign("not everything in it is named as a tensor")
        match value[1] if value[0] in _TENSORS else value[1][0][1]:  # a parameter holds a tensor
            case (("storage", str(kind), str(key), _, int(length), *rest), int(offset), shape, stride, *_):
                plain = kind in _DTYPES and rest in ([], [None]) and length >= 0 and len(shape) <= 4
                if plain and torch.empty_strided(shape, stride, device="meta").is_contiguous():
                    views[name] = _View(key, _DTYPES[kind], length, offset, shape)
        if name not in views:
            raise _Foreign(f"{name} is no plain tensor")
    rows = {view.key: view.length * view.dtype.itemsize for view in views.values()}
    seen = (view.dtype.itemsize * math.prod(view.shape) for view in views.values())
    if max(sum(rows.values()), sum(seen)) > room:
        raise _Foreign("it claims to be larger than the file")
    return views


def _unpickle(file: IO[bytes] | bytes) -> Any:
    """What a pickle describes, in plain data; what it wants called is a tuple of a name and arguments."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[Any, Any] = {}

    def take(start: int) -> list[Any]:
        taken = stack[start:]
        del stack[start:]
        return taken

    for step, (opcode, value, _) in enumerate(pickletools.genops(file)):
        if step == _MOST_STEPS:
            raise _Foreign("its pickle is too long")
        match opcode.name:
            case "PROTO" | "STOP" | "BINPERSID":  # a row of numbers is the tuple that describes it
                pass
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINUNICODE" | "SHORT_BINSTRING":
                stack.append(value)
            case "NONE" | "NEWTRUE" | "NEWFALSE":  # no flag counts
                stack.append(None)
            case "GLOBAL":
                if value not in (_DICT, _PARAMETER, *_TENSORS, *_DTYPES):
                    raise _Foreign(f"it asks for {ascii(value)[1:-1].replace(' ', '.'):.80}")
                stack.append(value)
            case "EMPTY_TUPLE" | "EMPTY_LIST" | "EMPTY_DICT":
                stack.append({"T": (), "L": [], "D": {}}[opcode.name[6]])
            case "MARK":
                marks.append(len(stack))
            case "TUPLE":
                stack.append(tuple(take(marks.pop())))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(take(-int(opcode.name[5]))))
            case "APPEND" | "APPENDS":
                items = take(marks.pop() if opcode.name == "APPENDS" else -1)
                stack[-1].extend(items)
            case "SETITEM" | "SETITEMS":
                items = take(marks.pop() if opcode.name == "SETITEMS" else -2)
                if not all(isinstance(key, str) for key in items[::2]):
                    raise _Foreign("not everything in it is named")
                stack[-1].update(zip(items[::2], items[1::2], strict=True))
            case "BINPUT" | "LONG_BINPUT":
                memo[value] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[value])
            case "REDUCE":
                what, arguments = take(-2)
                stack.append({} if what == _DICT and arguments == () else (what, arguments))
            case "BUILD":
                stack.pop()  # versions of the layers
            case name:
                raise _Foreign(f"no state dict takes the step {name}")
    return stack.pop()
