"""What is known of the real clip beyond its pictures: how it moves, and what each pixel shows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from vid2vid.conditions import LabelSchema
from vid2vid.data import Dataset
from vid2vid.errors import UserError
from vid2vid.evaluation.comparison import own_path
from vid2vid.evaluation.instruments import EXACT, Instruments
from vid2vid.evaluation.motion import Motion, reference_motion
from vid2vid.evaluation.segmenter import ignored_classes
from vid2vid.evaluation.sources import Clip
from vid2vid.flow import read_exact_flow, resize_flow
from vid2vid.types import Size
from vid2vid.video import natural_key, resize_picture


class Truth:
    """Motion and labels of the real clip, frame by frame.

    Args:
        clip: the real one.
        indices: of its frames that are compared.
        size: (width, height) they are compared at.
        labelled: label maps are wanted.

    Raises:
        UserError: exact flow is asked for and not there, or frames are left out in between; or label maps are
            wanted and not there.
    """

    def __init__(
        self, clip: Clip, indices: Sequence[int], size: Size, instruments: Instruments, labelled: bool = False
    ) -> None:
        self._indices = indices
        self._size = size
        self._estimator = instruments.estimator
        self._exact = _exact_files(clip, indices) if instruments.flow == EXACT else None
        self._data = None
        self.labels: LabelSchema | None = None
        if labelled:
            self._data = _labelled(clip, size)
            self.labels = self._data.schema.labels
            assert self.labels is not None
            self._ignored = ignored_classes(self.labels)

    def motion(self, place: int, current: np.ndarray, previous: np.ndarray) -> Motion:
        """From compared frame ``place`` to the one before it."""
        if self._exact is None:
            return reference_motion(current, previous, self._estimator)
        flow, occluded = read_exact_flow(self._exact[self._indices[place]])
        valid = ~resize_picture(occluded.astype(np.uint8), self._size, labels=True).astype(bool)
        exact = resize_flow(torch.from_numpy(flow), self._size).numpy()
        return Motion(exact, valid.astype(np.uint8), estimated=self._estimator.estimate(current, previous))

    def classes(self, place: int) -> np.ndarray | None:
        """Class indices (H, W) of compared frame ``place``; -1 where there is none."""
        if self._data is None:
            return None
        labels = self._data.clips[0].labels(self._indices[place]).astype(np.int64)
        return np.where(self._ignored[labels], -1, labels)


def _exact_files(clip: Clip, indices: Sequence[int]) -> list[Path]:
    home = own_path(clip.path)
    files = sorted((home / "flow").glob("*.npz"), key=natural_key)
    if len(files) != len(clip.source):
        raise UserError(
            f"{home / 'flow'}: {len(files)} flow files for {len(clip.source)} frames; choose an estimator "
            f"such as dis"
        )
    if any(b - a != 1 for a, b in pairwise(indices)):
        raise UserError(
            f"{home}: exact flow leads from frame to frame, so none may be left out; use --flow dis"
        )
    return files


def _labelled(clip: Clip, size: Size) -> Dataset:
    home = own_path(clip.path)
    if not (home / "labels").is_dir():
        raise UserError(
            f"{home}: no labels/ to hold the classes against; give a clip folder that has label maps"
        )
    return Dataset.open(home, size=size, instances=False)
