"""What a training reads of a dataset, and what is kept out of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from vid2vid.config import Recipe
from vid2vid.data import Augmentation, Clip, Dataset, sequences
from vid2vid.errors import UserError
from vid2vid.training.distributed import Team
from vid2vid.training.schedule import lengths
from vid2vid.types import VideoBatch


def open_dataset(dataset: Path | str, settings: Recipe, frames: str | None) -> Dataset:
    """What a training with these settings reads."""
    data = settings.data
    return Dataset.open(
        dataset,
        condition=data.condition,
        target=data.target,
        size=data.size,
        frames=frames,
        instances=data.instances,
        flow=data.flow,
    )


def augmentation(settings: Recipe) -> Augmentation:
    """How it is varied."""
    config = settings.data
    return Augmentation(
        config.flip, config.scale, config.crop, config.jitter, config.recolour, config.drop, config.wobble
    )


def batches(data: Dataset, settings: Recipe, first: int, team: Team) -> Iterator[VideoBatch]:
    """Its batches from number ``first`` on, without end: this process's part of them."""
    config = settings.data
    return sequences(
        data,
        length=lengths(config),
        more=settings.train.rollout,
        batch=config.batch,
        seed=settings.train.seed,
        first_step=first,
        augment=augmentation(settings),
        workers=config.workers,
        rank=team.rank,
        processes=team.size,
    )


def keep_out(part: str, dataset: Path | str, settings: Recipe, data: Dataset) -> tuple[Dataset, Clip]:
    """What is left to train on, and what is kept out of it, to be scored.

    Args:
        part: the name of a clip; or a part of each clip, such as ``57:71``: that of the first is taken.
        data: what would be trained on.

    Raises:
        UserError: no such clip or frames, or they are trained on as well.
    """
    if ":" in part:
        clip = open_dataset(dataset, settings, part).clips[0]
        if shared := {*data.clips[0].places} & {*clip.places}:
            raise UserError(
                f"--validate {part}: frame {min(shared)} of {clip.name} is trained on too; "
                "say with --frames what to learn from"
            )
    else:
        named = [clip for clip in data.clips if clip.name == part]
        data = replace(data, clips=tuple(clip for clip in data.clips if clip.name != part))
        if not named or not data.clips:
            raise UserError(
                f"--validate {part}: no clip of several has this name; name one, or a part such as 57:71"
            )
        (clip,) = named
    if len(clip) <= (given := settings.model.history):
        raise UserError(
            f"--validate {part}: of {len(clip)} frames of {clip.name} {given} are given, which leaves none "
            "to score; name more"
        )
    return data, clip
