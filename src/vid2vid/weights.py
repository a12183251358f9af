"""Weights of public networks for flow, losses and metrics: found in torch's cache or in a named file.

Nothing is downloaded: a figure should not depend on what a server hands out today.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from vid2vid.errors import UserError


def weights_name(network: str) -> str:
    """What torchvision calls the file with the best weights of a network, "alexnet-owt-7be5be79.pth"."""
    from torchvision.models import get_model_weights

    return get_model_weights(network).DEFAULT.url.rpartition("/")[2]


def find_weights(network: str) -> Path | None:
    """A torchvision network's weights in torch's cache, or None."""
    path = weights_place(network)
    return path if path.is_file() else None


def weights_place(network: str) -> Path:
    """Where torchvision keeps a network's weights, whether they are there or not."""
    return _cache() / weights_name(network)


def weights_missing(network: str, spec: str) -> UserError:
    """What to say where there are none. spec: what the user wrote, to which a file can be added."""
    return UserError(
        f"{spec}: its weights are not at hand, and nothing is downloaded; put torchvision's "
        f"{weights_name(network)} into {_cache()}, or name a file as {spec}:FILE"
    )


def read_weights(path: Path, wanted: str) -> dict[str, Tensor]:
    """The tensors of a .pth or .safetensors file by name, in float32 where they are numbers with a point.

    wanted: what the file should hold, for the message. Raises UserError when it cannot be read as that.
    """
    import safetensors.torch

    if not path.is_file():
        raise UserError(f"{path}: no such file; give {wanted} (.pth or .safetensors)")
    try:
        if path.suffix.lower() == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the parsers raise anything at damaged bytes
        reason = " ".join(str(error).split())[:100]
        raise UserError(f"{path}: damaged or not a weights file ({reason}); give {wanted}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path}: holds no plain state dict of tensors; give {wanted}")
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def build(make: Callable[[], nn.Module], state: dict[str, Tensor], source: Path | str) -> nn.Module:
    """The network that `make` makes, holding `state`, frozen and in evaluation mode.

    It is made without numbers first: drawing random ones that are thrown away takes longer than reading.
    """
    with torch.device("meta"):
        network = make()
    try:
        network.load_state_dict(state, assign=True)
    except (RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"{source}: weights of another network ({reason}); name a file that fits") from error
    return network.eval().requires_grad_(False)


def _cache() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"
