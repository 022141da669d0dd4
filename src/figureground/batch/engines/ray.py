"""Actors of a Ray cluster: Ray Data hands them blocks of tasks, replaces those that are lost, and brings outcomes back.

With paths as rows the files are written where the actors run, so inputs and outputs must be reached from every machine: a
shared disk or object storage. With bytes as rows the driver reads and writes, and pictures and files travel.
"""

import logging
import os
import queue
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from figureground.batch.engines import Stop, WorkerConfig
from figureground.batch.engines._actor import Actor, AttemptTracker, Home, RowOutcome, row_outcomes, table
from figureground.batch.engines._worker import load_source, store_outcome
from figureground.batch.engines._worker_process import TRIES
from figureground.batch.ledger import Outcome, Task
from figureground.errors import BatchAborted, FigureGroundError, MissingExtra, UsageError
from figureground.io.storage import is_remote, place

TICK = 0.25  # seconds after which it is looked whether the run is to end
BLOCKS = 5000  # in one dataset
BYTES = 256_000_000  # of pictures in one dataset, or a block for each actor where these have more
AHEAD = 16  # blocks that wait until their outcomes are written down
PATIENCE = 5.0  # seconds to reach a cluster's port
STORE = {"paths": 128_000_000, "bytes": 768_000_000}  # bytes for the object store of a cluster of our own, by what rows are
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent home
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # no remarks of its core
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # none between our lines
    "RAY_ENABLE_AUTO_CONNECT": "0",  # a thread that comes late must not start another cluster
}
CLIENT = "ray://"
RowOutcomes = list[tuple[int, RowOutcome]]


def outcomes(config: WorkerConfig, tasks: Iterator[Task | None], stop: Stop) -> Iterator[Outcome]:
    """What became of each task, as soon as its block is done; blocks are a picture or few.

    Raises MissingExtra, UsageError and CannotGoOn where there is no such cluster, or where it loses its actors again and
    again; and what an actor says that it cannot go on with.
    """
    for name, value in ENVIRONMENT.items():  # read at its import
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtra("engine 'ray'", "ray") from error
    with _cluster(ray, config), _home(config) as home:
        tracker = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(AttemptTracker).remote()
        run = _RayRun(ray, config, tracker, home, stop)
        size = 1 + config.workers // 8
        while not stop.soft and (some := list(_next_tasks(config, tasks, size, stop))):
            yield from (each for each in some if isinstance(each, Outcome))
            yield from run.outcomes([each for each in some if isinstance(each, Task)], size)


def _next_tasks(config: WorkerConfig, tasks: Iterator[Task | None], size: int, stop: Stop) -> Iterator[Task | Outcome]:
    """The tasks of the next dataset; with bytes as rows the pictures that cannot be read are outcomes already."""
    held, least = 0, size * config.workers
    for count, task in enumerate(islice(tasks, BLOCKS * size), 1):
        if task is None:
            continue
        loaded = task if config.rows == "paths" else load_source(config, task)
        yield loaded
        held += len(loaded.picture.data) if isinstance(loaded, Task) and loaded.picture else 0
        if stop.soft or (held >= BYTES and count >= least):
            return


class _RayRun:
    """The datasets of one run, one after the other."""

    def __init__(self, ray: Any, config: WorkerConfig, tracker: Any, home: Home, stop: Stop) -> None:
        self.ray, self.config, self.tracker, self.home, self.stop = ray, config, tracker, home, stop
        self.place = place(config.out)

    def outcomes(self, tasks: list[Task], size: int) -> Iterator[Outcome]:
        """What became of each; where Ray Data gives a dataset up, what is left of it is another."""
        waiting = {task.number: task for task in tasks}
        fruitless = 0
        while waiting and not self.stop.soft:
            before, fault = len(waiting), "rows are missing"
            try:
                yield from self._run_dataset(waiting, size)
            except _DatasetFailed as error:
                fault = str(error)
            fruitless = fruitless + 1 if len(waiting) == before else 0
            if fruitless == TRIES:
                raise BatchAborted(f"Ray gives up ({fault}); its logs say more", code="resource_limit")

    def _run_dataset(self, waiting: dict[int, Task], size: int) -> Iterator[Outcome]:
        """One dataset; takes out of `left` what was heard of, so that nothing is heard of twice."""
        stream = self._stream(list(waiting.values()), size)
        closed = False
        try:
            while not self.stop.hard and (results := stream.next()) is not None:
                if self.stop.soft and not closed:
                    closed = bool(self.tracker.close.remote())
                if closed and not self.ray.get(self.tracker.in_hand.remote()):
                    return
                for number, result in results:
                    if isinstance(result, FigureGroundError):
                        raise result
                    if result is not None and (task := waiting.pop(number, None)) is not None:
                        self.tracker.finish.remote(number)
                        yield store_outcome(self.config, self.place, task, result) if result.contents else result
        finally:
            stream.end()

    def _stream(self, *rows: Any) -> Any:
        arguments = self.config, self.tracker, self.home, *rows
        return _RemoteStream(self.ray, arguments) if self.config.address.startswith(CLIENT) else _Stream(*arguments)


class _DatasetFailed(Exception):
    """Ray Data has given a dataset up."""


class _Stream:
    """A dataset's rows, drawn in a thread of its own, so that whoever waits for them can be stopped."""

    def __init__(self, config: WorkerConfig, tracker: Any, home: Home, tasks: list[Task], size: int) -> None:
        self._unwanted = threading.Event()
        self._results: queue.Queue[Any] = queue.Queue(AHEAD)
        arguments = config, tracker, home, tasks, size
        self._thread = threading.Thread(target=self._draw, args=arguments, daemon=True, name="figureground-ray")
        self._thread.start()

    def next(self) -> RowOutcomes | None:
        """What was said since, none where nothing within a moment, or None at the end. Raises _Broken."""
        try:
            results = self._results.get(timeout=TICK)
        except queue.Empty:
            return []
        if isinstance(results, Exception):
            raise _DatasetFailed(_line(results)) from results
        return results  # type: ignore[no-any-return]

    def end(self) -> None:
        """No more rows are wanted; Ray Data gets a moment to put its things away."""
        self._unwanted.set()
        self._thread.join(1.0)

    def _draw(self, *arguments: Any) -> None:
        try:
            # a block that is fetched ahead of need is one that waits for the next
            for rows in _dataset(*arguments).iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                self._put(list(row_outcomes(rows)))
                if self._unwanted.is_set():
                    return
            self._put(None)
        except Exception as error:  # goes to whoever waits
            self._put(error)

    def _put(self, result: Any) -> None:
        while not self._unwanted.is_set():
            with suppress(queue.Full):
                self._results.put(result, timeout=TICK)
                return


class _RemoteStream:
    """A stream that runs on the cluster: Ray Data cannot run behind Ray's client."""

    def __init__(self, ray: Any, arguments: tuple[Any, ...]) -> None:
        self._ray = ray
        self._stream = ray.remote(num_cpus=0)(_Stream).remote(*arguments)

    def next(self) -> RowOutcomes | None:
        """As `_Stream` has it."""
        try:
            return self._ray.get(self._stream.next.remote())  # type: ignore[no-any-return]
        except self._ray.exceptions.RayError as error:
            raise _DatasetFailed(_line(getattr(error, "cause", None) or error)) from error

    def end(self) -> None:
        """The dataset's actors go with it."""
        self._ray.kill(self._stream)


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _dataset(config: WorkerConfig, tracker: Any, home: Home, tasks: list[Task], size: int) -> Any:
    """The tasks in blocks, mapped by a pool of actors."""
    from ray import data

    pool = data.ActorPoolStrategy(
        min_size=config.min_workers or config.workers, max_size=config.workers, max_tasks_in_flight_per_actor=2
    )
    blocks = [table(tasks[first : first + size]) for first in range(0, len(tasks), size)]
    with _quiet(data):
        return data.from_arrow(blocks).map_batches(
            Actor,
            fn_constructor_args=(config, tracker, home),
            batch_size=None,
            batch_format="pyarrow",
            compute=pool,
            num_cpus=config.spec.settings.threads,
            num_gpus=int(_wants_gpu(config)),
        )


def _wants_gpu(config: WorkerConfig) -> bool:
    return config.spec.settings.device.lower().startswith("cuda")


@contextmanager
def _home(config: WorkerConfig) -> Iterator[Home]:
    """The actors' home, with a token in the folder of the outputs as long as they work; its name is a temporary file's.

    No token where the outputs are in object storage, or where the actors do not write.
    """
    if is_remote(config.out) or config.rows == "bytes":
        yield Home(os.fspath(Path.cwd()))
        return
    token = Path(config.out).absolute() / f".{secrets.token_hex(8)}.part"
    token.touch()
    try:
        yield Home(os.fspath(Path.cwd()), os.fspath(token))
    finally:
        token.unlink(missing_ok=True)


@contextmanager
def _quiet(data: Any) -> Iterator[None]:
    """Datasets made within run without progress bars and remarks; Ray Data's log files stay."""
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL)
    context = data.DataContext.get_current().copy()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.max_errored_blocks = 0  # a picture that fails is a row; a block that fails is a fault
    with data.DataContext.current(context):
        yield


@contextmanager
def _cluster(ray: Any, config: WorkerConfig) -> Iterator[None]:
    """The cluster of that address, or one that whoever called us has joined already; left as it was found."""
    if ray.is_initialized():
        yield
        return
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        _join(ray, config)
        if main:
            signal.signal(signal.SIGTERM, before)  # Ray has put its own there
        yield
    finally:
        ray.shutdown()
        if main:
            signal.signal(signal.SIGTERM, before)


def _join(ray: Any, config: WorkerConfig) -> None:
    """Connect to a cluster, or start one. Raises UsageError, CannotGoOn."""
    address = config.address
    init_options = {"log_to_driver": False, "logging_level": logging.CRITICAL, "configure_logging": True}
    if address not in ("auto", "local"):
        _check_port(address)
    try:
        if address != "local":
            try:
                ray.init(address, **init_options)
                return
            except ConnectionError:
                if address != "auto" or os.environ.get("RAY_ADDRESS"):
                    raise
        cpus = config.workers * config.spec.settings.threads
        ray.init("local", num_cpus=cpus, include_dashboard=False, object_store_memory=STORE[config.rows], **init_options)
    except ImportError as error:
        raise MissingExtra(f"address '{address}'", "ray") from error
    except (ConnectionError, RuntimeError, ValueError, OSError, AssertionError) as error:
        raise BatchAborted(f"Ray cluster '{address}' cannot be used ({error})", code="upstream_error") from error
    if _wants_gpu(config) and not ray.cluster_resources().get("GPU"):
        raise BatchAborted(f"device '{config.spec.settings.device}' was asked for, but Ray finds no GPU on this machine")


def _check_port(address: str) -> None:
    """See whether anything listens there: Ray would wait for minutes."""
    host, colon, port = address.removeprefix(CLIENT).rpartition(":")
    if not (host and colon and port.isdigit()):
        raise UsageError(f"--address is auto, local, HOST:PORT or ray://HOST:PORT, but got '{address}'")
    try:
        socket.create_connection((host, int(port)), PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise BatchAborted(f"there is no Ray cluster at '{address}' ({error}); is it up?", code="upstream_error") from error
