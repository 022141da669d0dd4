"""How near a mask is to the truth, (H, W) each. To add a figure: a property of `Counts` and its name in `FIGURES`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BETA2 = 0.3  # Achanta et al., "Frequency-tuned salient region detection" (CVPR 2009): precision counts more than recall


@dataclass(frozen=True, slots=True)
class Counts:
    """Pixels of one picture or of many, by what was said and what is true.

    Figures whose denominator is empty follow one rule: with nothing to find and nothing said, the answer is perfect
    (1); with only one of the two, it is 0.
    """

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @classmethod
    def of(cls, mask: NDArray[np.floating | np.bool_], truth: NDArray[np.bool_], threshold: float = 0.5) -> "Counts":
        """Count the pixels of a mask in [0, 1] against a truth of the same (H, W); foreground is mask ≥ threshold."""
        said = mask >= threshold
        both = int(np.count_nonzero(said & truth))
        positive, real = int(np.count_nonzero(said)), int(np.count_nonzero(truth))
        return cls(both, positive - both, real - both, truth.size - positive - real + both)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
            self.true_negative + other.true_negative,
        )

    @property
    def pixels(self) -> int:
        """How many pixels were counted."""
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative

    @property
    def accuracy(self) -> float:
        """The share of all pixels that are right."""
        return _share(self.true_positive + self.true_negative, self.pixels)

    @property
    def precision(self) -> float:
        """The share of what was said to be foreground that is."""
        return self._or_perfect(self.true_positive + self.false_positive)

    @property
    def recall(self) -> float:
        """The share of the foreground that was found."""
        return self._or_perfect(self.true_positive + self.false_negative)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall (Dice's coefficient)."""
        wrong = self.false_positive + self.false_negative
        return _share(2 * self.true_positive, 2 * self.true_positive + wrong)

    @property
    def iou(self) -> float:
        """Intersection over union (Jaccard's index)."""
        return _share(self.true_positive, self.true_positive + self.false_positive + self.false_negative)

    def _or_perfect(self, whole: int) -> float:
        if not whole:  # nothing said, or nothing to find: perfect only if both
            return float(not (self.false_positive or self.false_negative))
        return self.true_positive / whole


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def mean_absolute_error(mask: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Mean |mask − truth| over the pixels, in [0, 1]."""
    return float(np.mean(np.abs(mask - truth), dtype=np.float64))


def precision_recall(mask: NDArray[np.floating], truth: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Precision and recall, each (256,), where round(255 × mask) ≥ 255, 254, …, 0; an empty denominator gives 0.

    The convention of the salient-object literature (and of its usual evaluation code), but for one thing: the mask is
    not stretched by its own minimum and maximum first.
    """
    levels = np.rint(np.clip(mask, 0, 1) * 255).astype(np.uint8)
    hits = np.cumsum(np.bincount(levels[truth], minlength=256)[::-1])
    said = np.cumsum(np.bincount(levels.ravel(), minlength=256)[::-1])
    return hits / np.maximum(said, 1), hits / max(int(np.count_nonzero(truth)), 1)


def f_beta(precision: Floats, recall: Floats, beta2: float = BETA2) -> Floats:
    """F = (1 + β²) P R / (β² P + R), elementwise; 0 where both are 0."""
    below = beta2 * precision + recall
    return (1 + beta2) * precision * recall / np.where(below > 0, below, 1)


def max_f(curves: Sequence[tuple[Floats, Floats]]) -> float:
    """Precision and recall averaged over pictures at each of 256 thresholds, then F (β² = 0.3), then its maximum."""
    precision, recall = np.mean(np.asarray(curves), axis=0)
    return float(f_beta(precision, recall).max())


def boundary_iou(mask: NDArray[np.floating], truth: NDArray[np.bool_], width: float = 0.02, threshold: float = 0.5) -> float:
    """Intersection over union of the inner edges alone: how well the outline is met, whatever the subject's size.

    The inner edge of a shape is its pixels nearer than `width` × the picture's diagonal (at least 1 pixel) to what is
    not the shape; the picture's border counts as not the shape. Cheng et al., "Boundary IoU" (CVPR 2021).
    """
    import cv2

    reach = max(1, round(width * float(np.hypot(*truth.shape))))

    def edge(shape: NDArray[np.bool_]) -> NDArray[np.bool_]:
        framed = np.pad(shape.astype(np.uint8), 1)
        near: NDArray[np.bool_] = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1] <= reach
        return near & shape

    return Counts.of(edge(mask >= threshold), edge(truth)).iou


FIGURES: Mapping[str, Callable[[Counts], float]] = {
    name: attrgetter(name) for name in ("accuracy", "precision", "recall", "f1", "iou")
}
"""The figures that are computed from counts, of one picture or pooled over many."""
