"""What the server promises under long load: `make stress`."""

import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import cv2
import httpx
import numpy as np
import pytest

from figureground.server.pool import resident
from http_server import Clients, serving
from photographs import FOLDER

PHOTO = (FOLDER / "coffee.jpg").read_bytes()
FAST = {"quality": "fast", "view": "mask"}


def throughput(outcomes, seconds):
    return sum(outcome == 200 for outcome, _ in outcomes) / seconds


def load(address, count, seconds, picture=PHOTO, fields=FAST, rate=None):
    clients = Clients(address, picture, fields, count, rate)
    time.sleep(seconds)
    clients.end()
    return clients.outcomes


def test_overload_of_twenty_times_what_can_be_done():
    """Pictures of two megapixels, 20 times as many as two workers can process; the clients run beside the server."""
    picture = cv2.imencode(".jpg", cv2.resize(cv2.imread(str(FOLDER / "coffee.jpg")), (1920, 1080)))[1].tobytes()
    with serving("--workers", "2", "--queue", "4") as server:
        load(server.address, 2, 5, picture, {})
        peak = throughput(load(server.address, 2, 30, picture, {}), 30)
        outcomes = load(server.address, 60, 60, picture, {}, rate=20 * peak)
    counts = Counter(outcome for outcome, _ in outcomes)
    goodput, late = throughput(outcomes, 60) / peak, np.quantile([each for outcome, each in outcomes if outcome != 200], 0.99)
    print(f"peak {peak:.1f}/s, {len(outcomes) / 60:.0f} requests a second, goodput {goodput:.1%}, p99 {late:.3f} s, {counts}")
    assert set(counts) <= {200, 429, 503}
    assert goodput >= 0.9
    assert late < 0.1


def test_two_workers_do_more_than_one_client_asks():
    with serving("--workers", "2") as server:
        load(server.address, 2, 5)
        one, two = (throughput(load(server.address, count, 15), 15) for count in (1, 2))
    print(f"{one:.2f}/s for one client, {two:.2f}/s for two")
    assert two >= 1.6 * one


def slow_socket(address, number):
    sock = socket.create_connection(address, 30)
    if number % 3 == 0:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
    elif number % 3 == 1:
        sock.sendall(b"POST /v1/remove HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" + bytes(10))
    return sock


def test_a_thousand_slow_sockets():
    with serving() as server, ExitStack() as stack:
        host, port = server.address.removeprefix("http://").split(":")
        idle = sorted(seconds for _, seconds in load(server.address, 1, 10))
        sockets = [stack.enter_context(slow_socket((host, int(port)), number)) for number in range(1000)]
        stop = threading.Event()

        def drip():
            while not stop.wait(1):
                for sock in sockets:
                    try:
                        sock.send(b"a")
                    except OSError:
                        continue

        thread = threading.Thread(target=drip)
        thread.start()
        outcomes = load(server.address, 1, 40)
        stop.set()
        thread.join()
        closed = 0
        for sock in sockets:
            sock.settimeout(0.01)
            try:
                closed += b"HTTP" in (data := sock.recv(4096)) or data == b""
            except ConnectionError:
                closed += 1
            except TimeoutError:
                pass
    busy = sorted(seconds for _, seconds in outcomes)
    print(f"p95 {np.quantile(idle, 0.95):.3f} s alone, {np.quantile(busy, 0.95):.3f} s beside 1 000 slow sockets")
    assert {outcome for outcome, _ in outcomes} == {200}
    assert np.quantile(busy, 0.95) < 2 * np.quantile(idle, 0.95)
    assert closed == 1000


def test_twenty_stops_lose_nothing():
    for _ in range(20):
        with serving("--queue", "3") as server:
            clients = Clients(server.address, PHOTO, FAST, 4)
            time.sleep(random.uniform(0.5, 1.5))
            assert server.stop() == 0
            seen = Counter(clients.end())
            server._reader.join(10)
        answered = clients.answered(server)
        for outcome in {*answered, *seen} - {"closed", "ReadError"}:
            assert seen[outcome] == answered[outcome], (seen, answered)
        assert set(answered) <= {200, 429, 503}


def test_a_worker_killed_every_five_seconds():
    with serving("--workers", "2", "--queue", "8") as server:
        clients = Clients(server.address, PHOTO, FAST, 4)
        kills = 0
        for _ in range(12):
            time.sleep(5)
            workers = server.workers()
            if workers:
                os.kill(random.choice(workers), signal.SIGKILL)
                kills += 1
        counts = Counter(clients.end())
        server.wait_until(server.is_ready)
    print(counts, kills)
    assert set(counts) <= {200, 429, 503}
    assert counts[503] <= 2 * kills and counts[200] > counts[503]


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is read from /proc")  # noqa: PTH110
def test_memory_stays_flat_over_five_thousand_requests():
    pictures = [PHOTO, (FOLDER / "astronaut.jpg").read_bytes(), PHOTO[:3000], b"nothing", b"", PHOTO + b"x"]
    held = []
    with serving("--workers", "2") as server, ThreadPoolExecutor(2) as pool:

        def ask(number):
            data = pictures[number % len(pictures)]
            path = ("/v1/remove", "/v1.0/removebg", "/api/remove")[number % 3]
            name = {"/v1/remove": "image", "/v1.0/removebg": "image_file", "/api/remove": "file"}[path]
            return httpx.post(f"{server.address}{path}", files={name: data}, timeout=60).status_code

        for part in range(10):
            statuses = Counter(pool.map(ask, range(500 * part, 500 * part + 500)))
            assert 500 not in statuses, statuses
            held.append(sum(resident(number) for number in [server.process.pid, *server.workers()]) / 1e6)
    slope = np.polyfit(np.arange(2, 10) * 0.5, held[2:], 1)[0]
    print(f"{slope:.2f} MB per 1 000 requests; {held}")
    assert slope < 1


def test_five_thousand_generated_calls(tmp_path):
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings

    limits = settings(
        max_examples=500, deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
    )
    with serving("--state", str(tmp_path)) as server:
        schema = schemathesis.openapi.from_url(f"{server.address}/openapi.json")
        calls = 0
        for found in schema.get_all_operations():
            operation = found.ok()

            @limits
            @given(case=operation.as_strategy())
            def check(case):
                nonlocal calls
                calls += 1
                assert case.call(base_url=server.address, timeout=60).status_code != 500

            check()
        assert calls >= 5000
        assert '"internal"' not in server.log
