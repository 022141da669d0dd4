"""What a batch and its decoder promise under many kills and many pictures, at lengths that take minutes."""

import json
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from figureground import Separator, Settings
from photographs import ROOT

BENCHMARKS = ROOT / "benchmarks"
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the scripts read Linux's /proc")


def script(name, *words):
    return subprocess.run(
        [sys.executable, BENCHMARKS / name, *map(str, words)], capture_output=True, text=True, timeout=1200, check=False
    )


@on_linux
def test_thirty_kills_leave_what_an_undisturbed_batch_leaves():
    """Files byte for byte, a row for each input, no file half written, and no more than a picture a worker done again."""
    ended = script("batch.py", "kills", "--pictures", 400, "--kills", 30)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@on_linux
def test_the_memory_of_a_batch_stays_flat():
    ended = script("batch.py", "memory", "--pictures", 6000)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@on_linux
@pytest.mark.skipif(not (find_spec("ray") and find_spec("pyarrow")), reason="ray is not installed")
def test_kills_of_actors_and_of_the_driver_lose_nothing_on_ray(tmp_path):
    ended = script("ray_kills.py", "--pictures", 400, "--every", 8, "--actors", 2, "--json", tmp_path / "facts.json")
    assert ended.returncode == 0, ended.stderr
    [facts] = json.loads((tmp_path / "facts.json").read_text("utf-8"))["rows"]
    assert facts["actors killed"] > 0 and facts["driver killed"] == 2
    assert facts["same files"] and facts["same rows"] and facts["rows"] == 400
    assert facts["temporary files left"] == facts["told of twice"] == facts["never told of"] == 0


@pytest.fixture(scope="module")
def separate():
    return Separator("subject", Settings(threads=2))


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from(["L", "LA", "P", "RGB", "RGBA"]), st.integers(0, 999))
@settings(max_examples=2000, deadline=None)
def test_the_mask_is_the_same_whichever_way_the_picture_comes_in(separate, tmp_path_factory, width, height, mode, seed):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)
    image = Image.fromarray(noise).convert(mode)
    path = tmp_path_factory.getbasetemp() / "picture.png"
    image.save(path)
    masks = [separate(source).mask for source in (image, path, path.read_bytes())]
    assert masks[0].shape == (height, width)
    assert np.isfinite(masks[0]).all()
    for mask in masks[1:]:
        assert np.abs(mask - masks[0]).max() <= 1 / 255
