"""OpenPose's JSON files, one a frame: read with suspicion, written so that it reads them itself."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from vid2vid.annotators.keypoints import BODY, FACE, HAND, Keypoints
from vid2vid.errors import UserError
from vid2vid.video import as_path, whole_file

MAX_BYTES = 16 * 2**20
MAX_PEOPLE = 1000
MAX_PLACE = 1e6
"""No picture is so large: pixels beyond are damage."""

_PARTS = {
    "body": ("pose_keypoints_2d", BODY),
    "face": ("face_keypoints_2d", FACE),
    "left_hand": ("hand_left_keypoints_2d", HAND),
    "right_hand": ("hand_right_keypoints_2d", HAND),
}


def read_openpose(path: Path | str) -> list[Keypoints]:
    """The people in a frame; a part that a person lacks has confidence 0.

    Raises:
        UserError: absent, unreadable, too large, not JSON, or not what OpenPose writes for BODY_25.
    """
    path = as_path(path)
    data = read_json(path, MAX_BYTES, "OpenPose keypoints")
    people = data.get("people") if isinstance(data, dict) else None
    if not isinstance(people, list):
        raise UserError(f"{path}: no list of 'people'; give the JSON files that OpenPose writes")
    if len(people) > MAX_PEOPLE:
        raise UserError(f"{path}: {len(people)} people; at most {MAX_PEOPLE} are read, the file is damaged")
    return [_person(path, number, entry) for number, entry in enumerate(people)]


def _person(path: Path, number: int, entry: object) -> Keypoints:
    if not isinstance(entry, dict):
        raise UserError(f"{path}: person {number} is not a mapping; give the JSON files that OpenPose writes")
    parts = {}
    for name, (key, count) in _PARTS.items():
        values = entry.get(key) or []
        if not isinstance(values, list) or len(values) not in (0, 3 * count):
            found = f"{len(values)} values" if isinstance(values, list) else type(values).__name__
            raise UserError(
                f"{path}: person {number}: {key} has {found}, not {3 * count}; "
                "write it with --model_pose BODY_25"
            )
        points = finite_points(path, f"person {number}: {key}", values).reshape(-1, 3)
        if len(points):
            parts[name] = points.astype(np.float32)
    return Keypoints(**parts)


def finite_points(path: Path, what: str, values: list[object]) -> np.ndarray:
    """A list of numbers as float64, none of them absurd.

    Raises:
        UserError: one is not a number, not finite, or beyond `MAX_PLACE`.
    """
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{path}: {what} holds {str(value)[:20]!r}, not a number; write it anew")
        if not abs(value) <= MAX_PLACE:  # false for NaN too
            raise UserError(f"{path}: {what} holds {_shown(value)}, which is in no picture; write it anew")
    return np.array(values, dtype=np.float64)


def _shown(value: float) -> str:
    # An integer of a thousand digits is no float.
    return f"{value:g}" if isinstance(value, float) and math.isfinite(value) else "a number without bounds"


def read_json(path: Path, limit: int, what: str) -> object:
    """The content of a JSON file of at most ``limit`` bytes; ``what`` it should hold is said in messages.

    Raises:
        UserError: absent, unreadable, larger, not JSON, nested without end.
    """
    raw = read_bounded(path, limit, what)
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise UserError(f"{path}: damaged or not JSON; write the {what} anew") from None


def read_bounded(path: Path, limit: int, what: str) -> bytes:
    """The bytes of a file of at most ``limit``; ``what`` it should hold is said in messages.

    Raises:
        UserError: absent, unreadable, larger.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; every frame needs its {what}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a file name"
        raise UserError(f"{path}: cannot be read ({reason}); check the file") from None
    if len(raw) > limit:
        raise UserError(f"{path}: larger than {limit >> 10} KiB, which no file of {what} is; write it anew")
    return raw


def write_openpose(path: Path | str, people: list[Keypoints]) -> None:
    """Write a frame's people, whole or not at all.

    Raises:
        UserError: the disk is full, or the place cannot be written.
    """
    entries = []
    for person in people:
        entry: dict[str, list[object]] = {"person_id": [-1]}
        for name, (key, _) in _PARTS.items():
            entry[key] = [round(value, 6) for value in getattr(person, name).ravel().tolist()]
        entries.append(entry)
    with whole_file(Path(path)) as temporary:
        temporary.write_text(json.dumps({"version": 1.3, "people": entries}), encoding="utf-8")
