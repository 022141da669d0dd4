"""What people do with a cut-out, on the command line and in a batch: files, JSON, and refusals."""

import json
from itertools import combinations
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from commandline import command
from edits import GOOD, pair
from figureground.cli.options import job_options
from figureground.compositing.options import PRESETS
from figureground.io.metadata import EXIF, GPS

QUICK = ("--quality", "fast")


@pytest.fixture
def small(tmp_path):
    """A photograph of 128 pixels with a profile's worth of metadata."""
    from photographs import FOLDER

    path = tmp_path / "small.jpg"
    exif = Image.Exif()
    exif[271] = "Camera"
    exif.get_ifd(EXIF)[0x9003] = "2020:01:01 10:00:00"
    exif.get_ifd(GPS).update({1: "N", 2: (48.0, 8.0, 30.0)})
    with Image.open(FOLDER / "astronaut.jpg") as image:
        image.resize((128, 128)).save(path, exif=exif, dpi=(300, 300), quality=92)
    return path


def test_a_preset_makes_a_picture_of_its_size(small, tmp_path):
    target = tmp_path / "shop.jpg"
    words = ("--preset", "sticker", "--canvas", "300x300", "--background", "white", "--json")
    end = command("remove", small, *words, "-o", target, *QUICK)
    assert end.code == 0, end
    [facts] = end.lines()
    with Image.open(target) as image:
        assert image.size == (300, 300)
        assert np.asarray(image)[:4].min() > 250
        assert image.info["dpi"] == (300, 300)
    assert (facts["width"], facts["height"]) == (128, 128)
    assert (facts["output"]["width"], facts["output"]["height"]) == (300, 300)
    left, top, right, bottom = facts["output"]["box"]
    assert 0 <= left < right <= 300 and 10 < top < bottom == 300
    assert facts["box"][3] == 128


def measured(path):
    """Width and height of a file's image."""
    with Image.open(path) as image:
        return image.size


def test_every_view_shows_the_output(small, tmp_path):
    views = "cutout,mask,foreground,background,overlay,trimap,svg"
    end = command("remove", small, "--view", views, "--crop", "--square", "--out-dir", tmp_path / "out", *QUICK)
    assert end.code == 0, end
    sizes = {path.name: measured(path) for path in (tmp_path / "out").glob("*.png")}
    assert len(sizes) == 6 and len(set(sizes.values())) == 1
    [side] = {size[0] for size in sizes.values()}
    document = ET.parse(tmp_path / "out" / "small.svg").getroot()  # noqa: S314  # our own
    assert document.attrib["viewBox"] == f"0 0 {side} {side}"


def test_the_outline_goes_to_standard_output_too(small, capfdbinary):
    assert command("remove", small, "--view", "svg", "-o", "-", *QUICK).code == 0
    assert capfdbinary.readouterr().out.startswith(b"<svg")


def test_views_are_pages_of_a_tiff_file(small, tmp_path):
    target = tmp_path / "all.tif"
    end = command("remove", small, "--view", "cutout,mask", "-o", target, "--json", *QUICK)
    assert end.code == 0, end
    with Image.open(target) as image:
        assert image.n_frames == 2 and image.mode == "RGBA"
        image.seek(1)
        assert image.mode == "L"
    assert end.lines()[0]["files"] == {"pages": str(target)}


KEPT = [((), 0, 0), (("--keep-metadata",), 1, 0), (("--keep-metadata", "--keep-gps"), 1, 1)]


@pytest.mark.parametrize(("flags", "camera", "place"), KEPT)
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "avif"])
def test_metadata_are_dropped_unless_they_are_asked_for(small, tmp_path, flags, camera, place, suffix):
    target = tmp_path / f"out.{suffix}"
    assert command("remove", small, "-o", target, *flags, *QUICK).code == 0
    with Image.open(target) as image:
        exif = image.getexif()
        assert bool(exif.get(271)) == bool(camera) and bool(exif.get_ifd(EXIF)) == bool(camera)
        assert bool(exif.get_ifd(GPS)) == bool(place)


REFUSED = [
    (("--view", "mask", "--shadow", "drop"), "--shadow"),
    (("--view", "mask", "--outline", "3"), "--outline"),
    (("--fill",), "view background"),
    (("--margin", "5%"), "--crop"),
    (("--square", "--canvas", "20x20"), "--canvas"),
    (("--background", "nosuchcolor"), "checker"),
    (("--background", "nowhere.png"), "nowhere.png"),
    (("--keep-gps",), "--keep-metadata"),
    (("--view", "svg", "-o", "x.png"), ".svg"),
    (("-o", "x.svg"), ".svg"),
    (("--threshold", "0"), "--threshold"),
]


@pytest.mark.parametrize(("flags", "word"), REFUSED, ids=lambda each: " ".join(each) if isinstance(each, tuple) else "")
def test_what_makes_no_sense_is_refused_in_one_line(small, flags, word):
    end = command("remove", small, *flags)
    end.refused(1 if "nowhere.png" in flags else 2, word)
    assert [path.name for path in small.parent.iterdir()] == ["small.jpg"]


def test_every_option_is_a_flag_of_both_commands():
    for name in ("remove", "batch"):
        text = command(name, "--help-all").out
        for option in GOOD:
            assert f"--{option.replace('_', '-')} " in text or f"--{option.replace('_', '-')}\n" in text
    assert callable(job_options)


def flags(fields):
    """The words of a command line for some fields."""
    words = []
    for name, value in fields.items():
        words += [f"--{name.replace('_', '-')}", *([] if value is True else [value])]
    return words


PAIRS = list(combinations(GOOD, 2))


@pytest.mark.parametrize(("one", "other"), PAIRS[::23])
def test_pairs_run_or_are_refused_in_one_line(small, one, other, behind):
    chosen = pair(one, other)
    if chosen.get("background") == "a.png":
        chosen["background"] = behind
    view = "cutout,background" if "fill" in chosen else "cutout"
    end = command("remove", small, "--view", view, *flags(chosen), *QUICK)
    if end.code == 0:
        assert small.with_name("small.cutout.png").exists()
    else:
        end.refused(2, "--")


@pytest.fixture
def behind(tmp_path):
    path = tmp_path / "behind" / "behind.png"
    path.parent.mkdir()
    Image.new("RGB", (20, 10), "teal").save(path)
    return path


def test_a_batch_makes_and_shows_them(small, tmp_path):
    (tmp_path / "in").mkdir()
    small.rename(tmp_path / "in" / "small.jpg")
    out, page = tmp_path / "out", tmp_path / "page.html"
    words = ("batch", tmp_path / "in", out, "--engine", "inline", "--view", "cutout,svg", "--preset", "sticker", *QUICK)
    end = command(*words, "--json")
    assert end.code == 0, end
    assert {path.name for path in out.iterdir() if path.suffix in (".png", ".svg")} == {"small.cutout.png", "small.svg"}
    done = json.loads(end.out.splitlines()[0])
    assert done["picture"].endswith("small.jpg")
    with Image.open(out / "small.cutout.png") as image:
        assert image.mode == "RGBA" and image.size != (128, 128)
    assert command("batch", out, "--report", page).code == 0
    html = page.read_text("utf-8")
    assert html.count("<img") >= 2 and "preset" not in html
    assert "outline 2.5%:white" in html


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_runs(small, tmp_path, name):
    assert command("remove", small, "--preset", name, "-o", tmp_path / "x.png", *QUICK).code == 0
