"""Augmentation: one random change for all frames of a sequence and for everything that goes with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from vid2vid.annotators.disturb import Disturbance
from vid2vid.data.dataset import ClipFrames
from vid2vid.errors import UserError
from vid2vid.flow import crop_flow, flip_flow, resize_flow
from vid2vid.types import Size
from vid2vid.video import resize_picture


@dataclass(frozen=True)
class Transform:
    """One drawn change: flip, resize, crop, light, colours. `warp(x[t-1], flow) ~ x[t]` stays true.

    size: (width, height) after the resize.
    box: (left, top, width, height) of the crop, within `size`.
    gain, bias: frames become (x - 0.5) * gain + 0.5 + bias, x in [0, 1].
    recolour, seed: every class (without label maps, the frame) gets a gain and a bias of its own in each
        colour, by up to this share, drawn by the seed; 0 changes nothing.
    disturb: what happens to landmarks before they are drawn, while the sequence is read; None: nothing.
    """

    flip: bool
    size: Size
    box: tuple[int, int, int, int]
    gain: float = 1.0
    bias: float = 0.0
    recolour: float = 0.0
    seed: int = 0
    disturb: Disturbance | None = None

    def __call__(self, clip: ClipFrames, flow: np.ndarray) -> tuple[ClipFrames, np.ndarray]:
        """The changed sequence; flow is (T, 2, H, W) float32."""
        labels = None if clip.labels is None else self._moved(clip.labels, labels=True)
        changed = ClipFrames(
            frames=self.recoloured(self._light(self._moved(clip.frames)), labels),
            labels=labels,
            instances=None if clip.instances is None else self._moved(clip.instances, labels=True),
            image=None if clip.image is None else self._moved(clip.image),
        )
        return changed, self._flow(flow)

    def _moved(self, pictures: np.ndarray, labels: bool = False) -> np.ndarray:
        """(T, H, W[, 3]) flipped, resized and cropped."""
        left, top, width, height = self.box
        if self.flip:
            pictures = pictures[:, :, ::-1]
        if pictures.shape[2:0:-1] != self.size:
            pictures = np.stack([resize_picture(picture, self.size, labels=labels) for picture in pictures])
        return pictures[:, top : top + height, left : left + width]

    def _flow(self, flow: np.ndarray) -> np.ndarray:
        left, top, width, height = self.box
        changed = torch.from_numpy(flow)
        if self.flip:
            changed = flip_flow(changed)
        return crop_flow(resize_flow(changed, self.size), left, top, (width, height)).numpy()

    def _light(self, frames: np.ndarray) -> np.ndarray:
        if self.gain == 1.0 and self.bias == 0.0:
            return frames
        levels = (np.arange(256) / 255 - 0.5) * self.gain + 0.5 + self.bias
        return (levels.clip(0, 1) * 255).round().astype(np.uint8)[frames]

    def recoloured(self, frames: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """Frames (T, H, W, 3) uint8 in the colours drawn for the classes of labels (T, H, W)."""
        if self.recolour == 0.0:
            return frames
        kinds = np.zeros(frames.shape[:3], np.int64) if labels is None else labels
        drawn = np.random.default_rng(self.seed).uniform(-1, 1, (int(kinds.max()) + 1, 2, 4))
        # Mostly lighter or darker as a whole, and less in each colour for itself.
        gain, bias = np.moveaxis(self.recolour * (drawn[..., :1] * 2 / 3 + drawn[..., 1:] / 3), 1, 0)
        changed = frames * (1 + gain)[kinds] + 127.5 * bias[kinds]
        return changed.clip(0, 255).round().astype(np.uint8)


@dataclass(frozen=True)
class Augmentation:
    """How sequences are varied.

    flip: probability of a mirrored sequence. 0 where left and right mean something: DensePose colours, text.
    scale: range of the factor a sequence is resized by (the same for width and height).
    crop: (width, height) cut out at a random place after that; None: the size before.
    jitter: frames only: contrast and brightness change by up to this share (0.1: up to 10 %).
    recolour: frames only: in half of the sequences the colours of each class change by up to this share.
    drop, wobble: landmarks only, see `Disturbance`.

    Raises:
        UserError: values that make no sense.
    """

    flip: float = 0.5
    scale: tuple[float, float] = (1.0, 1.0)
    crop: Size | None = None
    jitter: float = 0.0
    recolour: float = 0.0
    drop: float = 0.0
    wobble: float = 0.0

    def __post_init__(self) -> None:
        smallest, largest = self.scale
        if not 0 <= self.flip <= 1:
            raise UserError(f"augment.flip is {self.flip}; it is a probability, from 0 to 1")
        if not 0 < smallest <= largest:
            raise UserError(
                f"augment.scale is {smallest}, {largest}; give the smaller factor first, both above 0"
            )
        for name in ("jitter", "recolour", "drop", "wobble"):
            if not 0 <= (share := getattr(self, name)) < 1:
                raise UserError(f"augment.{name} is {share}; it is a share, from 0 to below 1")

    def output_size(self, size: Size) -> Size:
        """What sequences read at `size` become.

        Raises:
            UserError: the smallest scale leaves less than the crop needs.
        """
        width, height = self.crop or size
        narrow, low = _scaled(size, self.scale[0])
        if narrow < width or low < height:
            raise UserError(
                f"augment: a crop of {width}x{height} does not fit into {narrow}x{low} "
                f"({size[0]}x{size[1]} scaled by {self.scale[0]}); use a smaller crop or larger scale"
            )
        return width, height

    def draw(self, rng: np.random.Generator, size: Size) -> Transform:
        """A random change for a sequence read at `size`; always draws the same number of random values."""
        width, height = self.output_size(size)
        flip, factor, across, down, contrast, brightness, colours, points = rng.random(8)
        scaled = _scaled(size, self.scale[0] + factor * (self.scale[1] - self.scale[0]))
        left = int(across * (scaled[0] - width + 1))
        top = int(down * (scaled[1] - height + 1))
        gain = 1 + self.jitter * (2 * contrast - 1)
        bias = self.jitter * (2 * brightness - 1) / 2
        recolour = self.recolour if colours < 0.5 else 0.0
        box = (left, top, width, height)
        seed, disturb = int(colours * 2**53), Disturbance(self.drop, self.wobble, int(points * 2**53))
        changed = disturb if self.drop or self.wobble else None
        return Transform(bool(flip < self.flip), scaled, box, gain, bias, recolour, seed, changed)


NO_AUGMENTATION = Augmentation(flip=0.0)


def _scaled(size: Size, factor: float) -> Size:
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
