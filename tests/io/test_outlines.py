import re

import cv2
import numpy as np
import pytest
from PIL import Image

from figureground.io.outlines import contours, fit_beziers, svg
from photographs import FOLDER

Y, X = np.mgrid[:120, :160].astype(np.float32)
RING = (np.clip(50.5 - np.hypot(X - 80, Y - 60), 0, 1) - np.clip(20.5 - np.hypot(X - 80, Y - 60), 0, 1)).astype(np.float32)


def rendered(document: str, shape: tuple[int, int], scale: int = 4) -> np.ndarray:
    """The filled paths of an SVG document, (H, W) float32 coverage, by a renderer of its own."""
    [data] = re.findall(r' d="([^"]*)"', document)
    lines = []
    for path in filter(None, data.split("Z")):
        numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", path)]
        points = np.array(numbers).reshape(-1, 2)
        t = np.linspace(0, 1, 16)[:, None]
        weights = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3]
        curves = [sum(w * p for w, p in zip(weights, points[i : i + 4], strict=True)) for i in range(0, len(points) - 1, 3)]
        lines.append(np.rint((np.concatenate(curves) * scale - 0.5) * 16).astype(np.int32))
    canvas = np.zeros((shape[0] * scale, shape[1] * scale), np.uint8)
    cv2.fillPoly(canvas, lines, 255, shift=4)
    return cv2.resize(canvas, shape[::-1], interpolation=cv2.INTER_AREA) / np.float32(255)


def test_a_ring_is_two_lines_of_few_curves():
    document = svg(RING)
    assert document.count("M") == document.count("Z") == 2
    assert document.count("C") <= 24
    assert np.abs(rendered(document, RING.shape) - RING).mean() < 0.01


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_a_photographs_mask_is_kept_within_its_edge(name):
    with Image.open(FOLDER / "masks" / f"{name}.png") as image:
        truth = np.asarray(image.convert("L")) > 127
    document = svg(truth.astype(np.float32))
    shown = rendered(document, truth.shape) > 0.5
    assert (shown & truth).sum() / (shown | truth).sum() > 0.99
    assert len(document) < 12_000


def test_lines_run_between_the_pixels():
    half = np.zeros((20, 20), np.float32)
    half[:, :10] = 1
    half[:, 10] = 0.25  # the edge is where 0.5 lies between the centers of columns 9 and 10
    [line] = contours(half)
    right = line[(line[:, 1] > 2) & (line[:, 1] < 18) & (line[:, 0] > 5)]
    assert np.allclose(right[:, 0], 9.5 + 0.5 / 0.75, atol=1e-6)


def test_corners_stay_sharp():
    square = np.zeros((60, 60), np.float32)
    square[10:50, 10:50] = 1
    assert np.abs(rendered(svg(square), square.shape) - square).max() <= 0.4


def test_a_tolerance_makes_fewer_curves():
    wave = (np.hypot(X - 80, Y - 60) < 40 + 4 * np.sin(9 * np.arctan2(Y - 60, X - 80))).astype(np.float32)
    [line] = contours(wave)
    assert len(fit_beziers(line, 5)) < len(fit_beziers(line, 0.3))


def test_specks_and_nothing():
    empty = np.zeros((9, 9), np.float32)
    assert ' d=""' in svg(empty)
    empty[4, 4] = 1
    assert contours(empty) == []
    assert svg(np.ones((9, 9), np.float32)).count("M") == 1
