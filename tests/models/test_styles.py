"""Mixtures of style vectors."""

from __future__ import annotations

import torch

from vid2vid.models.styles import Styles, fit_mixture


def three_clusters(count: int = 300) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    centres = torch.tensor([[-0.8, 0.0], [0.8, 0.5], [0.0, -0.9]])
    kinds = torch.multinomial(torch.tensor([0.6, 0.3, 0.1]), count, replacement=True, generator=rng)
    return centres[kinds] + 0.05 * torch.randn(count, 2, generator=rng)


def test_a_mixture_finds_its_clusters() -> None:
    weights, means, deviations = fit_mixture(three_clusters(), 3)
    order = weights.argsort(descending=True)
    torch.testing.assert_close(weights[order], torch.tensor([0.6, 0.3, 0.1]).double(), rtol=0, atol=0.06)
    expected = torch.tensor([[-0.8, 0.0], [0.8, 0.5], [0.0, -0.9]]).double()
    torch.testing.assert_close(means[order], expected, rtol=0, atol=0.03)
    torch.testing.assert_close(deviations, torch.full((3, 2), 0.05).double(), rtol=0, atol=0.02)


def test_equal_vectors_and_more_components_than_vectors_stay_finite() -> None:
    for vectors, count in ((torch.full((9, 3), 0.4), 4), (torch.rand(2, 3), 5), (torch.zeros(1, 3), 1)):
        weights, means, deviations = fit_mixture(vectors, count)
        assert torch.isfinite(torch.cat([weights[:, None], means, deviations], 1)).all()
        assert abs(float(weights.sum()) - 1) < 1e-9


def test_the_most_common_look_comes_first_and_then_what_is_unlike_it() -> None:
    styles = Styles(2, 2, components=3)
    styles.fit(1, three_clusters())
    assert styles.weights[1].argmax() == 0
    many = Styles(1, 2, components=8)
    many.fit(0, three_clusters())
    # Eight components share three clusters: the first three looks are one of each all the same.
    assert torch.cdist(many.means[0, :3], many.means[0, :3]).fill_diagonal_(9).min() > 0.8
    torch.testing.assert_close(styles.typical(1, 0), torch.tensor([-0.8, 0.0]), rtol=0, atol=0.03)
    assert torch.equal(styles.typical(1, 4), styles.typical(1, 1))
    assert not styles.typical(0, 2).any(), "nothing is known of class 0"


def test_looks_are_drawn_as_often_as_they_are_seen() -> None:
    styles = Styles(2, 2, components=3)
    styles.fit(1, three_clusters())
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([styles.draw(1, generator) for _ in range(400)])
    left = (drawn[:, 0] < -0.4).float().mean()
    assert 0.5 < left < 0.7
    assert drawn.unique(dim=0).shape[0] == 400
    assert drawn.abs().max() <= 1
    assert not styles.draw(0, generator).any()
