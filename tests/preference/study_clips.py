"""Tiny studies: a square that moves over a grey ground, smoothly in one system and in jumps in the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vid2vid.video import write_picture


def moving(folder: Path, grey: int, frames: int = 4, size: tuple[int, int] = (48, 32)) -> Path:
    """A clip as a folder of pictures."""
    folder.mkdir(parents=True)
    for number in range(frames):
        picture = np.full((size[1], size[0], 3), grey, np.uint8)
        picture[8:20, 4 * number : 4 * number + 12] = (250, 60, 40)
        write_picture(folder / f"{number:04d}.png", picture)
    return folder


def several(folder: Path, grey: int, names: str = "ab") -> Path:
    """A folder of clips."""
    for place, name in enumerate(names):
        moving(folder / name, grey + 5 * place)
    return folder


def systems(place: Path, names: str = "ab") -> list[str]:
    """Two systems, as the command line takes them."""
    return [f"ours={several(place / 'o', 60, names)}", f"twin={several(place / 't', 160, names)}"]
