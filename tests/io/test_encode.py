import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from encoded import unpacked_png
from figureground.errors import NameCollision, OutputExists, UnknownName, UsageError, WriteFailed
from figureground.io.encode import ENCODERS, PAGED, EncodeOptions, encode, encode_pages, encoder, over, parse_color
from figureground.io.files import Plan, refuse_collisions, refuse_existing, write
from figureground.io.metadata import Metadata, read_metadata
from figureground.io.picture import Picture

RGBA = np.random.default_rng(0).integers(0, 256, (40, 30, 4), np.uint8)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def read(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("suffix", [".png", ".webp"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_lossless_formats_keep_every_pixel(suffix, channels):
    image = RGBA[..., 0] if channels == 1 else RGBA[..., :channels].copy()
    if channels == 4:
        image = RGBA.copy()
        image[..., 3] = np.maximum(image[..., 3], 1)  # WebP may drop the colour of what cannot be seen
    back = np.asarray(read(encode(image, suffix)))
    if channels == 1 and back.ndim == 3:
        back = back[..., 0]
    assert np.array_equal(back, image)


PROFILED = [suffix for suffix in ENCODERS if suffix not in (".npy", ".gif", ".svg")]


@pytest.mark.parametrize("suffix", PROFILED)
@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bits_are_written_where_the_format_has_them(suffix, channels):
    deep = np.full((8, 9, channels), 40000, np.uint16)
    deep[..., 3:] = 65535
    data = encode(deep, suffix, EncodeOptions(icc=PROFILE, dpi=(300, 300)))
    if suffix == ".png":
        assert data[24] == 16
        assert np.array_equal(unpacked_png(data), deep)
    if suffix in PAGED:
        assert np.array_equal(Picture.read(data).original, deep)
    assert read(data).info["icc_profile"] == PROFILE
    assert np.abs(np.asarray(read(data)).astype(int)[..., :3] - 156).max() <= 2


def test_sixteen_bits_over_a_color():
    image = np.array([[[1, 2, 3, 0], [1, 2, 3, 65535], [40000, 0, 0, 32768]]], np.uint16)
    assert over(image, (255, 0, 1)).tolist() == [[[65535, 0, 257], [1, 2, 3], [52767, 0, 128]]]
    assert unpacked_png(encode(image, ".png", EncodeOptions(background="red"))).shape == (1, 3, 3)


def test_png_effort_small_is_smaller():
    flat = np.repeat(np.repeat(RGBA[:4, :4], 10, 0), 10, 1)
    fast, small = (encode(flat, ".png", EncodeOptions(png_effort=effort)) for effort in ("fast", "best"))
    assert len(small) < len(fast)
    assert np.array_equal(read(small), read(fast))


def test_npy_keeps_floats():
    mask = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    assert np.array_equal(np.load(io.BytesIO(encode(mask, ".npy"))), mask)


@pytest.mark.parametrize("suffix", PROFILED)
def test_profile_and_resolution_travel(suffix):
    data = encode(RGBA, suffix, EncodeOptions(icc=PROFILE, dpi=(300, 150)))
    assert read(data).info["icc_profile"] == PROFILE
    again = Picture.read(data)
    assert again.dpi == pytest.approx((300, 150), abs=0.1)
    assert again.icc == PROFILE


@pytest.mark.parametrize("suffix", PROFILED)
def test_metadata_travel_where_they_are_given(suffix):
    camera = Image.Exif()
    camera[271], camera[315] = "Camera", "Ada"
    said = Metadata(camera.tobytes().removeprefix(b"Exif\0\0"), b"<x:xmpmeta>hello</x:xmpmeta>")
    image = read(encode(RGBA, suffix, EncodeOptions(metadata=said)))
    assert (image.getexif()[271], image.getexif()[315]) == ("Camera", "Ada")
    assert read_metadata(image).xmp.rstrip(b"\0") == said.xmp
    plain = read(encode(RGBA, suffix))
    assert not plain.getexif().get(271) and not read_metadata(plain).xmp


def test_gif_has_one_transparent_color_and_srgb():
    image = np.zeros((20, 20, 4), np.uint8)
    image[:, :10] = (250, 10, 10, 255)
    image[:, 15:] = (0, 0, 255, 90)
    back = np.asarray(read(encode(image, ".gif", EncodeOptions(icc=PROFILE))).convert("RGBA"))
    assert np.abs(back[:, :10].astype(int) - (250, 10, 10, 255)).max() <= 8
    assert not back[:, 10:, 3].any()
    assert np.asarray(read(encode(image[..., :3], ".gif")).convert("RGB")).shape == (20, 20, 3)


def test_a_tiff_file_holds_several_pages():
    mask = np.full((40, 30), 200, np.uint8)
    options = [EncodeOptions(icc=PROFILE, dpi=(300, 300), background="red"), EncodeOptions()]
    file = Image.open(io.BytesIO(encode_pages([("cutout", RGBA), ("mask", mask)], options)))
    assert file.n_frames == 2 and file.tag_v2[285] == "cutout" and file.mode == "RGB"
    assert np.array_equal(np.asarray(file), over(RGBA, (255, 0, 0)))
    file.seek(1)
    assert file.tag_v2[285] == "mask" and np.array_equal(np.asarray(file), mask)


def test_quality_makes_smaller_files():
    smooth = np.tile(np.arange(200, dtype=np.uint8)[:, None, None], (1, 200, 3)) + RGBA[:1, :1, :3] // 8
    for suffix in (".jpg", ".avif", ".webp"):
        small, large = (len(encode(smooth, suffix, EncodeOptions(quality=quality))) for quality in (20, 95))
        assert small < large


def test_transparent_as_jpeg_gets_white_or_what_was_asked_for():
    clear = np.zeros((8, 8, 4), np.uint8)
    assert np.asarray(read(encode(clear, ".jpg"))).min() >= 254
    blue = np.asarray(read(encode(clear, ".jpg", EncodeOptions(background="blue"))))
    assert np.allclose(blue[0, 0], (0, 0, 255), atol=3)


def test_over_is_exact():
    image = np.array([[[10, 20, 30, 0], [10, 20, 30, 255], [100, 100, 100, 51]]], np.uint8)
    assert over(image, (200, 0, 100)).tolist() == [[[200, 0, 100], [10, 20, 30], [180, 20, 100]]]


@pytest.mark.parametrize(("text", "wanted"), [("white", (255, 255, 255)), ("#102030", (16, 32, 48)), ("#123", (17, 34, 51))])
def test_colors(text, wanted):
    assert parse_color(text) == wanted


def test_unknown_colors_and_formats():
    with pytest.raises(UsageError, match="reddish"):
        parse_color("reddish")
    with pytest.raises(UnknownName, match=r"did you mean '\.png'"):
        encode(RGBA, ".pn")


@pytest.mark.parametrize(
    ("suffix", "near"),
    [(".bmp", None), (".psd", None), (".jpge", ".jpg"), (".pgn", ".png"), (".web", ".webp")],
)
def test_only_a_close_format_is_suggested(suffix, near):
    with pytest.raises(UnknownName) as error:
        encoder(suffix)
    hint = f"; did you mean '{near}'?" if near else "."
    assert str(error.value) == f"no output format is called '{suffix}'{hint} Known: {', '.join(ENCODERS)}"


def test_an_outline_wants_a_mask():
    with pytest.raises(UsageError, match="a mask"):
        encode(RGBA, ".svg")
    half = np.zeros((20, 20), np.uint8)
    half[:, 10:] = 255
    floats = (half / 255).astype(np.float32)
    assert encode(half, ".svg") == encode(floats, ".svg")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    target = tmp_path / "a.png"
    target.write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteFailed, match="No space left"):
        write(b"new", target)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert target.read_bytes() == b"old"


def test_write_replaces_whole_files(tmp_path):
    target = tmp_path / "a.png"
    write(b"one", target)
    write(b"two", target)
    assert target.read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_write_to_a_device_does_not_replace_it():
    write(b"gone", Path("/dev/null"))
    assert not Path("/dev/null").is_file()


def test_two_views_are_never_one_file_and_an_input_is_never_a_target():
    def planned(*pairs):
        return [Plan(source, {"mask": Path(target)}) for source, target in pairs]

    refuse_collisions(planned(("a/x.jpg", "out/a.png"), ("b/x.png", "out/b.png"), ("-", "-"), ("c.png", "-")))
    with pytest.raises(NameCollision, match=r"'a/x\.jpg' and 'b/x\.png'"):
        refuse_collisions(planned(("a/x.jpg", "out/x.png"), ("b/x.png", "out/../out/x.png")))
    with pytest.raises(NameCollision, match="never written over"):
        refuse_collisions(planned(("x.mask.png", "y.png"), ("x.jpg", "x.mask.png")))


def test_refuse_existing(tmp_path):
    refuse_existing([tmp_path / "new.png"])
    (tmp_path / "old.png").touch()
    with pytest.raises(OutputExists, match=r"old\.png"):
        refuse_existing([tmp_path / "new.png", tmp_path / "old.png"])
    with pytest.raises(OutputExists, match=r"name another place with --out$"):
        refuse_existing([tmp_path / "old.png"], "--out")
    refuse_existing([Path("/dev/null")])  # nothing is replaced there
