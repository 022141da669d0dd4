import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageCms
from scipy import ndimage

from figureground.compositing.visualization import class_color
from figureground.errors import IncompatibleParts, NameCollision, UnknownName, UsageError, WriteFailed
from figureground.io import color_modes
from figureground.io.encode import ARRAYS, ENCODERS
from figureground.io.picture import Picture
from figureground.methods import METHODS, Method
from figureground.separation import VIEWS, Separation, check_views
from figureground.types import LabelMap, SaliencyMap

METHOD = Method("saliency", "salient")


def separation(pixels, mask, seen=None):
    mask = np.asarray(mask, np.float32)
    return Separation(Picture.read(np.asarray(pixels, np.uint8)), mask, seen or SaliencyMap(mask), METHOD)


@pytest.fixture
def square():
    """A white square on black, its mask exact: foreground in rows 2 to 4 and columns 3 to 6."""
    mask = np.zeros((8, 10), np.float32)
    mask[2:5, 3:7] = 1
    return separation(np.repeat((mask * 255)[..., None], 3, 2), mask)


def test_found_box_and_area(square):
    assert square.has_foreground()
    assert square.box() == (3, 2, 7, 5)
    info = square.info()
    assert (info["area"], info["coverage"], info["box"]) == (12, 0.15, [3, 2, 7, 5])
    assert info["warnings"] == []


def test_nothing_found_stays_nothing():
    faint = separation(np.zeros((5, 5, 3)), np.full((5, 5), 0.3))
    assert not faint.has_foreground()
    assert faint.box() is None
    assert faint.info()["coverage"] == 0
    assert faint.info()["warnings"] == ["no foreground was found"]


def test_foreground_and_background_add_up_to_the_picture():
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (20, 30, 3), np.uint8)
    done = separation(pixels, generator.random((20, 30)))
    total = done.foreground().astype(int) + done.background()
    assert np.abs(total - pixels).max() <= 1


def test_mask_view_rounds():
    assert separation(np.zeros((1, 3, 3)), [[0, 0.5, 1]]).view("mask").tolist() == [[0, 128, 255]]


def test_cutout_is_the_picture_with_the_mask_as_alpha(square):
    cutout = square.cutout()
    assert cutout.shape == (8, 10, 4)
    assert np.array_equal(cutout[..., 3], square.mask8())
    assert (cutout[2:5, 3:7, :3] == 255).all()
    assert not cutout[:2].any()  # nothing of the background is left behind


def test_transparent_parts_of_the_picture_stay_transparent():
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:2, :, 3] = 255
    done = separation(pixels, np.ones((4, 4)))
    assert done.cutout()[..., 3].tolist() == [[255] * 4] * 2 + [[0] * 4] * 2


def deep(pixels, mask):
    """A separation of a picture of 16 bits."""
    mask = np.asarray(mask, np.float32)
    return Separation(Picture.read(np.asarray(pixels, np.uint16)), mask, SaliencyMap(mask), METHOD)


def test_sixteen_bits_stay_sixteen_bits_where_the_colors_are_the_pictures():
    done = deep(np.full((1, 3, 3), 40001), [[0, 0.25, 1]])
    cutout = done.cutout()
    assert cutout.dtype == np.uint16
    assert cutout[0, :, 3].tolist() == [0, 16384, 65535]
    assert cutout[0, 2].tolist() == [40001, 40001, 40001, 65535]
    assert done.foreground()[0, :, 0].tolist() == [0, 10000, 40001]
    assert done.background()[0, :, 0].tolist() == [40001, 30001, 0]
    assert done.foreground().dtype == done.background().dtype == np.uint16
    assert done.mask8().dtype == done.overlay().dtype == np.uint8


def test_transparency_counts_in_sixteen_bits_as_in_eight():
    pixels = np.array([[[65535, 0, 257, 0], [25700, 25700, 25700, 32768], [257, 514, 771, 65535]]])
    done, shallow = deep(pixels, np.ones((1, 3))), separation(np.rint(pixels / 257), np.ones((1, 3)))
    for view in ("cutout", "foreground", "background"):
        assert np.abs(done.view(view) / 257 - shallow.view(view)).max() <= 1
    assert done.foreground()[0, 0].tolist() == [65535] * 3  # over white: what is transparent has no colour to show
    assert done.cutout()[0, :, 3].tolist() == [0, 32768, 65535]


def test_overlay_dims_only_the_background():
    pixels = np.full((60, 60, 3), 200, np.uint8)
    mask = np.zeros((60, 60), np.float32)
    mask[20:40, 20:40] = 1
    view = separation(pixels, mask).overlay()
    assert (view[28:32, 28:32] == 200).all()
    assert (view[2:8, 2:8] < 100).all()
    assert not (view[20, 20] == 200).all()  # the line around the subject


@pytest.fixture
def labeled():
    labels = np.zeros((40, 200), np.uint8)
    labels[:, 120:] = 2
    seen = LabelMap(labels, ("sky", "tree", "cat"), (True, False, False))
    return separation(np.zeros((40, 200, 3)), labels == 2, seen)


def test_labels_shows_each_class_and_a_legend(labeled):
    view = labeled.labels()
    assert view.shape[0] > 40 and view.shape[1:] == (200, 3)
    assert tuple(view[10, 10]) == class_color(0)
    assert tuple(view[10, 150]) == class_color(2)
    assert (view[40:] < 100).any()  # text


def test_json_lists_the_classes_found(labeled):
    assert labeled.info()["labels"] == [
        {"name": "sky", "share": 0.6, "stuff": True, "foreground": 0.0},
        {"name": "cat", "share": 0.4, "stuff": False, "foreground": 1.0},
    ]


def test_labels_need_a_label_map(square):
    with pytest.raises(IncompatibleParts, match="gives how much each pixel stands out"):
        square.labels()
    with pytest.raises(IncompatibleParts, match="view 'labels'"):
        check_views(("labels",), METHOD)


def test_unknown_view(square):
    with pytest.raises(UnknownName, match="did you mean 'mask'"):
        square.view("maks")


@pytest.mark.parametrize("name", [name for name, view in VIEWS.items() if SaliencyMap in view.needs])
@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (70, 1)])
def test_every_view_of_tiny_pictures(name, shape):
    view = separation(np.full((*shape, 3), 9), np.full(shape, 0.7)).view(name)
    assert view.shape[:2] == shape
    assert view.dtype == np.uint8
    assert deep(np.full((*shape, 3), 9), np.full(shape, 0.7)).view(name).shape == view.shape


@pytest.mark.parametrize("name", ["foreground", "background", "overlay"])
def test_views_do_not_depend_on_the_strips(name, monkeypatch):
    generator = np.random.default_rng(2)
    mask = generator.random((90, 40)).astype(np.float32)
    seen = LabelMap(generator.integers(0, 3, (90, 40), np.uint8), ("sky", "tree", "cat"), (True, False, False))
    done = separation(generator.integers(0, 256, (90, 40, 3)), mask, seen)
    whole = done.view(name)
    monkeypatch.setattr(color_modes, "SMALL_STRIP", 7 * 40)
    assert np.array_equal(done.view(name), whole)


def test_class_colors_differ():
    assert len({class_color(index) for index in range(150)}) == 150


def disc(side=120, radius=40, hole=0):
    rows, columns = np.mgrid[:side, :side] - side / 2 + 0.5
    distance = np.hypot(rows, columns)
    return ((distance < radius) & (distance >= hole)).astype(np.float32)


def certainty(mask, values=None):
    mask = np.asarray(mask, np.float32)
    return separation(np.zeros((*mask.shape, 3)), mask, SaliencyMap(mask if values is None else values)).certainty()


def test_a_solid_certain_subject_is_certain():
    assert certainty(disc()) == 1
    assert certainty(np.ones((50, 60))) == 1  # a subject that fills the picture has no holes
    assert certainty(np.zeros((50, 60))) is None


def test_certainty_is_of_the_models_own_probabilities():
    """The mask is made firm; what the model was unsure of stays uncertain."""
    sure = [certainty(disc(), 0.5 + (disc() - 0.5) * amount) for amount in (1, 0.8, 0.4, 0.1)]
    assert sure[0] == 1
    assert all(a > b + 0.05 for a, b in pairwise(sure))


@pytest.mark.parametrize("hole", [5, 10, 20, 30])
def test_a_hole_in_the_subject_is_not_certain(hole):
    mask = disc(hole=hole)
    assert certainty(mask) == pytest.approx(mask.sum() / disc().sum(), abs=1e-6)
    opened = mask.copy()
    opened[58:62, 60:] = 0  # a gap that leads out: no hole
    assert certainty(opened) == pytest.approx(1)


def test_a_subject_in_pieces_is_not_certain():
    mask = disc()
    mask[:, 58:62] = 0
    assert certainty(mask) == pytest.approx(0.5**0.5, abs=0.01)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (3000, 2), (1500, 1400)])
def test_certainty_of_any_shape_is_in_its_range(shape):
    values = np.random.default_rng(0).random(shape, np.float32)
    values.flat[0] = 1
    assert 0 <= certainty(values) <= 1


def test_certainty_of_a_large_picture_is_that_of_a_small_one():
    small = disc(200, 80, 15)
    assert certainty(small.repeat(8, 0).repeat(8, 1)) == pytest.approx(certainty(small), abs=0.01)


LEVELS = st.sampled_from([0, 0.3, float(np.nextafter(np.float32(0.5), np.float32(0))), 0.5, 0.7, 1])
MASKS = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=24), elements=LEVELS, fill=st.just(0))


def certainty_by_definition(mask, probability):
    """As docstring and scipy say, of small masks."""
    foreground = mask >= 0.5
    intersection, union = probability[foreground].sum(), (foreground + probability - foreground * probability).sum()
    parts, _ = ndimage.label(foreground, np.ones((3, 3)))
    filled = ndimage.binary_fill_holes(foreground)
    area, largest = foreground.sum(), np.bincount(parts[foreground]).max()
    return intersection / union * np.sqrt(largest / area) * area / filled.sum()


@given(MASKS, st.integers(0, 2**32 - 1))
def test_info_agrees_with_the_definition_of_each_figure(mask, seed):
    values = np.random.default_rng(seed).random(mask.shape, np.float32)
    done = separation(np.zeros((*mask.shape, 3)), mask, SaliencyMap(values))
    info, places = done.info(), np.argwhere(mask >= 0.5)
    assert info["found"] == (mask.max() >= 0.5) == done.has_foreground()
    assert info["area"] == len(places)
    assert info["coverage"] == round(len(places) / mask.size, 6)
    if not len(places):
        assert (info["box"], info["certainty"], done.box(), done.certainty()) == (None,) * 4
        return
    (top, left), (bottom, right) = places.min(0), places.max(0) + 1
    assert info["box"] == [left, top, right, bottom] == list(done.box())
    wanted = certainty_by_definition(mask.astype(float), values.astype(float))
    assert done.certainty() == pytest.approx(wanted, abs=1e-9)
    assert info["certainty"] == round(done.certainty(), 4)


@given(MASKS, st.integers(0, 2**32 - 1))
def test_classes_found_are_counted_in_the_same_foreground(mask, seed):
    labels = np.random.default_rng(seed).integers(0, 3, mask.shape, np.uint8)
    done = separation(np.zeros((*mask.shape, 3)), mask, LabelMap(labels, ("sky", "tree", "cat"), (True, False, False)))
    found = {row["name"]: row["foreground"] for row in done.info()["labels"]}
    for index, name in enumerate(("sky", "tree", "cat")):
        inside = mask[labels == index] >= 0.5
        assert found.get(name) == (round(inside.sum() / inside.size, 4) if inside.size else None)


def test_the_license_is_the_models_unless_the_weights_have_their_own(square):
    assert square.license == square.info()["license"] == "Apache-2.0"
    assert replace(square, license="MIT").info()["license"] == "MIT"


def test_its_repr_is_one_short_line(square):
    assert repr(square) == "<Separation of the array: 10 × 8, 15.0% foreground within (3, 2, 7, 5), by model 'saliency'>"
    assert "no foreground was found" in repr(replace(square, mask=np.zeros((8, 10), np.float32)))


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(params=[np.uint8, np.uint16], ids=["8 bits", "16 bits"])
def photograph(request):
    """A separation of a picture with a profile and a resolution, in either depth."""
    generator = np.random.default_rng(5)
    pixels = generator.integers(0, np.iinfo(request.param).max, (20, 30, 3), request.param)
    mask = generator.choice(np.array([0, 0.5, 1], np.float32), (20, 30))
    picture = replace(Picture.read(pixels), icc=PROFILE, dpi=(300.0, 200.0))
    return Separation(picture, mask, SaliencyMap(mask), METHOD)


def decoded(data):
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)


def test_a_saved_cutout_keeps_depth_profile_and_resolution(photograph, tmp_path):
    photograph.save(tmp_path / "cut.png")
    assert np.array_equal(decoded((tmp_path / "cut.png").read_bytes()), photograph.cutout())
    with Image.open(tmp_path / "cut.png") as image:
        assert image.info["icc_profile"] == PROFILE
        assert image.info["dpi"] == pytest.approx((300, 200), abs=0.1)
    assert [path.name for path in tmp_path.iterdir()] == ["cut.png"], "no temporary file stays"


@pytest.mark.parametrize("suffix", ENCODERS)
def test_every_format_as_bytes_and_as_a_file(photograph, suffix, tmp_path):
    view = "mask" if suffix in ARRAYS else "cutout"
    photograph.save(str(tmp_path / f"cut{suffix.upper()}"), view)
    data = (tmp_path / f"cut{suffix.upper()}").read_bytes()
    assert data == photograph.to_bytes(suffix, view) == photograph.to_bytes(suffix[1:].upper(), view)
    if suffix == ".npy":
        assert np.array_equal(np.load(io.BytesIO(data)), photograph.mask)
        return
    if suffix == ".svg":
        assert data.startswith(b"<svg")
        return
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (30, 20)
        if suffix == ".gif":  # has no profiles
            return
        assert image.mode == ("RGB" if suffix in (".jpg", ".jpeg") else "RGBA")
        assert image.info["icc_profile"] == PROFILE


@pytest.mark.parametrize("view", ["cutout", "foreground", "background", "mask", "overlay"])
def test_a_pil_image_is_the_view_in_eight_bits(photograph, view):
    image, pixels = photograph.to_pil(view), photograph.view(view)
    assert np.array_equal(np.asarray(image), np.rint(pixels / (257 if pixels.dtype == np.uint16 else 1)))
    assert image.mode == {"cutout": "RGBA", "mask": "L"}.get(view, "RGB")
    assert image.info["dpi"] == (300.0, 200.0)
    assert image.info.get("icc_profile") == (PROFILE if VIEWS[view].own_colors else None)


def test_pillow_writes_the_profile_to_png(photograph):
    buffer = io.BytesIO()
    photograph.to_pil().save(buffer, "PNG")
    with Image.open(buffer) as image:
        assert image.info["icc_profile"] == PROFILE


def test_a_background_lies_behind_the_cutout(photograph):
    plain, red = photograph.to_pil(), photograph.to_pil(background="red")
    behind = Image.new("RGBA", plain.size, "red")
    behind.alpha_composite(plain)
    assert red.mode == "RGB" and red.info["icc_profile"] == PROFILE
    assert np.abs(np.asarray(red, int) - np.asarray(behind.convert("RGB"))).max() <= 1
    with Image.open(io.BytesIO(photograph.to_bytes("png", background="#ff0000"))) as image:
        assert image.mode == "RGB"
        assert np.abs(np.asarray(image, int) - np.asarray(red)).max() <= 1


def test_options_of_the_encoder_are_honoured(square):
    assert len(square.to_bytes("jpg", quality=5)) < len(square.to_bytes("jpg", quality=100))
    noisy = separation(np.random.default_rng(0).integers(0, 9, (64, 64, 3)), np.ones((64, 64)))
    assert len(noisy.to_bytes("png", png_effort="best")) <= len(noisy.to_bytes("png"))


@pytest.mark.parametrize(
    ("arguments", "options", "why"),
    [
        (("txt",), {}, "no output format is called '.txt'"),
        (("",), {}, "no output format"),
        (("png", "maks"), {}, "did you mean 'mask'"),
        (("png", "labels"), {}, "shows classes or single objects"),
        (("npy",), {}, "goes with the view 'mask', but got the view 'cutout'"),
        (("png", "foreground"), {"background": "white"}, "the view cutout, but got the view 'foreground'"),
        (("jpg",), {"background": "nocolor"}, "expected a color .* but got 'nocolor'"),
        (("jpg",), {"background": 3}, "expected a color .* but got '3'"),
        (("png",), {"quality": 90}, r"quality applies to \.avif, \.jpeg, \.jpg, \.webp files, but got the suffix \.png"),
        *((("jpg",), {"quality": wrong}, "a whole number from 1 to 100, but got") for wrong in (0, 101, 9.5, True, "90")),
        (("webp",), {"png_effort": "best"}, r"png_effort applies to \.png files"),
        (("png",), {"png_effort": "most"}, "png_effort is one of fast, best, but got 'most'"),
    ],
)
def test_what_cannot_be_encoded_is_refused_in_one_line(square, tmp_path, arguments, options, why):
    with pytest.raises(UsageError, match=why):
        square.to_bytes(*arguments, **options)
    suffix, *view = arguments
    with pytest.raises(UsageError, match=why) as error:
        square.save(tmp_path / ("cut" + (suffix and f".{suffix}")), *view, **options)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_to_pil_refuses_what_it_cannot_show(square):
    with pytest.raises(UsageError, match="no view is called"):
        square.to_pil("cutuot")
    with pytest.raises(UsageError, match="the view cutout, but got the view 'mask'"):
        square.to_pil("mask", background="white")
    with pytest.raises(UsageError, match="expected a color"):
        square.to_pil(background="nocolor")


def test_a_file_is_replaced_whole_or_stays_as_it_was(square, tmp_path, monkeypatch):
    target = tmp_path / "cut.png"
    target.write_bytes(b"before")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(WriteFailed, match="No space left"):
            square.save(target)
    assert target.read_bytes() == b"before" and len(list(tmp_path.iterdir())) == 1
    square.save(target)
    assert target.read_bytes() == square.to_bytes()
    with pytest.raises(WriteFailed, match=r"no/cut\.png' cannot be written"):
        square.save(tmp_path / "no" / "cut.png")


def test_the_picture_itself_is_never_written_over(photo, square):
    before = photo.read_bytes()
    done = replace(square, picture=Picture.read(photo))
    for path in (photo, photo.parent / "." / photo.name, photo.parent.parent / photo.parent.name / photo.name):
        with pytest.raises(NameCollision, match="is the picture itself, which is never written over"):
            done.save(path)
    assert photo.read_bytes() == before


@pytest.mark.parametrize("shape", [(1, 1), (900, 1700), (1, 4000), (40, 30)])
def test_a_notebook_shows_a_small_cutout(shape):
    mask = np.zeros(shape, np.float32)
    mask[: shape[0] // 2 + 1] = 1
    pixels = np.full((*shape, 4), (200, 200, 200, 255), np.uint8)
    pixels[:, : shape[1] // 2, 3] = 0  # half of it is transparent by itself
    data = separation(pixels, mask)._repr_png_()
    shown = decoded(data)
    assert max(shown.shape) == min(512, max(shape)) or shape == (1, 1)
    assert shown.shape[0] / shown.shape[1] == pytest.approx(shape[0] / shape[1], rel=0.05) or min(shown.shape[:2]) == 1
    assert len(data) < 1_100_000
    assert shown[0, -1].tolist() == [200, 200, 200, 255]
    assert shown[0, 0, 3] == (255 if shape[1] == 1 else 0)  # a side of 1 has no left half
    if shape[0] > 2:
        assert not shown[-1].any()


def test_a_notebook_shows_a_draft_too():
    small, mask = np.full((100, 150, 3), 90, np.uint8), np.ones((800, 1200), np.float32)
    picture = replace(Picture.read(small), own_shape=(800, 1200))
    shown = decoded(Separation(picture, mask, SaliencyMap(mask), METHOD)._repr_png_())
    assert shown.shape == (341, 512, 4) and (shown == (90, 90, 90, 255)).all()


def test_views_use_no_more_threads_than_the_settings_allow(monkeypatch):
    """Also those that are asked for later: a server or a worker counts on it."""
    used = []
    monkeypatch.setattr("figureground.executor.cores", lambda: 8)
    monkeypatch.setattr("figureground.executor._pool", lambda count: used.append(count) or ThreadPoolExecutor(count))
    picture = Picture.read(np.random.default_rng(0).integers(0, 256, (1200, 900, 3), np.uint8))
    mask = np.zeros(picture.rgb.shape[:2], np.float32)
    mask[300:900, 200:700] = 1
    for threads in (1, 2, 0):
        done = Separation(picture, mask, SaliencyMap(mask), METHODS["subject"], threads=threads)
        used.clear()
        for view in ("cutout", "foreground", "background", "overlay"):
            done.view(view)
        done.to_bytes("png")
        assert max(used, default=1) <= (threads or 8)
        assert bool(used) == (threads != 1)
