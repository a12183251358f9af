"""Conditions drawn from raw frames: what makes a dataset of a video, and drives a model with one."""

from vid2vid.annotators.protocol import (
    Annotator,
    Drawn,
    Pass,
    annotator_names,
    open_annotator,
    open_annotators,
    picture_problem,
)

__all__ = [
    "Annotator",
    "Drawn",
    "Pass",
    "annotator_names",
    "open_annotator",
    "open_annotators",
    "picture_problem",
]
