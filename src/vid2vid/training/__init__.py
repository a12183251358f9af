"""Training: the loop around the renderer's own ``step``."""

from vid2vid.training.loop import train

__all__ = ["train"]
