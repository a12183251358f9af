"""The flow that training and scores refer to: exact, from the dataset, or estimated and kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from vid2vid.data.layout import ClipFiles
from vid2vid.data.pictures import Pictures
from vid2vid.errors import UserError
from vid2vid.flow import FileIdentity, FlowCache, open_estimator, read_exact_flow, resize_flow
from vid2vid.types import Size
from vid2vid.video import natural_key


class ReferenceFlow(Protocol):
    """Flow from frame t to t - 1."""

    def __call__(self, t: int, frame: Callable[[int], np.ndarray]) -> np.ndarray:
        """Float32 (2, H, W), pixels; `frame` gives the frames, uint8 (H, W, 3)."""
        ...


def open_reference_flow(name: str, files: ClipFiles, frames: Pictures, size: Size) -> ReferenceFlow:
    """The source of a clip's flow: "exact", or the name of an estimator.

    Raises:
        UserError: exact flow is asked for and the clip has none; the estimator cannot be had.
    """
    if name == "exact":
        return _ExactFlow(files, frames, size)
    return _EstimatedFlow(name, files.cache / f"flow-{frames.strip.path.stem}", frames, size)


class _ExactFlow:
    """``flow/NAME.npz``, NAME being the frame's; in order beside a video."""

    def __init__(self, files: ClipFiles, frames: Pictures, size: Size) -> None:
        folder = files.home / "flow"
        given = sorted(folder.glob("*.npz"), key=natural_key)
        if not given:
            raise UserError(
                f"{folder}: no exact flow (NAME.npz for each frame); choose an estimator such as dis"
            )
        if not frames.strip.is_video:
            self._files = [folder / f"{frames.file(t).stem}.npz" for t in range(len(frames))]
        elif len(given) > max(frames.picks):
            self._files = [given[place] for place in frames.picks]
        else:
            raise UserError(f"{folder}: {len(given)} flow files are fewer than the frames; make them anew")
        self._size = size

    def __call__(self, t: int, frame: Callable[[int], np.ndarray]) -> np.ndarray:
        flow, _ = read_exact_flow(self._files[t])
        return resize_flow(torch.from_numpy(flow), self._size).numpy()


class _EstimatedFlow:
    """Estimated between the frames at the size they are read at."""

    def __init__(self, name: str, folder: Path, frames: Pictures, size: Size) -> None:
        _estimator(name)  # complain now, not in the middle of a training
        self._name = name  # a network does not travel to other processes, its name does
        self._folder = folder
        self._frames = frames
        self._size = size

    def __call__(self, t: int, frame: Callable[[int], np.ndarray]) -> np.ndarray:
        files = dict.fromkeys([self._frames.file(t), self._frames.file(t - 1)])
        estimator = _estimator(self._name)
        return FlowCache(self._folder, estimator).get(
            [FileIdentity.of(path, self._frames.strip.path.parent) for path in files],
            self._size,
            self._frames.picks[t],  # counted in the whole clip, so that its parts share what is kept
            lambda: estimator.estimate(frame(t), frame(t - 1)),
        )


_estimator = lru_cache(open_estimator)  # one network for all clips
