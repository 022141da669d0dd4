"""How sure figures are: intervals by resampling the pictures, and whether two methods differ on the same pictures.

Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 12, 13 and 15. Everything is decided by a seed.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95  # how often an interval covers the truth
DRAWS = 2000
_AT_ONCE = 1 << 20  # numbers: what is drawn at a time, so that memory stays small

Interval = tuple[float, float]
Floats = NDArray[np.float64]


def mean_interval(values: ArrayLike, seed: int = 0) -> Interval:
    """Where the mean lies of which `values` (n,) are a sample, with confidence `LEVEL`; within the range [0, 1] of figures.

    The studentized bootstrap (bootstrap-t): unlike plain percentiles it keeps its word for few and skewed values too. One
    value says nothing of the spread: (0, 1).
    """
    return _studentized(values, seed, (0.0, 1.0), lambda scores: np.quantile(scores, [(1 + LEVEL) / 2, (1 - LEVEL) / 2]))


def difference_interval(values: ArrayLike, seed: int = 0) -> Interval:
    """As `mean_interval`, for values in [−1, 1] such as differences between two methods, picture by picture.

    Differences are near 0 but for a few, to either side: so the interval is as long to both sides, which covers the truth
    more surely there. Hall, "On symmetric bootstrap confidence intervals" (J. R. Statist. Soc. B, 1988).
    """
    return _studentized(values, seed, (-1.0, 1.0), lambda scores: np.quantile(np.abs(scores), LEVEL) * np.array([1, -1]))


def _studentized(values: ArrayLike, seed: int, within: Interval, ends: Callable[[Floats], Floats]) -> Interval:
    """ends : the upper and the lower of how far, in standard errors, the means of drawn samples lie from the sample's own."""
    sample = np.asarray(values, np.float64)
    if sample.size < 2:
        return within
    mean, error = float(sample.mean()), float(sample.std(ddof=1)) / sample.size**0.5
    if error <= 1e-12:
        return mean, mean
    scores = []
    for indices in _resampled(sample.size, seed):
        again = sample[indices]  # (draws, n)
        errors = again.std(axis=1, ddof=1) / sample.size**0.5
        scores.append((again.mean(axis=1) - mean) / np.maximum(errors, error * 1e-3))
    upper, lower = ends(np.concatenate(scores))
    return float(max(mean - upper * error, within[0])), float(min(mean - lower * error, within[1]))


def interval(figure: Callable[[NDArray[np.int64]], float], pictures: int, seed: int = 0) -> Interval:
    """Percentile interval of any figure of a choice of pictures: `figure(indices)`, (pictures,) int64, repeats included."""
    values = [figure(indices) for several in _resampled(pictures, seed, 500) for indices in several]
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def paired_p(differences: ArrayLike, seed: int = 0) -> float:
    """How probable so large a mean difference is if the two methods are equally good: two-sided sign-flip permutation test.

    differences : (n,), one method's figure less the other's, of the same pictures. In (0, 1]; 1 where there is none.
    """
    values = np.asarray(differences, np.float64)
    actual, larger, draws = abs(float(values.mean())) if values.size else 0.0, 0, 10_000
    random = np.random.default_rng(seed)
    step = max(1, _AT_ONCE // max(values.size, 1))
    for start in range(0, draws, step):
        signs = random.integers(0, 2, (min(step, draws - start), values.size), np.int8) * 2 - 1
        larger += int(np.count_nonzero(np.abs(signs @ values) / max(values.size, 1) >= actual - 1e-12))
    return (larger + 1) / (draws + 1)


def _resampled(count: int, seed: int, draws: int = DRAWS) -> Iterator[NDArray[np.int64]]:
    """(some, count) int64 indices at a time, `draws` rows in all."""
    random = np.random.default_rng(seed)
    step = max(1, _AT_ONCE // count)
    for start in range(0, draws, step):
        yield random.integers(0, count, (min(step, draws - start), count))
