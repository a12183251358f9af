"""LPIPS: how different two pictures look to a network that learned to see."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor

from vid2vid.errors import UserError
from vid2vid.weights import build, find_weights, read_weights, weights_missing

Backbone = Literal["alex", "vgg"]
Activations = list[Tensor]
"""What LPIPS compares of a picture."""

_NETWORKS = {"alex": "alexnet", "vgg": "vgg16"}
_TAPS = {"alex": (1, 4, 7, 9, 11), "vgg": (3, 8, 15, 22, 29)}
"""The ReLUs whose activations are compared, by their place in torchvision's ``features``."""
_WIDTHS = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}
_SMALLEST = {"alex": 31, "vgg": 16}
"""Below this many pixels a side the last layers have nothing to look at."""
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class PerceptualDistance:
    """LPIPS (Zhang et al. 2018), version 0.1, on AlexNet or VGG-16: at five layers of a network trained to
    classify ImageNet, the activations of both pictures, each scaled to unit length over the channels; their
    squared differences, weighted per channel by what people judged to look alike, averaged over the picture
    and summed over the layers. Lower is better; 0 for equal pictures, about 0.05 (hard to tell apart) to 0.8
    (nothing in common). RGB as the file has it, from [-1, 1], shifted and scaled per channel as published. At
    the size scored, without resizing: compare only at equal size, and only on the same backbone.

    backbone: AlexNet is what most papers report; VGG-16 is closer to what a perceptual loss trains on, and so
    flatters models trained with one.
    state: the backbone's weights, named as torchvision names them (``features.0.weight``, ...). The weights
    of the channels are read from torchmetrics, which carries them.
    device: where it computes; torch's default unless given.
    source: where the weights are from, for messages.

    Raises UserError when the weights are not those of the backbone.
    """

    def __init__(
        self,
        backbone: Backbone,
        state: dict[str, Tensor],
        device: torch.device | None = None,
        source: Path | str = "state",
    ) -> None:
        self.backbone = backbone
        self.name = f"LPIPS ({'AlexNet' if backbone == 'alex' else 'VGG-16'})"
        self._device = torch.get_default_device() if device is None else device
        kept = {name[9:]: value for name, value in state.items() if name.startswith("features.")}
        features = build(lambda: _features(backbone), kept, source)
        self._layers = features.to(self._device)
        self._channels = [weight.to(self._device) for weight in _channel_weights(backbone)]
        self._shift = torch.tensor(_SHIFT, device=self._device).view(1, 3, 1, 1)
        self._scale = torch.tensor(_SCALE, device=self._device).view(1, 3, 1, 1)

    def __call__(self, a: np.ndarray, b: np.ndarray) -> float:
        """The distance of two (H, W, 3) uint8 RGB pictures of one size.

        Raises UserError when they are too small for the backbone.
        """
        if a.shape != b.shape:
            raise ValueError(f"pictures of two sizes cannot be compared: {a.shape} and {b.shape}")
        return self.between(self.activations(a), self.activations(b))

    @torch.inference_mode()
    def activations(self, picture: np.ndarray) -> Activations:
        """What `between` compares. Kept by who compares one real picture with several fakes.

        One picture at a time: in one batch, equal pictures would not always get equal numbers.
        """
        _check(picture, _SMALLEST[self.backbone], self.backbone)
        tensor = torch.tensor(picture, device=self._device).permute(2, 0, 1)[None].float() / 127.5 - 1
        x = (tensor - self._shift) / self._scale
        found = []
        # Tensor cores would round to three digits: a figure should not depend on the machine.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for place, layer in enumerate(cast(torch.nn.Sequential, self._layers)):
                x = layer(x)
                if place in _TAPS[self.backbone]:
                    found.append(x / (x.norm(dim=1, keepdim=True) + 1e-10))
        return found

    @torch.inference_mode()
    def between(self, a: Activations, b: Activations) -> float:
        """The distance of two pictures by their activations."""
        layers = zip(a, b, self._channels, strict=True)
        return float(sum(((x - y).square() * weight).sum(1).mean() for x, y, weight in layers))


def find_lpips_weights(backbone: Backbone) -> Path | None:
    """The backbone's weights in torch's cache, or None."""
    return find_weights(_NETWORKS[backbone])


def open_lpips(spec: str, device: torch.device) -> PerceptualDistance:
    """The LPIPS a user named.

    "alex", "vgg": with torchvision's ImageNet weights from torch's cache. "alex:FILE", "vgg:FILE": with the
    weights in a file (.pth or .safetensors). Nothing is ever downloaded.

    Raises UserError for an unknown name and for weights that are not at hand, damaged or foreign.
    """
    name, _, file = spec.partition(":")
    if name not in _NETWORKS:
        raise UserError(f"LPIPS {spec!r}: unknown; use alex, vgg, alex:FILE or vgg:FILE")
    backbone = cast(Backbone, name)
    path = Path(file) if file else find_lpips_weights(backbone)
    if path is None:
        raise weights_missing(_NETWORKS[name], name)
    state = read_weights(path, f"torchvision's weights of {_NETWORKS[name]}")
    return PerceptualDistance(backbone, state, device, path)


def _features(backbone: Backbone) -> torch.nn.Module:
    """The convolutions up to the last layer compared, and no further."""
    from torchvision.models import alexnet, vgg16

    network = (alexnet if backbone == "alex" else vgg16)(weights=None)
    return network.features[: _TAPS[backbone][-1] + 1]


def _channel_weights(backbone: Backbone) -> list[Tensor]:
    """Per layer: how much each channel counts, (1, C, 1, 1), from the files inside torchmetrics."""
    spec = find_spec("torchmetrics")
    root = Path(next(iter(spec.submodule_search_locations or ()), "")) if spec else Path()
    path = root / "functional" / "image" / "lpips_models" / f"{backbone}.pth"
    wanted = "those of torchmetrics 1.7 or later: install it again"
    state = read_weights(path, wanted)
    weights = [state.get(f"lin{layer}.model.1.weight") for layer in range(len(_TAPS[backbone]))]
    for weight, width in zip(weights, _WIDTHS[backbone], strict=True):
        if weight is None or weight.shape != (1, width, 1, 1):
            raise UserError(f"{path}: not the linear weights of LPIPS; give {wanted}")
    return cast(list[Tensor], weights)


def _check(picture: np.ndarray, smallest: int, backbone: str) -> None:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ValueError(f"expected an RGB picture (H, W, 3) uint8, not {picture.shape} {picture.dtype}")
    height, width = picture.shape[:2]
    if min(height, width) < smallest:
        raise UserError(
            f"LPIPS {backbone}: pictures of {width}x{height} are too small for it; score at {smallest} "
            "pixels or more a side"
        )
