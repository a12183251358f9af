"""Files written whole or not at all, and tensors read with suspicion."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from vid2vid.errors import UserError
from vid2vid.video.files import interrupt_later, make_folder, temporary_name, writing_failed

CHECKSUMS = "checksums.json"


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of ``folder`` when the block ends well, and vanishes otherwise.

    Raises:
        UserError: the disk is full, or the place cannot be written.
    """
    make_folder(folder.parent)
    temporary = temporary_name(folder)
    shutil.rmtree(temporary, ignore_errors=True)  # of a process of the same number that was killed
    make_folder(temporary)
    try:
        yield temporary
        for file in (*temporary.iterdir(), temporary):
            _sync(file)
        with interrupt_later():
            _replace(folder, temporary)
        _sync(folder.parent)
    except OSError as error:
        raise writing_failed(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace(folder: Path, new: Path) -> None:
    """Gives ``new`` the name ``folder``; what stood there goes last, and stays if that fails."""
    old = new.with_suffix(".old")
    if folder.exists():
        os.replace(folder, old)
    try:
        os.replace(new, folder)
    except OSError:
        if old.exists():
            os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_checksums(folder: Path) -> None:
    """The SHA-256 of every file of a folder, as ``checksums.json`` beside them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    write_json(folder / CHECKSUMS, {file.relative_to(folder).as_posix(): _sha256(file) for file in files})


def check_checksums(folder: Path) -> None:
    """Whether every file is as it was when ``write_checksums`` saw it.

    Raises:
        UserError: a file is missing or changed; or the checksums are.
    """
    for name, known in read_json(folder / CHECKSUMS).items():
        try:
            same = _sha256(folder / name) == known
        except OSError as error:
            raise UserError(f"{folder / name}: cannot be read ({error.strerror}); copy it again") from error
        if not same:
            raise UserError(f"{folder / name}: damaged (its checksum differs); copy it again")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises UserError when the file is absent, damaged, or holds something else."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; is this a model folder?") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged ({' '.join(str(error).split())}); copy the model again") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: not a JSON object; copy the model again")
    return values


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:  # how it words a full disk
        raise OSError(errno.ENOSPC, str(error)) from error


def tensor_names(path: Path) -> set[str]:
    """What the tensors of a file are called; nothing but its header is read.

    Raises:
        UserError: no such file, or not a whole one.
    """
    with _safetensors(path), safe_open(path, framework="pt") as file:
        return set(file.keys())


def read_any_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, whatever they are called.

    Raises:
        UserError: no such file, or not a whole one.
    """
    with _safetensors(path):
        return load_file(path)


@contextlib.contextmanager
def _safetensors(path: Path) -> Iterator[None]:
    """What the library can stumble over, in one line."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; copy the model again") from None
    except (OSError, SafetensorError, ValueError, KeyError) as error:  # KeyError: a type torch does not know
        reason = " ".join(ascii(str(error))[1:-1].split())[:200]
        raise UserError(f"{path}: not a whole safetensors file ({reason}); copy the model again") from error


def read_tensors(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that have exactly the names, shapes and types of ``expected`` and only finite values.

    Raises:
        UserError: the first thing that does not fit, in one line.
    """
    names = tensor_names(path)
    for name in expected:
        if name not in names:
            raise UserError(f"{path}: tensor {name} is missing; the file belongs to another model")
    for name in names - expected.keys():
        shown = ascii(name)[1:-1][:80]
        raise UserError(f"{path}: tensor {shown} is not part of this model; the file belongs to another one")
    tensors = read_any_tensors(path)
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            found, wanted = tuple(tensor.shape), tuple(expected[name].shape)
            raise UserError(
                f"{path}: tensor {name} is {found}, not {wanted}; the file belongs to another model"
            )
        if tensor.dtype != expected[name].dtype:
            raise UserError(
                f"{path}: tensor {name} is {tensor.dtype}, not {expected[name].dtype}; convert it first"
            )
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise UserError(f"{path}: tensor {name} holds values that are not finite; train or copy it again")
    return tensors
