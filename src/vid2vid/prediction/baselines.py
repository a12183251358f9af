"""Futures that need no training: what any forecaster has to beat."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import cv2
import numpy as np
import torch
from torch import Tensor

from vid2vid.conditions import ConditionSchema
from vid2vid.data.dataset import ClipFrames
from vid2vid.flow import FlowEstimator, warp
from vid2vid.prediction.past import encoded, pictures
from vid2vid.prediction.rollout import Future
from vid2vid.types import Size, to_picture


def copy_last(seen: ClipFrames, schema: ConditionSchema | None, size: Size) -> Iterator[Future]:
    """The last observed frame and its label map, for ever."""
    last = _last(seen, schema, size)
    while True:
        yield last


def constant_flow(
    seen: ClipFrames, schema: ConditionSchema | None, size: Size, estimator: FlowEstimator
) -> Iterator[Future]:
    """Every point moves on as it did between the last two observed frames.

    With w the flow from the last one to the one before, the point at q is at q - k w(q) after k frames. Where
    several arrive the fastest is seen, for what is near moves most; where none does the nearest one's motion
    counts. The last observed frame and label map are looked up once (labels: at the nearest pixel), so that
    nothing is blurred by being warped again and again.
    """
    last = _last(seen, schema, size)
    assert last.frame is not None
    before, now = (to_picture(frame) for frame in pictures(seen, size, torch.device("cpu"))[-2:])
    flow = estimator.estimate(now, before)
    for k in count(1):
        way = torch.from_numpy(_carried(flow, k))[None]
        condition = None if last.condition is None else _nearest(last.condition, way)
        yield Future(condition, warp(last.frame, way))


def _carried(flow: np.ndarray, k: int) -> np.ndarray:
    """(2, H, W): from where points are after k frames to where they are now."""
    height, width = flow.shape[1:]
    rows, columns = np.mgrid[:height, :width]
    x, y = np.rint(columns - k * flow[0]).astype(int), np.rint(rows - k * flow[1]).astype(int)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    if not inside.any():
        return k * flow
    order = np.argsort((flow**2).sum(0), axis=None, kind="stable")  # the last to be written stays
    order = order[inside.ravel()[order]]
    source = np.full(height * width, -1)
    source[(y * width + x).ravel()[order]] = order
    empty = (source < 0).reshape(height, width)
    _, marks = cv2.distanceTransformWithLabels(
        empty.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros(marks.max() + 1, int)
    nearest[marks[~empty]] = source[~empty.ravel()]
    return k * flow.reshape(2, -1)[:, nearest[marks]]


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
