import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from encoded import cmyk_profile, gray_profile, png, png_chunk, saved, srgb_profile, swapped_profile, tiff
from figureground.io import color_modes as module
from figureground.io.color_modes import eight_bits, to_rgb8, to_srgb, upright
from figureground.io.decode import Loaded, decode
from figureground.io.orientation import exif_orientation
from figureground.settings import Settings

GREEN, MAGENTA = (0, 200, 0), (200, 0, 200)
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def read(data):
    return upright(decode(data, Settings()))


def of(image):
    return upright(Loaded(image))


def ramp(mode="L", width=16, height=4):
    """Every column lighter than the one before."""
    gray = np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))
    return Image.fromarray(gray).convert(mode)


def cornered():
    """Green top left, magenta bottom right, on grey; 48 wide, 32 high."""
    image = Image.new("RGB", (48, 32), (90, 90, 90))
    image.paste(GREEN, (0, 0, 16, 16))
    image.paste(MAGENTA, (32, 16, 48, 32))
    return image


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(kind, orientation):
    turn = STORED_AS[orientation]
    stored = cornered() if turn is None else cornered().transpose(turn)
    exif = Image.Exif()
    exif[274] = orientation
    result = read(saved(stored, kind, exif=exif, dpi=(100, 200)))
    assert result.pixels.shape == (32, 48, 3)
    assert np.abs(result.pixels[6, 6].astype(int) - GREEN).max() < 30
    assert np.abs(result.pixels[26, 42].astype(int) - MAGENTA).max() < 30
    if kind in ("JPEG", "PNG", "TIFF"):
        assert result.dpi == pytest.approx((200, 100) if orientation > 4 else (100, 200), abs=0.1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_sixteen_bits_and_of_pil_images(orientation):
    values = np.random.default_rng(0).integers(0, 65536, (5, 7, 3), np.uint16)
    exif = Image.Exif()
    exif[274] = orientation
    image = Image.fromarray((values >> 8).astype(np.uint8))
    image.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(of(image).pixels, expected)
    for data in (png(values, png_chunk(b"eXIf", exif.tobytes()[6:])), tiff(values, orientation)):
        result = read(data).pixels
        assert result.dtype == np.uint16
        assert np.array_equal(result >> 8, expected)


@pytest.mark.parametrize("value", [0, 9, 255, "6"])
def test_orientations_that_make_no_sense_are_passed_over(value):
    image = cornered()
    image.getexif()[274] = value
    assert np.array_equal(of(image).pixels, np.asarray(cornered()))


def test_broken_exif_data_are_passed_over():
    for exif in (b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"junk"):
        for kind in ("JPEG", "PNG", "WEBP"):
            assert np.abs(read(saved(cornered(), kind, exif=exif)).pixels[6, 6].astype(int) - GREEN).max() < 30

    class Broken(Image.Image):
        def getexif(self):
            raise RuntimeError

    image = Broken()
    image.__dict__.update(cornered().__dict__)
    assert exif_orientation(image) == 1


GRAYS = ["1", "L", "I;16", "I;16B", "I", "F", "LA", "La"]
COLORS = ["P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"]


def in_mode(image, mode):
    """`image` in a mode that Pillow's convert may not reach in one step."""
    if mode in ("LAB",):
        change = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        return change.apply(image.convert("RGB"))
    if mode in ("La", "PA"):
        return image.convert("LA").convert(mode)
    if mode in ("RGBa",):
        return image.convert("RGBA").convert(mode)
    if mode.startswith("I;16"):
        high = np.asarray(image.convert("L")).astype("<u2") * 257
        return Image.frombytes(mode, image.size, high.astype(">u2" if mode.endswith("B") else "<u2").tobytes())
    if mode in ("I", "F"):
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.int32 if mode == "I" else np.float32))
    return image.convert(mode, palette=Image.Palette.ADAPTIVE)


@pytest.mark.parametrize("mode", GRAYS + COLORS)
def test_every_mode_comes_out_with_its_own_colors(mode):
    image = in_mode(ramp(), mode)
    before = image.tobytes()
    result = of(image)
    expected = np.asarray(ramp("1").convert("L") if mode == "1" else ramp()).astype(int)
    has_alpha = mode in ("LA", "La", "PA", "RGBA", "RGBa")
    assert result.pixels.shape == (4, 16, 4 if has_alpha else 3)
    assert np.abs(eight_bits(result.pixels)[..., :3] - expected[..., None]).max() <= (2 if mode in ("LAB", "YCbCr") else 0)
    assert result.icc is None
    assert result.warnings == ()
    assert (result.pixels.dtype == np.uint16) == (mode[0] in "IF")
    assert image.mode == mode
    assert image.tobytes() == before


@pytest.mark.parametrize("mode", [mode for mode in COLORS if mode != "PA"])
def test_color_modes_keep_their_colors(mode):
    result = of(in_mode(Image.new("RGB", (3, 2), (200, 60, 20)), mode)).pixels[..., :3].astype(int)
    assert np.abs(result - (200, 60, 20)).max() <= 3


SAVES = {
    "JPEG": ["L", "RGB", "CMYK"],
    "PNG": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    "WEBP": ["L", "RGB", "RGBA"],
    "GIF": ["1", "L", "P", "RGB", "RGBA"],
    "BMP": ["1", "L", "P", "RGB", "RGBA"],
    "TIFF": ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I;16B", "I", "F"],
    "AVIF": ["L", "LA", "RGB", "RGBA"],
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in SAVES.items() for mode in modes])
def test_every_mode_in_every_format(kind, mode):
    image = in_mode(ramp(width=64, height=16), mode)
    options = {"JPEG": {"quality": 98}, "WEBP": {"lossless": True}, "AVIF": {"quality": 98}}.get(kind, {})
    result = read(saved(image, kind, **options)).pixels
    reference = np.asarray(ramp("1", 64, 16).convert("L") if mode == "1" else ramp("L", 64, 16)).astype(int)
    assert np.abs(eight_bits(result)[..., :3] - reference[..., None]).max() <= (
        2 if options == {} and (kind, mode) != ("GIF", "RGBA") else 8
    )


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "group4"])
def test_compressed_tiffs(compression):
    mode = "1" if compression == "group4" else "RGB"
    image = cornered().convert(mode)
    assert np.array_equal(read(saved(image, "TIFF", compression=compression)).pixels, np.asarray(image.convert("RGB")))


def test_sixteen_bit_gray_is_exact():
    values = np.random.default_rng(0).integers(0, 65536, (6, 9, 1), np.uint16)
    for data in (png(values), tiff(values)):
        result = read(data)
        assert result.pixels.dtype == np.uint16
        assert np.array_equal(result.pixels, values.repeat(3, 2))


def test_sixteen_bit_color_is_exact():
    values = np.random.default_rng(0).integers(0, 65536, (6, 9, 4), np.uint16)
    assert np.array_equal(read(png(values)).pixels, values)
    assert np.array_equal(read(png(values[..., :3])).pixels, values[..., :3])
    assert np.array_equal(read(tiff(values[..., :3])).pixels, values[..., :3])


def test_sixteen_bit_gray_that_counts_from_white():
    values = np.array([[[0], [1000], [65535]]], np.uint16)
    assert read(tiff(values, photometric=0)).pixels[0, :, 0].tolist() == [65535, 64535, 0]


def test_twelve_bits_reach_white():
    packed = np.frombuffer(bytes([0xFF, 0xF8, 0x00]), np.uint8)  # 4095 and 2048 in 12 bits each
    data = tiff(np.array([[[0], [0]]], np.uint16), bits=12)
    data = data[:-4] + packed.tobytes() + b"\0"
    assert read(data).pixels[0, :, 0].tolist() == [65535, round(2048 / 4095 * 65535)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 32768, 65535]),
        ([0.0, 127.5, 255.0], [0, 32768, 65535]),
        ([0.0, 1000.0, 65535.0], [0, 1000, 65535]),
        ([0.0, 1e6, 4e6], [0, 16384, 65535]),
        ([-1.0, 0.0, 1.0], [0, 32768, 65535]),
        ([-2.0, -2.0, -2.0], [0, 0, 0]),
        ([0.25, np.nan, np.inf], [16384, 0, 65535]),
        ([np.nan, np.nan, -np.inf], [0, 0, 0]),
        ([0.0, 0.0, 0.0], [0, 0, 0]),
    ],
)
def test_floats_are_scaled_and_not_clipped(values, expected):
    image = Image.fromarray(np.array([values], np.float32))
    result = of(image).pixels[0, :, 0]
    assert np.abs(result.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 128, 255], [0, 32896, 65535]),
        ([0, 256, 65535], [0, 256, 65535]),
        ([-9, 0, 9], [0, 32768, 65535]),
        ([0, 70000, 140000], [0, 32768, 65535]),
    ],
)
def test_whole_numbers_are_scaled_and_not_clipped(values, expected):
    assert of(Image.fromarray(np.array([values], np.int32))).pixels[0, :, 0].tolist() == expected


def alpha_of(data):
    result = read(data)
    assert result.pixels.shape[2] == 4
    return (result.pixels[..., 3] / np.iinfo(result.pixels.dtype).max)[0].tolist()


def test_transparent_colors():
    def key(*values):
        return png_chunk(b"tRNS", struct.pack(f">{len(values)}H", *values))

    gray = np.array([[[0], [5], [9]]], np.uint8)
    assert alpha_of(png(gray, key(5))) == [1, 0, 1]
    assert alpha_of(png(np.array([[[0], [2], [3]]], np.uint8), key(2), depth=2)) == [1, 0, 1]
    assert alpha_of(png(np.array([[[0], [2], [15]]], np.uint8), key(2), depth=4)) == [1, 0, 1]
    assert alpha_of(png(np.array([[[0], [1], [0]]], np.uint8), key(1), depth=1)) == [1, 0, 1]
    assert alpha_of(png(np.array([[[7], [4000], [9]]], np.uint16), key(4000))) == [1, 0, 1]
    color = np.array([[[1, 2, 3], [1, 2, 4], [0, 2, 3]]], np.uint8)
    assert alpha_of(png(color, key(1, 2, 4))) == [1, 0, 1]
    deep = np.array([[[1000, 2000, 3000], [1000, 2000, 3001], [1000, 2000, 3000]]], np.uint16)
    assert alpha_of(png(deep, key(1000, 2000, 3001))) == [1, 0, 1]


def test_a_transparent_color_where_only_the_upper_eight_bits_are_left(monkeypatch):
    import cv2

    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    deep = np.array([[[256, 512, 768], [1000, 2000, 3001]]], np.uint16)
    assert alpha_of(png(deep, png_chunk(b"tRNS", struct.pack(">3H", 1000, 2000, 3001)))) == [1, 0]


def test_transparent_palettes():
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    assert alpha_of(saved(image, "PNG", transparency=1)) == [1, 0, 1]
    assert alpha_of(saved(image, "GIF", transparency=1)) == [1, 0, 1]
    assert np.allclose(alpha_of(saved(image, "PNG", transparency=bytes([255, 51, 0]))), [1, 0.2, 0])
    image.putpalette([255, 0, 0, 128, 0, 255, 0, 255, 0, 0, 255, 0], "RGBA")
    assert of(image).pixels.tolist() == [[[255, 0, 0, 128], [0, 255, 0, 255], [0, 0, 255, 0]]]


def test_a_palette_picture_without_palette():
    image = Image.new("P", (3, 1))
    image.palette = None
    with pytest.raises(ValueError, match="no palette"):
        of(image)


def test_alpha_is_kept_and_put_over_white():
    values = np.array([[[200, 0, 0, 255], [200, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    result = read(png(values))
    assert np.array_equal(result.pixels, values)
    assert to_rgb8(result.pixels, None).tolist() == [[[200, 0, 0], [255, 255, 255], [127, 127, 127]]]
    opaque = np.dstack([values[..., :3], np.full((1, 3), 255, np.uint8)])
    assert np.array_equal(to_rgb8(opaque, None), values[..., :3])
    assert to_rgb8(values.astype(np.uint16) * 257, None).tolist() == [[[200, 0, 0], [255, 255, 255], [127, 127, 127]]]


def test_an_eight_bit_picture_in_srgb_is_not_copied():
    values = np.zeros((4, 5, 3), np.uint8)
    assert to_rgb8(values, None) is values
    assert to_rgb8(values, srgb_profile()) is values


@given(st.integers(0, 65535))
@settings(max_examples=100)
def test_sixteen_bits_become_the_nearest_eight(value):
    eight = int(eight_bits(np.array([value], np.uint16))[0])
    assert abs(eight - value / 257) <= 0.5


def test_rgb_profiles_are_kept_and_seen_through():
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    icc = swapped_profile()
    for kind in ("PNG", "JPEG", "TIFF", "WEBP", "AVIF"):
        result = read(saved(red, kind, icc_profile=icc))
        assert result.icc == icc
        assert np.abs(result.pixels.astype(int) - (255, 0, 0)).max() < 6
        assert np.abs(to_rgb8(result.pixels, result.icc).astype(int) - (0, 0, 255)).max() < 12
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert (to_rgb8(read(saved(clear, "PNG", icc_profile=icc)).pixels, icc) == 255).all()
    deep = np.zeros((4, 4, 3), np.uint16) + np.array([65535, 0, 0], np.uint16)
    assert np.abs(to_rgb8(deep, icc).astype(int) - (0, 0, 255)).max() < 12


def test_a_gray_picture_may_carry_an_rgb_profile():
    icc = swapped_profile()
    result = read(saved(ramp(), "PNG", icc_profile=icc))
    assert result.icc == icc
    assert np.array_equal(result.pixels, np.asarray(ramp("RGB")))


def test_gray_profiles_are_brought_to_srgb():
    expected = [0, 188, 255]  # half the light is 188 in sRGB
    image = Image.fromarray(np.array([[0, 128, 255]], np.uint8))
    for one in (image, image.convert("LA")):
        result = read(saved(one, "PNG", icc_profile=gray_profile()))
        assert result.icc is None
        assert np.abs(result.pixels[0, :, :3].astype(int) - np.array(expected)[:, None]).max() <= 1
    deep = Image.fromarray(np.array([[0, 128 * 257, 65535]], np.uint16))
    result = read(saved(deep, "PNG", icc_profile=gray_profile()))
    assert result.pixels.dtype == np.uint16
    assert np.abs(result.pixels[0, :, :3] / 257 - np.array(expected)[:, None]).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_goes_through_its_profile(kind):
    inks = np.zeros((16, 32, 4), np.uint8)
    inks[:, 16:, 0] = 255
    image = Image.frombytes("CMYK", (32, 16), inks.tobytes())
    plain, managed = read(saved(image, kind)), read(saved(image, kind, icc_profile=cmyk_profile()))
    for result, color in ((plain, (0, 255, 255)), (managed, (254, 0, 0))):  # the first ink: cyan, but red by the profile
        assert result.icc is None
        assert result.warnings == ()
        assert np.abs(result.pixels[8, 4].astype(int) - 255).max() < 4
        assert np.abs(result.pixels[8, 28].astype(int) - color).max() < 12


@pytest.mark.parametrize(
    ("mode", "icc"),
    [
        ("RGB", b"junk"),
        ("RGB", srgb_profile()[:200]),
        ("RGB", cmyk_profile()),
        ("RGB", gray_profile()),
        ("L", cmyk_profile()),
        ("L", b"\0" * 200),
        ("CMYK", srgb_profile()),
        ("CMYK", b"junk"),
    ],
)
def test_profiles_that_do_not_fit_are_passed_over_and_named(mode, icc):
    image = cornered().convert(mode)
    result = read(saved(image, "TIFF", icc_profile=icc))
    assert result.icc is None
    assert result.warnings == ("its color profile is unsound: sRGB is assumed",)
    assert np.array_equal(result.pixels, np.asarray(image.convert("RGB")))


def test_a_profile_that_is_no_bytes():
    image = cornered()
    image.info["icc_profile"] = (1, 2, 3)
    assert of(image).icc is None
    assert to_srgb(srgb_profile(), "L") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((72, 300), (72.0, 300.0)),
        (None, None),
        ("300", None),
        ((0, 0), None),
        ((float("nan"), 72), None),
        ((float("inf"), 72), None),
        ((-72, -72), None),
        ((1, 2, 3), None),
        (("a", "b"), None),
    ],
)
def test_dots_per_inch(value, expected):
    image = cornered()
    image.info["dpi"] = value
    assert of(image).dpi == expected


def test_strips_meet(monkeypatch):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (37, 11, 4), np.uint8))
    whole, whole_seen = of(image).pixels, to_rgb8(of(image).pixels, swapped_profile())
    monkeypatch.setattr(module, "STRIP", 50)
    assert np.array_equal(of(image).pixels, whole)
    assert np.array_equal(to_rgb8(whole, swapped_profile()), whole_seen)


def test_multi_picture_files_keep_their_first_pixels():
    buffer = io.BytesIO()
    cornered().save(buffer, "GIF", save_all=True, append_images=[Image.new("RGB", (48, 32))])
    assert np.abs(read(buffer.getvalue()).pixels[6, 6].astype(int) - GREEN).max() < 8
