"""The looks objects of a class can have: a Gaussian mixture of their style vectors (paper, section 3.4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

COMPONENTS = 8
_ROUNDS = 50
_NARROWEST = 0.02
"""Least standard deviation; styles lie in [-1, 1]."""


class Styles(nn.Module):
    """Per class a mixture with diagonal covariance. The most common component comes first, then always the
    one that is most unlike those before it, rare ones counting less.

    weights: (classes, components), each row sums to 1, or to 0 where no object of the class was seen.
    means, deviations: (classes, components, styles).
    """

    weights: Tensor
    means: Tensor
    deviations: Tensor

    def __init__(self, classes: int, styles: int, components: int = COMPONENTS) -> None:
        super().__init__()
        self.register_buffer("weights", torch.zeros(classes, components))
        self.register_buffer("means", torch.zeros(classes, components, styles))
        self.register_buffer("deviations", torch.zeros(classes, components, styles))

    def fit(self, kind: int, vectors: Tensor, seed: int = 0) -> None:
        """Learns the mixture of class ``kind`` from the vectors (n, styles) of its objects."""
        count = min(self.weights.shape[1], max(len(vectors) // 4, 1))
        weights, means, deviations = fit_mixture(vectors, count, seed)
        order = [int(weights.argmax())]
        for _ in range(count - 1):
            unlike = weights * torch.cdist(means, means[order]).amin(dim=1)
            unlike[order] = -1
            order.append(int(unlike.argmax()))
        for store, values in ((self.weights, weights), (self.means, means), (self.deviations, deviations)):
            store[kind] = 0
            store[kind, :count] = values[order].to(store)

    def typical(self, kind: int, number: int) -> Tensor:
        """Look ``number`` of a class, (styles,): 0 the most common; counted round and round."""
        known = max(int((self.weights[kind] > 0).sum()), 1)
        return self.means[kind, number % known]

    def draw(self, kind: int, generator: torch.Generator) -> Tensor:
        """A look of a class by chance, (styles,)."""
        weights = self.weights[kind].cpu()
        if not weights.any():
            return self.means[kind, 0]
        component = int(torch.multinomial(weights, 1, generator=generator))
        noise = torch.randn(self.means.shape[2], generator=generator).to(self.means)
        return (self.means[kind, component] + noise * self.deviations[kind, component]).clamp(-1, 1)


def fit_mixture(vectors: Tensor, count: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Expectation maximisation: weights (count,), means (count, d) and standard deviations (count, d).

    Args:
        vectors: (n, d), n at least 1.
        count: components; those that nothing is left for keep a weight of zero.
        seed: of the starting points, chosen far from each other (k-means++).
    """
    generator = torch.Generator().manual_seed(seed)
    vectors = vectors.detach().double().cpu()
    means = vectors[torch.randint(len(vectors), (1,), generator=generator)]
    for _ in range(count - 1):
        far = torch.cdist(vectors, means).amin(dim=1).square()
        pick = torch.multinomial(far if far.any() else torch.ones_like(far), 1, generator=generator)
        means = torch.cat([means, vectors[pick]])
    weights = torch.full((count,), 1 / count, dtype=torch.float64)
    deviations = vectors.std(dim=0, correction=0).clamp(min=_NARROWEST).repeat(count, 1)
    for _ in range(_ROUNDS):
        away = (vectors[:, None] - means) / deviations
        likely = weights.log() - deviations.log().sum(1) - away.square().sum(2) / 2
        share = likely.softmax(dim=1)
        mass = share.sum(dim=0)
        held = mass.clamp(min=1e-9)[:, None]
        means = share.T @ vectors / held
        spread = (share[..., None] * (vectors[:, None] - means).square()).sum(0) / held
        weights, deviations = mass / mass.sum(), spread.sqrt().clamp(min=_NARROWEST)
    return weights, means, deviations
