"""Drift: zero where nothing drifts, found where something does, blind to what the scene itself does."""

import numpy as np
import pytest
from evaluation_clips import blurred, texture

from vid2vid.evaluation import Drift
from vid2vid.evaluation.drift import mean_lab


def drift(fake: list[np.ndarray], real: list[np.ndarray] | None = None, window: int = 4) -> dict:
    meter = Drift(window)
    for index, picture in enumerate(fake):
        meter.update(picture, real[index] if real else None)
    return meter.compute()


def brighter(picture: np.ndarray, by: float) -> np.ndarray:
    return np.clip(picture.astype(float) * 0.5 + 40 + by, 0, 255).astype(np.uint8)


def test_lab_of_known_colours() -> None:
    white, red = np.full((2, 2, 3), 255, np.uint8), np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 255
    assert mean_lab(white) == pytest.approx([100, 0, 0], abs=0.02)
    assert mean_lab(red) == pytest.approx([53.24, 80.09, 67.20], abs=0.1)


def test_a_change_of_the_scene_is_no_drift() -> None:
    real = [brighter(texture(40, 60), 4 * t) for t in range(12)]
    result = drift(real, real)
    assert result["windows"][-1]["colour_from_first"] > 5
    assert result["colour_drift"] == pytest.approx(0, abs=1e-6)
    assert result["sharpness_drift"] == pytest.approx(1)


def test_a_drifting_colour_is_found() -> None:
    real = [brighter(texture(40, 60), 0)] * 12
    fake = [brighter(texture(40, 60), 5 * t) for t in range(12)]
    result = drift(fake, real)
    distances = [window["colour_from_real"] for window in result["windows"]]
    assert distances == sorted(distances)
    assert result["colour_drift"] == pytest.approx(distances[-1] - distances[0], rel=0.2)


def test_growing_blur_is_found() -> None:
    real = [texture(40, 60)] * 12
    fake = [blurred(real[:1], 0.3 + 0.2 * t)[0] for t in range(12)]
    assert drift(fake, real)["sharpness_drift"] < 0.5


def test_windows_count_frames_and_join_a_short_last_one() -> None:
    pictures = [texture(20, 30)] * 13
    spans = [(window["start"], window["stop"]) for window in drift(pictures)["windows"]]
    assert spans == [(0, 4), (4, 8), (8, 13)]
    spans = [(window["start"], window["stop"]) for window in drift(pictures[:10])["windows"]]
    assert spans == [(0, 4), (4, 8), (8, 10)]


def test_without_truth_or_with_one_window_there_is_no_summary() -> None:
    pictures = [texture(20, 30)] * 9
    assert drift(pictures)["colour_drift"] is None
    assert "colour_from_real" not in drift(pictures)["windows"][0]
    assert drift(pictures[:4], pictures[:4])["sharpness_drift"] is None
