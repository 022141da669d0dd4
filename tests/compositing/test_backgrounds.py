import cv2
import numpy as np
import pytest
from PIL import Image

from figureground.compositing.backgrounds import Background, blur, checker, fit_picture, gaussian, gray, resize, solid
from figureground.compositing.fill import clean_plate, fill, smooth_fill
from figureground.compositing.foreground_colors import cut_out
from figureground.errors import UsageError
from photographs import FOLDER, photograph

Y, X = np.mgrid[:200, :260].astype(np.float32)
GROUND = np.stack([60 + 0.4 * X, 180 - 0.3 * Y, 90 + 0.1 * X + 0.2 * Y], -1)
MASK = np.clip((50 - np.hypot(X - 130, Y - 100)) / 6 + 0.5, 0, 1).astype(np.float32)


def scene(kind=np.uint8):
    """A white disk with a soft edge on a gradient: the picture, the ground alone, and the mask."""
    scale = np.iinfo(kind).max / 255
    mixed = MASK[..., None] * 250 + (1 - MASK[..., None]) * GROUND
    return np.rint(mixed * scale).astype(kind), np.rint(GROUND * scale).astype(kind), MASK


RING = (MASK > 0) & (MASK < 1) | (np.abs(np.hypot(X - 130, Y - 100) - 50) < 12)
"""The soft edge, and what lies within a few pixels of it, where a halo would be."""


@pytest.mark.parametrize("radius", [2, 6, 15, 40])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_blur_leaves_no_halo(radius, kind):
    picture, ground, mask = scene(kind)
    ideal = cv2.GaussianBlur(ground, (0, 0), radius, borderType=cv2.BORDER_REFLECT).astype(float)
    blurred = blur(picture, mask, radius)
    scale = np.iinfo(kind).max / 255
    weight = mask[..., None]
    composed = weight * 250 * scale + (1 - weight) * blurred
    wanted = weight * 250 * scale + (1 - weight) * ideal
    assert np.abs(composed - wanted)[RING].max() / scale <= 2
    plain = cv2.GaussianBlur(picture, (0, 0), radius)  # what a blur of the whole picture does
    assert np.abs(plain - ideal)[RING & (mask < 0.02)].max() / scale > 20


def test_blur_of_a_photograph_does_not_know_its_subject():
    picture = photograph(FOLDER / "astronaut.jpg")
    with Image.open(FOLDER / "masks" / "astronaut.png") as image:
        mask = (np.asarray(image.convert("L")) > 127).astype(np.float32)
    other = picture.copy()
    other[mask > 0] = (0, 255, 0)
    assert np.array_equal(blur(picture, mask, 10), blur(other, mask, 10))


@pytest.mark.parametrize("sigma", [0.8, 3, 9, 30])
def test_a_wide_gaussian_of_a_small_copy_is_the_gaussian(sigma):
    picture = photograph(FOLDER / "coffee.jpg")
    wanted = cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    assert np.abs(gaussian(picture, sigma).astype(int) - wanted).mean() < 0.8


def test_smooth_fill_goes_on_with_a_gradient():
    picture, ground, mask = scene()
    assert np.abs(smooth_fill(picture, mask).astype(int) - ground).max() <= 3
    known = mask <= 0.02
    assert np.array_equal(smooth_fill(picture, mask)[known], picture[known])


def test_smooth_fill_without_subject_and_without_background():
    picture, _, mask = scene()
    assert smooth_fill(picture, np.zeros_like(mask)) is picture
    assert smooth_fill(picture, np.ones_like(mask)).shape == picture.shape


def test_a_cut_out_over_its_clean_plate_is_the_picture():
    picture, ground, mask = scene()
    plate = clean_plate(picture, cut_out(picture, mask), mask)
    weight = mask[..., None]
    again = weight * cut_out(picture, mask)[..., :3] + (1 - weight) * plate
    assert np.abs(again - picture).max() <= 1.5
    assert np.abs(plate.astype(int) - ground)[mask < 0.5].max() <= 12
    assert np.array_equal(plate[mask == 0], picture[mask == 0])


def test_fill_copies_texture_and_touches_nothing_else():
    generator = np.random.default_rng(0)
    stripes = (((X + Y) // 6).astype(int) % 2)[:96, :128]
    picture = np.clip(np.where(stripes[..., None], 180, 70) + generator.normal(0, 4, (96, 128, 3)), 0, 255).astype(np.uint8)
    mask = np.zeros((96, 128), np.float32)
    mask[36:60, 50:80] = 1
    damaged = picture.copy()
    damaged[mask > 0] = 255
    filled = fill(damaged, mask)
    inside = mask > 0
    assert filled[inside].max() < 220
    assert np.abs(filled[inside].astype(int) - picture[inside]).mean() < 25  # the stripes go on
    far = cv2.dilate(mask, np.ones((9, 9), np.uint8)) == 0
    assert np.array_equal(filled[far], damaged[far])
    assert fill(damaged.astype(np.uint16) * 257, mask).dtype == np.uint16


def test_fill_of_nothing_and_of_everything():
    picture, _, mask = scene()
    assert np.array_equal(fill(picture, np.zeros_like(mask)), picture)
    assert fill(picture, np.ones_like(mask)).shape == picture.shape


@pytest.mark.parametrize("fit", ["cover", "contain", "stretch", "tile"])
@pytest.mark.parametrize("shape", [(50, 50), (37, 90), (200, 20), (10, 10)])
@pytest.mark.parametrize("channels", [3, 4])
def test_pictures_fit(fit, shape, channels):
    image = np.random.default_rng(1).integers(1, 256, (40, 60, channels), np.uint8)
    fitted = fit_picture(image, shape, fit)
    assert fitted.shape[:2] == shape
    if fit != "contain" and channels == 3:
        assert fitted.shape[2] == 3


def test_cover_is_centered_and_contain_leaves_transparent_bars():
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, 20:60] = 255
    assert (fit_picture(image, (40, 40), "cover") == 255).all()
    contained = fit_picture(image, (80, 80), "contain")
    assert (contained[20:60, :, 3] == 255).all() and not contained[:20, :, 3].any() and not contained[60:, :, 3].any()


def test_tiles_repeat():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert np.array_equal(fit_picture(image, (4, 3), "tile"), np.tile(image, (2, 2, 1))[:, :3])


def test_hidden_colors_stay_hidden_when_a_picture_is_resized():
    image = np.zeros((20, 20, 4), np.uint8)
    image[..., :3] = (0, 255, 0)  # green, transparent
    image[:, 10:] = (200, 0, 0, 255)
    for shape in ((9, 9), (50, 50)):
        small = resize(image, shape)
        assert small[small[..., 3] > 0][:, 1].max() <= 1


def test_an_unknown_fit_is_refused():
    with pytest.raises(UsageError, match="cover, contain, stretch, tile"):
        fit_picture(np.zeros((4, 4, 3), np.uint8), (5, 5), "fill")


def test_gray_is_luma_in_every_depth():
    picture = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]], np.uint8)
    assert gray(picture)[0, :, 0].tolist() == [76, 150, 29, 9]
    assert gray(picture.astype(np.uint16) * 257)[0, 1, 0] == round(0.587 * 65535)


def test_solid_and_checker():
    assert solid((1, 1), (255, 0, 128, 64), np.uint16).tolist() == [[[65535, 0, 128 * 257, 64 * 257]]]
    squares = checker((80, 80))
    assert set(np.unique(squares)) == {204, 255} and squares[0, 0, 0] == 255 and squares[0, 4, 0] == 204


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        *(("white", "color"), ("#12345678", "color"), ("rgb(1,2,3)", "color"), ("blur", "blur"), ("blur:3%", "blur")),
        *(("gray", "gray"), ("original", "original"), ("checker", "checker"), ("beach.jpg", "picture")),
        *(("a/b", "picture"), ("https://example.org/x", "picture")),
    ],
)
def test_backgrounds_by_name(text, kind):
    assert Background.parse(text).kind == kind


@pytest.mark.parametrize("text", ["reddish", "blur:x", "blur:-3", "", "checkers"])
def test_unknown_backgrounds_are_refused(text):
    with pytest.raises(UsageError):
        Background.parse(text)
