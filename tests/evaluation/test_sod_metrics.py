import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from drawn import case
from figureground.errors import MissingExtra
from figureground.evaluation.sod_metrics import e_measure, s_measure, weighted_f

SQUARE = np.zeros((20, 30), bool)
SQUARE[5:15, 10:22] = True


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # theirs takes means of nothing where the centroid lies on the border
@pytest.mark.parametrize("seed", range(240))
def test_they_agree_with_the_fields_evaluation_code(seed):
    sod = pytest.importorskip("py_sod_metrics", exc_type=ImportError)
    mask, truth = case(seed)
    exact = np.asarray(np.rint(mask * 255) / 255 if seed % 2 else mask, np.float64)
    theirs = sod.Smeasure(), sod.Emeasure(), sod.WeightedFmeasure()
    if seed % 2:  # as pictures of 8 bits; stretched only where that changes nothing
        exact = np.nextafter(exact, 1)  # k / 255 × 255 falls below k here and there
    for measure in theirs:
        measure.step(np.clip(exact, 0, 1), truth, normalize=False)
    s, e, w = (measure.get_results() for measure in theirs)
    if np.isfinite(s["sm"]):
        assert s_measure(mask, truth) == pytest.approx(s["sm"], abs=1e-4)
    assert 0 <= s_measure(mask, truth) <= 1
    if truth.size > 1:  # of a single pixel theirs is not a share: it is divided by nothing
        assert e_measure(mask, truth) == pytest.approx(e["em"]["curve"], abs=1e-4)
    assert weighted_f(mask, truth) == pytest.approx(w["wfm"], abs=1e-4)


def test_the_truth_itself_is_perfect():
    assert s_measure(SQUARE.astype(np.float32), SQUARE) == pytest.approx(1)
    assert weighted_f(SQUARE.astype(np.float32), SQUARE) == pytest.approx(1)
    assert e_measure(SQUARE.astype(np.float32), SQUARE)[:255] == pytest.approx(600 / 599)


def test_the_inverse_is_the_worst():
    assert s_measure(1 - SQUARE.astype(np.float32), SQUARE) < 0.1
    assert weighted_f(1 - SQUARE.astype(np.float32), SQUARE) == pytest.approx(0, abs=1e-6)
    assert e_measure(1 - SQUARE.astype(np.float32), SQUARE)[:255].max() < 0.01


def test_nothing_to_find():
    nothing = np.zeros((6, 8), bool)
    assert s_measure(nothing.astype(np.float32), nothing) == 1
    assert s_measure(np.full((6, 8), 0.25), nothing) == pytest.approx(0.75)
    assert e_measure(nothing.astype(np.float32), nothing)[0] == pytest.approx(48 / 47)
    assert weighted_f(nothing.astype(np.float32), nothing) == 0


def test_all_is_foreground():
    everything = np.ones((6, 8), bool)
    assert s_measure(np.full((6, 8), 0.25), everything) == pytest.approx(0.25)
    assert e_measure(everything.astype(np.float32), everything) == pytest.approx(48 / 47)
    assert e_measure(np.ones((1, 1)), np.ones((1, 1), bool)) == pytest.approx(1)


def test_a_slip_at_the_outline_weighs_less_than_one_far_away():
    near, far = SQUARE.astype(np.float32), SQUARE.astype(np.float32)
    near[4, 10:20] = 1
    far[19, 0:10] = 1
    assert weighted_f(near, SQUARE) > weighted_f(far, SQUARE) + 0.005


@given(
    truth=arrays.arrays(np.bool_, (7, 9)),
    mask=arrays.arrays(np.float32, (7, 9), elements=st.floats(0, 1, width=32)),
)
def test_every_measure_lies_between_0_and_1(truth, mask):
    for value in (s_measure(mask, truth), weighted_f(mask, truth), *e_measure(mask, truth) * 62 / 63):
        assert -1e-9 <= value <= 1 + 1e-9


def test_without_scipy_the_weighted_f_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingExtra, match=r"weighted F-measure .*figureground\[evaluate\]"):
        weighted_f(SQUARE.astype(np.float32), SQUARE)
