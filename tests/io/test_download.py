import gzip
import http.server
import os
import socket
import ssl
import struct
import threading
import time
import zlib
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from figureground.errors import DownloadFailed, FigureGroundError, PictureTooLarge, RefusedAddress
from figureground.io import download
from figureground.io.download import fetch, parse, shown
from figureground.settings import Settings

BODY = bytes(range(256)) * 500
LIMITS = Settings(cache=Path("unused"), timeout=5.0, max_bytes=200_000)
HURRY = Settings(cache=Path("unused"), timeout=0.4, max_bytes=200_000)
PRIVATE = "?token=hunter2#hunter3"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr("figureground.io.retry.PAUSES", (0.01, 0.02))


def head(status=200, **fields):
    lines = [f"HTTP/1.1 {status} X", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def sized(body, **fields):
    return head(Content_Length=len(body), **fields) + body


def chunked(body, size=1000):
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return head(Transfer_Encoding="chunked") + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"


ANSWERS = {
    "ok": sized(BODY),
    "close": head(Connection="close") + BODY,
    "chunked": chunked(BODY),
    "gzip": sized(gzip.compress(BODY), Content_Encoding="gzip"),
    "deflate": sized(zlib.compress(BODY), Content_Encoding="deflate"),
    "identity": sized(BODY, Content_Encoding="identity"),
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + sized(BODY),
    "empty": sized(b""),
    "short": head(Content_Length=len(BODY) + 1) + BODY,
    "cut_chunks": chunked(BODY)[:-3000],
    "cut_gzip": sized(gzip.compress(BODY)[:-9], Content_Encoding="gzip"),
    "more_gzip": sized(gzip.compress(BODY) + b"more", Content_Encoding="gzip"),
    "no_gzip": sized(BODY, Content_Encoding="gzip"),
    "brotli": sized(BODY, Content_Encoding="br"),
    "twice": sized(BODY, Content_Encoding="gzip, gzip"),
    "negative": head(Content_Length=-1) + BODY,
    "letters": head(Content_Length="many") + BODY,
    "two_lengths": b"HTTP/1.1 200 X\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\n" + BODY,
    "big_header": b"HTTP/1.1 200 X\r\nX: " + b"a" * 100_000 + b"\r\n\r\n" + BODY,
    "many_headers": b"HTTP/1.1 200 X\r\n" + b"X: y\r\n" * 200 + b"\r\n" + BODY,
    "garbage": b"\x00\x01\x02" * 100,
    "nothing": b"",
    "big": sized(bytes(200_001)),
    "big_chunks": chunked(bytes(300_000)),
    "big_close": head(Connection="close") + bytes(300_000),
    "bomb": sized(gzip.compress(bytes(50_000_000)), Content_Encoding="gzip"),
    "limit": sized(bytes(200_000)),
    "no_location": head(302, Content_Length=0),
    "loop": head(302, Location="/loop", Content_Length=0),
    "relative": head(301, Location="ok?x=1", Content_Length=0),
    "to_file": head(302, Location="file:///etc/passwd", Content_Length=0),
    "to_user": head(302, Location="http://user:hunter2@127.0.0.1/", Content_Length=0),
    "to_nonsense": head(302, Location="http://[::1", Content_Length=0),
    **{f"hops{n}": head(307, Location=f"/hops{n - 1}" if n else "/ok", Content_Length=0) for n in range(8)},
    **{str(status): head(status, Content_Length=0) for status in (204, 304, 401, 403, 404, 429, 500, 503)},
}


def drip(connection, size, pause):
    whole = sized(BODY)
    for at in range(0, len(whole), size):
        connection.sendall(whole[at : at + size])
        time.sleep(pause)


def answer(connection, requests):
    """Answers one request as its path and ANSWERS say."""
    request = connection.recv(4096)
    while request.startswith(b"GET") and b"\r\n\r\n" not in request:
        request += connection.recv(4096)
    requests.append(request)
    path = request.split()[1].decode().lstrip("/").partition("?")[0] if request.startswith(b"GET") else "garbage"
    if path == "slow":
        drip(connection, 1, 0.02)
    elif path == "trickle":
        drip(connection, 8000, 0.01)
    elif path == "hang":
        time.sleep(2)
    else:
        connection.sendall(sized(BODY)[:300] if path == "reset" else ANSWERS.get(path, head(404, Content_Length=0)))
    if path == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.fixture(scope="module")
def server():
    """A server that answers byte for byte; gives its address and the requests it got."""
    listener = socket.create_server(("127.0.0.1", 0))
    requests = []

    def attend(connection):
        with connection, suppress(OSError):  # the client leaves early, as it should
            answer(connection, requests)

    def serve():
        with suppress(OSError):
            while True:
                threading.Thread(target=attend, args=listener.accept()[:1], daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", requests
    listener.close()


def refused(url, limits=LIMITS):
    with pytest.raises(FigureGroundError) as caught:
        fetch(url, limits)
    assert "hunter" not in f"{caught.value} {caught.value.picture}"
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "path", ["ok", "close", "chunked", "gzip", "deflate", "identity", "continue", "trickle", "relative", "hops0", "hops4"]
)
def test_bodies_come_byte_for_byte(server, path):
    assert fetch(f"{server[0]}/{path}{PRIVATE}", LIMITS) == BODY


def test_the_limit_itself_is_allowed(server):
    assert fetch(f"{server[0]}/limit", LIMITS) == bytes(200_000)


def test_nothing_at_all_is_no_fault_of_the_transfer(server):
    assert fetch(f"{server[0]}/empty", LIMITS) == b""


def test_what_is_sent(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    fetch(f"{server[0]}/ok?q=a%20b&u=ü#part", LIMITS)
    request = server[1][-1].decode()
    assert request.startswith("GET /ok?q=a%20b&u=%C3%BC HTTP/1.1\r\n")
    assert f"Host: {server[0].removeprefix('http://')}\r\n" in request
    assert not any(word in request for word in ("Cookie", "Authorization", "Referer", "#part"))


WRONG_BODY = "short cut_chunks cut_gzip more_gzip no_gzip brotli twice negative letters two_lengths reset"
WRONG_HEAD = "big_header many_headers garbage nothing no_location loop hops7 204 304 401 403 404 429 500 503"


@pytest.mark.parametrize("path", [*WRONG_BODY.split(), *WRONG_HEAD.split()])
def test_answers_that_are_no_picture(server, path):
    error = refused(f"{server[0]}/{path}{PRIVATE}")
    assert isinstance(error, DownloadFailed)
    assert error.code == "upstream_error"
    assert f"/{path}" in str(error)


@pytest.mark.parametrize("path", ["big", "big_chunks", "big_close", "bomb"])
def test_bodies_that_are_too_large(server, path):
    error = refused(f"{server[0]}/{path}{PRIVATE}")
    assert isinstance(error, PictureTooLarge)
    assert error.code == "too_large"


@pytest.mark.parametrize("path", ["slow", "hang"])
def test_the_time_limit_holds_in_all(server, path):
    began = time.monotonic()
    assert refused(f"{server[0]}/{path}{PRIVATE}", HURRY).code == "upstream_timeout"
    assert time.monotonic() - began < 1.5


@pytest.mark.parametrize("path", ["to_file", "to_user", "to_nonsense"])
def test_every_hop_is_looked_at(server, path):
    assert isinstance(refused(f"{server[0]}/{path}"), RefusedAddress | DownloadFailed)


def test_redirects_have_a_limit(server):
    assert fetch(f"{server[0]}/hops1", Settings(cache=Path("unused"), max_redirects=2)) == BODY
    assert "more than 1 times" in str(refused(f"{server[0]}/hops1", Settings(cache=Path("unused"), max_redirects=1)))
    assert "more than 0 times" in str(refused(f"{server[0]}/hops0", Settings(cache=Path("unused"), max_redirects=0)))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/a.png",
        "file:///etc/passwd",
        "gopher://x/",
        "http://",
        "http:///path",
        "http://user:hunter2@example.com/a.png",
        "http://user@example.com/",
        "http://example.com:port/",
        "http://example.com:99999/",
        "http://[::1/",
        "http://exa mple.com/",
        "http://example.com\\@evil.com/",
        "http://example.com/a\r\nHost: evil",
        "http://ex%61mple.com/",
        "http://" + "a" * 70 + ".com/",
        "http://a..b/",
    ],
)
def test_addresses_that_are_refused(url):
    error = refused(url)
    assert isinstance(error, RefusedAddress)
    assert error.code == "url_not_allowed"


def test_what_messages_show():
    assert shown("https://user:pass@example.com:8443/a/b.png?key=1#x") == "https://example.com:8443/a/b.png"
    assert shown("http://[::1") == "the address"
    assert len(shown("http://example.com/" + "a" * 500)) == 200
    assert "\x1b" not in shown("http://example.com/\x1b[31m")


def test_addresses_taken_apart():
    plain = parse("http://Example.com")
    assert (plain.host, plain.port, plain.path, plain.host_header) == ("example.com", 80, "/", "example.com")
    six = parse("https://[::1]:8443/ü x?a=[1]&b=ü")
    assert (six.host, six.port, six.path) == ("::1", 8443, "/%C3%BC%20x?a=[1]&b=%C3%BC")
    assert six.host_header == "[::1]:8443"
    assert parse("https://bücher.example/%41").host == "xn--bcher-kva.example"
    assert parse("https://bücher.example/%41").path == "/%41"


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert "refused" in str(refused(f"http://127.0.0.1:{port}/a.png{PRIVATE}")).lower()


def test_a_host_that_is_not_known(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "host is not known" in str(refused("http://nowhere.invalid/a.png"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    assert "no address" in str(refused("http://nowhere.invalid/a.png"))


def test_a_resolver_that_does_not_answer(monkeypatch):
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait(20) and [])
    began = time.monotonic()
    try:
        assert refused("http://slow.invalid/a.png", HURRY).code == "upstream_timeout"
    finally:
        ended.set()
    assert time.monotonic() - began < 10


def test_no_time_at_all(server):
    assert refused(f"{server[0]}/ok", Settings(cache=Path("unused"), timeout=0)).code == "upstream_timeout"


def test_a_connection_that_is_not_taken_up_in_time(monkeypatch):
    def connect(self, address):
        raise TimeoutError

    monkeypatch.setattr(download.socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", 1))])
    monkeypatch.setattr(socket.socket, "connect", connect)
    assert refused("http://example.com/").code == "upstream_timeout"


def test_the_next_address_is_tried(server, monkeypatch):
    port = int(server[0].rpartition(":")[2])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        dead = taken.getsockname()[1]
    rows = [(2, 1, 6, "", ("127.0.0.1", number)) for number in (dead, port)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
    assert fetch("http://two.example/ok", LIMITS) == BODY


def test_https_is_secured(server):
    error = refused(server[0].replace("http:", "https:") + f"/ok{PRIVATE}")  # it answers without TLS
    assert error.code == "upstream_error"


def test_a_certificate_that_is_not_trusted():
    fault = ssl.SSLCertVerificationError(1, "certificate verify failed")
    fault.verify_message = "self-signed certificate"
    assert "self-signed certificate" in download._reason(fault)


def test_an_ordinary_server(tmp_path):
    (tmp_path / "a b.png").write_bytes(BODY)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    def handler(*args):
        return Quiet(*args, directory=os.fspath(tmp_path))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        try:
            assert fetch(f"http://127.0.0.1:{running.server_port}/a b.png", LIMITS) == BODY
        finally:
            running.shutdown()


class Moody(BaseHTTPRequestHandler):
    """Fails as often as the path says, in the way that it says, then gives the body: /503/2, /reset/1."""

    asked: ClassVar[list[str]] = []

    def do_GET(self):
        kind, times = self.path.strip("/").split("/")
        self.asked.append(self.path)
        if self.asked.count(self.path) > int(times):
            self.send_response(200)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY)
        elif kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            self.send_response(int(kind))
            self.send_header("Retry-After", "0")
            self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def moody(monkeypatch):
    monkeypatch.setattr(Moody, "asked", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Moody)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("kind", ["429", "502", "503", "504", "reset"])
def test_what_may_pass_is_tried_again_twice_at_most(moody, kind):
    assert fetch(f"{moody}/{kind}/2", Settings()) == BODY
    with pytest.raises(DownloadFailed):
        fetch(f"{moody}/{kind}/3", Settings())
    assert Moody.asked == [f"/{kind}/2"] * 3 + [f"/{kind}/3"] * 3


@pytest.mark.parametrize("kind", ["400", "404", "500"])
def test_what_will_not_pass_is_asked_once(moody, kind):
    with pytest.raises(DownloadFailed, match=f"answers {kind}"):
        fetch(f"{moody}/{kind}/1", Settings())
    assert len(Moody.asked) == 1


def test_no_try_begins_after_the_time_that_a_download_may_take(moody, monkeypatch):
    monkeypatch.setattr("figureground.io.retry.PAUSES", (60.0,))
    with pytest.raises(DownloadFailed, match="503"):
        fetch(f"{moody}/503/1", Settings(timeout=5))
    assert len(Moody.asked) == 1
