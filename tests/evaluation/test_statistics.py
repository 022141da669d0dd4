import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.evaluation.metrics import max_f
from figureground.evaluation.statistics import difference_interval, interval, mean_interval, paired_p


@pytest.mark.parametrize(("n", "a", "b"), [(20, 5, 2), (60, 8, 1.2), (60, 2, 2)])
def test_the_interval_covers_the_truth_as_often_as_it_says(n, a, b):
    random = np.random.default_rng(4)
    truth, cases = a / (a + b), 600
    covered = 0
    for number in range(cases):
        low, high = mean_interval(random.beta(a, b, n), seed=number)
        covered += low <= truth <= high
    assert 0.93 <= covered / cases <= 0.97


@pytest.mark.parametrize("n", [20, 60])
@pytest.mark.parametrize("tails", [4, 100])
def test_that_of_differences_does_too(n, tails):
    """Two methods hardly differ on most pictures, and on a few of them much, if the tails are heavy."""
    random = np.random.default_rng(5)
    truth, cases, covered = 0.02, 1000, 0
    for number in range(cases):
        low, high = difference_interval(np.clip(truth + 0.02 * random.standard_t(tails, n), -1, 1), seed=number)
        covered += low <= truth <= high
    assert 0.93 <= covered / cases <= 0.97


def test_that_of_the_greatest_f_does_too():
    """Of pictures drawn from many whose figure is known, so that the truth is."""
    random = np.random.default_rng(6)
    every, cases, covered = curves_of(random, 4000), 300, 0
    truth = max_f(every)
    for number in range(cases):
        drawn = every[random.integers(0, len(every), 60)]
        low, high = interval(lambda chosen, drawn=drawn: max_f(drawn[chosen]), 60, seed=number)
        covered += low <= truth <= high
    assert 0.93 <= covered / cases <= 0.97


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
def test_an_interval_holds_the_mean_and_stays_within_the_range_of_figures(values):
    low, high = mean_interval(values)
    assert 0 <= low <= np.mean(values) + 1e-9
    assert np.mean(values) - 1e-9 <= high <= 1


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
