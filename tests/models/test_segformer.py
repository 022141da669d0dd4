"""SegFormer as a model: pixels and labels as transformers has them, what is kept, what is said, and no torch anywhere."""

import importlib
import json
import logging
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from figureground.errors import UsageError, WeightsError
from figureground.inference import label_sets
from figureground.inference import session as session_module
from figureground.inference.resize import to_size
from figureground.inference.session import session
from figureground.models import card, load, segformer
from figureground.models.segformer.config import Processor
from figureground.settings import Settings
from figureground.types import LabelMap
from hub_server import COLORS, Hub, drawn, save, serving, tiny
from photographs import PICTURES, photograph

NAMES = tuple("bed " if name == "bed" else name for name, _ in label_sets.ade20k())  # as the checkpoints write it


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint")
    save(path, NAMES)
    return path


def pixels(processor, rgb):
    """What reaches the network, (3, H, W): the graph's own first nodes, run alone."""
    import onnx
    from onnx import helper

    from figureground.models.segformer.onnx_writer import _Writer

    writer = _Writer({})
    last = writer.prepared("picture", processor.normalization)
    value = helper.make_tensor_value_info
    writer.graph.input.append(value("picture", onnx.TensorProto.FLOAT, [1, processor.height, processor.width, 3]))
    writer.graph.output.append(value(last, onnx.TensorProto.FLOAT, [1, 3, processor.height, processor.width]))
    resized = to_size(rgb, processor.height, processor.width, processor.normalization.resample).astype(np.float32)
    return session(writer.model.SerializeToString())(resized[None])[0]


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    "said",
    [
        {"size": 640, "resample": 2},
        {"size": {"height": 512, "width": 512}, "resample": 2, "do_reduce_labels": True},
        {"size": {"height": 300, "width": 700}, "resample": 3, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]},
        {"size": 128, "do_normalize": False},
        {"size": 128, "do_rescale": False},
    ],
)
def test_pixels_are_those_of_transformers_image_processor(path, said):
    from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil

    rgb = photograph(path)
    square = {"size": {"height": said["size"], "width": said["size"]}} if isinstance(said["size"], int) else {}
    wanted = SegformerImageProcessorPil(**said | square)(Image.fromarray(rgb), return_tensors="np")["pixel_values"][0]
    assert np.array_equal(pixels(Processor.of(said), rgb), wanted)


def plain(rgb):
    """The plain pipeline with transformers and torch: labels, and where the best two classes are apart."""
    resized = np.asarray(Image.fromarray(rgb).resize((64, 64), Image.Resampling.BILINEAR)) / 255
    x = ((resized - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).astype(np.float32).transpose(2, 0, 1)
    with torch.no_grad():
        small = tiny(NAMES, 40)(torch.from_numpy(x)[None]).logits
    enlarged = torch.nn.functional.interpolate(small, size=rgb.shape[:2], mode="bilinear", align_corners=False)[0]
    two = enlarged.topk(2, dim=0).values
    return enlarged.argmax(0).numpy(), (two[0] - two[1] > 1e-4).numpy()


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_labels_are_those_of_the_plain_pipeline(folder, settings, path):
    rgb = photograph(path)
    found = load("segformer", settings, weights=str(folder))(rgb)
    wanted, clear = plain(rgb)
    assert found.labels.shape == rgb.shape[:2]
    assert found.labels.dtype == np.uint8
    assert (found.labels == wanted)[clear].all()
    assert clear.mean() > 0.999


def test_it_tells_the_colors_that_it_was_taught(folder, settings):
    model = load("segformer", settings, weights=str(folder))
    index = np.array([NAMES.index(name) for name in COLORS])
    right = [(model(rgb).labels == index[kinds]).mean() for rgb, kinds in (drawn(seed) for seed in range(100, 110))]
    assert np.mean(right) > 0.9


RUNTIMES = {"onnxruntime": {"runtime": "onnxruntime"}, "bf16": {"precision": "bf16"}, "int8": {"precision": "int8"}}
AGREEMENT = {"onnxruntime": 1, "bf16": 0.99, "int8": 0.99}


@pytest.mark.parametrize("name", RUNTIMES)
def test_runtimes_and_precisions_agree(folder, settings, name):
    """With one cache, whichever of the two is asked first: what is kept for one is never taken for the other."""
    pictures = [drawn(seed)[0] for seed in range(200, 210)]
    for changed_first in (False, True):
        cache = settings.cache / str(changed_first)
        both = [replace(settings, cache=cache), replace(settings, cache=cache, **RUNTIMES[name])]
        try:
            made = [load("segformer", each, weights=str(folder)) for each in (both[::-1] if changed_first else both)]
        except UsageError:
            pytest.skip("this processor has no bf16")
        exact, other = made[::-1] if changed_first else made
        same = np.mean([(exact(rgb).labels == other(rgb).labels).mean() for rgb in pictures])
        assert AGREEMENT[name] <= same <= 1, same
        alone = load("segformer", replace(settings, cache=settings.cache / "alone"), weights=str(folder))
        assert all(np.array_equal(exact(rgb).labels, alone(rgb).labels) for rgb in pictures), "fp32 stays exact"


def test_openvino_is_taken_where_it_is_installed(folder, settings, monkeypatch):
    load("segformer", settings, weights=str(folder))
    assert list((settings.cache / "openvino").rglob("*.blob"))
    real = session_module.find_spec
    monkeypatch.setattr(session_module, "find_spec", lambda name: None if name == "openvino" else real(name))
    load("segformer", replace(settings, cache=settings.cache / "other"), weights=str(folder))
    assert not (settings.cache / "other" / "openvino").exists()


def test_each_runtime_has_its_own_form(folder, settings):
    import onnx

    paths = [segformer.pull(replace(settings, runtime=runtime), str(folder)) for runtime in ("onnxruntime", "openvino")]
    kinds = [{node.op_type for node in onnx.load(path).graph.node} for path in paths]
    assert ["MultiHeadAttention" in kind for kind in kinds] == [True, False]
    assert ["Softmax" in kind for kind in kinds] == [False, True]


def test_two_processes_at_once_convert_once(folder, settings):
    code = "import sys; from figureground.cli.main import main; main(['pull', 'segformer', '--weights', sys.argv[1]])"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "FIGUREGROUND_CACHE": str(settings.cache)}
    words = [sys.executable, "-c", code, str(folder)]
    both = [subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0] == said[1]
    assert said[0][1] == b""  # no progress bar in a pipe
    assert len(converted(settings)) == 2


def test_a_terminal_sees_how_far_the_conversion_is(folder, settings, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    segformer.pull(settings, str(folder))
    assert f"converting {folder}: " in (said := capsys.readouterr().err)
    assert "100%" in said


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (37, 91)])
def test_pictures_of_any_form(folder, settings, shape):
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    found = load("segformer", settings, weights=str(folder))(rgb)
    assert isinstance(found, LabelMap)
    assert found.labels.shape == shape


def test_names_and_flags(folder, settings):
    found = load("segformer", settings, weights=str(folder))(np.zeros((8, 8, 3), np.uint8))
    flags = dict(zip(found.names, found.stuff, strict=True))
    assert len(found.names) == 150
    assert sum(found.stuff) == 35
    assert "bed" in flags
    assert (flags["sky"], flags["wall"], flags["person"], flags["tree"]) == (True, True, False, False)


def test_flags_go_by_name_whatever_the_order(caplog):
    assert label_sets.stuff_flags(("Person", "SKY ", "wall")) == (False, True, True)
    assert not caplog.records
    names = ("sky", *(f"thing {n}" for n in range(7)))
    assert label_sets.stuff_flags(names) == (True, *[False] * 7)
    [record] = caplog.records
    said = record.getMessage()
    assert said.startswith("7 of 8 class names")
    assert ("'thing 4'" in said, "'thing 5'" in said) == (True, False)


def test_another_label_set(tmp_path, settings):
    save(tmp_path, ("person", "grass", "unicorn", "sky", "wall"), steps=0)
    found = load("segformer", settings, weights=str(tmp_path))(drawn(3)[0])
    assert found.names == ("person", "grass", "unicorn", "sky", "wall")
    assert found.stuff == (False, True, False, True, True)


def test_a_bin_gives_the_same_network(tmp_path, folder, settings):
    save(tmp_path / "bin", NAMES, binary=True)
    assert not (tmp_path / "bin" / "model.safetensors").exists()
    one, other = (segformer.pull(settings, str(path)).read_bytes() for path in (folder, tmp_path / "bin"))
    assert one == other


def converted(settings):
    return sorted(path.name for path in (settings.cache / "segformer").iterdir() if path.name != ".lock")


def forbid_writing(monkeypatch):
    module = importlib.import_module("figureground.models.segformer.onnx_writer")
    monkeypatch.setattr(module, "write", lambda *_, **__: pytest.fail("was converted again"))


def test_the_converted_network_is_kept(folder, settings, monkeypatch):
    path = segformer.pull(settings, str(folder))
    assert converted(settings) == sorted([path.name, path.with_suffix(".sha256").name])
    forbid_writing(monkeypatch)
    assert segformer.pull(settings, str(folder)) == path
    assert load("segformer", settings, weights=str(folder))(drawn(1)[0]).labels.any()


@pytest.mark.parametrize("harm", ["flip", "cut", "no hash", "wrong hash"])
def test_a_damaged_kept_network_is_made_anew(folder, settings, harm):
    path = segformer.pull(settings, str(folder))
    body, beside = path.read_bytes(), path.with_suffix(".sha256")
    if harm == "no hash":
        beside.unlink()
    elif harm == "wrong hash":
        beside.write_text("0" * 64)
    else:
        half = len(body) // 2
        path.write_bytes(body[:half] + (bytes([body[half] ^ 4]) + body[half + 1 :] if harm == "flip" else b""))
    assert load("segformer", settings, weights=str(folder))(drawn(1)[0]).labels.any()
    assert path.read_bytes() == body
    assert len(converted(settings)) == 2


def test_a_change_of_the_files_beside_the_weights_is_another_network(tmp_path, settings):
    save(tmp_path, NAMES)
    first = segformer.pull(settings, str(tmp_path))
    (tmp_path / "preprocessor_config.json").write_text('{"size": 96}')
    assert segformer.pull(settings, str(tmp_path)) != first


def test_without_a_folder_to_keep_it_in_it_is_converted_in_memory(folder, tmp_path):
    (tmp_path / "file").write_text("")
    settings = Settings(cache=tmp_path / "file")
    assert load("segformer", settings, weights=str(folder))(drawn(1)[0]).labels.any()
    with pytest.raises(WeightsError, match="FIGUREGROUND_CACHE"):
        segformer.pull(settings, str(folder))


@pytest.fixture
def hub(folder, tmp_path, monkeypatch):
    """The small SegFormer served as another's and as NVIDIA's."""
    from huggingface_hub import constants

    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    weights = {"model.safetensors": files.pop("model.safetensors")}
    models = {"someone/tiny": {"main": files | weights}, segformer.DEFAULT: {"main": files, "refs/pr/3": weights}}
    with serving(Hub(models)) as served:
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", served.url + "/{repo_id}/resolve/{revision}/{filename}")
        yield served


def test_the_default_comes_from_the_hub_and_its_license_is_said_once(hub, settings, caplog):
    model = segformer.load(settings)
    assert [record.getMessage() for record in caplog.records] == [
        f"the weights of {segformer.DEFAULT} are under this license: {segformer.CARD.license}"
    ]
    assert caplog.records[0].name == "figureground"
    assert caplog.records[0].levelno == logging.WARNING
    asked = len(hub.asked)
    assert np.array_equal(segformer.load(settings, weights="segformer-b5")(drawn(2)[0]).labels, model(drawn(2)[0]).labels)
    assert (len(hub.asked), len(caplog.records)) == (asked, 1)


def test_licenses(hub, settings):
    strict = Settings(cache=settings.cache, licenses="permissive")
    with pytest.raises(WeightsError, match="research and evaluation") as error:
        segformer.load(strict)
    assert error.value.code == "licence_refused"
    assert segformer.load(strict, weights="someone/tiny").license == "mit"
    assert card("segformer").permissive is False
    assert not any("safetensors" in line for line in hub.asked if segformer.DEFAULT in line)


def test_weights_that_rot_in_the_hubs_cache_are_refused(hub, settings):
    segformer.pull(settings, "someone/tiny")
    [blob] = [path for path in (settings.cache.parent / "hub").rglob("blobs/*") if path.stat().st_size > 50_000]
    body = blob.read_bytes()
    for path in (settings.cache / "segformer").glob("*.onnx"):
        path.unlink()
    for place in np.linspace(0, len(body) - 1, 5).astype(int):
        blob.write_bytes(body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])
        with pytest.raises(WeightsError, match="is damaged") as error:
            segformer.load(settings, weights="someone/tiny")
        assert error.value.code == "model_corrupt"
    blob.write_bytes(body)
    assert segformer.load(settings, weights="someone/tiny")


def test_numbers_that_are_none_are_refused(folder, settings, monkeypatch):
    def broken(*_):
        return lambda x: np.full((1, 150, 16, 16), np.nan, np.float32)

    monkeypatch.setattr(segformer, "session", broken)
    with pytest.raises(WeightsError, match="no finite numbers"):
        segformer.load(settings, weights=str(folder))(drawn(1)[0])


SCRIPT = """
import sys
import numpy as np
from pathlib import Path
from figureground.models import card, load
from figureground.settings import Settings
assert card("segformer").output_type.__name__ == "LabelMap"
heavy = {"onnx", "onnxruntime", "huggingface_hub", "safetensors", "cv2"} & set(sys.modules)
assert not heavy, heavy
model = load("segformer", Settings(cache=Path(sys.argv[1])), weights=sys.argv[2])
labels = model(np.zeros((30, 40, 3), np.uint8)).labels
assert labels.shape == (30, 40)
print(sorted(name for name in sys.modules if name.split(".")[0] in ("torch", "transformers", "torchvision")))
print("onnx" in sys.modules)
"""


def run(*words, **variables):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "error"} | variables
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, words)], env=environment, capture_output=True, text=True, check=False
    )


def test_nothing_of_torch_is_loaded_and_nothing_is_said(hub, settings, folder):
    """In a process of its own: from the hub, by HF_ENDPOINT and HF_HOME; then offline, without even the writer."""
    home = settings.cache.parent / "home"
    first = run(settings.cache, "someone/tiny", HF_ENDPOINT=hub.url, HF_HOME=str(home))
    assert (first.returncode, first.stdout) == (0, "[]\nTrue\n"), first.stderr
    assert first.stderr == "the weights of someone/tiny are under this license: mit\n"  # no progress bar in a pipe
    asked = len(hub.asked)
    again = run(settings.cache, "someone/tiny", HF_ENDPOINT=hub.url, HF_HOME=str(home), HF_HUB_OFFLINE="1")
    assert (again.returncode, again.stdout, again.stderr) == (0, "[]\nFalse\n", "")
    assert len(hub.asked) == asked


def test_the_small_checkpoint_is_one_that_transformers_reads(folder):
    from transformers import SegformerForSemanticSegmentation

    model = SegformerForSemanticSegmentation.from_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["model_type"] == "segformer"
    assert torch.equal(model.decode_head.classifier.weight, tiny(NAMES, 40).decode_head.classifier.weight)
