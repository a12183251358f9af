"""Named bundles that travel between the rooms, with their shapes.

Conventions (everywhere in the package):

* video tensors are ``(B, T, C, H, W)`` float in [-1, 1], RGB; one frame is ``(B, C, H, W)``;
* label maps are ``(B, T, H, W)`` integers;
* flow is ``(B, 2, H, W)``, in pixels, (x, y), **from frame t to t-1**: ``warp(x[t-1], flow[t]) ~ x[t]``;
* confidences and masks are ``(B, 1, H, W)`` in [0, 1].

Pictures on their way in and out of files are ``(H, W, 3)`` uint8 RGB numpy arrays; sizes are (width, height).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

Size = tuple[int, int]
"""(width, height) in pixels."""

_Bundle = TypeVar("_Bundle", bound="_TensorBundle")


class _TensorBundle:
    """A dataclass whose tensors move and slice together."""

    def map(self: _Bundle, function) -> _Bundle:  # type: ignore[no-untyped-def]
        changed = {}
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                changed[field.name] = function(value)
            elif isinstance(value, tuple) and value and isinstance(value[0], Tensor):
                changed[field.name] = tuple(function(item) for item in value)
        return replace(self, **changed)  # type: ignore[type-var]

    def to(self: _Bundle, *args, **kwargs) -> _Bundle:  # type: ignore[no-untyped-def]
        """Every tensor moved as ``Tensor.to`` would."""
        return self.map(lambda tensor: tensor.to(*args, **kwargs))

    def detach(self: _Bundle) -> _Bundle:
        """Every tensor cut from the graph."""
        return self.map(lambda tensor: tensor.detach())


@dataclass(frozen=True)
class Frame:
    """One decoded picture: ``image`` (H, W, 3) uint8 RGB, ``time`` in seconds from the source's start."""

    image: np.ndarray
    time: float


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a source of frames before it is read."""

    width: int
    height: int
    rate: Fraction
    """Frames per second (average, for a variable rate)."""
    frames: int
    """Exact number of frames."""
    has_audio: bool = False

    @property
    def size(self) -> Size:
        return self.width, self.height


class FrameSource(Protocol):
    """A video file or a folder of pictures: random access by exact index, and cheap forward iteration."""

    info: VideoInfo

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Frame: ...

    def __iter__(self) -> Iterator[Frame]: ...


@dataclass(frozen=True)
class VideoBatch(_TensorBundle):
    """A batch of clips with what describes their frames.

    frames: (B, T, 3, H, W) in [-1, 1].
    labels: (B, T, H, W) int64 class *indices* (0 ... classes - 1), or None.
    instances: (B, T, H, W) int64, or None.
    image: (B, T, C, H, W) in [-1, 1]: an image-valued condition, or None.
    flow: (B, T, 2, H, W) reference flow from frame t to t-1; zero at t = 0.
    """

    frames: Tensor
    flow: Tensor
    labels: Tensor | None = None
    instances: Tensor | None = None
    image: Tensor | None = None


@dataclass(frozen=True)
class GeneratorOutput(_TensorBundle):
    """One synthesised frame and the parts it was made of (paper, equation 4), at one scale.

    frame: (B, 3, H, W) the result ``y_t``, in [-1, 1].
    raw: (B, 3, H, W) the hallucination ``h_t``, foreground composited, before the warp is mixed in.
    flow: (B, 2, H, W) predicted flow ``w_t``, pixels; None where the network has no flow branch.
    mask: (B, 1, H, W) soft occlusion mask ``m_t``, 1 = take the hallucination; None likewise.
    warped: (B, 3, H, W) the last output warped by ``flow``; None likewise. Of a
        forecaster the last observed condition, carried on and then warped by ``residual``.
    residual: (B, 2, H, W), of a forecaster alone: what it corrects inertia by, pixels; way: and the way back
        to the last observed condition that comes of it.
    described: of a forecaster joined with its renderer, the forecast conditions of the frame (see ``Joint``).
    """

    frame: Tensor
    raw: Tensor
    flow: Tensor | None = None
    mask: Tensor | None = None
    warped: Tensor | None = None
    residual: Tensor | None = None
    way: Tensor | None = None
    described: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class RecurrentState(_TensorBundle):
    """What the generator remembers between frames: an argument and a result of ``step``, never an attribute.

    conditions: per scale (B, L * C, H, W), the last L encoded conditions, oldest first.
    frames: per scale (B, L * 3, H, W), the last L frames, oldest first; zeros where there was none.
    filled: how many frames of the history are real pictures (0: the next frame is self-made).
        Inside a traced graph a tensor, () int64.
    """

    conditions: tuple[Tensor, ...]
    frames: tuple[Tensor, ...]
    filled: int | Tensor = 0


def to_tensor(pictures: np.ndarray | Tensor) -> Tensor:
    """Pictures (..., H, W, 3) uint8 to (..., 3, H, W) float in [-1, 1], where they are."""
    given = pictures if isinstance(pictures, Tensor) else torch.from_numpy(np.ascontiguousarray(pictures))
    return given.movedim(-1, -3).contiguous().float() / 127.5 - 1


def to_bytes(frames: Tensor) -> Tensor:
    """Frames (B, 3, H, W) in [-1, 1] to (B, H, W, 3) uint8, where they are; values outside are clipped."""
    scaled = ((frames.detach().float().clamp(-1, 1) + 1) * 127.5).round().byte()
    return scaled.permute(0, 2, 3, 1).contiguous()


def to_picture(frame: Tensor) -> np.ndarray:
    """A frame (3, H, W) in [-1, 1] to a picture (H, W, 3) uint8; values outside are clipped."""
    return to_bytes(frame[None])[0].cpu().numpy()
