import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from drawn import case
from figureground.evaluation.metrics import (
    BINS,
    FIGURES,
    Counts,
    Reliability,
    boundary_iou,
    f_beta,
    max_f,
    mean_absolute_error,
    precision_recall,
)

TRUTH = np.array([[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]], bool)
SAID = np.array([[0, 1, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]], np.float32)
EMPTY, FULL = np.zeros((3, 4), np.float32), np.ones((3, 4), np.float32)

levels = st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda shape: st.tuples(hnp.arrays(np.uint8, shape), hnp.arrays(np.bool_, shape))
)


def test_figures_of_a_drawn_mask():
    counts = Counts.of(SAID, TRUTH)
    assert counts == Counts(true_positive=3, false_positive=1, false_negative=1, true_negative=7)
    figures = {name: figure(counts) for name, figure in FIGURES.items()}
    assert figures == {"accuracy": 10 / 12, "precision": 3 / 4, "recall": 3 / 4, "f1": 3 / 4, "iou": 3 / 5}
    assert mean_absolute_error(SAID, TRUTH) == pytest.approx(2 / 12)


def test_half_is_foreground():
    assert Counts.of(np.array([[0.5, 0.499]], np.float32), np.array([[True, True]])) == Counts(1, 0, 1, 0)


@pytest.mark.parametrize(
    ("mask", "truth", "precision", "recall", "iou"),
    [
        (EMPTY, EMPTY, 1, 1, 1),  # nothing to find, nothing said
        (FULL, FULL, 1, 1, 1),
        (EMPTY, FULL, 0, 0, 0),
        (FULL, EMPTY, 0, 0, 0),
    ],
)
def test_empty_and_full_masks(mask, truth, precision, recall, iou):
    counts = Counts.of(mask, truth > 0)
    assert (counts.precision, counts.recall, counts.iou, counts.f1) == (precision, recall, iou, iou)
    assert counts.accuracy == iou
    assert mean_absolute_error(mask, truth > 0) == 1 - iou


def test_counts_add_up():
    ours = Counts.of(SAID, TRUTH)
    both = ours + Counts.of(FULL, TRUTH)
    assert both == Counts(7, 9, 1, 7)
    assert both.pixels == 24


@given(levels)
def test_counts_equal_a_plain_loop(case):
    level, truth = case
    mask = (level / 255).astype(np.float32)
    tally = dict.fromkeys(itertools.product((True, False), repeat=2), 0)
    for value, real in zip(mask.ravel(), truth.ravel(), strict=True):
        tally[bool(value >= 0.5), bool(real)] += 1
    wanted = Counts(tally[True, True], tally[True, False], tally[False, True], tally[False, False])
    assert Counts.of(mask, truth) == wanted


@given(levels)
def test_curves_equal_a_plain_loop(case):
    level, truth = case
    precision, recall = precision_recall((level / 255).astype(np.float32), truth)
    assert precision.shape == recall.shape == (256,)
    for index, threshold in enumerate(range(255, -1, -1)):
        said = level >= threshold
        assert precision[index] == pytest.approx((said & truth).sum() / max(said.sum(), 1))
        assert recall[index] == pytest.approx((said & truth).sum() / max(truth.sum(), 1))


@given(levels)
def test_figures_stay_between_0_and_1_and_mirror(case):
    level, truth = case
    mask = (level / 255).astype(np.float32)
    counts = Counts.of(mask, truth)
    assert all(0 <= figure(counts) <= 1 for figure in FIGURES.values())
    assert counts == Counts.of(mask[:, ::-1], truth[:, ::-1])
    assert 0 <= max_f([precision_recall(mask, truth)]) <= 1
    if counts.precision + counts.recall > 0:
        harmonic = 2 * counts.precision * counts.recall / (counts.precision + counts.recall)
        assert counts.f1 == pytest.approx(harmonic)


def test_f_beta_by_hand():
    precision, recall = np.array([0.8, 0.0, 1.0]), np.array([0.5, 0.0, 1.0])
    assert f_beta(precision, recall) == pytest.approx([1.3 * 0.4 / (0.24 + 0.5), 0, 1])
    assert f_beta(precision, recall, beta2=1) == pytest.approx([2 * 0.4 / 1.3, 0, 1])


def test_max_f_averages_before_it_takes_the_maximum():
    ones, zeros = np.ones(256), np.zeros(256)
    rising = np.linspace(0, 1, 256)
    assert max_f([(ones, rising), (ones, zeros)]) == pytest.approx(1.3 * 0.5 / (0.3 + 0.5))


def test_reliability_by_hand():
    mask = np.array([[0.0, 0.5, 0.5, 0.52], [1.0, 1.0, 0.9, 0.3]], np.float32)
    truth = np.array([[0, 1, 0, 1], [1, 0, 1, 0]], bool)
    seen = Reliability.of(mask, truth)
    assert seen.pixels.tolist() == [
        1,
        0,
        0,
        0,
        1,
        0,
        0,
        3,
        0,
        0,
        0,
        0,
        0,
        1,
        2,
    ]  # 0.3 · 15 = 4.5, 0.9 · 15 = 13.5, 1 in the last
    assert seen.true.tolist() == [0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 1, 1]
    assert seen.error == pytest.approx((0.3 + abs(2 - 1.52) + 0.1 + 1) / 8)
    assert seen.points()[2] == {"said": pytest.approx(1.52 / 3), "true": pytest.approx(2 / 3), "pixels": 3}
    assert len(seen.points()) == 5


def test_reliability_of_an_honest_answer_and_of_a_boaster():
    random = np.random.default_rng(0)
    mask = random.random((400, 500)).astype(np.float32)
    truth = random.random((400, 500)) < mask
    assert Reliability.of(mask, truth).error < 0.01
    boast = np.clip(2 * mask - 0.5, 0, 1)
    assert Reliability.of(boast, truth).error == pytest.approx(0.125, abs=0.01)


@given(levels)
def test_reliability_adds_up(case):
    level, truth = case
    mask = (level / 255).astype(np.float32)
    seen = Reliability.of(mask, truth)
    assert len(seen.pixels) == BINS
    assert seen.pixels.sum() == mask.size
    assert seen.true.sum() == truth.sum()
    twice = seen + seen
    assert twice.error == pytest.approx(seen.error)
    assert twice.pixels.sum() == 2 * mask.size
    assert 0 <= seen.error <= 1


def test_boundary_sees_what_the_area_hides():
    truth = np.zeros((100, 100), bool)
    truth[20:80, 20:80] = True
    ragged = truth.astype(np.float32)
    ragged[20:22, 20:80:2] = 0
    assert boundary_iou(truth.astype(np.float32), truth) == 1
    assert Counts.of(ragged, truth).iou > 0.98
    assert boundary_iou(ragged, truth) < 0.95


def test_boundary_by_hand():
    truth = np.zeros((9, 9), bool)
    truth[2:7, 2:7] = True  # its inner edge, one pixel wide, has 16 pixels
    moved = np.roll(truth, 1, axis=1).astype(np.float32)  # shares 4 + 4 of them above and below
    assert boundary_iou(moved, truth, width=0.01) == pytest.approx(8 / 24)


def test_boundary_of_nothing():
    assert boundary_iou(EMPTY, EMPTY > 0) == 1
    assert boundary_iou(EMPTY, FULL > 0) == 0


def drawn(seed):
    """A noisy answer, uint8, and its truth; it reaches 0 and 255, so that stretching it changes nothing."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:24, :32]
    away = (rows - random.integers(8, 16)) ** 2 + (columns - random.integers(8, 24)) ** 2
    truth = away < random.integers(20, 80)
    mask = np.clip(truth * 100 + random.integers(-120, 121, truth.shape) + 70, 0, 255).astype(np.uint8)
    mask.flat[:2] = 0, 255
    return mask, truth


def figures_of_drawn():
    curves, errors = [], []
    for mask, truth in map(drawn, range(6)):
        curves.append(precision_recall(mask / np.float32(255), truth))
        errors.append(mean_absolute_error(mask / np.float32(255), truth))
    return *np.mean(curves, axis=0), max_f(curves), np.mean(errors)


def test_figures_that_the_fields_evaluation_code_gave():
    precision, recall, best, error = figures_of_drawn()  # measured once with pysodmetrics 1.6.2
    assert precision[[1, 64, 128, 200, 255]] == pytest.approx([0.937731481, 0.975855369, 0.332545614, 0.266613775, 0.176649306])
    assert recall[[1, 64, 128, 200, 255]] == pytest.approx([0.148146123, 0.39636007, 0.656773527, 0.986263295, 1])
    assert best == pytest.approx(0.729669078)
    assert error == pytest.approx(0.306409144)


def test_figures_that_the_fields_evaluation_code_gives():
    sod = pytest.importorskip("py_sod_metrics", exc_type=ImportError)
    handlers = {
        name: handler(with_dynamic=True, with_adaptive=False)
        for name, handler in {"p": sod.PrecisionHandler, "r": sod.RecallHandler}.items()
    }
    curves, errors = sod.FmeasureV2(metric_handlers=handlers), sod.MAE()
    for mask, truth in map(drawn, range(6)):
        curves.step(mask, truth.astype(np.uint8) * 255)
        errors.step(mask, truth.astype(np.uint8) * 255)
    precision, recall, _, error = figures_of_drawn()
    theirs = curves.get_results()
    assert precision == pytest.approx(theirs["p"]["dynamic"])
    assert recall == pytest.approx(theirs["r"]["dynamic"])
    assert error == pytest.approx(errors.get_results()["mae"])


@pytest.mark.parametrize("seed", range(240))
def test_every_figure_agrees_with_the_fields_evaluation_code_of_any_mask(seed):
    """To 1e-4, but for one rule: where nothing is to be found and nothing was said, theirs are 0 and ours 1."""
    sod = pytest.importorskip("py_sod_metrics", exc_type=ImportError)
    kinds = {"iou": sod.IOUHandler, "f1": sod.DICEHandler, "accuracy": sod.OverallAccuracyHandler}
    kinds |= {"precision": sod.PrecisionHandler, "recall": sod.RecallHandler, "f": sod.FmeasureHandler}
    mask, truth = case(seed)
    exact = np.asarray(np.rint(mask * 255) / 255 if seed % 2 else mask, np.float64)
    exact = np.clip(np.nextafter(exact, 1), 0, 1)  # k / 255 × 255 falls below k here and there
    theirs = sod.FmeasureV2({name: kind(True, False, with_binary=True) for name, kind in kinds.items()})
    theirs.step(exact, truth, normalize=False)
    error = sod.MAE()
    error.step(exact, truth, normalize=False)
    figures, counts = theirs.get_results(), Counts.of(mask, truth)
    nothing = not truth.any() and not (mask >= 0.5).any()
    for name, figure in FIGURES.items():
        assert figure(counts) == (1 if nothing else pytest.approx(figures[name]["binary"], abs=1e-4)), name
    assert mean_absolute_error(mask, truth) == pytest.approx(error.get_results()["mae"], abs=1e-4)
    precision, recall = precision_recall(mask, truth)
    assert precision == pytest.approx(figures["precision"]["dynamic"], abs=1e-4)
    assert recall == pytest.approx(figures["recall"]["dynamic"], abs=1e-4)
    assert f_beta(precision, recall) == pytest.approx(figures["f"]["dynamic"], abs=1e-4)


def test_the_masks_above_hold_empty_and_full_ones():
    shown = [(mask, truth) for mask, truth in map(case, range(240))]
    assert sum(not truth.any() for _, truth in shown) >= 10 and sum(truth.all() for _, truth in shown) >= 10
    assert sum(not mask.any() for mask, _ in shown) >= 10 and sum((mask == 1).all() for mask, _ in shown) >= 10
