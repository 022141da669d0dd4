"""Compare a mask with the truth, (H, W) each. To add a figure, add a property of `Counts` and its name to `FIGURES`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BETA2 = 0.3  # Achanta et al., "Frequency-tuned salient region detection" (CVPR 2009): precision counts more than recall


@dataclass(frozen=True, slots=True)
class Counts:
    """Pixel counts of one picture or of many, by prediction and truth.

    Figures whose denominator is empty follow one rule: with nothing to find and nothing said, the answer is perfect
    (1); with only one of the two, it is 0.
    """

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @classmethod
    def of(cls, mask: NDArray[np.floating | np.bool_], truth: NDArray[np.bool_], threshold: float = 0.5) -> "Counts":
        """Count the pixels of a mask against the truth.

        Parameters
        ----------
        mask : (H, W) float in [0, 1], or bool
        truth : (H, W) bool
        threshold : float
            Foreground is mask ≥ threshold.

        Returns
        -------
        Counts

        Examples
        --------
        >>> counts = Counts.of(np.array([[0.9, 0.4]]), np.array([[True, True]]))
        >>> counts.precision, counts.recall
        (1.0, 0.5)
        """
        predicted = mask >= threshold
        hits = int(np.count_nonzero(predicted & truth))
        positive, real = int(np.count_nonzero(predicted)), int(np.count_nonzero(truth))
        return cls(hits, positive - hits, real - hits, truth.size - positive - real + hits)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
            self.true_negative + other.true_negative,
        )

    @property
    def pixels(self) -> int:
        """The number of pixels that were counted."""
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative

    @property
    def accuracy(self) -> float:
        """The share of all pixels that are right."""
        return _share(self.true_positive + self.true_negative, self.pixels)

    @property
    def precision(self) -> float:
        """The share of the predicted foreground that is foreground."""
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
    """Return the mean absolute difference of mask and truth over the pixels.

    Parameters
    ----------
    mask : (H, W) float32 in [0, 1]
    truth : (H, W) bool

    Returns
    -------
    float
        In [0, 1].
    """
    return float(np.mean(np.abs(mask - truth), dtype=np.float64))


def levels(mask: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return a mask in [0, 1] in steps of 1 / 255, rounded down, as the field's evaluation code does; k / 255 is level k."""
    slack = 255 * np.finfo(mask.dtype).eps  # k / 255 × 255 falls below k here and there
    rounded: NDArray[np.uint8] = np.floor(np.clip(mask, 0, 1) * 255.0 + slack).astype(np.uint8)
    return rounded


def precision_recall(mask: NDArray[np.floating], truth: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return precision and recall where `levels(mask)` ≥ 255, 254, …, 0.

    This is the convention of the literature on salient objects, and of its usual evaluation code, with one difference: the
    mask is not stretched to its own minimum and maximum first.

    Parameters
    ----------
    mask : (H, W) float32 in [0, 1]
    truth : (H, W) bool

    Returns
    -------
    precision, recall : (256,) float64
        0 where the denominator is 0.
    """
    level_map = levels(mask)
    hits = np.cumsum(np.bincount(level_map[truth], minlength=256)[::-1])
    predicted = np.cumsum(np.bincount(level_map.ravel(), minlength=256)[::-1])
    return hits / np.maximum(predicted, 1), hits / max(int(np.count_nonzero(truth)), 1)


def f_beta(precision: Floats, recall: Floats, beta2: float = BETA2) -> Floats:
    """Return F = (1 + β²) P R / (β² P + R), elementwise.

    Parameters
    ----------
    precision, recall : (n,) float64
    beta2 : float
        β².

    Returns
    -------
    (n,) float64
        0 where both are 0.

    Examples
    --------
    >>> f_beta(np.array([1.0, 0.5]), np.array([0.5, 0.5]), beta2=1).round(3).tolist()
    [0.667, 0.5]
    """
    below = beta2 * precision + recall
    return (1 + beta2) * precision * recall / np.where(below > 0, below, 1)


def max_f(curves: Sequence[tuple[Floats, Floats]] | Floats) -> float:
    """Return the largest F (β² = 0.3) over 256 thresholds of the averaged precision and recall.

    Parameters
    ----------
    curves : sequence of (precision, recall), or (n, 2, 256) float64
        As `precision_recall` gives them for each picture.

    Returns
    -------
    float
        In [0, 1].
    """
    precision, recall = np.mean(np.asarray(curves), axis=0)
    return float(f_beta(precision, recall).max())


BINS = 15  # of a reliability diagram, equal parts of [0, 1]


@dataclass(frozen=True, slots=True)
class Reliability:
    """Pixel counts by predicted probability: of those with probability p, a share p should be foreground.

    Bin i of `BINS` holds the pixels with i ≤ BINS × mask < i + 1, the last one 1 too. Guo et al., "On Calibration of
    Modern Neural Networks" (ICML 2017).
    """

    pixels: NDArray[np.int64]
    """(BINS,): how many."""
    probability_sums: Floats
    """(BINS,): the sum of their probabilities."""
    true: NDArray[np.int64]
    """(BINS,): how many of them are foreground."""

    @classmethod
    def of(cls, mask: NDArray[np.floating], truth: NDArray[np.bool_]) -> "Reliability":
        """Count the pixels of a mask by probability against the truth.

        Parameters
        ----------
        mask : (H, W) float32 in [0, 1]
        truth : (H, W) bool

        Returns
        -------
        Reliability
        """
        place = np.minimum((mask * BINS).astype(np.uint8), BINS - 1)
        probability_sums = np.asarray(np.bincount(place.ravel(), mask.ravel(), BINS), np.float64)
        return cls(np.bincount(place.ravel(), minlength=BINS), probability_sums, np.bincount(place[truth], minlength=BINS))

    def __add__(self, other: "Reliability") -> "Reliability":
        return Reliability(self.pixels + other.pixels, self.probability_sums + other.probability_sums, self.true + other.true)

    @property
    def error(self) -> float:
        """The expected calibration error, in [0, 1]: mean |probability − share of foreground| of the bins, by their pixels."""
        return float(np.abs(self.probability_sums - self.true).sum() / max(int(self.pixels.sum()), 1))

    def points(self) -> list[dict[str, float]]:
        """Return for each bin that is not empty: mean predicted probability, share of foreground, number of pixels."""
        return [
            {"said": float(probability_sums / pixels), "true": float(true / pixels), "pixels": int(pixels)}
            for pixels, probability_sums, true in zip(self.pixels, self.probability_sums, self.true, strict=True)
            if pixels
        ]


def boundary_iou(mask: NDArray[np.floating], truth: NDArray[np.bool_], width: float = 0.02, threshold: float = 0.5) -> float:
    """Return the intersection over union of the inner edges: how exact the outline is, for subjects of any size.

    The inner edge of a shape is its pixels that are nearer than `width` × the picture's diagonal (at least 1 pixel) to the
    outside of the shape. The picture's border counts as outside.

    Parameters
    ----------
    mask : (H, W) float32 in [0, 1]
    truth : (H, W) bool
    width : float
        Share of the picture's diagonal.
    threshold : float
        Foreground is mask ≥ threshold.

    Returns
    -------
    float
        In [0, 1].

    References
    ----------
    Cheng et al., "Boundary IoU" (CVPR 2021).
    """
    import cv2

    distance_limit = max(1, round(width * float(np.hypot(*truth.shape))))

    def edge(shape: NDArray[np.bool_]) -> NDArray[np.bool_]:
        framed = np.pad(shape.astype(np.uint8), 1)
        near: NDArray[np.bool_] = (
            cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1] <= distance_limit
        )
        return near & shape

    return Counts.of(edge(mask >= threshold), edge(truth)).iou


FIGURES: Mapping[str, Callable[[Counts], float]] = {
    name: attrgetter(name) for name in ("accuracy", "precision", "recall", "f1", "iou")
}
"""The figures that are computed from counts, of one picture or pooled over many."""
