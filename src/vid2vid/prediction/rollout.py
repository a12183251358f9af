"""Futures made by networks: label maps, or pictures, forecast, each step from the last, and rendered."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor

from vid2vid.conditions import ConditionSchema, LabelSchema, ObjectTracker, instance_edges, told_apart
from vid2vid.data.dataset import ClipFrames
from vid2vid.flow import FlowEstimator, carried_in_space, motion_in_space, resize_flow, swerved
from vid2vid.inference.stream import stream
from vid2vid.inference.styling import Styling
from vid2vid.models.joint import Ahead, harden
from vid2vid.prediction.past import FRAMES, encoded, pictures
from vid2vid.types import GeneratorOutput, Size, to_picture
from vid2vid.zoo import Model


@dataclass(frozen=True)
class Future:
    """The next frame of each of B futures.

    condition: (B, C, H, W) label maps, encoded, each pixel of one class, or pictures; None where only frames
    are forecast.
    frame: (B, 3, H, W) in [-1, 1]; None where nothing renders.
    """

    condition: Tensor | None
    frame: Tensor | None


@dataclass(frozen=True)
class Forecast:
    """A forecaster of label maps or pictures and the renderer that shows them; or one of frames by itself.

    size: (width, height) of what it gives. The forecaster works at the size it was trained at; what it says
    of motion moves what was observed at this size. estimator: of the motion last observed.
    """

    forecaster: Model
    renderer: Model | None
    size: Size
    device: torch.device
    estimator: FlowEstimator

    def __call__(self, seen: ClipFrames, noise: Tensor) -> Iterator[Future]:
        """Futures without end, one for each row of noise (B, Z, 1, 1), in constant memory."""
        schema = self.forecaster.schema
        steps = self._steps(seen, noise)
        if schema.name == FRAMES:
            for step in steps:
                yield Future(None, step.made)
            return
        if self.renderer is None:
            for step in steps:
                yield Future(harden(step.made, schema.labels), None)
            return
        waiting: deque[tuple[Ahead, Tensor]] = deque()
        adapt = Adapter(schema, self.renderer.schema, len(noise))

        def described() -> Iterator[tuple[Tensor, Tensor | None]]:
            for step in steps:
                condition = adapt(harden(step.made, schema.labels))
                waiting.append((step, condition))
                yield condition, step.flow

        last = pictures(seen, self.size, self.device)[-1:]
        for painted in render(self.renderer, seen, self.size, self.device, described(), len(noise)):
            step, condition = waiting.popleft()
            yield Future(condition, step.shows(last, painted))

    @torch.inference_mode()
    def _steps(self, seen: ClipFrames, noise: Tensor) -> Iterator[Ahead]:
        model, size = self.forecaster, self.size
        motion = last_motion(seen, size, self.estimator).to(self.device)
        last = encoded(seen, model.schema, size, self.device)[-1:].expand(len(noise), -1, -1, -1)
        observed = encoded(seen, model.schema, model.size, self.device)
        in_space = motion_in_space(motion, regions(last[:1], model.schema))
        for k, output in enumerate(unroll(model, observed, noise, resize_flow(motion, model.size)), 1):
            if size != model.size:
                output = _at(size, output, in_space, k, model.schema.labels)
            yield Ahead.of(output, last, model.schema.labels)


def _at(
    size: Size, output: GeneratorOutput, motion: Tensor, k: int, labels: LabelSchema | None
) -> GeneratorOutput:
    """What a forecaster's step k says of another size than its own; what moves is what was observed there.
    motion: of the last frame, in space, (1, ., H, W) at that size."""
    frame, raw = (enlarged(soft, labels, size) for soft in (output.frame, output.raw))
    flow = None if output.flow is None else resize_flow(output.flow, size)
    if output.residual is None or output.mask is None:
        return GeneratorOutput(frame, raw, flow)
    inert, _ = carried_in_space(motion, k)
    way = swerved(inert.expand(len(raw), -1, -1, -1), resize_flow(output.residual, size))
    return GeneratorOutput(frame, raw, flow, _resized(output.mask, size), way=way)


def last_motion(seen: ClipFrames, size: Size, estimator: FlowEstimator) -> Tensor:
    """(1, 2, H, W) of the last observed frame, to the one before."""
    before, now = (to_picture(frame) for frame in pictures(seen, size, torch.device("cpu"))[-2:])
    return torch.from_numpy(estimator.estimate(now, before))[None]


def regions(condition: Tensor, schema: ConditionSchema | None) -> Tensor | None:
    """The things (B, H, W) of an encoded condition, for ``motion_in_space``; None where it has no classes."""
    if schema is None or schema.labels is None:
        return None
    return told_apart(condition, len(schema.labels), schema.labels.foreground)


@torch.inference_mode()
def unroll(model: Model, observed: Tensor, noise: Tensor, motion: Tensor) -> Iterator[GeneratorOutput]:
    """What a forecaster makes of observed frames (T, C, H, W), each step from its last ones, without end.

    Args:
        noise: (B, Z, 1, 1). motion: (1, 2, H, W), the flow of the last frame observed.
    """
    first = observed.expand(len(noise), *observed.shape)
    parts = (x.expand(len(noise), -1, *observed.shape[2:]) for x in (noise, motion))
    known = torch.cat(list(parts), dim=1)[:, None].expand(-1, len(observed), -1, -1, -1)
    state = model.renderer.init_state(known, first)
    while True:
        output, state = model.renderer.step(noise, state)
        yield output


def render(
    model: Model,
    seen: ClipFrames,
    size: Size,
    device: torch.device,
    future: Iterable[tuple[Tensor, Tensor | None]],
    futures: int = 1,
) -> Iterator[Tensor]:
    """Frames (B, 3, H, W) of conditions to come; the observed frames are the renderer's history.

    Args:
        future: encoded conditions (B, C, H, W) and, for a renderer that is given it, their flow.
        futures: B.
    """
    known = encoded(seen, model.schema, size, device)
    look = Styling(model) if model.architecture.styles else None

    def conditions() -> Iterator[Tensor]:
        for condition in known:
            yield whole(condition.expand(futures, -1, -1, -1), None)
        for condition, flow in future:
            yield whole(condition, flow)

    def whole(condition: Tensor, flow: Tensor | None) -> Tensor:
        parts = [condition]
        if look is not None:
            parts.append(look(_objects(condition, model.schema.labels)).to(condition))
        if model.architecture.given_flow:  # that of observed frames is not looked at: they are there
            parts.append(condition.new_zeros(futures, 2, *condition.shape[2:]) if flow is None else flow)
        return torch.cat(parts, dim=1)

    first = [frame.expand(futures, -1, -1, -1) for frame in pictures(seen, size, device)]
    return islice(stream(model, conditions(), first), len(first), None)


def _objects(condition: Tensor, labels: LabelSchema | None) -> Tensor:
    """(B, H, W), what can have a look of its own: all of a class, or the whole of a picture."""
    if labels is None:
        return torch.zeros_like(condition[:, 0], dtype=torch.int64)
    return condition[:, : len(labels)].argmax(1)


def enlarged(soft: Tensor, labels: LabelSchema | None, size: Size) -> Tensor:
    """Frames, or soft label maps, (B, C, h, w) at ``size`` (width, height): a border of objects, two pixels
    wide, stays as narrow."""
    larger = round(size[0] / soft.shape[-1])
    soft = _resized(soft, size)
    if labels is None or larger < 2 or soft.shape[1] == len(labels):
        return soft
    classes, borders = soft[:, : len(labels)], soft[:, len(labels) :]
    return torch.cat([classes, -F.max_pool2d(-borders, 2 * larger - 1, 1, larger - 1)], dim=1)


class Adapter:
    """Brings forecast label maps to a renderer that knows borders between objects where the forecaster does
    not, or the other way round. Missing ones are those of the connected components of foreground classes."""

    def __init__(self, schema: ConditionSchema, wanted: ConditionSchema, futures: int) -> None:
        self._labels = schema.labels
        self._has, self._wants = schema.instances, wanted.instances
        self._trackers = [ObjectTracker() for _ in range(futures)]

    def __call__(self, hard: Tensor) -> Tensor:
        """(B, C, H, W) of the forecaster to (B, C', H, W) of the renderer."""
        if self._labels is None or self._has == self._wants:
            return hard
        classes = hard[:, : len(self._labels)]
        if not self._wants:
            return classes
        objects = [
            torch.from_numpy(tracker.components(one.argmax(0).cpu().numpy(), self._labels.foreground))
            for tracker, one in zip(self._trackers, classes, strict=True)
        ]
        return torch.cat([classes, instance_edges(torch.stack(objects)).to(classes)], dim=1)


def draw_noise(model: Model, samples: int, seed: int, device: torch.device) -> Tensor:
    """(samples, Z, 1, 1): the first is zero, the most likely future; each other one is drawn, and a future of
    its own, the same for one seed however many are drawn."""
    noise = torch.zeros(samples, model.renderer.condition_channels, 1, 1)
    generator = torch.Generator().manual_seed(seed)
    for row in noise[1:]:
        row.normal_(generator=generator)
    return noise.to(device)


def _resized(x: Tensor, size: Size) -> Tensor:
    width, height = size
    if x.shape[-2:] == (height, width):
        return x
    return F.interpolate(x, (height, width), mode="bilinear", align_corners=False, antialias=True)
