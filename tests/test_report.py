import re

import numpy as np
import pytest
from PIL import Image

from figureground.dataset import pairs
from figureground.evaluate import evaluate
from figureground.report import SIDE, Evaluated, page


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
    return pairs([folder])


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
