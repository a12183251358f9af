"""Futures that need no training: what any forecaster has to beat."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import torch
from torch import Tensor

from vid2vid.conditions import ConditionSchema
from vid2vid.data.dataset import ClipFrames
from vid2vid.flow import FlowEstimator, carried, carried_in_space, motion_in_space, warp
from vid2vid.prediction.past import encoded, pictures
from vid2vid.prediction.rollout import Future, last_motion, regions
from vid2vid.types import Size


def copy_last(seen: ClipFrames, schema: ConditionSchema | None, size: Size) -> Iterator[Future]:
    """The last observed frame and its label map, for ever."""
    last = _last(seen, schema, size)
    while True:
        yield last


def inertia(
    seen: ClipFrames,
    schema: ConditionSchema | None,
    size: Size,
    estimator: FlowEstimator,
    in_space: bool,
) -> Iterator[Future]:
    """Every point moves on as it did between the last two observed frames, at a constant speed in the picture
    (``flow.carried``) or in space (``flow.carried_in_space``, in which classes are told apart where they are
    known); labels are looked up at the nearest pixel."""
    last = _last(seen, schema, size)
    assert last.frame is not None
    flow = last_motion(seen, size, estimator)
    if in_space:
        flow = motion_in_space(flow, None if last.condition is None else regions(last.condition, schema))
    for k in count(1):
        way, _ = (carried_in_space if in_space else carried)(flow, k)
        condition = None if last.condition is None else _nearest(last.condition, way)
        yield Future(condition, warp(last.frame, way))


def _last(seen: ClipFrames, schema: ConditionSchema | None, size: Size) -> Future:
    here = torch.device("cpu")
    condition = None if schema is None else encoded(seen, schema, size, here)[-1:]
    return Future(condition, pictures(seen, size, here)[-1:])


def _nearest(maps: Tensor, flow: Tensor) -> Tensor:
    """Maps (1, C, H, W) looked up at the pixel nearest to p + flow(p), held inside the picture."""
    height, width = maps.shape[-2:]
    columns = (torch.arange(width) + flow[0, 0]).round().long().clamp(0, width - 1)
    rows = (torch.arange(height)[:, None] + flow[0, 1]).round().long().clamp(0, height - 1)
    return maps[..., rows, columns]
