"""The metrics against closed forms, torchmetrics, and their own meaning."""

import math

import cv2
import numpy as np
import pytest
import torch
from evaluation_clips import blurred, noisy, panned, texture
from torch.nn.functional import avg_pool2d, conv2d
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from vid2vid.evaluation.metrics import (
    METRICS,
    MSSSIM,
    PSNR,
    SSIM,
    Context,
    EdgeF1,
    FlowDifference,
    FrameMetric,
    GradientEnergy,
    Sharpness,
    WarpingError,
    gradient_energy,
    grey,
)
from vid2vid.evaluation.motion import Motion, reference_motion
from vid2vid.flow import open_estimator, warp

DIS = open_estimator("dis")


def measure(
    kind: type[FrameMetric], real: list[np.ndarray], fake: list[np.ndarray], given: int = 0
) -> FrameMetric:
    metric = kind()
    for t, (a, b) in enumerate(zip(real, fake, strict=True)):
        motion = reference_motion(a, real[t - 1], DIS) if t else None
        before = (real[t - 1], fake[t - 1]) if t else (None, None)
        metric.update(a, b, Context(DIS, motion, *before, given=t < given))
    return metric


def tensor(picture: np.ndarray) -> torch.Tensor:
    picture = picture if picture.ndim == 3 else picture[..., None]
    return torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32))[None]


def test_equal_clips_score_as_perfect() -> None:
    real = panned(4, (200, 180))
    scores = {kind.key: measure(kind, real, real).compute() for kind in METRICS}
    assert scores["psnr"] == pytest.approx(138.131, abs=1e-3)
    for key in ("ssim", "ms_ssim", "gradient_energy", "sharpness"):
        assert scores[key] == pytest.approx(1, abs=1e-6)
    assert scores["flow_difference"] == scores["flicker"] == 0


def test_psnr_has_its_closed_form() -> None:
    real = [np.full((20, 30, 3), 100, np.uint8)]
    fake = [np.full((20, 30, 3), 110, np.uint8)]
    assert measure(PSNR, real, fake).compute() == pytest.approx(20 * math.log10(255 / 10), abs=1e-6)


@pytest.mark.parametrize("size", [(200, 180), (256, 192), (352, 176)])
def test_agrees_with_torchmetrics(size: tuple[int, int]) -> None:
    real, fake = texture(size[1], size[0]), noisy(blurred([texture(size[1], size[0])], 1.0), 6)[0]
    a, b = tensor(grey(real)), tensor(grey(fake))
    assert measure(PSNR, [real], [fake]).compute() == pytest.approx(
        peak_signal_noise_ratio(tensor(fake), tensor(real), data_range=255.0).item(), abs=1e-4
    )
    # torchmetrics goes on over the border, on reflected pixels; the paper and we do not.
    _, everywhere = structural_similarity_index_measure(b, a, data_range=255.0, return_full_image=True)
    inside = everywhere[..., 5:-5, 5:-5].mean().item()
    assert measure(SSIM, [real], [fake]).compute() == pytest.approx(inside, abs=1e-5)
    # The same border in every scale of its MS-SSIM: near, but not the same.
    assert measure(MSSSIM, [real], [fake]).compute() == pytest.approx(
        multiscale_structural_similarity_index_measure(b, a, data_range=255.0).item(), abs=2e-3
    )
    assert measure(MSSSIM, [real], [fake]).compute() == pytest.approx(ms_ssim_by_convolution(a, b), abs=1e-5)


def ms_ssim_by_convolution(a: torch.Tensor, b: torch.Tensor) -> float:
    """The definition again, in double precision by torch: valid windows, halves by average pooling."""
    line = torch.exp(-((torch.arange(11.0, dtype=torch.float64) - 5) ** 2) / (2 * 1.5**2))
    window = (line[:, None] * line / line.sum() ** 2)[None, None]
    a, b, product = a.double(), b.double(), 1.0
    weights = MSSSIM.WEIGHTS[: MSSSIM.levels(a.shape[3], a.shape[2])]
    for level, weight in enumerate(weights):
        mean_a, mean_b = conv2d(a, window), conv2d(b, window)
        spread = conv2d(a * a, window) - mean_a**2 + conv2d(b * b, window) - mean_b**2
        together = conv2d(a * b, window) - mean_a * mean_b
        found = (2 * together + 58.5225) / (spread + 58.5225)
        if level == len(weights) - 1:
            found = found * (2 * mean_a * mean_b + 6.5025) / (mean_a**2 + mean_b**2 + 6.5025)
        product *= found.mean().item() ** (weight / sum(weights))
        a, b = avg_pool2d(a, 2), avg_pool2d(b, 2)
    return product


def test_ms_ssim_has_fewer_scales_for_small_pictures() -> None:
    assert [MSSSIM.levels(side, 999) for side in (11, 22, 44, 88, 175, 176, 1024)] == [1, 2, 3, 4, 4, 5, 5]
    for side in (11, 12, 23, 87, 90):
        real = [texture(side, side + 1)]
        value = measure(MSSSIM, real, noisy(real, 20)).compute()
        assert value is not None
        assert 0 < value < 1


def shaken(pictures: list[np.ndarray], reach: float, seed: int = 3) -> list[np.ndarray]:
    """Every picture moved by chance, up to ``reach`` pixels each way."""
    moves = np.random.default_rng(seed).uniform(-reach, reach, (len(pictures), 2))
    return [
        cv2.warpAffine(x, np.float32([[1, 0, dx], [0, 1, dy]]), x.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
        for x, (dx, dy) in zip(pictures, moves, strict=True)
    ]


def swapped(pictures: list[np.ndarray], swaps: int) -> list[np.ndarray]:
    """So many neighbours changed places."""
    order = list(range(len(pictures)))
    for t in range(0, 2 * swaps, 2):
        order[t], order[t + 1] = order[t + 1], order[t]
    return [pictures[t] for t in order]


SPOILT = {
    "noise": lambda clip, grade: noisy(clip, 4 * grade),
    "blur": lambda clip, grade: blurred(clip, 0.7 * grade) if grade else clip,
    "jitter": lambda clip, grade: shaken(clip, 0.8 * grade),
    "swaps": swapped,
}
SILENT = {
    "warping_error": {"blur"},  # blur is what it rewards: the gradient energy tells
    "gradient_energy": {"jitter", "swaps"},  # properties of single pictures, whatever their order
    "sharpness": {"jitter", "swaps"},
    "edge_f1": {"jitter"},  # in a texture as dense as this an edge finds another; see below
}
"""What a metric does not claim to see."""


@pytest.mark.parametrize("kind", METRICS, ids=lambda kind: kind.key)
@pytest.mark.parametrize("how", SPOILT)
def test_the_more_it_is_spoilt_the_worse_it_scores(kind: type[FrameMetric], how: str) -> None:
    if how in SILENT.get(kind.key, ()):
        return
    real = panned(8, (160, 120))
    values = [measure(kind, real, SPOILT[how](real, grade)).compute() for grade in (0, 1, 2, 3)]
    badness = [-v if kind.better == "higher" else v if kind.better == "lower" else abs(v - 1) for v in values]
    assert badness == sorted(badness), values
    assert badness[0] < badness[1] < badness[3]


def test_warping_error_agrees_with_our_own_warp_under_exact_flow() -> None:
    real = panned(5, (160, 120))
    fake = noisy(blurred(real, 1.0), 5)
    flow = np.zeros((2, 120, 160), np.float32)
    flow[0] = 2  # what is here now was two pixels to the right
    valid = np.ones((120, 160), np.uint8)
    valid[:, -2:] = 0
    metric, expected = WarpingError(), []
    for t in range(1, 5):
        metric.update(real[t], fake[t], Context(DIS, Motion(flow, valid), real[t - 1], fake[t - 1]))
        warped = warp(tensor(fake[t - 1]), torch.from_numpy(flow)[None])
        expected.append(float((warped - tensor(fake[t]))[..., :-2].abs().mean()))
    assert metric.compute() == pytest.approx(np.mean(expected), abs=1e-4)
    still = WarpingError()
    for t in range(1, 5):
        still.update(real[t], real[t], Context(DIS, Motion(flow, valid), real[t - 1], real[t - 1]))
    assert still.compute() == 0


def test_edges_count_as_found_within_two_pixels() -> None:
    real = np.zeros((60, 60, 3), np.uint8)
    real[20:40, 20:40] = 200
    real[50:] = 90
    scores = [measure(EdgeF1, [real], [np.roll(real, move, axis=1)]).compute() for move in range(6)]
    assert scores[:3] == [1, 1, 1]
    assert max(scores[3:]) < 0.8
    assert measure(EdgeF1, [real], [np.zeros_like(real)]).compute() == 0
    assert measure(EdgeF1, [np.zeros_like(real)], [np.zeros_like(real)]).compute() is None


def test_opposite_pictures_have_no_similarity() -> None:
    real = [texture(180, 180)]
    value = measure(MSSSIM, real, [255 - real[0]]).compute()
    assert value is not None
    assert 0 <= value < 0.01


def test_more_noise_is_worse_in_every_distance() -> None:
    real = panned(3, (128, 96))
    for kind in (PSNR, SSIM, MSSSIM, WarpingError, FlowDifference):
        values = [measure(kind, real, noisy(real, sigma)).compute() for sigma in (2, 8, 32)]
        assert values == sorted(values, reverse=kind.better == "higher"), kind.key


def test_blur_buys_warping_error_and_gradient_energy_tells() -> None:
    real = panned(4, (160, 120))
    fake = noisy(real, 10)
    assert (
        measure(WarpingError, real, blurred(fake)).compute()
        < 0.5 * measure(WarpingError, real, fake).compute()
    )
    for kind in (GradientEnergy, Sharpness):
        assert measure(kind, real, blurred(fake)).compute() < 0.3
        assert measure(kind, real, fake).compute() > 1


def test_a_perfect_pan_warps_onto_itself() -> None:
    real = panned(4, (160, 120))
    still = [real[0]] * 4
    assert measure(WarpingError, real, real).compute() < 2
    assert measure(WarpingError, real, still).compute() > 5
    assert measure(FlowDifference, real, still).compute() == pytest.approx(1, abs=0.1)  # 2 px across, 0 down


def test_gradient_energy_of_a_ramp_is_its_slope_squared() -> None:
    ramp = np.repeat(np.arange(0, 120, 3, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(20, axis=0)
    assert gradient_energy(ramp) == pytest.approx(9)


def test_ratios_of_flat_pictures_are_undefined_not_infinite() -> None:
    flat = [np.full((20, 20, 3), 9, np.uint8)]
    metric = measure(GradientEnergy, flat, [texture(20, 20)])
    assert metric.curve == [None]
    assert metric.compute() is None


def test_given_frames_are_not_scored() -> None:
    real = panned(4, (64, 48))
    fake = [*real[:2], *noisy(real[2:], 20)]
    metric = measure(PSNR, real, fake, given=2)
    assert metric.curve[:2] == [None, None]
    assert metric.compute() < 30
    # The step from the last given frame to the first made one counts.
    assert [value is None for value in measure(WarpingError, real, fake, given=2).curve] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("size", [(33, 47), (101, 63), (11, 11), (13, 200)])
def test_odd_and_small_sizes(size: tuple[int, int]) -> None:
    real = panned(3, size)
    for kind in METRICS:
        value = measure(kind, real, noisy(real, 5)).compute()
        if kind is EdgeF1 and value is None:  # not one edge in either
            continue
        assert value is not None
        assert math.isfinite(value)


def test_every_metric_explains_itself() -> None:
    for kind in METRICS:
        assert kind.__doc__
        assert any(word in kind.__doc__ for word in ("Higher", "Lower", "1 is as"))
