"""Every row of the table of old names works as its new name does, and says so in one line."""

import importlib
import json
import subprocess
import sys

import numpy as np
import pytest
from packaging.version import Version

import figureground
from commandline import command
from figureground import Method, Separator, Settings, errors, jobs, models
from figureground._deprecated import RENAMED, RenamedWarning, current_flags
from figureground.batch import Batch
from figureground.io.encode import EncodeOptions, encode
from figureground.methods import METHODS, find
from figureground.separation import Separation

MODULES = [kind for kind in RENAMED if kind.startswith("figureground.")]
ATTRIBUTES = [(module, old, new) for module in MODULES for old, new in RENAMED[module].items()]
CLASSES = {cls.__name__: cls for cls in (Batch, models.Card, jobs.JobSpec, Method, Separation, Settings)}


def renamed(new):
    return pytest.warns(RenamedWarning, match=rf"deprecated and goes in version 0\.4\.0; use .*{new}")


def test_the_tests_know_every_kind_of_the_table():
    kinds = {"method", "model", "option", "flag", "PNG effort", "engine", "environment variable", "JSON key", "module"}
    assert set(RENAMED) == kinds | set(MODULES) | set(CLASSES)


def test_version_0_4_removes_the_table():
    assert Version(figureground.__version__) < Version("0.4.0")


@pytest.mark.parametrize(("old", "new"), RENAMED["method"].items())
def test_methods(old, new):
    with renamed(new):
        assert find(old) is METHODS[new]
    with renamed(new):
        assert find(f"{old}+stuff").model == METHODS[new].model


@pytest.mark.parametrize(("old", "new"), RENAMED["model"].items())
def test_models(old, new):
    with renamed(new):
        assert Method(old, "salient").model == new
    with renamed(new):
        assert models.card(old) is models.card(new)
    with renamed(new):
        assert models.pull(old, Settings()) is None


@pytest.mark.parametrize(("old", "new"), RENAMED["option"].items())
def test_options(old, new):
    with renamed(new):
        assert Method("saliency", "salient", options={old: 1.0}).options == {new: 1.0}
    with renamed(new):
        assert find("subject").with_options(**{old: 1.0}).options == {new: 1.0}


@pytest.mark.parametrize(("old", "new"), RENAMED["flag"].items())
def test_flags(old, new):
    with renamed(new):
        assert current_flags(["remove", "a.jpg", old, "1", f"{old}=2"]) == ["remove", "a.jpg", new, "1", f"{new}=2"]
    assert current_flags(["remove", "--", old]) == ["remove", "--", old]
    assert current_flags(["remove", "a.jpg", new, "1"]) == ["remove", "a.jpg", new, "1"]


@pytest.mark.parametrize(("old", "new"), RENAMED["engine"].items())
def test_engines(old, new, tmp_path):
    ended = command("batch", "none.jpg", tmp_path / "out", "--engine", old, "--watch", "--delete-inputs", "--move-inputs", "x")
    assert ended.code == 2
    assert f"engine '{old}' is deprecated and goes in version 0.4.0; use {new}" in ended.err


@pytest.mark.parametrize(("old", "new"), RENAMED["PNG effort"].items())
def test_png_efforts(old, new):
    image = np.zeros((8, 8, 3), np.uint8)
    with renamed(new):
        assert encode(image, ".png", EncodeOptions(png_effort=old)) == encode(image, ".png", EncodeOptions(png_effort=new))
    for words in (["--png-effort", old], [f"--png-effort={old}"]):
        with renamed(new):
            assert new in " ".join(current_flags(words))


@pytest.mark.parametrize(("old", "new"), RENAMED["environment variable"].items())
def test_environment_variables(old, new):
    with renamed(new):
        assert Settings.from_environment({old: "permissive"}).licenses == "permissive"
    with renamed(new):
        assert Settings.from_environment({old: "permissive", new: "any"}).licenses == "any"
    assert Settings.from_environment({new: "permissive"}).licenses == "permissive"


@pytest.mark.parametrize(("old", "new"), RENAMED["module"].items())
def test_modules(old, new):
    sys.modules.pop(old, None)
    spec = importlib.import_module(new).__spec__
    with renamed(new):
        module = importlib.import_module(old)
    assert module is importlib.import_module(new) and module.__spec__ is spec
    sys.modules.pop(old, None)


@pytest.mark.parametrize(("module", "old", "new"), ATTRIBUTES)
def test_names_in_modules(module, old, new):
    loaded = importlib.import_module(module)
    with renamed(new):
        assert getattr(loaded, old) is getattr(loaded, new)
    with pytest.raises(AttributeError, match="no attribute 'nonesuch'"):
        _ = loaded.nonesuch


@pytest.mark.parametrize(("name", "old", "new"), [(name, *row) for name in CLASSES for row in RENAMED[name].items()])
def test_attributes_of_classes(name, old, new):
    assert new in {*dir(CLASSES[name])}
    thing = object.__new__(CLASSES[name])
    if new in getattr(CLASSES[name], "__slots__", ()):
        object.__setattr__(thing, new, "its value")
        with renamed(new):
            assert getattr(thing, old) == "its value"
    else:
        with renamed(new):
            assert getattr(thing, old) == getattr(thing, new)


def test_arguments_of_classes():
    with renamed("licenses"):
        assert Settings(licences="permissive") == Settings(licenses="permissive")
    with renamed("second"):
        assert Method("saliency", "salient", beside=METHODS["stuff"]).second == METHODS["stuff"]
    spec = jobs.JobSpec(find("subject"), Settings())
    with renamed("encode_options"):
        assert jobs.JobSpec(find("subject"), Settings(), look=EncodeOptions(quality=9)).encode_options.quality == 9
    with renamed("spec"):
        assert Batch(("in",), "out", product=spec).spec is spec
    with pytest.raises(TypeError):
        Settings(nonesuch=1)


def test_errors_are_caught_under_their_old_names():
    with renamed("IncompatibleParts"):
        assert issubclass(errors.IncompatibleParts, errors.Mismatch)


def test_json_has_both_keys(tmp_path):
    separation = Separator("subject", Settings(threads=1))(np.zeros((32, 32, 3), np.uint8))
    facts = separation.info()
    assert facts["licence"] == facts["license"] == "Apache-2.0"
    rows = json.loads(command("methods", "--json").out)
    assert all(row["licence"] == row["license"] for row in rows)


def test_the_command_says_it_in_one_line(photo):
    end = command("remove", photo, "-m", "small", "--firmness", "1", "--png-effort", "small", "--json")
    assert end.code == 0, end
    assert end.lines()[0]["method"]["options"] == {"logit_scale": 1.0, "firmness": 1.0}
    lines = end.err.splitlines()
    assert len(lines) == 3, lines  # the method, the flag and the PNG effort
    assert all(line.startswith("figureground: ") and "deprecated" in line for line in lines)


def test_an_old_name_from_a_program_of_its_own():
    code = "from figureground.products import Product\nfrom figureground.jobs import JobSpec\nassert Product is JobSpec"
    end = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert end.returncode == 0, end.stderr
    assert "use figureground.jobs" in end.stderr and "use figureground.jobs.JobSpec" in end.stderr
