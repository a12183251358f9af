"""``vid2vid import``."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path


def import_(
    checkpoints: Path,
    *,
    out: Path,
    labels: Path | None = None,
    foreground: list[int] | None = None,
    instances: bool = False,
    condition: str | None = None,
    size: tuple[int, int] | None = None,
    fps: Fraction = Fraction(25),
) -> None:
    """Turn published checkpoints (latest_net_G0.pth ...) into a model folder.

    Their files are read as plain tensors: nothing in them is executed. Generators of all scales, the image
    generator, its feature encoder and the discriminators are taken.

    Args:
        checkpoints (FOLDER): the folder of .pth files
        out (MODEL): the model folder
        labels (LABELS.YAML): the classes of the condition (default: Cityscapes' for 35 or 36 channels)
        foreground (ID): the classes that the foreground network draws, by id (default: those of the class
            list; in Cityscapes 26, cars)
        instances: the last channel is that of instance edges (where classes have no names)
        condition (NAME): what will describe the frames (default: labels; face or dance for 15 or 6 channels,
            as published; condition for other pictures)
        size (WxH): what it was trained at (default: 512x256 at the coarsest scale; 512x512 for pictures)
        fps (RATE): frames per second it was trained at

    Example:
        vid2vid import checkpoints/label2city_2048 --out models/streets --foreground 26
    """
    from vid2vid.zoo import import_checkpoints

    import_checkpoints(
        checkpoints,
        out,
        labels=labels,
        foreground=foreground or (),
        instances=instances,
        condition=condition,
        size=size,
        rate=fps,
        say=print,
    )
    print(f"Model: {out}")
