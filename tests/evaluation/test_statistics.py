import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from figureground.evaluation.metrics import max_f
from figureground.evaluation.statistics import difference_interval, expanded_level, interval, mean_interval, paired_p

FEW = np.array([0.612, 0.955, 0.958, 0.961, 0.966, 0.97, 0.973, 0.979, 0.981, 0.985, 0.99, 0.995])
"""Figures of twelve pictures, one of which went wrong."""


def covered(cases, truth, draw, interval_of):
    """How often the intervals of samples hold the truth."""
    ends = [interval_of(draw(), seed=number) for number in range(cases)]
    return np.mean([low <= truth <= high for low, high in ends])


@pytest.mark.parametrize(("n", "a", "b"), [(12, 8, 1.2), (60, 2, 2)])
def test_the_interval_covers_the_truth_as_often_as_it_says(n, a, b):
    """Of 300 cases; chance moves the share by 0.013, and plain percentiles of 12 values cover 0.90."""
    random = np.random.default_rng(4)
    assert 0.92 <= covered(300, a / (a + b), lambda: random.beta(a, b, n), mean_interval) <= 0.98


@pytest.mark.parametrize("tails", [4, 100])
def test_that_of_differences_does_too(tails):
    """Two methods hardly differ on most pictures, and on a few of them much, if the tails are heavy."""
    random = np.random.default_rng(5)
    draws = lambda: np.clip(0.02 + 0.02 * random.standard_t(tails, 20), -1, 1)  # noqa: E731
    assert 0.92 <= covered(300, 0.02, draws, difference_interval) <= 0.98


def test_that_of_the_greatest_f_does_too():
    """Of pictures drawn from many whose figure is known, so that the truth is."""
    random = np.random.default_rng(6)
    every = curves_of(random, 4000)

    def of_max_f(chosen, seed):
        return interval(lambda again: max_f(every[chosen[again]]), len(chosen), seed)

    assert 0.9 <= covered(100, max_f(every), lambda: random.integers(0, len(every), 60), of_max_f) <= 0.99


@pytest.mark.parametrize("values", [FEW, np.random.default_rng(7).beta(8, 2, 60), np.random.default_rng(8).random(2)])
def test_the_interval_is_that_of_scipys_bootstrap_at_the_expanded_level(values):
    """Drawn from another generator, more often: so they agree but for chance, which is small beside their width."""
    level = 2 * stats.norm.cdf(stats.t.ppf(0.975, len(values) - 1) * (len(values) / (len(values) - 1)) ** 0.5) - 1
    assert expanded_level(len(values)) == pytest.approx(level, abs=1e-4)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, confidence_level=level, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert mean_interval(values) == pytest.approx((theirs.low, theirs.high), abs=0.08 * width)


def test_twelve_pictures_with_one_that_went_wrong():
    """Near scipy's own choice (BCa), where an interval by standard errors of drawn samples begins below the worst picture."""
    low, high = mean_interval(FEW)
    theirs = stats.bootstrap((FEW,), np.mean, rng=np.random.default_rng(1)).confidence_interval
    assert FEW.min() < theirs.low - 0.05 < low < FEW.mean() < high < FEW.max()
    assert abs(low - theirs.low) < 0.05 and abs(high - theirs.high) < 0.05


def curves_of(random, count):
    """Precision and recall at a few thresholds of pictures that are more or less difficult, (count, 2, 16)."""
    threshold, skill = np.linspace(0, 1, 16), random.beta(6, 2, (count, 1))
    recall = np.clip(threshold ** (0.6 / skill) + random.normal(0, 0.05, (count, 1)), 0, 1)
    precision = np.clip(skill * (1 - 0.6 * threshold**4) + random.normal(0, 0.05, (count, 1)), 0, 1)
    return np.stack([precision, recall], axis=1)


def test_more_pictures_make_a_narrower_interval():
    values = np.random.default_rng(0).beta(8, 2, 400)
    widths = [np.ptp(mean_interval(values[:n])) for n in (25, 100, 400)]
    assert widths[0] > 1.5 * widths[1] > 2 * widths[2]


def test_one_value_and_equal_values():
    assert mean_interval([0.7]) == (0, 1)
    assert difference_interval([0.1]) == (-1, 1)
    assert mean_interval([0.5] * 9) == (0.5, 0.5)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_an_interval_holds_the_mean_and_stays_within_the_range_of_the_values(values):
    for low, high in (mean_interval(values), difference_interval(values)):
        assert min(values) <= low <= np.mean(values) + 1e-9
        assert np.mean(values) - 1e-9 <= high <= max(values)


def test_any_figure_gets_an_interval():
    values = np.random.default_rng(1).normal(0.5, 0.1, 200)
    low, high = interval(lambda chosen: float(np.median(values[chosen])), 200)
    assert low < np.median(values) < high
    assert high - low < 0.06


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(2).random(50)
    assert mean_interval(values, 3) == mean_interval(values, 3)
    assert mean_interval(values, 3) != mean_interval(values, 4)


def test_two_methods_that_differ_are_told_apart_and_equal_ones_are_not():
    random = np.random.default_rng(0)
    assert paired_p(random.normal(0.05, 0.05, 60)) < 0.001
    assert paired_p(np.zeros(60)) == 1
    assert paired_p([]) == 1
    chances = [paired_p(random.normal(0, 0.1, 30), seed) for seed in range(60)]
    assert sum(p < 0.05 for p in chances) <= 8
    assert 0.35 < np.mean(chances) < 0.65
