"""Experiments: a grid of recipes trained with one budget, rendered, scored and put into one table."""

from vid2vid.experiments.ablate import ablate, carry_out
from vid2vid.experiments.grid import plan

__all__ = ["ablate", "carry_out", "plan"]
