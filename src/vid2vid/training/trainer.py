"""The optimisation of one sequence: unroll the renderer, judge each chunk, step both sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vid2vid.config import Recipe
from vid2vid.errors import Diverged
from vid2vid.flow import photometric_confidence
from vid2vid.losses.objective import Chunk, build_objective
from vid2vid.losses.temporal import TemporalWindow
from vid2vid.models.image_generator import ImageRenderer
from vid2vid.models.renderer import Renderer
from vid2vid.training.budget import given_frames
from vid2vid.training.schedule import stage_at
from vid2vid.types import GeneratorOutput, RecurrentState, VideoBatch
from vid2vid.zoo.folder import Model

PATIENCE = 10
"""Non-finite steps in a row after which training is given up."""

Metrics = dict[str, float]


@dataclass(frozen=True)
class Place:
    """Where within a sequence a training stands, between two chunks.

    frame: of the sequence, the next to be made. state: what the renderer remembers. made: the frames before,
    (B, 3, H, W) each, as far back as temporal groups reach; none where only real ones came before.
    """

    frame: int
    state: RecurrentState
    made: tuple[Tensor, ...] = ()


class Trainer:
    """Networks and optimisers of a run, and how one sequence trains them.

    step: optimiser steps done; frames: frames generated so far, over the whole batch; skipped: how many of
    the last steps in a row were not finite; sequence: sequences done; place: within the next, once begun.
    """

    def __init__(self, model: Model, recipe: Recipe, device: torch.device) -> None:
        self.recipe, self.schema, self.device = recipe, model.schema, device
        self.renderer = model.renderer.to(device).train()
        self.encoder = model.encoder and model.encoder.to(device).train()
        self.objective = build_objective(self.schema.channels, recipe).to(device)
        self.average: AveragedModel | None = None
        if recipe.train.ema:
            self.average = AveragedModel(
                self.renderer, multi_avg_fn=get_ema_multi_avg_fn(recipe.train.ema), use_buffers=True
            )
        self.learners = [*self.renderer.parameters(), *(self.encoder.parameters() if self.encoder else ())]
        self.judges = [p for p in self.objective.parameters() if p.requires_grad]
        train = recipe.train
        self.optimiser = torch.optim.Adam(self.learners, train.lr, train.betas)
        self.judge_optimiser = (
            torch.optim.Adam(self.judges, train.discriminator_lr, train.betas) if self.judges else None
        )
        self.step = 0
        self.frames = 0
        self.skipped = 0
        self.sequence = 0
        self.place: Place | None = None

    @property
    def result(self) -> Renderer | ImageRenderer:
        """The renderer to keep: averaged where the recipe asks for it."""
        if self.average is None:
            return self.renderer
        module: Any = self.average.module
        return module

    def given_frames(self, sequence: int) -> int:
        """How many real frames sequence number ``sequence`` starts from: 0, or the whole history."""
        return given_frames(self.recipe, sequence)

    def train_sequence(self, batch: VideoBatch, given: int) -> Iterator[Metrics]:
        """One optimiser step per chunk; yields its loss terms. The last frames carry over, detached. Where a
        training was left within this sequence (``place``), it goes on from there.

        Args:
            batch: (B, T, ...) frames with what describes them.
            given: the first ``given`` frames are the history, not made.
        """
        batch = batch.to(self.device)
        length = batch.frames.shape[1]
        given = min(given, length - 1)
        condition, confidence = self._prepare(batch)
        window = TemporalWindow(
            len(self.objective.video_discriminators),
            self.recipe.discriminator.frames,
            self.recipe.discriminator.sparse,
        )
        place = self.place or self._beginning(condition, batch, given)
        begin, state, last = place.frame, place.state, torch.zeros_like(batch.frames[:, 0])
        if begin:
            known = torch.stack([*batch.frames[:, : begin - len(place.made)].unbind(1), *place.made], dim=1)
            window.push(batch.frames[:, :begin], known, batch.flow[:, :begin])
            last = known[:, -1]

        size = self.recipe.train.chunk
        for start in range(begin, length, size):
            stop = min(start + size, length)
            now = slice(start, stop)
            self._choose_learners()
            seen = self._seen(condition, batch, now)
            outputs: list[GeneratorOutput] = []
            before: list[Tensor] = []
            for t in range(start, stop):
                if (t - start) % self.recipe.train.backprop == 0:
                    state = state.detach()
                before.append(last.detach())
                output, state = self.renderer.step(seen[:, t - start], state)
                outputs.append(output)
                last = output.frame
            real = batch.frames[:, now]
            made = torch.stack([output.frame for output in outputs], dim=1)
            chunk = Chunk(
                condition=condition[:, now],
                real=real,
                outputs=outputs,
                before_real=_before(batch.frames, start, stop),
                before_fake=torch.stack(before, dim=1),
                flow=batch.flow[:, now],
                confidence=confidence[:, now],
                groups=window.push(real, made, batch.flow[:, now]),
            )
            self.frames += made.shape[0] * made.shape[1]
            metrics = self._optimise(chunk)
            # A history that is not finite would spoil all that follows from it.
            done = stop == length or (self.skipped > 0 and not _is_finite(state))
            self.place = None if done else Place(stop, state.detach(), window.made)
            self.sequence += done
            yield metrics
            if done:
                return

    def _beginning(self, condition: Tensor, batch: VideoBatch, given: int) -> Place:
        if not given:
            return Place(
                0, self.renderer.init_state(self._seen(condition, batch, slice(0, 1)).detach()[:, 0])
            )
        known = self._seen(condition, batch, slice(0, given)).detach()
        return Place(given, self.renderer.init_state(known, batch.frames[:, :given]))

    def _seen(self, condition: Tensor, batch: VideoBatch, now: slice) -> Tensor:
        """The conditions of some frames and, after their own channels, what else the renderer wants: the
        styles of what is seen there, and the flow where it is given."""
        seen = condition[:, now]
        if self.encoder is not None:
            seen = torch.cat([seen, self._styles(batch, now)], dim=2)
        if self.recipe.model.given_flow:
            seen = torch.cat([seen, batch.flow[:, now]], dim=2)
        return seen

    def _styles(self, batch: VideoBatch, now: slice) -> Tensor:
        assert self.encoder is not None
        frames = batch.frames[:, now]
        labels, instances = (
            None if kind is None else kind[:, now].flatten(0, 1) for kind in (batch.labels, batch.instances)
        )
        objects = self.schema.objects(labels, instances, frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        styles: Tensor = self.encoder(frames, objects)
        return styles

    def _choose_learners(self) -> None:
        """What learns at this step: all scales, or the finest alone."""
        if isinstance(self.renderer, Renderer):
            alone = stage_at(self.step, self.recipe.train).finest_alone
            for network in self.renderer.networks[:-1]:
                network.requires_grad_(not alone)

    def _prepare(self, batch: VideoBatch) -> tuple[Tensor, Tensor]:
        """Encoded conditions (B, T, C, H, W) and confidence of the reference flow (B, T, 1, H, W)."""
        count, length = batch.frames.shape[:2]
        flat = {
            name: value.flatten(0, 1)
            for name in ("labels", "instances", "image")
            if (value := getattr(batch, name)) is not None
        }
        condition = self.schema.encode(**flat).unflatten(0, (count, length))
        frames, before = batch.frames, _before(batch.frames, 0, length)
        confidence = photometric_confidence(
            frames.flatten(0, 1), before.flatten(0, 1), batch.flow.flatten(0, 1)
        ).unflatten(0, (count, length))
        confidence[:, 0] = 0  # nothing came before the first frame
        return condition, confidence

    def _optimise(self, chunk: Chunk) -> Metrics:
        train = self.recipe.train
        rate = stage_at(self.step, train).rate
        _set_rate(self.optimiser, train.lr * rate)
        losses = self.objective(chunk)
        generator = torch.stack(list(losses.generator.values())).sum()
        total = generator
        self.optimiser.zero_grad(set_to_none=True)
        # One graph serves both sides: each backward reaches only its own parameters.
        if self.judge_optimiser is not None:
            _set_rate(self.judge_optimiser, train.discriminator_lr * rate)
            self.judge_optimiser.zero_grad(set_to_none=True)
        if losses.discriminator:
            discriminator = torch.stack(list(losses.discriminator.values())).sum()
            total = total + discriminator
            discriminator.backward(inputs=self.judges, retain_graph=True)
        generator.backward(inputs=[weight for weight in self.learners if weight.requires_grad])
        self.step += 1
        if torch.isfinite(total) and self._gradients_are_finite():
            self.optimiser.step()
            if self.judge_optimiser is not None and losses.discriminator:
                self.judge_optimiser.step()
            if self.average is not None:
                self.average.update_parameters(self.renderer)
            self.skipped = 0
        else:
            self._skip(losses.generator | losses.discriminator)
        sides = {"generator": losses.generator, "discriminator": losses.discriminator}
        return {"rate": rate} | {
            f"{side}/{name}": float(value.detach())
            for side, terms in sides.items()
            for name, value in terms.items()
        }

    def _gradients_are_finite(self) -> bool:
        """A finite loss may still have a gradient that is not, which would spoil the weights for good."""
        weights = [*self.learners, *self.judges]
        return bool(get_total_norm([w.grad for w in weights if w.grad is not None]).isfinite())

    def _skip(self, terms: dict[str, Tensor]) -> None:
        self.skipped += 1
        if self.skipped >= PATIENCE:
            name = next((name for name, value in terms.items() if not torch.isfinite(value)), "a gradient")
            raise Diverged(
                f"losses not finite for {PATIENCE} steps in a row at step {self.step}, first {name}; "
                "lower train.lr and resume from the last checkpoint"
            )


def _before(frames: Tensor, start: int, stop: int) -> Tensor:
    """The frame before each of frames[:, start:stop]; the very first stands in for its own."""
    index = torch.arange(start - 1, stop - 1, device=frames.device).clamp(min=0)
    return frames[:, index]


def _is_finite(state: RecurrentState) -> bool:
    return all(bool(frame.isfinite().all()) for frame in state.frames)


def _set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate
