"""Distances of distributions against closed forms and torchmetrics, and their own meaning."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import torch
from evaluation_clips import blurred, noisy, panned
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.kid import poly_mmd

from vid2vid.evaluation.distribution import (
    Distributions,
    FeatureDrift,
    Moments,
    Reservoir,
    frechet_distance,
    kernel_distance,
)


class Tiny:
    """A random convolution over space and time, pooled: enough of a network for most of what is tested."""

    def __init__(self, frames: int = 1, width: int = 8) -> None:
        torch.manual_seed(4)
        self.name, self.frames, self.batches = "tiny", frames, 0
        kernel = (min(frames, 3), 5, 5)
        self._network = nn.Sequential(nn.Conv3d(3, width, kernel), nn.ReLU(), nn.AdaptiveAvgPool3d(1))

    @torch.inference_mode()
    def __call__(self, windows: np.ndarray) -> np.ndarray:
        assert windows.shape[1] == self.frames
        self.batches += 1
        x = torch.from_numpy(windows).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        return self._network(x).flatten(1).double().numpy()


class Mean:
    """One feature: the brightness of the window. Keeps what it was given."""

    name = "mean"

    def __init__(self, frames: int = 1) -> None:
        self.frames = frames
        self.seen: list[np.ndarray] = []

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        self.seen += list(windows[:, :, 0, 0, 0])
        return windows.reshape(len(windows), -1).mean(1, keepdims=True).astype(np.float64)


def moments(rows: np.ndarray) -> Moments:
    found = Moments()
    found.add(rows)
    return found


def flat(value: int) -> np.ndarray:
    return np.full((8, 8, 3), value, np.uint8)


def scores(network: object, real: list[np.ndarray], *fakes: list[np.ndarray], **options: int) -> list[dict]:
    """Each clip of 120 frames as clips of 24, so that there are ends that no window spans."""
    distributions = Distributions(network, 1 + len(fakes), **options)
    for index, row in enumerate(zip(real, *fakes, strict=True)):
        if index % 24 == 0:
            distributions.begin_clip()
        distributions.update(row)
    return distributions.compute()[1:]


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from([0, 1, 2, 9, 120, 300]), min_size=1, max_size=8),
    st.integers(1, 6),
    st.sampled_from([0.0, 1e3, -1e6]),
    st.integers(0, 2**31),
)
def test_moments_do_not_depend_on_the_pieces(pieces: list[int], width: int, offset: float, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(offset, 1, (sum(pieces) + 2, width))
    found, other = Moments(), Moments()
    chunks = np.split(rows, np.cumsum(pieces))
    for index, chunk in enumerate(chunks):
        (found if index % 3 else other).add(chunk)
    found.merge(other)
    assert found.count == len(rows)
    np.testing.assert_allclose(found.mean, rows.mean(0), rtol=1e-12, atol=1e-12)
    root = found.root()
    expected = np.cov(rows, rowvar=False).reshape(width, width)
    np.testing.assert_allclose(root @ root.T, expected, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(found.covariance, expected, rtol=1e-8, atol=1e-9)


def test_moments_of_nothing_have_no_covariance() -> None:
    with pytest.raises(ValueError, match="two rows"):
        _ = moments(np.ones((1, 3))).covariance


@pytest.mark.parametrize("width", [1, 3, 20])
def test_frechet_has_its_closed_form_for_diagonal_covariances(width: int) -> None:
    random = np.random.default_rng(width)

    def diagonal(mean: np.ndarray, spread: np.ndarray) -> Moments:
        return moments(np.concatenate([mean + np.diag(spread), mean - np.diag(spread)]))

    spreads = random.uniform(0.1, 3, (2, width))
    means = random.normal(0, 2, (2, width))
    a, b = (diagonal(mean, spread) for mean, spread in zip(means, spreads, strict=True))
    sigmas = spreads * np.sqrt(2 / (2 * width - 1))
    expected = np.square(means[0] - means[1]).sum() + np.square(sigmas[0] - sigmas[1]).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_frechet_agrees_with_torchmetrics() -> None:
    random = np.random.default_rng(0)
    for width, count in ((4, 50), (32, 200), (64, 80), (20, 600)):
        mix = random.normal(0, 1, (2, width, width))
        a, b = (moments(random.normal(0.3, 1, (count, width)) @ matrix) for matrix in mix)
        given = [torch.from_numpy(x) for m in (a, b) for x in (m.mean, m.covariance)]
        assert frechet_distance(a, b) == pytest.approx(_compute_fid(*given).item(), rel=1e-6)


@pytest.mark.parametrize("count", [2, 5, 40, 100, 700])
def test_frechet_of_equal_moments_is_nothing_even_when_singular(count: int) -> None:
    rows = np.random.default_rng(1).normal(5, 3, (count, 50))
    a, shifted = moments(rows), moments(rows + 2)
    assert frechet_distance(a, moments(rows)) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, shifted) == pytest.approx(4 * 50, rel=1e-9)
    still = moments(np.ones((3, 50)))
    assert frechet_distance(still, still) == 0
    assert frechet_distance(a, still) == pytest.approx(
        np.square(a.mean - 1).sum() + np.trace(a.covariance), rel=1e-9
    )


def test_kernel_agrees_with_torchmetrics() -> None:
    random = np.random.default_rng(0)
    for count, width, shift in ((10, 4, 0.0), (60, 32, 0.5), (100, 200, 2.0)):
        a, b = random.normal(0, 1, (count, width)), random.normal(shift, 1, (count, width))
        expected = poly_mmd(torch.from_numpy(a), torch.from_numpy(b)).item()
        assert kernel_distance(a, b) == (pytest.approx(expected, rel=1e-9, abs=1e-12), 0)


def test_kernel_is_unbiased_and_frechet_is_not() -> None:
    """On small samples of one distribution."""
    random = np.random.default_rng(0)
    pairs = [random.normal(0, 1, (2, 12, 6)) for _ in range(200)]
    kernels = [kernel_distance(a, b)[0] for a, b in pairs]
    frechets = [frechet_distance(moments(a), moments(b)) for a, b in pairs]
    assert abs(np.mean(kernels)) < 3 * np.std(kernels) / np.sqrt(len(kernels))
    assert min(kernels) < 0
    assert min(frechets) > 0.3


def test_kernel_over_subsets_finds_what_all_rows_say() -> None:
    random = np.random.default_rng(3)
    a, b = random.normal(0, 1, (400, 10)), random.normal(0.5, 1, (300, 10))
    whole, _ = kernel_distance(a[:300], b)
    mean, deviation = kernel_distance(a, b, size=100)
    assert mean == pytest.approx(whole, rel=0.2)
    assert 0 < deviation < whole
    assert kernel_distance(a, b, size=100) == (mean, deviation)
    with pytest.raises(ValueError, match="two rows"):
        kernel_distance(a[:1], b)


def test_a_reservoir_is_a_fair_sample_and_stays_small() -> None:
    rows = np.arange(1000.0)[:, None]
    hits = np.zeros(1000)
    for seed in range(200):
        reservoir = Reservoir(50, seed)
        for start in range(0, 1000, 7):
            reservoir.add(rows[start : start + 7])
        kept = reservoir.rows[:, 0].astype(int)
        assert len(set(kept)) == 50
        hits[kept] += 1
    assert hits.reshape(10, 100).sum(1) == pytest.approx(1000, rel=0.1)


def test_equal_clips_are_at_no_distance() -> None:
    real = panned(120, (24, 20))
    for frames in (1, 8):
        found = scores(Tiny(frames), real, [frame.copy() for frame in real])[0]
        assert found["frechet"] == pytest.approx(0, abs=1e-12)
        assert abs(found["kernel"]) < 0.01
        assert found["windows"] == 120 // frames


def swapped(pictures: list[np.ndarray], every: int) -> list[np.ndarray]:
    """In one window of 8 frames out of so many, each two frames change places; 0: in none."""
    order = np.arange(len(pictures)).reshape(-1, 4, 2)
    if every:
        order[::every] = order[::every, :, ::-1].copy()
    return [pictures[index] for index in order.ravel()]


@pytest.mark.parametrize("frames", [1, 8])
@pytest.mark.parametrize(("damage", "grades"), [(noisy, (5, 15, 45)), (blurred, (0.5, 1, 2))])
def test_more_damage_is_further_away(frames: int, damage: Callable, grades: tuple[float, ...]) -> None:
    real = panned(120, (24, 20))
    found = scores(Tiny(frames), real, *(damage(real, grade) for grade in grades))
    for key in ("frechet", "kernel"):
        values = [score[key] for score in found]
        assert values == sorted(values)
        assert values[0] > 0 or key == "kernel"


def test_a_network_for_videos_sees_frames_out_of_order_and_one_for_pictures_does_not() -> None:
    real = panned(120, (24, 20), step=1)
    fakes = [swapped(real, every) for every in (0, 4, 2, 1)]
    values = [score["frechet"] for score in scores(Tiny(8), real, *fakes)]
    assert values == sorted(values)
    assert values[3] > 2 * values[2] > 2 * values[1] > 1e-6
    pictures = [score["frechet"] for score in scores(Tiny(1), real, *fakes)]
    assert max(values[0], *pictures) < 1e-9


def test_windows_have_their_stride_and_never_span_clips() -> None:
    for stride, starts in ((None, (0, 4)), (2, (0, 2, 4)), (5, (0, 5)), (7, (0,))):
        network = Mean(frames=4)
        distributions = Distributions(network, 2, stride)
        for clip in (0, 100):
            distributions.begin_clip()
            for frame in range(9):
                distributions.update([flat(clip + frame), flat(clip + frame)])
        distributions.compute()
        expected = [[clip + start + i for i in range(4)] for clip in (0, 100) for start in starts]
        assert sorted(map(list, network.seen)) == sorted(expected * 2)
        assert distributions.settings() == {
            "network": "mean", "frames": 4, "stride": stride or 4, "features": 1,
            "windows": len(expected), "kernel_subset": 2 if len(expected) < 6 else 3,
        }  # fmt: skip


def test_what_one_system_is_not_scored_on_none_is() -> None:
    network = Mean(frames=2)
    distributions = Distributions(network, 3)
    distributions.begin_clip()
    for frame in range(8):
        distributions.update([flat(frame), flat(frame) if frame != 1 else None, flat(frame + 100)])
    found = distributions.compute()
    assert found[0] is None
    assert [score["windows"] for score in found[1:]] == [3, 3]
    assert sorted(map(list, network.seen))[:2] == [[2, 3], [2, 3]]
    assert found[1]["frechet"] == 0
    assert found[2]["frechet"] == pytest.approx(100**2)
    with pytest.raises(ValueError, match="2 pictures for 3"):
        distributions.update([flat(0), flat(0)])


def test_too_few_windows_have_no_figure_and_few_have_a_warning() -> None:
    for count, said in ((0, "too few"), (1, "too few"), (5, "singular"), (30, "biased upwards")):
        distributions = Distributions(Tiny(), 2)
        distributions.begin_clip()
        for picture in panned(count, (12, 12)):
            distributions.update([picture, picture])
        assert (distributions.compute()[1] is None) == (count < 2)
        assert said in distributions.notes()[0]
    overlapping = Distributions(Tiny(frames=8), 2, stride=2)
    for picture in panned(20, (12, 12)):
        overlapping.update([picture, picture])
    assert "overlap" in overlapping.notes()[-1]


def test_memory_does_not_grow_with_the_clips() -> None:
    def feed(distributions: Distributions, count: int) -> None:
        for frame in range(count):
            picture = np.full((16, 16, 3), frame % 256, np.uint8)
            distributions.update([picture, picture[::-1].copy()])

    drift = FeatureDrift(2, window=100)
    distributions = Distributions(Tiny(), 2, drift=drift)
    distributions._kept = [Reservoir(200), Reservoir(200)]  # filled before the count begins
    distributions.begin_clip()
    feed(distributions, 400)
    tracemalloc.start()
    feed(distributions, 100)
    before = tracemalloc.get_traced_memory()[0]
    feed(distributions, 3000)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 60_000  # the pictures alone would be 4.6 MB
    assert len(distributions._kept[0]) == 200


def test_drift_finds_the_clip_that_wanders_off() -> None:
    random = np.random.default_rng(0)
    subject, other = random.uniform(0, 1, (2, 16))
    drift = FeatureDrift(3, window=10)
    for _ in range(2):
        drift.begin_clip()
        for frame in range(34):
            change = frame / 33
            drift.update(frame, np.stack([subject, subject, (1 - change) * subject + change * other]))
    real, same, wandering = drift.compute()
    assert real["feature_drift"] is None
    assert same["feature_drift"] == pytest.approx(0, abs=1e-12)
    assert wandering["feature_drift"] > 0.05
    windows = wandering["clips"][0]
    assert wandering["clips"] == [windows, windows]
    assert [(row["start"], row["stop"]) for row in windows] == [(0, 10), (10, 20), (20, 34)]
    distances = [row["from_real"] for row in windows]
    assert distances == sorted(distances)
    means = [np.mean([(1 - f / 33) * subject + f / 33 * other for f in range(*span)], axis=0)
             for span in ((0, 10), (20, 34))]  # fmt: skip
    cosine = means[0] @ means[1] / np.linalg.norm(means[0]) / np.linalg.norm(means[1])
    assert windows[2]["from_first"] == pytest.approx(1 - cosine, abs=1e-12)
    assert [row["from_first"] for row in same["clips"][0]] == pytest.approx([0, 0, 0], abs=1e-12)


def test_drift_of_short_clips_and_left_out_frames() -> None:
    drift = FeatureDrift(2, window=10)
    assert drift.compute()[1] == {"window": 10, "clips": [], "feature_drift": None}
    for frame in range(3, 9):
        drift.update(frame, np.ones((2, 4)))
    found = drift.compute()[1]
    assert [(row["start"], row["stop"]) for row in found["clips"][0]] == [(3, 9)]
    assert found["feature_drift"] is None
    assert drift.compute()[1] == found


def test_drift_hears_of_every_picture_that_is_scored() -> None:
    drift = FeatureDrift(2, window=4)
    distributions = Distributions(Mean(), 2, drift=drift)
    for _ in range(2):
        distributions.begin_clip()
        for frame in range(9):
            distributions.update([flat(10 + frame), flat(20) if frame else None])
    distributions.compute()
    clips = drift.compute()[1]["clips"]
    assert [[(row["start"], row["stop"]) for row in rows] for rows in clips] == [[(1, 5), (5, 9)]] * 2
    with pytest.raises(ValueError, match="one frame"):
        Distributions(Mean(frames=2), 2, drift=drift)
