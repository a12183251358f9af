"""Puts the faster parts into a copy of a renderer."""

from __future__ import annotations

import copy
from collections.abc import Collection

from torch import Tensor, nn

from vid2vid.inference.exact.labels import LabelMaps, TableStem
from vid2vid.inference.exact.layers import FusedBlock, FusedEncoder, Head
from vid2vid.inference.exact.winograd import LEAST_CHANNELS, WinogradBlocks
from vid2vid.models.generator import Generator
from vid2vid.models.layers import Decoder, Encoder, ResidualBlock
from vid2vid.models.renderer import Renderer

SAVINGS = ("fused", "heads", "labels", "winograd")
"""fused: layers with pixels as rows, normalised in place. heads: last convolutions in two steps. labels: stems of
label maps by tables. winograd: residual blocks of fewer multiplications."""


def exactly_faster(renderer: Renderer, savings: Collection[str] = SAVINGS) -> Renderer:
    """A copy of ``renderer`` that needs fewer operations for the same frames, in float32 on a CPU.

    The copy shares the weights that it still needs and adds its own forms of others, as they are now: four times
    the residual blocks'. Where its savings do not hold (a GPU, half precision, gradients, soft conditions, frames
    of a few pixels) it does what ``renderer`` does. Frames differ by rounding: about 1e-5 per step.

    savings: which of ``SAVINGS``; all but a benchmark takes all.
    """
    memo = {id(tensor): tensor for tensor in (*renderer.parameters(), *renderer.buffers())}
    faster = copy.deepcopy(renderer, memo).eval()
    for network in faster.networks:
        _speed_up(network, faster.condition_channels, faster.history + 1, savings)
    return faster


def _speed_up(network: Generator, channels: int, conditions: int, savings: Collection[str]) -> None:
    kernel = network.encode_conditions.stem[0].kernel_size[0]
    for name, module in list(network.named_children()):
        if isinstance(module, nn.Conv2d) and "heads" in savings:
            setattr(network, name, Head(module))
        if isinstance(module, Encoder | Decoder):
            scaling = module.halvings if isinstance(module, Encoder) else module.doublings
            for i, block in enumerate(scaling):
                if "fused" in savings:
                    scaling[i] = FusedBlock(block)
            if "winograd" in savings and _is_wide(module.blocks):
                module.blocks = WinogradBlocks(module.blocks)
        if isinstance(module, Encoder):
            convolution = module.stem[0]
            stem = FusedBlock(module.stem) if "fused" in savings else module.stem
            if "labels" in savings and name != "encode_frames":
                stem = TableStem(stem, convolution, conditions)
            setattr(network, name, FusedEncoder(module, stem))
    if "labels" in savings:

        def read_labels(_: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor | LabelMaps, ...]:
            maps = LabelMaps.read(arguments[0], channels, kernel)
            return arguments if maps is None else (maps, *arguments[1:])

        network.register_forward_pre_hook(read_labels)


def _is_wide(blocks: nn.Sequential) -> bool:
    first = next((block for block in blocks if isinstance(block, ResidualBlock)), None)
    return first is not None and first.block[0].in_channels >= LEAST_CHANNELS
