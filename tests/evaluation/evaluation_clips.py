"""Small clips with known motion, and the means to write them as folders of pictures."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A picture with detail at several scales, (H, W, 3) uint8."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for sigma, weight in ((1, 60), (4, 200), (12, 700)):
        total += weight * cv2.GaussianBlur(random.normal(0, 1, (height, width, 3)), (0, 0), sigma)
    return np.clip(total + 128, 0, 255).astype(np.uint8)


def panned(frames: int, size: tuple[int, int], step: int = 2, seed: int = 0) -> list[np.ndarray]:
    """A texture that moves `step` pixels to the left a frame."""
    width, height = size
    wide = texture(height, width + step * frames, seed)
    return [np.ascontiguousarray(wide[:, step * t : step * t + width]) for t in range(frames)]


def noisy(pictures: Iterable[np.ndarray], sigma: float, seed: int = 1) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [
        np.clip(picture + random.normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)
        for picture in pictures
    ]


def blurred(pictures: Iterable[np.ndarray], sigma: float = 2.0) -> list[np.ndarray]:
    return [cv2.GaussianBlur(picture, (0, 0), sigma) for picture in pictures]


def write_folder(folder: Path, pictures: Iterable[np.ndarray], first: int = 0) -> Path:
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures, first):
        cv2.imwrite(str(folder / f"{number:05d}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return folder
