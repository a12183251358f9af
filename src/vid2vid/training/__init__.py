"""Training: the loop around the renderer's own ``step``."""

from vid2vid.training.forecast import plan
from vid2vid.training.loop import train

__all__ = ["plan", "train"]
