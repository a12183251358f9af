"""vid2vid: turn label maps, sketches, poses or degraded frames into coherent video, frame by frame."""

__version__ = "0.1.0"
