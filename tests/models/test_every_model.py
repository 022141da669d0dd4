"""Every method from a cold cache through the command to files, and then with the hub gone. The table is in roads.py."""

import json

import numpy as np
import pytest
from PIL import Image

import small_torch
from commandline import command
from figureground import models
from figureground.methods import METHODS
from hub_server import serving
from roads import FETCHED, PICTURE, ROADS, files, hub_of


def test_every_method_and_every_model_is_on_a_road():
    assert {road.method for road in ROADS.values()} >= set(METHODS)
    reached = {METHODS[road.method].model for road in ROADS.values() if road.method in METHODS} | set(ROADS)
    assert reached >= set(models.names()) - {
        "adapted",
        "onnx_saliency",
    }  # files of the user or others: test_adapt.py, test_onnx_saliency.py


@pytest.mark.parametrize("name", FETCHED)
def test_from_a_cold_cache_and_then_without_the_hub(name, tmp_path, monkeypatch):
    road = ROADS[name]
    asked_for = (*road.asked, "--view", road.views, "--json")
    with serving(hub_of(road)) as hub:
        monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path / "cache"))
        with small_torch.pointed(monkeypatch, hub, tmp_path / "hub"):
            once = command(*asked_for, "--out-dir", tmp_path / "a")
        assert once.code == 0, once
        asked = len(hub.asked)
        assert asked > 0
        hub.fault = "status 500"
        with small_torch.pointed(monkeypatch, hub, tmp_path / "hub"):
            again = command(*asked_for, "--out-dir", tmp_path / "b")
        assert again.code == 0, again
        assert len(hub.asked) == asked, "what is kept needs no network"
    assert json.loads(once.out)["license"] == json.loads(again.out)["license"]
    for view in road.views.split(","):
        first, second = (Image.open(tmp_path / run / f"coffee.{view}.png") for run in "ab")
        with first, second:
            assert np.array_equal(np.asarray(first), np.asarray(second))


def test_the_default_needs_neither_hub_nor_cache(tmp_path, monkeypatch):
    with serving(hub_of(ROADS["subject"])) as hub, small_torch.pointed(monkeypatch, hub, tmp_path / "hub"):
        assert command(*ROADS["subject"].asked, "--out-dir", tmp_path / "out").code == 0
        assert hub.asked == []
    assert (tmp_path / "out" / "coffee.cutout.png").exists()


def test_objects_are_listed_and_one_is_taken(tmp_path):
    small_torch.save(tmp_path, "eomt")
    listed = command("labels", PICTURE, "--method", "instance", "--weights", tmp_path, "--json")
    assert listed.code == 0, listed
    rows = json.loads(listed.out)
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
    one = command("remove", PICTURE, "--method", "instance", "--weights", tmp_path, "--instance", "99", "--out-dir", tmp_path)
    one.refused(2, "instance")


def test_files_are_made_once():
    assert files("depth") is files("depth")
