"""Networks compiled, where there is a compiler."""

from __future__ import annotations

from torch._functorch import config as functorch

from vid2vid.device import compiler_fault
from vid2vid.training.trainer import Trainer


def compile_networks(trainer: Trainer) -> str | None:
    """Compiles what a step computes with: the networks of the renderer, and the discriminators.

    Returns:
        Why that cannot be had here, in a line; None where it can.
    """
    if fault := compiler_fault(trainer.device):
        return f"train.compile: no compiler that works here ({fault}); training without"
    # One graph serves both sides' backward passes, so no buffer of it may be reused in the first.
    functorch.donated_buffer = False
    for network in trainer.renderer.networks:
        network.compile()
    for judge in trainer.objective.discriminators:
        judge.compile()
    return None
