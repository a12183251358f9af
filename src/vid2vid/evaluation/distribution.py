"""Do the fakes look as if they came from where the real clips come from? Distances of distributions."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from vid2vid.evaluation.feature_drift import FeatureDrift
from vid2vid.evaluation.features import FeatureNetwork, remarks

ENOUGH = 2048
"""Windows below which a Fréchet distance is mostly its own bias: what the authors of FID ask for at least."""
_KEPT = 4096
"""Rows of features kept for the kernel distance, however long the clips."""
_ROWS_AT_ONCE = 256
"""Rows joined to a covariance together, or more: joining takes as long for one as for many."""
_FRAMES_AT_ONCE = 32
"""Frames fed to the network together."""


class Moments:
    """Mean and covariance of rows that come in pieces, in float64 (Chan, Golub & LeVeque 1983: each piece is
    centred on its own mean, so that large means cost no digits).

    The first rows are kept as they are, up to one for each feature, which takes no more memory than their
    covariance would: while there are no more, all is exact and cheap.
    """

    def __init__(self) -> None:
        self._waiting: list[np.ndarray] = []
        self._waiting_count = self._joined = 0
        self._mean = np.zeros(0)
        self._scatter: np.ndarray | None = None

    def add(self, features: np.ndarray) -> None:
        """More rows, (N, D)."""
        if not len(features):
            return
        self._waiting.append(np.array(features, np.float64))
        self._waiting_count += len(features)
        if self._waiting_count > max(_ROWS_AT_ONCE, features.shape[1]):
            self._join_waiting()

    def merge(self, other: Moments) -> None:
        """The rows of another one too."""
        for rows in other._waiting:
            self.add(rows)
        if other._scatter is not None:
            self._join(other._joined, other._mean, other._scatter)

    @property
    def count(self) -> int:
        return self._joined + self._waiting_count

    @property
    def mean(self) -> np.ndarray:
        """(D,); empty where there are no rows."""
        if not self._waiting:
            return self._mean
        mean = np.concatenate(self._waiting).mean(0)
        share = self._waiting_count / self.count
        return mean if self._scatter is None else self._mean + (mean - self._mean) * share

    @property
    def covariance(self) -> np.ndarray:
        """(D, D), divided by the count less one. Needs two rows or more."""
        if self._scatter is None:
            root = self.root()
            return root @ root.T
        self._join_waiting()
        return self._scatter / (self.count - 1)

    def root(self) -> np.ndarray:
        """(D, R): columns whose outer products sum to the covariance.

        Of many rows: by eigenvalues, of which those that are nought but rounding are left out.
        """
        if self.count < 2:
            raise ValueError(f"a covariance needs two rows or more, not {self.count}")
        if self._scatter is None:
            rows = np.concatenate(self._waiting)
            return (rows - rows.mean(0)).T / np.sqrt(self.count - 1)
        values, vectors = np.linalg.eigh(self.covariance)
        kept = values > len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
        return vectors[:, kept] * np.sqrt(values[kept])

    def _join_waiting(self) -> None:
        if not self._waiting:
            return
        rows = np.concatenate(self._waiting)
        self._waiting, self._waiting_count = [], 0
        mean = rows.mean(0)
        rows -= mean
        self._join(len(rows), mean, rows.T @ rows)

    def _join(self, count: int, mean: np.ndarray, scatter: np.ndarray) -> None:
        if self._scatter is None:
            self._joined, self._mean, self._scatter = count, mean.copy(), scatter.copy()
            return
        total, step = self._joined + count, mean - self._mean
        self._scatter += scatter
        self._scatter += np.outer(step, step * (self._joined * count / total))
        self._mean = self._mean + step * (count / total)
        self._joined = total


class Distributions:
    """How far the distribution of each system's features lies from that of the real clips'.

    * frechet: the Fréchet distance of two gaussians with their means and covariances (Heusel et al. 2017:
      FID, with a network for pictures; Unterthiner et al. 2018: FVD, with one for videos). Lower is better;
      0 for equal clips, without upper bound, in units of the features squared. Biased upwards, the more so
      the fewer windows there are.
    * kernel, kernel_deviation: the squared maximum mean discrepancy under a cubic kernel (Bińkowski et al.
      2018: KID), its mean and standard deviation over 100 random subsets of up to 1000 windows. Lower is
      better; about 0, also slightly below, for equal distributions. Unbiased, so the one to read when there
      are few windows.

    RGB, at the size scored; what the network makes of it is said at the network. Real and fake windows always
    match: one that is not scored in one system is not scored in any. Neither sees whether a fake shows what
    its input said.

    Memory: a covariance and up to 4096 rows of features for each system, whatever the length of the clips.

    systems: how many, the real clip included. stride: frames between the starts of windows; without one they
    follow each other without overlap. drift: is told each picture's features too (networks of one frame).
    """

    def __init__(
        self,
        network: FeatureNetwork,
        systems: int,
        stride: int | None = None,
        drift: FeatureDrift | None = None,
    ) -> None:
        if stride is not None and stride < 1:
            raise ValueError(f"stride {stride}: give 1 or more frames")
        if drift and network.frames != 1:
            raise ValueError("drift is measured on pictures: give a network of one frame")
        self.network = network
        self.stride = stride or network.frames
        self._drift = drift
        self._moments = [Moments() for _ in range(systems)]
        self._kept = [Reservoir(_KEPT) for _ in range(systems)]
        self._rows: deque[list[np.ndarray] | None] = deque(maxlen=network.frames)
        self._waiting: list[tuple[int, list[np.ndarray]]] = []
        self._frame = 0

    def begin_clip(self) -> None:
        """To be called at the start of every clip: no window spans two."""
        self._flush()
        self._rows.clear()
        self._frame = 0
        if self._drift:
            self._drift.begin_clip()

    def update(self, pictures: Sequence[np.ndarray | None]) -> None:
        """One more frame of every system, the real clip first: (H, W, 3) uint8 RGB, not to be changed later.

        None: not scored, and neither is any window that holds it, in any system.
        """
        if len(pictures) != len(self._moments):
            raise ValueError(f"{len(pictures)} pictures for {len(self._moments)} systems")
        row = [picture for picture in pictures if picture is not None]
        self._rows.append(row if len(row) == len(pictures) else None)
        self._frame += 1
        start = self._frame - self.network.frames
        rows = [row for row in self._rows if row is not None]
        if start < 0 or start % self.stride or len(rows) < self.network.frames:
            return
        self._waiting.append((start, [np.stack(window) for window in zip(*rows, strict=True)]))
        if len(self._waiting) * self.network.frames >= _FRAMES_AT_ONCE:
            self._flush()

    def compute(self) -> list[dict[str, float] | None]:
        """Per system frechet, kernel, kernel_deviation and windows; None for the real clip, with which all
        are compared, and where there are fewer than two windows."""
        self._flush()
        real, *fakes = zip(self._moments, self._kept, strict=True)
        found: list[dict[str, float] | None] = [None]
        for moments, kept in fakes:
            if moments.count < 2:
                found.append(None)
                continue
            kernel, deviation = kernel_distance(real[1].rows, kept.rows, size=self._subset())
            found.append(
                {
                    "frechet": frechet_distance(real[0], moments),
                    "kernel": kernel,
                    "kernel_deviation": deviation,
                    "windows": moments.count,
                }
            )
        return found

    def settings(self) -> dict[str, str | int]:
        """What has to be stated with the figures."""
        self._flush()
        return {
            "network": self.network.name,
            "frames": self.network.frames,
            "stride": self.stride,
            "features": len(self._moments[0].mean),
            "windows": self._moments[0].count,
            "kernel_subset": self._subset(),
        }

    def notes(self) -> list[str]:
        """What a reader has to know before comparing these figures with others."""
        self._flush()
        count, width = self._moments[0].count, len(self._moments[0].mean)
        if count < 2:
            return [
                f"{self.network.name}: {count} windows of {self.network.frames} frames, too few to compare."
            ]
        notes = []
        if count <= width:
            notes.append(
                f"Fréchet distance from {count} windows, fewer than the {width} features of "
                f"{self.network.name} need: the covariance is singular and the figure far too high. Compare "
                "only systems with the same number of windows, and trust the kernel distance more."
            )
        elif count < ENOUGH:
            notes.append(
                f"Fréchet distance from {count} windows, below the {ENOUGH} it takes: it is biased upwards, "
                "and not comparable with figures from another number."
            )
        if self.stride < self.network.frames:
            notes.append(
                f"Windows of {self.network.frames} frames start every {self.stride}: they overlap, and count "
                "for less than their number."
            )
        return notes + remarks(self.network)

    def _subset(self) -> int:
        """Half the windows at most, or else all subsets would be the same and their deviation nothing."""
        return max(2, min(1000, len(self._kept[0]) // 2))

    def _flush(self) -> None:
        if not self._waiting:
            return
        starts = [start for start, _ in self._waiting]
        columns = zip(*(windows for _, windows in self._waiting), strict=True)
        found = [self.network(np.stack(column)) for column in columns]
        self._waiting.clear()
        for moments, kept, features in zip(self._moments, self._kept, found, strict=True):
            moments.add(features)
            kept.add(features)
        if self._drift:
            for row, start in enumerate(starts):
                self._drift.update(start, np.stack([features[row] for features in found]))


class Reservoir:
    """A fair sample of rows that stays small however many there are (Vitter 1985). Two that are given the
    same number of rows keep those of the same places."""

    def __init__(self, size: int, seed: int = 0) -> None:
        self._size = size
        self._random = np.random.default_rng(seed)
        self._seen = 0
        self._rows: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, rows: np.ndarray) -> None:
        for row in rows:
            self._seen += 1
            if len(self._rows) < self._size:
                self._rows.append(row.astype(np.float32))
            elif (place := int(self._random.integers(self._seen))) < self._size:
                self._rows[place] = row.astype(np.float32)

    @property
    def rows(self) -> np.ndarray:
        """(N, D) float32."""
        return np.stack(self._rows) if self._rows else np.zeros((0, 0), np.float32)


def frechet_distance(a: Moments, b: Moments) -> float:
    """The squared Fréchet distance of two gaussians (Dowson & Landau 1982), |mean a - mean b|² + tr(A + B - 2
    (AB)^½) with the covariances A and B. Lower is nearer; 0 for equal moments.

    The trace of (AB)^½ is the sum of the singular values of the product of any roots of A and B, transposed
    and plain. So singular covariances, of fewer rows than features, need no bias on the diagonal, and no
    general matrix has to have a root.
    """
    roots = [moments.root() for moments in (a, b)]
    product = roots[0].T @ roots[1]
    shared = np.linalg.svd(product, compute_uv=False).sum() if product.size else 0.0
    step = a.mean - b.mean
    distance = step @ step + sum(np.square(root).sum() for root in roots) - 2 * shared
    return max(0.0, float(distance))


def kernel_distance(
    real: np.ndarray, fake: np.ndarray, *, subsets: int = 100, size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """The squared maximum mean discrepancy of two sets of rows (N, D), unbiased, under the kernel
    (x·y / D + 1)³ (Bińkowski et al. 2018): its mean and standard deviation over random subsets.

    Lower is nearer; about 0, also slightly below, for equal distributions. Subsets hold `size` rows of each,
    or as many as there are: then all are the same, and one is taken.
    """
    size = min(size, len(real), len(fake))
    if size < 2:
        raise ValueError(f"a kernel distance needs two rows or more of each, not {size}")
    random = np.random.default_rng(seed)
    subsets = 1 if size == len(real) == len(fake) else subsets
    found = [
        _discrepancy(
            *(rows[random.choice(len(rows), size, replace=False)].astype(np.float64) for rows in (real, fake))
        )
        for _ in range(subsets)
    ]
    return float(np.mean(found)), float(np.std(found))


def _discrepancy(a: np.ndarray, b: np.ndarray) -> float:
    """Rows with themselves do not count within a set; between the sets all pairs do."""
    size, width = a.shape

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / width + 1) ** 3

    within = sum(matrix.sum() - np.trace(matrix) for matrix in (kernel(a, a), kernel(b, b)))
    return float(within / (size * (size - 1)) - 2 * kernel(a, b).mean())
