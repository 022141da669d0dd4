"""POST /v1/remove over a true server: pictures in, every form of answer out."""

import base64
import io
import json
import re
import struct
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import numpy as np
import pytest
from PIL import Image

from encoded import png_chunk
from figureground import Separator
from photographs import FOLDER

PHOTO = (FOLDER / "coffee.jpg").read_bytes()
FAST = {"quality": "fast"}


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server.address, timeout=60) as made:
        yield made


@pytest.fixture(scope="module")
def cutout():
    """What the library makes of the photograph."""
    return Separator("subject", quality="fast", threads=1)(PHOTO)


@pytest.fixture(scope="module")
def origin():
    """A server with the photograph, slow at /trickle, broken at /short."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(404 if self.path == "/missing" else 200)
            self.send_header("Content-Length", str(len(PHOTO) + (self.path == "/short")))
            self.end_headers()
            self.wfile.write(b"" if self.path == "/missing" else PHOTO)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def pixels(response):
    assert response.status_code == 200, response.text
    return np.asarray(Image.open(io.BytesIO(response.content)))


def test_four_ways_to_send_a_picture_give_the_librarys_pixels(client, cutout, origin):
    encoded = base64.b64encode(PHOTO).decode()
    answers = [
        client.post("/v1/remove", files={"image": ("a b.jpg", PHOTO)}, data=FAST),
        client.post("/v1/remove", files={"file": PHOTO}, params=FAST),
        client.post("/v1/remove", content=PHOTO, headers={"Content-Type": "image/jpeg"}, params=FAST),
        client.post("/v1/remove", json={"image": encoded, **FAST}),
        client.post("/v1/remove", json={"image": f"data:image/jpeg;base64,{encoded}", **FAST}),
        client.post("/v1/remove", json={"url": f"{origin}/a.jpg", **FAST}),
        client.post("/v1/remove", data={"url": f"{origin}/a.jpg", **FAST}),
        client.post("/v1/remove", content=PHOTO, headers={"Content-Type": "application/x-www-form-urlencoded"}, params=FAST),
    ]
    expected = cutout.cutout()
    for answer in answers:
        assert answer.headers["content-type"] == "image/png"
        np.testing.assert_allclose(pixels(answer).astype(int), expected.astype(int), atol=1)
    assert len({answer.headers["etag"] for answer in answers}) == 1


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("image/png", "PNG"),
        ("image/webp", "WEBP"),
        ("image/avif", "AVIF"),
        ("image/jpeg", "JPEG"),
        ("text/html, image/webp;q=0.8, image/png;q=0.5, */*;q=0.1", "WEBP"),
        ("image/*", "PNG"),
        ("*/*", "PNG"),
    ],
)
def test_the_accept_header_decides_the_format(client, accept, kind):
    answer = client.post("/v1/remove", files={"image": PHOTO}, data=FAST, headers={"Accept": accept})
    assert Image.open(io.BytesIO(answer.content)).format == kind
    assert answer.headers["vary"] == "Accept"


def test_the_field_format_decides_where_it_is_given(client):
    answer = client.post("/v1/remove", files={"image": PHOTO}, data={**FAST, "format": "webp"})
    assert answer.headers["content-type"] == "image/webp"
    answer = client.post("/v1/remove", files={"image": PHOTO}, data={**FAST, "format": "webp"}, headers={"Accept": "image/png"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")
    answer = client.post("/v1/remove", files={"image": PHOTO}, data={**FAST, "format": "npy", "view": "mask"})
    assert np.load(io.BytesIO(answer.content)).dtype == np.float32


def test_several_views_are_a_zip_file(client, cutout):
    answer = client.post("/v1/remove", files={"image": PHOTO}, data={**FAST, "view": "cutout,mask", "format": "webp"})
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["cutout.webp", "mask.webp"]
    one = client.post("/v1/remove", files={"image": PHOTO}, data=FAST, headers={"Accept": "application/zip"})
    with zipfile.ZipFile(io.BytesIO(one.content)) as archive:
        assert Image.open(io.BytesIO(archive.read("cutout.png"))).mode == "RGBA"
    assert client.post(
        "/v1/remove", files={"image": PHOTO}, data={"view": ["cutout", "mask"]}, headers={"Accept": "image/png"}
    ).status_code == 406  # fmt: skip


def test_json_holds_what_was_found_and_the_files(client, cutout):
    answer = client.post(
        "/v1/remove", files={"image": PHOTO}, data={**FAST, "view": "mask"}, headers={"Accept": "application/json"}
    ).json()
    assert answer["box"] == list(cutout.box())
    assert answer["coverage"] == pytest.approx(cutout.info()["coverage"], abs=1e-3)
    assert 0 < answer["certainty"] <= 1
    assert answer["files"]["mask"]["type"] == "image/png"
    mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["files"]["mask"]["data"]))))
    np.testing.assert_allclose(mask.astype(int), cutout.mask8().astype(int), atol=1)
    assert "picture" not in answer


def test_options_reach_the_method(client):
    white = client.post("/v1/remove", files={"image": PHOTO}, data={**FAST, "background": "white"})
    assert pixels(white).shape[2] == 3 and pixels(white)[0, 0].tolist() == [255, 255, 255]
    box = {"box": "0,0,50%,100%", **FAST}
    half = pixels(client.post("/v1/remove", files={"image": PHOTO}, data=box))
    assert not half[:, half.shape[1] // 2 + 1 :, 3].any()


def test_headers_of_an_answer(client):
    answer = client.post("/v1/remove", files={"image": PHOTO}, data=FAST, headers={"X-Request-Id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    stages = re.findall(r"(\w+);dur=[\d.]+", answer.headers["server-timing"])
    assert {"decode", "network", "encode"} <= set(stages)
    other = client.post("/v1/remove", files={"image": PHOTO}, data={**FAST, "view": "mask"})
    assert other.headers["etag"] != answer.headers["etag"]
    assert len(other.headers["x-request-id"]) == 16


GIF = b"GIF89a" + bytes(20)
PICTURES = {
    "empty": (b"", 422, "usage"),  # no picture at all
    "text": (b"this is no picture", 415, "unsupported_format"),
    "pdf": (b"%PDF-1.7 ...", 415, "unsupported_format"),
    "cut": (PHOTO[:5000], 422, "truncated"),
    "bad": (GIF, 422, "decode_error"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_that_are_none(client, name):
    data, status, code = PICTURES[name]
    answer = client.post("/v1/remove", content=data, headers={"Content-Type": "image/png"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()) >= {"code", "message", "picture", "request_id"}


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(client):
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    large = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")
    answer = client.post("/v1/remove", content=large, headers={"Content-Type": "image/png"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize(("path", "status", "code"), [("/missing", 502, "upstream_error"), ("/short", 502, "upstream_error")])
def test_addresses_that_give_no_picture(client, origin, path, status, code):
    answer = client.post("/v1/remove", json={"url": f"{origin}{path}"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "127.0.0.1" not in answer.text and "404" not in answer.text


def test_paths_and_other_schemes_are_no_addresses(client):
    for url in ("/etc/passwd", "file:///etc/passwd", "-", "s3://bucket/x", str(FOLDER / "coffee.jpg"), " http://x", ""):
        answer = client.post("/v1/remove", json={"url": url})
        assert answer.status_code in (403, 422), url


def test_nothing_found_is_said(client):
    gray = io.BytesIO()
    Image.new("RGB", (64, 64), (128, 128, 128)).save(gray, "PNG")
    plain = client.post("/v1/remove", content=gray.getvalue(), headers={"Content-Type": "image/png"}, params=FAST)
    if "no foreground" in plain.headers.get("x-warning", ""):
        strict = client.post("/v1/remove", files={"image": gray.getvalue()}, data={**FAST, "require_subject": "true"})
        assert (strict.status_code, strict.json()["code"]) == (422, "no_foreground")
    else:
        assert plain.status_code == 200


def test_the_log_holds_no_names_and_no_addresses(client, server, origin):
    client.post("/v1/remove", files={"image": ("holiday-secret.jpg", PHOTO)}, data=FAST)
    client.post("/v1/remove", json={"url": f"{origin}/missing?token=hunter2"})
    client.get("/no/such/path-hunter3?key=hunter4", headers={"X-Api-Key": "hunter5"})
    server.wait_until(lambda: '"route": "other"' in server.log)
    assert not re.search(r"secret|hunter|127\.0\.0\.1:\d+/", server.log)
    rows = [json.loads(line) for line in server.lines if '"event": "request"' in line]
    assert {"time", "level", "event", "request_id", "method", "route", "status", "seconds"} <= set(rows[-1])
