"""What the doctor says is so: of a drawn machine, of this one, and of settings that cannot work; and he is quick and silent."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from commandline import command
from figureground import diagnostics, models
from figureground._machine import cores
from figureground._words import count
from figureground.diagnostics import examine, text
from figureground.inference import openvino, session
from figureground.inference.checkpoint import INDEX
from figureground.methods import METHODS
from figureground.settings import Settings


@pytest.fixture(autouse=True)
def hub_folder(tmp_path, monkeypatch):
    """An empty folder for what the hub client keeps, and a hub that may be asked."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "hub"


def keep(hub, name, *files):
    """Put files of a checkpoint where the hub client keeps them."""
    folder = hub / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text("abc")
    for file in files:
        path = folder / "snapshots" / "abc" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")


def line(report, start):
    [found] = [row for row in text(report).splitlines() if row.startswith(start)]
    return found[len(start) :].strip()


def test_every_method_and_what_it_runs_with(settings):
    report = examine(settings, {})
    assert list(report["methods"]) == list(METHODS)
    threads = count(cores(), "thread")
    assert line(report, "method subject ") == f"ready: onnxruntime, CPUExecutionProvider, fp32, {threads} (default)"
    assert line(report, "method stuff").endswith(f"; runs with openvino, CPU, fp32, {threads}")


def test_settings_that_cannot_work_are_told_method_by_method(tmp_path):
    report = examine(Settings(cache=tmp_path, device="cuda"), {})
    assert line(report, "method subject ").startswith("CANNOT RUN: device 'cuda' is not available")
    report = examine(Settings(cache=tmp_path, precision="int8"), {})
    assert line(report, "method subject ").startswith("CANNOT RUN: int8 gains nothing")
    assert "runs with onnxruntime, CPUExecutionProvider, int8" in line(report, "method stuff")
    for fault in ({"device": "cuda"}, {"precision": "bf16"}, {"runtime": "openvino"}):
        assert line(examine(Settings(cache=tmp_path, **fault), {}), "method depth").startswith(
            "CANNOT RUN: model 'depth' runs "
        )
    report = examine(Settings(cache=tmp_path, licenses="permissive"), {})
    assert line(report, "method stuff").startswith("CANNOT RUN: the weights of model 'segformer' are under 'NVIDIA")
    assert not report["methods"]["stuff"]["ready"] and report["methods"]["subject"]["ready"]


def test_a_method_without_weights_is_not_ready(settings, hub_folder, monkeypatch):
    from huggingface_hub import constants

    report = examine(settings, {})
    stuff, depth = report["methods"]["stuff"], report["methods"]["depth"]
    assert (stuff["installed"], stuff["has_weights"], stuff["download_mb"], stuff["ready"]) == (True, False, 340, False)
    assert line(report, "method stuff").startswith("NOT READY: installed, but would download 340 MB; runs with ")
    assert (depth["has_weights"], depth["download_mb"], depth["ready"]) == (False, None, False)
    assert "would download weights of unknown size" in line(report, "method depth")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    wanted = "weights are missing; run `figureground pull depth` with a network connection"
    assert examine(settings, {})["methods"]["depth"]["missing"] == wanted
    assert wanted in line(examine(settings, {}), "method depth")


def test_a_method_whose_weights_are_kept_is_ready(settings, hub_folder):
    name = diagnostics.models.card("segformer").weights
    keep(hub_folder, name, "config.json", "preprocessor_config.json")
    assert not examine(settings, {})["methods"]["stuff"]["has_weights"], "the small files alone are not enough"
    keep(hub_folder, name, "pytorch_model.bin")
    report = examine(settings, {})
    row = report["methods"]["stuff"]
    assert (row["has_weights"], row["download_mb"], row["missing"], row["ready"]) == (True, None, None, True)
    assert line(report, "method stuff").startswith("ready: openvino, CPU")


def test_a_damaged_index_is_no_weights(settings, hub_folder):
    keep(hub_folder, diagnostics.models.card("depth").weights, "config.json", "preprocessor_config.json", INDEX)
    assert not examine(settings, {})["methods"]["depth"]["has_weights"]


@pytest.mark.parametrize("name", [name for name in models.names() if hasattr(models.module(name), "CHECKPOINTS")])
def test_every_model_that_is_pulled_says_which_checkpoints(name, hub_folder):
    assert models.module(name).CHECKPOINTS[0][0] == models.card(name).weights
    assert not models.has_weights(name)


def test_runtimes(settings, monkeypatch):
    report = examine(settings, {})
    assert "devices cpu" in line(report, "onnxruntime ") and "devices cpu" in line(report, "openvino ")
    real = diagnostics.find_spec
    for module in (diagnostics, session):
        monkeypatch.setattr(module, "find_spec", lambda name: None if name == "openvino" else real(name))
    report = examine(settings, {})
    assert line(report, "openvino ") == "not installed"
    assert "runs with onnxruntime" in line(report, "method stuff")


def test_a_runtime_that_cannot_be_loaded(settings, monkeypatch):
    def broken():
        raise ImportError("libtbb.so.12:\nno such file")

    monkeypatch.setattr(openvino, "devices", broken)
    report, why = examine(settings, {}), "openvino cannot be loaded (libtbb.so.12: no such file)"
    assert why in line(report, "openvino ")
    assert line(report, "method stuff").startswith(f"CANNOT RUN: {why}")
    assert line(report, "method subject ").startswith("ready: onnxruntime")


def test_extras_that_are_missing_and_how_to_get_them(settings, monkeypatch):
    said = ["numpy>=1", "pillow-heif>=1.1; extra == 'formats'", "nonesuch>=2; extra == 'train'", 'nonesuch; extra == "all"']
    monkeypatch.setattr(diagnostics, "requires", lambda _: said)
    report = examine(settings, {})
    assert report["extras"] == {
        "formats": {"missing": [], "install": "pip install 'figureground[formats]'"},
        "train": {"missing": ["nonesuch"], "install": "pip install 'figureground[train]'"},
    }
    assert list(report["packages"]) == ["numpy"]
    assert line(report, "extra formats") == "installed"
    assert line(report, "extra train") == "nonesuch not installed: pip install 'figureground[train]'"


def test_a_model_that_needs_an_extra(settings, monkeypatch):
    card = replace(diagnostics.models.card("saliency"), requires_extra="train")
    monkeypatch.setattr(diagnostics.models, "card", lambda _: card)
    monkeypatch.setattr(diagnostics, "requires", lambda _: ["nonesuch; extra == 'train'"])
    report = examine(settings, {})
    assert line(report, "method subject ") == "CANNOT RUN: needs: pip install 'figureground[train]'"
    row = report["methods"]["subject"]
    assert (row["installed"], row["ready"], row["has_weights"]) == (False, False, True)
    assert row["install"] == "pip install 'figureground[train]'"
    assert line(report, "method stuff").startswith("CANNOT RUN: needs: pip install 'figureground[train]'; would download")
    monkeypatch.setattr(diagnostics, "requires", lambda _: ["numpy; extra == 'train'"])
    report = examine(settings, {})
    assert line(report, "method subject ") == "ready: train (default)"
    assert (report["methods"]["subject"]["installed"], report["methods"]["subject"]["install"]) == (True, None)


def test_a_checkout_that_was_never_installed(settings, monkeypatch):
    def unknown(_):
        raise diagnostics.PackageNotFoundError

    monkeypatch.setattr(diagnostics, "requires", unknown)
    report = examine(settings, {})
    assert (report["packages"], report["extras"]) == ({}, {})
    monkeypatch.setattr(diagnostics, "requires", lambda _: ["nonesuch"])
    assert line(examine(settings, {}), "packages") == "nonesuch MISSING"


def test_the_cache(settings, tmp_path):
    assert line(examine(settings, {}), "cache") == f"{settings.cache} (writable): nothing kept yet"
    for name, size in (("segformer/a.onnx", 3 << 20), ("segformer/b/c.sha256", 64), ("openvino/d.blob", 2 << 20)):
        path = settings.cache / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    report = examine(settings, {})
    assert report["cache"]["kept"] == {"segformer": (3 << 20) + 64, "openvino": 2 << 20}
    assert line(report, "cache").endswith("(writable): openvino 2 MiB, segformer 3 MiB")
    (tmp_path / "file").write_text("")
    assert "(NOT writable)" in line(examine(Settings(cache=tmp_path / "file" / "x"), {}), "cache")


def test_formats(settings, monkeypatch):
    assert line(examine(settings, {}), "reads").startswith("JPEG, PNG, WEBP")
    real = diagnostics.find_spec
    monkeypatch.setattr(diagnostics, "find_spec", lambda name: None if name == "pillow_heif" else real(name))
    assert "HEIF" not in examine(settings, {})["formats"]


def test_settings_of_the_environment(settings):
    environment = {"FIGUREGROUND_THREADS": "3", "FIGUREGROUND_COLOUR": "red", "HOME": "/"}
    report = examine(settings, environment)
    assert (report["settings"], report["unknown"]) == ({"FIGUREGROUND_THREADS": "3"}, ["FIGUREGROUND_COLOUR"])
    assert line(report, "FIGUREGROUND_THREADS") == "3"
    assert line(report, "FIGUREGROUND_COLOUR") == "there is NO such setting"


def test_the_machine(settings, monkeypatch):
    monkeypatch.setattr(diagnostics._machine, "processor", lambda *_: ("A Chip", ("avx2", "amx_bf16")))
    monkeypatch.setattr(diagnostics._machine, "cores", lambda *_: 3)
    monkeypatch.setattr(diagnostics._machine, "quota", lambda *_: 2.5)
    monkeypatch.setattr(diagnostics._machine, "memory", lambda *_: 3 << 29)
    report = examine(settings, {})
    assert line(report, "processor") == "A Chip: avx2, amx_bf16"
    assert line(report, "may use") == "3 cores, the cgroup allows 2.5, 1.5 GiB of memory free"
    monkeypatch.setattr(diagnostics._machine, "processor", lambda *_: ("A Chip", ()))
    monkeypatch.setattr(diagnostics._machine, "memory", lambda *_: None)
    monkeypatch.setattr(diagnostics._machine, "quota", lambda *_: None)
    report = examine(settings, {})
    assert (line(report, "processor"), line(report, "may use")) == ("A Chip: no known features", "3 cores")


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path))
    ended = command("doctor", "--threads", 5, "--runtime", "openvino")
    assert (ended.code, ended.err) == (0, "")
    assert "method subject           ready: openvino, CPU, fp32, 5 threads (default)" in ended.out
    report = json.loads(command("doctor", "--json").out)
    assert report["settings"] == {"FIGUREGROUND_CACHE": str(tmp_path)}
    assert report["methods"]["subject"]["runtime"] == "onnxruntime"
    command("doctor", "--precision", "fp16").refused(2, "fp16", "bf16")
    monkeypatch.setenv("FIGUREGROUND_RUNTIME", "none")
    command("doctor").refused(2, "FIGUREGROUND_RUNTIME must be one of auto, onnxruntime, openvino")


def test_remove_refuses_what_is_not_here(tmp_path):
    for words in (["--device", "cuda"], ["--runtime", "onnxruntime", "--precision", "bf16"], ["--precision", "int8"]):
        command("remove", tmp_path / "photo.jpg", *words).refused(2, "figureground: usage: ", words[-1])


QUIET = """
import sys, time
sys.addaudithook(lambda event, _: sys.exit(event) if event.startswith(("socket.", "subprocess.")) else None)
from figureground.cli.main import main
try:
    main(["doctor"])
finally:
    print(time.process_time(), file=sys.stderr)
"""


def test_it_is_quick_and_asks_no_network(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "FIGUREGROUND_CACHE": str(tmp_path)}
    end = subprocess.run([sys.executable, "-c", QUIET], env=environment, capture_output=True, text=True, check=False)
    assert end.returncode == 0, end.stderr
    assert "method subject" in end.stdout
    assert float(end.stderr) < 1.5  # seconds of the processor, which other work on the machine does not lengthen much
