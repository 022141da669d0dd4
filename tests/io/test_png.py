import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from encoded import saved, srgb_profile, unpacked_png
from figureground.io import png as module
from figureground.io.png import EFFORTS, FILTERS, png
from photographs import FOLDER

MODES = [(), (1,), (2,), (3,), (4,)]  # grey, grey as one channel, grey and alpha, RGB, RGBA


def by_opencv(data):
    """(H, W) or (H, W, 2 to 4) in RGB order, with the file's own depth."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels.ndim == 2:
        return pixels
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)


def by_pillow(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def check(image, data):
    """`data` decodes to `image`: by the plain reader, by OpenCV and by Pillow, which cuts the depth of colours to 8."""
    flat = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    assert np.array_equal(unpacked_png(data), flat)
    gray_alpha = flat.ndim == 3 and flat.shape[2] == 2
    wide = np.concatenate([flat[..., :1]] * 3 + [flat[..., 1:]], -1) if gray_alpha else flat  # OpenCV has no grey and alpha
    assert np.array_equal(by_opencv(data), wide)
    pillow = by_pillow(data)
    if flat.dtype == np.uint8 or flat.ndim == 2:
        assert np.array_equal(pillow, flat)
    else:
        assert np.array_equal(pillow, wide >> 8)


@given(
    st.integers(1, 20), st.integers(1, 20), st.sampled_from(MODES), st.sampled_from([np.uint8, np.uint16]),
    st.sampled_from(list(EFFORTS)), st.integers(0, 999), st.sampled_from([1, 16, 255]),
)  # fmt: skip
@settings(deadline=None, max_examples=100)
def test_every_mode_and_shape_reads_back(height, width, channels, kind, effort, seed, coarse):
    noise = np.random.default_rng(seed).integers(0, np.iinfo(kind).max, (height, width, *channels), kind, endpoint=True)
    image = (noise // coarse * coarse).astype(kind)
    check(image, png(image, effort=effort))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", MODES)
def test_large_pictures_are_packed_in_parts(kind, channels, monkeypatch):
    monkeypatch.setattr(module, "PART", 3000)
    smooth = np.add.outer(np.arange(83), np.arange(59)).reshape(83, 59, *[1] * len(channels)) * 400
    image = (smooth + np.random.default_rng(0).integers(0, 300, (83, 59, *channels))).astype(kind)
    data = png(image)
    assert data.count(b"IDAT") > 3
    check(image, data)


def test_a_view_with_strides_of_its_own():
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 4), np.uint8)[::2, ::-1, :3]
    check(image, png(image))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", MODES)
def test_profile_and_resolution_are_kept_by_both_depths(kind, channels):
    icc = srgb_profile()
    data = png(np.full((5, 6, *channels), 77, kind), icc, (300, 72))
    assert data.index(b"iCCP") < data.index(b"pHYs") < data.index(b"IDAT")
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["icc_profile"] == icc
        assert image.info["dpi"] == pytest.approx((300, 72), abs=0.02)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_checksums_join(first, second):
    assert module._joined(zlib.adler32(first), zlib.adler32(second), len(second)) == zlib.adler32(first + second)


@given(st.tuples(*[st.integers(0, 255)] * 3))
@settings(max_examples=300)
def test_the_filters_are_the_formats_own(three):
    left, above, corner = three
    distances = [(abs(left + above - corner - value), place) for place, value in enumerate(three)]
    nearest = three[min(distances)[1]]
    arrays = [np.array([[value]], np.uint8) for value in three]
    assert FILTERS[4](*arrays)[0, 0] == nearest
    assert FILTERS[3](*arrays)[0, 0] == (left + above) // 2


@pytest.fixture(scope="module")
def cat():
    """A photograph cut out, enlarged, with a camera's noise, (H, W, 4) uint8."""
    with Image.open(FOLDER / "chelsea.jpg") as image, Image.open(FOLDER / "masks" / "chelsea.png") as mask:
        rgb = np.asarray(image.convert("RGB").resize((1200, 800), Image.Resampling.BICUBIC))
        alpha = (np.asarray(mask.resize((1200, 800))) > 0).astype(np.uint8) * 255
    noisy = np.clip(rgb + np.random.default_rng(0).normal(0, 2, rgb.shape), 0, 255).astype(np.uint8)
    return np.dstack([noisy * (alpha > 0)[..., None], alpha])


def test_files_are_no_larger_than_pillows(cat):
    default = len(saved(Image.fromarray(cat), "PNG"))
    assert len(png(cat)) <= default


def test_small_is_never_larger(cat):
    flat = cat // 32 * 32
    assert len(png(flat, effort="best")) < 0.95 * len(png(flat))
    assert len(png(cat, effort="best")) <= len(png(cat))


def test_the_header_says_what_is_in_it(cat):
    assert struct.unpack(">IIBB", png(cat)[16:26]) == (1200, 800, 8, 6)
