"""How fast models run here: conditions in, a video out, the plain way and the engine's in turn."""

from vid2vid.speed.measure import bench

__all__ = ["bench"]
