"""Parts of a generator that are to stay as they are."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from vid2vid.errors import UserError
from vid2vid.zoo.folder import Model


def freeze(model: Model, names: Iterable[str]) -> None:
    """Takes parts of a model (see ``parts``) out of what learns: no gradient, no place in an optimiser.

    Raises:
        UserError: the model has no such part, or nothing is left that learns.
    """
    known = parts(model)
    for name in names:
        if name not in known:
            raise UserError(f"--freeze {name}: this model has no such part; it has {', '.join(known)}")
        for weight in known[name]:
            weight.requires_grad_(False)
    if not any(weight.requires_grad for weights in known.values() for weight in weights):
        raise UserError(f"--freeze {' '.join(names)}: leaves nothing that learns; name fewer parts")


def parts(model: Model) -> dict[str, list[nn.Parameter]]:
    """What a model has that can be frozen, by name.

    At all scales: ``encoder`` (of conditions and past frames), ``image`` (what paints, and a fast renderer's
    mask, which is painted along), ``flow`` (motion and its mask), ``foreground`` (its whole network).
    ``coarse``: all scales but the finest. ``styles``: the encoder of styles. Of a forecaster that learns with
    a renderer these are its own, ``forecaster`` is all of it and ``renderer`` all of the other.
    """
    found: dict[str, list[nn.Parameter]] = {"encoder": [], "image": [], "flow": [], "foreground": []}
    for name, weight in model.renderer.named_parameters():
        found[_part(name)].append(weight)
    found["coarse"] = [weight for network in model.renderer.networks[:-1] for weight in network.parameters()]
    found["styles"] = [] if model.encoder is None else list(model.encoder.parameters())
    if model.shown_by is not None:
        found["forecaster"] = list(model.renderer.parameters())
        found["renderer"] = list(model.shown_by.renderer.parameters())
    return {name: weights for name, weights in found.items() if weights}


def _part(name: str) -> str:
    """Of a renderer's weight, by the names of the modules it lies in."""
    words = (
        ("foreground", "foreground"),
        ("flow", "flow"),
        ("flow", "mask"),
        ("flow", "swerve"),  # a forecaster's
        ("encoder", "encode"),
    )
    for part, word in words:
        if word in name:
            return part
    return "image"
