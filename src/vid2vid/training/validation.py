"""A part of the footage that is kept out of training, rendered and scored at every checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vid2vid.annotators.drawn import image_tensor
from vid2vid.data import Clip
from vid2vid.evaluation.metrics import METRICS, Context
from vid2vid.evaluation.motion import reference_motion
from vid2vid.flow import open_estimator
from vid2vid.inference.stream import stream
from vid2vid.models.forecaster import Forecaster
from vid2vid.models.joint import Joint
from vid2vid.training.checkpoint import Better, Scores
from vid2vid.types import to_picture, to_tensor
from vid2vid.zoo.folder import Model
from vid2vid.zoo.renderers import AnyRenderer

MOST_FRAMES = 16
"""Scored each time, beside those that are given: what it costs is to stay small beside the training."""


class Rendered(NamedTuple):
    """A picture of each kind, (H, W, 3) uint8: what is seen, what was to be made of it, what was made. Of a
    forecaster the latter are conditions, tinted, and the first is their real frame."""

    seen: np.ndarray
    real: np.ndarray
    made: np.ndarray


def render(renderer: AnyRenderer, model: Model, clip: Clip, count: int) -> Iterator[Rendered]:
    """The first ``count`` frames of a clip; as many as the renderer looks back on are the real ones."""
    device, given = next(renderer.parameters()).device, range(min(renderer.history, count))
    tint, forecasts = model.schema.tint, isinstance(renderer, Forecaster)
    joint = isinstance(renderer, Joint)
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    if forecasts:
        first = [_describe(model, clip, t, device)[0] for t in given]
    else:
        first = [to_tensor(clip.frame(t))[None].to(device) for t in given]

    def described() -> Iterator[Tensor]:
        for t in range(count):
            condition, real = _describe(model, clip, t, device)
            seen[:] = [(real, tint(condition[0])) if forecasts else (tint(condition[0]), real)]
            if forecasts or joint:
                still = _still(renderer, clip, t, condition)
                condition = torch.cat([still, condition], dim=1) if joint else still
            yield condition

    training = renderer.training
    renderer.eval()
    try:
        for made in stream(replace(model, renderer=renderer, first_frame=None), described(), first):
            yield Rendered(*seen[0], tint(made[0]) if forecasts else to_picture(made[0]))
    finally:
        renderer.train(training)


def _still(forecaster: AnyRenderer, clip: Clip, t: int, like: Tensor) -> Tensor:
    """What a forecaster is given of frame t for the most likely future."""
    noise = like.new_zeros(1, forecaster.condition_channels, *like.shape[2:])
    return torch.cat([noise, torch.from_numpy(clip.flow(t))[None].to(noise)], dim=1)


@torch.no_grad()
def _describe(model: Model, clip: Clip, t: int, device: torch.device) -> tuple[Tensor, np.ndarray]:
    """Frame t's condition and its picture."""
    read, schema = clip.read(t, t + 1), model.schema
    labels, instances = (
        None if kind is None else torch.from_numpy(kind).to(device) for kind in (read.labels, read.instances)
    )
    image = None if read.image is None else image_tensor(read.image, schema.name).to(device)
    condition = schema.encode(labels, instances, image)
    if model.encoder is not None:
        real = to_tensor(read.frames).to(device)
        styles = model.encoder(real, schema.objects(labels, instances, like=real))
        condition = torch.cat([condition, styles], dim=1)
    if model.architecture.given_flow:
        condition = torch.cat([condition, torch.from_numpy(clip.flow(t))[None].to(device)], dim=1)
    return condition, read.frames[0]


def validate(renderer: AnyRenderer, model: Model, clip: Clip) -> Scores:
    """How well the first frames of a clip are made: the metrics that need no network, by their keys; None
    where one is not defined. As many real frames as the renderer looks back on are given."""
    estimator = open_estimator("dis")
    metrics = [metric() for metric in METRICS]
    before: Rendered | None = None
    count = min(len(clip), renderer.history + MOST_FRAMES)
    for number, now in enumerate(render(renderer, model, clip, count)):
        context = Context(
            estimator,
            motion=None if before is None else reference_motion(now.real, before.real, estimator),
            previous_real=None if before is None else before.real,
            previous_fake=None if before is None else before.made,
            given=number < renderer.history,
        )
        for metric in metrics:
            metric.update(now.real, now.made, context)
        before = now
    return {metric.key: metric.compute() for metric in metrics}


def better_by(key: str) -> Better:
    """How good a score of the metric is: the higher, the better."""
    better = next(metric.better for metric in METRICS if metric.key == key)
    ways: dict[str, Better] = {
        "higher": lambda score: score,
        "lower": lambda score: -score,
        "one": lambda score: -abs(score - 1),
    }
    return ways[better]
