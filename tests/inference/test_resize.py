"""Label maps enlarged lazily, held against interpolating everything: drawn maps, hypothesis, full size, memory."""

import tracemalloc

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from figureground.inference.resize import enlarge_labels, to_size

Floats = NDArray[np.float32]


def one_hot(drawn: str) -> Floats:
    """A drawn map, a digit for each cell, as logits: 1 for the class that is drawn, 0 for all others."""
    classes = np.array([[int(cell) for cell in row] for row in drawn.split()])
    return (classes == np.arange(classes.max() + 1)[:, None, None]).astype(np.float32)


def drawing(labels: NDArray[np.unsignedinteger]) -> str:
    return " ".join("".join(str(cell) for cell in row) for row in labels)


def plain(logits: Floats, height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The labels that torch gives, and all values in float64 at the positions that float32 gives."""
    enlarged = F.interpolate(torch.from_numpy(logits)[None], size=(height, width), mode="bilinear", align_corners=False)
    rows, columns = (weights(n, m) for n, m in zip(logits.shape[1:], (height, width), strict=True))
    return enlarged[0].argmax(0).numpy(), rows @ logits.astype(np.float64) @ columns.T


def weights(source: int, target: int) -> NDArray[np.float64]:
    """(target, source): how much each source value counts, read off torch itself by enlarging the unit vectors."""
    unit = torch.eye(source)[:, None, :, None]
    line = F.interpolate(unit, size=(target, 1), mode="bilinear", align_corners=False)
    return line[:, 0, :, 0].T.numpy().astype(np.float64)


def assert_same(logits: Floats, height: int, width: int) -> None:
    labels = enlarge_labels(logits, height, width)
    wanted, values = plain(logits, height, width)
    assert labels.shape == wanted.shape
    differ = np.nonzero(labels != wanted)
    gap = values[(wanted[differ], *differ)] - values[(labels[differ].astype(int), *differ)]
    assert np.abs(gap).max(initial=0) < 1e-5 * max(1.0, float(np.abs(logits).max()))


def smooth(seed: int = 0, classes: int = 150, side: int = 160) -> Floats:
    """Logits with regions as a photograph's have."""
    coarse = np.random.default_rng(seed).normal(size=(1, classes, 10, 10)).astype(np.float32) * 4
    return F.interpolate(torch.from_numpy(coarse), size=(side, side), mode="bicubic")[0].numpy()


@pytest.mark.parametrize(
    ("drawn", "size", "wanted"),
    [
        ("0", (2, 3), "000 000"),
        ("01", (1, 4), "0011"),
        ("01", (2, 2), "01 01"),
        ("01", (1, 3), "001"),  # the middle lies half-way: a tie, which goes to the lower index
        ("10", (1, 3), "100"),
        ("0 1", (4, 1), "0 0 1 1"),
        ("00 01", (4, 4), "0000 0000 0011 0011"),  # the inner corner is 9/16 class 1
        ("012", (1, 9), "000111222"),
        ("0011", (1, 2), "01"),  # shrinking
        ("0000 0110 0110 0000", (2, 2), "00 00"),  # between four of which only one is 1
    ],
)
def test_drawn_maps(drawn: str, size: tuple[int, int], wanted: str) -> None:
    assert drawing(enlarge_labels(one_hot(drawn), *size)) == wanted


def test_a_class_that_wins_at_no_corner_but_in_the_middle() -> None:
    logits = np.array([[[10, 0]], [[0, 10]], [[7, 7]]], np.float32)
    assert drawing(enlarge_labels(logits, 1, 12)) == "000002211111"


def test_equal_classes_go_to_the_lowest() -> None:
    assert not enlarge_labels(np.full((5, 3, 3), -2, np.float32), 7, 8).any()


side = st.integers(1, 9)
size = st.integers(1, 40)


@settings(max_examples=400, deadline=None)
@given(st.tuples(st.integers(1, 12), side, side), size, size, st.integers(0, 2**32 - 1), st.booleans())
def test_equals_interpolating_everything(shape: tuple[int, int, int], height: int, width: int, seed: int, whole: bool) -> None:
    random = np.random.default_rng(seed)
    logits = random.integers(-3, 4, shape) if whole else random.normal(0, 3, shape)
    assert_same(logits.astype(np.float32), height, width)


@settings(max_examples=100, deadline=None)
@given(side, side, size, size, st.integers(0, 2**32 - 1))
def test_mirroring_the_logits_mirrors_the_labels(h: int, w: int, height: int, width: int, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(0, 3, (6, h, w)).astype(np.float32)
    wanted, values = enlarge_labels(logits, height, width), np.sort(plain(logits, height, width)[1], axis=0)
    mirrored = enlarge_labels(np.ascontiguousarray(logits[:, :, ::-1]), height, width)[:, ::-1]
    clear = values[-1] - values[-2] > 1e-4
    assert (mirrored == wanted)[clear].all()


@pytest.mark.parametrize("size", [(480, 640), (997, 1301), (160, 160), (75, 1000), (100, 31), (1, 1), (1, 900), (900, 1)])
@pytest.mark.parametrize("kind", ["smooth", "noise"])
def test_full_size_maps(kind: str, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(3).normal(size=(30, 160, 160)).astype(np.float32)
    assert_same(smooth(classes=30) if kind == "smooth" else noise, *size)


def test_one_large_cell_and_one_row_of_cells() -> None:
    random = np.random.default_rng(5)
    assert_same(random.normal(size=(20, 2, 2)).astype(np.float32), 700, 900)
    assert_same(random.normal(size=(20, 1, 40)).astype(np.float32), 300, 1000)


def test_more_classes_than_a_byte_holds() -> None:
    logits = np.zeros((300, 4, 4), np.float32)
    logits[299] = 1
    assert enlarge_labels(logits, 5, 5).dtype == np.uint16
    assert (enlarge_labels(logits, 5, 5) == 299).all()
    assert enlarge_labels(logits[:256], 5, 5).dtype == np.uint8


@pytest.mark.parametrize(("height", "width", "bound"), [(3000, 4000, 40), (6000, 8000, 90)])
def test_memory_is_the_map_itself_and_little_more(height: int, width: int, bound: int) -> None:
    logits = smooth()
    tracemalloc.start()
    try:
        labels = enlarge_labels(logits, height, width)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(np.unique(labels)) > 10
    assert peak < bound * 1e6


@pytest.mark.parametrize(
    ("logits", "height", "width"),
    [
        (np.zeros((2, 3), np.float32), 4, 4),
        (np.zeros((2, 3, 3), np.float64), 4, 4),
        (np.zeros((0, 3, 3), np.float32), 4, 4),
        (np.zeros((2, 0, 3), np.float32), 4, 4),
        (np.zeros((2, 3, 3), np.float32), 0, 4),
        (np.zeros((2, 3, 3), np.float32), 4, -1),
    ],
)
def test_other_forms_are_refused(logits: Floats, height: int, width: int) -> None:
    with pytest.raises(ValueError, match="expected float32 logits"):
        enlarge_labels(logits, height, width)


def test_to_size_is_pillows_resize() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
    for resample in (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.NEAREST):
        wanted = np.asarray(Image.fromarray(rgb).resize((17, 12), resample))
        assert np.array_equal(to_size(rgb, 12, 17, int(resample)), wanted)
    assert to_size(rgb, 30, 50, 2) is rgb
