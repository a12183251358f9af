"""Training: the loop around the renderer's own ``step``."""

from vid2vid.training.loop import train
from vid2vid.training.outlook import plan

__all__ = ["plan", "train"]
