"""A whole server: signals, dying workers, overload, limits of what a start allows."""

import os
import signal
import socket
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from commandline import command
from http_server import Clients, serving
from photographs import FOLDER

PHOTO = (FOLDER / "coffee.jpg").read_bytes()
FAST = {"quality": "fast", "view": "mask"}


def post(address, **options):
    return httpx.post(f"{address}/v1/remove", files={"image": PHOTO}, params=FAST, timeout=60, **options)


@pytest.fixture(scope="module")
def server():
    """A server with one worker and one place to wait; the last test stops it."""
    with serving("--queue", "1", "--picture-seconds", "3") as running:
        yield running


def figure(server, name):
    text = httpx.get(f"{server.address}/metrics", timeout=60).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def test_a_dead_worker_fails_its_own_request_and_is_replaced(server):
    (first,) = server.workers()
    with ThreadPoolExecutor(1) as pool:
        os.kill(first, signal.SIGSTOP)
        asked = pool.submit(post, server.address)
        server.wait_until(lambda: figure(server, "figureground_working") == 1)
        os.kill(first, signal.SIGKILL)
        answer = asked.result()
    assert (answer.status_code, answer.json()["code"]) == (503, "resource_limit")
    assert answer.headers["retry-after"]
    server.wait_until(server.is_ready)
    assert post(server.address).status_code == 200
    assert figure(server, "figureground_worker_deaths") == 1


def test_a_picture_that_takes_too_long_ends_with_its_worker(server):
    (worker,) = server.workers()
    os.kill(worker, signal.SIGSTOP)
    answer = post(server.address)
    assert (answer.status_code, answer.json()["code"]) == (503, "timeout")
    server.wait_until(server.is_ready)
    assert server.workers() != [worker]


def test_overload_is_refused_at_once_and_the_rest_is_done(server):
    clients = Clients(server.address, PHOTO, FAST, 6)
    server.wait_until(lambda: sum(outcome == 200 for outcome, _ in clients.outcomes) >= 3)
    outcomes = clients.end()
    assert {200, 429} <= set(outcomes) <= {200, 429, 503}  # 503: it waited for longer than three seconds
    refusals = sorted(seconds for outcome, seconds in clients.outcomes if outcome == 429)
    assert refusals[len(refusals) // 2] < 1
    assert figure(server, 'figureground_refusals_total{code="too_many_requests"}') == len(refusals)


def test_sigterm_loses_no_accepted_request(server):
    clients = Clients(server.address, PHOTO, FAST, 3)
    server.wait_until(lambda: any(outcome == 200 for outcome, _ in clients.outcomes))
    assert server.stop() == 0
    seen = Counter(clients.end())
    server._reader.join(10)
    answered = clients.answered(server)
    assert seen["closed"] == 3 and answered[200] >= 1
    for outcome in {*answered, *seen} - {"closed", "ReadError"}:  # ReadError: in the backlog of a socket that was closed
        assert seen[outcome] == answered[outcome], (seen, answered)
    assert set(answered) <= {200, 429, 503}


def test_what_a_start_refuses(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for options, words in (
            (["--host", "0.0.0.0"], "--without-keys"),  # noqa: S104  # it is refused
            (["--port", port], "cannot be listened on"),
            (["--methods", "nonsense"], "nonsense"),
            (["--methods", "points"], "without a prompt"),
            (["--new-key"], "--keys FILE"),
            (["--keys", str(tmp_path / "missing"), "--port", "0"], "--new-key"),
        ):
            end = command("serve", *options)
            end.refused(2, words)


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "figureground.server.run", raising=False)
    end = command("serve", "--port", "0")
    end.refused(3, "figureground[server]")
