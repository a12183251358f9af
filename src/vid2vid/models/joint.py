"""A forecaster and the renderer of what it forecasts, as one network: what ``predict`` does in a step, and
what a joint training learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vid2vid.conditions import LabelSchema, instance_edges
from vid2vid.flow import warp
from vid2vid.models.fast import FastRenderer
from vid2vid.models.forecaster import Forecaster
from vid2vid.models.renderer import Renderer
from vid2vid.types import GeneratorOutput, RecurrentState


@dataclass(frozen=True)
class Ahead:
    """One step of B futures, of soft conditions or of frames.

    made: (B, C, H, W). flow: to the frame before. way: to the last observed frame, and new, (B, 1, H, W): 1
    where what is there is another than what was carried there: of label maps the class, of pictures as far as
    the forecaster's mask says so. None of a network that warps nothing.
    """

    made: Tensor
    flow: Tensor | None
    way: Tensor | None = None
    new: Tensor | None = None

    @classmethod
    def of(cls, output: GeneratorOutput, last: Tensor, labels: LabelSchema | None) -> Ahead:
        """What a forecaster's step says. last: (B, C, H, W), the condition last observed, of its size."""
        if output.way is None or output.mask is None:
            return cls(output.frame, output.flow)
        warped = warp(last, output.way)
        made = torch.lerp(warped, output.raw, output.mask)
        if labels is None:
            return cls(made, output.flow, output.way, output.mask)
        classes = len(labels)
        new = made[:, :classes].argmax(1) != warped[:, :classes].argmax(1)
        return cls(made, output.flow, output.way, new[:, None].to(made))

    def shows(self, last: Tensor, painted: Tensor) -> Tensor:
        """The last observed frame where it is still seen, looked up once, and what was painted elsewhere."""
        if self.way is None or self.new is None:
            return painted
        return torch.lerp(warp(last.expand_as(painted), self.way), painted, self.new)


def harden(soft: Tensor, labels: LabelSchema | None) -> Tensor:
    """Forecast label maps (B, C, H, W), soft, as a renderer knows them: every pixel is of its likeliest
    class, and on a border of objects (channels after the classes) or not. An object ends where its class
    does, whatever was forecast of its border. Pictures, of which there are no labels, stay as they are."""
    if labels is None:
        return soft
    classes = len(labels)
    hard = torch.zeros_like(soft)
    likeliest = soft[:, :classes].argmax(1, keepdim=True)
    hard.scatter_(1, likeliest, 1.0)
    if soft.shape[1] > classes:
        objects = torch.zeros(classes, dtype=torch.int64, device=soft.device)
        objects[list(labels.foreground)] = torch.arange(1, len(labels.foreground) + 1, device=soft.device)
        ends = instance_edges(objects[likeliest[:, 0]]).to(soft)
        hard[:, classes:] = torch.maximum((soft[:, classes:] > 0.5).to(soft), ends)
    return hard


class Joint(nn.Module):
    """Both networks under the protocol of ``Renderer``: frames to come, each from the last ones.

    Its condition, (B, Z + 2 + C, h, w), is that of a forecaster (noise, then a flow) and after it the encoded
    condition; of the frames to come noise alone is looked at. What is forecast is hardened for the renderer,
    which the gradient does not see: it goes through as if nothing had happened.

    Args:
        forecaster: of C channels. renderer: of as many, without styles.
        labels: their classes; None: conditions are pictures.
    """

    given_flow = True
    frame_channels = 3

    def __init__(
        self, forecaster: Forecaster, renderer: Renderer | FastRenderer, labels: LabelSchema | None
    ) -> None:
        super().__init__()
        self.forecaster, self.renderer, self.labels = forecaster, renderer, labels
        self.condition_channels = forecaster.condition_channels
        self.history = max(forecaster.history, renderer.history)

    @property
    def networks(self) -> Sequence[nn.Module]:
        """The forecaster's, then the renderer's."""
        return [*self.forecaster.networks, *self.renderer.networks]

    def init_state(self, condition: Tensor, first_frames: Tensor | None = None) -> RecurrentState:
        """The state before the first step: the forecaster's, the renderer's and the last observed frame.

        Args:
            condition: (B, n, Z + 2 + C, H, W), of the observed frames.
            first_frames: (B, n, 3, H, W), these, oldest first.

        Raises:
            ValueError: nothing was observed.
        """
        if first_frames is None:
            raise ValueError("a forecaster goes on from what was observed: give it first frames")
        noise_and_flow, described = condition.split(
            (self.condition_channels + 2, self.forecaster.frame_channels), dim=2
        )
        flow = noise_and_flow[:, :, -2:]
        wanted = torch.cat([described, flow], dim=2) if self.renderer.given_flow else described
        return self._packed(
            self.forecaster.init_state(noise_and_flow, described),
            self.renderer.init_state(wanted, first_frames),
            first_frames[:, -1],
        )

    def step(self, condition: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        """The next frame. ``frame`` is what is shown, ``raw`` what was painted; ``flow`` is the forecast one,
        ``mask`` where what was painted is shown; ``described`` are two forecasts of the condition, soft,
        (B, C, H, W) each: with what was carried on, and without."""
        before, history, last = self._parts(state)
        output, after = self.forecaster.step(condition, before)
        ahead = Ahead.of(output, before.conditions[0], self.labels)
        wanted = harden(ahead.made, self.labels).detach() + (ahead.made - ahead.made.detach())
        if self.renderer.given_flow:
            flow = wanted.new_zeros(len(wanted), 2, *wanted.shape[2:]) if ahead.flow is None else ahead.flow
            wanted = torch.cat([wanted, flow], dim=1)
        painted, following = self.renderer.step(wanted, history)
        shown = GeneratorOutput(
            ahead.shows(last, painted.frame),
            painted.frame,
            flow=ahead.flow,
            mask=ahead.new,
            described=(ahead.made, output.raw),
        )
        return shown, self._packed(after, following, last)

    def foresee(self, condition: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        """The forecaster's step alone: the next condition, (B, C, H, W), and a state in which nothing has
        been rendered."""
        before, history, last = self._parts(state)
        output, after = self.forecaster.step(condition, before)
        return output, self._packed(after, history, last)

    def forward(self, condition: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        return self.step(condition, state)

    def _packed(self, forecast: RecurrentState, rendered: RecurrentState, last: Tensor) -> RecurrentState:
        conditions = (*forecast.conditions, *rendered.conditions, last)
        return RecurrentState(conditions, (*forecast.frames, *rendered.frames), forecast.filled)

    def _parts(self, state: RecurrentState) -> tuple[RecurrentState, RecurrentState, Tensor]:
        """The inverse of ``_packed``; a renderer that goes on from what was observed has its history full."""
        scales = len(self.renderer.networks)
        *conditions, last = state.conditions
        forecast = RecurrentState(tuple(conditions[:-scales]), state.frames[:-scales], state.filled)
        rendered = RecurrentState(
            tuple(conditions[-scales:]), state.frames[-scales:], max(self.renderer.history, 1)
        )
        return forecast, rendered, last
