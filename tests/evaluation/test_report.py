import io
import re

import numpy as np
import pytest
from PIL import Image

from figureground._html import SIDE
from figureground.evaluation.dataset import LabeledImage, labeled_images
from figureground.evaluation.evaluate import EvaluationResult, PictureScores, evaluate
from figureground.evaluation.metrics import Reliability
from figureground.evaluation.report import COLORS, Evaluated, page


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Twenty pictures with one bright square each, and their masks."""
    folder = tmp_path_factory.mktemp("set")
    for part in ("images", "masks"):
        (folder / part).mkdir()
    for i in range(20):
        random = np.random.default_rng(i)
        mask = np.zeros((60, 80), np.uint8)
        mask[10:40, 5 + i : 40 + i] = 255
        rgb = np.where(mask[..., None] > 0, 200, 60) + random.normal(0, 15 + 2 * i, (60, 80, 3))
        Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).save(folder / "images" / f"<p {i:02}>.png")
        Image.fromarray(mask).save(folder / "masks" / f"<p {i:02}>.png")
    return labeled_images([folder])


def bright(rgb):
    return (rgb.mean(2) > 130).astype(np.float32)


def doubtful(rgb):
    return np.where(rgb.mean(2) > 190, np.float32(0.8), np.float32(0.1))


@pytest.fixture(scope="module")
def html(data):
    both = [
        Evaluated(name, evaluate(method, data), method) for name, method in (("bright & <b>", bright), ("doubtful", doubtful))
    ]
    return page(both, data, "Squares")


def test_nothing_is_loaded_from_elsewhere(html):
    assert not re.findall(r"(?:src|href)=[\"'](?!data:)", html)
    assert "http" not in re.sub(r'src="data:[^"]*"', "", html)
    assert "<script" not in html
    assert "url(" not in html


def test_names_are_escaped(html):
    assert "bright &amp; &lt;b&gt;" in html
    assert "&lt;p 03&gt;" in html
    assert "<p 03>" not in html


def test_every_figure_of_every_method_stands_there_with_an_interval(html, data):
    result = evaluate(bright, data)
    assert f"{result.mean['iou']:.4f}<br><small>" in html
    assert f"<td>{result.max_f:.4f}</td>" in html


def test_two_methods_are_tested_against_each_other(html):
    assert re.search(
        r"mean -0\.\d{4} \(-0\.\d{4} to -0\.\d{4}\), better on 0 of 20; sign-flip permutation test p = 0\.000", html
    )


def test_methods_that_are_equal_are_said_to_be(data):
    html = page([Evaluated(name, evaluate(bright, data[:4]), bright) for name in ("one", "other")], data[:4], "Equal")
    assert "They differ on no picture" in html
    assert html.count("<figure>") == 4  # the worst alone


def test_worst_best_and_most_different_pictures_are_shown_with_truth_and_masks(html):
    assert html.count("<figure>") == 12 + 6 + 8
    shown = re.findall(r'<img width="(\d+)" height="(\d+)"', html)
    assert len(shown) == (12 + 6 + 8) * 4
    assert set(shown) == {(str(SIDE), str(SIDE * 3 // 4))}
    worst = html.index("Worst of bright")
    assert re.search(r"<figcaption>.*?/&lt;p (\d+)&gt;", html[worst:])[1] in ("18", "19", "17", "16")


def test_one_method_on_few_pictures(data):
    html = page([Evaluated("bright", evaluate(bright, data[:3]), bright)], data[:3], "Three")
    assert html.count("<figure>") == 3
    assert "Best of" not in html
    assert "permutation" not in html


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


def test_a_report_of_500_pictures_stays_below_15_mb():
    """Of noise, which no format makes small, and three methods whose answers are noise too."""
    picture, mask = png(noise(SIDE, SIDE, 3)), png(noise(SIDE, SIDE))
    data = [LabeledImage(f"archive.zip/a-picture-with-a-long-name-{i:03}", lambda: picture, lambda: mask) for i in range(500)]
    answer = noise(SIDE, SIDE) / np.float32(255)
    evaluated = [Evaluated(name, drawn_result(data, seed), lambda rgb: answer) for seed, name in enumerate(("a", "b", "c"))]
    size = len(page(evaluated, data, "Noise").encode())
    assert 1e6 < size < 15e6


def drawn_result(data, seed):
    """Figures of a method that was never asked."""
    random = np.random.default_rng(seed)
    names = ("accuracy", "precision", "recall", "f1", "iou", "mae", "s_measure", "weighted_f", "boundary_iou", "seconds")
    rows = tuple(
        PictureScores(pair.name, dict(zip(names, random.random(len(names)), strict=True)), (True, True)) for pair in data
    )
    mean = {name: float(np.mean([row.figures[name] for row in rows])) for name in names}
    curves = random.random((len(data), 2, 256))
    said = Reliability.of(random.random((40, 40)), random.random((40, 40)) < 0.5)
    return EvaluationResult(rows, mean, mean, 0.5, curves, random.random(256), said)


@pytest.mark.parametrize("color", COLORS)
@pytest.mark.parametrize("ground", ["#ffffff", "#121212"])
def test_lines_can_be_told_from_a_white_and_from_a_dark_ground(color, ground):
    """A contrast of 3, which WCAG 2 asks of graphics."""
    one, other = sorted(luminance(each) for each in (color, ground))
    assert (other + 0.05) / (one + 0.05) >= 3


def luminance(color):
    digits = color[1:] if len(color) == 7 else "".join(digit * 2 for digit in color[1:])
    values = np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
