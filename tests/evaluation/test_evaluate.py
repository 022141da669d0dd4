import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from figureground.errors import BadData
from figureground.evaluation.dataset import LabeledImage
from figureground.evaluation.evaluate import evaluate
from figureground.evaluation.metrics import Counts


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def pair(name, mask):
    """A picture whose red is what `red` below answers, and its true mask."""
    mask = np.array(mask, np.uint8)
    return LabeledImage(name, lambda: png(np.dstack([mask, mask, mask])), lambda: png(mask))


def red(rgb):
    return rgb[..., 0].astype(np.float32) / 255


def nothing(rgb):
    return np.zeros(rgb.shape[:2], np.float32)


SMALL = pair("small", [[255, 0]])
LARGE = pair("large", [[255, 255, 255, 255, 255, 255, 0, 0]])


def test_a_perfect_answer():
    result = evaluate(red, [SMALL, LARGE])
    for figures in (result.mean, result.pooled):
        assert [figures[name] for name in ("accuracy", "precision", "recall", "f1", "iou", "mae")] == [1, 1, 1, 1, 1, 0]
    assert result.max_f == pytest.approx(1)
    assert [row.name for row in result.rows] == ["small", "large"]


def test_mean_counts_pictures_and_pooled_counts_pixels():
    result = evaluate(nothing, [SMALL, LARGE])
    assert result.mean["accuracy"] == pytest.approx((1 / 2 + 2 / 8) / 2)
    assert result.pooled["accuracy"] == pytest.approx(3 / 10)
    assert result.mean["mae"] == pytest.approx((1 / 2 + 6 / 8) / 2)
    assert result.pooled["mae"] == pytest.approx(7 / 10)
    assert result.mean["recall"] == result.pooled["recall"] == 0
    # at the lowest threshold everything is foreground: precision (1/2 + 6/8) / 2, recall 1
    assert result.max_f == pytest.approx(1.3 * 0.625 / (0.3 * 0.625 + 1))


def test_truth_is_128_and_more():
    result = evaluate(lambda rgb: np.ones(rgb.shape[:2], np.float32), [pair("soft", [[127, 128]])])
    assert result.pooled["precision"] == Counts(1, 1, 0, 0).precision == 0.5


def test_seconds_are_those_of_the_answer():
    result = evaluate(red, [SMALL, LARGE])
    seconds = [row.figures["seconds"] for row in result.rows]
    assert min(seconds) > 0
    assert result.pooled["seconds"] == pytest.approx(sum(seconds))
    assert result.mean["seconds"] == pytest.approx(sum(seconds) / 2)


def test_as_plain_data():
    result = evaluate(nothing, [SMALL, LARGE])
    data = json.loads(json.dumps(result.as_dict()))
    assert data["pictures"] == 2
    assert data["max_f"] == result.max_f
    assert data["mean"] == result.mean
    assert data["pooled"] == result.pooled
    assert data["calibration"] == {"error": 0.7, "bins": [{"said": 0.0, "true": 0.7, "pixels": 10}]}
    assert data["per_picture"][1] == {"name": "large", **result.rows[1].figures}


def test_intervals_hold_the_figures_and_shrink_with_the_pictures():
    few, many = (evaluate(red if n == 2 else nothing, [SMALL, LARGE] * n).intervals() for n in (2, 8))
    assert few["iou"] == (1, 1)
    low, high = many["accuracy"]
    assert low < 0.375 < high
    assert high - low < 0.2
    assert "seconds" not in many


def test_curves_and_reliability_are_over_all_pictures():
    result = evaluate(red, [SMALL, LARGE])
    assert result.precision.shape == result.recall.shape == (256,)
    assert result.precision[0] == result.recall[0] == 1
    assert result.precision[255] == pytest.approx((1 / 2 + 6 / 8) / 2)
    assert result.reliability.error == 0
    assert result.reliability.pixels.sum() == 10


def test_as_csv():
    result = evaluate(nothing, [SMALL, pair('a "b", c', [[0]])])
    rows = list(csv.DictReader(io.StringIO(result.csv())))
    assert [row["name"] for row in rows] == ["small", 'a "b", c']
    assert [float(row["accuracy"]) for row in rows] == [0.5, 1]
    likeness = ["s_measure", "weighted_f", "boundary_iou"]
    assert list(rows[0]) == ["name", "accuracy", "precision", "recall", "f1", "iou", "mae", *likeness, "seconds"]


def test_without_scipy_there_is_no_weighted_f(monkeypatch):
    monkeypatch.setattr("figureground.evaluation.evaluate.find_spec", lambda name: None)
    result = evaluate(red, [SMALL, LARGE])
    assert "weighted_f" not in result.mean
    assert result.mean["s_measure"] == pytest.approx(1)


def test_as_table():
    lines = evaluate(nothing, [SMALL, LARGE]).table().splitlines()
    assert lines[0].startswith("2 pictures, max F 0.6842 (0.565 to 0.796), max E ")
    assert lines[0].endswith(", calibration error 0.7000")
    assert lines[2].split() == ["accuracy", "0.3750", "0.250", "and", "0.500", "0.3000"]
    names = [line.split()[0] for line in lines]
    assert names.index("seconds") < names.index("pictures") and "size: large (above 35 %)" in lines[-2]


def test_progress_goes_to_stderr_only_where_a_terminal_is(capsys):
    evaluate(red, [SMALL], progress=True)
    assert capsys.readouterr() == ("", "")


def test_no_pictures():
    with pytest.raises(BadData, match="no pictures"):
        evaluate(red, [])


def test_a_broken_picture_is_named():
    broken = LabeledImage("set/broken", lambda: b"no picture", lambda: png(np.zeros((1, 1), np.uint8)))
    with pytest.raises(BadData, match="set/broken"):
        evaluate(red, [SMALL, broken])


def test_an_answer_of_another_size_is_our_bug():
    with pytest.raises(ValueError, match=r"'small'.*\(1, 2\).*\(2, 2\)"):
        evaluate(lambda rgb: np.zeros((2, 2), np.float32), [SMALL])
