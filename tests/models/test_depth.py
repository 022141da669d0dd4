"""Depth as a model: pixels and answers as transformers has them, what is refused, and that nothing heavy is imported early."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from figureground.errors import WeightsError
from figureground.inference.preprocess import Normalization
from figureground.models import card, depth, load, pull
from figureground.settings import Settings
from figureground.types import DepthMap
from hub_server import Hub, serving
from photographs import PICTURES, photograph
from small_torch import changed, model, pointed, save

SETTINGS = Settings(threads=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("depth")
    save(path, "depth")
    return path


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    "said",
    [
        {"size": {"height": 518, "width": 518}, "keep_aspect_ratio": True, "ensure_multiple_of": 14, "resample": 3},
        {"size": {"height": 384, "width": 384}, "keep_aspect_ratio": False, "ensure_multiple_of": 1, "resample": 2},
        {"size": {"height": 100, "width": 90}, "keep_aspect_ratio": True, "ensure_multiple_of": 32, "do_normalize": False},
    ],
)
def test_pixels_are_those_of_transformers_image_processor(path, said):
    from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

    rgb = photograph(path)
    wanted = DPTImageProcessorPil(**said)(Image.fromarray(rgb), return_tensors="np")["pixel_values"]
    given = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 3} | said
    found = Normalization.of(given).tensor(rgb, depth.InputSize.of(given).fit(*rgb.shape[:2]))
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 1e-5


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_the_answer_is_that_of_transformers(folder, path):
    import torch
    from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

    rgb = photograph(path)
    network, said = model("depth")
    processor = DPTImageProcessorPil(**said)
    with torch.inference_mode():
        outputs = network(**processor(Image.fromarray(rgb), return_tensors="pt"))
    [wanted] = processor.post_process_depth_estimation(outputs, target_sizes=[rgb.shape[:2]])
    wanted = wanted["predicted_depth"].numpy()
    found = load("depth", SETTINGS, weights=str(folder))(rgb)
    assert isinstance(found, DepthMap)
    assert (found.nearness.shape, found.nearness.dtype) == (rgb.shape[:2], np.float32)
    assert np.abs(found.nearness - wanted).max() < 1e-4 * max(1, np.abs(wanted).max())


@pytest.mark.parametrize("kind", ["glpn", "prompted"])
@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_networks_that_say_metres_answer_as_in_transformers(tmp_path, kind, path):
    import torch
    from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil
    from transformers.models.glpn.image_processing_pil_glpn import GLPNImageProcessorPil

    save(tmp_path, kind)
    rgb = photograph(path)
    network, said = model(kind)
    processor = (GLPNImageProcessorPil if kind == "glpn" else DPTImageProcessorPil)(**said)
    with torch.inference_mode():
        outputs = network(processor(Image.fromarray(rgb), return_tensors="pt")["pixel_values"])
    [wanted] = processor.post_process_depth_estimation(outputs, target_sizes=[rgb.shape[:2]])
    metres = np.maximum(wanted["predicted_depth"].numpy(), depth.NEAREST)
    found = load("depth", SETTINGS, weights=str(tmp_path))(rgb).nearness
    assert np.abs(found * metres - 1).max() < 1e-3


def test_a_picture_in_its_own_size_is_bounded_and_in_whole_patches():
    size = depth.InputSize.of({"size_divisor": 32})
    assert size.fit(480, 650) == (480, 640)
    assert size.fit(3000, 4000) == (960, 1280)
    assert size.fit(5, 100_000) == (32, 1280)


def test_metres_become_nearness(folder, tmp_path):
    rgb = photograph(PICTURES[0])
    metric = load(
        "depth", SETTINGS, weights=changed(folder, tmp_path, "config.json", depth_estimation_type="metric", max_depth=20)
    )
    relative = load("depth", SETTINGS, weights=str(folder))
    assert (metric.metric, relative.metric) == (True, False)

    class Says:
        def __init__(self, metres):
            self.predicted_depth = metres

    import torch

    told = torch.tensor([[[1.0, 2.0], [4.0, 0.0]]])
    said = replace(metric, network=lambda pixel_values: Says(told))(rgb[:2, :2])
    assert np.allclose(said.nearness, [[1, 0.5], [0.25, 100]])
    assert np.array_equal(replace(relative, network=lambda pixel_values: Says(told))(rgb[:2, :2]).nearness, told[0])


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (37, 91), (7, 4000)])
def test_pictures_of_any_form(folder, shape):
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    found = load("depth", SETTINGS, weights=str(folder))(rgb)
    assert found.nearness.shape == shape
    assert np.isfinite(found.nearness).all()


def test_a_narrow_picture_does_not_become_endless():
    size = depth.InputSize(518, 518, keep_aspect=True, multiple=14)
    assert size.fit(480, 640) == (518, 686)
    assert size.fit(10, 100_000) == (14, 518)
    assert size.fit(500, 20_000) == (56, 2072)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": None},
        {"size": {"shortest_edge": 5}},
        {"size": {"height": -1, "width": 5}},
        {"size": {"height": 10**9, "width": 5}},
        {"do_pad": True},
        {"do_resize": False},
        {"ensure_multiple_of": "x"},
        {"resample": 9},
        {"rescale_factor": "x"},
        {"image_std": [0, 1, 1]},
        {"image_mean": [1, 2]},
        {"image_mean": ["a", "b", "c"]},
    ],
)
def test_processors_that_cannot_be_followed(folder, tmp_path, changes):
    with pytest.raises(WeightsError, match=r"preprocessor_config.json cannot be used") as error:
        load("depth", SETTINGS, weights=changed(folder, tmp_path, "preprocessor_config.json", **changes))
    assert error.value.code == "model_corrupt"


def test_numbers_that_are_none_are_refused(folder):
    import torch

    class Broken:
        predicted_depth = torch.full((1, 4, 4), float("nan"))

    broken = replace(load("depth", SETTINGS, weights=str(folder)), network=lambda pixel_values: Broken)
    with pytest.raises(WeightsError, match="no finite numbers"):
        broken(photograph(PICTURES[0]))


def test_from_the_hub_and_then_without_it(folder, tmp_path, monkeypatch):
    from huggingface_hub import constants

    settings = Settings(cache=tmp_path / "cache", threads=1, licenses="permissive")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    with serving(Hub({depth.DEFAULT: {"main": files}})) as hub, pointed(monkeypatch, hub, tmp_path / "hub"):
        kept = pull("depth", settings)
    assert (kept / "model.safetensors").exists()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    found = load("depth", settings, weights="depth-small")
    assert (found.weights, found.license) == (depth.DEFAULT, "apache-2.0")
    assert found(photograph(PICTURES[0])).nearness.any()


def test_the_model_file_is_light():
    assert (card("depth").permissive, card("depth").requires_extra, card("depth").output_type) == (True, "torch", DepthMap)
    script = "import sys; from figureground.models import card; card('depth'); card('panoptic'); print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert not {"torch", "transformers", "cv2", "huggingface_hub", "safetensors"} & set(said.stdout.split())
