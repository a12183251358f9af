"""``step`` with flat arguments and results, as a file has it: every tensor of the state by a name of its own.

    condition, filled, conditions_0 ..., frames_0 ...
        -> frame, raw, flow, mask, warped, next_filled, next_conditions_0 ..., next_frames_0 ...

A program that runs such a file feeds every ``next_X`` to the ``X`` of the next step. A model without a past
has only ``condition`` and ``frame``; one without a flow branch makes no raw, flow, mask and warped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vid2vid.types import GeneratorOutput, RecurrentState, Size
from vid2vid.zoo.renderers import AnyRenderer

NEXT = "next_"
"""What comes before the name of an input in that of the output which is fed back to it."""

Run = Callable[[Sequence[Tensor]], Sequence[Tensor]]
"""A step file that was opened: tensors as its inputs in, as its outputs out, all on the CPU or where ``step``
is asked; they are float32, ``filled`` is int64."""

PER_PIXEL = 2048
"""No tensor of an honest step has more numbers for every pixel of the frame."""


@dataclass(frozen=True)
class Port:
    """One input or output of a step file; () is a single number."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32


@dataclass(frozen=True)
class Ports:
    """All of them, in order, for frames of one size and a batch of one."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    size: Size

    @property
    def feedback(self) -> dict[str, str]:
        """Which output of a step is which input of the next."""
        return {f"{NEXT}{port.name}": port.name for port in self.inputs[1:]}

    @property
    def largest(self) -> int:
        """More numbers than any tensor within the step has; what has more is an attack on the memory."""
        return PER_PIXEL * max(port.shape[-1] * port.shape[-2] for port in self.inputs if port.shape)


class FlatStep(nn.Module):
    """A renderer's ``step`` from flat tensors to flat tensors: what is traced."""

    def __init__(self, renderer: AnyRenderer) -> None:
        super().__init__()
        self.renderer = renderer

    def forward(self, condition: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.named(condition, state).values())

    def named(self, condition: Tensor, state: Sequence[Tensor]) -> dict[str, Tensor]:
        """What ``forward`` returns, by name."""
        known = unflat_state(state) if state else self.renderer.init_state(condition)
        output, following = self.renderer.step(condition, known)
        after = flat_state(following, self.renderer.history)
        return flat_output(output) | {f"{NEXT}{name}": tensor for name, tensor in after.items()}


def step_ports(renderer: AnyRenderer, size: Size) -> Ports:
    """What a step file of this renderer takes and gives. The renderer is one without memory, on "meta".

    Raises:
        ValueError, RuntimeError: sizes beyond all bounds.
    """
    with torch.device("meta"), torch.no_grad():
        condition = torch.zeros(1, condition_channels(renderer), size[1], size[0])
        state = flat_state(renderer.init_state(condition), renderer.history)
        outputs = FlatStep(renderer).named(condition, [*state.values()])
    return Ports(_ports({"condition": condition} | state), _ports(outputs), size)


def condition_channels(renderer: AnyRenderer) -> int:
    """Of what ``step`` is given: with the flow, where this is not predicted."""
    return renderer.condition_channels + 2 * getattr(renderer, "given_flow", False)


def flat_output(output: GeneratorOutput) -> dict[str, Tensor]:
    """The parts of an output that are tensors of their own; without a flow branch ``raw`` is the frame."""
    parts = {"frame": output.frame}
    for name in ("raw", "flow", "mask", "warped") if output.mask is not None else ():
        parts[name] = getattr(output, name)
    return parts


def flat_state(state: RecurrentState, history: int) -> dict[str, Tensor]:
    """The tensors of a state by name; nothing where there is no past."""
    if not history:
        return {}
    tensors = {"filled": torch.as_tensor(state.filled)}
    tensors |= {f"conditions_{scale}": tensor for scale, tensor in enumerate(state.conditions)}
    return tensors | {f"frames_{scale}": tensor for scale, tensor in enumerate(state.frames)}


def unflat_state(tensors: Sequence[Tensor]) -> RecurrentState:
    """The inverse of ``flat_state`` where there is a past; ``filled`` stays a tensor."""
    filled, *others = tensors
    scales = len(others) // 2
    return RecurrentState(tuple(others[:scales]), tuple(others[scales:]), filled)


def _ports(tensors: dict[str, Tensor]) -> tuple[Port, ...]:
    return tuple(Port(name, tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items())
