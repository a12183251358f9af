"""What the figures of a benchmark were measured on, and how they are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vid2vid.speed.machine import describe

__all__ = ["describe", "tell"]


def tell(results: dict[str, Any], out: Path | None) -> None:
    """Prints the figures, and writes them where a file is named."""
    text = json.dumps(results, indent=1)
    if out is not None:
        out.write_text(text + "\n")
    print(text)
