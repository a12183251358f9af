"""The renderer that learns together with a forecaster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vid2vid.conditions import check_alike
from vid2vid.config import Recipe
from vid2vid.errors import UserError
from vid2vid.zoo.exported.renderer import ExportedRenderer
from vid2vid.zoo.folder import RENDERER, Model, find_model, load_renderer


def partner(
    settings: Recipe, recipe: str, renderer: Path | str | None, start_from: Path | str | None
) -> Path | str | None:
    """The renderer to learn with: as named, else that inside the model that is started from; None where the
    recipe joins nothing.

    Raises:
        UserError: there is none, or one that the recipe has no use for.
    """
    if not settings.train.joint:
        if renderer is not None:
            raise UserError(f"--renderer: {recipe} learns alone; use a recipe like forecast-tiny-joint")
        return None
    if renderer is not None:
        return renderer
    if start_from is not None and (inside := find_model(start_from) / RENDERER).is_dir():
        return inside
    raise UserError(f"{recipe}: joins a forecaster with a renderer; name one with --renderer")


def with_partner(model: Model, path: Path | str) -> Model:
    """The forecaster with that renderer inside, ready to learn at the forecaster's size.

    Raises:
        UserError: no renderer, a damaged one, or one that cannot learn this.
    """
    found = load_renderer(path)
    check_alike(model.schema, found.schema, str(path))
    if isinstance(found.renderer, ExportedRenderer):
        raise UserError(f"{path}: is an exported model, which cannot learn; give the one it was made of")
    if not found.renderer.history:
        raise UserError(f"{path}: looks at no past frames; give a renderer that does")
    if found.architecture.styles:
        raise UserError(f"{path}: has styles, which nobody forecasts; give a renderer without")
    if found.schema.channels != model.schema.channels:
        knows = "knows" if found.schema.instances else "does not know"
        wanted = str(found.schema.instances).lower()
        raise UserError(f"{path}: {knows} borders of objects; train with data.instances={wanted}")
    found.renderer.requires_grad_(True)
    return replace(model, shown_by=replace(found, size=model.size, rate=model.rate, first_frame=None))
