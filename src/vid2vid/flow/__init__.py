"""Optical flow: estimating it, keeping it, warping along it, knowing where to trust it.

Everywhere: pixels, (x, y), from frame t to t-1, so that ``warp(x[t-1], flow[t]) ~ x[t]``.
"""

from vid2vid.flow.cache import FileIdentity, FlowCache
from vid2vid.flow.confidence import forward_backward_mask, photometric_confidence
from vid2vid.flow.estimators import FlowEstimator, open_estimator
from vid2vid.flow.files import read_exact_flow
from vid2vid.flow.inertia import carried, swerved
from vid2vid.flow.space import carried_in_space, motion_in_space, nearing
from vid2vid.flow.transforms import crop_flow, flip_flow, resize_flow
from vid2vid.flow.warp import warp

__all__ = [
    "FileIdentity",
    "FlowCache",
    "FlowEstimator",
    "carried",
    "carried_in_space",
    "crop_flow",
    "flip_flow",
    "forward_backward_mask",
    "motion_in_space",
    "nearing",
    "open_estimator",
    "photometric_confidence",
    "read_exact_flow",
    "resize_flow",
    "swerved",
    "warp",
]
