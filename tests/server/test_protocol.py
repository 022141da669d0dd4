"""Clients that send or read slowly, or nonsense, over true sockets."""

import socket
import threading
import time
from contextlib import ExitStack

import httpx
import pytest

from figureground.server.worker import ServerResult
from http_server import listening

SLOW = {"header_seconds": 0.6, "body_seconds": 0.6, "idle_seconds": 1.0, "write_seconds": 0.6}
HEAD = b"POST /v1/remove HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\n"


@pytest.fixture(scope="module")
def port():
    with listening(ServerResult({"warnings": []}, {"cutout": bytes(20_000_000)}, {}), **SLOW) as (number, _):
        yield number


def received(sock):
    """All that comes until the other side closes."""
    parts = []
    try:
        while part := sock.recv(1 << 16):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


def drip(sock, data, pause=0.05):
    """Send a byte at a time until the other side has enough; returns after how many seconds."""
    began = time.monotonic()
    try:
        for at in range(len(data)):
            sock.sendall(data[at : at + 1])
            time.sleep(pause)
    except OSError:
        pass
    return time.monotonic() - began


def test_headers_that_drip_end_with_the_connection(port):
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        assert drip(sock, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 500) < 5
        assert received(sock) == b""


def test_a_connection_that_says_nothing_is_closed(port):
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        began = time.monotonic()
        assert received(sock) == b"" and time.monotonic() - began < 5


def test_a_body_that_drips_is_told_so(port):
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        sock.sendall(HEAD)
        thread = threading.Thread(target=drip, args=(sock, bytes(200)))
        thread.start()
        answer = received(sock)
        thread.join()
    assert answer.startswith(b"HTTP/1.1 408") and b"request_timeout" in answer


def test_a_refused_request_is_not_read_for_longer_than_the_others(port):
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        sock.sendall(HEAD.replace(b"/v1/remove", b"/nothing"))
        began = time.monotonic()
        drip(sock, bytes(400))
        assert time.monotonic() - began < 10
        assert received(sock).startswith((b"HTTP/1.1 404", b""))


def test_an_idle_connection_is_closed_and_a_used_one_is_not(port):
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        for _ in range(4):
            sock.sendall(request)
            answer = b""
            while not answer.endswith(b'{"status":"ok"}'):
                answer += sock.recv(4096)
            time.sleep(0.4)
        began = time.monotonic()
        assert b"HTTP" not in received(sock) and time.monotonic() - began < 5


def test_a_client_that_does_not_read_its_answer_is_left(port):
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(20)
        sock.connect(("127.0.0.1", port))
        sock.sendall(HEAD.replace(b"1000", b"3") + b"abc")
        time.sleep(1.5)
        assert len(received(sock)) < 19_000_000


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET  /healthz\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /v1/remove HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/remove HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST /v1/remove HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: nonsense\r\n\r\n",
        b"POST /v1/remove HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    ],
    ids=range(11),
)
def test_requests_that_are_no_http(port, request_bytes):
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        try:
            sock.sendall(request_bytes)
        except ConnectionError:
            return
        assert received(sock)[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 501", b"HTTP/1.1 403", b"HTTP/1.1 505")


def test_many_slow_sockets_do_not_disturb_an_honest_client():
    with listening(header_seconds=20, body_seconds=20) as (port, _), ExitStack() as stack:
        for number in range(150):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), 20))
            sock.sendall(b"GET / HTTP/1.1\r\nX: " if number % 2 else HEAD + b"ab")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            seconds = []
            for _ in range(20):
                began = time.monotonic()
                answer = client.post("/v1/remove", content=b"picture", headers={"Content-Type": "image/png"})
                seconds.append(time.monotonic() - began)
                assert answer.status_code == 200
        assert sorted(seconds)[10] < 0.5


def test_pipelined_requests_are_answered_in_turn(port):
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
        sock.shutdown(socket.SHUT_WR)
        assert received(sock).count(b"HTTP/1.1 200") == 3
