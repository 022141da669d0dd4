"""The benchmark of the server, over two small pictures: both ways give figures; an answer that is an error ends the run."""

import json
import sys

import pytest

from photographs import ROOT


@pytest.fixture
def server(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import server

    return server


def test_both_ways_are_timed(server, monkeypatch, tmp_path):
    small = server.folder_of
    monkeypatch.setattr(server, "folder_of", lambda count, folder: small(count, folder, (160, 120)))
    monkeypatch.setattr(
        sys, "argv", ["server.py", "--rounds", "1", "--pictures", "2", "--concurrency", "1", "--json", str(tmp_path / "a.json")]
    )
    server.main()
    (row,) = json.loads((tmp_path / "a.json").read_text())["rows"]
    assert row["at a time"] == 1
    assert all(float(row[f"{name}, ms a picture"].split()[0]) > 0 for name in ("library", "server"))
    assert row["server, pictures/s"].endswith("1.00 times")


def test_an_answer_that_is_an_error_ends_the_run(server, monkeypatch):
    monkeypatch.setattr(server, "ask", lambda *_: (503, b"busy"))
    with pytest.raises(RuntimeError, match="503"):
        server.by_server(1, [b"picture"], 1)
