"""The synthetic city as a clip on disk."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np
import yaml

from vid2vid.data.city.classes import city_schema
from vid2vid.data.city.drive import City, CityFrame
from vid2vid.errors import UserError
from vid2vid.progress import Progress, silent
from vid2vid.types import Size
from vid2vid.video.files import make_folder, temporary_name, writing_failed
from vid2vid.video.pictures import write_picture


def write_city(
    clip_folder: Path | str,
    *,
    seed: int = 0,
    frames: int = 100,
    size: Size = (512, 256),
    rate: Fraction | float = 15,
    progress: Progress = silent,
) -> Path:
    """Write the first ``frames`` frames of a city as a clip; it appears under its name when it is whole.

    The folder gets ``frames/``, ``labels/`` (class ids), ``instances/`` (16 bit), ``flow/`` (``.npz`` with
    ``flow`` (2, H, W) float16, pixels, from each frame to the one before, and ``occlusion`` (H, W) bool),
    ``labels.yaml`` and ``clip.yaml``. Returns the folder.

    Raises:
        UserError: the folder is already there, the disk is full, or a setting makes no city.
    """
    clip = Path(clip_folder)
    if clip.exists() and not (clip.is_dir() and not any(clip.iterdir())):
        raise UserError(f"{clip}: already there and not an empty folder; remove it or choose another name")
    if frames < 1:
        raise UserError(f"frames {frames}: a clip has at least 1")
    try:
        city = City(seed, size, rate)
    except ValueError as error:
        raise UserError(f"{error}; choose another") from None
    make_folder(clip.parent)
    part = temporary_name(clip)
    try:
        for kind in ("frames", "labels", "instances", "flow"):
            make_folder(part / kind)
        for index, frame in enumerate(city.frames(frames)):
            _write_frame(part, f"{index:06d}", frame)
            progress(index + 1, frames, "drawing the city")
        city_schema().write(part / "labels.yaml")
        whole = Fraction(rate).denominator == 1
        record = {
            "rate": int(rate) if whole else str(rate),
            "source": "city",
            "seed": seed,
            "frames": frames,
            "size": list(size),
        }
        (part / "clip.yaml").write_text(yaml.safe_dump(record, sort_keys=False), encoding="utf-8")
        os.replace(part, clip)
    except OSError as error:
        raise writing_failed(clip, error) from error
    finally:
        with suppress(OSError):
            shutil.rmtree(part)
    return clip


def _write_frame(clip: Path, name: str, frame: CityFrame) -> None:
    write_picture(clip / "frames" / f"{name}.png", frame.image)
    write_picture(clip / "labels" / f"{name}.png", frame.labels)
    write_picture(clip / "instances" / f"{name}.png", frame.instances)
    file: IO[bytes]
    with (clip / "flow" / f"{name}.npz").open("wb") as file:
        np.savez_compressed(file, flow=frame.flow.astype(np.float16), occlusion=frame.occlusion)
