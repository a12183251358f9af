"""A renderer whose ``step`` is a file that another runtime runs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from vid2vid.errors import UserError
from vid2vid.types import GeneratorOutput, RecurrentState, Size
from vid2vid.zoo.exported.ports import Ports, Run, flat_state, step_ports, unflat_state
from vid2vid.zoo.renderers import AnyRenderer

FORMATS = ("onnx", "openvino", "torch")


class ExportedRenderer(nn.Module):
    """Stands in for a ``Renderer`` in all that streaming asks of one: it cannot learn, and has one size.

    Args:
        shell: the renderer it was made from; its weights are not looked at, and may be on "meta".
        run: the opened file.
        ports: its inputs and outputs.
        folder: where it lies, for messages.
        facts: what ``config.json`` says of the file, under ``step``.
    """

    def __init__(
        self,
        shell: AnyRenderer,
        run: Run,
        ports: Ports,
        folder: str,
        facts: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self._shell = (shell,)  # not a part: what has no memory cannot be moved
        self._run = run
        self.ports = ports
        self.folder = folder
        self.facts = facts
        self.history = shell.history
        self.condition_channels = shell.condition_channels
        self.given_flow = bool(getattr(shell, "given_flow", False))

    @property
    def shell(self) -> AnyRenderer:
        """The renderer it was made from."""
        return self._shell[0]

    @property
    def networks(self) -> list[nn.Module]:
        """None: they are in the file."""
        return []

    def init_state(self, condition: Tensor, first_frames: Tensor | None = None) -> RecurrentState:
        """As ``Renderer.init_state``.

        Raises:
            UserError: the conditions have another size than the file's.
        """
        self._check_size(condition)
        return self.shell.init_state(condition, first_frames)

    def step(self, condition: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        """As ``Renderer.step``; several conditions of a batch are rendered one after the other.

        Raises:
            UserError: the conditions have another size than the file's.
        """
        self._check_size(condition)
        rows = []
        for row in range(len(condition)):
            inputs = [condition, *flat_state(state, self.history).values()]
            made = self._run([x[row : row + 1] if x.ndim else x for x in inputs])
            rows.append([tensor.to(condition.device) for tensor in made])
        columns = (
            torch.cat(parts) if len(parts) > 1 and parts[0].ndim else parts[0]
            for parts in zip(*rows, strict=True)
        )
        named = dict(zip((port.name for port in self.ports.outputs), columns, strict=True))
        frame = named["frame"]
        flow, mask, warped = (
            named.get(name) if state.filled else None for name in ("flow", "mask", "warped")
        )
        output = GeneratorOutput(frame, named.get("raw", frame), flow, mask, warped)
        if not self.history:
            return output, state
        following = unflat_state([named[name] for name in self.ports.feedback])
        return output, RecurrentState(following.conditions, following.frames, int(following.filled))

    def _check_size(self, condition: Tensor) -> None:
        width, height = self.ports.size
        if condition.shape[-2:] != (height, width):
            asked = f"{condition.shape[-1]}x{condition.shape[-2]}"
            raise UserError(
                f"{self.folder}: was exported for frames of {width}x{height}, not {asked}; "
                f"leave --size out, or export the model again with --size {asked}"
            )


def file_format(name: object) -> ModuleType:
    """The module of a format: it writes and opens its files. Raises ValueError where there is none."""
    if name not in FORMATS:
        raise ValueError(f"step.format is {name!r}; known are {', '.join(FORMATS)}")
    return import_module(f"vid2vid.zoo.exported.{name}_file")


def open_exported(
    shell: AnyRenderer, folder: Path, size: Size, facts: object, device: torch.device | str
) -> ExportedRenderer:
    """The step file of a model folder, checked.

    Args:
        shell: the renderer of the folder's settings, on "meta".
        size: (width, height) of its frames.
        facts: ``step`` of its ``config.json``.
        device: where it is to run, if its format can.

    Raises:
        UserError: a package is missing; the file is damaged, unsafe, or not what the settings promise.
        ValueError: the facts are no such facts.
    """
    if not isinstance(facts, dict):
        raise ValueError("step is no mapping")
    form = file_format(facts.get("format"))
    ports = step_ports(shell, size)
    run = form.open_file(folder / form.FILE, ports, torch.device(device))
    return ExportedRenderer(shell, run, ports, str(folder), facts)
