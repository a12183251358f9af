"""Networks compiled, where there is a compiler."""

from __future__ import annotations

import torch
from torch._functorch import config as functorch

from vid2vid.training.trainer import Trainer


def compile_networks(trainer: Trainer) -> str | None:
    """Compiles what a step computes with: the networks of the renderer, and the discriminators.

    Returns:
        Why that cannot be had here, in a line; None where it can.
    """
    try:
        torch.compile(_probe)(torch.ones(2, device=trainer.device))
    except Exception as error:  # whatever a compiler that is missing, or too old, comes up with
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        return f"train.compile: no compiler that works here ({lines[0][:120]}); training without"
    # One graph serves both sides' backward passes, so no buffer of it may be reused in the first.
    functorch.donated_buffer = False
    for network in trainer.renderer.networks:
        network.compile()
    for judge in trainer.objective.discriminators:
        judge.compile()
    return None


def _probe(x: torch.Tensor) -> torch.Tensor:
    return (x + 1).sum()
