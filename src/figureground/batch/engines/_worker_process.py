"""A worker in a process of its own, which can be timed, bounded in memory, killed and replaced."""

import ctypes
import multiprocessing
import os
import signal
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from figureground.batch.engines import WorkerConfig
from figureground.batch.ledger import Outcome, Task
from figureground.errors import FigureGroundError

TRIES = 3
"""How many workers a picture may kill before it is given up."""

Ready = tuple[str, str, int] | None
"""What a worker sends first: nothing where it is ready, else code, message and exit code of what it lacks."""


class WorkerProcess:
    """One worker process and what it has in hand."""

    def __init__(self, config: WorkerConfig) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, config), daemon=True, name="figureground-worker")
        self.process.start()
        theirs.close()
        self.config = config
        self.loading = True
        self.task: Task | None = None
        self.began = 0.0

    def submit(self, task: Task) -> None:
        """Hand it a task."""
        self.task, self.began = task, time.monotonic()
        with suppress(BrokenPipeError, ConnectionResetError):  # it has died: whoever listens will hear of it
            self.connection.send(task)

    def time_left(self) -> float:
        """Seconds until the picture in hand has taken too long."""
        if self.task is None or not self.config.seconds:
            return float("inf")
        return self.began + self.config.seconds - time.monotonic()

    def receive(self) -> Outcome | None:
        """The outcome that it sent, or None where it said that it is ready.

        Raises EOFError where it has died, and FigureGroundError where it cannot begin.
        """
        try:
            message: Outcome | Ready = self.connection.recv()
        except (ConnectionResetError, OSError) as error:
            raise EOFError from error
        if isinstance(message, Outcome):
            self.task = None
            return message
        if message is not None:
            fault = FigureGroundError(message[1], code=message[0])
            fault.exit_code = message[2]
            raise fault
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


def _serve(connection: Connection, config: WorkerConfig) -> None:
    """What the process does: task in, outcome out, until the other side is gone."""
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.SIG_IGN)  # who started us decides when we end
    _end_with_parent()
    try:
        worker = _create_worker(config)
        connection.send(None)
        limit = _limit(config.memory)
        while True:
            task: Task = connection.recv()
            with limit:
                outcome = worker(task)
            connection.send(outcome)
    except FigureGroundError as error:
        connection.send((error.code, str(error), error.exit_code))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass


def _create_worker(config: WorkerConfig) -> Any:
    import cv2
    import numpy as np

    from figureground.batch.engines._worker import Worker

    cv2.setNumThreads(config.spec.settings.threads)
    worker = Worker(config)
    if config.memory:
        with suppress(FigureGroundError):  # what the first picture makes it hold for good is none of that picture's
            worker.separate(np.zeros((64, 64, 3), np.uint8))
    return worker


def _end_with_parent() -> None:
    """On Linux the system kills us when the process that started us dies; elsewhere the end of the pipe tells."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)


class _limit:  # noqa: N801  # reads as what it does
    """While within, no more memory than so many megabytes above what is held now; 0: no bound. Linux counts it."""

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
    """Bytes of data that this process has, as RLIMIT_DATA counts them."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData"))
