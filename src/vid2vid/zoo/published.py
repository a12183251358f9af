"""The published checkpoints of 2018: what network their tensors belong to.

Their networks are plain sequences of layers, so a tensor's name holds the number of its layer. ``layout``
counts those numbers; laid beside our own convolutions, in order, it says which tensor goes where.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vid2vid.config import ModelConfig
from vid2vid.errors import UserError
from vid2vid.models.discriminators import MultiScaleDiscriminator
from vid2vid.models.feature_encoder import FeatureEncoder
from vid2vid.models.generator import Generator
from vid2vid.models.image_generator import ImageRenderer
from vid2vid.models.renderer import Renderer

Published = Mapping[str, Tensor]


@dataclass(frozen=True)
class Part:
    """A sequence of published layers, and the module of ours that has the same convolutions."""

    ours: str
    theirs: str
    layers: tuple[str, ...]
    """stem and head: padded convolutions; down, up: strided ones; block: a residual block."""


_NUMBERS = {"stem": 4, "head": 3, "down": 3, "up": 3, "block": 1}
_CONVOLUTIONS = {
    "stem": ("1",),
    "head": ("1",),
    "down": ("0",),
    "up": ("0",),
    "block": ("conv_block.1", "conv_block.5"),
}


def layout(part: Part) -> Iterator[str]:
    """The published names of a part's convolutions, in order."""
    number = 0
    for layer in part.layers:
        for place in _CONVOLUTIONS[layer]:
            inner, _, rest = place.rpartition(".")
            yield (f"{part.theirs}.{number}.{place}" if inner else f"{part.theirs}.{number + int(rest)}")
        number += _NUMBERS[layer]


def generator_parts(network: Generator, config: ModelConfig, scale: int) -> list[Part]:
    """What a generator of one scale is made of (``composite`` and ``compositeLocal``)."""
    if scale:
        down: tuple[str, ...] = ("stem", "down")
        up, early, late = ("block",) * config.enhancer_blocks + ("up",), 0, 0
        drawn = up
    else:
        down, up = ("stem",) + ("down",) * config.downs, ("up",) * config.downs
        late = config.blocks // 2
        early, drawn = config.blocks - late, up
    half = ("block",) * late
    parts = [
        Part("encode_conditions", "model_down_seg", down + ("block",) * early),
        Part("encode_frames", "model_down_img", down + ("block",) * early),
        Part("decode_image.blocks", "model_res_img", half),
        Part("decode_image" if scale else "decode_image.doublings", "model_up_img", up),
        Part("image_head", "model_final_img", ("head",)),
    ]
    if network.has_flow:
        parts += [
            Part("decode_flow.blocks", "model_res_flow", half),
            Part("decode_flow" if scale else "decode_flow.doublings", "model_up_flow", up),
        ]
    if network.has_foreground:
        parts += [
            Part("encode_foreground", "indv_down", down),
            Part("decode_foreground.blocks", "indv_res", () if scale else ("block",) * config.blocks),
            Part("decode_foreground" if scale else "decode_foreground.doublings", "indv_up", drawn),
            Part("foreground_head", "indv_final", ("head",)),
        ]
    return [part for part in parts if part.layers]


def image_parts(config: ModelConfig) -> list[Part]:
    """What an image generator is made of (``global``, ``local``, each with or without features)."""
    down, up = ("stem",) + ("down",) * config.downs, ("up",) * config.downs
    blocks, few = ("block",) * config.blocks, ("block",) * config.enhancer_blocks
    local = config.scales == 2
    if config.styles:
        parts = [
            Part("network.encode", "model_downsample", down),
            Part("network.blocks", "model_resnet", blocks),
            Part("network.decode", "model_upsample", up),
        ]
        if local:
            parts += [
                Part("enhancer.encode", "model1_1", ("stem", "down")),
                Part("enhancer.blocks enhancer.decode", "model1_2", (*few, "up")),
            ]
        return [*parts, Part("head", "model_final" if local else "model_upsample_conv", ("head",))]
    whole = down + blocks + up
    if not local:
        return [Part("network head", "model", (*whole, "head"))]
    return [
        Part("network", "model", whole),
        Part("enhancer.encode", "model1_1", ("stem", "down")),
        Part("enhancer.blocks enhancer.decode head", "model1_2", (*few, "up", "head")),
    ]


class Filling:
    """Takes published tensors one by one; what is asked for must be there, and in the end nothing be left.

    Raises:
        UserError: the first fault, from any of the methods.
    """

    def __init__(self, published: Published, where: Path) -> None:
        self.where = where
        self._left = dict(published)

    def take(self, name: str, like: Tensor) -> Tensor:
        if name not in self._left:
            raise UserError(
                f"{self.where}: tensor {name} is missing; the file is damaged or of another network"
            )
        value = self._left.pop(name)
        if value.shape != like.shape:
            found, wanted = tuple(value.shape), tuple(like.shape)
            raise UserError(f"{self.where}: tensor {name} is {found}, not {wanted}; get the original")
        if not value.is_floating_point():
            raise UserError(f"{self.where}: tensor {name} is {value.dtype}, no weights; get the original")
        return value.to(torch.float32)

    def finish(self) -> None:
        for name in self._left:
            raise UserError(
                f"{self.where}: tensor {name} belongs to no part of this network; get the original"
            )

    def parts(self, module: nn.Module, parts: Iterable[Part]) -> dict[str, Tensor]:
        """Tensors under our names, for a module whose convolutions the parts list."""
        tensors = {}
        named = dict(module.named_modules())
        for part in parts:
            convolutions = [
                (f"{path}.{inner}".rstrip("."), found)
                for path in part.ours.split()
                for inner, found in named[path].named_modules()
                if isinstance(found, nn.Conv2d | nn.ConvTranspose2d)
            ]
            for (ours, convolution), theirs in zip(convolutions, layout(part), strict=True):
                for kind in ("weight", "bias"):
                    like = getattr(convolution, kind)
                    tensors[f"{ours}.{kind}"] = self.take(f"{theirs}.{kind}", like)
        return tensors


def fill_generator(
    network: Generator, config: ModelConfig, scale: int, filling: Filling
) -> dict[str, Tensor]:
    """The tensors of one scale; flow and mask, two heads there, are one here."""
    tensors = filling.parts(network, generator_parts(network, config, scale))
    if network.has_flow:
        for kind in ("weight", "bias"):
            both = getattr(network.flow_mask_head, kind)
            flow = filling.take(f"model_final_flow.1.{kind}", both[:2])
            mask = filling.take(f"model_final_w.1.{kind}", both[2:])
            tensors[f"flow_mask_head.{kind}"] = torch.cat([flow, mask])
    filling.finish()
    return tensors


def fill_renderer(
    renderer: Renderer, config: ModelConfig, scales: Iterable[tuple[Path, Published]]
) -> dict[str, Tensor]:
    """``latest_net_G0.pth`` and the finer ones, in order."""
    tensors: dict[str, Tensor] = {}
    for scale, (where, published) in enumerate(scales):
        prefix = f"enhancers.{scale - 1}" if scale else "coarsest"
        filled = fill_generator(renderer.networks[scale], config, scale, Filling(published, where))
        tensors |= {f"{prefix}.{name}": value for name, value in filled.items()}
    return tensors


def fill_image_renderer(
    network: ImageRenderer, config: ModelConfig, published: Published, where: Path
) -> dict[str, Tensor]:
    """``latest_net_G.pth``."""
    filling = Filling(published, where)
    tensors = filling.parts(network, image_parts(config))
    filling.finish()
    return tensors


def fill_encoder(network: FeatureEncoder, downs: int, published: Published, where: Path) -> dict[str, Tensor]:
    """``latest_net_E.pth``."""
    filling = Filling(published, where)
    layers = ("stem", *("down",) * downs, *("up",) * downs, "head")
    tensors = filling.parts(network, [Part("network head", "model", layers)])
    filling.finish()
    return tensors


def fill_discriminator(
    network: MultiScaleDiscriminator, published: Published, where: Path
) -> dict[str, Tensor]:
    """``latest_net_D.pth`` and its like: their full resolution has the highest number, ours comes first."""
    filling = Filling(published, where)
    tensors = {}
    last = len(network.scales) - 1
    for i, scale in enumerate(network.scales):
        for j, block in enumerate(scale.blocks):  # type: ignore[arg-type]
            for kind in ("weight", "bias"):
                name = f"scales.{i}.blocks.{j}.0.{kind}"
                tensors[name] = filling.take(f"scale{last - i}_layer{j}.0.{kind}", getattr(block[0], kind))
    filling.finish()
    return tensors
