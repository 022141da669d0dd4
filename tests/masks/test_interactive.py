"""Points and a box without torch: what they reach, what they leave alone, and that they mend masks."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from figureground.errors import UsageError
from figureground.evaluation.metrics import Counts
from figureground.masks.interactive import steer
from figureground.masks.propagation import geodesic_distance, random_walker
from figureground.models import load
from figureground.prompts import Places
from figureground.settings import Settings
from hub_server import drawn
from photographs import FOLDER, PICTURES, photograph

SCENE = """
....................
..aaaaaa....bbbbbb..
..aaaaaa....bbbbbb..
..aaaaaa....bbbbbb..
..aaaaaa....bbbbbb..
....................
....................
"""
COLORS = {".": (70, 120, 70), "a": (210, 60, 50), "b": (40, 60, 200)}
SCALE = 8  # pixels of a character's side


def scene(found, colors=None):
    """The scene as a picture, and a map that shows these letters of it."""
    letters = np.array([list(line) for line in SCENE.split()]).repeat(SCALE, 0).repeat(SCALE, 1)
    rgb = np.array([(colors or COLORS)[letter] for letter in letters.ravel()], np.uint8).reshape(*letters.shape, 3)
    return rgb, np.where(np.isin(letters, list(found)), 0.9, 0.05).astype(np.float32), letters


def middle(letters, letter):
    rows, columns = np.nonzero(letters == letter)
    return float(columns.mean()) + 0.5, float(rows.mean()) + 0.5


def said(mask, letters):
    """Which letters the mask shows, by most of their pixels."""
    return "".join(letter for letter in ".ab" if (mask[letters == letter] >= 0.5).mean() > 0.5)


def iou(mask, truth):
    return Counts.of(mask, truth).iou


def test_without_places_the_map_comes_back_itself():
    rgb, values, _ = scene("a")
    assert steer(rgb, values, Places()) is values


def test_a_point_on_what_was_missed_adds_it():
    rgb, values, letters = scene("a")
    mask = steer(rgb, values, Places(points=(middle(letters, "b"),)))
    assert said(mask, letters) == "ab"
    assert iou(mask, letters != ".") > 0.95


def test_a_point_on_what_was_found_leaves_the_other_part_and_a_not_point_removes_it():
    rgb, values, letters = scene("ab")
    values = np.where(values > 0.5, np.float32(0.7), values)
    there, other = (middle(letters, "b"),), (middle(letters, "a"),)
    assert said(steer(rgb, values, Places(points=there)), letters) == "ab"
    assert said(steer(rgb, values, Places(points=there, not_points=other)), letters) == "b"


def test_a_not_point_on_a_separate_part_removes_all_of_it_whatever_its_colors():
    """Stripes of all colors, so that nothing spreads from one to the next; and a speck that makes no part of the subject."""
    rgb, values, letters = scene("ab")
    rgb = np.where((letters == "a")[..., None], np.random.default_rng(0).integers(0, 256, rgb.shape, np.uint8), rgb)
    values = cv2.blur(values, (5, 5))
    corner = (18.0, 11.0)  # of part a, far from its other end
    mask = steer(rgb, values, Places(not_points=(corner,)))
    assert mask[:, :80].max() < 0.2  # its soft edge too
    assert np.array_equal(mask[letters == "b"] >= 0.5, values[letters == "b"] >= 0.5)
    values[letters == "b"] = 0.05
    values[50:52, 150:152] = 0.9
    alone = steer(rgb, values, Places(not_points=(corner,)))
    assert alone[11, 18] < 0.5 <= alone[letters == "a"].max()


def test_a_not_point_takes_its_part_away_and_no_other():
    rgb, values, letters = scene("ab")
    mask = steer(rgb, values, Places(not_points=(middle(letters, "a"),)))
    assert said(mask, letters) == "b"
    assert iou(mask, letters == "b") > 0.95


def test_a_point_and_a_not_point_mend_a_wrong_pick():
    rgb, values, letters = scene("a")
    places = Places(points=(middle(letters, "b"),), not_points=(middle(letters, "a"),))
    assert iou(steer(rgb, values, places), letters == "b") > 0.95


def test_outside_the_box_is_nothing_and_inside_colors_decide():
    rgb, values, letters = scene("ab")
    box = (11.0 * SCALE, 0.0, 20.0 * SCALE, 6.0 * SCALE)
    mask = steer(rgb, values, Places(box=box))
    assert not mask[:, : 11 * SCALE].any() and not mask[6 * SCALE :].any()
    assert iou(mask, letters == "b") > 0.95
    values[letters == "b"] = np.where(np.arange(np.count_nonzero(letters == "b")) % 48 < 24, 0.9, 0.2)  # half of it is missed
    assert iou(steer(rgb, values, Places(box=box)), letters == "b") > 0.95


def test_a_click_on_what_is_right_changes_little():
    rgb, values, letters = scene("a")
    mask = steer(rgb, values, Places(points=(middle(letters, "a"),)))
    assert np.mean((mask >= 0.5) != (values >= 0.5)) < 0.01


def test_where_all_is_of_one_color_a_click_stays_near():
    rgb = np.full((100, 400, 3), 128, np.uint8)
    mask = steer(rgb, np.full((100, 400), 0.02, np.float32), Places(points=((20.0, 50.0),)))
    assert mask[50, 20] > 0.9
    assert not (mask[:, 330:] >= 0.5).any()


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 60), width=st.integers(1, 60), seed=st.integers(0, 99),
    spots=st.lists(st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)), max_size=4),
    boxed=st.booleans(),
)  # fmt: skip
def test_any_picture_and_places_give_a_mask_that_obeys(height, width, seed, spots, boxed):
    random = np.random.default_rng(seed)
    rgb = random.integers(0, 256, (height, width, 3), np.uint8)
    values = random.random((height, width), np.float32)
    rgb.flags.writeable = values.flags.writeable = False
    pixels = {(int(x * width), int(y * height)): (x * width, y * height) for x, y in spots}
    chosen = tuple(pixels.values())
    box = (0.0, 0.0, float(width), height / 2) if boxed else None
    points = tuple(spot for spot in chosen[::2] if box is None or spot[1] < height / 2)
    mask = steer(rgb, values, Places(points, chosen[1::2], box))
    assert mask.shape == (height, width) and mask.dtype == np.float32
    assert np.isfinite(mask).all() and 0 <= mask.min() and mask.max() <= 1
    if len(chosen) == 1 and points:  # nothing said against it
        assert mask[min(height - 1, int(points[0][1])), min(width - 1, int(points[0][0]))] >= 0.5
    if boxed:
        assert not mask[-(-height // 2) :].any()
    assert np.array_equal(mask, steer(rgb, values, Places(points, chosen[1::2], box)))


BLOBS = st.lists(
    st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.03, 0.4), st.floats(0.55, 0.99), st.integers(0, 3)), max_size=4
)
"""Discs: centre, radius, what the map says of them, and their color; the last one is on top."""
SPOTS = st.lists(st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)), min_size=1, max_size=3)


def discs(blobs, height, width, seed):
    """A picture of discs with noise, and a map with soft edges that shows them."""
    y, x = np.mgrid[:height, :width] + 0.5
    rgb = np.full((height, width, 3), (90, 110, 80), np.float32)
    values = np.full((height, width), 0.03, np.float32)
    for across, down, radius, value, color in blobs:
        depth = radius * width - np.hypot(x - across * width, y - down * height)
        rgb[depth > 0] = list(COLORS.values())[color % 3]
        values = np.maximum(values, (value / (1 + np.exp(-np.clip(depth, -30, 30)))).astype(np.float32))
    return np.clip(rgb + np.random.default_rng(seed).normal(0, 8, rgb.shape), 0, 255).astype(np.uint8), values


@settings(max_examples=60, deadline=None)
@given(blobs=BLOBS, height=st.integers(20, 90), width=st.integers(20, 400), seed=st.integers(0, 99), spots=SPOTS)
def test_points_take_nothing_away_and_add_what_is_connected_with_them(blobs, height, width, seed, spots):
    rgb, values = discs(blobs, height, width, seed)
    points = tuple((x * width, y * height) for x, y in spots)
    mask = steer(rgb, values, Places(points=points))
    assert (mask >= values).all()
    numbers = ndimage.label(mask >= 0.5, np.ones((3, 3)))[0]
    ours = {numbers[int(y), int(x)] for x, y in points}
    added = (mask >= 0.5) & (values < 0.5)
    assert 0 not in ours
    assert not added[~ndimage.binary_dilation(np.isin(numbers, list(ours)), np.ones((3, 3)), 2 + width // 80)].any()


@settings(max_examples=60, deadline=None)
@given(blobs=BLOBS, height=st.integers(20, 90), width=st.integers(20, 400), seed=st.integers(0, 99), spots=SPOTS)
def test_a_not_point_removes_a_separate_part_whole_and_leaves_those_far_from_it(blobs, height, width, seed, spots):
    """The parts of the map by scipy: one that a not-point lies on and that is at most twice the rest goes."""
    rgb, values = discs(blobs, height, width, seed)
    not_points = tuple((x * width, y * height) for x, y in spots)
    mask = steer(rgb, values, Places(not_points=not_points))
    numbers = ndimage.label(values >= 0.5, np.ones((3, 3)))[0]
    on = {int(numbers[int(y), int(x)]) for x, y in not_points} - {0}
    clicked, rest = np.isin(numbers, list(on)), (numbers > 0) & ~np.isin(numbers, list(on))
    if rest.sum() >= 0.5 * clicked.sum():
        assert not (mask[clicked] >= 0.5).any()
    for x, y in not_points:
        assert mask[int(y), int(x)] < 0.5


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_on_photographs_a_point_takes_nothing_away(path, maps):
    """Points all over the picture, with the network's nearer looks, on what was found and on what was not."""
    rgb, values, predict = maps(path)
    height, width = values.shape
    for x, y in [(0.74, 0.59), (0.5, 0.5), (0.1, 0.9)]:
        mask = steer(rgb, values, Places(points=((x * width, y * height),)), predict)
        assert not ((values >= 0.5) & (mask < 0.5)).any()
        assert mask[int(y * height), int(x * width)] >= 0.5


def test_a_not_point_on_the_largest_part_takes_away_what_is_near_it_alone(maps):
    """The glow at the rocket's foot, one part with it; the lightning masts are parts of their own."""
    rgb, values, _ = maps(FOLDER / "rocket.jpg")
    values = values.copy()
    values[:, :200] = 0  # the towers on the left, which together are larger
    mask = steer(rgb, values, Places(not_points=((289.5, 326.5),)))
    assert mask[326, 289] < 0.5 <= min(mask[134, 257], mask[220, 361])
    assert not ((mask >= 0.5) & (values < 0.5)).any()
    np.testing.assert_array_equal(mask[:200], values[:200])  # far from it, edges stay as they were


@pytest.fixture(scope="module")
def maps():
    """A photograph, what the embedded network says of it, and the network."""
    model = load("saliency", Settings(threads=1, runtime="onnxruntime"))

    def predict(part):
        return model(np.ascontiguousarray(part)).values

    def read(path):
        rgb = photograph(path)
        return rgb, predict(rgb), predict

    return read


def test_a_huge_picture_costs_little_more():
    rgb, values, letters = scene("a")
    places = Places(points=(middle(letters, "b"),))
    small = steer(rgb, values, places)
    large = steer(
        rgb.repeat(16, 0).repeat(16, 1),
        values.repeat(16, 0).repeat(16, 1),
        Places(((places.points[0][0] * 16, places.points[0][1] * 16),)),
    )
    assert large.shape == (56 * 16, 160 * 16)
    assert np.mean((large[8::16, 8::16] >= 0.5) != (small >= 0.5)) < 0.02


@pytest.mark.parametrize("spot", [(0.0, 0.0), (159.99, 55.99), (159.99, 0.0)])
def test_points_on_the_edge(spot):
    rgb, values, _ = scene("a")
    assert steer(rgb, values, Places(points=(spot,)))[int(spot[1]), int(spot[0])] > 0.9


def test_contradictions_are_refused():
    rgb, values, _ = scene("a")
    with pytest.raises(UsageError, match="the pixel 10,9 is named as foreground and as background"):
        steer(rgb, values, Places(points=((10.2, 9.0),), not_points=((10.7, 9.9),)))
    with pytest.raises(UsageError, match="the point 50,9 lies outside the box"):
        steer(rgb, values, Places(points=((50.0, 9.0),), box=(0.0, 0.0, 20.0, 20.0)))


def test_a_nearer_look_is_at_the_box_or_around_the_points_and_is_heeded():
    rgb, values, letters = scene("")
    seen = []

    def look(part):
        seen.append(part.shape[:2])
        return np.where(part[..., 2] > 150, np.float32(0.98), np.float32(0.02))  # the blue thing

    mask = steer(rgb, values, Places(box=(96.0, 8.0, 144.0, 40.0)), look)
    assert seen == [(39, 58)]  # with a tenth on each side, whole pixels
    assert said(mask, letters) == "b"
    seen.clear()
    steer(rgb, values, Places(points=((0.0, 0.0), (30.0, 10.0))), look)
    assert all(height < 56 or width < 160 for height, width in seen) and len(seen) == 2
    seen.clear()
    steer(rgb, values, Places(not_points=((5.0, 5.0),)), look)
    steer(rgb, values, Places(box=(0.0, 0.0, 160.0, 56.0)), look)
    assert seen == []


def test_distance_goes_around_walls():
    """From the left upper corner to the right one, through the gap below: 6 steps down, 4 across, 6 up."""
    wall = np.array([list(line) for line in ["..#..", "..#..", "..#..", "..#..", "..#..", "..#..", "....."]]) == "#"
    lab = np.where(wall[..., None], np.uint8(250), np.uint8(0)).repeat(3, 2)
    far = geodesic_distance(lab, np.zeros(wall.shape, np.float32), (np.array([0]), np.array([0])))
    assert far[0, 0] == 0
    assert far[0, 4] == pytest.approx(16)
    assert far[6, 0] == pytest.approx(6)
    assert far[0, 2] > 700


def test_the_walker_ends_where_the_equations_say():
    """Against a dense solution of the same least squares."""
    random = np.random.default_rng(0)
    lab = random.integers(0, 60, (7, 9, 3), np.uint8)
    prior, fixed = random.random((7, 9), np.float32), random.random((7, 9)) < 0.1
    number = np.arange(63).reshape(7, 9)
    labeled_images = [
        *zip(number[:, :-1].ravel(), number[:, 1:].ravel(), strict=True),
        *zip(number[:-1].ravel(), number[1:].ravel(), strict=True),
    ]
    colors = lab.reshape(-1, 3).astype(float)
    squares = np.array([((colors[i] - colors[j]) ** 2).sum() for i, j in labeled_images])
    held = np.where(fixed, 1e4, 0.1).ravel()
    matrix = np.diag(held)
    for (i, j), weight in zip(labeled_images, np.exp(-squares / squares.mean()) + 1e-3, strict=True):
        matrix[[i, j], [i, j]] += weight
        matrix[i, j] -= weight
        matrix[j, i] -= weight
    wanted = np.linalg.solve(matrix, held * prior.ravel()).reshape(7, 9)
    assert np.abs(random_walker(lab, prior, fixed) - wanted).max() < 1e-3


def test_a_real_click_on_the_drawn_colors():
    """The embedded network over drawn rectangles: a click adds to a rectangle that was missed, and spoils none."""
    model = load("saliency", Settings(threads=1))
    before, after = [], []
    for seed in range(24):
        rgb, labels = drawn(seed)
        values = model(rgb).values
        truth = labels == labels[32, 32]
        before.append(iou(values, truth))
        after.append(iou(steer(rgb, values, Places(points=((32.0, 32.0),))), truth))
    gains, missed = np.subtract(after, before), np.array(before) < 0.5
    assert missed.sum() > 3 and gains[missed].mean() > 0
    assert gains.mean() > -0.02


def test_a_photograph_is_cut_at_its_edges():
    path = FOLDER / "coffee.jpg"
    with Image.open(path) as image:
        rgb = np.asarray(image.convert("RGB"))
    values = load("saliency", Settings(threads=1))(rgb).values
    height, width = values.shape
    mask = steer(rgb, values, Places(box=(width * 0.1, height * 0.1, width * 0.9, height * 0.9)))
    assert 0.05 < (mask >= 0.5).mean() < 0.64
