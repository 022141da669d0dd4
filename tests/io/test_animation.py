"""Animations are read as a viewer shows them, under limits, and written with their durations, plays and number of frames."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from animations import animated, drawn, shown, square
from figureground.errors import PictureTooLarge, UnreadablePicture, UsageError
from figureground.io.animation import MAX_FRAMES, Animation, opaque, read_animation
from figureground.io.animation_writers import WRITERS, animation_writer
from figureground.io.encode import FRAMED, EncodeOptions
from figureground.io.metadata import Metadata
from figureground.io.picture import Encoded, Picture
from figureground.settings import Settings

SETTINGS = Settings()
FRAMES = [drawn(square(step)) for step in range(5)]
DURATIONS = [40, 100, 50, 1000, 60]
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def clear(frames):
    """The frames with alpha: transparent where it is dark, half transparent in a corner."""
    result = [np.dstack([frame, np.where(frame.max(2) > 100, 255, 0).astype(np.uint8)]) for frame in frames]
    for frame in result:
        frame[:6, :6] = (90, 200, 30, 200)
    return result


def read(data, **limits):
    result = read_animation(data, Settings(**limits))
    assert isinstance(result, Animation), result
    return result


CASES = {
    "gif": ("GIF", FRAMES, {}),
    "gif-keep": ("GIF", clear(FRAMES), {"disposal": 1}),
    "gif-background": ("GIF", clear(FRAMES), {"disposal": 2}),
    "gif-previous": ("GIF", clear(FRAMES), {"disposal": [0, 3, 1, 2, 0]}),
    "webp": ("WEBP", FRAMES, {}),
    "webp-alpha": ("WEBP", clear(FRAMES), {}),
    "png": ("PNG", FRAMES, {}),
    "png-over": ("PNG", clear(FRAMES), {"blend": 1, "disposal": [0, 1, 2, 0, 1]}),
    "png-source": ("PNG", clear(FRAMES), {"blend": 0, "disposal": [1, 2, 0, 0, 2]}),
    "png-gray": ("PNG", [frame[..., 0] for frame in FRAMES], {}),
}


@pytest.mark.parametrize("name", CASES)
def test_frames_are_as_pillow_composes_them(name):
    kind, frames, options = CASES[name]
    data = animated(frames, kind, duration=DURATIONS, loop=3, **options)
    animation = read(data)
    assert animation.count == len(FRAMES)
    assert animation.plays == (4 if kind == "GIF" else 3)
    for _ in range(2):  # it can be walked through again
        found = list(animation.frames())
        assert [duration for _, duration in found] == DURATIONS
        for (picture, _), (pixels, _) in zip(found, shown(data), strict=True):
            visible = pixels[..., 3] > 0
            assert np.array_equal(picture.original[..., 3], pixels[..., 3])
            assert np.array_equal(picture.original[visible], pixels[visible])
            assert (picture.rgb[~visible] == 255).all()


def test_a_part_that_is_laid_over_the_frame_before():
    """Expected by hand: red; a part, blue and transparent, laid over it; the part taken away again, and green."""
    writer = animation_writer(".png")
    red = np.full((8, 8, 4), (255, 0, 0, 255), np.uint8)
    part, green = red.copy(), red.copy()
    part[2:5, 3:7], part[2:5, 5:7] = (0, 0, 255, 255), (0, 9, 0, 0)
    green[0, 0] = (0, 255, 0, 255)
    for image in (red, part, green):
        writer.add(image, 100)
    data = bytearray(writer.finish())
    second = [at for at in range(len(data)) if data[at : at + 4] == b"fcTL"][1]
    data[second + 28 : second + 30] = b"\2\1"  # laid over what was there, which comes back afterwards
    data[second + 30 : second + 34] = struct.pack(">I", zlib.crc32(data[second : second + 30]))
    pixels = [picture.original for picture, _ in read(bytes(data)).frames()]
    blue = red.copy()
    blue[2:5, 3:5] = (0, 0, 255, 255)
    assert np.array_equal(pixels[1], blue)
    assert np.array_equal(pixels[2], green)


def test_a_picture_before_the_animation_is_no_frame_of_it():
    data = animated(FRAMES, "PNG", duration=DURATIONS[1:], default_image=True)
    animation = read(data)
    assert animation.count == 4
    assert [duration for _, duration in animation.frames()] == DURATIONS[1:]
    assert np.array_equal(next(animation.frames())[0].rgb, FRAMES[1])


@pytest.mark.parametrize(("kind", "options", "plays"), [("GIF", {}, 1), ("GIF", {"loop": 0}, 0), ("PNG", {"loop": 0}, 0)])
def test_how_often_it_plays(kind, options, plays):
    assert read(animated(FRAMES, kind, **options)).plays == plays


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "JPEG", "TIFF"])
def test_a_picture_of_one_frame_stays_a_picture(kind, tmp_path):
    path = tmp_path / "one"
    Image.fromarray(FRAMES[0]).save(path, kind)
    result = read_animation(path, SETTINGS)
    assert isinstance(result, Encoded) and result.source == str(path)
    assert Picture.read(result).original.shape == (48, 64, 3)
    array = FRAMES[0]
    assert read_animation(array, SETTINGS) is array


def test_pages_are_no_frames():
    assert isinstance(read_animation(animated(FRAMES, "TIFF"), SETTINGS), Encoded)


def test_all_frames_count_against_the_limit():
    data = animated(FRAMES)
    limit = 5 * 48 * 64
    assert read(data, max_pixels=limit).count == 5
    with pytest.raises(PictureTooLarge, match="5 frames of 64 × 48") as error:
        read(data, max_pixels=limit - 1)
    assert error.value.code == "too_large" and "\n" not in str(error.value)
    assert Picture.read(data, Settings(max_pixels=limit - 1)).rgb.shape == (48, 64, 3)


def test_too_many_small_frames_are_refused_before_any_is_decoded():
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2\2\x44\1\0"
    assert read(head + 3 * frame + b";").count == 3
    with pytest.raises(PictureTooLarge, match="frames"):
        read(head + (MAX_FRAMES + 1) * frame + b";")


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_an_animation_that_is_cut_short(kind):
    noisy = [np.random.default_rng(number).integers(0, 255, (40, 40, 3)).astype(np.uint8) for number in range(6)]
    data = animated(noisy, kind)
    short = data[: len(data) * 3 // 4]
    with pytest.raises(UnreadablePicture) as error:
        # libwebp takes no part of a file: then the picture is refused as one
        Picture.read(read_animation(short, SETTINGS)) if kind == "WEBP" else list(read(short).frames())
    assert "\n" not in str(error.value)
    if kind != "WEBP":
        lenient = list(read(short, lenient=True).frames())
        assert 1 <= len(lenient) < 6
        assert np.array_equal(lenient[0][0].original, next(read(data).frames())[0].original)


def test_an_opaque_frame_is_a_picture_without_alpha():
    picture, _ = next(read(animated(FRAMES, "WEBP")).frames())
    assert picture.original.shape == (48, 64, 4) and picture.alpha.min() == 1
    assert opaque(picture).alpha is None
    assert np.array_equal(opaque(picture).original, FRAMES[0])


def test_every_format_that_holds_frames_has_a_writer():
    assert tuple(WRITERS) == FRAMED
    with pytest.raises(UsageError, match=r"\.jpg"):
        animation_writer(".jpg")


@pytest.mark.parametrize("suffix", FRAMED)
@pytest.mark.parametrize("plays", [0, 1, 3])
@pytest.mark.parametrize("frames", [FRAMES, clear(FRAMES)], ids=["opaque", "clear"])
def test_what_is_written_is_read_again(suffix, plays, frames):
    frames = [*frames, frames[-1]]  # one that changes nothing is kept as well
    durations = [*DURATIONS, 0]
    writer = animation_writer(suffix, plays)
    for frame, duration in zip(frames, durations, strict=True):
        writer.add(frame, duration)
    data = writer.finish()
    assert not writer.rounded
    animation = read(data)
    assert (animation.count, animation.plays) == (6, plays)
    found = list(animation.frames())
    assert [duration for _, duration in found] == durations
    for frame, (picture, _), (pixels, _) in zip(frames, found, shown(data), strict=True):
        assert np.array_equal(picture.original[..., 3], pixels[..., 3])
        alpha = frame[..., 3] if frame.shape[2] == 4 else np.full(frame.shape[:2], 255)
        if suffix == ".gif":
            alpha = np.where(alpha >= 128, 255, 0)
        assert np.array_equal(picture.original[..., 3], alpha)
        assert np.array_equal(picture.original[alpha > 0][:, :3], frame[alpha > 0][:, :3])


def test_durations_that_a_format_cannot_hold_are_rounded_and_their_sum_is_kept():
    durations = [1000 / 30] * 30
    for suffix, step in ((".gif", 10), (".webp", 1), (".png", 0)):
        writer = animation_writer(suffix)
        for number, duration in enumerate(durations):
            writer.add(np.full((4, 4, 3), number, np.uint8), duration)
        found = [duration for _, duration in read(writer.finish()).frames()]
        assert sum(found) == pytest.approx(1000)
        assert np.abs(np.subtract(found, durations)).max() <= max(step, 1e-9)
        assert writer.rounded == (step > 0)


def test_a_gif_of_many_colors_has_one_palette_and_stands_still_where_the_picture_does():
    y, x = np.mgrid[:40, :60]
    scene = np.dstack([4 * x, 6 * y, 255 - 2 * x - 2 * y]).astype(np.uint8)
    frames = [scene.copy() for _ in range(4)]
    for number, frame in enumerate(frames):
        frame[5:15, 5 + 8 * number : 15 + 8 * number] = (250, 20, 20)
    writer = animation_writer(".gif")
    for frame in frames:
        writer.learn(frame)
    for frame in frames:
        writer.add(frame, 50)
    found = [pixels[..., :3].astype(int) for pixels, _ in shown(writer.finish())]
    assert all(np.array_equal(found[0][20:], pixels[20:]) for pixels in found)
    for frame, pixels in zip(frames, found, strict=True):
        assert np.abs(pixels - frame).mean() < 8
        assert np.abs(pixels.mean((0, 1)) - frame.mean((0, 1))).max() < 1.5, "dithering keeps the mean"


@pytest.mark.parametrize("suffix", [".webp", ".png"])
def test_profile_resolution_and_metadata_are_written_once(suffix):
    exif = Image.Exif()
    exif[271] = "Camera"
    options = EncodeOptions(icc=PROFILE, dpi=(300, 300), metadata=Metadata(exif.tobytes().removeprefix(b"Exif\0\0"), b"<x/>"))
    writer = animation_writer(suffix, options=options)
    for frame in FRAMES:
        writer.add(frame, 40)
    data = writer.finish()
    assert data.count(b"Camera") == 1
    with Image.open(BytesIO(data)) as image:
        assert image.info["icc_profile"] == PROFILE
        assert image.getexif()[271] == "Camera"
        assert image.info["xmp"] == b"<x/>"
    assert Picture.read(data).dpi == pytest.approx((300, 300), abs=0.1)


def test_lossy_webp_is_smaller_and_near():
    noisy = [np.random.default_rng(number).integers(90, 160, (40, 40, 3)).astype(np.uint8) for number in range(3)]
    sizes = []
    for quality in (None, 60):
        writer = animation_writer(".webp", options=EncodeOptions(quality=quality))
        for frame in noisy:
            writer.add(frame, 40)
        sizes.append(len(writer.finish()))
    assert sizes[1] < sizes[0] / 2


@pytest.mark.parametrize("suffix", FRAMED)
def test_frames_of_other_shapes_are_refused(suffix):
    writer = animation_writer(suffix)
    writer.add(np.zeros((4, 4, 3), np.uint8), 10)
    with pytest.raises(UsageError, match="one shape"):
        writer.add(np.zeros((4, 5, 3), np.uint8), 10)


@pytest.mark.parametrize("suffix", FRAMED)
@pytest.mark.parametrize(
    ("images", "behind", "colors"),
    [
        ([np.full((4, 4, 4), (level, 0, 0, level), np.uint16) for level in (0, 65535)], "white", [[255] * 3, [255, 0, 0]]),
        ([np.full((4, 4), level, np.uint8) for level in (0, 200)], None, [[0] * 3, [200] * 3]),
    ],
)
def test_images_of_other_kinds(suffix, images, behind, colors):
    writer = animation_writer(suffix, options=EncodeOptions(behind))
    for image in images:
        writer.learn(image)
    for image in images:
        writer.add(image, 10)
    assert [picture.rgb[0, 0].tolist() for picture, _ in read(writer.finish()).frames()] == colors
