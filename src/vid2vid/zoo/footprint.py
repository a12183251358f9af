"""How much memory something will take, found out without taking it: it runs on tensors that have none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vid2vid.config import ModelConfig, Recipe
from vid2vid.device import autocast
from vid2vid.losses.objective import Chunk, Losses, Objective, build_objective
from vid2vid.losses.temporal import Group
from vid2vid.models.forecaster import Forecaster
from vid2vid.models.joint import Joint
from vid2vid.models.renderer import Renderer
from vid2vid.types import Size
from vid2vid.zoo.exported.ports import condition_channels
from vid2vid.zoo.renderers import AnyRenderer, build_renderer, join

ADAM = 4
"""A weight that learns is kept four times: itself, its gradient, and Adam's two moments."""


_EXACT = 1.01
"""The peak may be this much higher: to look for what has gone at every step would take long."""


class LiveMemory(TorchDispatchMode):
    """Bytes of all tensors made inside that are alive, at their peak. Ask for ``peak`` afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._held = 0
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                reference = StorageWeakRef(storage)
                self._held += storage.nbytes() - self._live.get(reference.cdata, (None, 0))[1]
                self._live[reference.cdata] = (reference, storage.nbytes())
        if self._held > self.peak * _EXACT:
            self._live = {key: item for key, item in self._live.items() if not item[0].expired()}
            self._held = sum(size for _, size in self._live.values())
            self.peak = max(self.peak, self._held)
        return result


def weight_bytes(module: nn.Module) -> int:
    return sum(weight.numel() * weight.element_size() for weight in module.parameters())


def _kept_bytes(module: nn.Module) -> int:
    """Of the weights with what learning adds to them."""
    return sum(
        weight.numel() * weight.element_size() * (ADAM if weight.requires_grad else 1)
        for weight in module.parameters()
    )


@dataclass(frozen=True)
class Rehearsal:
    """One step of training on noise, with all that learns but no optimiser. On the device "meta" what it
    needs can be counted; on another it takes as long as a step takes.

    renderer, objective: on one device; what of the renderer requires no gradient does not learn.
    size: (width, height) of the frames; channels: of a condition, as the discriminators see it.
    backprop, temporal_scales: those of the stage. Faces are not looked for.
    """

    renderer: AnyRenderer
    objective: Objective
    recipe: Recipe
    size: Size
    channels: int
    backprop: int
    temporal_scales: int

    @classmethod
    def build(
        cls,
        recipe: Recipe,
        schema: tuple[int, tuple[int, ...]],
        size: Size,
        device: torch.device,
        *,
        backprop: int | None = None,
        temporal_scales: int | None = None,
        finest_alone: bool = False,
        shown_by: ModelConfig | None = None,
    ) -> Rehearsal:
        """Of a recipe; without the settings of a stage, when everything learns.

        Args:
            schema: channels of a condition, and which of them are the foreground.
            shown_by: the renderer that learns with a forecaster; None: one of the same settings.
        """
        channels, foreground = schema
        with torch.device("meta"):
            renderer = build_renderer(recipe.model, channels, foreground)
            if recipe.train.joint:
                other = shown_by or replace(recipe.model, network="video")
                renderer = join(renderer, build_renderer(other, channels, foreground), None)
            objective = build_objective(channels, recipe)
        for side in (renderer, objective):
            side.to_empty(device=device)
            for value in (*side.parameters(), *side.buffers()):
                value.data.fill_(0.01)  # chance would take longer than the step
        if isinstance(renderer, Renderer):
            for network in renderer.networks[:-1]:
                network.requires_grad_(not finest_alone)
        judges = len(objective.video_discriminators)
        return cls(
            *(renderer, objective, recipe, size),
            channels=0 if isinstance(renderer, Forecaster) else channels,
            backprop=recipe.train.backprop if backprop is None else backprop,
            temporal_scales=judges if temporal_scales is None else temporal_scales,
        )

    def forward(self) -> Losses:
        """Makes a chunk and judges it."""
        recipe, count = self.recipe, self.recipe.train.chunk
        wanted, made = condition_channels(self.renderer), self.renderer.frame_channels
        beside = self.channels if isinstance(self.renderer, Joint) else 0
        condition, frames = self._noise(count, wanted + beside), self._noise(count, made)
        flow = self._noise(count, 2)
        device = condition.device
        self.objective.face_discriminator = None  # it looks at what is in the picture, and here is nothing
        given = max(recipe.model.history, 1)
        state = self.renderer.init_state(self._noise(given, wanted + beside), self._noise(given, made))
        outputs = []
        for t in range(count):
            if t % self.backprop == 0:
                state = state.detach()
            with autocast(device, recipe.train.precision):
                output, state = self.renderer.step(condition[:, t], state)
            outputs.append(output.map(lambda tensor: tensor.to(frames.dtype)))
        # What the renderer wants beside the condition comes after it: styles, and the flow where it is given.
        seen = condition[:, :, wanted:] if beside else condition[:, :, : self.channels]
        groups = self._groups(torch.stack([output.frame for output in outputs], dim=1))
        return self.objective(Chunk(seen, frames, outputs, frames, frames, flow, flow[:, :, :1], groups))

    def memory(self) -> int:
        """Bytes that a step needs: weights, four times over where they learn, and all that the backward pass
        goes back to. On the device "meta"."""
        weights = _kept_bytes(self.renderer) + _kept_bytes(self.objective)
        for asleep in self.objective.video_discriminators[self.temporal_scales :]:
            weights -= _kept_bytes(asleep) - weight_bytes(asleep)
        if self.recipe.train.ema:
            weights += weight_bytes(self.renderer)
        with LiveMemory() as memory:
            losses = self.forward()
        assert losses.generator
        return memory.peak + weights

    def _groups(self, made: Tensor) -> list[Group | None]:
        """A group per chunk and temporal scale, and one more for every ``length`` new frames beyond."""
        length = self.recipe.discriminator.frames
        rows = -(-made.shape[1] // length)
        earlier = self._noise(rows, made.shape[2] * (length - 1)).flatten(0, 1)
        fake = torch.cat([earlier, made[:, -1].repeat(rows, 1, 1, 1)], dim=1)
        group = Group(torch.zeros_like(fake), fake, self._noise(rows, 2 * (length - 1)).flatten(0, 1))
        asleep = len(self.objective.video_discriminators) - self.temporal_scales
        return [*[group] * self.temporal_scales, *[None] * asleep]

    def _noise(self, count: int, channels: int) -> Tensor:
        """(B, count, channels, H, W)."""
        device = next(self.renderer.parameters()).device
        width, height = self.size
        return torch.rand(self.recipe.data.batch, count, channels, height, width, device=device)
