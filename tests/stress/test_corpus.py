"""A corpus of odd, damaged and hostile files that is too large, and in part not free, to be carried along.

CORPUS names it: a .tar.gz of `manifest.csv` (file, expected: ok, error or either, upright_w, upright_h) and the folder `files`.
"""

import csv
import os
import tarfile
import time
from pathlib import Path

import pytest

from figureground.errors import FigureGroundError
from figureground.io.picture import Picture
from figureground.settings import Settings

CORPUS = os.environ.get("CORPUS", "")
TEXT = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}


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


@pytest.mark.skipif(not CORPUS, reason="CORPUS names no corpus of bad pictures")
def test_every_file_is_answered_as_it_should(tmp_path):
    with tarfile.open(CORPUS) as archive:
        archive.extractall(tmp_path, filter="data")
    with (tmp_path / "manifest.csv").open(**TEXT) as file:
        rows = list(csv.DictReader(file))
    found = {row["file"]: fault(row, tmp_path / "files" / row["file"]) for row in rows}
    assert {name: what for name, what in found.items() if what} == {}
    assert len(found) > 500
