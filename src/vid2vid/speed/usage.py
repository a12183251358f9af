"""What this process holds of the machine, as far as the system tells: it does on Linux."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

Held = TypeVar("Held")

_SELF = Path("/proc/self")
_MIB = 1 << 20


@dataclass(frozen=True)
class Usage:
    """resident: MiB of main memory; files: open ones; threads: those of libraries too. None: not told."""

    resident: float | None
    files: int | None
    threads: int | None


def usage_now() -> Usage:
    """What is held now."""
    return Usage(
        _told(lambda: round(_status("VmRSS") / 1024, 1)),
        _told(lambda: len(os.listdir(_SELF / "fd"))),
        _told(lambda: _status("Threads")),
    )


def forget_peak(device: torch.device) -> None:
    """``peak_mib`` begins anew."""
    with suppress(OSError):
        (_SELF / "clear_refs").write_text("5")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_mib(device: torch.device) -> dict[str, float | None]:
    """The most that was held at once, in main memory and on the GPU."""
    peaks = {"main memory": _told(lambda: round(_status("VmHWM") / 1024, 1))}
    if device.type == "cuda":
        peaks["device"] = round(torch.cuda.max_memory_allocated(device) / _MIB, 1)
    return peaks


def _status(key: str) -> int:
    for line in (_SELF / "status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0])
    raise ValueError(key)


def _told(ask: Callable[[], Held]) -> Held | None:
    try:
        return ask()
    except (OSError, ValueError, IndexError):
        return None
