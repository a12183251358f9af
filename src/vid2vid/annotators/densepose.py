"""DensePose as a picture: from its own pictures (parts and surface coordinates) and from IUV arrays."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from vid2vid.errors import UserError
from vid2vid.video import PICTURE_SUFFIXES, as_path, read_picture

PARTS = 24
"""Parts are 1 ... 24, the last two the head's halves; 0 is what is nobody."""

_LEVELS = np.arange(PARTS + 1) * 255 // PARTS
"""What the parts are in the third channel."""

MAX_PIXELS = 1 << 26


def scaled_parts(picture: np.ndarray) -> np.ndarray:
    """A DensePose picture as the networks of 2018 saw it: its third channel, the part, brought to 0 ... 255.

    A picture whose third channel goes beyond 24 has that already, or is a rendering in colours: it is given
    back as it is.

    Args:
        picture: (H, W, 3) uint8 RGB, the surface coordinates V and U, and the part 0 ... 24.
    """
    if picture[..., 2].max(initial=0) > PARTS:
        return picture
    scaled = picture.copy()
    scaled[..., 2] = _LEVELS[picture[..., 2]]
    return scaled


def without_parts(picture: np.ndarray, parts: Iterable[int]) -> np.ndarray:
    """What `scaled_parts` gives, black where these parts were. A rendering in colours, which does not tell
    its parts, is given back as it is."""
    if not np.isin(picture[..., 2], _LEVELS).all():
        return picture
    gone = np.isin(picture[..., 2], _LEVELS[list(parts)])
    return np.where(gone[..., None], np.uint8(0), picture)


def iuv_picture(iuv: np.ndarray) -> np.ndarray:
    """An IUV array to the picture that `scaled_parts` gives.

    Args:
        iuv: (3, H, W) or (H, W, 3): part 0 ... 24, then U and V, 0 ... 255 in whole numbers or else 0 ... 1.

    Raises:
        ValueError: another shape or type, parts that do not exist, coordinates out of range.
    """
    if iuv.ndim != 3 or 3 not in (iuv.shape[0], iuv.shape[2]) or iuv.dtype.kind not in "iuf":
        raise ValueError(f"{iuv.dtype} {iuv.shape} is no IUV array; it is (3, H, W) or (H, W, 3)")
    channels = iuv if iuv.shape[0] == 3 else np.moveaxis(iuv, -1, 0)
    if not np.isfinite(channels).all():
        raise ValueError("not all of its numbers are finite")
    part, u, v = channels.astype(np.float64)
    if part.min(initial=0) < 0 or part.max(initial=0) > PARTS:
        raise ValueError(f"parts go from 0 to {PARTS}, not from {part.min():g} to {part.max():g}")
    whole = iuv.dtype.kind in "iu" or max(u.max(initial=0), v.max(initial=0)) > 1
    surface = np.stack([v, u], axis=-1) * (1 if whole else 255)
    if surface.min(initial=0) < 0 or surface.max(initial=0) > 255:
        raise ValueError("U and V go beyond 0 ... 255 (or 0 ... 1 as fractions)")
    return scaled_parts(np.concatenate([surface.round(), part.round()[..., None]], axis=-1).astype(np.uint8))


def read_densepose(path: Path | str) -> np.ndarray:
    """The picture, (H, W, 3) uint8, in a picture file or in the IUV array of an ``.npy`` file.

    Raises:
        UserError: absent, unreadable, damaged, too large, or neither.
    """
    path = as_path(path)
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return scaled_parts(read_picture(path))
    if path.suffix.lower() != ".npy":
        raise UserError(f"{path}: neither a picture nor an .npy file; give DensePose as one of them")
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, _, dtype = read_header(file)
            # The header is believed only after it was held against the limits.
            if dtype.hasobject or dtype.itemsize > 8 or len(shape) != 3 or not _fits(shape):
                raise UserError(f"{path}: {dtype} {str(shape)[:60]} is no IUV array; write (3, H, W) numbers")
            file.seek(0)
            return iuv_picture(np.lib.format.read_array(file, allow_pickle=False))
    except (UserError, FileNotFoundError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: no such file; every frame needs its DensePose") from None
    except Exception as error:  # a hostile file makes numpy raise a dozen different ones
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UserError(f"{path}: not an IUV array ({reason}); write it anew") from None


def _fits(shape: tuple[int, ...]) -> bool:
    pixels = 1
    for side in shape:
        pixels *= side
    return 0 < pixels <= 3 * MAX_PIXELS
