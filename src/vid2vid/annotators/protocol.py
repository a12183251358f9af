"""One protocol for everything that finds in frames what describes them, and the register of who there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from vid2vid.conditions import LabelSchema
from vid2vid.errors import UserError


@dataclass(frozen=True)
class Drawn:
    """What an annotator makes of one frame.

    picture: (H, W, 3) uint8 RGB, the condition, of the frame's size; a `Labeller`'s is (H, W) class ids;
        None: it finds points, from which conditions are drawn when they are read (`annotators.drawn`).
    points: [x, y, ...] each, in pixels of the frame; empty where nothing was found; None: it draws a picture.
    instances: (H, W) int32, 0 = no object, an id for each that it keeps in the clip; None: not told apart.
    """

    picture: np.ndarray | None = None
    points: list[list[float]] | None = None
    instances: np.ndarray | None = None


class Pass(Protocol):
    """One annotator on its way through one clip. Pictures come in order, (H, W, 3) uint8 RGB of one size."""

    def see(self, picture: np.ndarray, time: float) -> None:
        """Take note of a picture that need not be drawn, because later ones depend on it."""
        ...

    def draw(self, picture: np.ndarray, time: float) -> Drawn:
        """The condition of the next picture. ``time``: its seconds, rising."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


class Annotator(Protocol):
    """Draws the condition of each frame of a clip, or finds the points that it is drawn from.

    Cheap to hold and to send to other processes; what is heavy is opened in ``begin``.
    """

    @property
    def name(self) -> str:
        """For messages and records: "edges", "edges:median", "face"."""

    @property
    def result(self) -> str:
        """What appears beside the frames: a folder of pictures, named like the condition, "edges"; or a file
        of points, "face478.json"."""

    @property
    def memory(self) -> int | None:
        """So many pictures before the one to be drawn matter, None: all of them.

        A pass that has seen these gives the same as one that saw everything: this is what lets several
        processes share a clip, a killed run go on, and a part of a video be driven.
        """

    @property
    def fingerprint(self) -> str:
        """Everything the pictures depend on beside the frames (settings, versions, weights)."""

    def begin(self) -> Pass:
        """Start a clip. Raises UserError where what it needs is not at hand."""
        ...


@runtime_checkable
class Labeller(Annotator, Protocol):
    """An annotator whose conditions are label maps."""

    @property
    def classes(self) -> LabelSchema:
        """What the ids in its maps mean."""

    @property
    def instances(self) -> bool:
        """Whether it tells objects apart: `Drawn` then has instances."""


def finds_points(annotator: Annotator) -> bool:
    """Whether it gives points rather than pictures."""
    return annotator.result.endswith(".json")


def gives_instances(annotator: Annotator) -> bool:
    """Whether instance maps belong to its condition."""
    return isinstance(annotator, Labeller) and annotator.instances


def _edges(argument: str) -> Annotator:
    from vid2vid.annotators.edges import Edges

    return Edges.of(argument)


def _sketch(argument: str) -> Annotator:
    from vid2vid.annotators.edges import Sketch

    if argument:
        raise UserError(f"annotate sketch:{argument}: sketch takes no more words; write sketch")
    return Sketch()


def _face(argument: str) -> Annotator:
    from vid2vid.annotators.landmarkers import Landmarker

    return Landmarker.of("face", argument)


def _pose(argument: str) -> Annotator:
    from vid2vid.annotators.landmarkers import Landmarker

    return Landmarker.of("pose", argument)


def _labels(argument: str, classes: LabelSchema | None = None, device: str = "auto") -> Annotator:
    from vid2vid.annotators.labels import Labels

    return Labels.of(argument, classes, device)


def _depth(argument: str, device: str = "auto") -> Annotator:
    from vid2vid.annotators.depth import Depth

    return Depth.of(argument, device)


def _mask(argument: str, device: str = "auto") -> Annotator:
    from vid2vid.annotators.mask import Mask

    return Mask.of(argument, device)


_OPENERS: dict[str, Callable[..., Annotator]] = {
    "edges": _edges,
    "sketch": _sketch,
    "face": _face,
    "pose": _pose,
    "labels": _labels,
    "depth": _depth,
    "mask": _mask,
}
"""By name; each is given what stands after the colon, or "". Networks are told their device, too."""


def annotator_names() -> tuple[str, ...]:
    """The names that ``open_annotator`` knows."""
    return tuple(_OPENERS)


def open_annotator(spec: str, classes: LabelSchema | None = None, device: str = "auto") -> Annotator:
    """The annotator a user named, NAME or NAME:ARGUMENT.

    "edges" or "edges:median": Canny. "sketch": soft pencil lines. "face" and "pose",
    or "face:FILE": MediaPipe's landmarkers, with the model in the user's cache, to where it is downloaded
    once, or in a file. "labels:FOLDER" or "labels:ID": a segmentation network of transformers; "mask:..."
    shows people alone by one; "depth:..." is by a network that estimates depth.

    Args:
        classes: what label maps are written in; None: Cityscapes.
        device: what a network runs on, as ``pick_device`` takes it.

    Raises:
        UserError: an unknown name; a package or a file it needs is not at hand.
    """
    name, _, argument = spec.partition(":")
    if name not in _OPENERS:
        raise UserError(f"annotate {spec!r}: unknown annotator; use {', '.join(_OPENERS)}")
    told = {"labels": (classes, device), "depth": (device,), "mask": (device,)}.get(name, ())
    return _OPENERS[name](argument, *told)


def open_annotators(specs: Sequence[str], classes: LabelSchema | None = None) -> list[Annotator]:
    """Several, each named for itself or with others as in "edges,sketch". ``classes``: see `open_annotator`.

    Raises:
        UserError: as ``open_annotator``; none is named; two would write the same folder.
    """
    words = [word.strip() for spec in specs for word in spec.split(",")]
    annotators = [open_annotator(word, classes) for word in dict.fromkeys(words)]
    by_result: dict[str, Annotator] = {}
    for annotator in annotators:
        other = by_result.setdefault(annotator.result, annotator)
        if other is not annotator:
            raise UserError(
                f"annotate {other.name},{annotator.name}: both write {annotator.result}; choose one of them"
            )
    return annotators


def picture_problem(picture: np.ndarray) -> str | None:
    """What keeps an array from being a picture (H, W, 3) uint8, for a ValueError; None for a good one."""
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or 0 in picture.shape:
        return f"expected an RGB picture (H, W, 3) uint8, not {picture.shape} {picture.dtype}"
    return None
