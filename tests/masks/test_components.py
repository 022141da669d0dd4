"""Connected parts, against SciPy's labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from figureground.masks import components as module
from figureground.masks.components import ConnectedComponents

SHAPES = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=14))
STRUCTURES = {4: ndimage.generate_binary_structure(2, 1), 8: ndimage.generate_binary_structure(2, 2)}


def by_scipy(shape, connectivity):
    """Number of each part, numbered as their first pixels come, and 0 outside; and how many there are."""
    return ndimage.label(shape, STRUCTURES[connectivity])


@pytest.mark.parametrize("connectivity", [4, 8])
@settings(deadline=None, max_examples=200)
@given(SHAPES, st.integers(0, 99))
def test_parts_are_those_of_scipy(connectivity, shape, seed):
    numbers, count = by_scipy(shape, connectivity)
    weights = np.random.default_rng(seed).random(shape.shape, np.float32)
    parts = ConnectedComponents(shape, connectivity)
    assert parts.count == count
    index = np.arange(1, count + 1)
    np.testing.assert_array_equal(parts.areas, ndimage.sum_labels(shape, numbers, index))
    np.testing.assert_allclose(parts.sums(weights), ndimage.sum_labels(weights.astype(float), numbers, index))
    boxes = [(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(numbers)]
    assert [tuple(box) for box in parts.boxes.tolist()] == boxes
    for part in range(count):
        np.testing.assert_array_equal(parts.render(np.arange(count) == part), numbers == part + 1)


@settings(deadline=None)
@given(SHAPES, st.data())
def test_a_window_shows_what_lies_in_it(shape, data):
    flags = np.array(
        data.draw(st.lists(st.booleans(), min_size=(count := ConnectedComponents(shape, 8).count), max_size=count)), bool
    )
    window = tuple(
        slice(low, low + data.draw(st.integers(1, side + 3)))  # may reach beyond the shape, as a tile does
        for side in shape.shape
        for low in [data.draw(st.integers(0, side - 1))]
    )
    parts = ConnectedComponents(shape, 8)
    np.testing.assert_array_equal(parts.render(flags, window), parts.render(flags)[window])


@pytest.mark.parametrize("connectivity", [4, 8])
def test_a_strip_s_end_does_not_part_what_is_joined(connectivity, monkeypatch):
    shape = np.random.default_rng(3).random((90, 70)) < 0.6
    whole = ConnectedComponents(shape, connectivity)
    monkeypatch.setattr(module, "SMALL_STRIP", 150)  # two rows
    striped = ConnectedComponents(shape, connectivity)
    assert (striped.count, striped.areas.tolist()) == (whole.count, whole.areas.tolist())
    np.testing.assert_allclose(striped.sums(shape), whole.areas)


def test_a_spiral_is_one_part():
    shape = np.zeros((41, 41), bool)
    top, left, bottom, right = 0, 0, 40, 40
    while top < bottom:
        shape[top, left : right + 1] = shape[top : bottom + 1, right] = shape[bottom, left : right + 1] = True
        shape[top + 2 : bottom + 1, left] = True
        shape[top + 2, left : left + 3] = True
        top, left, bottom, right = top + 2, left + 2, bottom - 2, right - 2
    assert ConnectedComponents(shape, 4).count == by_scipy(shape, 4)[1]
    comb = np.zeros((60, 61), bool)
    comb[:, ::2] = comb[-1] = True  # thirty-one columns that meet in the last row only
    assert ConnectedComponents(comb, 4).count == ConnectedComponents(comb, 8).count == 1


@pytest.mark.parametrize("shape", [np.zeros((3, 5), bool), np.ones((3, 5), bool)])
def test_empty_and_full_shapes(shape):
    parts = ConnectedComponents(shape, 4)
    assert parts.areas.tolist() == ([15] if shape.any() else [])
    assert parts.boxes.tolist() == ([[0, 0, 5, 3]] if shape.any() else [])
    np.testing.assert_array_equal(parts.render(np.ones(parts.count, bool)), shape)
