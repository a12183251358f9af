"""Step files from strangers: what is not a step, or more than one, is refused before a runtime sees it."""

from __future__ import annotations

import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import vid2vid
from tiny import ARCHITECTURE, LABELS, SIZE, build
from vid2vid.errors import UserError
from vid2vid.zoo import load_model
from vid2vid.zoo.exported import onnx_file, openvino_file, torch_file
from vid2vid.zoo.exported.ports import Ports, step_ports
from vid2vid.zoo.renderers import build_renderer

GRAPH, SAMPLES = "models/model.json", "data/sample_inputs/model.pt"
WEIGHTS = "data/weights/model_weights_config.json"


@pytest.fixture(scope="module")
def ports() -> Ports:
    with torch.device("meta"):
        shell = build_renderer(ARCHITECTURE, LABELS.channels, LABELS.foreground_channels)
    return step_ports(shell, SIZE)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torch") / "model"
    vid2vid.export(build(), folder, format="torch", check=1)
    return folder


class Touch:
    """Makes a file where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


def changed(key: str, change: Callable[[Any], None]) -> Callable[[dict[str, bytes]], None]:
    """Changes a JSON record."""

    def spoil(records: dict[str, bytes]) -> None:
        values = json.loads(records[key])
        change(values)
        records[key] = json.dumps(values).encode()

    return spoil


def nodes(graph: Any) -> Any:
    return graph["graph_module"]["graph"]["nodes"]


SPOILT = {
    "operator": changed(GRAPH, lambda g: nodes(g)[5].update(target="torch.ops.aten.from_file.default")),
    "called": changed(GRAPH, lambda g: nodes(g)[5].update(target="os.system")),
    "guards": changed(GRAPH, lambda g: g.update(guards_code=["__import__('os').abort()"])),
    "expression": changed(GRAPH, lambda g: nodes(g)[5]["inputs"].append({"expr_str": "exit()"})),
    "ranges": changed(GRAPH, lambda g: g.update(range_constraints={"exit()": {}})),
    "names": changed(GRAPH, lambda g: nodes(g)[5].update(metadata={"source_fn_stack": "a,b.c"})),
    "types": changed(
        GRAPH,
        lambda g: g["graph_module"]["module_call_graph"][0]["signature"].update(
            in_spec='[1, {"type": "collections.defaultdict", "context": "x", "children_spec": []}]'
        ),
    ),
    "not JSON": lambda records: records.update({GRAPH: b"{"}),
    "nested": lambda records: records.update({GRAPH: b"[" * 100_000}),
    "no graph": lambda records: records.pop(GRAPH),
    "pickled weights": changed(WEIGHTS, lambda c: next(iter(c["config"].values())).update(use_pickle=True)),
    "elsewhere": changed(WEIGHTS, lambda c: next(iter(c["config"].values())).update(path_name="../x")),
    "library": lambda records: records.update({"data/aotinductor/model/x.so": b"ELF"}),
    "extra": lambda records: records.update({"extra/x": b""}),
}


def write_records(path: Path, records: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in records.items():
            archive.writestr(f"step/{name}", data)


def refused(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_model(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


@pytest.mark.parametrize("kind", SPOILT)
def test_a_program_that_is_more_than_a_step_is_refused(kind: str, program: Path, tmp_path: Path) -> None:
    records = torch_file.check(program / "step.pt2")
    SPOILT[kind](records)
    write_records(tmp_path / "step.pt2", records)
    with pytest.raises(UserError, match=r"step.pt2: [^\n]{9,200}$"):
        torch_file.check(tmp_path / "step.pt2")


def test_a_program_is_never_unpickled(program: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(program, tmp_path / "model"))
    records = torch_file.check(folder / "step.pt2")
    write_records(folder / "step.pt2", records)
    load_model(folder)  # as it is, it is good
    write_records(folder / "step.pt2", records | {SAMPLES: pickle.dumps(Touch(tmp_path / "marker"))})
    assert "pickled" in refused(folder)
    write_records(folder / "step.pt2", records, zipfile.ZIP_DEFLATED)
    assert "compressed" in refused(folder)
    (folder / "step.pt2").write_bytes((program / "step.pt2").read_bytes()[:-500])
    assert "damaged" in refused(folder)
    (folder / "step.pt2").unlink()
    assert "copy the model again" in refused(folder)
    assert not (tmp_path / "marker").exists()


def test_a_program_of_another_size_is_refused(program: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(program, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"size": [64, 32]}))
    assert "inputs are not those" in refused(folder)


def layer(kind: str, data: str = "", dims: str = "<dim>8</dim>", opset: str = "opset1") -> bytes:
    port = f'<output><port id="0">{dims}</port></output>'
    text = f'<layer id="0" name="x" type="{kind}" version="{opset}">{data}{port}</layer>'
    return f'<?xml version="1.0"?><net name="x" version="11"><layers>{text}</layers></net>'.encode()


@pytest.mark.parametrize(
    ("graph", "complaint"),
    [
        (layer("TensorIterator"), "has the layer 'TensorIterator'"),
        (layer("ReLU", opset="extension"), "has the layer 'ReLU'"),
        (layer("Const", '<data offset="4" size="8"/>'), "outside of step.bin"),
        (layer("Const", '<data offset="-4" size="8"/>'), "outside of step.bin"),
        (layer("Const", '<data offset="x" size="8"/>'), "damaged"),
        (layer("ReLU", dims="<dim>99999</dim><dim>99999</dim>"), "too large for a step"),
        (layer("ReLU", dims="<dim>-1</dim>"), "too large for a step"),
        (b'<!DOCTYPE x [<!ENTITY a "aaaa">]><net>&a;</net>', "declares entities"),
        (b"<net>", "damaged"),
        (b"", "damaged"),
    ],
)
def test_an_openvino_graph_that_is_no_step_is_refused(
    graph: bytes, complaint: str, ports: Ports, tmp_path: Path
) -> None:
    (tmp_path / "step.xml").write_bytes(graph)
    (tmp_path / "step.bin").write_bytes(bytes(8))
    with pytest.raises(UserError, match=complaint):
        openvino_file.check(tmp_path / "step.xml", ports)
    (tmp_path / "step.bin").unlink()
    with pytest.raises(UserError, match="copy the model again"):
        openvino_file.check(tmp_path / "step.xml", ports)


def test_an_onnx_graph_that_is_no_step_is_refused(ports: Ports, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    make, path = onnx.helper, tmp_path / "step.onnx"
    kinds = {torch.float32: 1, torch.int64: 7}
    inputs, outputs = (
        [make.make_tensor_value_info(port.name, kinds[port.dtype], port.shape) for port in side]
        for side in (ports.inputs, ports.outputs)
    )

    def complaint(*more: Any, taken: Any = inputs, weights: Any = ()) -> str:
        nodes = [*more, make.make_node("Constant", [], ["zero"], value_floats=[0.0])]
        nodes.append(make.make_node("Identity", ["filled"], ["next_filled"]))
        for port in ports.outputs:
            if port.shape:
                nodes.append(make.make_node("Constant", [], [f"of_{port.name}"], value_ints=port.shape))
                nodes.append(make.make_node("Expand", ["zero", f"of_{port.name}"], [port.name]))
        graph = make.make_graph(nodes, "x", taken, outputs, initializer=weights)
        path.write_bytes(make.make_model(graph).SerializeToString())
        with pytest.raises(UserError) as caught:
            onnx_file.check(path, ports)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "operator 'Loop'" in complaint(make.make_node("Loop", [], ["a"]))
    assert "operator 'Relu'" in complaint(make.make_node("Relu", [], ["a"], domain="strange"))
    assert "its inputs are not those" in complaint(taken=inputs[:1])
    outside = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=1)
    outside.external_data.add(key="location", value="../secret")
    assert "lies in another file" in complaint(weights=[outside])
    assert "lies in another file" in complaint(make.make_node("Constant", [], ["a"], value=outside))
    assert "too large" in complaint(
        make.make_node("Constant", [], ["shape"], value_ints=[1, 99999, 99999]),
        make.make_node("Constant", [], ["one"], value_floats=[1.0]),
        make.make_node("Expand", ["one", "shape"], ["huge"]),
    )
    path.write_bytes(b"\xff" * 99)
    with pytest.raises(UserError, match="cannot be run"):
        onnx_file.check(path, ports)
    path.unlink()
    with pytest.raises(UserError, match="copy the model again"):
        onnx_file.check(path, ports)
