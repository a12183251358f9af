"""Packages that may be missing, and what they say of files they do not like."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vid2vid.errors import UserError


def installed(package: str) -> Any:
    """The package.

    Raises:
        UserError: it is not installed.
    """
    if package == "openvino":
        # It reports its use to its makers unless this package, which does so, is missing.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise UserError(
            f"{package}: needed for this format, and not installed; pip install 'vid2vid[export]'"
        ) from error


@contextmanager
def one_line(path: Path) -> Iterator[None]:
    """Whatever a runtime raises, in one line: their errors are of many classes, few of them public."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(ascii(str(error))[1:-1].replace("\\n", " ").split())[:200]
        raise UserError(f"{path}: cannot be run ({reason}); copy the model, or export it again") from error
