"""Which device does the work."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from vid2vid.errors import UserError


def pick_device(name: str = "auto") -> torch.device:
    """``auto`` takes CUDA, then MPS, then the CPU; any other name is taken as it is.

    Raises:
        UserError: a device this machine, or this build of torch, does not have.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # "meta" exists everywhere, and can do nothing
    except (RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"device {name}: not to be had here ({reason}); try --device auto") from error
    return device


def compiler_fault(device: torch.device) -> str | None:
    """Why ``torch.compile`` cannot be had for this device here, in a few words; None where it can."""
    try:
        torch.compile(_probe)(torch.ones(2, device=device))
    except Exception as error:  # whatever a compiler that is missing, or too old, comes up with
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        return lines[0][:120]
    return None


def _probe(x: torch.Tensor) -> torch.Tensor:
    return (x + 1).sum()


def for_long_integers(device: torch.device) -> torch.device:
    """Where 64-bit integers are scattered by comparison: there, or on the CPU where Metal cannot."""
    return torch.device("cpu") if device.type == "mps" else device


def autocast(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Where ``precision`` is bfloat16, convolutions compute in it; float32 leaves everything as it is. On the
    device "meta" nothing is computed, nor counted in anything else."""
    if precision == "float32" or device.type == "meta":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
