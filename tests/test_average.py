"""The mean of several runs' weights: what it is, what is measured, and every refusal."""

import json
from dataclasses import asdict, replace

import pytest

pytest.importorskip("torch", reason="averaging wants the extra train")

import torch
from safetensors.torch import load_file, save_file

from commandline import command
from drawn import archive
from figureground.dataset import pairs
from figureground.errors import BadData, OutputExists, UsageError, WeightsError
from figureground.training.average import average
from figureground.training.calibrate import BIAS
from figureground.training.export import metadata
from figureground.training.loop import network_of, save_weights
from figureground.training.networks import NETWORKS
from figureground.training.recipe import Recipe

RECIPE = Recipe(size=64, last_size=96)


@pytest.fixture(scope="module")
def val(tmp_path_factory):
    return archive(tmp_path_factory.mktemp("data") / "val.zip", 3, 100)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The weights of three runs, here drawn."""
    folder, paths = tmp_path_factory.mktemp("runs"), []
    for seed in range(3):
        torch.manual_seed(seed)
        paths.append(folder / f"{seed}.safetensors")
        save_weights(network_of(RECIPE, None).state_dict(), paths[-1], RECIPE)
    return paths


def test_the_mean_is_that_of_every_weight_and_its_level_is_calibrated(runs, val, tmp_path):
    out = tmp_path / "new" / "mean.safetensors"
    measured = average(runs, pairs([val]), out, quiet=True)
    states, mean = [load_file(path) for path in runs], load_file(out)
    assert set(mean) == set(states[0])
    for name in mean.keys() - {BIAS}:
        wanted = torch.stack([state[name].float() for state in states]).mean(0).to(mean[name].dtype)
        torch.testing.assert_close(mean[name], wanted, rtol=1e-3, atol=1e-4)
    level = torch.stack([state[BIAS].float() for state in states]).mean(0) + json.loads(metadata(out)["calibrated"])
    torch.testing.assert_close(mean[BIAS].float(), level)
    assert json.loads(metadata(out)["recipe"]) == asdict(RECIPE)
    assert [set(figures) for figures in measured] == [{"max_f", "mae", "iou"}] * 4
    assert list(out.parent.iterdir()) == [out]


def test_the_mean_of_a_network_with_itself_is_it(runs, val, tmp_path):
    one, again, mean = average([runs[0], runs[0]], pairs([val]), tmp_path / "mean.safetensors", quiet=True)
    assert one == again
    assert mean["max_f"] == pytest.approx(one["max_f"], abs=0.02)  # but for its level


def test_from_the_command_line(runs, val, tmp_path):
    out = tmp_path / "mean.safetensors"
    end = command("average", *runs[:2], "--val", val, "--out", out)
    assert end.code == 0, end
    lines = end.out.splitlines()
    assert [line.split(": max F ")[0] for line in lines] == [str(runs[0]), str(runs[1]), str(out)]
    before = out.read_bytes()
    command("average", *runs[:2], "--val", val, "--out", out).refused(1, "output_exists", "--overwrite")
    assert out.read_bytes() == before
    end = command("average", runs[1], runs[2], "--val", val, "--out", out, "--overwrite", "--json")
    assert end.code == 0, end
    told = [json.loads(line) for line in end.out.splitlines()]
    assert told[2]["weights"] == str(out) and 0 <= told[2]["iou"] <= 1
    assert out.read_bytes() != before


def test_what_cannot_be_averaged_is_refused_and_nothing_is_written(runs, val, tmp_path, monkeypatch):
    out, held = tmp_path / "mean.safetensors", pairs([val])
    with pytest.raises(UsageError, match="two runs or more, not of 1"):
        average(runs[:1], held, out)
    with pytest.raises(BadData, match="at least one picture"):
        average(runs, [], out)
    with pytest.raises(OutputExists, match="--overwrite"):
        average(runs, held, runs[0])
    monkeypatch.setitem(NETWORKS, "other", NETWORKS["small"])
    other = tmp_path / "other.safetensors"
    save_weights(load_file(runs[0]), other, replace(RECIPE, network="other"))
    with pytest.raises(WeightsError, match="is of network 'other', but"):
        average([runs[0], other], held, out)
    other.write_bytes(b"\xff" * 100)
    with pytest.raises(WeightsError, match=r"other\.safetensors"):
        average([runs[0], other], held, out)
    save_file({"a": torch.zeros(1)}, other, metadata(runs[0]))
    with pytest.raises(WeightsError, match="does not hold weights of network 'small'"):
        average([runs[0], other], held, out)
    assert not out.exists()
