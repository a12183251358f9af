"""The 68 landmarks of a face, in dlib's order: text or JSON, a file a frame. And files of a clip's points."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from vid2vid.annotators.openpose import finite_points, read_bounded, read_json
from vid2vid.errors import UserError
from vid2vid.types import Size
from vid2vid.video import as_path, whole_file

POINTS = 68
MAX_BYTES = 1 << 16
MAX_CLIP_BYTES = 1 << 28
MAX_FRAMES = 1 << 20


def read_landmarks(path: Path | str) -> np.ndarray:
    """The landmarks in a file, (68, 2) float64: x, y in pixels.

    Text files have a point a line, ``x,y`` or ``x y``; JSON files a list of ``[x, y]``.

    Raises:
        UserError: absent, unreadable, too large, or not 68 points of two numbers.
    """
    path = as_path(path)
    if path.suffix.lower() == ".json":
        return _points(path, "the file", read_json(path, MAX_BYTES, "face landmarks"))
    raw = read_bounded(path, MAX_BYTES, "face landmarks")
    lines = [line.split() for line in raw.decode("utf-8", "replace").replace(",", " ").splitlines()]
    try:
        rows: list[object] = [[_number(word) for word in line] for line in lines if line]
    except ValueError as error:
        raise UserError(f"{path}: holds {error}, not a number; write x,y of one point a line") from None
    return _points(path, "the file", rows)


def _number(word: str) -> float:
    if not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", word, re.ASCII):
        raise ValueError(repr(word[:20]))
    return float(word)


def _points(path: Path, what: str, rows: object, count: int = POINTS, sure: bool = False) -> np.ndarray:
    """(count, 2), or (count, 3) with how ``sure`` each is."""
    if not isinstance(rows, list) or len(rows) != count:
        found = f"{len(rows)} points" if isinstance(rows, list) else type(rows).__name__
        kind = " of dlib's faces" if count == POINTS else ""
        raise UserError(f"{path}: {what} holds {found}, not the {count}{kind}; write them anew")
    form, words = ("[x, y, visibility]", "all three") if sure else ("[x, y]", "x and y")
    flat: list[object] = []
    for number, row in enumerate(rows):
        if not isinstance(row, list) or not 2 + sure <= len(row) <= 3:
            raise UserError(f"{path}: point {number} of {what} is not {form}; write {words} of each point")
        flat += row[: 2 + sure]
    points = finite_points(path, what, flat).reshape(count, 2 + sure)
    if sure and not ((points[:, 2] >= 0) & (points[:, 2] <= 1)).all():
        raise UserError(f"{path}: {what} holds a visibility beyond 0 to 1; write it anew")
    return points


def read_landmark_clip(
    path: Path | str, count: int = POINTS, sure: bool = False
) -> tuple[list[np.ndarray | None], Size | None]:
    """All frames of a clip from a JSON file: ``{"width": W, "height": H, "frames": [[[x, y], ...], ...]}``.

    Args:
        count: points in a frame.
        sure: each is [x, y, visibility], the last from 0 to 1.

    Returns:
        The points of each frame, (count, 2 or 3), None where the frame's entry is empty; and the size of the
        pictures that the pixels are meant for, where the file says it.

    Raises:
        UserError: absent, unreadable, too large, or not of that form.
    """
    path = as_path(path)
    data = read_json(path, MAX_CLIP_BYTES, "landmarks")
    frames = data.get("frames") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(frames, list) or len(frames) > MAX_FRAMES:
        raise UserError(f"{path}: no list of 'frames'; write the points of each frame into one")
    sides = [data.get(side) for side in ("width", "height")]
    size: Size | None = None
    if sides != [None, None]:
        width, height = (side if type(side) is int and 0 < side <= 1 << 16 else 0 for side in sides)
        if not width or not height:
            raise UserError(f"{path}: width and height are {str(sides)[:40]}; give whole numbers of pixels")
        size = width, height
    points = [
        _points(path, f"frame {t}", rows, count, sure) if rows else None for t, rows in enumerate(frames)
    ]
    return points, size


def write_landmarks(path: Path | str, points: np.ndarray) -> None:
    """Write (68, 2) landmarks as text, ``x,y`` a line.

    Raises:
        ValueError: another shape.
        UserError: the disk is full, or the place cannot be written.
    """
    if points.shape != (POINTS, 2):
        raise ValueError(f"landmarks of the shape {points.shape}; it must be ({POINTS}, 2)")
    lines = [f"{x:.10g},{y:.10g}\n" for x, y in points.tolist()]
    with whole_file(Path(path)) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")
