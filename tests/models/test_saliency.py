from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from figureground.errors import UnknownName
from figureground.models import saliency
from figureground.models.saliency import tta
from figureground.settings import Settings
from photographs import FOLDER

SIDE = 32
SIDES = (32, 24, 40)
WITH_DETAILS = (32, 24, 40, 128)


def brightness(x):
    """A stand-in network: (1, 3, S, S) → (1, 1, S, S); its red is its answer, unsure of the left third."""
    answer = x[:, :1].copy()
    answer[..., : x.shape[-1] // 3] *= 0.9
    return answer


def drawn(height, width, rows, columns, value=255):
    """A black picture with a grey rectangle."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[rows, columns] = value
    return picture


@pytest.fixture(scope="module", params=["fast", "balanced", "best"])
def look(request):
    return partial(tta.TTA[request.param], brightness, SIDES)


@pytest.fixture(scope="module")
def models():
    return {quality: saliency.load(Settings(threads=1), quality=quality) for quality in tta.TTA}


def photograph(name):
    return np.asarray(Image.open(FOLDER / f"{name}.jpg").convert("RGB"))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (2, 3), (31, 32), (33, 900), (700, 500)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_any_shape_gives_a_map_of_its_own_size(look, shape, value):
    mask = look(np.full((*shape, 3), value, np.uint8))
    assert mask.shape == shape
    assert mask.dtype == np.float32
    assert 0 <= mask.min() <= mask.max() <= 1


def test_nothing_stays_nothing(look):
    assert look(np.zeros((90, 120, 3), np.uint8)).max() < 1e-3


def test_a_faint_answer_is_not_stretched(look):
    faint = look(drawn(90, 120, slice(20, 50), slice(60, 90), 51))
    assert faint.max() == pytest.approx(0.2, abs=0.02)


def test_a_subject_is_where_it_is(look):
    picture = drawn(120, 200, slice(40, 70), slice(110, 150))
    mask = look(picture)
    assert np.array_equal(mask[45:65, 115:145] > 0.5, np.ones((20, 30), bool))
    assert mask[:30].max() < 0.5
    assert mask[:, :100].max() < 0.5


@given(st.integers(3, 90), st.integers(3, 90), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_a_mirrored_picture_has_the_mirrored_answer(height, width, seed):
    random = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.uint8)
    top, left = random.integers(0, height), random.integers(0, width)
    picture[top : top + height // 3 + 1, left : left + width // 3 + 1] = random.integers(100, 256)
    look = partial(tta.multiscale_zoom_tta, brightness, SIDES)
    there = look(np.ascontiguousarray(picture[:, ::-1]))[:, ::-1]
    assert np.abs(there - look(picture)).max() < 0.02  # rounding of the shrunk picture to 1/255
    fixed = partial(tta.two_scale_tta, brightness, (SIDE,))  # a graph of one size looks at both in it
    there = fixed(np.ascontiguousarray(picture[:, ::-1]))[:, ::-1]
    assert np.abs(there - fixed(picture)).max() < 0.02


def test_the_default_joins_two_sizes():
    """The picture small and its mirror image large: the mean of their logits."""
    answers = {24: 0.9, 40: 0.5}
    run = lambda x: np.full((1, 1, *x.shape[2:]), answers[x.shape[-1]], np.float32)  # noqa: E731
    mask = tta.two_scale_tta(run, SIDES, drawn(60, 80, slice(0, 60), slice(0, 80), 128))
    assert mask.shape == (60, 80)
    np.testing.assert_allclose(mask, 1 / (1 + (1 / 9) ** 0.5), rtol=1e-5)


def test_a_single_look_is_not_mirrored():
    picture = drawn(60, 60, slice(10, 40), slice(5, 15))
    mirrored = tta.single(brightness, SIDES, np.ascontiguousarray(picture[:, ::-1]))[:, ::-1]
    assert np.abs(mirrored - tta.single(brightness, SIDES, picture)).max() > 0.05


def test_the_window_lies_around_the_subject():
    seen = np.zeros((SIDE, SIDE), np.float32)
    seen[8:16, 4:12] = 1  # a quarter of each side
    rows, columns = tta.subject(seen, (320, 320))
    assert rows == slice(64, 176)  # 80 pixels and a fifth of them on each side
    assert columns == slice(24, 136)


def test_the_window_is_square_where_the_picture_allows():
    seen = np.zeros((SIDE, SIDE), np.float32)
    seen[:, 12:16] = 1
    rows, columns = tta.subject(seen, (100, 800))
    assert rows == slice(0, 100)
    assert columns.stop - columns.start in (140, 141)


@pytest.mark.parametrize(
    ("rows", "columns", "value"),
    [
        (slice(0, 0), slice(0, 0), 1),  # nothing
        (slice(3, 6), slice(3, 6), 1),  # nine pixels are noise
        (slice(3, 20), slice(3, 20), 0.2),  # too faint
        (slice(2, 30), slice(2, 30), 1),  # nearly everything
    ],
)
def test_no_window(rows, columns, value):
    seen = np.zeros((SIDE, SIDE), np.float32)
    seen[rows, columns] = value
    assert tta.subject(seen, (320, 320)) is None


def test_a_stray_spot_does_not_widen_the_window():
    seen = np.zeros((SIDE, SIDE), np.float32)
    seen[4:14, 4:14] = 1
    alone = tta.subject(seen, (320, 320))
    seen[31, 31] = 0.9
    assert tta.subject(seen, (320, 320)) == alone


def test_no_seam_at_the_windows_border():
    """Where the second look says the opposite of the first, the map still runs smoothly over the border."""
    first = np.full((SIDE, SIDE), 0.9, np.float32)

    def opposite(x):
        return np.full((1, 1, SIDE, SIDE), 0.1, np.float32)

    picture = np.zeros((200, 200, 3), np.uint8)
    window = slice(50, 150), slice(40, 140)
    seen = tta.zoom_tta(opposite, SIDE, picture, first, window)
    assert seen[100, 90] == pytest.approx(0.5, abs=0.01)  # half of each inside
    assert seen[20, 20] == pytest.approx(0.9, abs=1e-6)
    assert max(np.abs(np.diff(seen, axis=axis)).max() for axis in (0, 1)) < 0.05


def test_a_window_at_the_pictures_border_does_not_fade_there():
    first = np.full((SIDE, SIDE), 0.9, np.float32)
    picture = np.zeros((200, 200, 3), np.uint8)
    seen = tta.zoom_tta(lambda x: np.zeros((1, 1, SIDE, SIDE)), SIDE, picture, first, (slice(0, 100), slice(0, 100)))
    assert seen[0, 0] == pytest.approx(0.45, abs=0.01)
    assert seen[99, 99] == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize(
    ("sides", "wanted"),
    [
        (
            SIDES,
            {
                "fast": ([32], [32]),
                "balanced": ([40, 24], [40, 24]),
                "best": ([32, 32, 24, 24, 40, 40, 40, 40], [32, 32, 24, 24, 40, 40]),
            },
        ),
        (
            WITH_DETAILS,
            {
                "fast": ([32], [32]),
                "balanced": ([40, 24, 128], [40, 24, 128]),
                "best": ([32, 32, 24, 24, 40, 40, 128, 128, 40, 40], [32, 32, 24, 24, 40, 40, 128, 128]),
            },
        ),
        ((32,), {"fast": ([32], [32]), "balanced": ([32] * 2, [32] * 2), "best": ([32] * 4, [32] * 2)}),
    ],
)
def test_looks_of_each_quality(sides, wanted):
    """How large each look at a small and at a large subject is."""
    for quality, look in tta.TTA.items():
        looks = []
        for picture in (drawn(100, 100, slice(40, 60), slice(40, 60)), drawn(100, 100, slice(0, 100), slice(0, 100))):
            seen = []
            look(lambda x: seen.append(x.shape[-1]) or brightness(x), sides, picture)  # noqa: B023
            looks.append(seen)
        assert tuple(looks) == wanted[quality]


def test_sizes_are_the_graph_s_own_where_it_has_one():
    assert tta.sides((1, 3, -1, -1)) == (320, 256, 352, 512)
    assert tta.sides((1, 3, 96, 96)) == (96,)


def test_details_are_those_of_the_large_pass():
    """A comb is gray in the small passes; the large one shows its teeth. Its lower level elsewhere counts a share."""
    picture = drawn(256, 256, slice(64, 192), slice(64, 192))
    picture[:, 64:192:8] = picture[:, 65:192:8] = picture[:, 66:192:8] = picture[:, 67:192:8] = 0

    def network(x):
        answer = np.asarray(x[:, :1] * 0.6 + 0.2)
        return answer if x.shape[-1] == 128 else np.full_like(answer, 0.5)

    mask = tta.two_scale_tta(network, WITH_DETAILS, picture)
    inside = mask[100:156, 96:160].mean(0).reshape(-1, 8)
    assert inside[:, 1:3].max() < 0.4
    assert inside[:, 5:7].min() > 0.6
    less = tta.LESS * np.log(0.2 / 0.8)  # of the level around it, which is lower in the large pass
    np.testing.assert_allclose(mask[:40], 1 / (1 + np.exp(-less)), atol=0.01)
    plain = tta.two_scale_tta(network, SIDES, picture)
    assert np.ptp(plain) < 1e-3


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_details_do_not_overrule_what_is_certain(level):
    """A spot that the large pass alone is sure of stays out, and one that it alone denies stays in."""
    picture = drawn(128, 128, slice(60, 68), slice(60, 68))

    def network(x):
        return np.abs(level - x[:, :1]) if x.shape[-1] == 128 else np.full((1, 1, *x.shape[2:]), level, np.float32)

    mask = tta.two_scale_tta(network, WITH_DETAILS, picture)
    assert np.array_equal(mask >= 0.5, np.full(mask.shape, level > 0))


def test_what_the_large_pass_finds_in_addition_is_coarse_and_does_not_count():
    """It shows the whole picture as subject, where the small passes are in doubt."""
    network = lambda x: np.full((1, 1, *x.shape[2:]), 0.95 if x.shape[-1] == 128 else 0.4, np.float32)  # noqa: E731
    mask = tta.two_scale_tta(network, WITH_DETAILS, drawn(90, 70, slice(0, 0), slice(0, 0)))
    np.testing.assert_allclose(mask, 0.4, atol=1e-4)


def test_looks_in_other_sizes_count_alike():
    """A network that is sure of what it is given small only: the mean of three logits, of which one is not 0."""
    picture = drawn(60, 60, slice(0, 60), slice(0, 60), 128)
    answers = {32: 0.5, 24: 0.9, 40: 0.5}
    run = lambda x: np.full((1, 1, *x.shape[2:]), answers[x.shape[-1]], np.float32)  # noqa: E731
    seen = tta.multiscale_tta(run, (24, 40), picture, np.full((32, 32), 0.5, np.float32))
    assert seen.shape == (32, 32)
    np.testing.assert_allclose(seen, 1 / (1 + (1 / 9) ** (1 / 3)), rtol=1e-5)


def test_the_network_itself(models):
    rgb = photograph("coffee")
    mirror = np.ascontiguousarray(rgb[:, ::-1])
    maps = {quality: model(rgb).values for quality, model in models.items()}
    assert np.array_equal(maps["best"], models["best"](rgb).values)  # the same each time
    assert np.abs(models["best"](mirror).values[:, ::-1] - maps["best"]).max() < 0.05
    assert np.abs(models["balanced"](mirror).values[:, ::-1] - maps["balanced"]).mean() < 0.02  # two sizes, not the same view
    assert np.abs(maps["fast"] - maps["balanced"]).mean() > 1e-4
    assert np.array_equal(saliency.load(Settings(threads=1))(rgb).values, maps["balanced"])


def test_an_unknown_quality():
    with pytest.raises(UnknownName, match=r"no quality is called 'bst'; did you mean 'best'\?"):
        saliency.load(Settings(), quality="bst")


def test_memory_of_a_huge_picture_stays_small():
    import tracemalloc

    picture = drawn(3000, 4000, slice(1000, 2500), slice(1000, 2500))
    tracemalloc.start()
    mask = tta.multiscale_zoom_tta(brightness, SIDES, picture)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert mask[1700, 1700] > 0.5
    assert peak < 8 * 12e6 + 4e6  # bytes: the map, and the second look at a part of it
