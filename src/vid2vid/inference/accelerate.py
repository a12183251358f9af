"""The fastest correct way to run a model on a device: numbers of fewer bits, compiled, recorded once."""

from __future__ import annotations

import copy
import platform
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from vid2vid.device import compiler_fault
from vid2vid.errors import UserError
from vid2vid.inference.exact import SAVABLE, exactly_faster
from vid2vid.inference.recorded import Recorded
from vid2vid.inference.stream import stream
from vid2vid.types import GeneratorOutput, RecurrentState, Size
from vid2vid.zoo import Model
from vid2vid.zoo.exported.renderer import ExportedRenderer

Precision = Literal["auto", "float32", "bf16", "fp16"]
Path = Literal["auto", "plain", "exact", "compiled"]

_TYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Running:
    """What renders. device: its name; precision: as ``accelerate`` takes it; path: what was made of the
    networks; warms: the first frames take longer than others, and are best made before they count."""

    device: str
    precision: str
    path: str
    warms: bool = False

    def __str__(self) -> str:
        return f"{self.device}, {self.precision}, {self.path}"


def accelerate(
    model: Model, device: torch.device, precision: str = "auto", path: str = "auto"
) -> tuple[Model, Running]:
    """The model, ready to render fast, and what it runs with. What is given is left as it is, but for
    ``eval``.

    Args:
        model: on ``device``. An exported one stays what it is.
        precision: of the convolutions; motion, warping and the history stay float32. auto: bf16 where a GPU
            computes in it, else float32.
        path: plain: the networks as they are. exact: without the work that label maps make needless; the same
            frames but for rounding. compiled: by ``torch.compile``, and on a GPU recorded as a CUDA graph.
            auto: on a GPU compiled, on a processor exact in float32; what cannot be had is left out.

    Raises:
        UserError: no such precision or path, or not on this device, or not of this model.
    """
    for word, known, option in ((precision, Precision, "precision"), (path, Path, "path")):
        if word not in get_args(known):
            raise UserError(f"--{option} {word}: there are {', '.join(get_args(known))}")
    name = _device_name(device)
    renderer: Any = model.renderer
    if isinstance(renderer, ExportedRenderer):
        if (precision, path) != ("auto", "auto"):
            raise UserError(
                f"--{'path' if precision == 'auto' else 'precision'}: an exported model is run as it was "
                "exported; leave it out, or give the model itself"
            )
        return model, Running(name, "float32", f"exported ({renderer.facts.get('format', 'file')})")
    renderer.eval()
    if precision == "fp16" and device.type == "cpu":
        raise UserError("--precision fp16: processors do not compute in it; take bf16, or leave it out")
    if precision == "auto":
        narrow = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "bf16" if narrow else "float32"
    done, wanted = [], path
    if wanted == "auto":
        exact = isinstance(renderer, SAVABLE) and device.type == "cpu" and precision == "float32"
        wanted = "compiled" if device.type == "cuda" else "exact" if exact else "plain"
    if wanted == "exact":
        if not isinstance(renderer, SAVABLE) or device.type != "cpu" or precision != "float32":
            raise UserError(
                "--path exact: there is nothing to save but in video networks and fast ones, in float32 on a "
                "processor; leave --path out"
            )
        renderer = exactly_faster(renderer)
        done.append("exact savings")
    if precision != "float32":
        renderer = Narrow(renderer, _TYPES[precision], device)
    if wanted == "compiled":
        renderer, done = _compiled(renderer, device, required=path != "auto")
    warms = bool(done) and wanted == "compiled"
    return replace(model, renderer=renderer), Running(name, precision, ", ".join(done) or "plain", warms)


def warm_up(model: Model, size: Size, batch: int = 1, frames: int = 3) -> None:
    """Renders a few frames of nothing of that size: what happens once has happened then."""
    renderer = model.renderer
    channels = renderer.condition_channels + 2 * model.architecture.given_flow
    nothing = torch.zeros(batch, channels, size[1], size[0], device=_place(model))
    for _ in stream(replace(model, first_frame=None), [nothing] * frames):
        pass


class Narrow(nn.Module):
    """A renderer whose convolutions compute in ``dtype``; see :class:`Renderer` for what it does.

    Weights are stored in it too, so that they need not be converted for every frame.
    """

    def __init__(self, renderer: nn.Module, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        self.renderer: Any = copy.deepcopy(renderer)
        self.dtype, self.device = dtype, device
        self.history = self.renderer.history
        self.condition_channels = self.renderer.condition_channels
        self.init_state = self.renderer.init_state
        for module in self.renderer.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                module.to(dtype)
        if device.type == "cuda":
            # What tensor cores want.
            self.renderer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def networks(self) -> list[nn.Module]:
        """Those of the renderer."""
        networks: list[nn.Module] = self.renderer.networks
        return networks

    def step(self, condition: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        """As ``Renderer.step``."""
        with torch.autocast(self.device.type, self.dtype, cache_enabled=False):
            output, following = self.renderer.step(condition, state)
        return output.to(torch.float32), following


def _compiled(renderer: Any, device: torch.device, required: bool) -> tuple[Any, list[str]]:
    """The networks compiled, where there is a compiler; on a GPU, the step recorded as well."""
    done = []
    fault = compiler_fault(device)
    if fault is None:
        renderer = copy.deepcopy(renderer)
        for network in renderer.networks:
            network.compile()
        done.append("compiled")
    elif required:
        raise UserError(f"--path compiled: no compiler that works here ({fault}); leave --path out")
    if device.type == "cuda" and renderer.history:
        renderer = Recorded(renderer)
        done.append("CUDA graph")
    return renderer, done


def _place(model: Model) -> torch.device | None:
    """Where its networks lie; None: main memory."""
    parameter = next(getattr(model.renderer, "parameters", lambda: iter(()))(), None)
    return None if parameter is None else parameter.device


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return (
        f"{device.type} ({threads} thread{'' if threads == 1 else 's'})"
        if device.type == "cpu"
        else (f"{device.type} {platform.machine()}")
    )
