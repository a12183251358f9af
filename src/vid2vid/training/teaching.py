"""Learning from another model: its video of the same conditions in the place of the real one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from vid2vid.conditions import ConditionSchema
from vid2vid.errors import UserError
from vid2vid.inference import stream
from vid2vid.types import VideoBatch
from vid2vid.zoo import Model, load_renderer


@dataclass(frozen=True)
class Teacher:
    """A model that shows a smaller one what to make of a condition.

    What a real camera saw cannot all be told from a label map; what a network made of it can. So a student
    gets sharper with fewer frames, and never better than its teacher. name: of its folder, for the card.
    """

    model: Model
    name: str

    @classmethod
    def open(cls, path: Path | str, schema: ConditionSchema, device: torch.device) -> Teacher:
        """The model at ``path``.

        Raises:
            UserError: no such model; one of other conditions, or one that is to be told styles or flow.
        """
        model = load_renderer(path, device)
        if model.schema != schema:
            raise UserError(f"--teacher {path}: was trained on other conditions; give one like the dataset's")
        if model.architecture.styles or model.architecture.given_flow:
            raise UserError(f"--teacher {path}: is to be told styles or flow; give one without")
        return cls(model, Path(path).name)

    def __call__(self, batch: VideoBatch, condition: Tensor, given: int) -> VideoBatch:
        """The batch with the teacher's frames, after ``given`` real ones that both start from.

        condition: (B, T, C, H, W), encoded.
        """
        made = list(stream(self.model, condition.unbind(1), batch.frames[:, :given].unbind(1)))
        return replace(batch, frames=torch.stack(made, dim=1))
