"""Futures made by networks: label maps forecast, each step from the last, and rendered."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, zip_longest

import torch
import torch.nn.functional as F
from torch import Tensor

from vid2vid.conditions import ConditionSchema, LabelSchema, ObjectTracker, instance_edges
from vid2vid.data.dataset import ClipFrames
from vid2vid.errors import UserError
from vid2vid.flow import resize_flow
from vid2vid.inference.stream import stream
from vid2vid.inference.styling import Styling
from vid2vid.prediction.past import encoded, pictures
from vid2vid.types import GeneratorOutput, Size
from vid2vid.zoo import Model


@dataclass(frozen=True)
class Future:
    """The next frame of each of B futures.

    condition: (B, C, H, W) label maps, encoded, each pixel of one class; None where only frames are forecast.
    frame: (B, 3, H, W) in [-1, 1]; None where nothing renders.
    """

    condition: Tensor | None
    frame: Tensor | None


@dataclass(frozen=True)
class Forecast:
    """A forecaster of label maps and the renderer that shows them; or a forecaster of frames by itself.

    size: (width, height) of what it gives. The forecaster works at the size it was trained at.
    """

    forecaster: Model
    renderer: Model | None
    size: Size
    device: torch.device

    def __call__(self, seen: ClipFrames, noise: Tensor) -> Iterator[Future]:
        """Futures without end, one for each row of noise (B, Z, 1, 1), in constant memory."""
        model = self.forecaster
        outputs = unroll(model, encoded(seen, model.schema, model.size, self.device), noise)
        if model.schema.labels is None:
            for output in outputs:
                yield Future(None, _resized(output.frame, self.size))
            return
        if self.renderer is None:
            for output in outputs:
                yield Future(harden(output.frame, model.schema.labels, self.size), None)
            return
        waiting: deque[Tensor] = deque()
        adapt = Adapter(model.schema, self.renderer.schema, len(noise))

        def described() -> Iterator[tuple[Tensor, Tensor | None]]:
            for output in outputs:
                hard = harden(output.frame, adapt.classes, self.size)
                waiting.append(adapt(hard))
                flow = None if output.flow is None else resize_flow(output.flow, self.size)
                yield waiting[-1], flow

        for frame in render(self.renderer, seen, self.size, self.device, described(), len(noise)):
            yield Future(waiting.popleft(), frame)


@torch.inference_mode()
def unroll(model: Model, observed: Tensor, noise: Tensor) -> Iterator[GeneratorOutput]:
    """What a forecaster makes of observed frames (T, C, H, W), each step from its last ones, without end."""
    first = observed.expand(len(noise), *observed.shape)
    state = model.renderer.init_state(noise, first)
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
    """Frames (B, 3, H, W) of label maps to come; the observed frames are the renderer's history.

    Args:
        future: encoded label maps (B, C, H, W) and, for a renderer that is given it, their flow.
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
        if look is not None and model.schema.labels is not None:
            parts.append(look(condition[:, : len(model.schema.labels)].argmax(1)).to(condition))
        if model.architecture.given_flow:  # that of observed frames is not looked at: they are there
            parts.append(condition.new_zeros(futures, 2, *condition.shape[2:]) if flow is None else flow)
        return torch.cat(parts, dim=1)

    first = [frame.expand(futures, -1, -1, -1) for frame in pictures(seen, size, device)]
    return islice(stream(model, conditions(), first), len(first), None)


def harden(soft: Tensor, labels: LabelSchema, size: Size) -> Tensor:
    """Forecast label maps (B, C, h, w), soft, as a renderer knows them: at ``size`` (width, height) every
    pixel is of its likeliest class, and on a border of objects (channels after the classes) or not. An object
    ends where its class does, whatever was forecast of its border."""
    classes, larger = len(labels), round(size[0] / soft.shape[-1])
    soft = _resized(soft, size)
    hard = torch.zeros_like(soft)
    likeliest = soft[:, :classes].argmax(1, keepdim=True)
    hard.scatter_(1, likeliest, 1.0)
    if soft.shape[1] > classes:
        borders = (soft[:, classes:] > 0.5).to(soft)
        if larger > 1:  # a border is two pixels wide at any size
            borders = -F.max_pool2d(-borders, 2 * larger - 1, 1, larger - 1)
        objects = torch.zeros(classes, dtype=torch.int64, device=soft.device)
        objects[list(labels.foreground)] = torch.arange(1, len(labels.foreground) + 1, device=soft.device)
        hard[:, classes:] = torch.maximum(borders, instance_edges(objects[likeliest[:, 0]]).to(soft))
    return hard


class Adapter:
    """Brings forecast label maps to a renderer that knows borders between objects where the forecaster does
    not, or the other way round. Missing ones are those of the connected components of foreground classes."""

    def __init__(self, schema: ConditionSchema, wanted: ConditionSchema, futures: int) -> None:
        assert schema.labels is not None
        self.classes = schema.labels
        self._has, self._wants = schema.instances, wanted.instances
        self._trackers = [ObjectTracker() for _ in range(futures)]

    def __call__(self, hard: Tensor) -> Tensor:
        """(B, C, H, W) of the forecaster to (B, C', H, W) of the renderer."""
        if self._has == self._wants:
            return hard
        classes = hard[:, : len(self.classes)]
        if not self._wants:
            return classes
        objects = [
            torch.from_numpy(tracker.components(one.argmax(0).cpu().numpy(), self.classes.foreground))
            for tracker, one in zip(self._trackers, classes, strict=True)
        ]
        return torch.cat([classes, instance_edges(torch.stack(objects)).to(classes)], dim=1)


def check_classes(classes: LabelSchema, others: LabelSchema, who: str) -> None:
    """Raises UserError where a forecaster's classes are others than those of ``who``."""
    ours, theirs = ([(item.id, item.name) for item in schema.classes] for schema in (classes, others))
    if ours != theirs:
        one, other = next(
            pair for pair in zip_longest(ours, theirs, fillvalue=("", "none")) if pair[0] != pair[1]
        )
        raise UserError(
            f"{who}: other classes than the forecaster's ({other[1]} {other[0]} where that has {one[1]} "
            f"{one[0]}); choose what was made for one class list"
        )


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
