"""What is known of a model or a recipe before it runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from vid2vid.annotators.drawn import DRAWN
from vid2vid.conditions import ConditionSchema
from vid2vid.config import ModelConfig, Recipe, load_recipe, recipe_names
from vid2vid.errors import UserError
from vid2vid.types import Size
from vid2vid.zoo.exported.ports import condition_channels
from vid2vid.zoo.folder import bundled, find_model, load_model
from vid2vid.zoo.footprint import LiveMemory, Rehearsal, weight_bytes
from vid2vid.zoo.renderers import build_renderer

LEAST_TO_TRAIN = 16
"""Pixels a side below which there is nothing left for the discriminators to judge."""


def info(
    what: str | None = None, overrides: Iterable[str] = (), *, size: Size | None = None
) -> dict[str, Any]:
    """Facts of a model folder, a run or a recipe; without a name, what there is to choose from.

    Args:
        what: a model folder, a run, the name of a bundled model, a recipe or a YAML file.
        overrides: ``section.key=value`` words, for a recipe.
        size: (width, height) a frame is counted at; default: that of the model or recipe.

    Returns:
        Plain data: scales, parameters, tera-operations a frame (a multiply-add counts as two), memory to
        render a frame and, for a recipe, to train (weights and activations in float32; what libraries need
        beside them is not in it), settings. A recipe is counted for 35 classes with instance edges, or the
        channels of its drawings (else three), since its dataset is not known yet.

    Raises:
        UserError: no such model or recipe.
    """
    if what is None:
        keys = dataclasses.asdict(Recipe())
        return {"recipes": recipe_names(), "bundled models": list(bundled()), "recipe keys": keys}
    overrides = list(overrides)
    try:
        folder = find_model(what)
    except UserError as not_a_model:
        try:
            recipe = load_recipe(what, overrides)
        except UserError as not_a_recipe:
            known = what in recipe_names() or what.endswith((".yaml", ".yml")) or bool(overrides)
            raise (not_a_recipe if known else not_a_model) from None
        labels = recipe.data.condition == "labels"
        drawn = DRAWN.get(recipe.data.condition)
        pictures = drawn.channels if drawn is not None else 3
        channels = 35 + int(recipe.data.instances) if labels else pictures
        foreground = (0,) if labels else ()
        facts: dict[str, Any] = {"recipe": recipe.name, "about": " ".join(recipe.about.split())}
        facts |= _cost(recipe.model, channels, foreground, size or recipe.data.size, recipe)
        return facts | {"settings": dataclasses.asdict(recipe)}
    if overrides:
        raise UserError(f"{overrides[0]}: {what} is a model; only a recipe's settings can be changed")
    model = load_model(folder)
    facts = {"model": str(folder), **model.about, "trained at": f"{model.size[0]}x{model.size[1]}"}
    facts |= {"rate": float(model.rate), "condition": _describe(model.schema)}
    schema = model.schema
    facts |= _cost(model.architecture, schema.channels, schema.foreground_channels, size or model.size)
    return facts | {"settings": dataclasses.asdict(model.architecture)}


def _cost(
    architecture: ModelConfig,
    channels: int,
    foreground: tuple[int, ...],
    size: Size,
    recipe: Recipe | None = None,
) -> dict[str, Any]:
    """Parameters, operations and memory, counted on tensors without memory."""
    with torch.device("meta"):
        renderer = build_renderer(architecture, channels, foreground)
        condition = torch.zeros(1, condition_channels(renderer), size[1], size[0])
        frames = torch.zeros(1, 2, renderer.frame_channels, size[1], size[0])
        state = renderer.init_state(condition[:, None].expand(-1, 2, -1, -1, -1), frames)
        with FlopCounterMode(display=False) as counter, LiveMemory() as memory, torch.no_grad():
            renderer.step(condition, state)
        facts = {
            "scales": architecture.scales,
            "parameters": sum(parameter.numel() for parameter in renderer.parameters()),
            "size": f"{size[0]}x{size[1]}",
            "TFLOP a frame": counter.get_total_flops() / 1e12,
            "GiB to render": round((memory.peak + weight_bytes(renderer)) / 2**30, 3),
        }
        if recipe is not None and min(size) >= LEAST_TO_TRAIN:
            step = Rehearsal.build(
                recipe, (channels, foreground), recipe.data.crop or size, torch.device("meta")
            )
            facts["GiB to train"] = round(step.memory() / 2**30, 3)
    return facts


def _describe(schema: ConditionSchema) -> str:
    if schema.labels is None:
        return f"pictures from {schema.name}/"
    names = ", ".join(item.name for item in schema.labels.classes)
    return f"label maps from {schema.name}/ ({names})" + (", instances" if schema.instances else "")
