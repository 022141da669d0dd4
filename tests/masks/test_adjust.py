import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from figureground.masks.adjust import feather, grow, invert, shrink, subject_side, threshold, trimap

Y, X = np.mgrid[:120, :160].astype(np.float32)
DISK = np.clip(30.5 - np.hypot(X - 80, Y - 60), 0, 1).astype(np.float32)


def radius(mask):
    """Of a disk of that area."""
    return float(np.sqrt(mask.sum() / np.pi))


@pytest.mark.parametrize("pixels", [0.5, 1, 3, 7.25, 20])
def test_grow_and_shrink_move_the_edge_by_the_pixels_asked_for(pixels):
    assert radius(grow(DISK, pixels)) == pytest.approx(radius(DISK) + pixels, abs=0.5)
    assert radius(shrink(DISK, pixels)) == pytest.approx(radius(DISK) - pixels, abs=0.5)


def test_the_soft_edge_keeps_its_width():
    soft = np.clip((40 - np.hypot(X - 80, Y - 60)) / 12 + 0.5, 0, 1).astype(np.float32)
    for moved in (grow(soft, 5), shrink(soft, 5)):
        widths = [np.count_nonzero((mask > 0.05) & (mask < 0.95), axis=1)[60] for mask in (soft, moved)]
        assert abs(widths[0] - widths[1]) <= 2


@given(st.integers(0, 999), st.floats(0, 5))
@settings(deadline=None, max_examples=40)
def test_growing_is_shrinking_the_rest(seed, pixels):
    mask = np.random.default_rng(seed).random((17, 23), np.float32)
    assert np.array_equal(grow(mask, -pixels), shrink(mask, pixels))
    assert np.allclose(invert(shrink(invert(mask), pixels)), grow(mask, pixels), atol=1e-6)
    assert (grow(mask, pixels) >= mask - 1e-6).all()


def test_the_frame_is_no_edge():
    full = np.ones((10, 10), np.float32)
    for changed in (shrink(full, 3), feather(full, 3)):
        assert np.allclose(changed, 1)


def test_feather_blurs_the_edge_and_leaves_the_rest():
    hard = threshold(DISK)
    soft = feather(hard, 6)
    away = np.abs(np.hypot(X - 80, Y - 60) - 30)
    assert np.array_equal(soft[away > 9], hard[away > 9])
    assert 0.4 < soft[60, 110] < 0.6
    assert np.allclose(soft, np.clip(ndimage.gaussian_filter(hard, 3, mode="nearest", truncate=2), 0, 1), atol=0.06)


@pytest.mark.parametrize("level", [0.1, 0.5, 1.0])
def test_threshold_is_hard(level):
    assert np.array_equal(threshold(DISK, level), (DISK >= level).astype(np.float32))


def test_trimap_knows_the_inside_and_the_outside_alone():
    values = trimap(DISK, 4)
    away = np.hypot(X - 80, Y - 60)
    assert set(np.unique(values)) == {0, 128, 255}
    assert (values[away < 25] == 255).all() and (values[away > 36] == 0).all()
    assert (values[np.abs(away - 30.5) < 3] == 128).all()


def test_empty_masks_stay_empty():
    empty = np.zeros((9, 9), np.float32)
    for changed in (grow(empty, 3), shrink(empty, 3), feather(empty, 3), threshold(empty)):
        assert not changed.any()
    assert subject_side(empty) == 0
    assert not trimap(empty).any()


def test_subject_side_is_the_longer_side_of_its_box():
    mask = np.zeros((20, 30), np.float32)
    mask[5:9, 3:20] = 1
    assert subject_side(mask) == 17
