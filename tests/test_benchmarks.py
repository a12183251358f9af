"""The benchmarks, which no other test runs: what they import of the package is there."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_what_a_benchmark_imports_is_there(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vid2vid"):
            module = import_module(str(node.module))
            for name in node.names:
                found = hasattr(module, name.name) or import_module(f"{node.module}.{name.name}")
                assert found, f"{path.name}: {node.module} has no {name.name}"
