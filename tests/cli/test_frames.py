"""`--frames all` on the command line and in a batch, with the network."""

import cv2
import numpy as np
import pytest
from PIL import Image

from animations import animated, shown
from commandline import command
from photographs import FOLDER, photograph

QUICK = ("--quality", "fast")
DURATIONS = [40, 70, 100]


@pytest.fixture
def moving(tmp_path):
    """A photograph of 96 pixels that moves by two pixels a frame."""
    image = np.asarray(cv2.resize(photograph(FOLDER / "coffee.jpg"), (104, 104)))
    path = tmp_path / "moving.webp"
    frames = [np.ascontiguousarray(image[4:100, 2 * step : 2 * step + 96]) for step in range(3)]
    path.write_bytes(animated(frames, "WEBP", duration=DURATIONS, loop=2))
    return path


def test_all_frames_with_a_crop_and_a_background(moving, tmp_path):
    target = tmp_path / "out.gif"
    words = ("--frames", "all", "--crop", "--background", "white", "--json")
    end = command("remove", moving, *words, "-o", target, *QUICK)
    assert end.code == 0, end
    [facts] = end.lines()
    assert facts["frames"] == {"count": 3, "durations": DURATIONS, "plays": 2}
    found = list(shown(target.read_bytes()))
    assert [duration for _, duration in found] == DURATIONS
    size = (facts["output"]["height"], facts["output"]["width"])
    assert {pixels.shape[:2] for pixels, _ in found} == {size}
    assert max(size) <= 96 and min(size) < 96 and facts["found"]


def test_the_first_frame_is_the_default_and_a_note_says_that_there_are_more(moving, tmp_path):
    end = command("remove", moving, "-o", tmp_path / "out.webp", *QUICK)
    assert end.code == 0 and "the first frame is used (--frames all" in end.err
    assert sum(1 for _ in shown((tmp_path / "out.webp").read_bytes())) == 1


REFUSED = [
    (("--view", "svg"), "--view svg"),
    (("-o", "x.jpg"), ".jpg"),
    (("-o", "x.tif", "--view", "cutout,mask"), ".tif"),
    (("--format", "avif"), ".avif"),
    (("-m", "depth", "--view", "depth"), "--view depth"),
]


@pytest.mark.parametrize(("words", "reason"), REFUSED, ids=lambda each: " ".join(each) if isinstance(each, tuple) else "")
def test_what_makes_no_sense_is_refused_in_one_line(moving, words, reason):
    command("remove", moving, "--frames", "all", *words).refused(2, reason, "--frames all")
    assert [path.name for path in moving.parent.iterdir()] == ["moving.webp"]


def test_a_batch_of_animations_and_pictures(moving, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    moving.rename(folder / "moving.webp")
    Image.fromarray(cv2.resize(photograph(FOLDER / "coffee.jpg"), (96, 64))).save(folder / "still.jpg")
    words = ("batch", folder, out, "--frames", "all", "--format", "webp", "--engine", "inline", *QUICK)
    end = command(*words)
    assert end.code == 0, end
    counts = {path.name: sum(1 for _ in shown(path.read_bytes())) for path in out.glob("*.webp")}
    assert counts == {"moving.cutout.webp": 3, "still.cutout.webp": 1}
    report = tmp_path / "report.html"
    assert command("batch", out, "--report", report).code == 0
    assert "frames all" in report.read_text("utf-8")
    command("batch", folder, tmp_path / "other", "--frames", "all", "--format", "jpg").refused(2, ".jpg")
