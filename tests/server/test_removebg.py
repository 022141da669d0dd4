"""remove.bg's API: its published client works when only the address is changed, and every documented error is given."""

import base64
import io
import json
import os
import shutil
import subprocess
import zipfile

import httpx
import numpy as np
import pytest
import removebg.removebg as published
from PIL import Image

from figureground.errors import NoForeground, PictureTooLarge, UnreadablePicture, UsageError
from figureground.server.errors import Refused
from figureground.server.removebg import TITLES, error_body
from figureground.server.worker import ServerResult
from http_server import App
from photographs import FOLDER, ROOT

PHOTO = (FOLDER / "coffee.jpg").read_bytes()
HEIGHT, WIDTH = np.asarray(Image.open(io.BytesIO(PHOTO))).shape[:2]


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server.address, timeout=60) as made:
        yield made


def ask(client, **fields):
    files = {name: fields.pop(name) for name in ("image_file", "bg_image_file") if name in fields}
    return client.post("/v1.0/removebg", files=files or None, data=fields)


def opened(answer):
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


def loaded(path):
    return Image.open(io.BytesIO(path.read_bytes()))


@pytest.fixture
def remove_bg(server, monkeypatch, tmp_path):
    monkeypatch.setattr(published, "API_ENDPOINT", f"{server.address}/v1.0/removebg")
    monkeypatch.chdir(tmp_path)
    return published.RemoveBg("any key", str(tmp_path / "error.log"))


def test_the_published_client_with_a_file(remove_bg, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    remove_bg.remove_background_from_img_file("photo.jpg")
    result = loaded(tmp_path / "photo.jpg_no_bg.png")
    assert result.mode == "RGBA" and result.size == (WIDTH, HEIGHT)
    alpha = np.asarray(result)[..., 3]
    assert 0.05 < (alpha > 127).mean() < 0.95


CLIENT = ROOT / ".venv" / "node" / "node_modules" / "remove.bg" / "dist" / "index.js"
NODE = """
const fs = require("fs");
const client = require("./client.js");
const base64img = fs.readFileSync("photo.jpg").toString("base64");
const options = { size: "full", crop: true, crop_margin: "10%", bg_color: "ff0000" };
async function main() {
  const apiKey = "any key", url = "http://127.0.0.1/x.jpg";
  const file = await client.removeBackgroundFromImageFile({ path: "photo.jpg", apiKey, outputFile: "file.png" });
  const text = await client.removeBackgroundFromImageBase64({ base64img, apiKey, outputFile: "text.png", ...options });
  const refused = await client.removeBackgroundFromImageUrl({ url, apiKey }).catch(errors => errors);
  console.log(JSON.stringify([file.resultWidth, file.creditsCharged, text.detectedType, refused[0].code]));
}
main();
"""


@pytest.mark.skipif(not (CLIENT.exists() and shutil.which("node")), reason="node or the client for it is not installed")
def test_the_published_client_for_node(server, tmp_path):
    address = f"{server.address}/v1.0/removebg"
    code = CLIENT.read_text("utf-8")
    assert "https://api.remove.bg/v1.0/removebg" in code
    (tmp_path / "client.js").write_text(code.replace("https://api.remove.bg/v1.0/removebg", address), "utf-8")
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    environment = {**os.environ, "NODE_PATH": str(CLIENT.parents[2])}
    words = ["node", "-e", NODE]
    end = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert end.returncode == 0, end.stderr
    width, credits_charged, kind, code = json.loads(end.stdout)
    assert (int(width), float(credits_charged), code) == (WIDTH, 0, "failed_image_download")
    assert kind in {"person", "product", "animal", "car", "other"}
    assert loaded(tmp_path / "file.png").mode == "RGBA"
    cropped = loaded(tmp_path / "text.png").convert("RGB")
    assert cropped.size < (WIDTH, HEIGHT) and np.abs(np.asarray(cropped)[0, 0] - [255.0, 0, 0]).max() < 3


def test_the_published_client_with_base64_and_a_color(remove_bg, tmp_path):
    encoded = base64.b64encode(PHOTO)
    remove_bg.remove_background_from_base64_img(encoded, new_file_name="no-bg.jpg", bg_color="81d4fa")
    result = loaded(tmp_path / "no-bg.jpg")
    assert result.mode == "RGB"
    np.testing.assert_allclose(np.asarray(result)[0, -1], [0x81, 0xD4, 0xFA], atol=4)


def test_the_published_client_with_an_address(remove_bg, tmp_path, photo_server):
    remove_bg.remove_background_from_img_url(photo_server, size="full", new_file_name="from-url.png")
    assert loaded(tmp_path / "from-url.png").size == (WIDTH, HEIGHT)


@pytest.fixture(scope="module")
def photo_server():
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(PHOTO)))
            self.end_headers()
            self.wfile.write(PHOTO)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/photo.jpg"
        running.shutdown()


def test_json_holds_the_picture_and_where_the_foreground_is(client):
    plain = ask(client, image_file=PHOTO)
    answer = client.post(
        "/v1.0/removebg", json={"image_file_b64": base64.b64encode(PHOTO).decode()}, headers={"Accept": "application/json"}
    )
    data = answer.json()["data"]
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["result_b64"]))))
    np.testing.assert_array_equal(image, np.asarray(opened(plain)))
    inside = image[..., 3] >= 128
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    expected = [rows[0], columns[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]]
    found = [data[f"foreground_{name}"] for name in ("top", "left", "width", "height")]
    np.testing.assert_allclose(found, expected, atol=1)
    for response in (plain, answer):
        assert [int(response.headers[f"X-Foreground-{name}"]) for name in ("Top", "Left", "Width", "Height")] == found
        assert response.headers["X-Credits-Charged"] == "0" and response.headers["X-Type"]
        assert (response.headers["X-Width"], response.headers["X-Height"]) == (str(WIDTH), str(HEIGHT))


def test_sizes(client):
    big = io.BytesIO()
    Image.open(io.BytesIO(PHOTO)).resize((1000, 666)).save(big, "JPEG")
    for size, pixels in (("auto", 666_000), ("full", 666_000), ("hd", 666_000), ("preview", 250_000), ("regular", 250_000)):
        image = opened(ask(client, image_file=big.getvalue(), size=size))
        assert 0.98 * pixels <= image.width * image.height <= pixels
    assert image.width / image.height == pytest.approx(1000 / 666, rel=0.01)
    none = opened(ask(client, image_file=big.getvalue()))
    assert none.size == (1000, 666)


def test_crop_with_margins(client):
    whole = ask(client, image_file=PHOTO)
    top, left, width, height = (int(whole.headers[f"X-Foreground-{name}"]) for name in ("Top", "Left", "Width", "Height"))
    tight = opened(ask(client, image_file=PHOTO, crop="true"))
    assert tight.size == (width, height)
    np.testing.assert_array_equal(np.asarray(tight), np.asarray(opened(whole))[top : top + height, left : left + width])
    wide = opened(ask(client, image_file=PHOTO, crop="true", crop_margin="5px 10px"))
    assert wide.size == (min(WIDTH, left + width + 10) - max(0, left - 10), min(HEIGHT, top + height + 5) - max(0, top - 5))


def test_formats_and_channels(client):
    assert opened(ask(client, image_file=PHOTO, format="jpg")).format == "JPEG"
    assert opened(ask(client, image_file=PHOTO, format="webp")).format == "WEBP"
    assert opened(ask(client, image_file=PHOTO, bg_color="white", format="png")).mode == "RGB"
    assert opened(ask(client, image_file=PHOTO, bg_color="#fff")).format == "JPEG"
    alpha = opened(ask(client, image_file=PHOTO, channels="alpha"))
    assert alpha.mode == "L"
    answer = ask(client, image_file=PHOTO, format="zip")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert sorted(archive.namelist()) == ["alpha.png", "color.jpg"]
        np.testing.assert_array_equal(np.asarray(Image.open(archive.open("alpha.png"))), np.asarray(alpha))
        assert Image.open(archive.open("color.jpg")).size == (WIDTH, HEIGHT)


def test_the_region_of_interest_bounds_the_foreground(client):
    whole = np.asarray(opened(ask(client, image_file=PHOTO, channels="alpha")))
    half = np.asarray(opened(ask(client, image_file=PHOTO, channels="alpha", roi="0% 0% 50% 100%")))
    middle = round(WIDTH / 2)
    np.testing.assert_array_equal(half[:, :middle], whole[:, :middle])
    assert not half[:, middle:].any() and whole[:, middle:].any()


def test_parameters_without_effect_are_named(client):
    answer = ask(client, image_file=PHOTO, add_shadow="true", type="product", scale="50%", type_level="2", size="giant")
    assert answer.status_code == 200
    assert all(name in answer.headers["X-Warning"] for name in ("add_shadow", "type", "scale", "type_level", "size"))
    assert "X-Warning" not in ask(client, image_file=PHOTO, size="auto", crop="false").headers


def blank():
    buffer = io.BytesIO()
    Image.new("RGB", (60, 40), "white").save(buffer, "PNG")
    return buffer.getvalue()


URL = "http://127.0.0.1:9/a.png"
ERRORS = [
    ("missing_source", {}),
    ("missing_source", {"size": "auto"}),
    ("missing_source", {"image_url": ""}),
    ("multiple_sources", {"image_file": PHOTO, "image_url": URL}),
    ("invalid_image_url", {"image_url": "file:///etc/passwd"}),
    ("invalid_image_url", {"image_url": "no address"}),
    ("failed_image_download", {"image_url": URL}),
    ("failed_to_read_image", {"image_file": PHOTO[:3000]}),
    ("failed_to_read_image", {"image_file_b64": "*"}),
    ("invalid_file_type", {"image_file": b"%PDF-1.7"}),
    ("invalid_roi", {"image_file": PHOTO, "roi": "1 2 3"}),
    ("invalid_roi", {"image_file": PHOTO, "roi": "0% 0% 200% 100%"}),
    ("invalid_roi", {"image_file": PHOTO, "roi": "a b c d"}),
    ("roi_region_empty", {"image_file": PHOTO, "roi": "10px 10px 10px 10px"}),
    ("roi_region_empty", {"image_file": PHOTO, "roi": "9000px 9000px 9900px 9900px"}),
    ("invalid_crop_margin", {"image_file": PHOTO, "crop_margin": "much"}),
    ("invalid_crop_margin", {"image_file": PHOTO, "crop_margin": "1 2 3"}),
    ("invalid_bg_color", {"image_file": PHOTO, "bg_color": "nocolor"}),
    ("multiple_bg_sources", {"image_file": PHOTO, "bg_color": "red", "bg_image_url": URL}),
    ("unknown_foreground", {"image_file": PHOTO, "roi": "0px 0px 1px 1px"}),
]


@pytest.mark.parametrize(("code", "fields"), ERRORS, ids=[f"{place}-{row[0]}" for place, row in enumerate(ERRORS)])
def test_documented_errors(client, code, fields):
    answer = ask(client, **fields)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"], error["title"]) == (400, code, TITLES[code])


def test_errors_of_size_and_load(tmp_path):
    small = App(max_body=1000)
    answer = small.ask("POST", "/v1.0/removebg", files={"image_file": PHOTO})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "file_too_large")
    large = App(PictureTooLarge("it is 60000 × 60000 = 3,600 megapixels"))
    assert large.ask("POST", "/v1.0/removebg", files={"image_file": PHOTO}).json()["errors"][0]["code"] == "resolution_too_high"
    expected = {
        "auth_failed": (403, "auth_failed"),
        "rate_limit_exceeded": (429, "rate_limit_exceeded"),
        "too_many_requests": (429, "rate_limit_exceeded"),
        "quota_exceeded": (402, "insufficient_credits"),
        "busy": (503, "busy"),
        "internal": (500, "internal"),
    }
    for code, (status, theirs) in expected.items():
        found, body = error_body(Refused(code))
        assert (found, body["errors"][0]["code"]) == (status, theirs)
    for error, code in ((NoForeground("none"), "unknown_foreground"), (UnreadablePicture("x"), "failed_to_read_image")):
        answer = App(error).ask("POST", "/v1.0/removebg", files={"image_file": PHOTO})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, code)
    answer = App(UsageError("x", code="roi_region_empty")).ask("POST", "/v1.0/removebg", files={"image_file": PHOTO})
    assert answer.json()["errors"][0]["code"] == "roi_region_empty"


def test_the_account(client):
    attributes = client.get("/v1.0/account").json()["data"]["attributes"]
    assert set(attributes) == {"credits", "api"} and attributes["credits"]["total"] == 0


def test_a_tiny_result_of_a_worker_is_passed_on():
    facts = {"foreground": {"top": 1, "left": 2, "width": 3, "height": 4}, "width": 5, "height": 6, "warnings": []}
    app = App(ServerResult(facts, {"cutout": b"pixels"}, {"decode": 0.1}))
    answer = app.ask("POST", "/v1.0/removebg", json={"image_file_b64": "AAAA"})
    assert answer.content == b"pixels" and app.pool.tasks[0].data == bytes(3)
    assert answer.headers["server-timing"] == "decode;dur=100.0"
