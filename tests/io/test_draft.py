"""Drafts: JPEGs decoded at a fraction of their size, for masks and names alone; what is found has the picture's own size."""

import io
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from commandline import command
from figureground import Picture, Separator
from figureground.errors import UsageError
from figureground.evaluation.metrics import Counts
from figureground.io.decode import DRAFT
from figureground.pipeline import _as_large
from figureground.prompts import Prompt
from figureground.separation import VIEWS
from figureground.settings import Settings
from figureground.types import DepthMap, Instance, InstanceMap, LabelMap
from photographs import PICTURES, photograph

ASTRONAUT = next(path for path in PICTURES if path.stem == "astronaut")
SETTINGS = Settings(draft=True)


def encoded(width, height, suffix="JPEG", **options):
    """The photograph at that size, as a file's bytes."""
    buffer = io.BytesIO()
    large = cv2.resize(photograph(ASTRONAUT), (width, height), interpolation=cv2.INTER_CUBIC)
    Image.fromarray(large).save(buffer, suffix, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def large():
    return encoded(2600, 1953)


@pytest.mark.parametrize(
    ("width", "height", "shape"),
    [
        (2600, 1953, (977, 1300)),  # a third would do; JPEG has halves, quarters and eighths
        (1300, 1280, (640, 650)),
        (1279, 4000, None),
        (640, 640, None),
    ],
)
def test_what_a_draft_keeps(width, height, shape):
    picture = Picture.read(encoded(width, height), SETTINGS)
    assert picture.own_shape == (None if shape is None else (height, width))
    assert picture.rgb.shape[:2] == (shape or (height, width))
    assert min(picture.rgb.shape[:2]) >= min(DRAFT, width, height)


def test_only_jpegs_have_drafts():
    for suffix in ("PNG", "WEBP"):
        picture = Picture.read(encoded(1400, 1400, suffix), SETTINGS)
        assert picture.own_shape is None and picture.rgb.shape == (1400, 1400, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_drafts_are_set_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(1500, 1300, exif=exif)
    draft, whole = Picture.read(data, SETTINGS), Picture.read(data, Settings())
    assert draft.own_shape == whole.rgb.shape[:2]
    small = cv2.resize(whole.rgb, draft.rgb.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - draft.rgb).mean() < 4


def test_the_mask_of_a_draft_has_the_pictures_size_and_is_nearly_the_same(large):
    draft, whole = Separator(settings=SETTINGS)(large), Separator(settings=Settings())(large)
    assert draft.mask.shape == draft.map.values.shape == whole.mask.shape == (1953, 2600)
    assert draft.mask.dtype == np.float32 and 0 <= draft.mask.min() <= draft.mask.max() <= 1
    assert Counts.of(draft.mask, whole.mask >= 0.5).iou > 0.97
    mine, theirs = draft.info(), whole.info()
    assert (mine["width"], mine["height"]) == (theirs["width"], theirs["height"])
    assert np.abs(np.subtract(mine["box"], theirs["box"])).max() < 60


@pytest.mark.parametrize("view", [name for name, view in VIEWS.items() if view.pixels])
def test_a_draft_has_no_pixels_to_show(large, view, tmp_path):
    done = Separator(settings=SETTINGS)(large)
    with pytest.raises(UsageError, match=r"own pixels.*--draft.*--view mask"):
        done.view(view)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(large)
    refused = command("remove", photo, "--draft", "--view", view, "--out-dir", tmp_path)
    refused.refused(2, f"the view '{view}'", "leave out --draft")
    assert list(tmp_path.iterdir()) == [photo]


def test_the_mask_view_from_the_command_line(large, tmp_path):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(large)
    end = command("remove", photo, "--draft", "--view", "mask", "--out-dir", tmp_path, "--json")
    assert end.code == 0, end
    facts = json.loads(end.out)
    assert (facts["width"], facts["height"]) == (2600, 1953)
    with Image.open(facts["files"]["mask"]) as image:
        assert image.size == (2600, 1953) and image.mode == "L"


def test_places_want_the_whole_picture(large, tmp_path):
    with pytest.raises(UsageError, match="leave out --draft"):
        Separator(settings=SETTINGS)(large, Prompt(points=((10, 10),)))
    (tmp_path / "photo.jpg").write_bytes(large)
    words = ["--draft", "--view", "mask", "--point", "10,10"]
    command("remove", tmp_path / "photo.jpg", *words, "--out-dir", tmp_path).refused(2, "leave out --draft")


def test_numbers_are_enlarged_by_the_nearest_and_depths_smoothly():
    numbers = np.array([[0, 7], [0, 2]], np.uint16)
    mask = np.array([[0, 1], [0, 1]], np.float32)
    labels, larger = _as_large(LabelMap(numbers, tuple("abcdefgh"), (False,) * 8), mask, (4, 6))
    assert np.array_equal(labels.labels, np.repeat(np.repeat(numbers, 2, 0), 3, 1)) and labels.labels.dtype == np.uint16
    assert larger.shape == (4, 6) and larger.dtype == np.float32 and np.all(np.diff(larger, axis=1) >= 0)
    objects = InstanceMap(numbers, (Instance("dog", False, 0.9),) * 7)
    assert set(np.unique(_as_large(objects, mask, (5, 5))[0].numbers)) == {0, 2, 7}
    near = _as_large(DepthMap(mask * 9), mask, (4, 6))[0].nearness
    assert near.max() == 9 and len(np.unique(near)) > 2
