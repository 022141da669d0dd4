"""Running the server: uvicorn with our protocol, signals that let accepted work finish, and logs as JSON."""

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn

from figureground.errors import UsageError
from figureground.server.app import create_app
from figureground.server.config import ServerConfig
from figureground.server.protocol import MAX_HEADERS, protocol
from figureground.server.service import Service

FILES = 65_536
"""Open files that the server asks the system for: each connection is one."""
LINGER = 0.3
"""Seconds after the last accepted request in which late ones still get an answer."""


class JsonLines(logging.Formatter):
    """Every record as one JSON object on a line; messages that are objects already get the time and the level."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        text = record.getMessage()
        row: dict[str, Any] = {"time": _time(record.created), "level": record.levelname.lower()}
        row |= json.loads(text) if text.startswith("{") else {"event": "log", "logger": record.name, "message": text}
        if record.exc_info and record.exc_info[0]:
            row["error"] = record.exc_info[0].__name__
        return json.dumps(row, ensure_ascii=False)


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03}Z"


def set_up_logs() -> None:
    """Send what the server and uvicorn log to standard error, as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name, level in (("figureground", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers[:], logger.propagate = [handler], False
        logger.setLevel(level)


class Server(uvicorn.Server):
    """Uvicorn's server, which stops in the order: not ready, accepted work done, sockets closed."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service
        self.loop: asyncio.AbstractEventLoop
        self.stopper: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Remember the loop for signals."""
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Stop where the last page was closed long enough ago; otherwise as uvicorn."""
        service = self.service
        patience = service.config.page_seconds
        left = service.left if patience and not (service.stopping or service.active) else None
        if left is not None and time.monotonic() - left > patience:
            self.handle_exit(signal.SIGTERM, None)
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """At the first signal finish accepted work, at the second end at once."""
        if self.service.stopping or sig not in (signal.SIGTERM, signal.SIGINT):
            self.force_exit = True
            self.should_exit = True
            return
        self.service.stopping = True
        self.loop.call_soon_threadsafe(self._begin_to_stop)

    def _begin_to_stop(self) -> None:
        self.stopper = asyncio.ensure_future(self._finish())

    async def _finish(self) -> None:
        """Wait for accepted work, and for those who came a moment too late."""
        ends = time.monotonic() + self.service.config.stop_seconds
        await self.service.jobs.notify()  # streams of events end
        while self.service.active and time.monotonic() < ends and not self.force_exit:
            await asyncio.sleep(0.02)
        await asyncio.sleep(LINGER)
        self.should_exit = True


def listen(config: ServerConfig) -> socket.socket:
    """Return a socket that listens; raises UsageError."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        return socket.create_server((config.host.strip("[]"), config.port), family=family, backlog=2048)
    except OSError as error:
        hint = "choose another --port" if isinstance(error, OSError) else ""
        raise UsageError(f"{config.host}:{config.port} cannot be listened on: {error.strerror}; {hint}") from None


def serve(config: ServerConfig, ready: Callable[[str], None]) -> None:
    """Run the server until a signal ends it. ready : called with its address before it starts. Raises UsageError."""
    app, service = create_app(config)
    sock = listen(config)
    most = _raise_file_limit() - 100
    set_up_logs()
    settings = uvicorn.Config(
        app,
        http=protocol(config, most),
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=max(1, round(config.idle_seconds)),
        timeout_graceful_shutdown=max(1, round(config.stop_seconds)),
        h11_max_incomplete_event_size=MAX_HEADERS,
    )
    host = f"[{config.host}]" if ":" in config.host else config.host
    ready(f"http://{host}:{sock.getsockname()[1]}")
    try:
        Server(settings, service).run([sock])
    except KeyboardInterrupt:  # uvicorn raises the signal again after it has stopped
        pass
    finally:
        sock.close()


def _raise_file_limit() -> int:
    """Allow as many open files as the system lets us; returns how many."""
    if os.name != "posix":
        return 2048
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)
