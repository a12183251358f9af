"""Does the fake show what it was told to? Its classes, found by a segmentation network, against the label
map."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np

from vid2vid.evaluation.metrics import Context, FrameMetric, ratio


class PixelClassifier(Protocol):
    """Tells what each pixel shows."""

    name: str
    classes: tuple[str, ...]

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB to class indices (H, W); their number stands for none of them."""
        ...


class ClassIoU(FrameMetric):
    """Intersection over union of each class, between the label map and what a segmentation network finds in
    the fake, averaged over the classes that occur in either (mIoU, as Cityscapes defines it; the pixels of
    all frames count together). Pixels without a label are left out. Higher is better, 0 to 1. The network is
    no better on fakes than on real frames: read it beside the real clip's own figure. At the size scored."""

    key, label, better, decimals = "class_iou", "Class IoU", "higher", 3

    def __init__(self, classifier: PixelClassifier) -> None:
        self.count = len(classifier.classes) + 1  # the last: none of them
        self.classifier = classifier
        self.NOTHING = (0.0,) * self.count**2  # type: ignore[misc]
        self.confusion: np.ndarray = np.zeros((self.count, self.count))
        super().__init__()

    def measure(self, real: np.ndarray, fake: np.ndarray, context: Context) -> float | None:
        self.confusion = np.zeros((self.count, self.count))
        if context.labels is None or not (known := context.labels >= 0).any():
            return None
        pairs = context.labels[known] * self.count + self.classifier(fake)[known]
        self.confusion = np.bincount(pairs, minlength=self.count**2).reshape(self.count, self.count)
        return float(self.summary(self.confusion.ravel().astype(np.float64)))

    def parts(self, value: float) -> tuple[float, ...]:
        return tuple(self.confusion.ravel().tolist())

    @staticmethod
    def summary(sums: np.ndarray) -> np.ndarray:
        count = round(sums.shape[-1] ** 0.5)
        confusion = sums.reshape(*sums.shape[:-1], count, count)
        hits = np.diagonal(confusion, axis1=-2, axis2=-1)
        union = (confusion.sum(-1) + confusion.sum(-2) - hits)[..., :-1]
        hits = hits[..., :-1]
        seen = union > 0
        overlaps = np.divide(hits, union, out=np.zeros(hits.shape), where=seen)
        return ratio(overlaps.sum(-1), seen.sum(-1).astype(np.float64))


class PixelAccuracy(FrameMetric):
    """The share of pixels in which a segmentation network finds the class of the label map. Pixels without a
    label are left out. Higher is better, 0 to 1; the real clip has a value of its own, which is the
    network's. At the size scored."""

    key, label, better, decimals = "pixel_accuracy", "Pixel accuracy", "higher", 3
    NOTHING: ClassVar = (0.0, 0.0)

    def __init__(self, classes: ClassIoU) -> None:
        super().__init__()
        self._classes = classes
        """Measured just before, on the same frame."""

    def measure(self, real: np.ndarray, fake: np.ndarray, context: Context) -> float | None:
        total = self._classes.confusion.sum()
        return float(np.trace(self._classes.confusion) / total) if total else None

    def parts(self, value: float) -> tuple[float, ...]:
        return float(np.trace(self._classes.confusion)), float(self._classes.confusion.sum())
