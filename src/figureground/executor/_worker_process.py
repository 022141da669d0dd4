"""A worker in a process of its own, which can be timed, limited in memory, killed and replaced."""

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from figureground.errors import FigureGroundError
from figureground.executor import ExecutorConfig, Result, attempt, loaded

TRIES = 3
"""How many workers an item may end before it is given up."""


class WorkerProcess:
    """One worker process, and the item that it works on."""

    def __init__(self, function: Any, config: ExecutorConfig) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        arguments = (theirs, function, config)
        self.process = context.Process(target=_serve, args=arguments, daemon=True, name="figureground-worker")
        self.process.start()
        theirs.close()
        self.config = config
        self.loading = True
        self.item: tuple[int, Any] | None = None
        self.began = 0.0

    def submit(self, item: tuple[int, Any]) -> None:
        """Send it an item with its place."""
        self.item, self.began = item, time.monotonic()
        with suppress(BrokenPipeError, ConnectionResetError):  # it has died: `receive` will tell
            self.connection.send(item[1])

    def time_left(self) -> float:
        """Return the seconds until the item has taken too long."""
        if self.item is None or not self.config.seconds:
            return float("inf")
        return self.began + self.config.seconds - time.monotonic()

    def receive(self) -> Result[Any, Any] | None:
        """Return the result that it sent, or None where it is ready for the first item.

        Raises EOFError where it has died, and FigureGroundError where it cannot begin.
        """
        try:
            kind, value, error = self.connection.recv()
        except OSError as fault:  # ConnectionResetError too
            raise EOFError from fault
        if kind == "result":
            item = self.item[1] if self.item else None
            self.item = None
            return Result(item, value, error)
        if error is not None:
            raise error
        self.loading = False
        return None

    def end(self, patience: float = 0.0) -> str:
        """End it, at once or after so many seconds; returns how it ended, in words."""
        self.connection.close()
        self.process.join(patience)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        code = self.process.exitcode or 0
        self.process.close()
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _serve(connection: Connection, function: Any, config: ExecutorConfig) -> None:
    """Receive items and send results until the other side is gone."""
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.SIG_IGN)  # the process that started us decides when we end
    _end_with_parent()
    try:
        call = _load(function, config)
        connection.send(("ready", None, None))
        limit = _limit(config.memory)
        while True:
            item = connection.recv()
            with limit:
                result = attempt(call, item, config.threads)
            _send(connection, result)
    except FigureGroundError as error:
        connection.send(("fault", None, error))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass


def _load(function: Any, config: ExecutorConfig) -> Callable[[Any], Any]:
    import cv2

    cv2.setNumThreads(config.threads or -1)
    call = loaded(function)
    warm_up = getattr(call, "warm_up", None)
    if config.memory and warm_up:
        with suppress(FigureGroundError):  # memory that the first item makes it keep must not count as that item's
            warm_up()
    return call


def _send(connection: Connection, result: Result[Any, Any]) -> None:
    try:
        connection.send(("result", result.value, result.error))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        shown = result.error if result.error is not None else error
        connection.send(("result", None, RuntimeError(f"{type(shown).__name__}: {shown}")))


def _end_with_parent() -> None:
    """On Linux the system kills us when the process that started us dies; elsewhere the end of the pipe tells."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)


class _limit:  # noqa: N801  # reads as what it does
    """Within, no more memory than so many megabytes above what is held now; 0: no limit. Linux counts it."""

    def __init__(self, megabytes: int) -> None:
        self.megabytes = megabytes

    def __enter__(self) -> None:
        if self.megabytes:
            self._set(_held() + self.megabytes * 1_000_000)

    def __exit__(self, *_: object) -> None:
        if self.megabytes:
            self._set(-1)

    @staticmethod
    def _set(most: int) -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _held() -> int:
    """Return the bytes of data that this process has, as RLIMIT_DATA counts them."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData"))
