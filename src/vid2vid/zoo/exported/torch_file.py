"""A step as torch's own program file (``torch.export``), run by torch.

Torch's reader unpickles, evaluates expressions and loads compiled libraries where such a file asks for it.
So it is never shown a file: what is plain data is checked, and packed anew for it without all else.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vid2vid.errors import UserError
from vid2vid.zoo.exported.ports import Ports, Run
from vid2vid.zoo.exported.runtime import one_line

FILE = "step.pt2"
PACKAGES = ()
LARGEST = 2**26
"""Bytes of one JSON file within; that of a small network has half a million."""

OPERATORS = frozenset(
    (
        *("_assert_tensor_metadata.default", "abs.default", "add.Tensor", "alias.default", "any.dim"),
        *("avg_pool2d.default", "cat.default", "clamp.default", "conv2d.default"),
        *("conv_transpose2d.input", "detach.default", "div.Tensor", "eq.Scalar", "flatten.using_ints"),
        *("floor.default", "grid_sampler.default", "index.Tensor", "instance_norm.default"),
        *("lerp.Scalar", "lift_fresh_copy.default", "linspace.default", "lt.Scalar", "maximum.default"),
        *("mul.Tensor", "ne.Tensor", "new_zeros.default", "pad.default", "pixel_shuffle.default"),
        *("promote_types.default", "relu.default", "relu_.default", "repeat.default"),
        *("repeat_interleave.self_int", "rsub.Scalar", "select.int", "sigmoid.default", "slice.Tensor"),
        *("split.Tensor", "split_with_sizes.default", "stack.default", "sub.Tensor", "sum.dim_IntList"),
        *("tanh.default", "to.device", "to.dtype", "unflatten.int", "unsqueeze.default"),
        *("upsample_bilinear2d.vec", "upsample_nearest2d.vec", "where.self", "zeros_like.default"),
    )
)
"""What the networks of this package are made of; aten has others that read and write files."""

_RECORDS = re.compile(
    r"[^/]+/(archive_format|archive_version|byteorder|\.data/(version|serialization_id)|models/model\.json"
    r"|data/sample_inputs/model\.pt|data/(weights/(weight_\d+|model_weights_config\.json)"
    r"|constants/(tensor_\d+|model_constants_config\.json)))"
)
_PAYLOAD = re.compile(r"(weight|tensor)_\d+")
_EXPRESSIONS = frozenset({"expr_str", "as_expr", "as_custom_obj", "as_operator", "as_graph", "as_graphs"})
_GRAPH = "models/model.json"
_SAMPLES = "data/sample_inputs/model.pt"


def write(program: torch.export.ExportedProgram, ports: Ports, path: Path) -> None:
    """Without example inputs, which are pickled, and without the names and places it was made from."""
    for node in program.graph.nodes:
        node.meta = {key: value for key, value in node.meta.items() if key in ("val", "tensor_meta")}
    program._example_inputs = None
    torch.export.save(program, path)


def open_file(path: Path, ports: Ports, device: torch.device) -> Run:
    """Checks the file, and makes it ready to run on ``device``.

    Raises:
        UserError: it is damaged, or is no step with these ports.
    """
    records = check(path)
    with one_line(path):
        program = torch.export.load(_packed(records))
        placeholders = {
            node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"
        }
        given = [placeholders[name] for name in program.graph_signature.user_inputs if isinstance(name, str)]
        if [(tuple(x.shape), x.dtype) for x in given] != [(p.shape, p.dtype) for p in ports.inputs]:
            raise UserError(f"{path}: its inputs are not those that config.json promises; export it again")
        module = program.module(check_guards=False).to(device)
    return _Program(path, module, ports, device)


class _Program:
    def __init__(self, path: Path, module: torch.nn.Module, ports: Ports, device: torch.device) -> None:
        self._path, self._module, self._ports, self._device = path, module, ports, device

    def __call__(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        made: Sequence[Tensor] = self._module(*(tensor.to(self._device) for tensor in inputs))
        if [(tuple(x.shape), x.dtype) for x in made] != [(p.shape, p.dtype) for p in self._ports.outputs]:
            raise UserError(
                f"{self._path}: its outputs are not those that config.json promises; export it again"
            )
        return made


def check(path: Path) -> dict[str, bytes]:
    """The records of a program file that is plain data and has only operators of a step.

    Raises:
        UserError: it is damaged, or holds anything else.
    """
    records: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for item in archive.infolist():
                name = item.filename.partition("/")[2]
                if not _RECORDS.fullmatch(item.filename) or name in records:
                    raise UserError(
                        f"{path}: holds {ascii(item.filename)[:80]}, which no step does; do not trust it"
                    )
                if item.compress_type != zipfile.ZIP_STORED:
                    raise UserError(f"{path}: is compressed, which no step is; do not trust it")
                records[name] = archive.read(item)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: damaged ({reason}); copy the model again") from error
    try:
        for fault in _faults(records):
            raise UserError(f"{path}: {fault}; do not trust it, or export the model again")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = " ".join(ascii(str(error)).split())[:100]
        raise UserError(f"{path}: damaged ({reason}); copy the model again") from error
    return records


def _faults(records: Mapping[str, bytes]) -> Iterator[str]:
    """What would be more than data, or no step."""
    if records[_SAMPLES]:
        yield "holds pickled inputs, which no step does"
    for name, data in records.items():
        if name.endswith(".json") and len(data) > LARGEST:
            yield f"{name} is too large for a step"
    for kind in ("weights", "constants"):
        config = json.loads(records[f"data/{kind}/model_{kind}_config.json"])["config"]
        for payload in config.values():
            if payload["use_pickle"] is not False or not _PAYLOAD.fullmatch(payload["path_name"]):
                yield "holds pickled tensors, which no step does"
    program = json.loads(records[_GRAPH])
    if program["guards_code"] or program["range_constraints"]:
        yield "holds code or expressions, which no step does"
    for mapping in _mappings(program):
        if found := _EXPRESSIONS & mapping.keys():
            yield f"holds expressions or graphs within ({min(found)}), which no step does"
        for key in ("in_spec", "out_spec"):
            if mapping.get(key) is not None and not _is_plain(json.loads(mapping[key])):
                yield "arranges its arguments in unknown types"
    for node in program["graph_module"]["graph"]["nodes"]:
        if node["target"].removeprefix("torch.ops.aten.") not in OPERATORS:
            yield f"has the operator {ascii(node['target'])[:80]}, which no step has"
        if node["metadata"]:
            yield "names the places it was made from, which no step does"


def _mappings(value: object) -> Iterator[dict[str, Any]]:
    """Every JSON object within a JSON value."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _mappings(item)


def _is_plain(spec: object) -> bool:
    """Whether a description of nested arguments has tuples and dicts alone."""
    return all(
        set(mapping) == {"type", "context", "children_spec"}
        and mapping["type"] in (None, "builtins.tuple", "builtins.dict", "builtins.list")
        and mapping["context"] in (None, "null", "[]")
        for mapping in _mappings(spec)
    )


def _packed(records: Mapping[str, bytes]) -> io.BytesIO:
    """The records as an archive of our own writing: two readers may differ in what another one holds."""
    from torch.export.pt2_archive._package import PT2ArchiveWriter

    buffer = io.BytesIO()
    with PT2ArchiveWriter(buffer) as writer:
        for name, data in records.items():
            if name.startswith(("models/", "data/")):
                writer.write_bytes(name, data)
    buffer.seek(0)
    return buffer
