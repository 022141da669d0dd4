"""The bars of a batch, at sizes that take seconds: each measures what it says."""

import subprocess
import sys

import pytest

from photographs import ROOT

BENCHMARKS = ROOT / "benchmarks"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the bars read Linux's /proc")


@pytest.fixture
def bars(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import batch

    return batch


def run(*words):
    words = [sys.executable, BENCHMARKS / "batch.py", *map(str, words)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_bad_pictures_are_counted_and_do_not_open(bars, tmp_path):
    from figureground import Picture
    from figureground.errors import InputError

    assert bars.drawn(12, 0.25, 32, tmp_path) == 3
    opened = 0
    for path in sorted(tmp_path.rglob("*.jpg")):
        try:
            opened += Picture.read(path).rgb.shape == (32, 32, 3)
        except InputError:
            assert int(path.stem) in (3, 7, 11)
    assert opened == 9


def test_the_slope_leaves_out_the_first_quarter(bars):
    samples = [(done, 500.0 - done if done < 1000 else 100 + done / 5000) for done in range(0, 5000, 100)]
    samples = [each for each in samples if each[0] >= 1200 or each[0] < 1000]
    assert bars.slope(samples) == pytest.approx(2)
    assert bars.quarters([(n, float(n)) for n in range(1, 9)]) == "2.0, 4.0, 6.0, 8.0"


def test_memory_counts_rows_files_and_failures():
    ended = run("memory", "--pictures", 40, "--bad", 0.1, "--side", 32, "--every", 0.3)
    assert "| inputs, of which bad | 40, 4 |" in ended.stdout, ended.stderr
    assert "| rows; done; failed; files | 40; 36; 4; 36 |" in ended.stdout
    assert "| exit code, last line | 1, figureground: 36 done, 4 failed of 40" in ended.stdout
    assert ended.stdout.count("a worker: MB") == 2


def test_startup_finds_everything_done():
    ended = run("startup", "--pictures", 300, "--side", 32, "--rounds", 1)
    assert ended.stderr == ""  # whether its seconds meet the bar is the machine's matter
    assert "| rows; done | 300; 300 |" in ended.stdout


def test_the_ledger_takes_little_of_a_run(bars, tmp_path):
    rows, _ = bars.ledger(bars.options().parse_args(["ledger", "--pictures", "12", "--side", "32", "--rounds", "1"]), tmp_path)
    shares = [float(row["measured"].split()[0]) for row in rows]
    assert all(0 < share < 50 for share in shares)


def test_kills_leave_what_an_undisturbed_run_leaves():
    ended = run("kills", "--pictures", 30, "--side", 32, "--kills", 2, "--every", 1.5)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "| pictures; rows that are done; exit code | 30; 30; 0 |" in ended.stdout
    assert "byte for byte | yes |" in ended.stdout


def test_two_rates_and_their_ratio():
    ended = run("scaling", "--pictures", 20, "--side", 32, "--rounds", 1)
    assert ended.stdout.count("\n| 1 | ") == ended.stdout.count("\n| 2 | ") == 1, ended.stderr


def test_a_bar_that_there_is_not_is_refused():
    ended = run("speed")
    assert ended.returncode == 2
    assert "invalid choice: 'speed'" in ended.stderr
