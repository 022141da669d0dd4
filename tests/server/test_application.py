"""The application without workers: fields, limits, pages, headers, errors."""

import base64
import json
import re
from pathlib import Path

import pytest

from figureground.errors import UsageError, WeightsError, WorkerFailed
from figureground.methods import METHODS, all_options
from figureground.server.answers import accepted
from figureground.server.app import route_names
from figureground.server.config import MAX_BYTES, MAX_PIXELS, ServerConfig, is_loopback, server_settings
from figureground.server.errors import STATUS, Refused, refused
from figureground.settings import Settings
from http_server import App
from photographs import FOLDER

PHOTO = (FOLDER / "coffee.jpg").read_bytes()
IMAGE = {"image": base64.b64encode(PHOTO).decode()}


@pytest.fixture
def app():
    return App(methods=tuple(METHODS))


def post(app, document, **options):
    return app.ask("POST", "/v1/remove", json=document, **options)


def refusal(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


TREES = ("tree", "sky")
GOOD = [
    ({"method": "stuff", "foreground_classes": ["tree", "sky"]}, lambda spec: TREES in spec.method.options.values()),
    ({"method": "stuff", "foreground_classes": "tree, sky"}, lambda spec: TREES in spec.method.options.values()),
    ({"method": "subject+stuff", "combine": "max"}, lambda spec: spec.method.second and spec.method.combine == "max"),
    ({"quality": "best", "min_part": 0.2, "keep_largest": True}, lambda spec: spec.method.options["min_part"] == 0.2),
    ({"refiner": "guided", "edge_radius": 0.02}, lambda spec: spec.method.refiner == "guided"),
    ({"method": "text", "prompt": ["the dog"], "without": "a ball"}, lambda spec: spec.prompt.without == ("a ball",)),
    ({"method": "points", "point": "10,20"}, lambda spec: len(spec.prompt.points) == 1),
    ({"method": "points", "point": ["10,20", "50%,50%"], "box": "0,0,50%,50%"}, lambda spec: len(spec.prompt.points) == 2),
    ({"method": "points", "point": "9,9", "not_point": ["1,1"]}, lambda spec: len(spec.prompt.not_points) == 1),
    ({"view": ["mask", "overlay", "mask"]}, lambda spec: spec.views == ("mask", "overlay")),
    ({"background": "#ff0000", "png_effort": "best"}, lambda spec: spec.edit_options.background == "#ff0000"),
    ({"background": "blur:5", "shadow": "drop", "crop": True, "margin": "5%"}, lambda spec: spec.edit_options.crop),
    ({"view": "svg"}, lambda spec: spec.views == ("svg",)),
    ({"frames": "all"}, lambda spec: spec.frames == "all"),
    ({"format": "jpg", "encoder_quality": 50}, lambda spec: spec.encode_options.quality == 50),
    ({"view": "mask", "draft": True, "lenient": True}, lambda spec: spec.settings.draft and spec.settings.lenient),
    ({"method": None, "quality": None}, lambda spec: spec.method == METHODS["subject"]),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "holds"), GOOD, ids=range(len(GOOD)))
def test_fields_become_what_the_command_makes_of_its_options(app, fields, holds):
    assert post(app, IMAGE | fields).status_code == 200
    assert holds(app.pool.tasks[0].spec)
    form = {name: value for name, value in fields.items() if value is not None}
    assert app.ask("POST", "/v1/remove", files={"image": PHOTO}, data=form).status_code == 200
    assert app.pool.tasks[1].spec == app.pool.tasks[0].spec
    assert app.pool.tasks[1].data == PHOTO


FORBIDDEN = (
    *("weights", "mask_weights", "model", "runtime", "device", "threads", "precision", "max_pixels", "max_bytes"),
    *("cache", "licenses", "urls", "output", "o", "out_dir", "overwrite", "__class__", ""),
)
BAD = {
    "method": ["nonsense", "my.onnx", "../x", "subject+subject", "a+b+c", 5, ["subject"], "/etc/passwd"],
    "quality": ["super", "", 1, True],
    "min_part": ["much", 1e300, "nan", "inf", [1], {}],
    "keep_largest": ["perhaps", 7],
    "canvas": ["x", "0x0"],
    "instance": ["one", 1.5, 10**30],
    "view": ["nonsense", [], ["mask", 5], 5],
    "background": ["nocolor", "x" * 200, 5, "/etc/passwd", "photo.jpg", "http://127.0.0.1/a.png"],
    "encoder_quality": [0, 101, "high"],
    "format": ["bmp", "../png", "exe"],
    "png_effort": ["most"],
    "box": ["1,2,3", "a,b,c,d", 5, "x" * 5000],
    "point": ["1", "1,2,3", ["1,2", 5], "1;2"],
    "prompt": [["x" * 500], [5], [""] , ["a"] * 50],
    "combine": ["mean", "sum"],
    "rule": ["nonsense", "nearest"],
    "refiner": ["nonsense"],
    "url": [5, ["http://x"]],
    "image": [5, "no base64!", ["x"]],
    **{name: ["x", 1] for name in FORBIDDEN},
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_every_wrong_value_is_refused_and_its_field_named(app, name):
    for value in BAD[name]:
        body = refusal(post(app, IMAGE | {name: value}), 422)
        assert name.replace("_", "") in (body.get("field", "") + body["message"]).replace("_", "").replace("-", ""), body
    assert app.pool.tasks == []


def test_every_option_of_the_command_is_a_field_but_those_that_name_files(app):
    fields = set(app.service.options.model_fields)
    assert set(all_options()) - fields == {"weights", "mask_weights"}
    document = app.ask("GET", "/openapi.json").json()
    content = document["paths"]["/v1/remove"]["post"]["requestBody"]["content"]
    assert fields <= set(content["multipart/form-data"]["schema"]["properties"])
    assert fields <= set(content["application/json"]["schema"]["properties"])


def test_methods_that_are_not_offered_are_unknown():
    app = App()
    assert "method" in refusal(post(app, IMAGE | {"method": "stuff"}), 422)["field"]
    names = [row["method"] for row in app.ask("GET", "/v1/methods").json()]
    assert names == ["subject"]
    assert refusal(app.ask("GET", "/v1/labels"), 404)["code"] == "not_found"
    assert refusal(app.ask("GET", "/v1/labels?method=stuff"), 422)["field"] == "method"


def test_labels_and_methods(app):
    rows = app.ask("GET", "/v1/labels").json()
    assert len(rows) == 150 and rows[2] == {"index": 2, "name": "sky", "stuff": True}
    assert len(app.ask("GET", "/v1/labels?method=instance").json()) == 133
    assert refusal(app.ask("GET", "/v1/labels?method=subject"), 422)["code"] == "mismatch"
    offered = app.ask("GET", "/v1/methods").json()
    assert [row["method"] for row in offered] == list(METHODS) and all(row["license"] for row in offered)


def test_requests_with_no_picture_or_too_many(app):
    assert "none" in refusal(post(app, {}), 422)["message"]
    assert "2" in refusal(app.ask("POST", "/v1/remove", files=[("image", PHOTO), ("image", PHOTO)]), 422)["message"]
    assert refusal(post(app, IMAGE | {"url": "http://example.com"}), 422)["field"] == "url"
    assert refusal(app.ask("POST", "/v1/remove", files={"picture": PHOTO}), 422)["field"] == "image"
    assert refusal(app.ask("POST", "/v1/remove", content=b""), 422)["field"] == "image"


def test_addresses_are_off_unless_the_server_allows_them(app):
    for url in ("http://127.0.0.1:1/", "http://example.com/", "file:///etc/passwd"):
        assert refusal(post(app, {"url": url}), 403)["code"] == "url_not_allowed"


BODIES = {
    "no json": ("application/json", b"{"),
    "list": ("application/json", b"[]"),
    "nan": ("application/json", b'{"min_part": NaN}'),
    "deep": ("application/json", b"[" * 100_000),
    "bytes": ("application/json", b"\xff\xfe"),
    "no boundary": ("multipart/form-data", b"--x\r\n"),
    "empty boundary": ("multipart/form-data; boundary=", b"--\r\n"),
    "long boundary": (f"multipart/form-data; boundary={'x' * 5000}", b"--" + b"x" * 5000),
    "cut": ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nabc'),
    "no name": ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\nabc\r\n--x--\r\n"),
    "no disposition": ("multipart/form-data; boundary=x", b"--x\r\nContent-Type: text/plain\r\n\r\nabc\r\n--x--\r\n"),
    "bad header": ("multipart/form-data; boundary=x", b"--x\r\n\x00\x01: \x02\r\n\r\nabc\r\n--x--\r\n"),
    "long header": ("multipart/form-data; boundary=x", b"--x\r\nA: " + b"b" * 1_000_000 + b"\r\n\r\nabc\r\n--x--\r\n"),
    "many headers": ("multipart/form-data; boundary=x", b"--x\r\n" + b"A: b\r\n" * 100_000 + b"\r\nabc\r\n--x--\r\n"),
    "many fields": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n' * 5_000 + b"--x--\r\n",
    ),
    "many files": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nb\r\n' * 5_000 + b"--x--\r\n",
    ),
    "preamble": ("multipart/form-data; boundary=x", b"\r\n" * 100_000 + b"--x--\r\n"),
    "charset": (
        "multipart/form-data; boundary=x; charset=nonsense",
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--x--\r\n',
    ),
    "many pairs": ("application/x-www-form-urlencoded", b"a=b&" * 100_000),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_are_unsound(app, name):
    kind, data = BODIES[name]
    for path in ("/v1/remove", "/v1.0/removebg", "/api/remove"):
        answer = app.ask("POST", path, content=data, headers={"Content-Type": kind})
        assert 400 <= answer.status_code < 500, answer.text
    assert app.pool.tasks == [] and app.service.budget.held == 0


def test_the_limit_of_bytes_holds_with_and_without_a_stated_length():
    app = App(max_body=1000)

    async def chunks():
        for _ in range(100):
            yield bytes(100)

    headers = {"Content-Type": "image/png"}
    for content in (bytes(1001), chunks()):
        assert refusal(app.ask("POST", "/v1/remove", content=content, headers=headers), 413)["code"] == "too_large"
    assert app.ask("POST", "/v1/remove", content=bytes(1000), headers=headers).status_code == 200
    assert app.service.budget.held == 0
    small = App(buffered=1000)
    assert refusal(small.ask("POST", "/v1/remove", content=bytes(1001), headers=headers), 503)["code"] == "busy"


def test_a_full_queue_is_told_before_the_body_is_read(app):
    async def never():
        raise AssertionError("the body was read")
        yield b""

    app.pool.full = True
    for path in ("/v1/remove", "/api/remove"):
        answer = app.ask("POST", path, content=never())
        assert (refusal(answer, 429)["code"], answer.headers["retry-after"]) == ("too_many_requests", "7")
    other = app.ask("POST", "/v1.0/removebg", content=never())
    assert (other.status_code, other.json()["errors"][0]["code"]) == (429, "rate_limit_exceeded")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (WorkerFailed("it died"), 503, "resource_limit"),
        (Refused("timeout", "too slow", retry_after=5), 503, "timeout"),
        (WeightsError("no file /secret/place"), 503, "model_missing"),
        (UsageError("that does not go together"), 422, "usage"),
        (RuntimeError("/secret/place"), 500, "internal"),
    ],
)
def test_errors_of_workers(error, status, code):
    app = App(error)
    answer = post(app, IMAGE)
    assert refusal(answer, status)["code"] == code
    assert "secret" not in answer.text
    assert ("retry-after" in answer.headers) == (code in ("timeout", "resource_limit"))


PATHS = [
    *("/", "/docs", "/openapi.json", "/style.css", "/healthz", "/readyz", "/metrics"),
    *("/v1/methods", "/v1.0/account", "/missing", "/api/remove"),
]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_the_headers_of_safety(app, path):
    for method in ("GET", "POST"):
        answer = app.ask(method, path)
        assert answer.headers["content-security-policy"].startswith("default-src 'self';")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_load_nothing_from_elsewhere(app, path):
    page = app.ask("GET", path).text
    links = re.findall(r'(?:src|href|action)="([^"]*)"', page)
    assert links and all(link.startswith("/") and not link.startswith("//") for link in links)
    assert "<script>" not in page and "http://" not in page and "style=" not in page
    if path == "/docs":
        assert all(name in page for name in ("/v1/remove", "/api/remove", "/v1.0/removebg", "keep_largest"))


def test_other_paths_and_methods(app):
    assert refusal(app.ask("GET", "/v1/nothing"), 404)["code"] == "not_found"
    assert refusal(app.ask("GET", "/v1/remove"), 405)["code"] == "method_not_allowed"
    assert app.ask("GET", "/v1.0/nothing").json()["errors"][0]["code"] == "not_found"


def test_a_server_that_stops_is_not_ready_and_takes_nothing(app):
    app.service.stopping = True
    assert app.ask("GET", "/readyz").status_code == 503 and app.ask("GET", "/healthz").status_code == 200
    answer = post(app, IMAGE)
    assert refusal(answer, 503)["code"] == "busy" and answer.headers["connection"] == "close"


def test_metrics(app):
    post(app, IMAGE)
    post(app, IMAGE | {"quality": "x"})
    text = app.ask("GET", "/metrics").text
    assert 'figureground_requests_total{method="POST",route="/v1/remove",status="200"} 1.0' in text
    assert 'figureground_refusals_total{code="usage"} 1.0' in text
    assert "figureground_workers_ready 1.0" in text
    assert float(re.search(r'figureground_memory_bytes\{process="front"\} (\S+)', text)[1]) > 1e6


def test_accept_headers():
    offers = ["image/png", "image/webp", "application/json"]
    assert accepted("", offers) == accepted("*/*", offers) == accepted("image/*;q=0.5", offers) == "image/png"
    assert accepted("application/json;q=0.9, image/webp;q=0.8", offers) == "application/json"
    assert accepted("image/png;q=0, image/*", offers) == "image/webp"
    assert accepted("text/html", offers) is None
    assert accepted("image/webp;q=nonsense, application/json", offers) == "application/json"


def test_settings_of_the_server():
    plain = Settings(cache=Path("unused"))
    local, open_to_all = server_settings(plain, True, {}), server_settings(plain, False, {})
    assert (local.urls, local.max_pixels, local.max_bytes) == ("none", MAX_PIXELS, plain.max_bytes)
    assert open_to_all.max_bytes == MAX_BYTES
    said = server_settings(plain, False, {"FIGUREGROUND_URLS": "any", "FIGUREGROUND_MAX_BYTES": "5"})
    assert (said.urls, said.max_bytes) == ("any", plain.max_bytes)
    assert all(map(is_loopback, ["127.0.0.1", "localhost", "::1", "[::1]", "127.9.9.9"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.1", "example.com"]))  # noqa: S104  # nothing is bound
    for methods in (("nonsense",), (), ("points",), ("my.onnx",), ("subject+stuff",)):
        with pytest.raises(UsageError):
            ServerConfig(plain, methods=methods).validate()


def test_every_code_of_an_error_has_a_status():
    assert all(400 <= status < 600 for status in STATUS.values())
    assert refused(ValueError("x")).code == "internal"
    assert {"about", "pages", "rembg", "remove", "removebg"} <= set(route_names())


def test_the_openapi_document_is_sound(app):
    document = app.ask("GET", "/openapi.json").json()
    assert {"/v1/remove", "/v1/methods", "/v1/labels", "/v1.0/removebg", "/v1.0/account", "/api/remove"} <= set(
        document["paths"]
    )
    assert "weights" not in json.dumps(document["paths"]["/v1/remove"])
