"""rembg's API: the calls that its users make."""

import io

import httpx
import numpy as np
import pytest
from PIL import Image

from figureground.server.worker import ServerResult
from http_server import App
from photographs import FOLDER

PHOTO = (FOLDER / "coffee.jpg").read_bytes()


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server.address, timeout=60) as made:
        yield made


def opened(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_a_file_with_rembgs_parameters(client):
    plain = client.post("/api/remove", files={"file": PHOTO})
    assert opened(plain).shape[2] == 4
    fields = {"model": "u2net", "a": "false", "af": "240", "ab": "10", "ae": "10", "om": "false", "ppm": "false"}
    same = client.post("/api/remove", files={"file": ("a.jpg", PHOTO)}, data=fields)
    np.testing.assert_array_equal(opened(same), opened(plain))
    assert "u2net" in same.headers["x-warning"] and "x-warning" not in plain.headers
    mask = opened(client.post("/api/remove", files={"file": PHOTO}, params={"om": "true"}))
    assert mask.ndim == 2
    np.testing.assert_allclose(mask, opened(plain)[..., 3], atol=1)
    red = opened(client.post("/api/remove", files={"file": PHOTO}, data={"bgc": "255,0,0,255"}))
    assert red.shape[2] == 3 and red[0, -1].tolist() == [255, 0, 0]
    refined = opened(client.post("/api/remove", files={"file": PHOTO}, data={"a": "true"}))
    assert refined.shape == opened(plain).shape and (refined[..., 3] != opened(plain)[..., 3]).any()


def test_an_address(client, server):
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(PHOTO)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as origin:
        threading.Thread(target=origin.serve_forever, daemon=True).start()
        params = {"url": f"http://127.0.0.1:{origin.server_port}/a.jpg", "om": "true"}
        first = client.get("/api/remove", params=params)
        assert opened(first).ndim == 2
        again = client.get("/api/remove", params=params, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        origin.shutdown()


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "nonsense"},
        {"model": "../../x.onnx"},
        {"model": "u2net_custom"},
        {"a": "perhaps"},
        {"af": "256"},
        {"ab": "-1"},
        {"ae": "x"},
        {"om": "2"},
        {"bgc": "red"},
        {"bgc": "1,2"},
        {"bgc": "1,2,3,999"},
        {"extras": "{"},
        {"extras": "[]"},
        {"extras": "[" * 50_000},
    ],
)
def test_wrong_values_name_their_field(fields):
    app = App()
    answer = app.ask("POST", "/api/remove", files={"file": PHOTO}, data=fields)
    assert (answer.status_code, answer.json()["field"]) == (422, next(iter(fields)))
    assert app.pool.tasks == []


def test_parameters_without_effect_are_named():
    app = App(ServerResult({"warnings": ["animated"]}, {"cutout": b"x"}, {}))
    fields = {"af": "200", "extras": '{"model_path": "/etc/passwd"}', "bgc": "1,2,3,128", "dc": "true", "ppm": "true"}
    warning = app.ask("POST", "/api/remove", files={"file": PHOTO}, data=fields).headers["x-warning"]
    assert all(name in warning for name in ("af", "extras", "bgc", "dc", "animated")) and "passwd" not in warning
    clear = app.ask("POST", "/api/remove", files={"file": PHOTO}, data={"bgc": "0,0,0,0"})
    assert clear.status_code == 200 and app.pool.tasks[-1].spec.encode_options.background is None


def test_what_is_missing():
    app = App()
    assert app.ask("GET", "/api/remove").json()["field"] == "url"
    assert app.ask("POST", "/api/remove", data={"a": "true"}).json()["field"] == "image"
    assert app.ask("GET", "/api/remove?url=http://127.0.0.1/").status_code == 403
