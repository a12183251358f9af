"""What the figures of a benchmark were measured on."""

from vid2vid.speed.machine import describe

__all__ = ["describe"]
