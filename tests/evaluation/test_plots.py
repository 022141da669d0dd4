import io
from functools import partial

import cv2
import numpy as np
import pytest
from PIL import Image

from commandline import command
from drawn import archive
from figureground.errors import UnknownName, WriteFailed
from figureground.evaluation.dataset import LabeledImage
from figureground.evaluation.evaluate import evaluate
from figureground.evaluation.plots import BLUE, MARGIN, RED, SQUARE, plot_result


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def result():
    """Half of the picture said to be foreground with 0.25, the other half with 0.75, and a quarter and three quarters are."""
    said = np.repeat(np.array([[0.25] * 4 + [0.75] * 4], np.float32), 4, 0)
    truth = np.array([[255, 0, 0, 0, 255, 255, 255, 0]] * 4, np.uint8)
    rgb = np.zeros((4, 8, 3), np.uint8)
    return evaluate(lambda rgb: said, [LabeledImage("p", partial(png, rgb), partial(png, truth))])


def at(image, panel, x, y):
    """The colour at a point of a panel's axes."""
    left = MARGIN + panel * (SQUARE + MARGIN)
    return tuple(int(v) for v in image[round(MARGIN + SQUARE - y * SQUARE), round(left + x * SQUARE)])


def test_points_stand_where_the_figures_are(result, tmp_path):
    plot_result(result, tmp_path / "plot.png")
    image = cv2.imread(str(tmp_path / "plot.png"))[..., ::-1]
    assert image.shape == (SQUARE + 2 * MARGIN, 2 * SQUARE + 3 * MARGIN, 3)
    assert at(image, 1, 0.25, 0.25) == at(image, 1, 0.75, 0.75) == RED  # reliable: on the diagonal
    assert at(image, 1, 0.25, 0.4) == (225, 225, 225)  # half of the pixels are in its bin
    assert at(image, 1, 0.25, 0.6) == (255, 255, 255)
    assert at(image, 0, 0.75, 0.75) == BLUE  # precision and recall at 0.75, where F is greatest
    assert at(image, 0, 0.2, 0.6) == (255, 255, 255)


def test_the_suffix_says_the_format(result, tmp_path):
    plot_result(result, tmp_path / "plot.jpg")
    assert (tmp_path / "plot.jpg").read_bytes().startswith(b"\xff\xd8")
    with pytest.raises(UnknownName, match="output format"):
        plot_result(result, tmp_path / "plot.doc")
    with pytest.raises(WriteFailed):
        plot_result(result, tmp_path / "no" / "plot.png")


def test_by_command(tmp_path):
    data = archive(tmp_path / "data.zip", 1)
    done = command("evaluate", data, "--quality", "fast", "--plot", tmp_path / "plot.png")
    assert done.code == 0, done
    assert "calibration error" in done.out
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_an_unknown_format_is_refused_before_the_work(tmp_path):
    done = command("evaluate", tmp_path / "missing.zip", "--plot", tmp_path / "plot.doc")
    done.refused(2, "output format")
