"""A campaign of hostile files against ``import`` and ``load_model``: nothing is run, one line says why."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import resource
import shutil
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hostile_files as hostile
import pytest
import torch

from tiny import hidden_or_partial
from vid2vid.errors import UserError
from vid2vid.zoo import import_checkpoints, load_model
from vid2vid.zoo.checkpoint_file import read_published


def peak() -> int:
    """The most memory this process had, in bytes."""
    status = Path("/proc/self/status")
    if found := status.exists() and re.search(r"VmHWM:\s+(\d+) kB", status.read_text()):
        return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@contextlib.contextmanager
def harmless(seconds: float = 2) -> Iterator[None]:
    """Neither much work nor much memory."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before, began = peak(), time.process_time()
    yield
    assert time.process_time() - began < seconds
    assert peak() - before < 300e6


def test_harm_would_be_noticed() -> None:
    with pytest.raises(AssertionError), harmless():
        bytearray(b"x") * 700_000_000
    with pytest.raises(AssertionError), harmless(0.01):
        sum(range(10_000_000))


def refusal(call: Callable[..., object], *arguments: Path) -> str:
    """One line, for little work and memory."""
    with harmless(), pytest.raises(UserError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 500
    return message


def not_imported(folder: Path) -> str:
    message = refusal(import_checkpoints, folder, folder / "model")
    assert not (folder / "model").exists()
    assert not hidden_or_partial(folder)
    return message


def sent(folder: Path, data: bytes | bytearray, role: str = "G0") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"latest_net_{role}.pth").write_bytes(data)
    return folder / f"latest_net_{role}.pth"


@pytest.mark.parametrize("form", hostile.FORMS)
@pytest.mark.parametrize("code", hostile.CODE)
def test_code_is_not_run(code: str, form: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    file = sent(tmp_path / "in", hostile.FORMS[form](hostile.CODE[code](marker)))
    assert not_imported(file.parent).startswith(f"{file}: not a file of plain tensors")
    assert not marker.exists()
    with contextlib.suppress(Exception):
        hostile.naive(file, form)
    assert marker.exists()


@pytest.mark.parametrize("kind", hostile.FILES)
def test_a_hostile_file_is_one_line(kind: str, tmp_path: Path) -> None:
    file = sent(tmp_path / "in", hostile.FILES[kind]())
    assert not_imported(file.parent).startswith(f"{file}: ")


@pytest.mark.parametrize("role", ["G", "G1", "E", "D", "D_T0"])
def test_no_role_is_read_with_more_trust(role: str, tmp_path: Path) -> None:
    folder = sent(tmp_path / "in", hostile.GOOD.read_bytes()).parent
    file = sent(folder, hostile.new(hostile.CODE["exec"](tmp_path / "marker")), role)
    assert not_imported(folder).startswith(f"{file}: ")
    assert not (tmp_path / "marker").exists()


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "in" / "latest_net_G0.pth"
    file.parent.mkdir()
    os.mkfifo(file)
    assert not_imported(file.parent).startswith(f"{file}: ")
    for target in (os.devnull, "/dev/zero", "nowhere", "."):
        file.unlink()
        file.symlink_to(target)
        assert not_imported(file.parent).startswith(f"{file}: ")


@pytest.mark.parametrize("form", ["old", "new"])
def test_whatever_bit_is_flipped_there_is_an_end(form: str, tmp_path: Path) -> None:
    rng, messages = random.Random(0), []
    data = hostile.saved({"a.weight": torch.ones(2, 3), "b.bias": torch.ones(3)}, form=form)
    with harmless(10):
        for _ in range(400):
            spoilt = bytearray(data)
            spoilt[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            try:
                read_published(sent(tmp_path, spoilt))
            except UserError as error:
                messages.append(str(error))
    assert 100 < len(messages) < 400
    assert all(message.isprintable() for message in messages)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return import_checkpoints(hostile.GOOD.parent, tmp_path_factory.mktemp("zoo") / "model")


HEAD, EMPTY = "coarsest.image_head.bias", {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}


def header(**changes: Any) -> Callable[[bytes], bytes]:
    """The safetensors file, one tensor of it described otherwise."""
    return added(HEAD, lambda before: {**before, **changes})


def added(
    name: str, make: Callable[[dict[str, Any]], dict[str, Any]], count: int = 1
) -> Callable[[bytes], bytes]:
    def edit(data: bytes) -> bytes:
        (length,) = struct.unpack("<Q", data[:8])
        values = json.loads(data[8 : 8 + length])
        for i in range(count):
            values[f"{name}{i or ''}"] = make(values[HEAD])
        return headed(json.dumps(values).encode(), data[8 + length :])

    return edit


def headed(text: bytes, rest: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text + rest


HEADERS: dict[str, Callable[[bytes], bytes]] = {
    "of 2^63 bytes": lambda data: struct.pack("<Q", 2**63) + data[8:],
    "of 90 MB that are not there": lambda data: struct.pack("<Q", 90_000_000) + data[8:],
    "that is no JSON": lambda data: headed(b"{'a': 1}", data),
    "that is a list": lambda data: headed(b"[1, 2, 3]", data),
    "of nothing": lambda data: headed(b"{}", b""),
    "of a name twice": lambda data: headed(
        b'{"x":%s,"x":%s}' % (json.dumps(EMPTY).encode(), json.dumps(EMPTY).encode()), b""
    ),
    "of twenty thousand names": added("x", lambda _: EMPTY, 20_000),
    "of a note of 20 MB and no more": lambda data: headed(
        b'{"__metadata__":{"x":"%s"}}' % (b"x" * 20_000_000), b""
    ),
    "of a name of 20 MB": added("x" * 20_000_000, lambda _: EMPTY),
    "of a name of two lines": added("a\nb", lambda _: EMPTY),
    "of a name that paints": added("\033[31mred", lambda _: EMPTY),
    "of one place twice": header(data_offsets=[0, 12]),
    "of places beyond the file": header(data_offsets=[2**40, 2**40 + 12]),
    "of places backwards": header(data_offsets=[12, 0]),
    "of a shape below nothing": header(shape=[-3]),
    "of a shape beyond numbers": header(shape=[2**62, 2**62, 2**62]),
    "of a shape in words": header(shape="3"),
    "of an unknown type": header(dtype="OBJECT"),
    "of words for places": header(data_offsets="everywhere"),
}


@pytest.mark.parametrize("kind", [*HEADERS, *hostile.FORMS])
def test_hostile_weights_of_a_model_are_one_line(kind: str, model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model, tmp_path / "spoilt"))
    file, marker = folder / "generator.safetensors", tmp_path / "marker"
    if kind in HEADERS:
        file.write_bytes(HEADERS[kind](file.read_bytes()))
    else:
        file.write_bytes(hostile.FORMS[kind](hostile.CODE["exec"](marker)))
    assert refusal(load_model, folder).startswith(f"{file}: ")
    assert not marker.exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"width": 10**9},
        {"scales": 50},
        {"downs": 64},
        {"blocks": 10**9},
        {"styles": -1},
        {"width": 4096, "blocks": 64},
    ],
    ids=str,
)
def test_absurd_settings_of_a_model_are_one_line(
    settings: dict[str, int], model: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(model, tmp_path / "spoilt"))
    config = json.loads((folder / "config.json").read_text())
    config["architecture"] |= settings
    (folder / "config.json").write_text(json.dumps(config))
    assert refusal(load_model, folder).startswith(f"{folder}")
