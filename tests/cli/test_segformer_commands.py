"""The command that the project began with, and the commands around class names, over a small checkpoint."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from commandline import command
from figureground.inference.label_sets import ade20k
from hub_server import drawn, save
from photographs import ROOT

NAMES = tuple(name for name, _ in ade20k())


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    pytest.importorskip("transformers", reason="it makes the small checkpoint")
    folder = tmp_path_factory.mktemp("checkpoint")
    save(folder, NAMES)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("DISPLAY", raising=False)
    return folder


@pytest.fixture
def picture(tmp_path):
    rgb, _ = drawn(3, 160)
    path = tmp_path / "scene.png"
    Image.fromarray(rgb).save(path)
    return path


def run(*words, cwd, **environment):
    import os

    return subprocess.run(
        [sys.executable, ROOT / "main.py", *map(str, words)],
        cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def labels_of(picture, weights):
    """The small network's label map of the picture, from the view `labels` and the list of what was found."""
    from figureground import Method, Separator

    return Separator(Method("segformer", "stuff", options={"weights": str(weights)}))(picture).map


@pytest.mark.parametrize("common", [False, True])
def test_the_founding_command(picture, weights, common, tmp_path):
    end = run(picture, common, cwd=tmp_path, FIGUREGROUND_WEIGHTS=str(weights))
    assert end.returncode == 0, end.stderr
    seen = labels_of(picture, weights)
    things = [index for index in seen.shares() if not seen.stuff[index]]
    assert end.stdout.splitlines() == [seen.names[things[0]].strip(), "scene.foreground.png", "scene.background.png"]
    wanted = seen.labels == things[0] if common else ~np.array(seen.stuff)[seen.labels]
    rgb = np.asarray(Image.open(picture))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "scene.foreground.png")), rgb * wanted[..., None])
    assert np.array_equal(np.asarray(Image.open(tmp_path / "scene.background.png")), rgb * ~wanted[..., None])


@pytest.mark.parametrize("words", [[], ["x.jpg"], ["x.jpg", "Maybe"], ["x.jpg", "True", "more"]])
def test_the_founding_command_says_how_it_is_called(words, tmp_path):
    end = run(*words, cwd=tmp_path)
    assert end.returncode == 2
    assert "python main.py IMAGE_OR_URL False|True" in end.stderr
    assert end.stderr.count("\n") == 1


def test_the_founding_command_on_a_missing_picture(weights, tmp_path):
    end = run("none.jpg", "False", cwd=tmp_path, FIGUREGROUND_WEIGHTS=str(weights))
    assert end.returncode == 1
    assert "none.jpg" in end.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_founding_command_replaces_nothing(weights, picture, tmp_path):
    kept = tmp_path / f"{picture.stem}.foreground.png"
    kept.write_bytes(b"mine")
    end = run(picture, "False", cwd=tmp_path, FIGUREGROUND_WEIGHTS=str(weights))
    assert end.returncode == 1
    assert "output_exists" in end.stderr and kept.name in end.stderr
    assert kept.read_bytes() == b"mine"


def test_labels_lists_all_classes():
    end = command("labels")
    lines = end.out.splitlines()
    assert len(lines) == 150
    assert sum(line.startswith("stuff") for line in lines) == 35
    assert json.loads(command("labels", "--json").out)[12] == {"index": 12, "name": "person", "stuff": False}


def test_labels_of_a_method_are_those_of_its_model():
    rows = json.loads(command("labels", "--method", "instance", "--json").out)
    assert (len(rows), rows[0]["name"], sum(row["stuff"] for row in rows)) == (133, "person", 50)
    assert command("labels", "--weights", "segformer-b0").out == command("labels").out
    command("labels", "--weights", "someone/else").refused(2, "someone/else", "name a picture")
    command("labels", "--method", "subject").refused(2, "mismatch", "names no classes")


def test_labels_of_a_picture(picture, weights):
    end = command("labels", picture, "--weights", weights, "--json")
    assert end.code == 0, end
    rows = json.loads(end.out)
    assert sum(row["share"] for row in rows) == pytest.approx(1, abs=1e-3)
    assert [row["share"] for row in rows] == sorted((row["share"] for row in rows), reverse=True)
    assert "%" in command("labels", picture, "--weights", weights).out


def test_labels_of_a_draft_are_nearly_those_of_the_picture(picture, weights, tmp_path):
    with Image.open(picture) as image:
        image.convert("RGB").resize((1600, 1300)).save(tmp_path / "large.jpg")
    words = ["labels", tmp_path / "large.jpg", "--weights", weights, "--json"]
    whole, draft = ({row["name"]: row["share"] for row in json.loads(command(*words, *more).out)} for more in ([], ["--draft"]))
    assert whole
    assert all(abs(whole.get(name, 0) - draft.get(name, 0)) < 0.05 for name in {*whole, *draft})


def test_labels_needs_a_method_that_names_classes(picture):
    command("labels", picture, "--method", "subject").refused(2, "mismatch", "names no classes")


def test_every_rule_from_the_command_line(picture, weights, tmp_path):
    for method in ("stuff", "most-common", "most-common-hull"):
        end = command("remove", picture, "-m", method, "--weights", weights, "--view", "mask,labels", "--json", "--overwrite")
        assert end.code == 0, end
        [line] = end.lines()
        assert line["license"] == "mit"
        assert line["labels"][0]["share"] > 0.2
        with Image.open(tmp_path / "scene.labels.png") as image:
            assert image.width == 160 and image.height > 160


def test_options_of_the_rules(picture, weights):
    seen = labels_of(picture, weights)
    first = seen.names[next(iter(seen.shares()))].strip().split(",")[0]
    words = ["remove", picture, "-m", "stuff", "--weights", weights, "--refiner", "none", "--json", "--overwrite"]
    shares = {}
    for option in ("--background-classes", "--foreground-classes"):
        [line] = command(*words, option, first).lines()
        shares[option] = next(row["foreground"] for row in line["labels"] if row["name"].startswith(first))
    assert shares == {"--background-classes": 0.0, "--foreground-classes": 1.0}
    command(*words[:-2], "--overwrite", "--background-classes", "skyy").refused(2, "skyy", "did you mean 'sky'")


def test_pull_converts_beforehand(weights, cache):
    end = command("pull", "subject")
    assert "nothing to fetch" in end.out
    command("pull", "segformer-b7").refused(2, "segformer-b5")
    end = command("pull", "segformer", "--weights", weights)
    assert end.code == 0, end
    assert list(cache.rglob("*.onnx"))


def test_no_hub_is_said_with_what_to_do(picture):
    command("remove", picture, "-m", "stuff").refused(3, "model_missing", "figureground pull", "--method subject")


def test_pull_without_a_network_says_what_to_do_with_one():
    end = command("pull", "stuff")
    end.refused(
        3, "model_missing", "huggingface.co", "on a machine with a network connection", "cache folder", "--weights FOLDER"
    )
    assert "--method subject" not in end.err


def test_permissive_licenses_only(picture, weights, monkeypatch):
    monkeypatch.setenv("FIGUREGROUND_LICENSES", "permissive")
    command("remove", picture, "-m", "stuff").refused(3, "licence_refused", "--method subject")
    assert command("remove", picture, "-m", "stuff", "--weights", weights).code == 0
    assert command("remove", picture, "--overwrite").code == 0
