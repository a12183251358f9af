"""What a run leaves to watch: ``metrics.jsonl``, TensorBoard events, sample videos."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from vid2vid.data import Clip
from vid2vid.training.trainer import Metrics
from vid2vid.training.validation import render
from vid2vid.video import VideoWriter, whole_file
from vid2vid.video.files import writing_failed
from vid2vid.zoo.folder import Model
from vid2vid.zoo.renderers import AnyRenderer

SAMPLE_FRAMES = 24


class RunLog:
    """Appends a line of JSON a step; TensorBoard too, where it is installed (extra ``train``).

    Raises:
        UserError: the disk is full, or the place cannot be written.
    """

    def __init__(self, run: Path, first_step: int) -> None:
        self._path = run / "metrics.jsonl"
        _forget_after(self._path, first_step)
        try:
            self._file = self._path.open("a", encoding="utf-8")
        except OSError as error:
            raise writing_failed(self._path, error) from error
        self._board: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self._board = SummaryWriter(str(run), purge_step=first_step + 1)

    def write(self, step: int, frames: int, metrics: Metrics) -> None:
        # JSON knows no NaN: what is not finite becomes null.
        rounded = {n: float(f"{v:.6g}") if math.isfinite(v) else None for n, v in metrics.items()}
        try:
            self._file.write(json.dumps({"step": step, "frames": frames, **rounded}) + "\n")
            self._file.flush()
            if self._board is not None:
                for name, value in metrics.items():
                    if math.isfinite(value):
                        self._board.add_scalar(name, value, step)
        except OSError as error:
            raise writing_failed(self._path, error) from error

    def show(self, step: int, pictures: Sequence[np.ndarray], rate: float) -> None:
        """A sample video, (H, W, 3) uint8 RGB each, as a moving picture in TensorBoard."""
        if self._board is None:
            return
        from tensorboard.compat.proto.summary_pb2 import Summary

        height, width, colours = pictures[0].shape
        image = Summary.Image(
            height=height, width=width, colorspace=colours, encoded_image_string=_moving(pictures, rate)
        )
        summary = Summary(value=[Summary.Value(tag="sample", image=image)])
        try:
            self._board.file_writer.add_summary(summary, step)
        except OSError as error:
            raise writing_failed(self._path, error) from error

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # every line has been flushed, or its failure told
            self._file.close()
        if self._board is not None:
            with suppress(OSError):
                self._board.close()


def _forget_after(path: Path, step: int) -> None:
    """Drops the lines of later steps (and a torn last one): they are about to be run again."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue
    with whole_file(path) as temporary:
        temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def _moving(pictures: Sequence[np.ndarray], rate: float) -> bytes:
    """A GIF, the one kind of video that TensorBoard shows."""
    from PIL import Image

    first, *others = (Image.fromarray(picture) for picture in pictures)
    encoded = io.BytesIO()
    first.save(encoded, "GIF", save_all=True, append_images=others, duration=1000 / rate, loop=0)
    return encoded.getvalue()


def write_sample(path: Path, renderer: AnyRenderer, model: Model, clip: Clip) -> list[np.ndarray]:
    """A video of the condition, the real frames and the synthesis side by side, and its pictures; see
    ``Rendered``.

    It starts from real frames where the model keeps a history.
    """
    pictures = []
    with VideoWriter(path, model.rate) as writer:
        for shown in render(renderer, model, clip, min(len(clip), SAMPLE_FRAMES)):
            pictures.append(np.concatenate(shown, axis=1))
            writer.write(pictures[-1])
    return pictures
