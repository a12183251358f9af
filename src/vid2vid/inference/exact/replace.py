"""Puts the faster parts into a copy of a renderer."""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import cast

from torch import Tensor, nn

from vid2vid.inference.exact.labels import LabelMaps, TableStem
from vid2vid.inference.exact.layers import FusedBlock, FusedEncoder, Head
from vid2vid.inference.exact.sight import TableSight
from vid2vid.inference.exact.winograd import LEAST_CHANNELS, WinogradBlocks
from vid2vid.models.fast import FastRenderer, Sight
from vid2vid.models.generator import Generator
from vid2vid.models.layers import Decoder, Encoder
from vid2vid.models.renderer import Renderer
from vid2vid.zoo.renderers import AnyRenderer

SAVINGS = ("fused", "heads", "labels", "winograd")
"""fused: layers with pixels as rows, normalised in place. heads: last convolutions in two steps. labels:
stems of label maps by tables. winograd: residual blocks of fewer multiplications."""

SAVABLE = (Renderer, FastRenderer)
"""The renderers in which there is anything to save."""


def exactly_faster(renderer: AnyRenderer, savings: Collection[str] = SAVINGS) -> AnyRenderer:
    """A copy of ``renderer`` that needs fewer operations for the same frames, in float32 on a CPU; itself,
    where it is an image generator or a forecaster. Of the fast renderer the labels alone matter.

    The copy shares the weights of ``renderer`` and adds forms of its own of them, as they are now: of
    residual blocks four times their size. Where a saving does not hold (a GPU, half precision, gradients,
    soft conditions, frames of a few pixels) the plain layers do the work. Frames differ by rounding alone.

    savings: which of ``SAVINGS``; all but a benchmark takes all.
    """
    if not isinstance(renderer, SAVABLE):
        return renderer
    memo = {id(tensor): tensor for tensor in (*renderer.parameters(), *renderer.buffers())}
    faster = copy.deepcopy(renderer, memo).eval()
    if isinstance(faster, FastRenderer):
        if "labels" in savings:
            faster.network.encode_conditions = cast(Sight, TableSight(faster.network.encode_conditions))
        return faster
    for network in faster.networks:
        for name, module in list(network.named_children()):
            if isinstance(module, nn.Conv2d) and "heads" in savings:
                setattr(network, name, Head(module))
            elif isinstance(module, Decoder):
                _speed_up(module, module.doublings, savings)
            elif isinstance(module, Encoder):
                _speed_up(module, module.halvings, savings)
                conditions = 0 if name == "encode_frames" else faster.history + 1
                setattr(network, name, FusedEncoder(module, _stem(module.stem, conditions, savings)))
        if "labels" in savings:
            _read_labels(network)
    return faster


def _speed_up(part: Encoder | Decoder, scaling: nn.ModuleList, savings: Collection[str]) -> None:
    if "fused" in savings:
        for i, block in enumerate(scaling):
            scaling[i] = FusedBlock(cast(nn.Sequential, block))
    first = next((m for m in part.blocks.modules() if isinstance(m, nn.Conv2d)), None)
    if "winograd" in savings and first is not None and first.in_channels >= LEAST_CHANNELS:
        part.blocks = cast(nn.Sequential, WinogradBlocks(part.blocks))


def _stem(plain: nn.Sequential, conditions: int, savings: Collection[str]) -> nn.Module:
    """The stem of an encoder of so many stacked conditions; of pictures: 0."""
    convolution = cast(nn.Conv2d, plain[0])
    stem = FusedBlock(plain) if "fused" in savings else plain
    return TableStem(stem, convolution, conditions) if conditions and "labels" in savings else stem


def _read_labels(network: Generator) -> None:
    """Has both encoders of conditions given the maps, read once, where the conditions are labels."""
    stem = cast(TableStem, network.encode_conditions.stem)

    def read(_: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor | LabelMaps, ...]:
        maps = LabelMaps.read(arguments[0], stem.channels, stem.kernel)
        return arguments if maps is None else (maps, *arguments[1:])

    network.register_forward_pre_hook(read)
