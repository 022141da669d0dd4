"""Edges at full resolution: windows, blending, what may change, and that real and drawn edges become better."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from figureground import Separator
from figureground.evaluation.metrics import Counts
from figureground.masks import detail
from figureground.masks.detail import MARGIN, doubt_band, refine_edges
from figureground.masks.guided_filter import linear_coefficients
from figureground.training.detail.pairs import coarse
from figureground.training.detail.scenes import draw
from photographs import FOLDER, photograph


def brought_down(mask, side):
    small = cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA)
    return np.clip(cv2.resize(small, mask.shape[::-1], interpolation=cv2.INTER_LINEAR), 0, 1)


def truth(name):
    with Image.open(FOLDER / "masks" / f"{name}.png") as image:
        return np.asarray(image.convert("L"), np.float32) / 255


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 700), st.integers(1, 700))
def test_windows_cover_every_picture_and_their_weights_sum_to_one(height, width):
    total = np.zeros((height, width), np.float32)
    for tile in detail._tiles(np.ones((height, width), np.float32)):
        total[detail._window(tile, total.shape)] += detail._weight(tile, total.shape)
    np.testing.assert_allclose(total, 1, atol=1e-5)


def test_windows_are_where_the_doubt_is():
    band = np.zeros((1000, 1000), np.float32)
    band[300:310, 400:410] = 1
    tile, *others = detail._tiles(band)
    rows, columns = detail._window(tile, band.shape)
    assert not others and (rows.stop - rows.start, columns.stop - columns.start) == (detail.TILE + 2 * MARGIN,) * 2
    assert rows.start <= 300 and rows.stop >= 310 and columns.start <= 400 and columns.stop >= 410


def test_windows_that_disagree_leave_no_seam(monkeypatch):
    """Each window answers with a value of its own; neighbors differ by no more than a margin's share of it."""
    answers = iter(np.linspace(0.3, 0.7, 1000).tolist())
    monkeypatch.setattr(detail, "_network", lambda: lambda x: np.full_like(x[:, 3:], next(answers)))
    monkeypatch.setattr(detail, "doubt_band", np.ones_like)
    mask = np.full((400, 500), 0.5, np.float32)
    result = refine_edges(np.zeros((400, 500, 3), np.uint8), mask)
    steps = max(np.abs(np.diff(result, axis=axis)).max() for axis in (0, 1))
    assert 0 < steps <= 0.05 / MARGIN + 1e-4
    assert np.ptp(result) > 0.001


def test_a_mask_changed_in_one_place_is_refined_there_alone(monkeypatch):
    """A picture that cannot be written to, of a size that is looked at in a smaller copy: as fresh, with fewer windows."""
    rgb = cv2.resize(photograph(FOLDER / "coffee.jpg"), (1500, 1000))
    mask = brought_down(cv2.resize(truth("coffee"), (1500, 1000)), 96)
    changed = mask.copy()
    changed[600:700, 200:320] = 0
    fresh = refine_edges(rgb, changed)
    counted, run = [], detail._network()
    monkeypatch.setattr(detail, "_network", lambda: lambda x: counted.append(x.size) or run(x))
    rgb.flags.writeable = False
    windows = []
    for each in (mask, changed, mask, changed):  # done, undone, and done again
        counted.clear()
        result = refine_edges(rgb, each)
        windows.append(len(counted))
    np.testing.assert_array_equal(result, fresh)
    assert windows[0] > 2 * windows[1] > 0 == windows[2] == windows[3]


@pytest.mark.parametrize("most", [0, 1, 2])
def test_only_so_many_answers_of_a_window_are_remembered(most):
    answers, computed = detail.Answers(most), []
    inputs = [np.full((2, 2), value, np.float32) for value in (0, 1, 2)]
    for number in (0, 1, 2, 2, 1, 0):
        answers.get((0,), (inputs[number],), lambda number=number: computed.append(number) or (inputs[number],))
    assert computed == {0: [0, 1, 2, 2, 1, 0], 1: [0, 1, 2, 1, 0], 2: [0, 1, 2, 0]}[most]
    assert len(answers.rows.get((0,), ())) == most


def test_what_is_certain_stays():
    rgb, mask = photograph(FOLDER / "coffee.jpg"), brought_down(truth("coffee"), 96)
    result, band = refine_edges(rgb, mask), doubt_band(mask)
    assert 0.02 < (band > 0).mean() < 0.6
    np.testing.assert_array_equal(result[band == 0], mask[band == 0])
    assert result.dtype == np.float32 and 0 <= result.min() <= result.max() <= 1


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_masks_without_doubt_are_returned_as_they_are(value):
    mask = np.full((50, 60), value, np.float32)
    assert refine_edges(np.zeros((50, 60, 3), np.uint8), mask) is mask


def test_drawn_hair_is_found_again():
    """Scenes that training has not seen, from coarse masks: their error falls by a fifth at least."""
    before, after = [], []
    for seed in range(8):
        random = np.random.default_rng((99, seed))
        scene = draw(480, random)
        alpha = scene.alpha.astype(np.float32) / 255
        behind = np.full((480, 480, 3), random.uniform(20, 235, 3))
        front = np.full((480, 480, 3), random.uniform(20, 235, 3))
        rgb = np.rint(behind + (front - behind) * alpha[..., None]).astype(np.uint8)
        rough = coarse(alpha, random)
        before.append(np.abs(rough - alpha).mean())
        after.append(np.abs(refine_edges(rgb, rough) - alpha).mean())
    assert np.mean(after) < 0.8 * np.mean(before)


def test_wide_doubt_stays():
    """A network that does not know what belongs to the subject is not overruled by colors nearby."""
    rgb = np.random.default_rng(0).integers(0, 256, (400, 600, 3), dtype=np.uint8)
    mask = np.zeros((400, 600), np.float32)
    mask[100:300, 50:250], mask[100:300, 300:550] = 1, 0.5
    band = doubt_band(cv2.GaussianBlur(mask, (0, 0), 2))
    assert band[200, 250] > 0.8 and band[200, 50] > 0.8
    assert not band[150:250, 350:500].any()
    result = refine_edges(rgb, mask)
    np.testing.assert_array_equal(result[150:250, 350:500], mask[150:250, 350:500])


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_the_mask_of_a_photograph_gets_no_worse(name):
    rgb, mask = photograph(FOLDER / f"{name}.jpg"), truth(name) > 0.5
    rough = Separator("subject", refiner="none", threads=1)(rgb).mask
    before, after = (Counts.of(each, mask).iou for each in (rough, refine_edges(rgb, rough)))
    assert after > before - 0.01


@pytest.mark.parametrize("scale", [3, 6])
def test_large_pictures_are_refined_on_a_smaller_copy(scale):
    """An enlarged picture's mask is the enlarged mask, nearly; the edge stays where it is."""
    rgb, mask = photograph(FOLDER / "coffee.jpg"), brought_down(truth("coffee"), 96)
    fine = refine_edges(rgb, mask)
    size = (scale * rgb.shape[1], scale * rgb.shape[0])
    large = refine_edges(cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC), cv2.resize(mask, size))
    assert large.shape == size[::-1]
    small = cv2.resize(large, fine.shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small - fine).mean() < 0.01


def test_coefficients_rebuild_a_mask_that_is_a_color():
    rgb = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    mask = rgb[..., 1].astype(np.float32) / 255
    *slopes, offset = linear_coefficients(rgb, mask, 2)
    rebuilt = offset + sum(slope * (rgb[..., channel] / np.float32(255) - 0.5) for channel, slope in enumerate(slopes))
    assert np.abs(rebuilt - mask).max() < 0.02
