"""The benchmarks' driver: tables go between their marks, and a benchmark that gives none leaves what was there."""

import json
import re
import sys

import pytest

from photographs import ROOT

PAGE = "# Speed\n<!-- MACHINE -->\nold machine\n<!-- end MACHINE -->\n<!-- A -->\nold table\n<!-- end A -->\nend\n"


@pytest.fixture
def driver(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import run

    return run


@pytest.fixture
def trial(driver, monkeypatch, tmp_path):
    """Runs the driver over one script of the given text; what it returns and the page it leaves."""

    def go(script):
        (tmp_path / "benchmarks").mkdir()
        (tmp_path / "benchmarks" / "a.py").write_text(script)
        page = tmp_path / "speed.md"
        page.write_text(PAGE)
        monkeypatch.setattr(driver, "ROOT", tmp_path)
        monkeypatch.setattr(driver, "BENCHMARKS", {"A": ["a.py"]})
        monkeypatch.setattr(sys, "argv", ["run.py", "--page", str(page)])
        return driver.main(), page.read_text()

    return go


WRITES = """
import json, sys
from pathlib import Path
facts = {"title": "Title", "command": "python a.py", "rows": [{"what": "one", "s": "1.0"}, {"what": "two", "ratio": 2}]}
Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps(facts))
"""


def test_a_table_goes_between_its_marks_and_the_machine_is_named(trial):
    code, page = trial(WRITES)
    assert code == 0
    table = "Title: `python a.py`\n\n| what | s | ratio |\n| --- | --- | --- |\n| one | 1.0 |  |\n| two |  | 2 |"
    assert f"<!-- A -->\n{table}\n<!-- end A -->\nend\n" in page
    assert "old" not in page
    assert re.search(r"Measured on \d+ cores of .*numpy \d.*other work kept \d+\.\d cores busy", page)


def test_a_table_that_is_made_alone_names_its_machine_itself(driver, trial, monkeypatch):
    trial(WRITES)
    page = driver.ROOT / "speed.md"
    page.write_text(PAGE)
    monkeypatch.setattr(driver, "BENCHMARKS", {"A": ["a.py"], "Z": ["z.py"]})
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--only", "A"])
    assert driver.main() == 0
    assert re.search(r"\| two \|  \| 2 \|\n\nMeasured on .* before\.\n<!-- end A -->", page.read_text())
    assert page.read_text().count("Measured on") == 1


@pytest.mark.parametrize(("script", "words"), [("raise SystemExit(3)", "failed"), ("", "was skipped")])
def test_a_benchmark_without_a_table_leaves_the_page_and_says_so(trial, capsys, script, words):
    assert trial(script) == (1, PAGE)
    assert f"A: a.py {words}" in capsys.readouterr().err


def test_what_is_run_by_hand_runs_only_where_it_is_named(driver, trial, monkeypatch):
    monkeypatch.setattr(driver, "BY_HAND", {"B": ["b.py"]})
    assert trial(WRITES)[0] == 0  # there is no b.py, and no place for its table


@pytest.mark.parametrize("page", ["", "<!-- A -->", "<!-- end A --><!-- A -->", "<!-- A --><!-- A --><!-- end A -->"])
def test_a_page_without_the_marks_is_refused(driver, page):
    with pytest.raises(ValueError, match="wants one <!-- A -->"):
        driver.filled(page, "A", "table")


def test_the_page_has_a_place_for_every_benchmark(driver):
    for name in ("MACHINE", *driver.BENCHMARKS, *driver.BY_HAND):
        page = driver.PAGES.get(name, driver.PAGE).read_text("utf-8")
        assert driver.filled(page, name, "table") != page


def test_what_a_benchmark_reports_is_what_the_driver_reads(driver, tmp_path, monkeypatch, capsys):
    import common

    monkeypatch.setattr(sys, "argv", ["benchmarks/a.py", "--rounds", "2", "--json", "there", "--plot", "x.png", "--last"])
    common.report("Title", [{"ms": common.spread([3, 1, 2], 1)}], tmp_path / "there", "a note")
    facts = json.loads((tmp_path / "there").read_text("utf-8"))
    assert facts == {
        "title": "Title",
        "command": "python benchmarks/a.py --rounds 2 --last",
        "rows": [{"ms": "2.0 (1.0 – 3.0)"}],
        "note": "a note",
    }
    assert "| 2.0 (1.0 – 3.0) |" in capsys.readouterr().out


def test_runs_are_interleaved_and_the_first_rounds_are_not_counted(driver):
    import common

    order = []
    seconds = common.interleaved(2, {name: lambda name=name: order.append(name) for name in "ab"}, warm=1)
    assert "".join(order) == "ababab"
    assert {name: len(each) for name, each in seconds.items()} == {"a": 2, "b": 2}


def test_a_process_is_measured_from_outside(driver):
    import common

    ended = common.process([sys.executable, "-c", "x = bytearray(60_000_000); print(len(x))"])
    assert ended.output == "60000000\n"
    assert ended.peak > 60
    assert 0 < ended.cpu < 60 and ended.wall > 0
    with pytest.raises(RuntimeError, match="ended with 1: what went wrong"):
        common.process([sys.executable, "-c", "raise SystemExit('what went wrong')"])


def test_the_photographs_have_the_size_asked_for_and_differ(driver, tmp_path):
    import common
    from figureground import Picture

    one, other = (common.photograph(tmp_path / f"{seed}.jpg", (321, 200), seed) for seed in (0, 4))
    assert Picture.read(one).rgb.shape == (200, 321, 3)
    assert one.read_bytes() != other.read_bytes()


def test_costs_follow_from_the_measured_seconds(driver):
    import cost

    row = cost.row("small", 2.0, [0.9, 0.3, 0.36], 0.05)  # the middle one: 10 000 pictures a core-hour
    assert row == {
        "method": "`small`",
        "megapixels": "2",
        "core-seconds a picture": "0.36 (0.30 – 0.90)",
        "pictures a core-hour": "10,000",
        "pictures a euro": "200,000",
        "1,000 pictures": "0.1 h, € 0.005",
        "1,000,000 pictures": "100 h, € 5",
        "1,000,000,000 pictures": "100,000 h, € 5,000",
    }


def test_the_fitted_line_is_that_of_the_points_above_one_megapixel(driver):
    import scaling

    slope, offset, explained = scaling.fit([0.1, 1, 2, 10], [999, 17, 27, 107])
    assert (slope, offset, explained) == pytest.approx((10, 7, 1))
