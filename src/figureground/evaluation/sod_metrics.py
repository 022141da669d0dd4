"""Measure masks as the salient-object literature does: structure, alignment, weighted F.

Each agrees with the field's usual evaluation code (py_sod_metrics, nothing stretched). To add a measure: a function of a
mask and its truth here, and a line where evaluate.py judges a picture.
"""

import numpy as np
from numpy.typing import NDArray

from figureground.errors import MissingExtra
from figureground.evaluation.metrics import levels

Floats = NDArray[np.float64]
Masks = NDArray[np.floating]
"""(H, W), in [0, 1]."""
Truth = NDArray[np.bool_]
"""(H, W)."""
_TINY = float(np.spacing(1))


def s_measure(mask: Masks, truth: Truth) -> float:
    """Return the structure measure: the mean of the similarity of regions and of objects.

    Parameters
    ----------
    mask : (H, W) float32 in [0, 1]
    truth : (H, W) bool

    Returns
    -------
    float
        In [0, 1]. Where there is nothing to find, 1 − the mask's mean; where everything is foreground, the mask's mean.

    References
    ----------
    Fan et al., "Structure-measure" (ICCV 2017), α = 0.5.
    """
    prediction: Floats = np.asarray(mask, np.float64)
    share = float(truth.mean())
    if share in (0, 1):
        return float(abs(1 - share - prediction.mean()))
    alike = share * _evenness(prediction[truth]) + (1 - share) * _evenness(1 - prediction[~truth])
    return max(0.0, (alike + _layout(prediction, truth)) / 2)


def _evenness(values: Floats) -> float:
    """Return 2 m / (m² + 1 + σ): 1 where all values are 1."""
    mean = float(values.mean())
    spread = float(values.std(ddof=1)) if values.size > 1 else 0.0
    return 2 * mean / (mean**2 + 1 + spread + _TINY)


def _layout(mask: Floats, truth: Truth) -> float:
    """Return the structural similarity of the four parts that meet in the centroid of the truth, weighted by their areas."""
    rows, columns = np.nonzero(truth)
    down, across = round(rows.mean()) + 1, round(columns.mean()) + 1
    parts = [
        np.s_[rows_here, columns_here]
        for rows_here in (np.s_[:down], np.s_[down:])
        for columns_here in (np.s_[:across], np.s_[across:])
    ]
    return sum(truth[part].size / truth.size * _similar(mask[part], truth[part]) for part in parts if truth[part].size)


def _similar(mask: Floats, truth: Truth) -> float:
    """Return the structural similarity of one part, its means, contrasts and covariance in one number of [−1, 1]."""
    x, y = float(mask.mean()), float(truth.mean())
    freedom = mask.size - 1 + _TINY
    covariance = float(((mask - x) * (truth - y)).sum()) / freedom
    contrasts = float(((mask - x) ** 2).sum() + ((truth - y) ** 2).sum()) / freedom
    above, below = 4 * x * y * covariance, (x**2 + y**2) * contrasts
    if above == 0:
        return float(below == 0)
    return above / (below + _TINY)


def e_measure(mask: Masks, truth: Truth) -> Floats:
    """Return the enhanced-alignment measure of the mask cut at the levels 255, 254, …, 0 of 255.

    It is each pixel's agreement after both are freed of their means. Where the truth is empty or full, it is the share of
    right pixels.

    Parameters
    ----------
    mask : (H, W) float32 in [0, 1]
    truth : (H, W) bool

    Returns
    -------
    (256,) float64
        At least 0. The sum is divided by the number of pixels less one, as in the paper's own code, so a perfect mask has
        slightly more than 1.

    References
    ----------
    Fan et al., "Enhanced-alignment Measure for Binary Foreground Map Evaluation" (IJCAI 2018).
    """
    level_map = levels(mask)
    hits = np.cumsum(np.bincount(level_map[truth], minlength=256)[::-1])
    predicted = np.cumsum(np.bincount(level_map.ravel(), minlength=256)[::-1])
    real, pixels = int(np.count_nonzero(truth)), truth.size
    agreed: NDArray[np.number]
    if real == 0:
        agreed = pixels - predicted
    elif real == pixels:
        agreed = predicted
    else:
        ours, true = predicted / pixels, real / pixels  # the means that both are freed of
        parts = (
            (hits, 1 - ours, 1 - true),
            (predicted - hits, 1 - ours, -true),
            (real - hits, -ours, 1 - true),
            (pixels - predicted - real + hits, -ours, -true),
        )
        agreed = np.sum([count * (2 * a * b / (a**2 + b**2 + _TINY) + 1) ** 2 / 4 for count, a, b in parts], axis=0)
    curve: Floats = np.asarray(agreed / max(pixels - 1, 1), np.float64)
    return curve


def weighted_f(mask: Masks, truth: Truth) -> float:
    """Return the weighted F-measure, β = 1: errors near the outline weigh less, those far from it more.

    Parameters
    ----------
    mask : (H, W) float32 in [0, 1]
    truth : (H, W) bool

    Returns
    -------
    float
        In [0, 1]; 0 where there is nothing to find, as in the field's code.

    Raises
    ------
    MissingExtra
        If scipy is not installed.

    References
    ----------
    Margolin et al., "How to Evaluate Foreground Maps?" (CVPR 2014).
    """
    try:
        from scipy import ndimage
    except ModuleNotFoundError as error:
        raise MissingExtra("the weighted F-measure (scipy)", "evaluate") from error
    if not truth.any():
        return 0.0
    away, nearest = ndimage.distance_transform_edt(~truth, return_indices=True)
    errors = np.abs(mask - truth).astype(np.float64)
    spread = errors[nearest[0], nearest[1]]  # a background pixel counts as the outline's pixel nearest to it
    near = np.exp(-((np.arange(7) - 3) ** 2) / 50)  # 7 × 7, σ = 5
    near /= near.sum()
    blurred = ndimage.convolve1d(ndimage.convolve1d(spread, near, 0, mode="constant"), near, 1, mode="constant")
    weighted = np.where(truth, np.minimum(errors, blurred), errors * (2 - np.exp(np.log(0.5) / 5 * away)))
    real = int(np.count_nonzero(truth))
    missed, wrong = float(weighted[truth].sum()), float(weighted[~truth].sum())
    recall, precision = 1 - missed / real, (real - missed) / (real - missed + wrong + _TINY)
    return 2 * recall * precision / (recall + precision + _TINY)
