"""A step as OpenVINO's own two files (``step.xml``, its weights in ``step.bin``), run on the CPU."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import torch
from torch import Tensor

from vid2vid.errors import UserError
from vid2vid.zoo.exported.ports import Ports, Run
from vid2vid.zoo.exported.runtime import installed, one_line

FILE = "step.xml"
PACKAGES = ("openvino",)
LARGEST = 2**26
"""Bytes of the graph; that of the largest published network has 2 million."""

LAYERS = frozenset(
    (
        *("Abs", "Add", "AvgPool", "Broadcast", "Clamp", "Concat", "Const", "Convert", "Convolution"),
        *(
            "ConvolutionBackpropData",
            "DepthToSpace",
            "Divide",
            "Equal",
            "Floor",
            "Gather",
            "GridSample",
            "Interpolate",
        ),
        *("Less", "LogicalAnd", "LogicalNot", "LogicalOr", "Maximum", "Minimum", "Multiply", "NotEqual"),
        *("Pad", "Parameter", "Power", "Range", "ReLU", "ReduceLogicalOr", "ReduceMax", "ReduceMean"),
        *("ReduceSum", "Reshape", "Result", "Select", "ShapeOf", "Sigmoid", "Slice", "Split", "Sqrt"),
        *("Squeeze", "Subtract", "Tanh", "Transpose", "Unsqueeze", "VariadicSplit"),
    )
)
"""What the networks of this package are made of. None of them loops, calls or reads a file."""

_TYPES = {torch.float32: "f32", torch.int64: "i64"}


def write(program: torch.export.ExportedProgram, ports: Ports, path: Path) -> None:
    """Raises UserError where openvino is missing."""
    openvino = installed("openvino")
    # By way of ONNX, normalisation would become a layer of its own that is ten times less exact.
    program = program.run_decompositions({torch.ops.aten.instance_norm.default: _normalised})
    model = openvino.convert_model(program, input=[list(port.shape) for port in ports.inputs])
    for ports_of, known in ((model.inputs, ports.inputs), (model.outputs, ports.outputs)):
        for place, port in zip(ports_of, known, strict=True):
            place.get_tensor().set_names({port.name})
    for place, port in zip(model.inputs, ports.inputs, strict=True):
        place.get_node().set_friendly_name(port.name)
    openvino.save_model(model, path, compress_to_fp16=False)


def _normalised(x: Tensor, *settings: Any) -> Tensor:
    """Instance norm, by sums of few terms: openvino adds up a whole picture one by one, in float32, and where
    nearly all of it has one value, each of these sums is rounded the same way."""
    *_, epsilon, _ = settings

    def mean(x: Tensor) -> Tensor:
        # Two means in a row would be made one.
        return x.mean(-1, keepdim=True).sum(-2, keepdim=True) / x.shape[-2]

    x = x - mean(x)
    return x / torch.sqrt(mean(x * x) + epsilon)


def open_file(path: Path, ports: Ports, device: torch.device) -> Run:
    """Checks the files, and makes them ready to run, on the CPU in float32.

    Raises:
        UserError: openvino is missing; a file is damaged, or they are no step with these ports.
    """
    openvino = installed("openvino")
    graph = check(path, ports)
    settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": "f32"}
    with one_line(path):
        core = openvino.Core()
        weights = np.memmap(path.with_suffix(".bin"), np.uint8, "c")
        model = core.read_model(graph, openvino.Tensor(weights, shared_memory=True))
        for kind, found, wanted in (
            ("inputs", model.inputs, ports.inputs),
            ("outputs", model.outputs, ports.outputs),
        ):
            if [_port(place) for place in found] != [(_TYPES[p.dtype], p.shape) for p in wanted]:
                raise UserError(
                    f"{path}: its {kind} are not those that config.json promises; export it again"
                )
        return _Request(openvino, core.compile_model(model, "CPU", settings), weights, ports)


def _port(place: Any) -> tuple[str, tuple[int, ...]]:
    shape = place.get_partial_shape()
    if shape.is_dynamic:
        return "", ()
    return place.get_element_type().get_type_name(), tuple(place.get_shape())


class _Request:
    """Reads and writes torch's own memory: nothing is copied."""

    def __init__(self, openvino: Any, compiled: Any, weights: np.ndarray, ports: Ports) -> None:
        self._tensor, self._ports = openvino.Tensor, ports
        self._weights = weights  # openvino looks at them without holding them
        self._compiled, self._request = compiled, compiled.create_infer_request()

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        given = [tensor.cpu().contiguous() for tensor in inputs]
        made = [torch.empty(port.shape, dtype=port.dtype) for port in self._ports.outputs]
        for number, tensor in enumerate(given):
            self._request.set_input_tensor(number, self._tensor(tensor.numpy(), shared_memory=True))
        for number, tensor in enumerate(made):
            self._request.set_output_tensor(number, self._tensor(tensor.numpy(), shared_memory=True))
        self._request.infer()
        return made


def check(path: Path, ports: Ports) -> bytes:
    """The graph's bytes, where it is one of a step and lies wholly within these files.

    Raises:
        UserError: it is too large or damaged, has layers that no step has, or makes huge tensors.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path}: too large for the graph of a step; do not trust it")
        data = path.read_bytes()
        stored = path.with_suffix(".bin").stat().st_size
    except OSError as error:
        raise UserError(
            f"{error.filename or path}: cannot be read ({error.strerror}); copy the model again"
        ) from error
    if b"<!" in data:  # entities, which can be made to fill any memory
        raise UserError(f"{path}: declares entities, which no step does; do not trust it")
    try:
        graph = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise UserError(f"{path}: damaged ({error}); copy the model again") from error
    try:
        for fault in _faults(graph, ports, stored):
            raise UserError(f"{path}: {fault}; do not trust it, or export the model again")
    except ValueError as error:
        raise UserError(f"{path}: damaged ({str(error)[:100]}); copy the model again") from error
    return data


def _faults(graph: ElementTree.Element, ports: Ports, stored: int) -> Iterator[str]:
    """What a step's graph does not have."""
    for layer in graph.iter("layer"):
        kind, opset = layer.get("type", ""), layer.get("version", "")
        if kind not in LAYERS or not opset.startswith("opset"):
            yield f"has the layer {ascii(kind)[:80]}, which no step has"
        for port in layer.iterfind("output/port"):
            sides = [int(side.text or "") for side in port.iterfind("dim")]
            if min(sides, default=0) < 0 or math.prod(sides) > ports.largest:
                yield f"layer {ascii(layer.get('name', ''))[:80]} is too large for a step"
        if kind == "Const":
            for settings in layer.iterfind("data"):
                begin, length = int(settings.get("offset", "0")), int(settings.get("size", "0"))
                if begin < 0 or length < 0 or begin + length > stored:
                    yield f"layer {ascii(layer.get('name', ''))[:80]} lies outside of step.bin"
