import json
import os
import shlex
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import figureground
from commandline import command
from drawn import archive
from figureground import jobs
from figureground.cli.main import main
from figureground.masks.refine import REFINERS
from figureground.masks.rules import RULES
from figureground.methods import METHODS, options_of
from figureground.models import card, module
from figureground.models.onnx_saliency import NETWORKS
from photographs import FOLDER


def test_version_and_help():
    assert figureground.__version__ in command("--version").out
    for words in ([], ["remove"], ["evaluate"], ["methods"], ["train"], ["export"]):
        end = command(*words, "--help")
        assert end.code == 0
        assert "Usage" in end.out
    assert command().code == 2


def test_methods_are_listed_with_their_terms():
    end = command("methods")
    assert end.code == 0
    for name in METHODS:
        assert name in end.out
    assert "Apache-2.0" in end.out
    assert "research material" in end.out
    rows = json.loads(command("methods", "--json").out)
    assert [row["method"] for row in rows] == [*METHODS, *NETWORKS]
    assert rows[0]["permissive"] is True


@pytest.mark.parametrize("name", METHODS)
def test_one_method_is_shown_with_its_options(name):
    row = json.loads(command("methods", name, "--json").out)
    end, method = command("methods", name), METHODS[name]
    assert end.code == 0, end
    assert (row["method"], row["model"], row["about"]) == (name, method.model, method.about)
    assert {option["name"] for option in row["options"]} == {
        option.name
        for part in (module(method.model).load, RULES[method.rule], REFINERS[method.refiner])
        for option in options_of(part)
    }
    shown = command("remove", "--help").out
    for option in row["options"]:
        assert option["flag"] in shown or option["flag"] in command("remove", "--help-all").out
        assert f"{option['flag']} " in end.out and option["help"] in end.out
    for text in (method.about, row["license"], row["data"], row["example"]):
        assert text in end.out
    assert ("prompts: none" in end.out) == (not card(method.model).prompt_kinds)
    assert ("figureground[torch]" in end.out) == bool(row["requires_extra"])


def test_defaults_values_and_prompts_of_one_method():
    end = command("methods", "subject").out
    assert "--quality fast|balanced|best" in end and "[default: balanced]" in end and "--min-part NUMBER" in end
    assert "--point" in end
    assert "--background-classes NAME,…" in command("methods", "stuff").out
    assert "--method points --point 50%,40%" in command("methods", "points").out
    assert "(one is needed)" in command("methods", "points").out
    command("methods", "subjct").refused(2, "unknown_name", "did you mean 'subject'?")


@pytest.mark.parametrize("name", [name for name, row in METHODS.items() if not card(row.model).requires_extra])
def test_the_example_of_a_method_is_a_command_that_parses(name, tmp_path):
    words = shlex.split(json.loads(command("methods", name, "--json").out)["example"])
    assert words[:2] == ["figureground", "remove"]
    missing = str(tmp_path / "none.jpg")
    end = command("remove", missing, *words[3:], "--model", "saliency", "--rule", "salient")
    assert "not_found" in end.err, end


def test_evaluate_prints_a_table_and_writes_a_row_for_each_picture(tmp_path):
    data = archive(tmp_path / "data.zip", 3)
    end = command("evaluate", data, "--csv", tmp_path / "rows.csv")
    assert end.code == 0, end
    for figure in ("IoU", "MAE", "max F"):
        assert figure.lower() in end.out.lower()
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 4
    assert f"\n{tmp_path / 'rows.csv'}: written\n" in end.out
    assert "3 pictures, max F" in end.out
    figures = json.loads(command("evaluate", data, "--json").out)
    assert 0 <= figures["mean"]["iou"] <= 1
    assert 0 <= figures["max_f"] <= 1


def test_evaluate_compares_methods_and_writes_a_page(tmp_path):
    data = archive(tmp_path / "data.zip", 3)
    end = command("evaluate", data, "--against", "subject", "--quality", "fast", "--report", tmp_path / "page.html")
    assert end.out.count("calibration error") == 1, "the same method is not measured twice"
    page = tmp_path / "page.html"
    assert "<h2>Figures</h2>" in page.read_text("utf-8")
    assert end.out.endswith(f"\n{page}: written\n")
    alone = command("evaluate", data, "--quality", "fast", "--json")
    with_itself = command("evaluate", data, "--against", "subject", "--quality", "fast", "--json")
    assert alone.lines()[0]["mean"]["iou"] == with_itself.lines()[0]["mean"]["iou"], "the options given are the ones measured"
    command("evaluate", data, "--against", "nothing").refused(2, "unknown_name", "nothing")


@pytest.mark.parametrize("option", ["--csv", "--plot", "--report"])
def test_evaluate_replaces_no_file_unless_told_to(option, tmp_path):
    data, target = archive(tmp_path / "data.zip", 1), tmp_path / "mine.png"
    target.write_bytes(b"mine")
    words = ["evaluate", data, "--quality", "fast", option, target]
    command(*words).refused(1, "output_exists", str(target), "--overwrite", f"another place with {option}")
    assert target.read_bytes() == b"mine"
    end = command(*words, "--overwrite", "--json")
    assert end.code == 0, end
    assert target.read_bytes() != b"mine"
    assert [row["pictures"] for row in end.lines()] == [1], "with --json nothing but JSON is printed"
    assert "1 picture, max F" in command(*words, "--overwrite").out


def test_evaluate_writes_to_standard_output_without_a_remark(tmp_path):
    end = command("evaluate", archive(tmp_path / "data.zip", 1), "--quality", "fast", "--csv", "/dev/null")
    assert (end.code, "written" in end.out) == (0, False), end


def test_split_writes_lists_that_evaluate_reads(tmp_path):
    data, out = archive(tmp_path / "data.zip", 10), tmp_path / "lists"
    end = command("split", data, "--out", out, "--val", "0.2", "--test", "0.3", "--alike", "0")
    assert end.code == 0, end
    parts = [(out / f"{part}.txt").read_text().splitlines() for part in ("train", "val", "test")]
    assert [len(lines) for lines in parts] == [5, 2, 3]
    assert len({line for lines in parts for line in lines}) == 10
    figures = json.loads(command("evaluate", out / "val.txt", out / "test.txt", "--quality", "fast", "--json").out)
    assert figures["pictures"] == 5
    command("split", data, "--out", out).refused(1, "output_exists", "train.txt", "another place with --out\n")
    assert f"{out / 'val.txt'}: 2 pictures\n" in end.out
    again = command("split", data, "--out", out, "--overwrite", "--json")
    assert set(json.loads(again.out)) == {"train", "val", "test", "near_duplicates"}


def test_split_that_leaves_nothing(tmp_path):
    data = archive(tmp_path / "data.zip", 3)
    command("split", data, "--out", tmp_path, "--val", "0.6", "--test", "0.5").refused(2, "shares")


def test_evaluate_without_data(tmp_path):
    command("evaluate", tmp_path / "none.zip").refused(3, "bad_data", "none.zip")
    command("evaluate").refused(2, "DATA")


def test_a_bug_is_not_hidden(monkeypatch, tmp_path):
    """What is not one of our errors comes through whole: it is a bug, and its traceback is what we want to be sent."""
    monkeypatch.setattr(jobs, "split_options", lambda method: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["remove", "x.jpg"])


@pytest.fixture
def signals():
    """Whoever ends by a signal hears no more of them; the tests still do."""
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


def test_interrupting_says_so(monkeypatch, signals):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "split_options", interrupt)
    end = command("remove", "x.jpg")
    assert (end.code, end.err.strip()) == (130, "figureground: stopped")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_that_comes_while_python_takes_itself_down_changes_nothing(name):
    lines = [
        "import atexit, os, signal",
        "from figureground import jobs; from figureground.cli import main as cli",
        f"atexit.register(lambda: os.kill(os.getpid(), signal.{name}))",
        "def interrupt(method): raise KeyboardInterrupt",
        "jobs.split_options = interrupt",
        "cli.main(['remove', 'x.jpg'])",
    ]
    end = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=60, check=False)
    assert (end.returncode, end.stderr.strip()) == (130, "figureground: stopped")


def test_errors_as_json(tmp_path):
    end = command("remove", tmp_path / "none.jpg", "--method", "smal", "--json")
    assert end.code == 2
    assert json.loads(end.err)["code"] == "unknown_name"


def test_a_reader_that_went_away_is_no_traceback(tmp_path):
    pictures = []
    for number in range(3):
        pictures.append(tmp_path / f"{number}.png")
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(pictures[-1])
    run = [sys.executable, "-u", "-m", "figureground", "remove", *map(str, pictures), "--json"]
    read, write = os.pipe()
    os.close(read)
    end = subprocess.run(run, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert b"Traceback" not in end.stderr
    assert end.returncode == 1


def test_progress_is_silent_in_a_pipe(tmp_path):
    run = [sys.executable, "-m", "figureground", "remove", FOLDER / "coffee.jpg", FOLDER / "rocket.jpg"]
    end = subprocess.run([*run, "--out-dir", tmp_path], capture_output=True, text=True, check=True)
    assert end.stderr == ""
    assert len(end.stdout.splitlines()) == 4  # for each picture what was found, and where the result is


def test_the_module_runs_as_the_command_does():
    end = subprocess.run([sys.executable, "-m", "figureground", "--version"], capture_output=True, text=True, check=True)
    assert figureground.__version__ in end.stdout


def test_errors_are_json_only_where_the_option_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain = command("remove", "--", "--json")  # a picture of that name, which is not there
    assert (plain.code, plain.err.startswith("figureground: not_found: ")) == (1, True), plain
    for words in (
        ["remove", "none.jpg", "--json"],
        ["remove", "--json", "none.jpg", "--view", "nonesuch"],
        ["evaluate", "none", "--json"],
    ):
        [line] = command(*words).err.splitlines()
        assert set(json.loads(line)) == {"code", "message", "picture"}
