"""Small videos made on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def numbered(number: int, size: tuple[int, int] = (48, 32)) -> np.ndarray:
    """A grey (H, W) picture showing its number as eight black or white blocks, which survive encoding."""
    width, height = size
    bits = np.array([(number >> bit) & 1 for bit in range(8)], np.uint8).reshape(2, 4)
    return np.kron(bits * 160 + 40, np.ones((height // 2, width // 4), np.uint8))


def number_of(image: np.ndarray) -> int:
    """The number in a picture made by ``numbered``, grey or RGB."""
    grey = image.reshape(*image.shape[:2], -1).mean(axis=2)
    height, width = grey.shape
    blocks = grey.reshape(2, height // 2, 4, width // 4).mean(axis=(1, 3)).ravel()
    return sum(1 << bit for bit, value in enumerate(blocks) if value > 120)


def encode(
    path: Path,
    frames: int,
    *,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    stamps: Sequence[int] | None = None,
    rate: int = 25,
    size: tuple[int, int] = (48, 32),
    format: str | None = None,
) -> Path:
    """A video of numbered frames; ``stamps`` are in units of 1 / (40 * rate) seconds."""
    with av.open(str(path), "w", format=format) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.options = options or {}
        base = Fraction(1, 40 * rate) if stamps else Fraction(1, rate)
        stream.codec_context.time_base = base
        for number in range(frames):
            grey = numbered(number, size)
            frame = av.VideoFrame.from_ndarray(np.stack([grey] * 3, axis=2), "rgb24").reformat(
                format="yuv420p"
            )
            frame.pts, frame.time_base = (stamps[number] if stamps else number), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def with_tone(path: Path, codec: str, frames: int = 20, rate: int = 25, begins: float = 0) -> Path:
    """Numbered frames beside a tone that begins so many seconds after them."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options={"g": "7", "bf": "2"})
        video.width, video.height = 48, 32
        audio = container.add_stream(codec, rate=48_000, layout="mono")
        for number in range(frames):
            image = np.stack([numbered(number)] * 3, axis=2)
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        times = np.arange(frames * 48_000 // rate) / 48_000
        tone = np.where(times >= begins, np.sin(2 * np.pi * 440 * times) * 0.5, 0).astype(np.float32)
        for start in range(0, len(tone), 960):
            block = av.AudioFrame.from_ndarray(tone[None, start : start + 960], "fltp", "mono")
            block.sample_rate, block.pts, block.time_base = 48_000, start, Fraction(1, 48_000)
            container.mux(audio.encode(block))
        container.mux(audio.encode(None))
    return path


def planes(
    path: Path, values: tuple[int, int, int], pixels: str, *, full: bool, matrix: int, size: tuple[int, int]
) -> Path:
    """A video of three frames of one exact Y, U, V value, tagged with a range (and a matrix, if not 2)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"qp": "0"})
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        stream.codec_context.color_range = 2 if full else 1
        if matrix != 2:
            stream.codec_context.colorspace = matrix
        for number in range(3):
            frame = av.VideoFrame(*size, pixels)
            frame.pts, frame.color_range = number, 2 if full else 1
            for plane, value in zip(frame.planes, values, strict=True):
                kind = np.uint16 if "10" in pixels else np.uint8
                plane.update(np.full(plane.buffer_size // kind().itemsize, value, kind).tobytes())
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
