"""``export``: a model's step as a file that other runtimes run, compared with torch before it is believed."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from vid2vid.errors import UserError
from vid2vid.inference.source import ConditionSource
from vid2vid.progress import Progress, silent
from vid2vid.types import RecurrentState, Size
from vid2vid.zoo import Model, load_renderer
from vid2vid.zoo.exported.ports import FlatStep, Ports, condition_channels, step_ports
from vid2vid.zoo.exported.renderer import ExportedRenderer, file_format
from vid2vid.zoo.files import whole_folder
from vid2vid.zoo.folder import check_replaceable, write_model
from vid2vid.zoo.renderers import AnyRenderer, build_renderer

Format = Literal["onnx", "openvino", "torch"]

TOLERANCE = 1e-3
"""What a value of a step may differ from torch's by, in float32; a frame's range is 2."""

LARGEST = 16384


def export(
    model: Model | Path | str,
    out: Path | str,
    *,
    format: Format = "onnx",
    size: Size | None = None,
    check: int = 50,
    conditions: Path | str | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Writes a model folder whose step is a file of another runtime, and compares it with torch.

    Renderers with any number of scales, foreground networks, styles, given flow and image generators can all
    be exported. An image generator for the first frames, an encoder and styles go along as they are.

    Args:
        model: a model, its folder, a run, or the name of a bundled model.
        out: the folder; a model that lies there is replaced.
        format: "onnx" (for onnxruntime), "openvino", or "torch" (a program of ``torch.export``).
        size: (width, height) of the frames, which the file cannot change; default: the model's own.
        check: how many frames are compared.
        conditions: what they are made from, a clip folder or as ``synthesize`` takes it; None: moving shapes.
        progress: called after every frame that was compared.

    Returns:
        What ``config.json`` says of the file: format, inputs, outputs, which of them are the state, the
        versions of the tools, and the parity (see ``compare``).

    Raises:
        UserError: no such model, or an exported one; no such conditions; a package is missing; the file would
            differ from torch by more than 1e-3, and was not written.
    """
    folder = Path(out)
    check_replaceable(folder)
    found = load_renderer(model)
    renderer = found.renderer
    if isinstance(renderer, ExportedRenderer):
        raise UserError(f"{model}: is exported already; export the model that it was made from")
    form = file_format(format)
    if check < 1:
        raise UserError(f"check {check}: a file that nobody compared is not written; compare 1 frame or more")
    size = size or found.size
    if not 1 <= min(size) <= max(size) <= LARGEST:
        raise UserError(f"size {size[0]}x{size[1]}: frames have 1 to {LARGEST} pixels a side; choose another")
    renderer = renderer.to("cpu").eval().requires_grad_(False)
    shown = _shapes(found, size) if conditions is None else _read(found, Path(conditions), size)
    with torch.device("meta"):
        shell = build_renderer(found.architecture, found.schema.channels, found.schema.foreground_channels)
    ports = step_ports(shell, size)
    with whole_folder(folder) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tools about each other
        form.write(trace(renderer, ports), ports, temporary / form.FILE)
        run = form.open_file(temporary / form.FILE, ports, torch.device("cpu"))
        made = ExportedRenderer(renderer, run, ports, str(folder), {})
        parity = compare(renderer, made, islice(shown, check), check, progress)
        parity["conditions"] = "moving shapes" if conditions is None else Path(conditions).name
        if not parity["per step"] <= TOLERANCE:
            raise UserError(
                f"{folder}: not written, a step in {format} differs from torch by {parity['per step']:.1e}, "
                f"{TOLERANCE:g} is allowed; try another --format"
            )
        facts = _facts(format, form.FILE, ports, form.PACKAGES) | {"parity": parity}
        made = ExportedRenderer(renderer, run, ports, str(folder), facts)
        about = found.about | {"trained at": "x".join(map(str, found.size))}
        exported = replace(found, renderer=made, size=size, about=about)
        write_model(exported, temporary)
    return facts


def trace(renderer: AnyRenderer, ports: Ports) -> torch.export.ExportedProgram:
    """The step's program, its weights within. One graph serves the first frame and all others."""
    arguments = tuple(torch.zeros(port.shape, dtype=port.dtype) for port in ports.inputs)
    with torch.no_grad():
        return torch.export.export(FlatStep(renderer), arguments)


@torch.inference_mode()
def compare(
    renderer: AnyRenderer,
    made: ExportedRenderer,
    conditions: Iterator[Tensor],
    total: int,
    progress: Progress = silent,
) -> dict[str, Any]:
    """How far a step file is from torch.

    Args:
        renderer: torch's. made: the file's. conditions: encoded, (1, C, H, W) each.
        total: how many there are at most, for ``progress``.

    Returns:
        ``frames``; ``per step``, the largest difference within frame and state where the file is given
        torch's state; ``divergence``, that of frames where it goes on from its own; the mean one of the last
        frame; and the PSNR (over a range of 2) of the worst frame.
    """
    states: tuple[RecurrentState, RecurrentState] | None = None
    count, parity, worst, mean, squared = 0, 0.0, 0.0, 0.0, 0.0
    for condition in conditions:
        ours, its = states or (renderer.init_state(condition), made.init_state(condition))
        wanted, following = renderer.step(condition, ours)
        given, after = made.step(condition, ours)
        pairs = [(wanted.frame, given.frame), *zip(following.frames, after.frames, strict=True)]
        pairs += zip(following.conditions, after.conditions, strict=True)
        parity = max(parity, *(_farthest(one, other) for one, other in pairs))
        alone, its = made.step(condition, its)
        states = following, its
        apart = (alone.frame - wanted.frame).double()
        worst = max(worst, _farthest(alone.frame, wanted.frame))
        mean, squared = float(apart.abs().mean()), max(squared, float(apart.square().mean()))
        count += 1
        progress(count, total, f"differs by {parity:.1e}")
    if not count:
        raise UserError("conditions: none there to compare frames of; give at least one")
    psnr = 10 * math.log10(4 / max(squared, 1e-12))
    return {
        "frames": count,
        "per step": parity,
        "divergence": worst,
        "divergence of the last frame": mean,
        "PSNR of the worst frame": psnr,
    }


def _farthest(one: Tensor, other: Tensor) -> float:
    """The largest difference; not a number where one is not."""
    difference = float((one - other).abs().max()) if one.numel() else 0.0
    return math.inf if math.isnan(difference) else difference


def _facts(format: str, file: str, ports: Ports, packages: tuple[str, ...]) -> dict[str, Any]:
    return {
        "format": format,
        "file": file,
        "inputs": {port.name: list(port.shape) for port in ports.inputs},
        "outputs": {port.name: list(port.shape) for port in ports.outputs},
        "state": ports.feedback,
        "tools": {name: _version(name) for name in ("vid2vid", "torch", *packages)},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _read(model: Model, path: Path, size: Size) -> Iterator[Tensor]:
    """Conditions from a disk; styles and flows, where the model wants any, are zero."""
    for item in ConditionSource(path, model.schema, size, None):
        yield _filled_up(model, item.encode(model.schema, torch.device("cpu")))


def _shapes(model: Model, size: Size) -> Iterator[Tensor]:
    """Waves that run across the picture; of a label map every class has one, and the highest is seen."""
    generator = torch.Generator().manual_seed(0)
    schema = model.schema
    count = schema.image_channels if schema.labels is None else len(schema.labels)
    waves = torch.rand(count, 4, 1, 1, generator=generator) * 2 - 1
    rows, columns = torch.linspace(0, 1, size[1])[:, None], torch.linspace(0, 1, size[0])
    for t in range(1_000_000):
        phase = 9 * (waves[:, 0] * columns + waves[:, 1] * rows) + 40 * waves[:, 2] + t * waves[:, 3] / 4
        heights = phase.sin()
        if schema.labels is None:
            yield _filled_up(model, heights[None])
        else:
            labels = heights.argmax(0)[None]
            yield _filled_up(model, schema.encode(labels=labels, instances=labels))


def _filled_up(model: Model, condition: Tensor) -> Tensor:
    assert not isinstance(model.renderer, ExportedRenderer)
    missing = condition_channels(model.renderer) - condition.shape[1]
    return torch.cat([condition, condition.new_zeros(1, missing, *condition.shape[2:])], dim=1)
