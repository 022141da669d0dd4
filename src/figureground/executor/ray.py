"""Actors of a Ray cluster: Ray Data gives them blocks of items, replaces those that are lost, and returns the results.

The function runs where the actors run, so files that it reads or writes by path must be reachable from every machine.
"""

import logging
import os
import pickle
import queue
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any

from figureground.errors import BatchAborted, FigureGroundError, MissingExtra, UsageError
from figureground.executor import ExecutorConfig, Items, Numbered, Result, Stop
from figureground.executor._actor import Actor, AttemptTracker, RowResult, row_results, table
from figureground.executor._worker_process import TRIES

TICK = 0.25  # seconds after which it is checked whether the run is to end
BLOCKS = 5000  # in one dataset
BYTES = 256_000_000  # of items in one dataset, or a block for each actor where these have more
AHEAD = 16  # blocks that wait until their results are taken
PATIENCE = 5.0  # seconds to reach a cluster's port
STORE = {"paths": 128_000_000, "bytes": 768_000_000}  # bytes for the object store of a new cluster, by what items hold
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent home
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # no remarks of its core
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # none between our lines
    "RAY_ENABLE_AUTO_CONNECT": "0",  # a thread that comes late must not start another cluster
}
CLIENT = "ray://"
RowResults = list[tuple[int, RowResult]]
Row = tuple[int, bytes]
"""The place of an item, and the item pickled."""


def results(function: Any, items: Items[Any], config: ExecutorConfig, stop: Stop) -> Iterator[Numbered[Any, Any]]:
    """Yield the result of each item as soon as its block is done; a block holds one item or few.

    Raises MissingExtra, UsageError and BatchAborted where there is no such cluster, or where it loses its actors again and
    again; and the error of an actor that cannot begin.
    """
    for name, value in ENVIRONMENT.items():  # read at its import
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtra("engine 'ray'", "ray") from error
    with _cluster(ray, config):
        tracker = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(AttemptTracker).remote()
        run = _RayRun(ray, function, config, tracker, stop)
        size = 1 + config.count // 8
        while not stop.soft and (rows := list(_next_rows(config, items, size, stop))):
            yield from run.results(rows, size)


def _next_rows(config: ExecutorConfig, items: Items[Any], size: int, stop: Stop) -> Iterator[Row]:
    """Yield the rows of the next dataset: a bounded number of bytes, but a block for each actor in any case."""
    held, least = 0, size * config.count
    for count, numbered in enumerate(islice(items, BLOCKS * size), 1):
        if numbered is None:
            continue
        place, item = numbered
        row = pickle.dumps(item, protocol=5)
        yield place, row
        held += len(row)
        if stop.soft or (held >= BYTES and count >= least):
            return


class _RayRun:
    """The datasets of one run, one after the other."""

    def __init__(self, ray: Any, function: Any, config: ExecutorConfig, tracker: Any, stop: Stop) -> None:
        self.ray, self.function, self.config, self.tracker, self.stop = ray, function, config, tracker, stop

    def results(self, rows: list[Row], size: int) -> Iterator[Numbered[Any, Any]]:
        """Yield the result of each; where Ray Data gives a dataset up, its remaining rows are another dataset."""
        waiting = dict(rows)
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

    def _run_dataset(self, waiting: dict[int, bytes], size: int) -> Iterator[Numbered[Any, Any]]:
        """Run one dataset; takes each row with a result out of `waiting`, so that none is returned twice."""
        stream = self._stream(list(waiting.items()), size)
        closed = False
        try:
            while not self.stop.hard and (received := stream.next()) is not None:
                if self.stop.soft and not closed:
                    closed = bool(self.tracker.close.remote())
                if closed and not self.ray.get(self.tracker.in_hand.remote()):
                    return
                for place, result in received:
                    if isinstance(result, FigureGroundError):
                        raise result
                    if result is not None and (row := waiting.pop(place, None)) is not None:
                        self.tracker.finish.remote(place)
                        item = pickle.loads(row)  # noqa: S301  # pickled above
                        yield place, Result(item, result.value, result.error)
        finally:
            stream.end()

    def _stream(self, *rows: Any) -> Any:
        arguments = self.function, self.config, self.tracker, *rows
        return _RemoteStream(self.ray, arguments) if self.config.address.startswith(CLIENT) else _Stream(*arguments)


class _DatasetFailed(Exception):
    """Ray Data has given a dataset up."""


class _Stream:
    """The rows of a `_dataset`, read in a thread, so that the caller, who waits for them, can be stopped."""

    def __init__(self, *arguments: Any) -> None:
        self._unwanted = threading.Event()
        self._results: queue.Queue[Any] = queue.Queue(AHEAD)
        self._thread = threading.Thread(target=self._draw, args=arguments, daemon=True, name="figureground-ray")
        self._thread.start()

    def next(self) -> RowResults | None:
        """Return the rows since the last call, none where there are none within a moment, None at the end.

        Raises _DatasetFailed.
        """
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
                self._put(list(row_results(rows)))
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

    def next(self) -> RowResults | None:
        """Return the next rows, as `_Stream` does."""
        try:
            return self._ray.get(self._stream.next.remote())  # type: ignore[no-any-return]
        except self._ray.exceptions.RayError as error:
            raise _DatasetFailed(_line(getattr(error, "cause", None) or error)) from error

    def end(self) -> None:
        """Do nothing: the dataset stops its actors itself."""
        self._ray.kill(self._stream)


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _dataset(function: Any, config: ExecutorConfig, tracker: Any, rows: list[Row], size: int) -> Any:
    """Return the rows in blocks, mapped by a pool of actors."""
    from ray import data

    pool = data.ActorPoolStrategy(
        min_size=config.min_workers or config.count, max_size=config.count, max_tasks_in_flight_per_actor=2
    )
    blocks = [table(rows[first : first + size]) for first in range(0, len(rows), size)]
    with _quiet(data):
        return data.from_arrow(blocks).map_batches(
            Actor,
            fn_constructor_args=(function, config, tracker),
            batch_size=None,
            batch_format="pyarrow",
            compute=pool,
            num_cpus=max(1, config.threads),
            num_gpus=config.gpus,
        )


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
def _cluster(ray: Any, config: ExecutorConfig) -> Iterator[None]:
    """Join the cluster of that address; a cluster that the caller has joined already stays joined."""
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


def _join(ray: Any, config: ExecutorConfig) -> None:
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
        cpus = config.count * max(1, config.threads)
        ray.init("local", num_cpus=cpus, include_dashboard=False, object_store_memory=STORE[config.rows], **init_options)
    except ImportError as error:
        raise MissingExtra(f"address '{address}'", "ray") from error
    except (ConnectionError, RuntimeError, ValueError, OSError, AssertionError) as error:
        raise BatchAborted(f"Ray cluster '{address}' cannot be used ({error})", code="upstream_error") from error
    if config.gpus and not ray.cluster_resources().get("GPU"):
        raise BatchAborted("a GPU was asked for (--device), but Ray finds none on this machine")


def _check_port(address: str) -> None:
    """See whether anything listens there: Ray would wait for minutes."""
    host, colon, port = address.removeprefix(CLIENT).rpartition(":")
    if not (host and colon and port.isdigit()):
        raise UsageError(f"--address is auto, local, HOST:PORT or ray://HOST:PORT, but got '{address}'")
    try:
        socket.create_connection((host, int(port)), PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise BatchAborted(f"there is no Ray cluster at '{address}' ({error}); is it up?", code="upstream_error") from error
