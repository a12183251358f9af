"""What a network has learnt of one class list, brought to another: its first convolutions, rewritten."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vid2vid.conditions import ConditionSchema

_FIRST = re.compile(
    r"(?:encode_(?:conditions|foreground)\.stem\.0"  # a generator, at any scale
    r"|network\.encode_conditions\.(?:now|past|outlines)"  # a fast one
    r"|(?:network|enhancer)\.encode\.0\.0"  # an image generator
    r"|scales\.\d+\.blocks\.0\.0)"  # a discriminator
    r"\.(?:weight|parametrizations\.weight\.(?:original|0\._v))"
)
"""Tensors of the convolutions that see conditions; spectral normalisation remembers ``_v`` of them."""

_SIDE = 4
"""Of a discriminator's kernels."""


@dataclass(frozen=True)
class Carrying:
    """From the channels of one condition to those of another.

    shares: (new channels, old channels): how much of an old channel's weights a new one starts with. A class
    of the same name is a copy. A new class starts as the mean of all old ones, since a network has never seen
    a place without any class; nothing else is needed to tell two new ones apart, as each learns from its own
    pixels alone. A channel of instance edges that was not there starts with zeros: it changes nothing yet.
    report: what is told of it, in words.
    """

    shares: Tensor
    report: str

    def bring(self, tensors: Mapping[str, Tensor], history: int) -> dict[str, Tensor]:
        """The tensors of a network that sees a condition, and ``history`` past ones before it; in each what
        else it sees after its own channels.

        Tensors that are not of this shape stay as they are.
        """
        brought = dict(tensors)
        fast = "network.encode_conditions."  # sees the present condition and past ones apart
        apart = {f"{fast}now.weight": 1, f"{fast}past.weight": history, f"{fast}outlines.weight": 1}
        for name, tensor in tensors.items():
            if _FIRST.fullmatch(name):
                groups = apart.get(name, history + 1)
                bring = self._singular_vector if name.endswith("_v") else self._weights
                brought[name] = bring(tensor, groups)
        return brought

    def _weights(self, tensor: Tensor, groups: int) -> Tensor:
        """(out, in, height, width), of a convolution."""
        return self._rows(tensor, groups, self.shares) if tensor.ndim == 4 else tensor

    def _singular_vector(self, tensor: Tensor, groups: int) -> Tensor:
        """(in * height * width,). It learns nothing of what is new, so that the norm which divides the
        weights stays what it was until the first step."""
        if tensor.ndim != 1 or len(tensor) % _SIDE**2:
            return tensor
        return self._rows(tensor.view(1, -1, _SIDE, _SIDE), groups, self.shares == 1).flatten()

    def _rows(self, tensor: Tensor, groups: int, shares: Tensor) -> Tensor:
        each, left = divmod(tensor.shape[1], groups)
        old = shares.shape[1]
        if left or each < old:
            return tensor
        rows = tensor.unflatten(1, (groups, each))
        carried = torch.einsum("no,agohw->agnhw", shares.to(rows), rows[:, :, :old])
        return torch.cat([carried, rows[:, :, old:]], dim=2).flatten(1, 2)


def carrying(before: ConditionSchema, now: ConditionSchema) -> Carrying | None:
    """From the channels of ``before`` to those of ``now``, by the names of classes in upper or lower case;
    None where they are the same, or either has no classes.

    Where no name is the same, as those of an imported model without a class list, equally many classes are
    taken in their order.
    """
    if before.labels is None or now.labels is None:
        return None
    old, new = before.labels.names, now.labels.names
    if (old, before.instances) == (new, now.instances):
        return None
    places = _places(old, new)
    strangers = len(old) == len(new) and not any(place is not None for place in places)
    shares = torch.zeros(now.channels, before.channels)
    for row, place in enumerate(range(len(old)) if strangers else places):
        if place is None:
            shares[row, : len(old)] = 1 / len(old)
        else:
            shares[row, place] = 1
    if now.instances and before.instances:
        shares[-1, -1] = 1
    if strangers:
        return Carrying(shares, f"no class has the same name: all {len(old)} are taken in their order")
    edges = "; instance edges: new" if now.instances and not before.instances else ""
    return Carrying(shares, _report(places, new, len(old)) + edges)


def _places(old: Sequence[str], new: Sequence[str]) -> list[int | None]:
    """Per new class the old one of its name; letter for letter, where there is such."""
    exact = {name: place for place, name in enumerate(old)}
    spelt = {name.casefold(): place for name, place in reversed(exact.items())}
    return [exact.get(name, spelt.get(name.casefold())) for name in new]


def _report(places: Sequence[int | None], names: Sequence[str], old: int) -> str:
    kept = [name for name, place in zip(names, places, strict=True) if place is not None]
    new = [name for name in names if name not in kept]
    lost = old - len(set(places) - {None})
    text = f"classes carried over: {', '.join(kept) or 'none'}"
    text += f"; new: {', '.join(new)}" if new else ""
    return text + (f"; not wanted here: {lost} of the model's" if lost else "")
