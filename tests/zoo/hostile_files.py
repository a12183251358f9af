"""Weight files that mean harm or came to harm, by name, the same ones each time.

``CODE``: pickles that make the file ``marker`` where they are unpickled, to be wrapped in any of ``FORMS``.
``FILES``: whole checkpoints.
"""

from __future__ import annotations

import _codecs
import functools
import gzip
import io
import operator
import os
import pickle
import random
import shlex
import shutil
import struct
import subprocess
import tarfile
import time
import timeit
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

GOOD = Path(__file__).parents[1] / "parity" / "cases" / "composite_plain" / "latest_net_G0.pth"
FIRST = "model_down_seg.1.weight"
MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001


class Call:
    """Becomes the result of a call when it is unpickled."""

    def __init__(self, function: Callable[..., object], *arguments: object, state: object = None) -> None:
        self.made_by = (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.made_by

    def __call__(self) -> None:
        """So that what a call gives may be called."""


class Touch:
    """Makes a file when its state is restored."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __setstate__(self, state: dict[str, Path]) -> None:
        state["marker"].touch()


@dataclass
class Row:
    """What a pickle says of the numbers beside it."""

    key: object = "0"
    length: object = 1
    kind: object = torch.FloatStorage


def pickled(value: object, *more: object) -> bytes:
    """``value`` with its rows of numbers described as torch does; ``more`` belongs to each description."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: object) -> Any:
            here = isinstance(value, Row)
            return ("storage", value.kind, value.key, "cpu", value.length, *more) if here else None

    file = io.BytesIO()
    Pickler(file, 2).dump(value)
    return file.getvalue()


def tensor(
    row: Row | None = None, *, offset: object = 0, shape: object = (1,), stride: object = (1,)
) -> Call:
    arguments = (row or Row(), offset, shape, stride, False, OrderedDict())
    return Call(torch._utils._rebuild_tensor_v2, *arguments)


def old(value: object, keys: object = (), numbers: bytes = b"") -> bytes:
    """A file as torch wrote it in 2018, of a pickle or of what is to be pickled."""
    machine = {"protocol_version": VERSION, "little_endian": True, "type_sizes": {}}
    body = value if isinstance(value, bytes) else pickled(value, None)
    return b"".join([*map(pickled, (MAGIC, VERSION, machine)), body, pickled(list(keys)), numbers])


def new(value: object, files: dict[str, bytes] | None = None) -> bytes:
    """A file as torch writes it today, likewise."""
    body = value if isinstance(value, bytes) else pickled(value)
    records = {"data.pkl": body, "version": b"3\n", **(files or {})}
    return packed({f"archive/{name}": data for name, data in records.items()})


def oldest(value: object) -> bytes:
    """A file as torch wrote it at first: three pickles in a tar archive."""
    body = value if isinstance(value, bytes) else pickled(value)
    return taped({"storages": body, "tensors": pickled(0), "pickle": pickled({})})


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return file.getvalue()


def taped(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in files.items():
            item = tarfile.TarInfo(name)
            item.size = len(data)
            archive.addfile(item, io.BytesIO(data))
    return file.getvalue()


def saved(value: object, *, form: str = "new") -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=form == "new")
    return file.getvalue()


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "bare": lambda body: body,
    "old": old,
    "new": new,
    "oldest": oldest,
}


def naive(path: Path, form: str) -> None:
    """What nobody should do with a stranger's file."""
    if form == "bare":
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)


def _line(marker: Path) -> str:
    return f"__import__('pathlib').Path({str(marker)!r}).touch()"


def _make(marker: Path) -> Call:
    return Call(os.mkdir, str(marker))


CODE: dict[str, Callable[[Path], bytes]] = {
    "os.system": lambda marker: pickled(Call(os.system, f"touch {shlex.quote(str(marker))}")),
    "subprocess": lambda marker: pickled(Call(subprocess.call, ["touch", str(marker)])),
    "eval": lambda marker: pickled(Call(eval, _line(marker))),
    "exec": lambda marker: pickled(Call(exec, _line(marker))),
    "mkdir": lambda marker: pickled(_make(marker)),
    "copyfile": lambda marker: pickled(Call(shutil.copyfile, __file__, str(marker))),
    "timeit": lambda marker: pickled(Call(timeit.timeit, _line(marker), "pass", time.perf_counter, 1)),
    "getattr": lambda marker: pickled(Call(Call(getattr, marker, "touch"))),
    "methodcaller": lambda marker: pickled(Call(operator.methodcaller("touch"), marker)),
    "partial": lambda marker: pickled(Call(functools.partial(os.mkdir, str(marker)))),
    "map": lambda marker: pickled(Call(list, Call(map, os.mkdir, [str(marker)]))),
    "setstate": lambda marker: pickled(Touch(marker)),
    "pickle in a pickle": lambda marker: pickled(Call(pickle.loads, pickled(_make(marker)))),
    "torch.load": lambda marker: pickled(Call(torch.storage._load_from_bytes, saved(_make(marker)))),
    "numpy objects": lambda marker: pickled(np.array([_make(marker)], dtype=object)),
    "numpy memmap": lambda marker: pickled(Call(np.memmap, str(marker), "u1", "w+", 0, (1,))),
    "a name": lambda marker: pickled({_make(marker): 1}),
    "beside a tensor": lambda marker: pickled({"x": torch.ones(1), "y": _make(marker)}),
    "an attribute": lambda marker: pickled(Call(OrderedDict, state={"extra": _make(marker)})),
    "protocol 0": lambda marker: pickle.dumps(_make(marker), 0),
    "protocol 4": lambda marker: pickle.dumps(_make(marker), 4),
    "step INST": lambda marker: b"(S" + repr(str(marker)).encode() + b"\nios\nmkdir\n.",
    "step OBJ": lambda marker: b"(cos\nmkdir\nS" + repr(str(marker)).encode() + b"\no.",
}


@functools.cache
def state() -> dict[str, Tensor]:
    """A good one, for changed copies."""
    return dict(torch.load(GOOD, weights_only=True))


def _with(name: str, value: object) -> Callable[[], object]:
    return lambda: {**state(), name: value}


def _first(change: Callable[[Tensor], object]) -> Callable[[], object]:
    return lambda: {**state(), FIRST: change(state()[FIRST].clone())}


STATES: dict[str, Callable[[], object]] = {
    "a list": lambda: list(state().values()),
    "one tensor": lambda: torch.ones(3),
    "a module": lambda: nn.Linear(2, 2),
    "nothing": lambda: None,
    "no tensors": dict,
    "a state dict in a dict": lambda: {"state_dict": state()},
    "numbers for names": lambda: dict(enumerate(state().values())),
    "tuples for names": lambda: {(name,): value for name, value in state().items()},
    "a name of two lines": _with("a\nb", torch.ones(1)),
    "a name that paints": _with("\033[31mred", torch.ones(1)),
    "a name of 20 MB": _with("x" * 20_000_000, torch.ones(1)),
    "text of 20 MB": _with(FIRST, "x" * 20_000_000),
    "a number": _with(FIRST, 3.5),
    "a list of numbers": _with(FIRST, [1.0, 2.0]),
    "numpy": _with(FIRST, np.ones(3)),
    "sparse": _first(lambda weight: weight.to_sparse()),
    "quantised": _first(lambda weight: torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8)),
    "without memory": _first(lambda weight: weight.to("meta")),
    "whole numbers": _first(lambda weight: weight.long()),
    "switches": _first(lambda weight: weight > 0),
    "complex": _first(lambda weight: weight.to(torch.complex64)),
    "not a number": _first(lambda weight: weight.fill_(float("nan"))),
    "infinite": _first(lambda weight: weight.fill_(float("-inf"))),
    "one row": _first(lambda weight: weight.flatten()),
    "no row": _first(lambda weight: weight[:0]),
    "of five dimensions": _first(lambda weight: weight[None]),
    "narrower": _first(lambda weight: weight[:, 1:].contiguous()),
    "wider": _with("model_down_seg.1.bias", torch.ones(5)),
    "a view of another order": _first(lambda weight: weight.transpose(2, 3)),
    "one number seen often": _first(lambda weight: torch.ones(1).expand(10**6, 10**6)),
    "missing": lambda: {name: value for name, value in state().items() if name != FIRST},
    "surplus": _with("model_up_img.99.weight", torch.ones(3)),
}

# Each memo holds the last one twice: millions of things in 300 bytes, which take long to look at.
LISTS = b"(]q\0" + b"".join(b"](h%ch%ceq%c" % (i, i, i + 1) for i in range(23)) + b"t"
TUPLES = b"()q\0" + b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(26)) + b"t"
LIST, PAIR = b"h%c" % 23, b"h%c" % 26
NAME = b"X\x01\x00\x00\x00x"
STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n"


def _steps(*steps: bytes) -> bytes:
    return b"\x80\x02" + b"".join(steps) + b"."


PICKLES: dict[str, Callable[[], object]] = {
    "doubled lists": lambda: _steps(LISTS, b"}", NAME, LIST, b"s"),
    "doubled lists called": lambda: _steps(LISTS, LIST, b")R"),
    "doubled lists made": lambda: _steps(LISTS, LIST, b")\x81"),
    "doubled tuples for a name": lambda: _steps(TUPLES, b"}", PAIR, b"Ns"),
    "doubled tuples for numbers": lambda: _steps(TUPLES, PAIR, b"Q"),
    "doubled tuples for a key": lambda: _steps(TUPLES, STORAGE, PAIR, b"X\x03\0\0\0cpuK\x01tQ"),
    "doubled by a codec": lambda: functools.reduce(
        lambda inner, _: Call(_codecs.encode, inner, "hex"), range(27), b"12345678"
    ),
    "a gigabyte called for": lambda: Call(bytearray, 2**30),
    "a terabyte called for": lambda: {FIRST: Call(torch.Tensor, 2**38)},
    "deep lists": lambda: _steps(b"]" * 50_000, b"a" * 49_999),
    "deep tuples": lambda: _steps(b")", b"\x85" * 90_000),
    "deep dicts": lambda: _steps((b"}" + NAME) * 30_000, b"N", b"s" * 30_000),
    "a million marks": lambda: _steps(b"(" * 10**6),
    "a million steps": lambda: _steps(b"N" * 10**6),
    "a list in itself": lambda: _steps(b"]q\0h\0a"),
    "a dict in itself": lambda: _steps(b"}q\0", NAME, b"h\0s"),
    "a word of 4 GB": lambda: b"\x80\x02X\xff\xff\xff\xff" + b"x" * 100,
    "a number of 2 GB": lambda: b"\x80\x02\x8b\xff\xff\xff\x7f" + b"x" * 100,
    "an unknown step": lambda: b"\x80\x02\xf0.",
    "a call that paints": lambda: _steps(b"c\033[31mred\nx\n"),
    "nothing on the stack": lambda: _steps(b"R"),
    "no end": lambda: b"\x80\x02}",
    "numbers of 2^60": lambda: {FIRST: tensor(Row(length=2**60))},
    "numbers of 2^2000": lambda: {FIRST: tensor(Row(length=2**2000))},
    "fewer than no numbers": lambda: {FIRST: tensor(Row(length=-1))},
    "numbers counted in words": lambda: {FIRST: tensor(Row(length="many"))},
    "numbers of no kind": lambda: {FIRST: tensor(Row(kind=OrderedDict))},
    "numbers that are not there": lambda: {FIRST: tensor()},
    "more seen than there is": lambda: {FIRST: tensor(shape=(9, 4, 7, 7), stride=(196, 49, 7, 1))},
    "seen from 2^62 on": lambda: {FIRST: tensor(offset=2**62)},
    "seen from before the start": lambda: {FIRST: tensor(offset=-1)},
    "a shape below nothing": lambda: {FIRST: tensor(shape=(-1,))},
    "a shape beyond numbers": lambda: {FIRST: tensor(shape=(2**70,))},
    "a shape of 100000 sides": lambda: {FIRST: tensor(shape=(1,) * 30_000, stride=(1,) * 30_000)},
}


Item = tuple[str, bytes, int, int]
"""Of a zip archive: name, data, claimed size, method."""


def forged(*items: Item, flags: int = 0, start: int = 0) -> tuple[bytes, bytes]:
    """The files and the directory of a zip archive; the directory finds the first at ``start``."""
    files, directory = b"", b""
    for name, data, size, method in items:
        word = name.encode()
        common = struct.pack("<4HIIIHH", flags, method, 0, 0, zlib.crc32(data), len(data), size, len(word), 0)
        directory += b"PK\1\2" + struct.pack("<HH", 20, 20) + common
        directory += struct.pack("<HHHII", 0, 0, 0, 0, start + len(files)) + word
        files += b"PK\3\4" + struct.pack("<H", 20) + common + word + data
    return files, directory


def closed(files: bytes, directory: bytes, back: int = 0) -> bytes:
    """The archive; its directory is said to begin ``back`` bytes before ``directory``."""
    count, sizes = directory.count(b"PK\1\2"), (len(directory), len(files) - back)
    return files + directory + struct.pack("<4s4HIIH", b"PK\5\6", 0, 0, count, count, *sizes, 0)


def _gigabyte() -> bytes:
    """Of zeros, compressed: a megabyte, a thousand times."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (stream.compress(bytes(2**20)) + stream.flush(zlib.Z_FULL_FLUSH)) * 1024 + stream.flush()


PICKLE, DEFLATED, STORED = "archive/data.pkl", zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED
TORCH: Item = ("archive/version", b"3\n", 2, STORED)
"""Without which torch does not take an archive for its own."""


def _two_directories() -> bytes:
    """One reader finds its directory by its place, another by what follows it: here that is not the same."""
    harm, found = forged(TORCH, (PICKLE, _gigabyte(), 2**30, DEFLATED))
    harmless, shown = forged(TORCH, (PICKLE, pickled([]), 6, STORED), start=len(harm) - len(found))
    return closed(harm + harmless + found, shown, back=len(found))


def _many_names() -> bytes:
    """A megabyte that goes by a thousand names."""
    numbers = bytes(2**20)
    body = pickled({f"x{i}": tensor(Row(str(i), 2**18)) for i in range(1000)})
    files, directory = forged(TORCH, (PICKLE, body, len(body), STORED))
    for i in range(1000):
        item, entry = forged((f"archive/data/{i}", numbers, len(numbers), STORED), start=len(files))
        directory += entry
    return closed(files + item, directory)


def _compressed_numbers() -> bytes:
    body = pickled({FIRST: tensor(Row(length=2**28))})
    numbers = ("archive/data/0", _gigabyte(), 2**30, DEFLATED)
    return closed(*forged(TORCH, (PICKLE, body, len(body), STORED), numbers))


def _cut(form: str, share: float) -> bytes:
    data = saved(state(), form=form)
    return data[: int(len(data) * share)]


def _flip(form: str, word: bytes) -> bytes:
    """The lowest bit of the last byte of a word's first place."""
    before, _, after = saved(state(), form=form).partition(word)
    return before + word[:-1] + bytes([word[-1] ^ 1]) + after


FILES: dict[str, Callable[[], bytes]] = {
    "empty": bytes,
    "zeros": lambda: bytes(100_000),
    "noise": lambda: random.Random(1).randbytes(100_000),
    "text": lambda: b"hello " * 1000,
    "a page": lambda: b"<!DOCTYPE html><html><body>Sign in</body></html>",
    "a pointer": lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 178503\n",
    "a picture": lambda: b"\x89PNG\r\n\x1a\n" + bytes(1000),
    "safetensors": lambda: safetensors.torch.save(state()),
    "compressed": lambda: gzip.compress(GOOD.read_bytes()),
    "a tar of it": lambda: taped({"latest_net_G0.pth": GOOD.read_bytes()}),
    "a zip of it": lambda: packed({"latest_net_G0.pth": GOOD.read_bytes()}),
    "a zip of nothing": lambda: packed({}),
    "TorchScript": lambda: new({}, {"code/x.py": b"", "constants.pkl": pickled(())}),
    "a plain pickle of numbers": lambda: pickled({FIRST: [1.0, 2.0]}),
    "another version": lambda: b"".join(map(pickled, (MAGIC, 1002, {}, {}, []))),
    "a version of doubled lists": lambda: pickled(MAGIC) + _steps(LISTS, LIST),
    "keys of doubled tuples": lambda: old({FIRST: tensor()})[:-6] + _steps(TUPLES, PAIR, b"\x85"),
    "compressed numbers": _compressed_numbers,
    "compressed pickle": lambda: closed(*forged(TORCH, (PICKLE, _gigabyte(), 2**30, DEFLATED))),
    "compressed well": lambda: packed({PICKLE: pickled({})}, DEFLATED),
    "two directories": _two_directories,
    "many names": _many_names,
    "a claim of 4 GB": lambda: closed(*forged(TORCH, (PICKLE, pickled({}), 2**32 - 2, STORED))),
    "locked": lambda: closed(*forged(TORCH, (PICKLE, pickled({}), 5, STORED), flags=1)),
    "two pickles": lambda: packed({PICKLE: pickled({}), "other/data.pkl": pickled({})}),
    "bytes the other way": lambda: new({FIRST: tensor()}, {"byteorder": b"big", "data/0": bytes(4)}),
    "a path upwards": lambda: packed({"../../data.pkl": pickled({}), "../../data/0": b""}),
}
for form, wrap in (("old", old), ("new", new)):
    for name, make in STATES.items():
        FILES[f"{name}, {form}"] = functools.partial(lambda make, form: saved(make(), form=form), make, form)
    for name, make in PICKLES.items():
        FILES[f"{name}, {form}"] = functools.partial(lambda make, wrap: wrap(make()), make, wrap)
    for share in (1e-4, 0.01, 0.1, 0.5, 0.9, 0.99999):
        FILES[f"cut at {share}, {form}"] = functools.partial(_cut, form, share)
    for word in ("FloatStorage", "OrderedDict", "_rebuild_tensor_v2", FIRST):
        FILES[f"a bit of {word}, {form}"] = functools.partial(_flip, form, word.encode())
