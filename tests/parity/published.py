"""Golden cases of the 2018 networks, their tensors renamed to ours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vid2vid.models.discriminators import MultiScaleDiscriminator
from vid2vid.models.generator import Generator

_GENERATOR_PARTS = {
    "encode_conditions": ("model_down_seg",),
    "encode_frames": ("model_down_img",),
    "decode_image": ("model_res_img", "model_up_img"),
    "image_head": ("model_final_img",),
    "decode_flow": ("model_res_flow", "model_up_flow"),
    "encode_foreground": ("indv_down",),
    "decode_foreground": ("indv_res", "indv_up"),
    "foreground_head": ("indv_final",),
}


class Case:
    """One golden case: settings, inputs and outputs, weights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = json.loads((folder / "case.json").read_text())
        self._arrays = np.load(folder / "io.npz")

    def tensor(self, name: str, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.from_numpy(self._arrays[name]).to(dtype)

    def weights(self, name: str) -> dict[str, Tensor]:
        return torch.load(self.folder / f"latest_net_{name}.pth", weights_only=True)


def _tensors(published: dict[str, Tensor], parts: tuple[str, ...], kind: str) -> list[Tensor]:
    return [
        value
        for part in parts
        for name, value in published.items()
        if name.startswith(part + ".") and name.endswith(kind)
    ]


def load_generator(generator: Generator, published: dict[str, Tensor]) -> None:
    """Fills our modules with the published tensors, which come in the same order."""
    state = dict(generator.named_modules())
    for ours, theirs in _GENERATOR_PARTS.items():
        convolutions = (
            [m for m in state[ours].modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
            if (ours in state)
            else []
        )
        weights, biases = _tensors(published, theirs, ".weight"), _tensors(published, theirs, ".bias")
        for module, weight, bias in zip(convolutions, weights, biases, strict=True):
            _fill(module, weight, bias)
    if generator.has_flow:
        heads = ("model_final_flow", "model_final_w")
        weight, bias = (torch.cat(_tensors(published, heads, kind)) for kind in (".weight", ".bias"))
        _fill(generator.flow_mask_head, weight, bias)


def load_discriminator(discriminator: MultiScaleDiscriminator, published: dict[str, Tensor]) -> None:
    """The published full-resolution scale has the highest index; ours comes first."""
    count = len(discriminator.scales)
    for i, scale in enumerate(discriminator.scales):
        for j, block in enumerate(scale.blocks):
            name = f"scale{count - 1 - i}_layer{j}.0"
            _fill(block[0], published[name + ".weight"], published[name + ".bias"])


def _fill(module: nn.Module, weight: Tensor, bias: Tensor) -> None:
    assert module.weight.shape == weight.shape
    with torch.no_grad():
        module.weight.copy_(weight)
        module.bias.copy_(bias)
