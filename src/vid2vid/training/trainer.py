"""The optimisation of one sequence: unroll the renderer, judge each chunk, step both sides."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.checkpoint import checkpoint

from vid2vid.config import Recipe
from vid2vid.device import autocast
from vid2vid.errors import Diverged
from vid2vid.flow import photometric_confidence
from vid2vid.losses.objective import Chunk, Losses, build_objective
from vid2vid.losses.temporal import TemporalWindow
from vid2vid.models.forecaster import Forecaster
from vid2vid.models.joint import Joint
from vid2vid.models.layers import put_in_order
from vid2vid.models.renderer import Renderer
from vid2vid.training.budget import given_frames, rolled_frames
from vid2vid.training.distributed import ALONE, Team
from vid2vid.training.futures import nearest_future
from vid2vid.training.schedule import length_at, rate_at, stage_at
from vid2vid.training.teaching import Teacher
from vid2vid.training.verdicts import Verdicts
from vid2vid.types import GeneratorOutput, RecurrentState, VideoBatch
from vid2vid.zoo.folder import Model, learners_of
from vid2vid.zoo.renderers import AnyRenderer

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

    team: the processes that share the batch, each a Trainer. step: optimiser steps done; frames: frames made
    and judged so far, over the whole batch, that of all processes; skipped: how many
    of the last steps in a row were not finite; skipped_in_all: and how many ever; sequence: sequences done;
    place: within the next, once begun; verdicts: who wins; teacher: whose frames are learnt, if not the real.
    """

    def __init__(
        self,
        model: Model,
        recipe: Recipe,
        device: torch.device,
        team: Team = ALONE,
        teacher: Teacher | None = None,
    ) -> None:
        self.recipe, self.schema, self.device, self.team = recipe, model.schema, device, team
        self.teacher = teacher
        self.renderer = learners_of(model).to(device).train()
        self.encoder = model.encoder and model.encoder.to(device).train()
        self.objective = build_objective(self.schema.channels, recipe).to(device)
        self.objective.mean = team.mean
        if device.type == "cpu":  # whose convolutions take two thirds of the time, pixel by pixel
            for part in filter(None, (self.renderer, self.encoder, self.objective)):
                put_in_order(part)
        self.average: AveragedModel | None = None
        if recipe.train.ema:
            self.average = AveragedModel(
                self.renderer, multi_avg_fn=get_ema_multi_avg_fn(recipe.train.ema), use_buffers=True
            )
        everything = [*self.renderer.parameters(), *(self.encoder.parameters() if self.encoder else ())]
        self.learners = [weight for weight in everything if weight.requires_grad]  # some may be frozen
        self.coarse = [
            weight
            for network in self.renderer.networks[:-1]
            for weight in network.parameters()
            if weight.requires_grad
        ]
        self.judges = [p for p in self.objective.parameters() if p.requires_grad]
        train = recipe.train
        self.optimiser = torch.optim.Adam(self.learners, train.lr, train.betas, fused=True)
        self.judge_optimiser = (
            torch.optim.Adam(self.judges, train.discriminator_lr, train.betas, fused=True)
            if self.judges
            else None
        )
        self.step = 0
        self.frames = 0
        self.skipped = 0
        self.skipped_in_all = 0
        self.verdicts = Verdicts(recipe.discriminator.scales)
        self.sequence = 0
        self.place: Place | None = None

    @property
    def result(self) -> AnyRenderer:
        """The renderer to keep: averaged where the recipe asks for it."""
        if self.average is None:
            return self.renderer
        module: Any = self.average.module
        return module

    def given_frames(self, sequence: int) -> int:
        """How many real frames sequence number ``sequence`` starts from: 0, or the whole history."""
        return given_frames(self.recipe, sequence)

    def rolled_frames(self, sequence: int) -> int:
        """How many frames sequence number ``sequence`` runs on by itself before the first that is learnt."""
        return rolled_frames(self.recipe, sequence)

    def train_sequence(self, batch: VideoBatch, given: int, rolled: int = 0) -> Iterator[Metrics]:
        """One optimiser step per chunk; yields its loss terms. The last frames carry over, detached. Where a
        training was left within this sequence (``place``), it goes on from there.

        Args:
            batch: (B, T, ...) frames with what describes them.
            given: the first ``given`` frames are the history, not made.
            rolled: so many are then made without being learnt, as far as the batch is longer than a sequence;
                what is left of it at the end is not looked at.
        """
        plain = length_at(self.sequence, self.recipe.data)
        spare = min(self.recipe.train.rollout, max(0, batch.frames.shape[1] - plain))
        rolled = min(rolled, spare)
        length = batch.frames.shape[1] - spare + rolled
        batch = batch.map(lambda tensor: tensor[:, :length].to(self.device))
        given = min(given, length - rolled - 1)
        batch, condition, confidence = self._lesson(batch, given)
        window = TemporalWindow(
            len(self.objective.video_discriminators),
            self.recipe.discriminator.frames,
            self.recipe.discriminator.sparse,
        )
        place = self.place or self._rolled(self._beginning(condition, batch, given), condition, batch, rolled)
        begin, state, last = place.frame, place.state, torch.zeros_like(batch.frames[:, 0])
        if begin:
            known = torch.stack([*batch.frames[:, : begin - len(place.made)].unbind(1), *place.made], dim=1)
            window.push(batch.frames[:, :begin], known, batch.flow[:, :begin])
            last = known[:, -1]

        size = self.recipe.train.chunk
        for start in range(begin, length, size):
            stop = min(start + size, length)
            now = slice(start, stop)
            stage = stage_at(self.step, self.sequence, self.recipe)
            self._choose_learners(stage.finest_alone)
            seen = self._seen(condition, batch, now)
            noise = torch.Generator(self.device).manual_seed(self.recipe.train.seed * 1_000_003 + self.step)
            if isinstance(self.renderer, Forecaster | Joint):
                real = (condition if isinstance(self.renderer, Joint) else batch.frames)[:, now]
                seen = self._future(seen, real, state, noise)
            outputs: list[GeneratorOutput] = []
            before: list[Tensor] = []
            for t in range(start, stop):
                if (t - start) % stage.backprop == 0:
                    state = state.detach()
                before.append(last.detach())
                output, state = self._step(seen[:, t - start], state)
                state = _disturbed(
                    state, self.renderer.frame_channels, self.recipe.train.history_noise, noise, self.team
                )
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
            self.frames += made.shape[0] * made.shape[1] * self.team.size
            metrics = self._optimise(chunk)
            # What was not finite may lie in the history, or in what is looked at again: no more of it.
            done = stop == length or self.skipped > 0
            self.place = None if done else Place(stop, state.detach(), window.made)
            self.sequence += done
            yield metrics
            if done:
                return

    def _lesson(self, batch: VideoBatch, given: int) -> tuple[VideoBatch, Tensor, Tensor]:
        """The batch with what is to be made in the place of its frames; what describes that, (B, T, C, H, W),
        which is nothing where the conditions themselves are forecast; and where, (B, T, 1, H, W), the
        reference flow can be trusted, which is always that of the frames."""
        condition = self._encoded(batch)
        if self.teacher is not None:
            batch = self.teacher(batch, condition, given)
        confidence = _confidence(batch)
        if isinstance(self.renderer, Forecaster):
            batch, condition = replace(batch, frames=condition), condition[:, :, :0]
        return batch, condition, confidence

    def _beginning(self, condition: Tensor, batch: VideoBatch, given: int) -> Place:
        if not given:
            return Place(
                0, self.renderer.init_state(self._seen(condition, batch, slice(0, 1)).detach()[:, 0])
            )
        known = self._seen(condition, batch, slice(0, given)).detach()
        return Place(given, self.renderer.init_state(known, batch.frames[:, :given]))

    def _rolled(self, place: Place, condition: Tensor, batch: VideoBatch, count: int) -> Place:
        """So many frames on, made of the renderer's own, from which nothing is learnt."""
        state, made = place.state, []
        with torch.no_grad():
            for t in range(place.frame, place.frame + count):
                output, state = self._step(self._seen(condition, batch, slice(t, t + 1))[:, 0], state)
                made.append(output.frame)
        return Place(place.frame + count, state, tuple(made))

    def _step(self, condition: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        """``Renderer.step``, in the precision and with the memory that the recipe allows."""
        again = self.recipe.train.checkpointing and torch.is_grad_enabled()
        with autocast(self.device, self.recipe.train.precision):
            if again:
                output, state = checkpoint(
                    self.renderer.step, condition, state, use_reentrant=False, preserve_rng_state=False
                )
            else:
                output, state = self.renderer.step(condition, state)
        return output.map(lambda tensor: tensor.to(condition.dtype)), state

    def _seen(self, condition: Tensor, batch: VideoBatch, now: slice) -> Tensor:
        """The conditions of some frames and, after their own channels, what else the renderer wants: the
        styles of what is seen there, and the flow where it is given. A forecaster's condition is noise, zero
        here; where it learns with a renderer, that of the frame comes after it."""
        seen = described = condition[:, now]
        if isinstance(self.renderer, Forecaster | Joint):
            clips, frames, _, height, width = seen.shape
            seen = seen.new_zeros(clips, frames, self.renderer.condition_channels, height, width)
        if self.encoder is not None:
            seen = torch.cat([seen, self._styles(batch, now)], dim=2)
        if self.renderer.given_flow:
            seen = torch.cat([seen, batch.flow[:, now]], dim=2)
        return torch.cat([seen, described], dim=2) if isinstance(self.renderer, Joint) else seen

    def _future(self, seen: Tensor, real: Tensor, state: RecurrentState, draw: torch.Generator) -> Tensor:
        """The noise of some frames, (B, n, Z, 1, 1), for conditions that are to become the real ones."""
        still = seen[:, :, : self.renderer.condition_channels, :1, :1]
        step = self.renderer.foresee if isinstance(self.renderer, Joint) else self._step
        return nearest_future(step, still, state, real, self.recipe.train.futures, draw, self.team)

    def _styles(self, batch: VideoBatch, now: slice) -> Tensor:
        assert self.encoder is not None
        frames = batch.frames[:, now]
        labels, instances = (
            None if kind is None else kind[:, now].flatten(0, 1) for kind in (batch.labels, batch.instances)
        )
        objects = self.schema.objects(labels, instances, frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        styles: Tensor = self.encoder(frames, objects)
        return styles

    def _choose_learners(self, alone: bool) -> None:
        """What learns at this step: all scales, or the finest alone."""
        if isinstance(self.renderer, Renderer):
            for weight in self.coarse:
                weight.requires_grad_(not alone)

    def _encoded(self, batch: VideoBatch) -> Tensor:
        """Conditions (B, T, C, H, W)."""
        flat = {
            name: value.flatten(0, 1)
            for name in ("labels", "instances", "image")
            if (value := getattr(batch, name)) is not None
        }
        return self.schema.encode(**flat).unflatten(0, batch.frames.shape[:2])

    def _optimise(self, chunk: Chunk) -> Metrics:
        train = self.recipe.train
        rate = rate_at(self.step, train)
        _set_rate(self.optimiser, train.lr * rate)
        losses = self.objective(chunk)
        generator = torch.stack(list(losses.generator.values())).sum()
        self.optimiser.zero_grad(set_to_none=True)
        # One graph serves both sides: each backward reaches only its own parameters.
        if self.judge_optimiser is not None:
            _set_rate(self.judge_optimiser, train.discriminator_lr * rate)
            self.judge_optimiser.zero_grad(set_to_none=True)
        if losses.discriminator:
            discriminator = torch.stack(list(losses.discriminator.values())).sum()
            discriminator.backward(inputs=self.judges, retain_graph=True)
            self.team.average(_gradients(self.judges))
        if generator.requires_grad:  # not where all that learns is frozen out of these frames
            generator.backward(inputs=[weight for weight in self.learners if weight.requires_grad])
        self.team.average(_gradients(self.learners))
        self.step += 1
        metrics = self._update(losses)
        return {"rate": rate, "skipped": self.skipped_in_all} | metrics

    def _update(self, losses: Losses) -> Metrics:
        """Steps both sides by their gradients, if all is finite: a finite loss may have a gradient that is
        not, and a finite gradient meet a spoilt optimiser; either would spoil the weights for good."""
        sides = {"generator": (self.learners, self.optimiser, losses.generator)}
        if losses.discriminator and self.judge_optimiser is not None:
            sides["discriminator"] = (self.judges, self.judge_optimiser, losses.discriminator)
        lengths = {side: get_total_norm(_gradients(weights)) for side, (weights, _, _) in sides.items()}
        measured = {f"{side}/{name}": x for side, (*_, terms) in sides.items() for name, x in terms.items()}
        measured |= {f"gradient/{side}": length for side, length in lengths.items()}
        measured |= {f"optimiser/{side}": _sum_of_moments(each) for side, (_, each, _) in sides.items()}
        numbers = torch.stack([value.detach().to(self.device) for value in measured.values()])
        self.team.average([numbers])  # what is not finite in one process is so in all
        metrics = dict(zip(measured, numbers.tolist(), strict=True))
        if all(math.isfinite(value) for value in metrics.values()):
            for side, (weights, optimiser, _) in sides.items():
                if self.recipe.train.clip:
                    clip_grads_with_norm_(weights, self.recipe.train.clip, lengths[side])
                optimiser.step()
            if self.average is not None:
                self.average.update_parameters(self.renderer)
            self.skipped = 0
            self.verdicts.update(metrics)
        else:
            self._skip(metrics)
        return {name: value for name, value in metrics.items() if not name.startswith("optimiser/")}

    def _skip(self, metrics: Mapping[str, float]) -> None:
        self.skipped += 1
        self.skipped_in_all += 1
        if self.skipped >= PATIENCE:
            kind, _, name = next(x for x, value in metrics.items() if not math.isfinite(value)).partition("/")
            blamed = {"gradient": f"a gradient of the {name}", "optimiser": f"the {name}'s optimiser"}
            raise Diverged(
                f"losses not finite for {PATIENCE} steps in a row at step {self.step}, first "
                f"{blamed.get(kind, name)}; lower train.lr and resume from the last checkpoint"
            )


def _confidence(batch: VideoBatch) -> Tensor:
    """Of the reference flow, (B, T, 1, H, W)."""
    frames, before = batch.frames, _before(batch.frames, 0, batch.frames.shape[1])
    confidence = photometric_confidence(
        frames.flatten(0, 1), before.flatten(0, 1), batch.flow.flatten(0, 1)
    ).unflatten(0, frames.shape[:2])
    confidence[:, 0] = 0  # nothing came before the first frame
    return confidence


def _before(frames: Tensor, start: int, stop: int) -> Tensor:
    """The frame before each of frames[:, start:stop]; the very first stands in for its own."""
    index = torch.arange(start - 1, stop - 1, device=frames.device).clamp(min=0)
    return frames[:, index]


def _disturbed(
    state: RecurrentState, channels: int, sigma: float, noise: torch.Generator, team: Team
) -> RecurrentState:
    """The newest frame of every scale with grain and, per channel, a shift: as a history looks that has begun
    to drift. The networks see and warp what is disturbed; no loss asks for it."""
    if not sigma:
        return state

    def draw(frame: Tensor, batch: int, *size: int) -> Tensor:
        whole = (batch * team.size, *size)
        drawn = torch.randn(whole, generator=noise, device=frame.device, dtype=frame.dtype)
        return sigma * team.part(drawn)

    frames = []
    for frame in state.frames:
        newest = frame[:, -channels:]
        shifted = newest + draw(newest, *newest.shape) + draw(newest, *newest.shape[:2], 1, 1)
        frames.append(torch.cat([frame[:, :-channels], shifted], dim=1))
    return replace(state, frames=tuple(frames))


def _gradients(weights: list[nn.Parameter]) -> list[Tensor]:
    return [weight.grad for weight in weights if weight.grad is not None]


def _sum_of_moments(optimiser: torch.optim.Optimizer) -> Tensor:
    """() of all Adam's moments: finite if all of them are (their maximum takes ten times as long)."""
    states = [state for state in optimiser.state.values() if state]  # none yet of what has not been stepped
    moments = [state[name] for state in states for name in ("exp_avg", "exp_avg_sq")]
    return torch.stack([moment.sum() for moment in moments]).sum() if moments else torch.zeros(())


def _set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate
