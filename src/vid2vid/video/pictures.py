"""Single pictures in and out, and a folder of them as a source of frames."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import yaml
from PIL import Image, ImageOps

from vid2vid.errors import UserError
from vid2vid.types import Frame, Size, VideoInfo
from vid2vid.video.files import as_path, whole_file

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
MAX_PIXELS = 1 << 27
"""The largest picture that is opened (16384 x 8192): no forged header exhausts the memory."""

DEFAULT_RATE = Fraction(25)
"""Frames per second of a folder of pictures whose rate nobody wrote down."""

# Only what is listed is opened: Pillow would start Ghostscript for a file that claims to be PostScript.
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")
_LOSSY = ("JPEG", "WEBP")
_ORIENTATION = 0x0112  # EXIF tag


def natural_key(path: Path | str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key that puts ``frame10`` after ``frame9``, numbers before words; total on distinct names."""
    name = path if isinstance(path, str) else path.name
    parts = [part for part in re.split(r"([0-9]+)", name) if part]
    key = [(0, int(part), "") if part.isascii() and part.isdigit() else (1, 0, part) for part in parts]
    return key, name


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order; hidden files and other kinds are passed over."""
    return sorted(
        (p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and not p.name.startswith(".")),
        key=natural_key,
    )


def read_picture(path: Path | str, mode: Literal["rgb", "labels"] = "rgb") -> np.ndarray:
    """Decode one picture.

    Args:
        path: png, jpg, bmp, tiff, webp or ppm.
        mode: "rgb": colours as a viewer shows them (EXIF orientation applied, transparency dropped, 16 bits
            brought to 8). "labels": class ids as stored: grey values of 8 or 16 bits, or the *indices* of a
            palette picture.

    Returns:
        "rgb": (H, W, 3) uint8. "labels": (H, W) uint8, or int32 for 16-bit and signed pictures.

    Raises:
        UserError: missing, damaged, cut short, not a picture, larger than MAX_PIXELS; as labels also: a
            colour picture, or a lossy format, neither of which holds class ids.
    """
    path = as_path(path)
    with _Opened(path) as picture:
        return _rgb(picture) if mode == "rgb" else _labels(picture, path)


def decode_picture(data: bytes, name: str, mode: Literal["rgb", "labels"] = "rgb") -> np.ndarray:
    """As ``read_picture``, of a file's contents; ``name`` is what messages call it."""
    with _Opened(Path(name), BytesIO(data)) as picture:
        return _rgb(picture) if mode == "rgb" else _labels(picture, Path(name))


def picture_size(path: Path | str) -> Size:
    """(width, height) as read_picture gives it; reads the header only. Raises UserError likewise."""
    path = as_path(path)
    with _Opened(path) as picture:
        width, height = picture.size
        return (height, width) if picture.getexif().get(_ORIENTATION, 1) >= 5 else (width, height)


def write_picture(path: Path | str, picture: np.ndarray) -> None:
    """Write one picture whole or not at all; the suffix (png, jpg, ...) chooses the format.

    Args:
        picture: (H, W, 3) uint8 RGB, or (H, W) uint8, uint16, or other integers from 0 to 65535 (label maps).

    Raises:
        UserError: the disk is full, or the place cannot be written.
        ValueError: an array of another kind, or ids that do not fit.
    """
    path = Path(path)
    if picture.dtype == np.bool_ or (
        picture.dtype.kind in "iu" and picture.dtype not in (np.uint8, np.uint16)
    ):
        if picture.min(initial=0) < 0 or picture.max(initial=0) > 0xFFFF:
            raise ValueError("ids outside 0 to 65535 do not fit into a picture")
        picture = picture.astype(np.uint8 if picture.max(initial=0) <= 0xFF else np.uint16)
    flat = picture.ndim == 2 and picture.dtype in (np.uint8, np.uint16)
    if not flat and not (picture.shape[2:] == (3,) and picture.dtype == np.uint8):
        raise ValueError(f"not a picture: shape {picture.shape}, {picture.dtype}")
    encoded = BytesIO()
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in _FORMATS:
        raise ValueError(f"{path.name}: no picture format of that suffix")
    options = {"quality": 95} if kind in _LOSSY else {"compress_level": 4} if kind == "PNG" else {}
    Image.fromarray(np.ascontiguousarray(picture)).save(encoded, kind, **options)
    with whole_file(path) as temporary:
        temporary.write_bytes(encoded.getbuffer())


def resize_picture(picture: np.ndarray, size: Size, labels: bool = False) -> np.ndarray:
    """Resample to ``size`` (width, height).

    Frames (H, W[, C]) uint8 or float: area averages where an axis shrinks, cubic where it grows. Labels (any
    integer type): the nearest pixel, so that no class appears that was not there.
    """
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    if labels:
        return picture[_nearest(height, size[1])[:, None], _nearest(width, size[0])]
    smaller = min(width, size[0]), min(height, size[1])
    if smaller != (width, height):
        picture = cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA)
    return picture if smaller == size else cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)


class PictureFolder:
    """The pictures of a folder, in natural order, as a source of frames; or those of them that are ``files``.

    Attributes:
        files: the picture files, in order.
        info: size and count; the rate is ``rate``, else the one a ``clip.yaml`` beside the folder records (as
            ``prepare`` writes it), else 25.
        times: (N,) float64, seconds: frame k is shown at k / rate.

    Raises:
        UserError: no folder, no pictures in it, or pictures of several sizes.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        rate: Fraction | float | None = None,
        files: Sequence[Path] | None = None,
    ) -> None:
        self.path = Path(folder)
        try:
            self.files = list_pictures(self.path) if files is None else list(files)
        except OSError as error:
            raise UserError(f"{self.path}: {error.strerror}; give a folder of pictures") from error
        if not self.files:
            raise UserError(f"{self.path}: no pictures (png, jpg, ...) in this folder; {self._hint()}")
        self.size = _common_size(self.files)
        rate = as_rate(rate) if rate is not None else recorded_rate(self.path.parent) or DEFAULT_RATE
        self.info = VideoInfo(*self.size, rate=rate, frames=len(self.files))
        self.times = np.arange(len(self.files)) / float(rate)

    def _hint(self) -> str:
        inside = self.path / "frames"
        return (
            f"did you mean {inside}?"
            if inside.is_dir()
            else "give the folder that holds the frames themselves"
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Frame:
        index = range(len(self))[index]  # negative indices and IndexError, as lists have them
        image = read_picture(self.files[index])
        if image.shape[1::-1] != self.size:
            raise UserError(
                f"{self.files[index]}: changed its size while it was read; leave the folder alone"
            )
        return Frame(image, float(self.times[index]))

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Frames start ... stop - 1 in order."""
        return (self[index] for index in range(len(self))[start:stop])

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()


def as_rate(rate: Fraction | float | str) -> Fraction:
    """Frames per second as an exact fraction; 29.97 and its kin become the 30000/1001 that they stand for.

    Raises:
        ValueError: not a positive number of at most 1000.
    """
    try:
        exact = Fraction(rate)
    except (ValueError, ZeroDivisionError, OverflowError, TypeError) as error:
        raise ValueError(f"{rate!r} is not a frame rate") from error
    if not 0 < exact <= 1000:
        raise ValueError(f"{rate!r} is not a frame rate between 0 and 1000")
    if exact.denominator == 1 or exact.denominator == 1001:
        return exact
    ntsc = Fraction(round(exact) * 1000, 1001)
    rounded = ntsc if abs(exact - ntsc) < Fraction(1, 200) else exact.limit_denominator(10_000)
    if not rounded:
        raise ValueError(f"{rate!r} is not a frame rate: less than one frame in an hour")
    return rounded


def recorded_rate(clip: Path) -> Fraction | None:
    """The frame rate that ``clip.yaml`` in the clip's folder records; None without one.

    Raises:
        UserError: the file is there and cannot be understood.
    """
    path = clip / "clip.yaml"
    if not path.is_file():
        return None
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise ValueError("not a list of keys and values")
        return as_rate(str(record["rate"])) if "rate" in record else None
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise UserError(
            f"{path}: does not say the frame rate ({' '.join(str(error).split())}); put 'rate: 25'"
        ) from error


class _Opened:
    """A picture opened by Pillow, whose many ways to fail all become one line."""

    def __init__(self, path: Path, contents: BytesIO | None = None) -> None:
        self.path = path
        self.contents = contents

    def __enter__(self) -> Image.Image:
        try:
            self.file = self.contents or self.path.open("rb")
        except FileNotFoundError as error:
            raise UserError(f"{self.path}: no such file; check its name") from error
        except (OSError, ValueError) as error:
            raise self._no_picture() from error
        try:
            self.picture = Image.open(self.file, formats=_FORMATS)
        except Exception as error:  # a parser meets hostile bytes: whatever it raises, the file is to blame
            self.file.close()
            raise self._no_picture() from error
        width, height = self.picture.size
        if width * height > MAX_PIXELS:
            self._close()
            raise UserError(
                f"{self.path}: {width}x{height} is too large; at most 16384x8192 is read, scale it down"
            )
        return self.picture

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._close()
        if isinstance(error, Exception) and not isinstance(error, UserError):
            reason = " ".join(str(error).split())[:80]
            raise UserError(f"{self.path}: damaged or cut short ({reason}); copy or save it again") from error

    def _no_picture(self) -> UserError:
        return UserError(f"{self.path}: not a picture that can be read; save it again as PNG")

    def _close(self) -> None:
        self.picture.close()
        self.file.close()


def _rgb(picture: Image.Image) -> np.ndarray:
    picture = ImageOps.exif_transpose(picture)
    if picture.mode[0] == "I":  # 16 bits of grey, which convert() would clip instead of scale
        grey = np.clip(np.asarray(picture).astype(np.float32) / 257 + 0.5, 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return np.array(picture.convert("RGB"))


def _labels(picture: Image.Image, path: Path) -> np.ndarray:
    if picture.format in _LOSSY:
        raise UserError(f"{path}: {picture.format} changes class ids; save label maps as grey or palette PNG")
    if picture.mode in ("RGB", "RGBA"):
        colours = np.array(picture)[..., :3]
        if not (colours == colours[..., :1]).all():
            raise UserError(
                f"{path}: a colour picture where class ids are expected; save the ids as grey or palette PNG"
            )
        return colours[..., 0].copy()
    if picture.mode in ("LA", "PA"):
        return np.array(picture)[..., 0].copy()
    if picture.mode not in ("L", "P", "1") and picture.mode[0] != "I":
        raise UserError(
            f"{path}: {picture.mode} pixels where class ids are expected; save the ids as grey PNG"
        )
    ids = np.array(picture)
    return ids.astype(np.uint8) if picture.mode in ("L", "P", "1") else ids.astype(np.int32)


def _nearest(length: int, target: int) -> np.ndarray:
    return ((2 * np.arange(target) + 1) * length // (2 * target)).astype(np.intp)


def _common_size(files: Iterable[Path]) -> Size:
    first: Path | None = None
    size = (0, 0)
    for file in files:
        this = picture_size(file)
        if first is None:
            first, size = file, this
        elif this != size:
            raise UserError(
                f"{file}: {this[0]}x{this[1]}, but {first.name} is {size[0]}x{size[1]}; give all one size"
            )
    return size
