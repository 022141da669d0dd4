"""The benchmark of clicks without torch, over drawn rectangles of which one is wanted."""

import numpy as np
import pytest
from PIL import Image

from hub_server import drawn
from photographs import ROOT

COUNT = 12


@pytest.fixture
def points(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import points

    return points


@pytest.fixture
def folder(tmp_path):
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for seed in range(COUNT):
        rgb, labels = drawn(seed)
        Image.fromarray(rgb).save(tmp_path / "images" / f"{seed:02}.png")
        Image.fromarray((labels == labels[32, 32]).astype(np.uint8) * 255).save(tmp_path / "masks" / f"{seed:02}.png")
    return tmp_path


def test_clicks_are_judged_before_and_after_and_mend_what_was_missed(points, folder):
    rows = points.measure(folder, looks=False)
    assert [row.kind for row in rows] == list(points.CLICKS)
    judged = {row.kind: [*row.low, *row.rest] for row in rows}
    assert len(judged["point"]) == len(judged["box"]) == COUNT > len(judged["missed"]) > 0
    assert all(0 <= score <= 1 for scores in judged.values() for pair in scores for score in pair)
    assert all(before < points.LOW for row in rows for before, _ in row.low)
    for kind in ("point", "missed", "box"):
        before, after = np.mean(judged[kind], axis=0)
        assert after > before, kind


def test_every_so_many_pictures_are_taken_from_a_start_on(points, folder):
    row = points.measure(folder, every=4, start=1, looks=False)[0]
    assert len(row.low) + len(row.rest) == len(range(1, COUNT, 4))
