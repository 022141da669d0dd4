"""What remove.bg's parameters make of a drawn mask, in the worker, and how they are read."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from figureground.errors import NoForeground, UsageError
from figureground.io.encode import EncodeOptions
from figureground.io.picture import Encoded, Picture
from figureground.jobs import JobSpec
from figureground.methods import METHODS
from figureground.pipeline import Clock
from figureground.prompts import Coordinate
from figureground.separation import Separation
from figureground.server.errors import Refused
from figureground.server.layout import CutoutLayout
from figureground.server.removebg import read_parameters
from figureground.server.worker import PictureWorker, ServerTask
from figureground.settings import Settings
from figureground.types import SaliencyMap

HEIGHT, WIDTH = 60, 100
BOX = (20, 10, 50, 40)
"""Left, top, right, bottom of the drawn subject."""


def px(*values):
    return tuple(Coordinate(float(value), False) for value in values)


def percent(*values):
    return tuple(Coordinate(float(value), True) for value in values)


def separated(empty=False):
    """What a method gives for a red subject on blue."""
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rgb[..., 2] = 255
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    if not empty:
        left, top, right, bottom = BOX
        rgb[top:bottom, left:right], mask[top:bottom, left:right] = (255, 0, 0), 1
    return Separation(Picture.read(rgb), mask, SaliencyMap(mask), METHODS["subject"], {"network": 0.1})


def finished(layout, options=None, done=None):
    """The result of a layout, and its file as an image."""
    spec = JobSpec(METHODS["subject"], settings=Settings(threads=1), encode_options=options or EncodeOptions())
    result = layout(spec, lambda source: done or separated(), Encoded(b"", "the picture"), Clock())
    data = result.files["cutout"]
    return result.facts, (data if layout.suffix == ".zip" else Image.open(io.BytesIO(data)))


def test_the_whole_picture_and_where_the_subject_lies():
    facts, image = finished(CutoutLayout())
    assert (image.mode, image.size) == ("RGBA", (WIDTH, HEIGHT))
    assert facts["foreground"] == {"top": 10, "left": 20, "width": 30, "height": 30}
    assert (facts["width"], facts["height"]) == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("margin", "size"),
    [
        (None, (30, 30)),
        (px(5, 5, 5, 5), (40, 40)),
        (percent(10, 20, 10, 20), (30 + 12, 30 + 6)),
        (px(500, 500, 500, 500), (WIDTH, HEIGHT)),
        (percent(90, 0, 0, 0), (30, 30 + 10)),  # half of the side at most, and within the picture
    ],
)
def test_a_crop_has_its_margin(margin, size):
    facts, image = finished(CutoutLayout(crop=True, margin=margin))
    assert image.size == size == (facts["width"], facts["height"])


@pytest.mark.parametrize("roi", [px(0, 0, 35, 60), percent(0, 0, 35, 100)])
def test_nothing_outside_the_region_is_foreground(roi):
    facts, image = finished(CutoutLayout(roi=roi))
    assert facts["foreground"]["width"] == 15
    assert np.asarray(image)[:, 35:, 3].max() == 0


def test_a_region_without_a_part_of_the_picture_is_refused():
    with pytest.raises(UsageError, match="holds no part") as caught:
        finished(CutoutLayout(roi=px(200, 0, 300, 60)))
    assert caught.value.code == "roi_region_empty"


def test_no_foreground_is_refused():
    with pytest.raises(NoForeground):
        finished(CutoutLayout(), done=separated(empty=True))
    with pytest.raises(NoForeground):
        finished(CutoutLayout(roi=px(60, 0, 100, 60)))


def test_fewer_pixels_keep_the_colors_of_the_subject():
    _, image = finished(CutoutLayout(pixels=1000))
    assert image.size[0] * image.size[1] <= 1000
    values = np.asarray(image)
    assert (values[values[..., 3] > 20][:, :3] == (255, 0, 0)).all()


def test_alpha_alone():
    _, image = finished(CutoutLayout(alpha=True))
    assert image.mode == "L"
    assert np.asarray(image)[10:40, 20:50].min() == 255


def test_a_zip_holds_color_and_alpha():
    _, data = finished(CutoutLayout(suffix=".zip"))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sizes = {name: Image.open(archive.open(name)) for name in archive.namelist()}
    assert {name: (image.mode, image.size) for name, image in sizes.items()} == {
        "color.jpg": ("RGB", (WIDTH, HEIGHT)),
        "alpha.png": ("L", (WIDTH, HEIGHT)),
    }


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"bg_color": "white", "bg_image_url": "x"}, "multiple_bg_sources"),
        ({"bg_color": "nocolor"}, "invalid_bg_color"),
        ({"roi": "1px 2px 3px"}, "invalid_roi"),
        ({"roi": "a b c d"}, "invalid_roi"),
        ({"roi": "0% 0% 101% 50%"}, "invalid_roi"),
        ({"roi": "50px 0px 40px 9px"}, "roi_region_empty"),
        ({"crop_margin": "1px 2px 3px"}, "invalid_crop_margin"),
    ],
)
def test_wrong_parameters_have_the_code_of_remove_bg(given, code):
    with pytest.raises(Refused) as caught:
        read_parameters(given)
    assert caught.value.code == code


def test_parameters_are_read():
    wanted = read_parameters(
        {"crop": "true", "crop_margin": "5px 10%", "size": "preview", "bg_color": "81d4fa", "scale": "50%"}
    )
    assert wanted.layout.crop
    assert wanted.layout.margin == (*px(5), *percent(10), *px(5), *percent(10))
    assert (wanted.layout.pixels, wanted.layout.suffix, wanted.background) == (250_000, ".jpg", "#81d4fa")
    assert wanted.warnings == ["scale"]
    assert read_parameters({"crop_margin": "1px"}).layout.margin == px(1, 1, 1, 1)
    assert read_parameters({"crop_margin": "1px 2px 3px 4px"}).layout.margin == px(1, 2, 3, 4)
    assert read_parameters({"format": "zip"}).as_zip
    odd = read_parameters({"size": "huge", "format": "bmp", "channels": "cmyk"})
    assert sorted(odd.warnings) == ["channels", "format", "size"]


def encoded(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def worker():
    made = PictureWorker(Settings(threads=1))
    made.warm_up()  # nothing is loaded yet
    return made


def test_a_mask_that_was_drawn_takes_the_place_of_the_networks_answer(worker):
    drawn = separated()
    data, mask = encoded(drawn.picture.rgb), encoded(drawn.mask8())
    spec = JobSpec(METHODS["subject"], views=("mask",), settings=Settings(threads=1))
    for _ in range(2):  # the second time, the picture is remembered
        result = worker(ServerTask(data, spec, {"mask": ".png"}, remember="a", mask=mask))
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(result.files["mask"]))), drawn.mask8())
    with pytest.raises(UsageError, match="must have the picture's size, 100 × 60, but it is 50 × 60"):
        worker(ServerTask(data, spec, {"mask": ".png"}, remember="a", mask=encoded(drawn.mask8()[:, :50])))


def test_a_worker_holds_the_network_of_the_last_task(worker):
    spec = JobSpec(METHODS["subject"], views=("mask",), settings=Settings(threads=1))
    data = encoded(separated().picture.rgb)
    worker(ServerTask(data, spec, {"mask": ".png"}))
    held = worker.loaded
    result = worker(ServerTask(data, spec, {"mask": ".png"}, CutoutLayout(roi=percent(0, 0, 100, 100))))
    assert worker.loaded is held
    assert set(result.seconds) >= {"load", "network", "encode"}
