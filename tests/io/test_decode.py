import io
import pickle
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from encoded import png, png_chunk, saved, tiff
from figureground.errors import FigureGroundError, PictureTooLarge, UnreadablePicture
from figureground.io import decode as module
from figureground.io.decode import decode, decode_errors, quiet
from figureground.io.picture import Picture
from figureground.settings import Settings

PLAIN = Settings(cache=Path("unused"))
LENIENT = Settings(cache=Path("unused"), lenient=True)
KINDS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF"]


def photo(width=64, height=48):
    """Noise that no codec packs into a few bytes."""
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8))


def refused(data, settings=PLAIN):
    with pytest.raises(FigureGroundError) as caught:
        decode(data, settings, "photo.jpg")
    message = str(caught.value)
    assert message.startswith("photo.jpg")
    assert "\n" not in message
    assert caught.value.picture == "photo.jpg"
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_is_read(kind):
    loaded = decode(saved(photo(), kind), PLAIN)
    assert loaded.image.size == (64, 48)
    assert loaded.warnings == []


def test_heic_is_read_where_its_reader_is_installed():
    heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    heif.from_pillow(photo().resize((64, 64))).save(buffer, quality=90)
    assert decode(buffer.getvalue(), PLAIN).image.size == (64, 64)
    assert refused(buffer.getvalue()[:-60]).code == "truncated"


def test_heic_without_its_reader_names_the_extra(monkeypatch):
    monkeypatch.setitem(module.FORMATS, "HEIF", "no_such_module")
    module._opener.cache_clear()
    error = refused(b"\0\0\0\x1cftypheic" + bytes(100))
    module._opener.cache_clear()
    assert error.code == "unsupported_format"
    assert "figureground[formats]" in str(error)


def test_an_empty_file():
    assert refused(b"").code == "empty_file"


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"<html>login</html>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9",
        b"%PDF-1.4",
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b"P6 2 2 255 " + bytes(12),
        b"SIMPLE  =                    T",
        b"qoif" + bytes(40),
        bytes(64),
    ],
)
def test_other_formats_reach_no_parser(data):
    assert refused(data).code == "unsupported_format"


@pytest.mark.parametrize(
    "start", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0\x00", b"BM are two letters", b"II*\0\xff\xff\xff\xff", b"GIF89a"]
)
def test_a_known_beginning_without_a_picture(start):
    assert refused(start).code in ("decode_error", "truncated")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated_is_an_error_by_default(kind, share):
    data = saved(photo(), kind)
    assert refused(data[: int(len(data) * share)]).code in ("truncated", "decode_error")


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("BMP", {}), ("GIF", {})]
)
def test_lenient_keeps_what_came(kind, options):
    data = saved(photo().convert("P") if kind == "GIF" else photo(), kind, **options)
    assert refused(data[: len(data) * 3 // 4]).code == "truncated"
    loaded = decode(data[: len(data) * 3 // 4], LENIENT)
    whole, part = (np.asarray(of.image.convert("RGB")).astype(int) for of in (decode(data, PLAIN), loaded))
    assert part.shape == whole.shape
    if options:  # all of it, in less detail; a grey sheet would be off by 64
        assert np.abs(part - whole).mean() < 40
    else:  # whole blocks of rows
        assert (part == whole).all(-1).mean() > 0.5
    assert "damaged" in loaded.warnings[0]
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_lenient_sets_a_damaged_tiff_upright():
    exif = Image.Exif()
    exif[274] = 6
    data = saved(photo(), "TIFF", compression="tiff_lzw", exif=exif)
    broken = data[:3000] + b"\xff" * 40 + data[3040:]
    assert refused(broken).code == "decode_error"
    loaded = decode(broken, LENIENT)
    assert loaded.image.size == (48, 64)
    assert loaded.quarter_turned


def test_lenient_cannot_read_what_has_no_pixels():
    data = saved(photo(), "WEBP")
    assert refused(data[: len(data) // 2], LENIENT).code in ("truncated", "decode_error")
    assert refused(b"\x89PNG\r\n\x1a\n", LENIENT).code in ("truncated", "decode_error")


def test_a_webp_whose_frame_is_damaged():
    data = bytearray(saved(photo(), "WEBP", lossless=True))
    data[25:] = bytes(len(data) - 25)
    assert refused(bytes(data)).code == "decode_error"


def test_side_chunks_of_a_png():
    values = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    wrong_sum = png_chunk(b"tEXt", b"Author\0someone")[:-4] + b"0000"
    assert refused(png(values, wrong_sum)).code == "decode_error"
    assert decode(png(values, wrong_sum), LENIENT).image.size == (4, 4)
    huge = png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1 << 21)))
    for data in (png(values, huge), png(values, late=huge)):  # Pillow's bound on text; the picture is well
        assert np.array_equal(np.asarray(decode(data, PLAIN).image), values)


def test_the_size_is_checked_before_a_pixel_is_decoded(monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    limits = Settings(cache=Path("unused"), max_pixels=64 * 48 - 1)
    for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF"):
        error = refused(saved(photo(), kind), limits)
        assert isinstance(error, PictureTooLarge)
        assert error.code == "too_large"
        assert "64 × 48" in str(error)


def test_a_bomb_beyond_pillows_own_limit_is_too_large():
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 50000, 50000, 1, 0, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + head + png_chunk(b"IDAT", zlib.compress(b"")) + png_chunk(b"IEND", b"")
    assert refused(data).code == "too_large"
    canvas = b"\0" + struct.pack("<I", 16382)[:3] * 2
    webp = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0" + canvas
    assert refused(b"RIFF" + struct.pack("<I", len(webp) + 30) + webp + bytes(30)).code == "too_large"


def test_pillows_limit_neither_warns_nor_refuses(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 48 // 2 + 1)  # Pillow warns above it, and raises above twice it
    for kind in ("JPEG", "PNG", "BMP", "TIFF"):
        assert decode(saved(photo(), kind), PLAIN).image.size == (64, 48)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for kind in ("JPEG", "PNG", "BMP"):
        assert decode(saved(photo(), kind), PLAIN).image.size == (64, 48)


def test_tiles_beyond_the_limit():
    values = np.zeros((16, 16, 1), np.uint8)
    with pytest.raises(PictureTooLarge, match="a tile of"):
        decode(tiff(values, tile=60000), PLAIN)


def test_too_many_bytes():
    data = saved(photo(), "PNG")
    assert refused(data, Settings(cache=Path("unused"), max_bytes=len(data) - 1)).code == "too_large"
    assert decode(data, Settings(cache=Path("unused"), max_bytes=len(data))).image.size == (64, 48)


def test_no_pixels():
    with pytest.raises(UnreadablePicture, match="no pixels"):
        module.check_size(0, 5, PLAIN, "x")


def scan_bomb(scans):
    """A progressive JPEG whose last scan comes again and again."""
    data = saved(photo(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + b"\xff\xd9"


def test_a_jpeg_of_endless_scans():
    assert refused(scan_bomb(module.MAX_SCANS)).code == "too_large"
    assert decode(scan_bomb(20), PLAIN).image.size == (64, 48)


def test_what_looks_like_scans_inside_segments_and_behind_the_end_does_not_count():
    data = saved(photo(), "JPEG")
    comment = b"\xff\xfe" + struct.pack(">H", 2 + 1000) + b"\xff\xda" * 500
    filled = data[:2] + comment + data[2:] + b"\xff\xda\x00\x02" * 500
    assert decode(filled, PLAIN).image.size == (64, 48)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF", "TIFF"])
def test_of_several_the_first_is_used_and_it_is_said(kind):
    red, blue = (Image.new("RGB", (32, 32), color) for color in ("red", "blue"))
    loaded = decode(saved(red, kind, save_all=True, append_images=[blue]), PLAIN)
    assert len(loaded.warnings) == 1
    assert "first" in loaded.warnings[0]
    assert np.abs(np.asarray(loaded.image.convert("RGB")).astype(int) - (255, 0, 0)).max() < 12


def test_a_broken_second_frame_is_no_fault_of_the_first(monkeypatch):
    def broken(_):
        raise ValueError

    data = saved(photo(), "GIF", save_all=True, append_images=[photo()])
    monkeypatch.setattr(module._opener("GIF")[0], "is_animated", property(broken))
    assert decode(data, PLAIN).warnings == []


def test_a_phones_second_picture_is_not_worth_a_warning():
    data = saved(photo(), "MPO", save_all=True, append_images=[photo()])
    assert decode(data, PLAIN).warnings == []


def test_sixteen_bits_are_kept():
    for channels in (3, 4):
        values = np.random.default_rng(channels).integers(0, 65536, (9, 7, channels), np.uint16)
        assert np.array_equal(decode(png(values), PLAIN).deep, values)
    colors = np.random.default_rng(0).integers(0, 65536, (9, 7, 3), np.uint16)
    assert np.array_equal(decode(tiff(colors), PLAIN).deep, colors)
    gray = np.random.default_rng(0).integers(0, 65536, (9, 7, 2), np.uint16)
    assert np.array_equal(decode(png(gray), PLAIN).deep, gray[..., [0, 0, 0, 1]])


def test_sixteen_bits_beyond_their_limit_become_eight(monkeypatch):
    values = np.random.default_rng(0).integers(0, 65536, (9, 7, 3), np.uint16)
    monkeypatch.setattr(module, "MAX_DEEP", 9 * 7 * 3 * 2)
    assert decode(png(values), PLAIN).warnings == []
    monkeypatch.setattr(module, "MAX_DEEP", 9 * 7 * 3 * 2 - 1)
    assert decode(png(values), PLAIN).warnings == ["its 16 bits a channel are read as 8"]


def test_what_is_left_of_damaged_sixteen_bits_are_eight():
    values = np.random.default_rng(0).integers(0, 65536, (90, 70, 3), np.uint16)
    loaded = decode(png(values)[:20_000], LENIENT)
    assert loaded.deep is None
    assert np.array_equal(np.asarray(loaded.image)[:40], values[:40] >> 8)
    assert len(loaded.warnings) == 2


@pytest.mark.parametrize("answer", ["none", "error", "eight", "other"])
def test_where_opencv_disagrees_pillows_eight_bits_are_used(monkeypatch, answer):
    import cv2

    values = np.random.default_rng(0).integers(0, 65536, (9, 7, 3), np.uint16)

    def imdecode(*_):
        if answer == "error":
            raise cv2.error("no")
        return {"none": None, "eight": values.astype(np.uint8), "other": values.copy()}[answer]

    monkeypatch.setattr(cv2, "imdecode", imdecode)
    loaded = decode(png(values), PLAIN)
    assert loaded.deep is None
    assert np.array_equal(np.asarray(loaded.image), values >> 8)
    assert loaded.warnings == ["its 16 bits a channel are read as 8"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (MemoryError(), "resource_limit"),
        (Image.DecompressionBombError("bomb"), "too_large"),
        (EOFError("no more"), "truncated"),
        (OSError("image file is truncated (5 bytes not processed)"), "truncated"),
        (KeyError("x" * 500), "decode_error"),
        (RuntimeError(), "decode_error"),
        (ValueError("two\nlines \x1b[31m"), "decode_error"),
        (UnreadablePicture("as it is", code="not_found"), "not_found"),
    ],
)
def test_whatever_a_parser_raises_becomes_one_line(fault, code):
    with pytest.raises(FigureGroundError) as caught, decode_errors("photo.jpg"):
        raise fault
    assert caught.value.code == code
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


def test_memory_that_does_not_suffice(monkeypatch):
    def load(_):
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    assert refused(saved(photo(), "PNG"), LENIENT).code == "resource_limit"


def remark():
    warnings.warn_explicit("odd file", UserWarning, "PIL/x.py", 1, module="PIL.TiffImagePlugin")


def test_pillows_remarks_stay_off_stderr_and_others_keep_theirs():
    with quiet(), quiet():
        remark()
        with pytest.warns(UserWarning, match="ours"):
            warnings.warn_explicit("ours", UserWarning, "app.py", 1, module="app")
    with pytest.warns(UserWarning, match="odd file"):
        remark()


def test_another_thread_keeps_its_filters_while_a_picture_is_decoded():
    inside, done, heard = threading.Event(), threading.Event(), []

    def decode_for_long():
        with quiet():
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=decode_for_long)
    thread.start()
    inside.wait(10)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        remark()
        heard += [str(each.message) for each in caught]
        filters = list(warnings.filters)
        done.set()
        thread.join()
        assert list(warnings.filters) == filters
    assert heard == ["odd file"]


def test_threads_may_decode_together():
    data = [saved(photo(), kind) for kind in ("PNG", "JPEG", "TIFF", "WEBP")]
    cut = data[0][: len(data[0]) // 2]
    outcomes = []

    def work(number):
        for turn in range(12):
            if (number + turn) % 3 == 0:
                try:
                    decode(cut, PLAIN)
                    outcomes.append("accepted")
                except UnreadablePicture:
                    outcomes.append("refused")
            elif (number + turn) % 3 == 1:
                outcomes.append(decode(cut, LENIENT).image.size)
            else:
                outcomes.append(decode(data[turn % 4], PLAIN).image.size)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 72
    assert set(outcomes) == {"refused", (64, 48)}


def test_libraries_below_say_nothing_on_stderr():
    colors = np.zeros((64, 64, 3), np.uint16)
    broken = bytearray(saved(photo(), "TIFF", compression="tiff_lzw"))
    broken[200:400] = b"\xff" * 200
    files = [bytes(broken), png(colors, png_chunk(b"iCCP", b"x\0\0" + zlib.compress(b"junk"))), tiff(colors)[:-9]]
    script = (
        "import sys, pickle\nfrom figureground.io.decode import decode\nfrom figureground.settings import Settings\n"
        "from figureground.errors import FigureGroundError\n"
        "for data in pickle.load(sys.stdin.buffer):\n"
        "    try: decode(data, Settings())\n    except FigureGroundError: print('refused')\n    else: print('read')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], input=pickle.dumps(files), capture_output=True, check=True)
    assert done.stdout.split() == [b"refused", b"read", b"refused"]
    assert done.stderr == b""


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("bare", [False, True])
def test_jpeg_2000_is_read(mode, bare):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 4), np.uint8)).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG2000", no_jp2=bare)
    picture = Picture.read(buffer.getvalue())
    assert np.array_equal(picture.original[..., :3], np.asarray(image.convert("RGB")))
    assert (picture.alpha is not None) == (mode == "RGBA")
    with pytest.raises(UnreadablePicture):
        Picture.read(buffer.getvalue()[:-200])
