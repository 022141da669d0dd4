"""A server as users start it, and an application without workers."""

import asyncio
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn

from figureground.server.app import create_app
from figureground.server.config import ServerConfig
from figureground.server.job_runner import JobRunner
from figureground.server.job_store import JobStore
from figureground.server.protocol import MAX_HEADERS, protocol
from figureground.server.worker import ServerResult
from figureground.settings import Settings


class Running:
    """The process of `figureground serve`, its address, and what it has logged."""

    def __init__(self, process):
        self.process, self.lines = process, []
        self.address = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    @property
    def log(self):
        return "\n".join(self.lines)

    def wait_until(self, condition, seconds=60):
        ends = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < ends and self.process.poll() is None, self.log
            time.sleep(0.02)
        return found

    def is_ready(self):
        try:
            return httpx.get(f"{self.address}/readyz", timeout=10).status_code == 200
        except httpx.TransportError:
            return False

    def workers(self):
        """The ids of the worker processes."""
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        numbers = [number for path in children for number in path.read_text().split()]
        return [int(number) for number in numbers if b"spawn_main" in Path(f"/proc/{number}/cmdline").read_bytes()]

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        return self.process.wait(60)


@contextmanager
def serving(*options, **environment):
    """Run `figureground serve` on a free port until the block ends."""
    command = [sys.executable, "-m", "figureground", "serve", "--port", "0", "--workers", "1", *options]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env={**os.environ, **environment}
    )
    running = Running(process)
    try:
        running.address = running.wait_until(lambda: (re.search(r"listens on (\S+)", running.log) or [None, ""])[1])
        running.wait_until(running.is_ready)
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        running._reader.join(10)
        process.stderr.close()


FACTS = {
    "found": True,
    "warnings": [],
    "foreground": dict.fromkeys(("top", "left", "width", "height"), 1),
    "width": 1,
    "height": 1,
}


class NoWorkers:
    """Stands for the pool: answers every task with what it is told, and keeps the tasks."""

    full, ready, working, deaths, waiting = False, 1, 0, 0, ()

    def __init__(self, answer=None):
        self.tasks, self.answer = [], answer

    def retry_after(self):
        return 7.0

    def memory(self):
        return [0]

    async def submit(self, task, kind):
        self.tasks.append(task)
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or ServerResult(FACTS, dict.fromkeys(task.spec.views, b"pixels"), {})


@contextmanager
def listening(answer=None, **options):
    """Run the application in front of `NoWorkers` in a thread; gives its port and the pool."""
    app = App(answer, **options)
    sock = socket.create_server(("127.0.0.1", 0), backlog=2048)
    settings = uvicorn.Config(
        app.guard,
        http=protocol(app.service.config, 4096),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=max(1, round(app.service.config.idle_seconds)),
        h11_max_incomplete_event_size=MAX_HEADERS,
    )
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, args=([sock],), daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield sock.getsockname()[1], app
    finally:
        server.should_exit = server.force_exit = True
        thread.join(20)
        sock.close()


class App:
    """The application in this process, in front of `NoWorkers`."""

    def __init__(self, answer=None, **options):
        options.setdefault("settings", Settings(cache=Path("unused"), urls="none"))
        self.guard, self.service = create_app(ServerConfig(**options))
        self.service.pool = self.pool = NoWorkers(answer)
        self.service.fetchers = ThreadPoolExecutor(1)

    def with_jobs(self, folder):
        """Have a store of jobs, on which nobody works."""
        self.service.jobs = JobRunner(self.service, JobStore(folder))
        return self

    def ask(self, method, path, base="http://127.0.0.1", **options):
        return self.ask_all([(method, path, options)], base)[0]

    def ask_all(self, requests, base="http://127.0.0.1"):
        async def run():
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.guard), base_url=base) as client:
                return [await client.request(method, path, **options) for method, path, options in requests]

        return asyncio.run(run())


class Clients:
    """Clients that ask one request after the other until they are told to stop; keeps every outcome.

    rate : the requests a second of all together; None: each asks again as soon as it was answered, 0.05 s after a refusal.
    """

    def __init__(self, address, picture, fields, count, rate=None):
        self.address, self.picture, self.fields = address, picture, fields
        self.gap = count / rate if rate else 0.0
        self.stop, self.outcomes = threading.Event(), []
        self.prefix = f"c{secrets.token_hex(4)}"
        self.pool = ThreadPoolExecutor(count)
        self.futures = [self.pool.submit(self.ask) for _ in range(count)]

    def ask(self):
        with httpx.Client(timeout=60, limits=httpx.Limits(max_keepalive_connections=0)) as client:
            while not self.stop.is_set():
                began, headers = time.monotonic(), {"X-Request-Id": f"{self.prefix}-{secrets.token_hex(4)}"}
                try:
                    answer = client.post(
                        f"{self.address}/v1/remove", files={"image": self.picture}, params=self.fields, headers=headers
                    )
                    outcome = answer.status_code
                except httpx.ConnectError:
                    outcome = "closed"
                except httpx.TransportError as error:
                    outcome = type(error).__name__
                self.outcomes.append((outcome, time.monotonic() - began))
                if outcome == "closed":
                    return
                if self.gap:
                    self.stop.wait(max(0.0, began + self.gap - time.monotonic()))
                elif outcome != 200:
                    self.stop.wait(0.05)

    def answered(self, server):
        """Count, by status, the answers to these clients that the server has logged."""
        rows = [json.loads(line) for line in server.lines if self.prefix in line]
        return Counter(row["status"] for row in rows if row["event"] == "request")

    def end(self):
        self.stop.set()
        for future in self.futures:
            future.result()
        self.pool.shutdown()
        self.futures.clear()
        return [outcome for outcome, _ in self.outcomes]
