"""Something to render at any size: a drive through the synthetic city, in the classes of any model."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

from vid2vid.conditions import ConditionSchema, LabelSchema
from vid2vid.data.city import City, city_schema
from vid2vid.errors import UserError
from vid2vid.types import Size
from vid2vid.video import write_picture

DISTINCT = 48
"""Frames of the drive that differ; longer ones begin it again."""

_ALSO = {
    "pavement": "sidewalk",
    "tree": "vegetation",
    "sign": "traffic sign",
    "pedestrian": "person",
    "marking": "road",
    "window": "building",
}
"""What the classes of the city are called elsewhere."""


def write_drive(folder: Path, schema: ConditionSchema, size: Size, frames: int) -> Path:
    """A clip of so many conditions, as PNGs: label maps and instances, or pictures.

    Raises:
        UserError: the model wants something that the city does not show; a size too small.
    """
    if schema.kind == "image" and schema.image_channels != 3:
        raise UserError(
            f"the model renders {schema.name!r} of {schema.image_channels} channels, and bench has pictures "
            "and label maps only; measure it with synthesize on a clip of yours"
        )
    try:
        city = City(1, size, 15)
    except ValueError as error:
        raise UserError(str(error)) from error
    ids = None if schema.labels is None else _ids(schema.labels)
    distinct = min(frames, DISTINCT)
    for t, frame in enumerate(city.frames(distinct)):
        if ids is None:
            write_picture(folder / schema.name / f"{t:06d}.png", frame.image)
            continue
        write_picture(folder / schema.name / f"{t:06d}.png", ids[frame.labels])
        if schema.instances:
            write_picture(folder / "instances" / f"{t:06d}.png", frame.instances)
    for kind in folder.iterdir():
        for t in range(distinct, frames):
            _again(kind / f"{t % distinct:06d}.png", kind / f"{t:06d}.png")
    return folder


def _ids(classes: LabelSchema) -> np.ndarray:
    """By the city's class id, that of the class nearest in meaning."""
    by_name = {item.name: item.id for item in classes.classes}
    table = []
    for number, item in enumerate(city_schema().classes):
        other = classes.classes[number % len(classes)].id
        table.append(by_name.get(item.name, by_name.get(_ALSO.get(item.name, ""), other)))
    return np.array(table, np.int32)


def _again(first: Path, second: Path) -> None:
    try:
        os.link(first, second)
    except OSError:  # not every file system has hard links
        shutil.copyfile(first, second)
