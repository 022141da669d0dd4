"""Every method that fetches a network, from a cold cache through the command to files, and then with the hub gone."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import small_prompts
import small_torch
from commandline import command
from figureground import models
from figureground.methods import find
from figureground.models import grounded, points
from hub_server import Hub, serving

PICTURE = Path(__file__).parent / "pictures" / "coffee.jpg"
ROADS = {
    "instance": ("eomt", small_torch, [], "cutout,labels"),
    "depth": ("depth", small_torch, [], "cutout,depth"),
    "text": ("clipseg", small_prompts, ["--prompt", "the cup", "--not", "the table"], "cutout,mask"),
    "points": ("sam", small_prompts, ["--point", "50%,50%", "--not-point", "2,2"], "cutout,mask"),
}


@pytest.mark.parametrize("method", ROADS)
def test_from_a_cold_cache_and_then_without_the_hub(method, tmp_path, monkeypatch):
    kind, maker, words, views = ROADS[method]
    folder = tmp_path / "made"
    folder.mkdir()
    served = Hub({models.card(find(method).model).weights: {"main": maker.save(folder, kind)}})
    asked_for = ("remove", PICTURE, "--method", method, *words, "--view", views, "--json")
    with serving(served) as hub:
        monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path / "cache"))
        with small_torch.pointed(monkeypatch, hub, tmp_path / "hub"):
            once = command(*asked_for, "--out-dir", tmp_path / "a")
        assert once.code == 0, once
        assert hub.asked
        asked = len(hub.asked)
        hub.fault = "status 500"
        with small_torch.pointed(monkeypatch, hub, tmp_path / "hub"):
            again = command(*asked_for, "--out-dir", tmp_path / "b")
        assert again.code == 0, again
        assert len(hub.asked) == asked, "what is kept needs no network"
    assert json.loads(once.out)["licence"] == json.loads(again.out)["licence"]
    for view in views.split(","):
        first, second = (Image.open(tmp_path / run / f"coffee.{view}.png") for run in "ab")
        with first, second:
            assert np.array_equal(np.asarray(first), np.asarray(second))


def test_phrases_find_boxes_and_boxes_masks(tmp_path, monkeypatch):
    files = {}
    for kind in ("dino", "sam"):
        (tmp_path / kind).mkdir()
        files[kind] = small_prompts.save(tmp_path / kind, kind)
    hub_files = {grounded.CARD.weights: {"main": files["dino"]}, points.CARD.weights: {"main": files["sam"]}}
    words = (
        "remove",
        PICTURE,
        "--method",
        "text",
        "--model",
        "grounded",
        "--prompt",
        "cup",
        "--box-threshold",
        "0.05",
        "--json",
    )
    with serving(Hub(hub_files)) as hub, small_torch.pointed(monkeypatch, hub, tmp_path / "hub"):
        end = command(*words, "--out-dir", tmp_path)
        assert end.code == 0, end
    command(*words[:6], "--out-dir", tmp_path / "none").refused(2, "needs phrases")


def test_objects_are_listed_and_one_is_taken(tmp_path):
    small_torch.save(tmp_path, "eomt")
    listed = command("labels", PICTURE, "--method", "instance", "--weights", tmp_path, "--json")
    assert listed.code == 0, listed
    rows = json.loads(listed.out)
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
    one = command("remove", PICTURE, "--method", "instance", "--weights", tmp_path, "--instance", "99", "--out-dir", tmp_path)
    one.refused(2, "instance")


@pytest.mark.parametrize("method", ["instance", "depth", "text"])
def test_places_go_to_methods_that_take_them(method):
    command("remove", PICTURE, "--method", method, "--point", "1,1").refused(2, "takes no points or a box", "small")


def test_a_point_outside_the_picture_and_a_phrase_for_the_default(tmp_path):
    command("remove", PICTURE, "--point", "99999,1", "--out-dir", tmp_path).refused(2, "lies outside the picture")
    command("remove", PICTURE, "--prompt", "a cup").refused(2, "takes no phrases", "text")
    assert not list(tmp_path.iterdir())
