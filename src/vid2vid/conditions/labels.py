"""Label maps: their classes, and the way from ids in a file to channels and colours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from vid2vid.errors import UserError
from vid2vid.video import as_path, whole_file

LARGEST_ID = 65535
"""Ids live in 8 or 16 bit pictures."""


@dataclass(frozen=True)
class LabelClass:
    """One class of a label map.

    id: the value its pixels have in files, 0 ... 65535.
    color: RGB, each 0 ... 255, for display only.
    foreground: made of countable, moving things (cars, people): drawn by the foreground network.
    ignore: not a real class (unlabelled, out of the region of interest): left out of judgements.
    """

    id: int
    name: str
    color: tuple[int, int, int]
    foreground: bool = False
    ignore: bool = False


@dataclass(frozen=True)
class LabelSchema:
    """The list of classes. A class's *index*, its place in the list, is its one-hot channel.

    Raises:
        ValueError: no class at all, or two with the same id or name.
    """

    classes: tuple[LabelClass, ...]

    def __post_init__(self) -> None:
        if not self.classes:
            raise ValueError("no class is listed; name at least one under 'classes'")
        for what in ("id", "name"):
            value, count = Counter(getattr(item, what) for item in self.classes).most_common(1)[0]
            if count > 1:
                raise ValueError(f"{what} {value!r} is given to {count} classes; each needs its own")

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, by index."""
        return tuple(item.name for item in self.classes)

    @property
    def foreground(self) -> tuple[int, ...]:
        """Indices (not ids) of the foreground classes."""
        return tuple(index for index, item in enumerate(self.classes) if item.foreground)

    @cached_property
    def _index_of_id(self) -> np.ndarray:
        # One entry more than the largest id: index -1 and every larger id land there, on "no such class".
        table = np.full(max(item.id for item in self.classes) + 2, -1, dtype=np.int64)
        for index, item in enumerate(self.classes):
            table[item.id] = index
        return table

    @cached_property
    def palette(self) -> np.ndarray:
        """(classes, 3) uint8 RGB, by index."""
        return np.array([item.color for item in self.classes], dtype=np.uint8)

    def indices(self, label_map: np.ndarray) -> np.ndarray:
        """Class indices, int64, of a map of ids of any shape.

        Raises:
            ValueError: not an integer map, or it holds ids outside the class list (named).
        """
        if label_map.dtype.kind not in "iu":
            raise ValueError(f"a label map holds integers, not {label_map.dtype}")
        result = self._index_of_id[np.clip(label_map.astype(np.int64), -1, len(self._index_of_id) - 1)]
        if (result < 0).any():
            raise ValueError(f"ids outside the class list: {_some(self.foreign_ids(label_map))}")
        return result

    def foreign_ids(self, label_map: np.ndarray) -> list[int]:
        """The ids in the map that no class has, in order."""
        present = np.unique(label_map)
        return [
            int(value)
            for value in present
            if not 0 <= value < len(self._index_of_id) - 1 or self._index_of_id[value] < 0
        ]

    def ids(self, indices: np.ndarray) -> np.ndarray:
        """The inverse of `indices`: a map of ids, in the smallest unsigned type that holds them all."""
        ids = np.array([item.id for item in self.classes])
        return ids.astype(np.uint8 if ids.max() < 256 else np.uint16)[indices]

    def colorize(self, indices: np.ndarray) -> np.ndarray:
        """(H, W) class indices to (H, W, 3) uint8 RGB."""
        return self.palette[np.asarray(indices)]

    @classmethod
    def read(cls, path: Path | str) -> LabelSchema:
        """Read a ``labels.yaml``.

        Raises:
            UserError: it cannot be read, or anything in it is not as it should be.
        """
        try:
            data = yaml.safe_load(as_path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise UserError(f"{path}: cannot be read ({reason}); give a YAML list of classes") from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f" in line {mark.line + 1}" if mark else ""
            raise UserError(
                f"{path}: not YAML{where}; write 'classes:' and one '- {{id: ...}}' a line"
            ) from None
        return cls.from_dict(data, source=str(path))

    def write(self, path: Path | str) -> None:
        """Write a ``labels.yaml`` that `read` gives back, whole or not at all.

        Raises:
            UserError: the disk is full, or the place cannot be written.
        """
        lines = ["classes:"]
        for entry in self.to_dict()["classes"]:
            text = yaml.safe_dump(
                entry, default_flow_style=True, sort_keys=False, width=float("inf"), allow_unicode=True
            )
            lines.append(f"- {text.strip()}")
        with whole_file(Path(path)) as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON or YAML data; flags that are off are left out."""
        entries = []
        for item in self.classes:
            entry: dict[str, Any] = {"id": item.id, "name": item.name, "color": list(item.color)}
            entry.update({flag: True for flag in ("foreground", "ignore") if getattr(item, flag)})
            entries.append(entry)
        return {"classes": entries}

    @classmethod
    def from_dict(cls, data: object, source: str = "labels") -> LabelSchema:
        """The inverse of `to_dict`, strict. `source` names the file in messages.

        Raises:
            UserError: anything missing, unknown, doubled or out of range.
        """
        try:
            if not isinstance(data, Mapping) or not isinstance(data.get("classes"), list):
                raise ValueError("no list of classes; write 'classes:' and one '- {id: ...}' a line")
            if unknown := [key for key in data if key != "classes"]:
                raise ValueError(f"unknown key {unknown[0]!r}; only 'classes' is known here")
            return cls(tuple(_read_class(entry, place) for place, entry in enumerate(data["classes"], 1)))
        except ValueError as error:
            raise UserError(f"{source}: {error}") from None


def _read_class(entry: object, place: int) -> LabelClass:
    """One checked entry; `place` counts from 1."""
    if not isinstance(entry, Mapping):
        raise ValueError(
            f"class {place} is not a mapping; write {{id: 0, name: sky, color: [128, 128, 128]}}"
        )
    who = f"class {place} ({entry.get('name', 'no name')})"
    known = [field.name for field in fields(LabelClass)]
    if unknown := [key for key in entry if key not in known]:
        raise ValueError(f"{who} has the unknown key {unknown[0]!r}; known are {', '.join(known)}")
    if missing := [key for key in known[:3] if key not in entry]:
        raise ValueError(f"{who} lacks {missing[0]!r}; add it")
    if not _is_whole(entry["id"], LARGEST_ID):
        raise ValueError(f"{who} has id {entry['id']!r}; it must be a whole number from 0 to {LARGEST_ID}")
    if not isinstance(entry["name"], str) or not entry["name"].strip():
        raise ValueError(f"{who} has the name {entry['name']!r}; it must be text (put it in quotes)")
    color = entry["color"]
    if (
        not isinstance(color, list | tuple)
        or len(color) != 3
        or not all(_is_whole(part, 255) for part in color)
    ):
        raise ValueError(f"{who} has color {color!r}; it must be three whole numbers from 0 to 255")
    flags = {flag: entry.get(flag, False) for flag in known[3:]}
    for flag, value in flags.items():
        if not isinstance(value, bool):
            raise ValueError(f"{who} has {flag} {value!r}; it must be true or false")
    red, green, blue = color
    return LabelClass(entry["id"], entry["name"], (red, green, blue), **flags)


def _is_whole(value: object, largest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= largest


def _some(values: list[int], most: int = 8) -> str:
    """A few of many numbers, for a message."""
    shown = ", ".join(str(value) for value in values[:most])
    return shown if len(values) <= most else f"{shown} and {len(values) - most} more"


def check_classes(classes: LabelSchema, others: LabelSchema, who: str) -> None:
    """Raises UserError where a forecaster's classes are others than those of ``who``."""
    ours, theirs = ([(item.id, item.name) for item in schema.classes] for schema in (classes, others))
    if ours != theirs:
        one, other = next(
            pair for pair in zip_longest(ours, theirs, fillvalue=("", "none")) if pair[0] != pair[1]
        )
        raise UserError(
            f"{who}: other classes than the forecaster's ({other[1]} {other[0]} where that has {one[1]} "
            f"{one[0]}); choose what was made for one class list"
        )
