from itertools import pairwise

import numpy as np
import pytest

from figureground.compositing.visualization import class_color
from figureground.errors import IncompatibleParts, UnknownName
from figureground.io import color_modes
from figureground.io.picture import Picture
from figureground.methods import Method
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
    with pytest.raises(IncompatibleParts, match="SaliencyMap"):
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
