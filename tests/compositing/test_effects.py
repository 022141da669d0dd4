import numpy as np
import pytest
from scipy import ndimage

from figureground.compositing.effects import drop_shadow, ground_shadow, outline

Y, X = np.mgrid[:200, :260].astype(np.float32)
DISK = np.clip(40.5 - np.hypot(X - 120, Y - 90), 0, 1).astype(np.float32)


@pytest.mark.parametrize("blur", [1, 5, 14])
def test_a_drop_shadow_is_the_subject_blurred_and_moved(blur):
    shadow = drop_shadow(DISK, blur, (9, 14), 0.6)
    wanted = 0.6 * ndimage.shift(ndimage.gaussian_filter(DISK, blur, mode="constant"), (14, 9), order=1)
    assert np.abs(shadow - wanted).max() < 0.03


def test_a_shadow_is_as_dark_as_its_opacity_and_not_cut_by_where_it_came_from():
    shadow = drop_shadow(DISK, 4, (0, 0), 0.3)
    assert shadow.max() == pytest.approx(0.3, abs=0.01)
    assert not drop_shadow(np.zeros_like(DISK), 4, (3, 3)).any()


@pytest.mark.parametrize("width", [1, 2.5, 8, 25])
def test_an_outline_has_its_width_all_around(width):
    line = outline(DISK, width)
    area = line.sum()
    assert np.sqrt(area / np.pi) == pytest.approx(40 + width, abs=0.8)
    assert (line[DISK >= 0.5] == 1).all()
    assert not line[np.hypot(X - 120, Y - 90) > 43 + width].any()


def test_an_outline_follows_the_subject_to_the_frame_and_stops_there():
    mask = np.zeros((60, 60), np.float32)
    mask[30:, 20:40] = 1
    line = outline(mask, 5)
    assert line[59, 16] == 1 and line[59, 42] == 1 and line[26, 30] == 1
    assert not outline(mask, 0).any() and not outline(np.zeros_like(mask), 5).any()


def shaded(depth=0.5, noise=0.0):
    """A disk on a ground with a gradient, with a soft shadow below it: the picture, the mask, and how dark the shadow is."""
    ground = 200 + 0.1 * X - 0.15 * Y
    dark = depth * np.exp(-(((X - 140) / 60) ** 2) - ((Y - 128) / 14) ** 2)
    below = (ground * (1 - dark))[..., None] * (1, 0.97, 0.92)
    below = below + np.random.default_rng(0).normal(0, noise, X.shape)[..., None] if noise else below
    picture = np.clip(DISK[..., None] * (40, 60, 150) + (1 - DISK[..., None]) * below, 0, 255)
    return np.rint(picture).astype(np.uint8), DISK, dark


@pytest.mark.parametrize("noise", [0, 3])
def test_the_grounds_shadow_is_found_as_a_ratio(noise):
    picture, mask, dark = shaded(noise=noise)
    shadow = ground_shadow(picture, mask)
    visible = (mask == 0) & (dark > 0.2)
    assert np.abs(shadow - dark)[visible].mean() < 0.05
    assert shadow[(mask == 0) & (dark < 0.001)].max() < 0.03  # nothing where there is none


def test_the_grounds_shadow_goes_on_below_the_subjects_edge():
    picture, mask, dark = shaded()
    edge = (mask > 0) & (mask < 1) & (dark > 0.3)
    assert ground_shadow(picture, mask)[edge].min() > 0.2


def test_opacity_weakens_it_and_brightness_does_not_matter():
    picture, mask, _ = shaded()
    whole = ground_shadow(picture, mask)
    assert np.allclose(ground_shadow(picture, mask, 0.5), whole / 2, atol=1e-6)
    darker = ground_shadow(np.rint(picture * 0.6).astype(np.uint8), mask)
    assert np.abs(darker - whole).max() < 0.06
    assert np.abs(ground_shadow(picture.astype(np.uint16) * 257, mask) - whole).max() < 0.01


def test_what_does_not_touch_the_subject_is_no_shadow_of_it():
    picture, mask, _ = shaded(depth=0.0)
    picture[10:30, 210:240] = 20
    assert not ground_shadow(picture, mask)[:40, 200:].any()


def test_no_subject_and_no_ground_have_no_shadow():
    picture, mask, _ = shaded()
    assert not ground_shadow(picture, np.zeros_like(mask)).any()
    assert not ground_shadow(picture, np.ones_like(mask)).any()
