"""Flow that is known rather than estimated: ``.npz`` of the dataset, ``.flo`` of the Middlebury benchmark."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np

from vid2vid.errors import UserError
from vid2vid.video import as_path

FLO_MAGIC = b"PIEH"
"""The float 202021.25 in little endian, which opens every ``.flo`` file."""

UNKNOWN = 1e9
"""Components beyond this mark pixels whose motion nobody knows."""

MAX_SIDE = 32_768
MAX_PIXELS = 1 << 26
"""Larger claims in a header are taken as damage, before any memory is asked for."""


def read_exact_flow(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """The flow in a file, and where it does not count.

    Returns ``flow`` (2, H, W) float32, pixels, (x, y), and ``occlusion`` (H, W) bool, true where the pixel
    has no counterpart. Pixels of unknown motion (not finite, or beyond 1e9) are occluded, their flow is zero.

    ``.npz`` files hold both under the keys ``flow`` and ``occlusion``; ``.flo`` files hold flow alone. Raises
    UserError for a file that is absent, damaged, truncated, of another kind or absurdly large.
    """
    path = as_path(path)
    readers = {".npz": _read_npz, ".flo": _read_flo}
    if path.suffix.lower() not in readers:
        raise UserError(f"{path}: not a flow file; give .npz (keys flow and occlusion) or Middlebury .flo")
    try:
        flow, occlusion = readers[path.suffix.lower()](path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; exact flow wants one flow file per frame") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); check the file") from error
    flow = flow.astype(np.float32)
    known = (np.abs(flow) <= UNKNOWN).all(axis=0)  # false for NaN too
    return np.where(known, flow, np.float32(0)), occlusion | ~known


def _read_flo(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Header: magic, int32 width, int32 height; then rows of (x, y) float32 pairs, all little endian."""
    with path.open("rb") as file:
        header = file.read(12)
        if header[:4] != FLO_MAGIC or len(header) < 12:
            raise UserError(f"{path}: not a Middlebury .flo file (wrong magic number); write it anew")
        width, height = (int(side) for side in np.frombuffer(header, "<i4", offset=4))
        _check_size(path, width, height)
        expected, found = 12 + 8 * width * height, os.fstat(file.fileno()).st_size
        if found != expected:
            raise UserError(
                f"{path}: {width}x{height} flow takes {expected} bytes, not {found}; copy the file again"
            )
        values = np.frombuffer(file.read(expected - 12), "<f4")
    if values.size != 2 * width * height:
        raise UserError(f"{path}: ended early while it was read; copy the file again")
    return values.reshape(height, width, 2).transpose(2, 0, 1), np.zeros((height, width), dtype=bool)


def _read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            flow = _read_member(path, archive, "flow")
            occlusion = _read_member(path, archive, "occlusion")
    except (UserError, OSError):
        raise
    except Exception as error:  # a hostile archive makes zipfile and numpy raise a dozen different ones
        raise UserError(f"{path}: damaged or not an .npz file ({_one_line(error)}); write it anew") from error
    if flow.ndim != 3 or flow.shape[0] != 2 or flow.dtype.kind != "f":
        raise UserError(
            f"{path}: flow is {flow.dtype} {flow.shape}, not floating point (2, H, W); write it anew"
        )
    if occlusion.shape != flow.shape[1:] or occlusion.dtype.kind not in "biu":
        raise UserError(
            f"{path}: occlusion is {occlusion.dtype} {occlusion.shape}, not bool (H, W) like the flow"
        )
    return flow, occlusion != 0


def _read_member(path: Path, archive: zipfile.ZipFile, key: str) -> np.ndarray:
    """One array; its header is believed only after it was held against the size limits."""
    if f"{key}.npy" not in archive.namelist():
        raise UserError(
            f"{path}: has no array called {key}; exact flow wants flow (2, H, W) and occlusion (H, W)"
        )
    with archive.open(f"{key}.npy") as member:
        version = np.lib.format.read_magic(member)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise ValueError(f"array format {version}")
        shape, _, dtype = read_header(member)
    if dtype.hasobject or dtype.itemsize > 8 or shape[:-2] not in ((), (2,)) or len(shape) < 2:
        raise UserError(
            f"{path}: {key} is {dtype} {shape}, not numbers of (2, H, W) or (H, W); write it anew"
        )
    _check_size(path, shape[-1], shape[-2])
    with archive.open(f"{key}.npy") as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _check_size(path: Path, width: int, height: int) -> None:
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE and width * height <= MAX_PIXELS):
        raise UserError(f"{path}: claims a size of {width}x{height}, which no flow has; the file is damaged")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
