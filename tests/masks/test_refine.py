from typing import get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy import ndimage

from figureground.errors import UnknownOption
from figureground.evaluation.metrics import Counts, boundary_iou
from figureground.masks import guided_filter, refine, tiles
from figureground.masks.refine import REFINERS, clean, clean_guided, guided, none
from photographs import FOLDER

GRAYS = {".": 0.0, ":": 0.05, "-": 0.3, "+": 0.7, "o": 1.0}


NETWORKS = ("auto", "detail", "matting")


def drawn(picture):
    """A mask drawn with the signs of GREYS."""
    return np.array([[GRAYS[sign] for sign in line] for line in picture.split()], np.float32)


def shown(mask):
    return ["".join(min(GRAYS, key=lambda sign: abs(GRAYS[sign] - value)) for value in line) for line in mask]


def gray(mask):
    """A picture of the mask's size that says nothing."""
    return np.full((*mask.shape, 3), 128, np.uint8)


masks = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.one_of(st.sampled_from([0, 1]), st.floats(0, 1, width=16)),
)


def test_none_is_the_mask_itself():
    mask = drawn(".-o")
    assert none(gray(mask), mask) is mask


@pytest.mark.parametrize("name", REFINERS)
@pytest.mark.parametrize("value", [0, 0.01, 1])
def test_empty_faint_and_full_masks_stay(name, value):
    mask = np.full((30, 40), value, np.float32)
    rgb = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    np.testing.assert_array_equal(REFINERS[name](rgb, mask), mask)


@pytest.mark.parametrize("name", REFINERS)
@settings(deadline=None)
@given(masks, st.integers(0, 9))
def test_every_refiner_gives_a_mask_and_leaves_its_arguments(name, mask, seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (*mask.shape, 3), dtype=np.uint8)
    before = mask.copy()
    mask.setflags(write=False)
    rgb.setflags(write=False)
    result = REFINERS[name](rgb, mask)
    assert (result.dtype, result.shape) == (np.float32, mask.shape)
    assert result.min() >= 0
    assert result.max() <= 1
    np.testing.assert_array_equal(mask, before)
    if name in NETWORKS:  # a network's answer to the mirror image is not exactly the mirror image of its answer
        return
    mirrored = REFINERS[name](np.ascontiguousarray(rgb[:, ::-1]), np.ascontiguousarray(mask[:, ::-1]))
    np.testing.assert_allclose(mirrored[:, ::-1], result, atol=1e-4)


@pytest.mark.parametrize("name", REFINERS)
def test_every_refiner_describes_its_options(name):
    hints = get_type_hints(REFINERS[name], include_extras=True)
    assert all(hints[option].__metadata__ for option in REFINERS[name].__kwdefaults__ or {})


# ── clean ──


def test_clean_removes_islands_with_their_rim_and_keeps_soft_edges():
    mask = drawn("""
        ..................::
        .:-oooooooo-:....:+:
        .:-oooooooo-:.....::
        .:-oooooooo-:.......
        ....................
    """)
    assert shown(clean(gray(mask), mask)) == [
        "....................",
        ".:-oooooooo-:.......",
        ".:-oooooooo-:.......",
        ".:-oooooooo-:.......",
        "....................",
    ]


def test_clean_keeps_what_is_large_beside_the_subject():
    mask = drawn("oooooooooo....oo oooooooooo....oo")
    assert clean(gray(mask), mask) is mask
    assert shown(clean(gray(mask), mask, min_part=0.25)) == ["oooooooooo......", "oooooooooo......"]


def test_clean_weighs_parts_by_their_mask_and_not_by_their_pixels():
    mask = drawn("---------------.ooooo ---------------.ooooo")  # 30 × 0.3 = 9 beside 10
    assert shown(clean(gray(mask), mask, min_part=0.95)) == ["................ooooo"] * 2


def test_clean_takes_parts_that_touch_at_a_corner_as_one():
    mask = drawn("oooooo.. oooooo.. ......o.")
    assert clean(gray(mask), mask, min_part=0.5) is mask


def test_clean_fills_pinholes_and_keeps_holes():
    mask = np.zeros((80, 80), np.float32)
    mask[10:70, 10:70] = 1
    mask[20, 20] = 0.2  # 1 pixel of 3600: at most a thousandth
    mask[30, 30:33] = 0
    mask[40:42, 40:42] = 0.4  # 4 pixels: too large
    mask[69, 50] = 0  # a notch is no hole
    wanted = mask.copy()
    wanted[20, 20] = 1
    wanted[30, 30:33] = 1
    np.testing.assert_array_equal(clean(gray(mask), mask), wanted)


def test_clean_leaves_a_pinhole_open_to_the_border_and_those_of_islands_go_with_them():
    mask = np.zeros((60, 100), np.float32)
    mask[:, :60] = 1
    mask[0, 30] = mask[59, 30] = mask[30, 0] = 0
    wanted = mask.copy()
    mask[20:25, 80:85] = 1
    mask[22, 82] = 0
    np.testing.assert_array_equal(clean(gray(mask), mask), wanted)


def plain_clean(mask, min_part, pinhole):
    """`clean` by scipy, part by part."""
    parts, count = ndimage.label(mask > 0.1, np.ones((3, 3)))
    if not count:
        return mask
    areas = {part: mask[parts == part].sum(dtype=np.float64) for part in range(1, count + 1)}
    small = [part for part in areas if areas[part] < min_part * max(areas.values())]
    islands, kept = np.isin(parts, small), (parts > 0) & ~np.isin(parts, small)
    result = mask.copy()
    if small:
        rim = np.ones((3, 3))  # these masks are so small that the rim has one pixel
        result[islands | (ndimage.binary_dilation(islands, rim) & ~ndimage.binary_dilation(kept, rim))] = 0
    holes, count = ndimage.label(result < 0.9)
    border = np.unique(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]))
    for hole in set(range(1, count + 1)) - set(border):
        if (holes == hole).sum() <= pinhole * kept.sum():
            result[holes == hole] = 1
    return result


@settings(deadline=None)
@given(masks, st.sampled_from([0, 0.05, 0.3, 0.9, 1]), st.sampled_from([0.001, 0.2, 1]))
def test_clean_equals_a_plain_reference(mask, min_part, pinhole):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refine, "PINHOLE", pinhole)
        result = clean(gray(mask), mask, min_part=min_part)
    np.testing.assert_array_equal(result, plain_clean(mask, min_part, pinhole))


@pytest.mark.parametrize("tile", [8, 23, 512])
def test_clean_in_tiles_equals_a_plain_reference(tile, monkeypatch):
    generator = np.random.default_rng(3)
    mask = np.where(generator.random((90, 70)) > 0.97, generator.random((90, 70)), 0).astype(np.float32)
    mask = np.clip(coarse(mask, 60), 0, 1)
    mask[20:70, 10:55] = 1
    mask[generator.integers(20, 70, 40), generator.integers(10, 55, 40)] = 0.3
    monkeypatch.setattr(tiles, "TILE", tile)
    result = clean(gray(mask), mask)
    np.testing.assert_array_equal(result, plain_clean(mask, 0.05, refine.PINHOLE))
    assert (result != mask).sum() > 100


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_clean_refuses_shares_that_are_none(value):
    mask = drawn("o.")
    with pytest.raises(UnknownOption, match="min_part must be from 0 to 1, but got"):
        clean(gray(mask), mask, min_part=value)


# ── guided ──


def plain_guided(rgb, mask, radius):
    """The guided filter as the paper writes it, in float64, window by window."""
    pad = [(radius, radius), (radius, radius)]
    colors = np.pad(rgb / 255.0, [*pad, (0, 0)], mode="symmetric")
    values = np.pad(mask.astype(np.float64), pad, mode="symmetric")
    size = (2 * radius + 1,) * 2
    windows = np.lib.stride_tricks.sliding_window_view(colors, size, (0, 1)).reshape(*mask.shape, 3, -1)
    answers = np.lib.stride_tricks.sliding_window_view(values, size).reshape(*mask.shape, -1)
    middle, answer = windows.mean(-1), answers.mean(-1)
    products = windows[..., :, None, :] * windows[..., None, :, :]
    spread = products.mean(-1) - middle[..., :, None] * middle[..., None, :]
    together = (windows * answers[..., None, :]).mean(-1) - middle * answer[..., None]
    slopes = np.linalg.solve(spread + guided_filter.EPSILON * np.eye(3), together[..., None])[..., 0]
    offset = answer - (slopes * middle).sum(-1)

    def mean(plane):
        padded = np.pad(plane, pad, mode="symmetric")
        return np.lib.stride_tricks.sliding_window_view(padded, size).mean((-1, -2))

    return np.clip(sum(mean(slopes[..., i]) * rgb[..., i] / 255 for i in range(3)) + mean(offset), 0, 1)


def photograph(side=None):
    """A photograph and its hand-drawn mask."""
    with Image.open(FOLDER / "chelsea.jpg") as image:
        rgb = np.array(image.convert("RGB"))
    with Image.open(FOLDER / "masks" / "chelsea.png") as image:
        truth = np.array(image.convert("L").resize(rgb.shape[1::-1])).astype(np.float32) / 255
    return (rgb, truth) if side is None else (rgb[:side, :side].copy(), truth[:side, :side].copy())


def coarse(truth, side):
    """The mask as a network of this side would see it, with a soft edge."""
    small = Image.fromarray(truth).resize((side, side), Image.Resampling.BOX)
    return np.clip(np.asarray(small.resize(truth.shape[::-1], Image.Resampling.BILINEAR)), 0, 1)


@pytest.mark.parametrize("color", ["photograph", "grey", "flat"])
def test_guided_equals_the_formula(color):
    rgb, truth = photograph(120)
    if color == "grey":
        rgb = np.repeat(rgb[..., 1:2], 3, axis=2)
    if color == "flat":
        rgb[:] = 77
    mask = coarse(truth, 12)
    assert 0.05 < mask.mean() < 0.95
    result = guided(rgb, mask, edge_radius=4 / 120)
    np.testing.assert_allclose(result, plain_guided(rgb, mask, 4), atol=5e-4)


def test_guided_in_tiles_equals_the_whole(monkeypatch):
    rgb, truth = photograph()
    mask = coarse(truth, 48)
    monkeypatch.setattr(refine, "FLAT", -1)
    monkeypatch.setattr(tiles, "TILE", 4096)
    whole = guided(rgb, mask)
    for tile in (64, 77):
        monkeypatch.setattr(tiles, "TILE", tile)
        np.testing.assert_allclose(guided(rgb, mask), whole, atol=1e-6)


def test_guided_leaves_what_is_far_from_every_edge(monkeypatch):
    rgb, _ = photograph()
    mask = np.zeros(rgb.shape[:2], np.float32)
    mask[:, :100] = 1
    monkeypatch.setattr(tiles, "TILE", 16)
    result = guided(rgb, mask, edge_radius=0.01)
    radius = round(0.01 * max(mask.shape))
    np.testing.assert_array_equal(result[:, : 100 - 2 * radius], 1)
    np.testing.assert_array_equal(result[:, 100 + 2 * radius :], 0)
    assert (result[:, 100 - radius : 100 + radius] != mask[:, 100 - radius : 100 + radius]).any()


def test_guided_draws_a_blunt_edge_to_the_colors():
    truth = np.zeros((120, 120), np.float32)
    rows, columns = np.mgrid[:120, :120]
    truth[(rows - 60) ** 2 + (columns - 60) ** 2 + 200 * np.sin(columns / 3) < 1500] = 1
    noise = np.random.default_rng(0).normal(0, 4, (120, 120, 3))
    rgb = np.clip(np.where(truth[..., None] > 0, (200, 90, 60), (60, 120, 70)) + noise, 0, 255).astype(np.uint8)
    mask = coarse(truth, 10)
    before, after = (Counts.of(m, truth > 0).iou for m in (mask, guided(rgb, mask, edge_radius=0.06)))
    assert before < 0.94
    assert after > 0.99


@pytest.mark.parametrize("name", ["clean", "guided", "clean+guided"])
def test_refiners_do_no_harm_to_a_photographs_mask(name):
    rgb, truth = photograph()
    mask = coarse(truth, 32)
    result = REFINERS[name](rgb, mask)
    assert Counts.of(result, truth > 0.5).iou > Counts.of(mask, truth > 0.5).iou - 0.002
    assert boundary_iou(result, truth > 0.5) > boundary_iou(mask, truth > 0.5) - 0.015


@pytest.mark.parametrize("value", [0, -1, 0.11, float("nan")])
def test_guided_refuses_radii_that_are_none(value):
    mask = drawn("o.")
    with pytest.raises(UnknownOption, match=r"edge_radius must be above 0 and at most 0.1, but got"):
        guided(gray(mask), mask, edge_radius=value)


def test_clean_then_guided():
    rgb, truth = photograph()
    mask = coarse(truth, 48)
    mask[:4, :4] = 1
    wanted = guided(rgb, clean(rgb, mask, min_part=0.1), edge_radius=0.02)
    np.testing.assert_array_equal(clean_guided(rgb, mask, min_part=0.1, edge_radius=0.02), wanted)
    assert REFINERS["clean+guided"] is clean_guided


def test_more_parts_than_sixteen_bits_can_number():
    mask = np.zeros((600, 600), np.float32)
    mask[::2, ::2] = 1  # 90 000 parts of one pixel each, of which none is smaller than the others
    assert np.array_equal(clean(None, mask), mask)
    mask[:200, :200] = 1
    cleaned = clean(None, mask)
    assert cleaned[:200, :200].all()
    assert not cleaned[210:, 210:].any()
