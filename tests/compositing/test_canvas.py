import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figureground.compositing.canvas import (
    Layout,
    apply_layout,
    parse_align,
    parse_canvas,
    parse_scale,
    plan_layout,
    subject_box,
)
from figureground.compositing.lengths import Length
from figureground.errors import UsageError

HEIGHT, WIDTH = 120, 200
BOX = (60, 30, 110, 100)  # 50 × 70
MASK = np.zeros((HEIGHT, WIDTH), np.float32)
MASK[30:100, 60:110] = 1
PIXELS = Length(10)
PERCENT = Length(20, percent=True)  # 14 pixels


def box_on_output(layout, mask=MASK):
    """Where the subject comes to lie, measured on the mask laid out."""
    return subject_box(apply_layout(mask, layout), 0.5)


CROPS = [
    ({}, (50, 70), (0, 0, 50, 70)),
    ({"margin": PIXELS}, (70, 90), (10, 10, 60, 80)),
    ({"margin": PERCENT}, (78, 98), (14, 14, 64, 84)),
    ({"square": True}, (70, 70), (10, 0, 60, 70)),
    ({"square": True, "margin": PIXELS, "align": (0, 0.5)}, (90, 90), (10, 10, 60, 80)),
    ({"square": True, "align": (1, 1)}, (70, 70), (20, 0, 70, 70)),
    ({"canvas": (140, 140)}, (140, 140), (20, 0, 120, 140)),
    ({"canvas": (160, 160), "margin": PIXELS}, (160, 160), (30, 10, 130, 150)),
    ({"canvas": (196, 98), "margin": PERCENT}, (196, 98), (73, 14, 123, 84)),
    ({"canvas": (400, 300), "scale": 0.7, "align": (0.5, 1)}, (400, 300), (125, 90, 275, 300)),
    ({"canvas": (25, 35)}, (25, 35), (0, 0, 25, 35)),
    ({"scale": 0.5}, (100, 140), (25, 35, 75, 105)),
]


@pytest.mark.parametrize(("options", "size", "box"), CROPS)
def test_crops_place_the_subject_to_the_pixel(options, size, box):
    layout = plan_layout((HEIGHT, WIDTH), BOX, crop=True, **options)
    assert layout.size == size
    assert apply_layout(MASK, layout).shape == size[::-1]
    assert np.abs(np.subtract(box_on_output(layout), box)).max() <= 1


def test_without_crop_the_whole_picture_lies_on_the_canvas():
    layout = plan_layout((HEIGHT, WIDTH), BOX, canvas=(400, 400))
    assert (layout.source, layout.target) == ((0, 0, WIDTH, HEIGHT), (0, 80, 400, 320))
    assert plan_layout((HEIGHT, WIDTH), BOX, square=True).target == (0, 40, 200, 160)
    assert plan_layout((HEIGHT, WIDTH), BOX, scale=0.5).size == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("box", "free"),
    [
        ((60, 50, 110, HEIGHT), "bottom"),
        ((0, 30, 50, 100), "left"),
        ((150, 30, WIDTH, 100), "right"),
        ((60, 0, 110, 60), "top"),
    ],
)
def test_a_side_that_the_frame_cuts_off_lies_at_the_outputs_frame(box, free):
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[box[1] : box[3], box[0] : box[2]] = 1
    for options in ({"margin": PIXELS}, {"margin": PERCENT, "square": True}, {"canvas": (300, 300), "margin": PIXELS}):
        layout = plan_layout((HEIGHT, WIDTH), box, crop=True, **options)
        left, top, right, bottom = box_on_output(layout, mask)
        rooms = {"left": left, "top": top, "right": layout.size[0] - right, "bottom": layout.size[1] - bottom}
        assert rooms.pop(free) <= 1
        assert min(rooms.values()) >= 9
    named = plan_layout((HEIGHT, WIDTH), box, crop=True, square=True, margin=PIXELS, align=(0.5, 0.5))
    assert min(box_on_output(named, mask)[:2]) >= 9  # where a place is named, it counts


@given(
    st.integers(1, 300), st.integers(1, 300), st.integers(0, 999), st.booleans(), st.booleans(),
    st.sampled_from([None, (50, 50), (300, 40), (7, 90)]), st.sampled_from([None, PIXELS, PERCENT, Length(2)]),
    st.sampled_from([None, (0.0, 0.0), (0.3, 1.0)]), st.sampled_from([None, 0.3, 1.0]), st.booleans(),
)  # fmt: skip
@settings(deadline=None, max_examples=200)
def test_every_layout_is_sound(height, width, seed, crop, square, canvas, margin, align, scale, inside):
    generator = np.random.default_rng(seed)
    left, right = sorted(generator.integers(0, width + 1, 2))
    top, bottom = sorted(generator.integers(0, height + 1, 2))
    box = (int(left), int(top), int(right), int(bottom)) if left < right and top < bottom else None
    options = {"crop": crop, "square": square and canvas is None, "margin": margin if scale is None else None}
    try:
        layout = plan_layout((height, width), box, canvas=canvas, align=align, scale=scale, inside=inside, **options)
    except UsageError:  # no room is left beside the margin
        assert margin is not None and canvas is not None
        return
    (l1, t1, r1, b1), (l2, t2, r2, b2) = layout.source, layout.target
    assert 0 <= l1 < r1 <= width and 0 <= t1 < b1 <= height
    assert 0 <= l2 < r2 <= layout.size[0] and 0 <= t2 < b2 <= layout.size[1]
    assert canvas is None or layout.size == canvas
    if inside:
        assert layout.target == (0, 0, *layout.size)
    if layout.size[0] * layout.size[1] < 100_000:
        assert apply_layout(np.ones((height, width, 3), np.uint8), layout, edge=True).all()


def test_inside_keeps_the_shape_and_shows_nothing_beyond_the_picture():
    layout = plan_layout((HEIGHT, WIDTH), BOX, crop=True, margin=Length(60), square=True, inside=True)
    assert layout.size == (120, 120) and layout.source[1::2] == (0, 120)
    assert layout.source[0] <= 60 and layout.source[2] >= 110
    plain = plan_layout((HEIGHT, WIDTH), BOX, crop=True, margin=Length(40), inside=True)
    assert plain.source == (20, 0, 150, 120)


def test_pixels_that_keep_their_size_are_copied_to_the_bit():
    image = np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH, 4), np.uint16)
    layout = plan_layout((HEIGHT, WIDTH), BOX, crop=True, margin=Length(25))
    assert np.array_equal(apply_layout(image, layout)[25:95, 25:75], image[30:100, 60:110])


@pytest.mark.parametrize("zoom", [0.37, 0.9, 1.7, 6.2])
def test_a_disk_keeps_its_center_and_its_radius(zoom):
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    disk = np.clip(20.98 - np.hypot(x - 83, y - 61), 0, 1).astype(np.float32)
    side = round(60 * zoom)
    layout = plan_layout((HEIGHT, WIDTH), subject_box(disk, 0.5), crop=True, canvas=(side, side), margin=Length(5))
    shown = apply_layout(disk, layout)
    center = [(shown.sum(axis) * (np.arange(side) + 0.5)).sum() / shown.sum() for axis in (0, 1)]
    assert center == pytest.approx([side / 2] * 2, abs=1)
    assert np.abs(np.subtract(subject_box(shown, 0.5), (5, 5, side - 5, side - 5))).max() <= 1


def test_labels_are_not_mixed():
    labels = np.random.default_rng(0).choice(np.array([3, 77, 140], np.uint8), (HEIGHT, WIDTH))
    for canvas in ((31, 17), (400, 300)):
        shown = apply_layout(labels, plan_layout((HEIGHT, WIDTH), None, canvas=canvas), nearest=True, edge=True)
        assert set(np.unique(shown)) <= {3, 77, 140}


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        *((parse_canvas, text) for text in ("", "0x5", "20by20", "99999x2", "x")),
        *((parse_scale, text) for text in ("0%", "120%", "big", "-5%")),
        *((parse_align, text) for text in ("middle", "120%,0%", "5,5", "5%")),
        *((Length.parse, text) for text in ("", "-3", "5 em", "nan")),
    ],
)
def test_what_means_nothing_is_refused(parse, text):
    with pytest.raises(UsageError):
        parse(text)


def test_a_margin_that_leaves_nothing_and_an_endless_output_are_refused():
    with pytest.raises(UsageError, match="leaves nothing"):
        plan_layout((HEIGHT, WIDTH), BOX, crop=True, margin=Length(60), canvas=(100, 100))
    with pytest.raises(UsageError, match="at most"):
        plan_layout((HEIGHT, WIDTH), BOX, crop=True, margin=Length(40_000))


def test_a_layout_of_nothing_but_the_window():
    layout = Layout((3, 2), (1, 1, 4, 3), (0, 0, 3, 2))
    image = np.arange(20, dtype=np.uint8).reshape(4, 5)
    assert np.array_equal(apply_layout(image, layout), image[1:3, 1:4])
