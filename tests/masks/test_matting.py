"""Closed-form matting along the edge: what it changes, what it leaves, and what it says without its extra."""

import sys

import numpy as np
import pytest

from figureground.errors import MissingExtra
from figureground.masks.matting import pymatting, refine_by_matting

FRONT, BEHIND = np.array([220.0, 60, 40]), np.array([20.0, 90, 200])


def ramp(height=60, width=90):
    """A picture of two mixed colors, and its alpha: the share of the first one."""
    alpha = np.clip((np.arange(width) - 35) / 20, 0, 1)[None].repeat(height, 0).astype(np.float32)
    return np.rint(alpha[..., None] * FRONT + (1 - alpha[..., None]) * BEHIND).astype(np.uint8), alpha


def test_it_improves_the_edge_and_leaves_what_is_certain():
    pytest.importorskip("pymatting", reason="the extra 'matting' is not installed")
    rgb, truth = ramp(240, 600)
    rough = np.clip((truth - 0.5) * 2 + 0.5, 0, 1)
    fine = refine_by_matting(rgb, rough)
    assert fine.dtype == np.float32 and 0 <= fine.min() <= fine.max() <= 1
    assert np.abs(fine - truth).mean() < 0.9 * np.abs(rough - truth).mean()
    np.testing.assert_array_equal(fine[:, 400:], 1)
    full = np.ones((40, 50), np.float32)
    assert refine_by_matting(np.zeros((40, 50, 3), np.uint8), full) is full


def test_standard_output_is_left_to_pictures(capsys):
    """The library prints there where its preconditioner fails, as it does for this picture."""
    pytest.importorskip("pymatting", reason="the extra 'matting' is not installed")
    rgb, truth = ramp()
    trimap = np.where(np.arange(90) < 20, 0.0, np.where(np.arange(90) < 60, 0.5, 1.0))[None].repeat(60, 0)
    alpha = pymatting().estimate_alpha_cf(rgb / 255.0, trimap)
    assert np.abs(alpha - truth).mean() < 0.05
    assert capsys.readouterr().out == ""


def test_without_its_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymatting", None)
    with pytest.raises(MissingExtra, match=r"figureground\[matting\]"):
        refine_by_matting(*ramp())
