"""A table over all methods and all faults, on the command line: each is one clear line with its exit code, and no file.

A fault of one part alone, seen from nearer by, stands in the tests of that part. To add a fault: a test here that goes over
`ROADS`, or the part of it that the fault can befall. To add a method: its row in roads.py.
"""

import builtins

import pytest

import small_torch
from commandline import command
from figureground.methods import METHODS
from figureground.models import card
from hub_server import Hub, serving
from roads import CLICK, FETCHED, PHRASE, ROADS, checkpoint, files, hub_of

FLAGS = [(name, flag) for name, road in ROADS.items() for flag in road.weights]
TORCH = [name for name, road in ROADS.items() if road.torch]


def _model(name):
    """The model that a road loads first."""
    return ROADS[name].words[1] if "--model" in ROADS[name].words else METHODS[ROADS[name].method.split("+")[0]].model


TAKES = {name: card(_model(name)).prompt_kinds for name, road in ROADS.items() if road.method in METHODS}
NEEDS = [name for name in TAKES if card(_model(name)).needs_prompt]


@pytest.fixture
def refused(tmp_path):
    """Runs a road with more words and asserts that it is refused, in one line that holds `wanted`, and writes nothing."""

    def go(name, exit_code, *wanted, more=(), words=None):
        out = tmp_path / "out"
        road = ROADS[name]
        asked = road.asked if words is None else (*road.asked[:4], *words)
        command(*asked, *more, "--out-dir", out).refused(exit_code, *wanted)
        assert not out.exists()

    return go


def local(name, tmp_path, **broken):
    """Flags with a road's own checkpoints, that of the flag in `broken` put in place of the sound one."""
    words = []
    for flag, kind in ROADS[name].weights.items():
        words += [flag, broken.get(flag) or checkpoint(tmp_path / kind, kind)]
    return words


def without(monkeypatch, package):
    known = builtins.__import__

    def lacking(name, *rest, **more):
        if name.split(".")[0] == package:
            raise ImportError(name)
        return known(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", lacking)


@pytest.mark.parametrize("package", ["torch", "transformers"])
@pytest.mark.parametrize("name", TORCH)
def test_a_missing_extra(refused, monkeypatch, name, package):
    without(monkeypatch, package)
    refused(name, 3, "missing_extra: ", f"model '{_model(name)}' needs", "pip install 'figureground[torch]'")


@pytest.mark.parametrize("name", [name for name in ROADS if name not in TORCH])
def test_the_others_need_no_extra(tmp_path, monkeypatch, name):
    words = local(name, tmp_path)
    for package in ("torch", "transformers"):
        without(monkeypatch, package)
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path / "cache"))
    end = command(*ROADS[name].asked, *words, "--out-dir", tmp_path / "out")
    assert end.code == 0, end


@pytest.mark.parametrize("name", FETCHED)
def test_no_hub(refused, tmp_path, monkeypatch, name):
    with serving(Hub({})) as hub, small_torch.pointed(monkeypatch, hub, tmp_path / "hub"):
        pass  # nobody listens any more
    refused(name, 3, "model_missing: ", "could not be fetched", "figureground pull", "--weights FOLDER", "--method subject")


@pytest.mark.parametrize("name", FETCHED)
def test_offline_by_order(refused, tmp_path, monkeypatch, name):
    from huggingface_hub import constants

    with serving(Hub({})) as hub, small_torch.pointed(monkeypatch, hub, tmp_path / "hub"):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        refused(name, 3, "model_missing: ", "HF_HUB_OFFLINE is set")
        assert hub.asked == []


@pytest.mark.parametrize("fault", ["altered", "gated", "status 500", "not a hub", "dies after the config"])
@pytest.mark.parametrize("name", ["stuff", "instance", "depth", "text", "points", "grounded"])
def test_a_hub_at_fault(refused, tmp_path, monkeypatch, name, fault):
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path / "cache"))
    served = hub_of(ROADS[name])
    with serving(served) as hub, small_torch.pointed(monkeypatch, hub, tmp_path / "hub"):
        hub.fault = fault
        refused(name, 3, "figureground: model_")
    assert not list(tmp_path.glob("hub/**/*.safetensors")), "a damaged file is not kept"


@pytest.mark.parametrize(("name", "flag"), FLAGS)
def test_a_checkpoint_of_another_network(refused, tmp_path, name, flag):
    other = checkpoint(tmp_path / "other", "depth" if ROADS[name].weights[flag] != "depth" else "sam")
    refused(name, 3, "model_missing: expected a", "model_type", more=local(name, tmp_path, **{flag: other}))


BROKEN = {
    "no config": ({"config__json": None}, "it has no config.json"),
    "no processor": ({"preprocessor_config__json": None}, "it has no preprocessor_config.json"),
    "no weights": ({"model__safetensors": None}, "model.safetensors"),
    "a config that is none": ({"config__json": b"[1, 2"}, "should be a JSON object, but is not"),
    "weights that are none": ({"model__safetensors": b"not weights at all"}, "model_corrupt: "),
    "weights cut short": ({"model__safetensors": ...}, "model_corrupt: "),
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize(("name", "flag"), FLAGS)
def test_a_folder_that_is_no_whole_checkpoint(refused, tmp_path, monkeypatch, name, flag, broken):
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path / "cache"))
    changes, wanted = BROKEN[broken]
    kind = ROADS[name].weights[flag]
    changes = {file: files(kind)["model.safetensors"][:-100] if body is ... else body for file, body in changes.items()}
    folder = checkpoint(tmp_path / "broken", kind, **changes)
    refused(name, 3, "model_", wanted, more=local(name, tmp_path, **{flag: folder}))


@pytest.mark.parametrize(("name", "flag"), FLAGS)
def test_a_name_that_is_neither_folder_nor_hub_id(refused, tmp_path, name, flag):
    nowhere = tmp_path / "not" / "there"
    refused(name, 3, "model_missing: expected a folder", f"but got '{nowhere}'", more=local(name, tmp_path, **{flag: nowhere}))


@pytest.mark.parametrize(("name", "flag"), FLAGS)
def test_a_license_that_is_not_allowed(refused, tmp_path, monkeypatch, name, flag):
    monkeypatch.setenv("FIGUREGROUND_LICENSES", "permissive")
    card = b"---\nlicense: cc-by-nc-4.0\n---\n"
    folder = checkpoint(tmp_path / "other", ROADS[name].weights[flag], README__md=card)
    words = local(name, tmp_path, **{flag: folder})
    refused(name, 3, "licence_refused: ", "'cc-by-nc-4.0'", "FIGUREGROUND_LICENSES", more=words)


@pytest.mark.parametrize("name", FETCHED)
def test_a_license_of_the_hubs_that_is_not_allowed(refused, tmp_path, monkeypatch, name):
    served = hub_of(ROADS[name])
    for revisions in served.models.values():
        revisions["main"] = revisions["main"] | {"README.md": b"---\nlicense: cc-by-nc-4.0\n---\n"}
    monkeypatch.setenv("FIGUREGROUND_LICENSES", "permissive")
    with serving(served) as hub, small_torch.pointed(monkeypatch, hub, tmp_path / "hub"):
        refused(name, 3, "licence_refused: ", "FIGUREGROUND_LICENSES")
        assert not any("safetensors" in line for line in hub.asked), "licences are looked at before weights"


@pytest.mark.parametrize("name", NEEDS)
def test_a_prompt_that_is_missing(refused, name):
    words = tuple(word for word in ROADS[name].words if word not in (*PHRASE, *CLICK, "--not-point", "2,2"))
    refused(name, 2, "usage: ", "needs phrases" if name == "grounded" else "needs points or a box", words=words)


PROMPTS = {"text": [("--prompt", "a cup"), ("--not", "a cup")], "places": [CLICK, ("--not-point", "1,1"), ("--box", "1,1,9,9")]}


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [(name, kind, said) for name, takes in TAKES.items() for kind in PROMPTS if kind not in takes for said in PROMPTS[kind]],
)
def test_a_prompt_that_it_does_not_take(refused, name, kind, said):
    wanted = "takes no phrases" if kind == "text" else "takes no points or a box"
    refused(name, 2, "usage: ", wanted, "methods that do: ", more=said)


PLACES = {
    ("--point", "99999,1"): "lies outside the picture, which is 512 × 341 pixels",
    ("--point", "-1,1"): "lies outside the picture",
    ("--point", "101%,1"): "lies outside the picture",
    ("--point", "1;1"): "a point is x,y",
    ("--not-point", "1,99999"): "lies outside the picture",
    ("--box", "1,1,99999,9"): "reaches out of the picture",
    ("--box", "9,9,1,1"): "is empty",
    ("--box", "1,1,9"): "a box is left,top,right,bottom",
    ("--point", "2,2", "--not-point", "2,2"): "named as foreground and as background",
}


@pytest.mark.parametrize("said", PLACES)
@pytest.mark.parametrize("name", [name for name, takes in TAKES.items() if "places" in takes])
def test_a_place_that_is_none(refused, tmp_path, name, said):
    refused(name, 2, PLACES[said], more=[*local(name, tmp_path), *said])


@pytest.mark.parametrize("said", ["", " . ", "word " * 200])
@pytest.mark.parametrize("name", [name for name, takes in TAKES.items() if "text" in takes])
def test_a_phrase_that_is_none(refused, tmp_path, name, said):
    wanted = "is too long" if len(said) > 9 else "a phrase is empty"
    refused(name, 2, wanted, more=[*local(name, tmp_path), "--prompt", said])


@pytest.mark.parametrize("words", [("--device", "cuda"), ("--runtime", "openvino"), ("--precision", "bf16")])
@pytest.mark.parametrize("name", TORCH)
def test_a_device_or_runtime_that_it_does_not_run_on(refused, tmp_path, monkeypatch, name, words):
    served = hub_of(ROADS[name])
    with serving(served) as hub, small_torch.pointed(monkeypatch, hub, tmp_path / "hub"):
        more = [*local(name, tmp_path), *words]
        end = command(*ROADS[name].asked, *more, "--out-dir", tmp_path / "out")
    assert end.code == 2
    assert f"runs {'on the device cpu' if words[0] == '--device' else 'in torch with fp32'}" in end.err.splitlines()[-1]


@pytest.mark.parametrize("name", TAKES)
def test_a_picture_that_is_none(refused, tmp_path, monkeypatch, name):
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path / "cache"))
    picture = tmp_path / "none.jpg"
    picture.write_bytes(b"no picture")
    road = ROADS[name]
    words = ("remove", picture, *road.asked[2:], *local(name, tmp_path), "--out-dir", tmp_path / "out")
    command(*words).refused(1, "none.jpg")
