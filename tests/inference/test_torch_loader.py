"""Whole checkpoints for torch: what is fetched and kept, what is refused, and that only whole networks are loaded.

To add a fault: what the server does, in hub_server.py, and a row in `GONE_WRONG`.
"""

import builtins
import json
import logging

import pytest

from figureground.errors import MissingExtra, UsageError, WeightsError
from figureground.inference import hub as hub_module
from figureground.inference import torch_loader
from figureground.inference.checkpoint import INDEX
from figureground.inference.torch_loader import Family, fetch, load
from figureground.settings import Settings
from hub_server import Hub, serving
from small_torch import pointed, save

ID = "someone/depth-tiny"
FAMILY = Family("depth", "AutoModelForDepthEstimation", ("depth_anything", "dpt"))
READS = Family("text", "CLIPSegForImageSegmentation", ("depth_anything",), tokenizer=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return save(tmp_path_factory.mktemp("depth"), "depth")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    made = save(tmp_path_factory.mktemp("shards"), "depth", max_shard_size="150KB")
    assert sum(name.endswith(".safetensors") for name in made) > 1
    return made


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Ask for a checkpoint of a served hub, with the folders of this test."""

    def ask(hub, name=ID, family=FAMILY, **settings):
        with pointed(monkeypatch, hub, tmp_path / "hub"):
            return fetch(name, Settings(cache=tmp_path / "cache", threads=1, **settings), family)

    return ask


def served(main, **pulls):
    return {ID: {"main": main} | {f"refs/{name.replace('_', '/')}": body for name, body in pulls.items()}}


def without(files, *names):
    return {name: body for name, body in files.items() if name not in names}


def runs(checkpoint):
    import torch

    network = load(checkpoint, Settings(threads=1), FAMILY)
    assert not network.training
    with torch.inference_mode():
        return network(pixel_values=torch.zeros(1, 3, 56, 84)).predicted_depth.shape == (1, 56, 84)


def test_a_checkpoint_is_fetched_once_and_said_once(ask, files, monkeypatch, caplog):
    from huggingface_hub import constants

    with serving(Hub(served(files))) as hub:
        first = ask(hub)
        asked = len(hub.asked)
        assert ask(hub).folder == first.folder
        assert len(hub.asked) == asked
    assert (first.name, first.license, first.fetched) == (ID, "apache-2.0", True)
    assert (first.config["model_type"], first.preprocessor["ensure_multiple_of"]) == ("depth_anything", 14)
    assert {path.name for path in first.folder.iterdir()} == set(files)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    again = ask(hub)
    assert not again.fetched
    assert runs(again)
    [record] = caplog.records
    assert record.getMessage() == f"the weights of {ID} are under this license: apache-2.0"
    assert (record.name, record.levelno) == ("figureground", logging.WARNING)


def test_weights_in_several_files(ask, shards):
    with serving(Hub(served(shards))) as hub:
        assert runs(ask(hub))
        asked = len(hub.asked)
        assert runs(ask(hub))
        assert len(hub.asked) == asked


def test_a_shard_that_went_missing_is_fetched_again(ask, shards):
    with serving(Hub(served(shards))) as hub:
        folder = ask(hub).folder
        next(iter(sorted(folder.glob("*.safetensors")))).unlink()
        assert ask(hub).fetched
        assert not ask(hub).fetched


def test_converted_weights_in_the_bots_pull_request_and_not_a_strangers(ask, files):
    main = without(files, "model.safetensors") | {"pytorch_model.bin": b"a pickle"}
    hub = Hub(served(main, pr_3=files, pr_4=files | {"model.safetensors": b"other"}), bots={ID: [3]}, strangers={ID: [4]})
    with serving(hub):
        assert runs(ask(hub))
        assert not ask(hub).fetched
        assert not any(line.endswith(".bin") for line in hub.asked)


def test_local_folders(tmp_path, files, shards):
    for name, made in (("one", files), ("several", shards)):
        (tmp_path / name).mkdir()
        for file, body in made.items():
            (tmp_path / name / file).write_bytes(body)
        found = fetch(str(tmp_path / name), Settings(), FAMILY)
        assert (found.folder, found.fetched) == (tmp_path / name, False)
        assert runs(found)
    (tmp_path / "several" / sorted(name for name in shards if name.endswith(".safetensors"))[0]).unlink()
    with pytest.raises(WeightsError, match="only safetensors are read"):
        fetch(str(tmp_path / "several"), Settings(), FAMILY)


def test_a_processor_as_newer_checkpoints_write_it(ask, files):
    said = json.dumps({"processor_class": "X", "image_processor": {"size": 7}}).encode()
    with serving(Hub(served(without(files, "preprocessor_config.json") | {"processor_config.json": said}))) as hub:
        assert ask(hub).preprocessor == {"size": 7}
        assert ask(hub).fetched is False


def test_tokenizers_come_along_where_they_are_wanted(ask, files):
    words = {"tokenizer.json": b"{}", "tokenizer_config.json": b"{}"}
    with serving(Hub(served(files | words))) as hub:
        assert not (ask(hub).folder / "tokenizer.json").exists()
        assert all((ask(hub, family=READS).folder / file).exists() for file in words)
        asked = len(hub.asked)
        assert not ask(hub, family=READS).fetched
        assert len(hub.asked) == asked
    with serving(Hub({"someone/other": {"main": files}})) as hub, pytest.raises(WeightsError, match="has no tokenizer"):
        ask(hub, "someone/other", READS)


def test_licenses_are_looked_at_before_weights_are_fetched(ask, files):
    with serving(Hub(served(files))) as hub:
        assert ask(hub, licenses="permissive").license == "apache-2.0"
    card = {"README.md": b"---\nlicense: cc-by-nc-4.0\n---\n"}
    models = {"someone/other": {"main": files | card}, "facebook/mask2former-x": {"main": files}}
    for name, said in (("someone/other", "cc-by-nc-4.0"), ("facebook/mask2former-x", "CC BY-NC 4.0")):
        with serving(Hub(models)) as hub:
            with pytest.raises(WeightsError, match=f"under '{said}'") as error:
                ask(hub, name, licenses="permissive")
            assert not any("cdn" in line for line in hub.asked)
            assert error.value.code == "licence_refused"
            assert ask(hub, name).license == said


CONFIG = "config.json"
GONE_WRONG = [
    # what is served instead, the server's fault, the code, words of the message
    (None, "", "model_missing", ["has no model 'someone/depth-tiny'"]),
    ({}, "gated", "model_missing", ["is gated", "hf auth login"]),
    ({CONFIG: None}, "", "model_missing", ["no depth checkpoint", CONFIG]),
    ({CONFIG: None, "model.safetensors": None}, "", "model_missing", ["no depth checkpoint", CONFIG]),
    ({CONFIG: b"{"}, "", "model_corrupt", ["JSON object"]),
    ({CONFIG: b'{"model_type": "bert"}'}, "", "model_missing", ["model_type depth_anything or dpt", "'bert'", "--weights"]),
    ({"preprocessor_config.json": None}, "", "model_missing", ["no preprocessor_config.json"]),
    ({"model.safetensors": None}, "", "model_missing", ["no model.safetensors", "can hold code"]),
    ({"model.safetensors": None, "pytorch_model.bin": b"a"}, "", "model_missing", ["only safetensors are read"]),
    ({"model.safetensors": None, INDEX: b"{}"}, "", "model_corrupt", ["lists no weights"]),
    (
        {"model.safetensors": None, INDEX: b'{"weight_map": {"a": "../../x.safetensors"}}'},
        "",
        "model_corrupt",
        ["lists no weights"],
    ),
    (
        {"model.safetensors": None, INDEX: b'{"weight_map": {"a": "b.safetensors"}}'},
        "",
        "model_missing",
        ["no model.safetensors"],
    ),
    ({}, "altered", "model_corrupt", ["SHA-256", "fetch it again"]),
    ({}, "cut", "model_missing", ["could not be fetched", "--weights FOLDER"]),
    ({}, "no hash", "model_missing", ["no SHA-256"]),
    ({}, "status 500", "model_missing", ["answers 500", "try again later", "figureground pull depth"]),
    ({}, "silent", "model_missing", ["could not be fetched", "figureground pull depth"]),
    ({}, "not a hub", "model_missing", ["could not be fetched"]),
]


@pytest.mark.parametrize(("changes", "fault", "code", "words"), GONE_WRONG)
def test_each_fault_is_one_clear_line_and_leaves_no_weights(ask, files, tmp_path, monkeypatch, changes, fault, code, words):
    from huggingface_hub import constants

    monkeypatch.setattr(hub_module, "PATIENCE", 1.0)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 2)
    main = {name: body for name, body in (files | (changes or {})).items() if body is not None}
    with serving(Hub({} if changes is None else served(main), fault=fault)) as hub:
        with pytest.raises(WeightsError) as error:
            ask(hub)
        assert error.value.code == code, error.value
        assert "\n" not in str(error.value)
        for word in words:
            assert word in str(error.value), error.value
        kept = [path for path in (tmp_path / "hub").rglob("*") if path.is_file() and path.stat().st_size > 100_000]
        assert kept == []
        if fault == "altered":
            hub.fault = ""
            assert runs(ask(hub))


def test_offline_and_not_kept(ask, files, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with serving(Hub(served(files))) as hub, pytest.raises(WeightsError, match="HF_HUB_OFFLINE"):
        ask(hub)
    assert hub.asked == []


@pytest.mark.parametrize("name", ["depth", "a/b/c", "../up/and/away"])
def test_neither_folder_nor_hub_id(name):
    with pytest.raises(WeightsError, match="expected a folder with a checkpoint of model 'depth'"):
        fetch(name, Settings(), FAMILY)


def test_kept_weights_that_rot_are_refused(ask, files):
    with serving(Hub(served(files))) as hub:
        path = ask(hub).folder / "model.safetensors"
        body = path.read_bytes()
        path.resolve().write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
        with pytest.raises(WeightsError, match="is damaged; remove it") as error:
            ask(hub)
    assert error.value.code == "model_corrupt"


def test_the_hubs_word_is_kept_where_file_systems_have_no_links(ask, files):
    with serving(Hub(served(files))) as hub:
        path = ask(hub).folder / "model.safetensors"
        body = path.read_bytes()
        path.unlink()
        path.write_bytes(body)
        assert not ask(hub).fetched
        path.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
        with pytest.raises(WeightsError, match="is damaged"):
            ask(hub)


def broken(tmp_path, files, **changes):
    for name, body in (files | changes).items():
        (tmp_path / name).write_bytes(body)
    return fetch(str(tmp_path), Settings(threads=1), FAMILY)


def test_weights_that_are_none(tmp_path, files):
    found = broken(tmp_path, files, **{"model.safetensors": b"not weights at all"})
    with pytest.raises(WeightsError, match="cannot be loaded") as error:
        load(found, Settings(threads=1), FAMILY)
    assert error.value.code == "model_corrupt"
    assert "\n" not in str(error.value)


def test_weights_of_another_network_are_not_filled_up_with_chance(tmp_path, files):
    from safetensors.torch import load as read
    from safetensors.torch import save as write

    tensors = read(files["model.safetensors"])
    lacking = write({key: value for key, value in tensors.items() if "head" not in key}, {"format": "pt"})
    with pytest.raises(WeightsError, match=r"\d+ tensors are missing or of another shape, such as head"):
        load(broken(tmp_path, files, **{"model.safetensors": lacking}), Settings(threads=1), FAMILY)
    other = json.loads(files["config.json"]) | {"head_hidden_size": 12}
    with pytest.raises(WeightsError, match=r"cannot be loaded"):
        load(broken(tmp_path, files, **{"config.json": json.dumps(other).encode()}), Settings(threads=1), FAMILY)


def test_without_torch_the_extra_is_named(monkeypatch):
    known = builtins.__import__

    def lacking(name, *rest, **more):
        if name.split(".")[0] == "transformers":
            raise ImportError(name)
        return known(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(MissingExtra, match=r"model 'depth' needs .* pip install 'figureground\[torch\]'"):
        torch_loader.require(FAMILY)


def test_a_device_that_it_does_not_run_on_is_refused_and_not_replaced(tmp_path, files):
    with pytest.raises(UsageError, match="model 'depth' runs on the device cpu, but FIGUREGROUND_DEVICE asks for 'cuda'"):
        load(broken(tmp_path, files), Settings(device="cuda"), FAMILY)


def test_threads_and_silence(tmp_path, files, capfd):
    import torch

    found = broken(tmp_path, files)
    before = torch.get_num_threads()
    try:
        load(found, Settings(threads=1), FAMILY)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert capfd.readouterr() == ("", "")
