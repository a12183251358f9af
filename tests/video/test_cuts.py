"""Scene cuts: found where they are, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vid2vid.types import Frame, VideoInfo
from vid2vid.video import find_cuts, open_frames


class Frames(list):
    """Pictures as a source of frames."""

    info = VideoInfo(0, 0, 25, 0)  # type: ignore[arg-type]

    def __init__(self, images: list[np.ndarray]) -> None:
        super().__init__(Frame(image, number / 25) for number, image in enumerate(images))


def scene(seed: int) -> np.ndarray:
    """Blurred blobs of colour, 400 x 200."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (12, 24, 3), np.uint8)
    return cv2.GaussianBlur(cv2.resize(coarse, (400, 200), interpolation=cv2.INTER_CUBIC), (0, 0), 3)


def pan(seed: int, frames: int, step: int = 4) -> list[np.ndarray]:
    picture, rng = scene(seed), np.random.default_rng(seed)
    crops = [picture[20:164, 4 + step * i : 260 + step * i] for i in range(frames)]
    return [np.clip(crop + rng.normal(0, 3, crop.shape), 0, 255).astype(np.uint8) for crop in crops]


@pytest.mark.parametrize("seed", range(6))
def test_a_cut_between_moving_scenes(seed: int) -> None:
    shots = pan(seed, 15) + pan(seed + 50, 12) + pan(seed + 100, 9)
    assert find_cuts(Frames(shots)) == [15, 27]


def test_a_cut_within_one_scene() -> None:
    rng = np.random.default_rng(0)
    still = scene(3)
    jumped = np.roll(still, 150, axis=1)
    shots = [still] * 10 + [jumped] * 10
    assert find_cuts(
        Frames([np.clip(s + rng.normal(0, 3, s.shape), 0, 255).astype(np.uint8) for s in shots])
    ) == [10]


def test_motion_noise_flashes_and_fades_are_no_cuts() -> None:
    assert find_cuts(Frames(pan(1, 24, 6))) == []
    flash = pan(2, 20)
    flash[9] = np.full_like(flash[9], 250)
    flash[10] = np.full_like(flash[10], 240)
    assert find_cuts(Frames(flash)) == []
    fade = [(image * (1 - i / 24)).astype(np.uint8) for i, image in enumerate(pan(4, 24, 2))]
    assert find_cuts(Frames(fade)) == []


def test_short_sources() -> None:
    assert find_cuts(Frames([])) == []
    assert find_cuts(Frames(pan(0, 1))) == []
    assert find_cuts(Frames([scene(0), scene(1)])) == [1]
    assert find_cuts(Frames([np.zeros((20, 30, 3), np.uint8)] * 3)) == []


@pytest.mark.parametrize(
    "name",
    [
        "street_camvid/frames",
        "faces_grid/bbaf2n/frames.mpg",
        "decoder/av1_video.mkv",
        "decoder/flipping_a_pancake.mkv",
    ],
)
def test_no_cut_in_real_clips_of_one_shot(clips: Path, name: str) -> None:
    assert find_cuts(open_frames(clips / name)) == []


def test_the_cut_of_a_real_clip(clips: Path) -> None:
    assert find_cuts(open_frames(clips / "decoder/nasa_13013.mp4")) == [202]


def test_a_cut_between_real_clips(clips: Path) -> None:
    street = [frame.image for frame in open_frames(clips / "street_camvid/frames").frames(0, 12)]
    dance = [frame.image for frame in open_frames(clips / "dance_densepose/frames").frames(100, 112)]
    assert find_cuts(Frames(street + dance)) == [12]
