"""A forecaster that everybody can follow: everything moves on by a pixel a frame; and small clips of that."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import Tensor, nn

from tiny import ARCHITECTURE, CLASSES, SIZE, write_clip
from vid2vid.conditions import ConditionSchema
from vid2vid.types import GeneratorOutput, RecurrentState
from vid2vid.zoo import Model

SCHEMA = ConditionSchema("labels", "labels", CLASSES)
FRAMES = ConditionSchema("image", "frames")


class Shift(nn.Module):
    """Moves everything right by a pixel; by ``round(noise)`` more, if asked for another future."""

    condition_channels, history = 2, 1

    def init_state(self, noise: Tensor, first_frames: Tensor) -> RecurrentState:
        return RecurrentState((), (first_frames[:, -1],), first_frames.shape[1])

    def step(self, noise: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        (last,) = state.frames
        moves = 1 + noise[:, 0].round().long().flatten()
        made = torch.stack([one.roll(int(by), -1) for one, by in zip(last, moves, strict=True)])
        flow = -moves.float().view(-1, 1, 1, 1).expand(-1, 1, *last.shape[2:])
        return GeneratorOutput(made, made, torch.cat([flow, flow * 0], 1)), RecurrentState((), (made,), 1)


def forecaster(schema: ConditionSchema = SCHEMA, size: tuple[int, int] = SIZE) -> Model:
    """The stand-in, as a model."""
    architecture = dataclasses.replace(ARCHITECTURE, network="forecast")  # type: ignore[arg-type]
    return Model(Shift(), architecture, schema, size, 10, {"name": "shift"})  # type: ignore[arg-type]


def clip(folder: Path, frames: int = 12) -> Path:
    """A clip whose car moves right by a pixel a frame."""
    write_clip(folder, frames)
    CLASSES.write(folder / "labels.yaml")
    return folder
