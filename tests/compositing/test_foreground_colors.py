import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from figureground.compositing import foreground_colors
from figureground.compositing.foreground_colors import cut_out
from photographs import FOLDER


def test_edge_colors_are_free_of_the_background():
    """A red subject before green, half mixed along its edge: the edge of the cut-out is red too."""
    alpha = np.clip((np.arange(60) - 20) / 20, 0, 1)[None].repeat(40, 0).astype(np.float32)
    red, green = np.array([200, 20, 20]), np.array([20, 200, 20])
    mixed = alpha[..., None] * red + (1 - alpha[..., None]) * green
    edge = cut_out(np.rint(mixed).astype(np.uint8), alpha)[:, 24:40, :3].astype(int)
    assert np.abs(edge - red).max() < 40
    assert np.abs(mixed[:, 24:40] - red).max() > 140  # what a plain copy would have kept


@pytest.fixture(scope="module")
def pasted():
    """A cat pasted with a soft edge on a launch pad: the mixed picture, the mask, and the cat's own foreground_colors."""
    with Image.open(FOLDER / "chelsea.jpg") as cat, Image.open(FOLDER / "rocket.jpg") as pad:
        own, behind = np.asarray(cat.convert("RGB")), np.asarray(pad.convert("RGB").resize(cat.size))
    with Image.open(FOLDER / "masks" / "chelsea.png") as drawn:
        mask = ndimage.gaussian_filter((np.asarray(drawn) > 0).astype(np.float32), 4)
    weight = mask[..., None]
    return np.rint(weight * own + (1 - weight) * behind).astype(np.uint8), mask, own


def error(estimate, mask, own):
    """The mean distance to the true colours where the mask is mixed, weighted by the mask: how far off it looks."""
    mixed = (mask > 0.02) & (mask < 0.98)
    return np.average(np.abs(estimate[mixed].astype(float) - own[mixed]).mean(-1), weights=mask[mixed])


def test_a_pasted_photographs_edge_is_nearly_its_own(pasted):
    picture, mask, own = pasted
    assert error(picture, mask, own) > 16
    assert error(cut_out(picture, mask)[..., :3], mask, own) < 6.5


@pytest.mark.parametrize(("period", "share"), [(3, 0.38), (8, 0.3)])
def test_a_textured_foreground_over_a_known_background_is_recovered(period, share):
    """Stripes before a plain background: where alpha is known, most of what the background adds is taken away."""
    random = np.random.default_rng(period)
    alpha = np.clip((8 - np.abs(np.arange(120) - 60) + random.uniform(-4, 4, (90, 1))) / 6, 0, 1).astype(np.float32)
    stripes = np.where(np.arange(90)[:, None] // period % 2, 190, 90) + random.normal(0, 6, (90, 120))
    own = np.clip(np.stack([stripes, stripes * 0.7, stripes * 0.4], 2), 0, 255)
    mixed = np.rint(alpha[..., None] * own + (1 - alpha[..., None]) * [40, 120, 220]).astype(np.uint8)
    soft = (alpha > 0.1) & (alpha < 0.98)
    off = np.abs(cut_out(mixed, alpha)[..., :3][soft] - own[soft]).mean()
    assert off < share * np.abs(mixed[soft] - own[soft]).mean()


def test_sixteen_bits_give_what_eight_do(pasted):
    picture, mask, _ = pasted
    deep = cut_out(picture.astype(np.uint16) * 257, mask)
    assert deep.dtype == np.uint16
    visible = mask >= 0.5 / 255
    apart = np.abs(deep[visible] / 257 - cut_out(picture, mask)[visible])
    assert apart.mean() < 0.5
    assert apart.max() <= 4  # the small copies are rounded to the picture's depth


def test_edge_colors_do_not_depend_on_the_tiles(monkeypatch):
    generator = np.random.default_rng(1)
    picture = generator.integers(0, 256, (91, 113, 3), np.uint8)
    mask = np.clip(np.add.outer(np.arange(91), np.arange(113)) / 200, 0, 1).astype(np.float32)
    whole = cut_out(picture, mask)
    monkeypatch.setattr(foreground_colors, "TILE", 32)
    assert np.abs(whole.astype(int) - cut_out(picture, mask)).max() <= 2


SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@given(SHAPES, st.sampled_from([3, 4]), st.sampled_from([np.uint8, np.uint16]), st.integers(0, 999))
@settings(deadline=None, max_examples=60)
def test_the_picture_where_the_mask_is_sure_and_nothing_where_it_is_not(shape, channels, kind, seed):
    generator = np.random.default_rng(seed)
    most = np.iinfo(kind).max
    picture = generator.integers(0, most, (*shape, channels), kind, endpoint=True)
    mask = generator.choice(np.array([0, 0.4, 1], np.float32), shape)
    opaque = generator.choice(np.array([0, 1], np.float32), shape)
    for shown in (None, opaque):
        cutout = cut_out(picture, mask, shown)
        assert (cutout.shape, cutout.dtype) == ((*shape, 4), kind)
        assert np.array_equal(cutout[..., 3], np.rint(mask * (1 if shown is None else shown) * np.float32(most)))
        sure = (mask == 1) & (cutout[..., 3] > 0)
        assert np.array_equal(cutout[sure][:, :3], picture[sure][:, :3])
        assert not cutout[cutout[..., 3] == 0].any()
