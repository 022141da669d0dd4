"""Fetching checkpoints from a hub-shaped server: where weights lie, what is kept, and a table of everything that can go wrong.

To add a fault: what the server does, in hub_server.py, and a row in `GONE_WRONG`.
"""

import json
import os
import socket
import threading
import time

import pytest

from figureground.errors import WeightsError
from figureground.inference import cache, checkpoint, licenses
from figureground.inference import hub as hub_module
from figureground.models.segformer import FORMAT
from figureground.settings import Settings
from hub_server import FAULTS, Hub, serving

ID = "someone/segformer-tiny"
CONFIG = {"model_type": "segformer", "architectures": ["SegformerForSemanticSegmentation"]}
SMALL = {
    "config.json": json.dumps(CONFIG).encode(),
    "preprocessor_config.json": b'{"size": 64}',
    "README.md": b"---\nlicense: mit\n---\n",
}
WEIGHTS = bytes(range(256)) * 1000


def model(*, main=None, **pulls):
    """Revisions of a model: its small files and weights on main, and files of pull requests, `pr_3={…}`."""
    safe = {"model.safetensors": WEIGHTS} if main is None else main
    return {"main": SMALL | safe} | {f"refs/{name.replace('_', '/')}": files for name, files in pulls.items()}


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Ask for a checkpoint of a served hub, with the folders of this test."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 2)

    def point(hub):
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")

    def fetch(hub, name=ID, **settings):
        point(hub)
        return checkpoint.fetch(name, Settings(cache=tmp_path / "cache", **settings), FORMAT)

    fetch.folder = tmp_path
    return fetch


def files_of(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock" and path.name != "CACHEDIR.TAG"]


def test_a_checkpoint_with_safetensors_on_main(ask):
    with serving(Hub({ID: model()})) as hub:
        found = ask(hub)
    assert found.weights[0].read_bytes() == WEIGHTS
    assert found.weights[0].name == "model.safetensors"
    assert (found.name, found.config, found.preprocessor) == (ID, CONFIG, {"size": 64})
    assert (found.license, found.fetched) == ("mit", True)
    assert checkpoint.verified(found) == found.weights


def test_what_is_kept_is_taken_without_a_word_to_the_network(ask, monkeypatch):
    from huggingface_hub import constants

    with serving(Hub({ID: model()})) as hub:
        first = ask(hub)
        asked = len(hub.asked)
        again = ask(hub)
        assert len(hub.asked) == asked
    assert (again.weights, again.sha256, again.fetched) == (first.weights, first.sha256, False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert ask(hub).weights == first.weights


@pytest.mark.parametrize("name", sorted(checkpoint._CONVERTED))
def test_known_pull_requests_are_gone_to(ask, name):
    number = checkpoint._CONVERTED[name].removeprefix("refs/pr/")
    files = {"model.safetensors": WEIGHTS}
    with serving(Hub({name: model(main={"pytorch_model.bin": b"old"}, **{f"pr_{number}": files})})) as hub:
        found = ask(hub, name)
        assert found.weights[0].read_bytes() == WEIGHTS
        assert not any("discussions" in line or ".bin" in line for line in hub.asked)
        assert ask(hub, name).weights == found.weights
    assert found.license.startswith("NVIDIA Source Code License")


def test_the_bots_pull_request_is_found_and_a_strangers_is_not(ask):
    pulls = {"pr_2": {"model.safetensors": WEIGHTS}, "pr_5": {"model.safetensors": b"not what it seems"}}
    served = {ID: model(main={"pytorch_model.bin": b"old"}, **pulls)}
    with serving(Hub(served, bots={ID: [1, 2]}, strangers={ID: [5]})) as hub:
        found = ask(hub)
        assert found.weights[0].read_bytes() == WEIGHTS
        assert (ask(hub).weights, ask(hub).fetched) == (found.weights, False)


def test_the_bots_newest_pull_request_comes_first_and_those_without_weights_are_passed_over(ask):
    pulls = {"pr_9": {"model.safetensors": b"older"}, "pr_10": {"model.safetensors": WEIGHTS}, "pr_11": {"README.md": b""}}
    with serving(Hub({ID: model(main={}, **pulls)}, bots={ID: [9, 10, 11, 12]})) as hub:
        assert ask(hub).weights[0].read_bytes() == WEIGHTS


def test_a_mirror_that_knows_no_pull_requests(ask):
    with serving(Hub({ID: model(main={"pytorch_model.bin": WEIGHTS})}, fault="no discussions")) as hub:
        assert ask(hub).weights[0].name == "pytorch_model.bin"


def test_without_safetensors_the_bin_is_taken(ask):
    with serving(Hub({ID: model(main={"pytorch_model.bin": WEIGHTS})}, strangers={ID: [5]})) as hub:
        assert ask(hub).weights[0].name == "pytorch_model.bin"
        assert ask(hub).weights[0].name == "pytorch_model.bin"


def without(file):
    return {ID: {"main": {name: body for name, body in model()["main"].items() if name != file}}}


def replacing(file, body):
    return {ID: {"main": model()["main"] | {file: body}}}


CLASSIFIER = json.dumps({"model_type": "segformer", "architectures": ["SegformerForImageClassification"]}).encode()
GONE_WRONG = [
    # what is served, the server's fault, the code, words of the message
    ({}, "", "model_missing", ["has no model 'someone/segformer-tiny'"]),
    ({ID: model()}, "gated", "model_missing", ["is gated", "hf auth login"]),
    (without("config.json"), "", "model_missing", ["no SegFormer checkpoint", "config.json"]),
    (without("preprocessor_config.json"), "", "model_missing", ["preprocessor_config.json"]),
    (without("model.safetensors"), "", "model_missing", ["neither model.safetensors nor pytorch_model.bin"]),
    (replacing("config.json", b"{"), "", "model_corrupt", ["config.json", "JSON object"]),
    (replacing("config.json", b"[1]"), "", "model_corrupt", ["config.json", "JSON object"]),
    (replacing("config.json", b'{"model_type": "vit"}'), "", "model_missing", ["model_type 'vit'"]),
    (replacing("config.json", CLASSIFIER), "", "model_missing", ["SegformerForImageClassification"]),
    ({ID: model()}, "altered", "model_corrupt", ["SHA-256", "fetch it again"]),
    ({ID: model()}, "cut", "model_missing", ["could not be fetched", "--weights FOLDER"]),
    ({ID: model()}, "no hash", "model_missing", ["no SHA-256"]),
    ({ID: model()}, "status 500", "model_missing", ["answers 500", "try again later", "figureground pull segformer"]),
    ({ID: model()}, "dies after the config", "model_missing", ["answers 500"]),
    ({ID: model()}, "silent", "model_missing", ["could not be fetched", "figureground pull segformer"]),
    ({ID: model()}, "not a hub", "model_missing", ["could not be fetched"]),
]


@pytest.mark.parametrize(("served", "fault", "code", "words"), GONE_WRONG)
def test_each_fault_ends_in_one_clear_line_and_leaves_nothing_half_written(ask, monkeypatch, served, fault, code, words):
    monkeypatch.setattr(hub_module, "PATIENCE", 1.0)
    with serving(Hub(served, fault=fault)) as hub, pytest.raises(WeightsError) as error:
        ask(hub)
    assert error.value.code == code, error.value
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value), error.value
    left = [path for path in files_of(ask.folder) if path.name in ("model.safetensors", "pytorch_model.bin")]
    left += [path for path in files_of(ask.folder) if path.stat().st_size > 10_000 or "part" in path.suffix]
    assert left == []
    assert not [path for path in files_of(ask.folder) if path.suffix == ".incomplete"]


def test_every_fault_of_the_server_is_in_the_table():
    assert set(FAULTS) - {"no discussions"} <= {fault for _, fault, _, _ in GONE_WRONG}


def test_after_an_altered_file_the_next_fetch_is_sound(ask):
    with serving(Hub({ID: model()}, fault="altered")) as hub:
        with pytest.raises(WeightsError):
            ask(hub)
        hub.fault = ""
        assert ask(hub).weights[0].read_bytes() == WEIGHTS


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "nowhere.invalid"])
def test_a_hub_out_of_reach_is_told_within_ten_seconds_and_says_how_to_proceed(ask, host):
    url = f"http://127.0.0.1:{free_port()}" if host == "127.0.0.1" else f"http://{host}"
    start = time.monotonic()
    with pytest.raises(WeightsError) as error:
        ask(Hub({}, url=url))
    assert time.monotonic() - start < 10
    for word in (url, "figureground pull segformer", str(ask.folder / "hub"), "network connection", "--weights FOLDER"):
        assert word in str(error.value)
    assert "try again" not in str(error.value)


def test_a_silent_hub_is_given_up_within_ten_seconds(ask):
    with serving(Hub({ID: model()}, fault="silent")) as hub:
        start = time.monotonic()
        with pytest.raises(WeightsError, match="could not be fetched"):
            ask(hub)
        assert time.monotonic() - start < 10


def test_a_call_that_never_ends_is_left_behind():
    stop = threading.Event()
    with pytest.raises(TimeoutError, match="no answer within"):
        hub_module.within(0.05, stop.wait)
    stop.set()
    with pytest.raises(KeyError):
        hub_module.within(5, lambda: {}["nothing"])


def test_offline_and_not_kept(ask, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with serving(Hub({ID: model()})) as hub, pytest.raises(WeightsError, match="HF_HUB_OFFLINE") as error:
        ask(hub)
    assert hub.asked == []
    for word in (ID, hub.url, "unset it", "figureground pull segformer", str(ask.folder / "hub"), "--weights FOLDER"):
        assert word in str(error.value)
    assert "try again" not in str(error.value)


def test_whether_all_files_are_kept(ask):
    assert not checkpoint.is_kept(ID, FORMAT)
    with serving(Hub({ID: model()})) as hub:
        found = ask(hub)
    assert checkpoint.is_kept(ID, FORMAT)
    found.weights[0].unlink()
    assert not checkpoint.is_kept(ID, FORMAT)


@pytest.mark.parametrize("name", ["segformer", "a/b/c", "../up/and/away", "", "a/b?c", "no such folder"])
def test_neither_folder_nor_hub_id(ask, name):
    with pytest.raises(WeightsError, match=r"expected a folder|neither"):
        ask(Hub({}, url="http://nowhere.invalid"), name or "%")


def test_kept_weights_that_rot_are_refused_when_they_are_used(ask):
    with serving(Hub({ID: model()})) as hub:
        found = ask(hub)
        path = found.weights[0].resolve()
        path.write_bytes(WEIGHTS[:-1] + b"x")
        with pytest.raises(WeightsError, match="is damaged; remove it") as error:
            checkpoint.verified(ask(hub))
    assert (error.value.code, str(found.weights[0]) in str(error.value)) == ("model_corrupt", True)


def test_the_hubs_word_is_kept_where_file_systems_have_no_links(ask):
    with serving(Hub({ID: model()})) as hub:
        found = ask(hub)
        body = found.weights[0].read_bytes()
        found.weights[0].unlink()
        found.weights[0].write_bytes(body[:-1] + b"x")
        assert ask(hub).sha256 == found.sha256
        checkpoint.record_path(ID, Settings(cache=ask.folder / "cache"), FORMAT).unlink()
        assert ask(hub).sha256 == cache.sha256(found.weights[0])


def test_licenses_are_looked_at_before_weights_are_fetched(ask):
    with serving(Hub({ID: model()})) as hub:
        assert ask(hub, licenses="permissive").license == "mit"
    with serving(Hub({"nvidia/segformer-x": model()})) as hub:
        with pytest.raises(WeightsError, match="research and evaluation only") as error:
            ask(hub, "nvidia/segformer-x", licenses="permissive")
        assert not any("safetensors" in line or "cdn" in line for line in hub.asked)
    assert error.value.code == "licence_refused"


@pytest.mark.parametrize(
    ("card", "license"),
    [
        ("---\nlicense: Apache-2.0\ntags: []\n---\n", "apache-2.0"),
        ("---\ntags: []\nlicense: 'cc0-1.0'\n---\n", "cc0-1.0"),
        ("---\nlicense: other\nlicense_name: mine\n---\n", licenses.UNKNOWN),
        ("---\ntags: []\n---\nlicense: mit\n", licenses.UNKNOWN),
        ("license: mit\n", licenses.UNKNOWN),
        (None, licenses.UNKNOWN),
    ],
)
def test_licenses_of_local_folders(tmp_path, card, license):
    for name, body in (SMALL | {"model.safetensors": WEIGHTS}).items():
        (tmp_path / name).write_bytes(body)
    (tmp_path / "README.md").unlink()
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    found = checkpoint.fetch(str(tmp_path), Settings(), FORMAT)
    assert (found.license, found.fetched, found.sha256) == (license, False, cache.sha256(tmp_path / "model.safetensors"))
    if license == licenses.UNKNOWN:
        with pytest.raises(WeightsError, match="permissive"):
            checkpoint.fetch(str(tmp_path), Settings(licenses="permissive"), FORMAT)


def test_a_local_folder_without_weights(tmp_path):
    for name, body in SMALL.items():
        (tmp_path / name).write_bytes(body)
    with pytest.raises(WeightsError, match="neither model"):
        checkpoint.fetch(str(tmp_path), Settings(), FORMAT)


def test_keeping_is_whole_or_not_at_all(tmp_path, monkeypatch):
    assert cache.atomic_write(tmp_path / "a" / "b", b"whole")
    assert (tmp_path / "a" / "b").read_bytes() == b"whole"
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    assert not cache.atomic_write(tmp_path / "a" / "b", b"other")
    assert [path.read_bytes() for path in (tmp_path / "a").iterdir()] == [b"whole"]
    (tmp_path / "file").write_bytes(b"")
    assert not cache.atomic_write(tmp_path / "file" / "below", b"")


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(WeightsError, match="cannot be read"):
        cache.sha256(tmp_path)
