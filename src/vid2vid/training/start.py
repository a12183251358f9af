"""Starting from what another model has learnt: a coarser one, an imported one, one of other footage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from vid2vid.conditions import ConditionSchema
from vid2vid.errors import UserError
from vid2vid.models.forecaster import Forecaster
from vid2vid.models.joint import Joint
from vid2vid.models.renderer import Renderer
from vid2vid.training.classes import carrying
from vid2vid.training.trainer import Trainer
from vid2vid.zoo.files import read_any_tensors, read_json
from vid2vid.zoo.folder import find_model


def start_from(path: Path | str, trainer: Trainer, say: Callable[[str], None]) -> None:
    """Takes every network of ``path`` that has one of the same shape here; each wholly or not at all.

    The scales of a renderer count as networks of their own, so a model of two scales starts from one of one.
    Another class list is no other shape: what was learnt of the classes of the same name is carried over.

    Raises:
        UserError: no such model, a damaged file, or nothing in it fits.
    """
    folder = find_model(path)
    where = folder / "config.json"
    config = read_json(where)
    if "step" in config:
        raise UserError(
            f"{folder}: is an exported model, which cannot learn; start from the one it was made of"
        )
    before = ConditionSchema.from_dict(config.get("condition"), source=str(where))
    classes = carrying(before, trainer.schema)
    if classes is not None and isinstance(trainer.renderer, Forecaster | Joint):
        raise UserError(f"{folder}: forecasts other classes; start from a model of the dataset's own")
    taken: list[str] = []
    left: list[str] = []
    for file, networks in _networks(trainer).items():
        if not (folder / f"{file}.safetensors").is_file():
            left += networks
            continue
        tensors = read_any_tensors(folder / f"{file}.safetensors")
        if not all(torch.isfinite(value).all() for value in tensors.values()):
            raise UserError(f"{folder / file}.safetensors: holds values that are not finite; copy it again")
        for name, network in networks.items():
            known = {
                key.removeprefix(f"{name}."): value
                for key, value in tensors.items()
                if key.startswith(f"{name}.") or not name
            }
            if classes is not None and not name.startswith("video_discriminators"):
                known = classes.bring(known, trainer.renderer.history if file == "generator" else 0)
            (taken if _fill(network, known) else left).append(name or file)
    if not any(name == "coarsest" or name.startswith(("enhancers", "generator")) for name in taken):
        raise UserError(f"{folder}: no network in it has the shape of this recipe's; see vid2vid info")
    say(f"starting from {folder}: {', '.join(taken)}" + (f"; anew: {', '.join(left)}" if left else ""))
    if classes is not None:
        say(classes.report)
    if trainer.average is not None:
        trainer.average.module.load_state_dict(trainer.renderer.state_dict())


def _networks(trainer: Trainer) -> dict[str, dict[str, nn.Module]]:
    """By file, what can be taken from it, by the beginning of its tensors' names."""
    renderer = trainer.renderer
    if isinstance(renderer, Joint):  # the other half has come as it is
        renderer = renderer.forecaster
    scales: dict[str, nn.Module] = {"": renderer}
    if isinstance(renderer, Renderer):
        scales = {"coarsest": renderer.coarsest}
        scales |= {f"enhancers.{i}": enhancer for i, enhancer in enumerate(renderer.enhancers)}
    objective = trainer.objective
    judges = {f"video_discriminators.{i}": judge for i, judge in enumerate(objective.video_discriminators)}
    for name in ("image_discriminator", "face_discriminator"):
        if (judge := getattr(objective, name)) is not None:
            judges[name] = judge
    found: dict[str, dict[str, nn.Module]] = {"generator": scales, "discriminators": judges}
    return found if trainer.encoder is None else found | {"encoder": {"": trainer.encoder}}


def _fill(network: nn.Module, tensors: Mapping[str, Tensor]) -> bool:
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    if shapes != {name: value.shape for name, value in tensors.items()}:
        return False
    network.load_state_dict(dict(tensors))
    return True
