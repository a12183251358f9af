"""Which look each object gets, and keeps: a pure function of the object, so nothing has to be remembered."""

from __future__ import annotations

import torch
from torch import Tensor

from vid2vid.errors import UserError
from vid2vid.models.styles import Styles
from vid2vid.zoo import Model


class Styling:
    """Style maps for a model whose objects can look in several ways.

    Args:
        model: one with styles.
        choice: ``3``: everything looks like the fourth most common of its class. ``random``: every object
            draws a look of its own. Classes may be told apart: ``0,car=random,tree=2``.
        seed: of what is drawn.

    Raises:
        UserError: the model knows one look only, or the choice names no class or no number.
    """

    def __init__(self, model: Model, choice: str = "0", seed: int = 0) -> None:
        count = model.architecture.styles
        if not count:
            raise UserError(
                f"--style {choice}: this model knows one look only; train one with model.styles=3"
            )
        labels = model.schema.labels
        names = labels.names if labels is not None else ("everything",)
        # Of an imported generator no looks are known: zero, the middle of all.
        self.styles = model.styles or Styles(len(names), count)
        self.seed = seed
        self._chosen = ["0"] * len(names)
        for word in choice.split(","):
            name, equals, look = word.rpartition("=")
            if not (look == "random" or look.isdecimal()) or (equals and name not in names):
                known = ", ".join(names)
                raise UserError(f"--style {choice}: write a number, random, or CLASS=NUMBER of {known}")
            for kind in [names.index(name)] if equals else range(len(names)):
                self._chosen[kind] = look

    def __call__(self, objects: Tensor) -> Tensor:
        """Objects (B, H, W), see ``ConditionSchema.objects``: their styles (B, styles, H, W)."""
        numbers, place = objects.unique(return_inverse=True)
        looks = torch.stack([self._look(number) for number in numbers.tolist()])
        return looks[place].permute(0, 3, 1, 2)

    def _look(self, number: int) -> Tensor:
        kind = number % len(self._chosen)
        if self._chosen[kind] != "random":
            return self.styles.typical(kind, int(self._chosen[kind]))
        # The same object draws the same look in every frame, whatever else is seen.
        generator = torch.Generator().manual_seed((self.seed * 2_654_435_761 + number) % 2**63)
        return self.styles.draw(kind, generator)
