"""A separation is edited: every pair of options runs, and what an option promises holds in every depth and color space."""

from dataclasses import replace
from io import BytesIO
from itertools import combinations

import numpy as np
import pytest
from PIL import Image, ImageCms

from edits import GOOD, pair
from figureground.compositing.options import PRESETS, EditOptions, with_preset
from figureground.editing import check_background, compose, edit, filled_background
from figureground.errors import RefusedAddress, UsageError
from figureground.io.picture import Picture
from figureground.methods import find
from figureground.separation import Separation
from figureground.settings import Settings
from figureground.types import Instance, InstanceMap, LabelMap, SaliencyMap
from photographs import FOLDER, photograph

Y, X = np.mgrid[:48, :64].astype(np.float32)
MASK = np.clip((14 - np.hypot(X - 30, Y - 24)) / 3 + 0.5, 0, 1).astype(np.float32)


def separation(kind=np.uint8, channels=3, icc=None, map_found=None):
    """A bright disk on a dark gradient."""
    most = np.iinfo(kind).max
    ground = np.stack([X / 3, Y / 2, 20 + 0 * X], -1) / 255
    colors = MASK[..., None] * (0.9, 0.7, 0.4) + (1 - MASK[..., None]) * ground
    pixels = np.rint(colors * most).astype(kind)
    if channels == 4:
        pixels = np.dstack([pixels, np.where(X < 60, most, 0).astype(kind)])
    picture = Picture.read(pixels)
    if icc:
        picture = replace(picture, icc=icc)
    return Separation(picture, MASK, map_found or SaliencyMap(MASK), find("subject"))


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    """The path of a background of 20 × 10 pixels, half of it transparent."""
    image = np.zeros((10, 20, 4), np.uint8)
    image[:, :10] = (10, 200, 30, 255)
    path = tmp_path_factory.mktemp("behind") / "behind.png"
    Image.fromarray(image).save(path)
    return str(path)


@pytest.mark.parametrize(("one", "other"), list(combinations(GOOD, 2)))
def test_every_pair_runs_or_is_refused(one, other, behind):
    chosen = pair(one, other)
    if chosen.get("background") == "a.png":
        chosen["background"] = behind
    options = EditOptions(**chosen)
    try:
        options.validate()
    except UsageError:
        return
    edited = edit(separation(), options)
    image = compose(edited.separation, options)
    info = edited.info()
    assert image.shape[:2] == (info["height"], info["width"]) == edited.separation.mask.shape
    assert image.dtype == np.uint8
    if options.canvas:
        assert image.shape[:2] == (30, 40)


BACKGROUNDS = ["white", "#11223380", "blur:3", "gray", "original", "checker"]


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("background", BACKGROUNDS)
def test_sixteen_bits_are_kept_outside_of_the_soft_band(background, channels):
    done = separation(np.uint16, channels)
    image = compose(done, EditOptions(background=background))
    assert image.dtype == np.uint16
    opaque = (MASK == 1) & (X < 60)
    assert np.array_equal(image[opaque][:, :3], done.picture.original[opaque][:, :3])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_original_is_the_picture(kind):
    done = separation(kind)
    image = compose(done, EditOptions(background="original"))
    assert np.array_equal(image[MASK == 0], done.picture.original[MASK == 0])
    assert np.abs(image.astype(int) - done.picture.original).max() <= 1.5 * (np.iinfo(kind).max // 255)


def test_gray_keeps_the_lightness_of_the_picture_and_leaves_no_ring():
    done = separation()
    image = compose(done, EditOptions(background="gray")).astype(float)
    weights = np.array([0.299, 0.587, 0.114])
    assert np.abs(image @ weights - done.picture.original @ weights).max() <= 2
    assert np.ptp(image[MASK == 0], axis=1).max() == 0


@pytest.mark.parametrize("background", ["#804020", "blur:4"])
def test_no_halo_against_the_ideal_composite(background):
    done = separation()
    image = compose(done, EditOptions(background=background)).astype(float)
    ground = np.stack([X / 3, Y / 2, 20 + 0 * X], -1)
    if background == "blur:4":
        import cv2

        ground = cv2.GaussianBlur(ground, (0, 0), 4, borderType=cv2.BORDER_REFLECT)
    else:
        ground = np.full_like(ground, (128, 64, 32))
    ideal = MASK[..., None] * np.multiply((0.9, 0.7, 0.4), 255) + (1 - MASK[..., None]) * ground
    ring = (MASK < 1) & (np.hypot(X - 30, Y - 24) < 24)
    apart = np.abs(image - ideal)[ring]
    assert apart[:, :].mean() <= 2
    assert np.abs(image - ideal)[ring & (MASK == 0)].max() <= 2


def wide_profile():
    """A linear RGB space with larger primaries than sRGB, as bytes: made of sRGB's by exchanging its curves and colorants."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    at = profile.find(b"XYZ ", 128 + 4)
    return bytes(profile) if at < 0 else bytes(_widened(profile))


def _widened(profile):
    count = int.from_bytes(profile[128:132])
    for entry in range(count):
        tag = bytes(profile[132 + 12 * entry : 136 + 12 * entry])
        start = int.from_bytes(profile[136 + 12 * entry : 140 + 12 * entry])
        values = {b"rXYZ": (0.7977, 0.2880, 0.0), b"gXYZ": (0.1352, 0.7119, 0.0), b"bXYZ": (0.0313, 0.0001, 0.8249)}.get(tag)
        for place, value in enumerate(values or ()):
            profile[start + 8 + 4 * place : start + 12 + 4 * place] = round(value * 65536).to_bytes(4)
    return profile


def test_a_background_has_its_color_in_the_pictures_space():
    """Pure sRGB red behind a picture of a wide space: seen through the profile, it is red again."""
    icc = wide_profile()
    done = separation(icc=icc)
    image = compose(done, EditOptions(background="red"))
    assert tuple(image[0, 0]) != (255, 0, 0)
    profile = ImageCms.ImageCmsProfile(BytesIO(icc))
    transform = ImageCms.buildTransform(
        profile, ImageCms.createProfile("sRGB"), "RGB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    shown = np.asarray(transform.apply(Image.fromarray(image)))
    assert np.abs(shown[0, 0].astype(int) - (255, 0, 0)).max() <= 3
    white = compose(done, EditOptions(background="white"))
    assert white[0, 0].min() >= 254


def test_a_picture_behind_and_its_transparency(behind):
    image = compose(separation(), EditOptions(background=behind, background_fit="stretch"))
    assert image.shape[2] == 4
    assert image[2, 2].tolist() == [10, 200, 30, 255]
    assert image[2, 62, 3] == 0


def test_a_missing_picture_behind_is_an_error_that_names_it():
    from figureground.errors import UnreadablePicture

    with pytest.raises(UnreadablePicture, match="nowhere"):
        compose(separation(), EditOptions(background="nowhere.png"))


def test_outline_and_shadow_lie_below_the_subject():
    options = EditOptions(outline="4:#00ff00", shadow="drop", shadow_offset="0,6", background="white")
    image = compose(separation(), options)
    assert np.array_equal(image[24, 30], separation().picture.original[24, 30])
    assert image[24, 30 + 14 + 2].tolist() == [0, 255, 0]
    assert image[44, 33].max() < 250  # the shadow


def test_mask_changes_show_in_every_view():
    edited = edit(separation(), EditOptions(invert=True)).separation
    assert np.array_equal(edited.mask, 1 - MASK)
    assert edited.cutout()[0, 0, 3] == 255 and edited.cutout()[24, 30, 3] == 0
    grown = edit(separation(), EditOptions(grow="10%")).separation
    assert grown.box()[0] == pytest.approx(separation().box()[0] - 2.8, abs=1)


def test_crops_of_labels_and_objects():
    labels = LabelMap(np.where(MASK > 0.5, 1, 0).astype(np.uint8), ("ground", "disk"), (True, False))
    shown = edit(separation(map_found=labels), EditOptions(crop=True, canvas="60x60")).separation
    assert shown.map.labels.shape == (60, 60) and shown.labels().shape[1] == 60
    numbers = np.where(MASK > 0.5, 2, 0).astype(np.uint16)
    numbers[0, 0] = 1
    objects = InstanceMap(numbers, (Instance("speck", False, 1.0), Instance("disk", False, 1.0)))
    left = edit(separation(map_found=objects), EditOptions(crop=True)).separation
    assert [each.name for each in left.map.objects] == ["disk"]
    assert left.info()["instances"][0]["foreground"] > 0.9


def test_nothing_asked_for_is_nothing_done():
    done = separation()
    edited = edit(done, EditOptions())
    assert edited.separation is done
    assert np.array_equal(compose(done, EditOptions()), done.cutout())
    assert edited.info()["source"] == [0, 0, 64, 48]


def test_no_subject_leaves_the_picture_whole():
    empty = replace(separation(), mask=np.zeros_like(MASK))
    for options in (EditOptions(crop=True, margin="5%"), *(with_preset(name, {}) for name in PRESETS)):
        edited = edit(empty, options)
        assert compose(edited.separation, options).shape[:2] == (edited.info()["height"], edited.info()["width"])
        assert edited.info()["box"] is None


def test_fill_gives_a_background_without_the_subject():
    filled = filled_background(separation())
    assert filled.shape == (48, 64, 3)
    assert filled[24, 30].max() < 60


@pytest.mark.parametrize("name", PRESETS)
def test_presets_on_a_photograph(name):
    rgb = photograph(FOLDER / "astronaut.jpg")
    with Image.open(FOLDER / "masks" / "astronaut.png") as drawn:
        mask = (np.asarray(drawn.convert("L")) > 127).astype(np.float32)
    options = with_preset(name, {})
    edited = edit(Separation(Picture.read(rgb), mask, SaliencyMap(mask), find("subject")), options)
    image = compose(edited.separation, options)
    assert image.shape[2] == (4 if name == "sticker" else 3)
    left, top, _, bottom = edited.info()["box"]
    assert bottom == image.shape[0]  # she is cut off at the waist
    if name == "shop":
        assert (image[:5] == 255).all() and image.shape[0] == image.shape[1]
        assert left > 10 and top > 10
    if name == "passport":
        assert image.shape == (1062, 826, 3) and top > 100


def test_a_background_address_is_refused_where_the_settings_refuse_addresses():
    with pytest.raises(RefusedAddress):
        check_background(EditOptions(background="http://127.0.0.1:9/behind.png"), Settings(urls="none"))
