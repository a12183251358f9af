"""``demo``: a bundled model renders a drive through the synthetic city. No data, no network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vid2vid.data.city import City, city_schema
from vid2vid.device import pick_device
from vid2vid.errors import UserError
from vid2vid.inference.source import Described
from vid2vid.inference.stream import stream
from vid2vid.progress import Progress, silent
from vid2vid.types import Size, to_picture
from vid2vid.video import open_writer
from vid2vid.zoo import Model, load_renderer


def demo(
    out: Path | str,
    *,
    model: Model | Path | str = "city",
    frames: int = 120,
    size: Size = (512, 256),
    seed: int = 1,
    device: str = "auto",
    progress: Progress = silent,
) -> int:
    """Writes label maps of the synthetic city and, to the right of them, what the model makes of them.

    Args:
        out: a video file, or a folder for PNGs.
        model: a model of the synthetic city, its folder, or the name of a bundled one.
        frames: how many.
        size: (width, height) of each of the two halves.
        seed: which city.
        device: auto, cpu, cuda, cuda:1, mps.
        progress: called after every frame.

    Returns:
        How many frames were written.

    Raises:
        UserError: no such model, a model of something else, a size too small, ``out`` cannot be written.
    """
    where = pick_device(device)
    renderer = load_renderer(model, where)
    classes = renderer.schema.labels
    if classes is None or classes.names != city_schema().names:
        raise UserError(f"{model}: is no model of the synthetic city; leave --model out for the bundled one")
    if frames < 1:
        raise UserError(f"frames {frames}: nothing to render; ask for at least 1")
    try:
        city = City(seed, size, renderer.rate)
    except ValueError as error:
        raise UserError(str(error)) from error
    renderer.to(where).renderer.eval()
    shown: list[np.ndarray] = []

    def conditions() -> Iterator[Tensor]:
        for frame in city.frames(frames):
            labels = classes.indices(frame.labels)
            shown[:] = [classes.colorize(labels)]
            item = Described(None, None, labels=labels, instances=frame.instances.astype(np.int64))
            yield item.encode(renderer.schema, where)

    torch.manual_seed(seed)
    with open_writer(out, renderer.rate) as writer:
        for done, made in enumerate(stream(renderer, conditions()), start=1):
            writer.write(np.concatenate([*shown, to_picture(made[0])], axis=1))
            progress(done, frames)
    return frames
