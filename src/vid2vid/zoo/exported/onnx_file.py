"""A step as ONNX, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vid2vid.errors import UserError
from vid2vid.zoo.exported.ports import Ports, Run
from vid2vid.zoo.exported.runtime import installed, one_line

if TYPE_CHECKING:
    import onnx

FILE = "step.onnx"
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
OPSET = 20
LARGEST = 2**31 - 1
"""Bytes of a file: its format knows no more in one piece."""

OPERATORS = frozenset(
    (
        *(
            "Abs",
            "Add",
            "AveragePool",
            "Cast",
            "Clip",
            "Concat",
            "Constant",
            "Conv",
            "ConvTranspose",
            "DepthToSpace",
        ),
        *("Div", "Equal", "Expand", "Flatten", "Floor", "Gather", "GatherND", "GridSample", "Identity"),
        *("InstanceNormalization", "Less", "Max", "Min", "Mul", "Neg", "Not", "Or", "Pad", "ReduceMax"),
        *("ReduceMean", "ReduceSum", "Relu", "Reshape", "Resize", "Shape", "Sigmoid", "Slice", "Split"),
        *("Sqrt", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze", "Where"),
    )
)
"""What the networks of this package are made of. None of them loops, calls or reads a file."""


def write(program: torch.export.ExportedProgram, ports: Ports, path: Path) -> None:
    """Raises UserError where onnx or onnxscript is missing, or the file would be too large."""
    installed("onnx")
    installed("onnxscript")
    weights = sum(tensor.nbytes for tensor in program.state_dict.values())
    if weights > LARGEST - 2**26:
        raise UserError(
            f"{path.name}: {weights / 2**30:.1f} GiB of weights, ONNX holds 2; try --format openvino"
        )
    written = torch.onnx.export(
        program,
        (),
        dynamo=True,
        opset_version=OPSET,
        input_names=[port.name for port in ports.inputs],
        output_names=[port.name for port in ports.outputs],
        verbose=False,
    )
    assert written is not None
    for node in written.model.graph:  # what they were made from: names and places on this machine
        node.metadata_props.clear()
        node.doc_string = None
    written.save(str(path), external_data=False)


def open_file(path: Path, ports: Ports, device: torch.device) -> Run:
    """Checks the file, and makes it ready to run: on a GPU where ``device`` and onnxruntime both have one.

    Raises:
        UserError: onnx or onnxruntime is missing; the file is damaged, or is no step with these ports.
    """
    runtime = installed("onnxruntime")
    data = check(path, ports)
    gpu = device.type == "cuda" and "CUDAExecutionProvider" in runtime.get_available_providers()
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    providers: list[Any] = ["CPUExecutionProvider"]
    if gpu:
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": device.index or 0}))
    with one_line(path):
        session = runtime.InferenceSession(data, settings, providers=providers)
    return _Session(session, ports, device if gpu else torch.device("cpu"))


class _Session:
    """Reads and writes torch's own memory: nothing is copied."""

    def __init__(self, session: Any, ports: Ports, device: torch.device) -> None:
        self._session, self._ports, self._device = session, ports, device

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        binding = self._session.io_binding()
        given = [tensor.to(self._device).contiguous() for tensor in inputs]
        made = [
            torch.empty(port.shape, dtype=port.dtype, device=self._device) for port in self._ports.outputs
        ]
        for bind, ports, tensors in (
            (binding.bind_input, self._ports.inputs, given),
            (binding.bind_output, self._ports.outputs, made),
        ):
            for port, tensor in zip(ports, tensors, strict=True):
                place = (self._device.type, self._device.index or 0)
                bind(port.name, *place, _NUMBERS[port.dtype], port.shape, tensor.data_ptr())
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()
        self._session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return made


_NUMBERS = {torch.float32: 1, torch.int64: 7}
"""ONNX's own for the types of elements."""


def check(path: Path, ports: Ports) -> bytes:
    """The bytes of a file that holds a step with these ports and nothing else.

    Raises:
        UserError: it is too large or damaged; its inputs or outputs are others; it has operators that no step
            has, reads other files, or makes huge tensors; onnx is missing.
    """
    onnx = installed("onnx")
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path}: larger than an ONNX file can be; copy the model again")
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); copy the model again") from error
    with one_line(path):
        model = onnx.load_model_from_string(data)
    for fault in _faults(model, ports):
        raise UserError(f"{path}: {fault}; do not trust it, or export the model again")
    with one_line(path):
        del model.graph.value_info[:]  # what the file itself says of its tensors
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    for value in inferred.graph.value_info:
        if _elements(value) > ports.largest:
            raise UserError(f"{path}: tensor {_shown(value.name)} is too large for a step; do not trust it")
    return data


def _faults(model: onnx.ModelProto, ports: Ports) -> Iterator[str]:
    """What a step's file does not have."""
    if list(model.functions) or list(model.training_info) or list(model.graph.sparse_initializer):
        yield "holds functions or sparse tensors, which no step has"
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS:
            yield f"has the operator {_shown(node.op_type)}, which no step has"
        for attribute in node.attribute:
            if attribute.HasField("g") or list(attribute.graphs) or list(attribute.sparse_tensors):
                yield f"operator {_shown(node.op_type)} has a graph within, which no step has"
    tensors = [*model.graph.initializer, *(a.t for node in model.graph.node for a in node.attribute)]
    tensors += [tensor for node in model.graph.node for a in node.attribute for tensor in a.tensors]
    for tensor in tensors:
        if tensor.data_location or list(tensor.external_data):
            yield f"tensor {_shown(tensor.name)} lies in another file, which no step's does"
    for kind, found, wanted in (
        ("inputs", model.graph.input, ports.inputs),
        ("outputs", model.graph.output, ports.outputs),
    ):
        if [_port(value) for value in found] != [(p.name, _NUMBERS[p.dtype], p.shape) for p in wanted]:
            names = ", ".join(f"{port.name} {port.shape}" for port in wanted)
            yield f"its {kind} are not those that config.json promises ({names})"


def _port(value: onnx.ValueInfoProto) -> tuple[str, int, tuple[int, ...]]:
    kind = value.type.tensor_type
    return value.name, kind.elem_type, tuple(dimension.dim_value for dimension in kind.shape.dim)


def _elements(value: onnx.ValueInfoProto) -> float:
    """How many a tensor has; unbounded where it is not known."""
    shape = value.type.tensor_type.shape
    count = 1.0
    for dimension in shape.dim:
        count *= dimension.dim_value if dimension.HasField("dim_value") else float("inf")
    return count if value.type.tensor_type.HasField("shape") else float("inf")


def _shown(name: str) -> str:
    return ascii(name)[:80]
