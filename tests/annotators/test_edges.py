"""Edges and sketches: closed forms, and edges that stay where they are while noise and light change."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from vid2vid.annotators import Annotator, annotator_names, open_annotator, open_annotators
from vid2vid.annotators.edges import Edges, Sketch
from vid2vid.errors import UserError


def flat(grey: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    return np.full((size[1], size[0], 3), grey, np.uint8)


def step(left: int, right: int) -> np.ndarray:
    """Two greys that meet between columns 31 and 32."""
    picture = flat(left)
    picture[:, 32:] = right
    return picture


def drawn(annotator: Annotator, *pictures: np.ndarray) -> list[np.ndarray]:
    run = annotator.begin()
    made = [run.draw(picture, float(t)).picture for t, picture in enumerate(pictures)]
    run.close()
    assert all(one.shape == pictures[0].shape and one.dtype == np.uint8 for one in made)
    return made


@pytest.mark.parametrize("annotator", [Edges(), Edges("median"), Sketch()])
@pytest.mark.parametrize("grey", [0, 90, 255])
def test_nothing_is_drawn_on_a_flat_picture(annotator: Annotator, grey: int) -> None:
    (picture,) = drawn(annotator, flat(grey))
    assert (picture == (255 if annotator.result == "sketch" else 0)).all()


@pytest.mark.parametrize("greys", [(60, 140), (140, 60), (100, 120), (0, 255)])
def test_a_step_is_one_line_at_its_place(greys: tuple[int, int]) -> None:
    (picture,) = drawn(Edges(), step(*greys))
    columns = np.flatnonzero(picture[..., 0].all(axis=0))
    assert columns.tolist() in ([31], [32])
    assert (picture[..., 0] > 0).sum() == picture.shape[0]
    assert set(np.unique(picture)) == {0, 255}


def test_a_step_below_the_noise_of_empty_pictures_is_none() -> None:
    assert not drawn(Edges(), step(100, 106))[0].any()


def test_a_sketched_step_is_dark_on_its_dark_side_only() -> None:
    for greys in ((60, 140), (140, 60)):
        tone = drawn(Sketch(), step(*greys))[0][24, :, 0].astype(int)
        dark = np.flatnonzero(tone < 250)
        assert 0 < len(dark) <= 4
        assert (dark < 32).all() == (greys[0] < greys[1])
        assert tone.min() < 120
    faint, strong = (drawn(Sketch(), step(100, 100 + gap))[0].min() for gap in (10, 60))
    assert 255 > faint > strong, "a soft line: the fainter the step, the lighter"


def test_a_sketch_of_a_dark_line_is_the_difference_of_two_gaussians() -> None:
    """Far from the border the blur of a line of one column is the Gaussian itself."""
    picture = flat(200)
    picture[:, 32] = 100
    tone = drawn(Sketch(), picture)[0][24, :, 0]

    def gauss(sigma: float) -> float:
        weights = np.exp(-(np.arange(-9, 10) ** 2) / (2 * sigma**2))
        return float(1 / weights.sum())

    of = Sketch()
    darker = 100 / 255 * (gauss(of.sigma) - gauss(of.sigma * of.ratio)) - of.least
    assert abs(int(tone[32]) - 255 * (1 - np.tanh(of.slope * darker))) <= 2


def scene(frames: int, noise: float, seed: int = 0) -> list[np.ndarray]:
    """A still scene of faint shapes under noise; above it a bright striped thing comes and goes."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:96, :128]
    still = np.full((96, 128), 90.0)
    for number in range(8):  # squares from faint to clear
        still[48:60, 4 + 15 * number : 14 + 15 * number] += 8 + 5 * number
        still[70:84, 4 + 15 * number : 14 + 15 * number] += 10 + 5 * number
    pictures = []
    for t in range(frames):
        grey = still + rng.normal(0, noise, still.shape)
        if t % 4 == 1:
            grey[:32] = np.where((x + y)[:32] // 6 % 2, 190, 60)
        pictures.append(np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2))
    return pictures


def flicker(annotator: Annotator, pictures: list[np.ndarray]) -> float:
    """Edge pixels of the still part that come or go from frame to frame, for each that there is."""
    made = [picture[40:, :, 0] > 0 for picture in drawn(annotator, *pictures)][6:]
    assert np.mean([one.mean() for one in made]) > 0.005
    return float(np.mean([(a ^ b).sum() for a, b in pairwise(made)]) / np.mean([one.sum() for one in made]))


def test_edges_stay_while_noise_and_light_change() -> None:
    own = Edges(window=1, depth=1)
    noisy, passing = scene(24, 3), scene(24, 0)
    assert flicker(Edges(), noisy) < 0.35 * flicker(own, noisy)
    assert flicker(Edges(depth=1), passing) < 0.2 * flicker(own, passing), "thresholds alone"


def test_what_moves_leaves_no_ghost() -> None:
    made = drawn(Edges(), *[np.roll(step(40, 200), 3 * t, axis=1) for t in range(6)])
    (columns,) = {tuple(np.flatnonzero(made[-1][24, :, 0]))}
    assert len(columns) == 2, "the step and the seam, and no trace of where they were"
    assert abs(columns[1] - (31.5 + 15)) < 1


@pytest.mark.parametrize("annotator", [Edges(), Edges("median", 5, 3), Sketch()])
def test_a_pass_that_saw_as_much_as_it_remembers_saw_enough(annotator: Annotator) -> None:
    pictures = scene(20, 6)
    whole = drawn(annotator, *pictures)
    assert annotator.memory is not None
    run = annotator.begin()
    for t in range(17 - annotator.memory, 17):
        run.see(pictures[t], t)
    assert np.array_equal(run.draw(pictures[17], 17).picture, whole[17])


def test_what_is_no_picture_is_refused() -> None:
    for bad in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)):
        for annotator in (Edges(), Sketch()):
            with pytest.raises(ValueError, match="expected an RGB picture"):
                annotator.begin().draw(bad, 0)
    run = Edges().begin()
    run.see(flat(3), 0)
    with pytest.raises(ValueError, match="two sizes"):
        run.draw(flat(3, (32, 32)), 1)


def test_annotators_by_name() -> None:
    assert {"edges", "sketch", "face"} <= set(annotator_names())
    assert open_annotator("edges") == Edges()
    assert open_annotator("edges:median").fingerprint != open_annotator("edges").fingerprint
    assert [one.result for one in open_annotators(["edges, sketch", "sketch"])] == ["edges", "sketch"]
    assert open_annotators([]) == []


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("egdes", "use edges, sketch"),
        ("", "unknown annotator"),
        ("edges:canny", "edges:median"),
        ("sketch:soft", "no more words"),
        ("edges,edges:median", "both write edges;"),
    ],
)
def test_what_is_none_is_told_in_one_line(spec: str, told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        open_annotators([spec])
    assert "\n" not in str(caught.value)
