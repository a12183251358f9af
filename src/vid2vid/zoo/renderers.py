"""The renderers there are, and which of them some settings mean."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from vid2vid.conditions import LabelSchema
from vid2vid.config import ModelConfig
from vid2vid.models.fast import FastRenderer
from vid2vid.models.forecaster import Forecaster
from vid2vid.models.image_generator import ImageRenderer
from vid2vid.models.joint import Joint
from vid2vid.models.renderer import Renderer

AnyRenderer = Renderer | FastRenderer | ImageRenderer | Forecaster | Joint
"""All keep to one protocol: ``init_state``, then ``step`` for each frame."""


def build_renderer(
    architecture: ModelConfig, channels: int, foreground: Sequence[int], classes: int = 0
) -> AnyRenderer:
    """The network of these settings for conditions of so many channels, before styles join them. Of a
    forecaster it also matters how many of them, the first, are classes."""
    settings = dataclasses.asdict(architecture)
    styles = settings.pop("styles")
    kind, noise = settings.pop("network"), settings.pop("noise")
    del settings["style_width"], settings["style_downs"]
    known: tuple[str, ...]
    if kind == "forecast":
        known = ("history", "width", "downs", "blocks", "kernel", "use_flow", "upsampling", "skips")
        arguments = {name: settings[name] for name in known}
        return Forecaster(channels, classes=classes, movers=foreground, noise=noise, **arguments)
    if kind == "image":
        known = ("scales", "width", "downs", "blocks", "enhancer_blocks")
        return ImageRenderer(channels + styles, styles=styles, **{name: settings[name] for name in known})
    if kind == "fast":
        known = ("history", "width", "downs", "blocks", "use_flow", "foreground")
        arguments = {name: settings[name] for name in known}
        return FastRenderer(channels + styles, foreground_channels=foreground, **arguments)
    return Renderer(channels + styles, foreground_channels=foreground, **settings)


def join(forecaster: AnyRenderer, renderer: AnyRenderer, labels: LabelSchema | None) -> Joint:
    """Both as one. Raises ValueError where they are no forecaster and renderer of past frames."""
    if not isinstance(forecaster, Forecaster) or not isinstance(renderer, Renderer | FastRenderer):
        raise ValueError("a forecaster learns with a renderer that goes on from past frames")
    return Joint(forecaster, renderer, labels)
