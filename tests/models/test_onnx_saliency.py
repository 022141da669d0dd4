"""Networks of others: each kind of row from a local server, with faults, held against the plain formula."""

import hashlib
import http.server
import json
import threading
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import small_torch
from commandline import command
from figureground import Separator, _machine, models
from figureground.errors import UnknownName, UsageError, WeightsError, WeightsNotFetched
from figureground.methods import find
from figureground.models import onnx_saliency
from figureground.models.onnx_saliency import NETWORKS, REFUSED, Network, homes
from hub_server import Hub, serving
from small_onnx import plain, save, small_onnx

RGB = np.random.default_rng(3).integers(0, 200, (70, 90, 3)).astype(np.uint8)


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No files of rembg's on this machine, and short pauses between tries."""
    for name in ("U2NET_HOME", "REMBG_HOME", "XDG_DATA_HOME", onnx_saliency.NO_CHECKSUM):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("figureground.io.retry.PAUSES", (0.01, 0.02))


@contextmanager
def served(body, fault=""):
    """The address of a file on a local server."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response({"gone": 404, "broken": 500}.get(fault, 200))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            sent = {"cut": body[: len(body) // 2], "altered": body[:-1] + b"\0"}.get(fault, body)
            self.wfile.write(sent)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/network.onnx"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def as_row(name, body, monkeypatch, **changes):
    """The row of a name for a small file, everything else being its own."""
    digest = {"sha256": hashlib.sha256(body).hexdigest(), "md5": "", "bytes": len(body), "memory_mb": 1}
    row = replace(NETWORKS[name], **(digest | changes))
    monkeypatch.setattr(onnx_saliency, "NETWORKS", {**NETWORKS, name: row})
    return row


def expected(row, body):
    """The row's formula, written out plainly in float64."""
    filters = Image.Resampling[row.resample.upper()]
    height, width = RGB.shape[:2]
    size = (row.side, row.side)
    if row.shortest:
        scale = row.side / min(height, width)
        size = (int(width * scale) // 32 * 32, int(height * scale) // 32 * 32)
    x = np.asarray(Image.fromarray(RGB).resize(size, filters)).astype(np.float64)
    x /= {"255": 255, "max": x.max(), "none": 1}[row.rescale]
    x = (x - row.mean) / row.std
    values = 1 / (1 + np.exp(-plain(body, x.transpose(2, 0, 1)[None].astype(np.float32))))
    if row.stretch:
        values = (values - values.min()) / (values.max() - values.min())
    full = Image.fromarray(values.astype(np.float32)).resize((width, height), filters)
    return np.asarray(full).clip(0, 1)


def smaller(row):
    """The row with a smaller side, so that tests take less time."""
    return {"side": 64} if row.side > 320 else {}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_row_gives_what_the_plain_formula_gives(name, tmp_path, monkeypatch, settings):
    small = smaller(NETWORKS[name])
    side = small.get("side", NETWORKS[name].side)
    body = small_onnx(None if NETWORKS[name].shortest else side, NETWORKS[name].output)
    if NETWORKS[name].file:
        row = as_row(name, body, monkeypatch, revision="main", **small)
        with serving(Hub({row.source: {"main": {row.file: body}}})) as hub, small_torch.pointed(monkeypatch, hub, tmp_path):
            model = models.load("onnx_saliency", settings, network=name)
            asked = len(hub.asked)
            models.load("onnx_saliency", settings, network=name)
            assert len(hub.asked) == asked, "what is kept needs no network"
    else:
        with served(body) as url:
            row = as_row(name, body, monkeypatch, source=url, **small)
            model = models.load("onnx_saliency", settings, network=name)
        models.load("onnx_saliency", settings, network=name)  # kept: the server has gone
    values = model(RGB).values
    assert values.shape == RGB.shape[:2] and values.dtype == np.float32
    assert np.abs(values - expected(row, body)).max() < 1e-5
    assert model.license == row.license


@pytest.mark.parametrize(
    ("fault", "words"), [("gone", "404"), ("broken", "500"), ("cut", "ended early"), ("altered", "SHA256")]
)
def test_a_fault_of_the_server_is_one_line(fault, words, monkeypatch, settings):
    body = small_onnx(320)
    with served(body, fault) as url:
        as_row("u2netp", body, monkeypatch, source=url)
        with pytest.raises(WeightsError, match=words) as error:
            models.load("onnx_saliency", settings, network="u2netp")
    assert "\n" not in str(error.value)
    assert not list((settings.cache / "networks").glob("*.onnx")), "nothing is kept of it"


@pytest.mark.parametrize("fault", ["altered", "cut", "gated", "status 500"])
def test_a_fault_of_the_hub_is_one_line(fault, tmp_path, monkeypatch, settings):
    body = small_onnx(64)
    row = as_row("birefnet", body, monkeypatch, revision="main", side=64)
    hub = Hub({row.source: {"main": {row.file: body}}}, fault=fault)
    with serving(hub), small_torch.pointed(monkeypatch, hub, tmp_path), pytest.raises(WeightsError) as error:
        models.load("onnx_saliency", settings, network="birefnet")
    assert "\n" not in str(error.value)


def test_offline_says_where_to_put_the_file(monkeypatch, settings):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsNotFetched, match=r"u2netp\.onnx"):
        models.load("onnx_saliency", settings, network="u2netp")


def test_files_of_rembg_are_found_in_its_order(tmp_path, monkeypatch):
    places = [tmp_path / name for name in ("u2net", "rembg", "data/rembg", "home/.rembg", "home/.u2net")]
    environment = {"U2NET_HOME": str(places[0]), "REMBG_HOME": str(places[1]), "XDG_DATA_HOME": str(tmp_path / "data")}
    assert homes(environment) == places
    assert onnx_saliency.existing("u2netp") is None
    flat = save(places[4], "u2netp", 320)
    assert onnx_saliency.existing("u2netp") == flat
    own = save(places[3] / "models" / "u2netp", "u2netp", 320)
    assert onnx_saliency.existing("u2netp") == own
    monkeypatch.setenv("U2NET_HOME", str(places[0]))
    first = save(places[0], "u2netp", 320)
    assert onnx_saliency.existing("u2netp") == first


def test_a_file_that_is_another_one_is_refused_unless_asked_for(tmp_path, monkeypatch, settings):
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    save(tmp_path, "u2netp", 320)
    with pytest.raises(WeightsError, match="4,574,861 bytes") as error:
        models.load("onnx_saliency", settings, network="u2netp")
    assert error.value.code == "model_corrupt"
    monkeypatch.setenv(onnx_saliency.NO_CHECKSUM, "1")
    assert models.load("onnx_saliency", settings, network="u2netp")(RGB).values.max() == 1


def test_a_checked_file_is_read_again_only_when_it_changed(tmp_path, monkeypatch, settings):
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    path = save(tmp_path, "u2netp", 320)
    as_row("u2netp", path.read_bytes(), monkeypatch)
    onnx_saliency.locate("u2netp", settings)
    read = []
    monkeypatch.setattr(onnx_saliency, "digests", lambda path: read.append(path) or {"sha256": "", "md5": ""})
    onnx_saliency.locate("u2netp", settings)
    assert read == []
    path.write_bytes(small_onnx(320, seed=1))
    with pytest.raises(WeightsError, match="SHA256"):
        onnx_saliency.locate("u2netp", settings)


def test_the_license_is_looked_at_before_anything_is_fetched(settings):
    strict = replace(settings, licenses="permissive")
    for name in ("bria-rmbg", "isnet", "silueta"):
        with pytest.raises(WeightsError, match="only permissive") as error:
            models.load("onnx_saliency", strict, network=name)
        assert error.value.code == "licence_refused"


def test_memory_that_does_not_suffice_is_said_before_anything_is_fetched(monkeypatch, settings):
    monkeypatch.setattr(_machine, "memory", lambda: 3 * 10**9)
    with pytest.raises(WeightsError, match=r"'birefnet' needs about 7\.7 GB of memory, but 3\.0 GB are free") as error:
        models.load("onnx_saliency", settings, network="birefnet")
    assert error.value.code == "resource_limit"


def test_rows_are_whole():
    for name, row in NETWORKS.items():
        assert row.license and row.data and row.about, name
        assert len(row.sha256) in (0, 64) and len(row.md5) in (0, 32)
        assert row.source.startswith("https://") != bool(row.file)
        assert row.stretch == row.source.startswith(onnx_saliency.REMBG), "only rembg stretches"


@pytest.mark.parametrize("name", REFUSED)
def test_other_names_of_rembg_say_what_to_do(name):
    with pytest.raises(UsageError, match="--method"):
        find(name)


def test_a_file_is_asked_for_what_it_does_not_say(tmp_path, settings):
    path = save(tmp_path, "mine", None, "logit")
    with pytest.raises(UsageError, match=r"add --input-size .*--mean .*--std .*--output-kind") as error:
        Separator(str(path), settings)
    assert "\n" not in str(error.value)
    fixed = save(tmp_path, "fixed", 64)
    with pytest.raises(UsageError, match="add --mean") as error:
        Separator(str(fixed), settings)
    assert "--input-size" not in str(error.value) and "--output-kind" not in str(error.value)
    with pytest.raises(UsageError, match="64 × 64"):
        Separator(str(fixed), settings, mean="0,0,0", std="1,1,1", input_size=32)
    with pytest.raises(UsageError, match="three numbers"):
        Separator(str(fixed), settings, mean="0,0", std="1,1,1")


def test_a_file_of_any_origin_is_used_as_it_is_told(tmp_path, settings):
    path = save(tmp_path, "mine", None, "logit")
    options = {"input_size": 64, "mean": "0.5,0.5,0.5", "std": "1,1,1", "output_kind": "logit"}
    mask = Separator(str(path), settings, **options)(RGB).mask
    row = Network("", side=64, mean=(0.5,) * 3, std=(1.0,) * 3)
    assert np.abs(mask - expected(row, path.read_bytes())).max() < 1e-5


def test_the_command_takes_a_file(tmp_path, photo):
    path = save(tmp_path, "mine", 64)
    words = ("remove", photo, "-m", path, "--mean", "0,0,0", "--std", "1,1,1", "--view", "mask", "-o", tmp_path / "out.png")
    assert command(*words).code == 0
    with Image.open(tmp_path / "out.png") as mask:
        assert mask.size == (512, 512)
    command("remove", photo, "-m", path, "-o", tmp_path / "no.png").refused(2, "--mean")


def test_methods_lists_and_shows_networks():
    rows = json.loads(command("methods", "--json").out)
    assert {row["method"] for row in rows} >= set(NETWORKS)
    assert "CC BY-NC 4.0" in command("methods", "bria-rmbg").out
    command("methods", "sam").refused(2, "--method points")
    with pytest.raises(UnknownName, match="did you mean 'isnet-general-use'"):
        find("isnet-general")


def test_doctor_verifies_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    command("doctor", "--verify", "u2netp").refused(3, "figureground pull u2netp")
    path = save(tmp_path, "u2netp", 320)
    ended = command("doctor", "--verify", "u2netp")
    assert ended.code == 3 and "4,574,861" in ended.err
    as_row("u2netp", path.read_bytes(), monkeypatch)
    ended = command("doctor", "--verify", "u2netp")
    assert ended.code == 0 and "SHA256 agree" in ended.out and "1 × 3 × 320 × 320" in ended.out
    path = save(tmp_path, "u2netp", 320, "logit")
    as_row("u2netp", path.read_bytes(), monkeypatch)
    assert "from 0 to 1" in command("doctor", "--verify", "u2netp").err


def test_a_file_of_another_shape_is_refused(tmp_path, monkeypatch, settings):
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    monkeypatch.setenv(onnx_saliency.NO_CHECKSUM, "1")
    save(tmp_path, "u2netp", 64)
    with pytest.raises(WeightsError, match="should take 1 × 3 × 320 × 320, but takes 1 × 3 × 64 × 64"):
        models.load("onnx_saliency", settings, network="u2netp")
