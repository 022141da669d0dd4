"""A corpus of odd, damaged and hostile files that is too large, and in part not free, to be carried along."""

import csv
import tarfile
import time
from pathlib import Path

import pytest

from figureground.errors import FigureGroundError
from figureground.io.picture import Picture
from figureground.settings import Settings
from photographs import ROOT

ARCHIVE = ROOT.parent / "shared" / "corpus" / "badinputs-devset.tar.gz"
BUDGET = 60  # seconds; takes 10 on two cores
TEXT = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ARCHIVE.is_file(), reason="the corpus of bad inputs is not beside the checkout"),
]


def fault(row, path):
    """What is wrong with how this file is answered, or None."""
    began = time.monotonic()
    try:
        picture = Picture.read(path, Settings(cache=Path("unused")))
    except FigureGroundError as error:
        if row["expected"] == "ok":
            return f"refused: {error}"
        if not str(error).isprintable() or error.code == "internal":
            return f"unfit to print: {error!r}"
    else:
        height, width = picture.rgb.shape[:2]
        if row["expected"] == "error":
            return "accepted"
        if row["expected"] == "ok" and (width, height) != (int(row["upright_w"]), int(row["upright_h"])):
            return f"is {width} × {height}"
    return "slow" if time.monotonic() - began > 10 else None


def test_every_file_is_answered_as_it_should(tmp_path):
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    with (tmp_path / "manifest.csv").open(**TEXT) as file:
        rows = list(csv.DictReader(file))
    began, faults, seen = time.monotonic(), {}, 0
    for row in rows:
        if time.monotonic() - began > BUDGET:
            break
        seen += 1
        if found := fault(row, tmp_path / "files" / row["file"]):
            faults[row["file"]] = found
    assert faults == {}
    assert seen > 500
