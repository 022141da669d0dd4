"""Processes on this machine: each works on one item at a time; one that dies or hangs is replaced."""

from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import wait
from typing import Any

from figureground.errors import BatchAborted, WorkerFailed
from figureground.executor import ExecutorConfig, Items, Numbered, Result, Stop
from figureground.executor._worker_process import TRIES, WorkerProcess

TICK = 0.25  # seconds after which it is checked whether the run is to end


def results(function: Any, items: Items[Any], config: ExecutorConfig, stop: Stop) -> Iterator[Numbered[Any, Any]]:
    """Yield the result of each item as soon as it is known.

    An item whose worker died is tried again, by `TRIES` workers in all; one that took too long is not.
    Raises FigureGroundError where a worker cannot begin, BatchAborted where they die before they have begun.
    """
    pool = WorkerPool(function, items, config, stop)
    try:
        yield from pool.results()
    finally:
        pool.end()


class WorkerPool:
    """The workers, and the items that wait for one."""

    def __init__(self, function: Any, items: Items[Any], config: ExecutorConfig, stop: Stop) -> None:
        self.function, self.items, self.config, self.stop = function, items, config, stop
        self.processes: list[WorkerProcess] = []
        self.retries: deque[tuple[int, Any]] = deque()
        self.tries: dict[int, int] = {}
        self.died_early = 0
        self.exhausted = False

    def end(self) -> None:
        """End all workers."""
        for process in self.processes:
            process.end(0 if self.stop.hard else 5)

    def results(self) -> Iterator[Numbered[Any, Any]]:
        """Yield the result of each item as soon as it is known."""
        item = self._next()
        if item is None and self.exhausted:
            return
        if item is not None:
            self.retries.append(item)
        self.processes = [self._start()]  # one first, so that what has to be downloaded or converted is so once
        while not self.stop.hard:
            self._submit_items()
            if not any(process.item for process in self.processes) and (
                self.stop.soft or (self.exhausted and not self.retries)
            ):
                return
            yield from self._received()
            yield from self._timed_out()

    def _start(self) -> WorkerProcess:
        return WorkerProcess(self.function, self.config)

    def _next(self) -> tuple[int, Any] | None:
        if self.retries:
            return self.retries.popleft()
        if self.exhausted:
            return None
        try:
            return next(self.items)
        except StopIteration:
            self.exhausted = True
            return None

    def _submit_items(self) -> None:
        """Send an item to every worker that is free, and start further workers as long as there are items for them."""
        for process in self.processes:
            if not self.stop.soft and not process.loading and process.item is None and (item := self._next()) is not None:
                process.submit(item)
        ready = not any(process.loading for process in self.processes)
        if (
            ready
            and len(self.processes) < self.config.count
            and all(process.item for process in self.processes)
            and not self.stop.soft
        ):
            self.processes += [self._start() for _ in range(self.config.count - len(self.processes))]

    def _received(self) -> Iterator[Numbered[Any, Any]]:
        """Yield what workers send within a moment."""
        patience = max(0.0, min([TICK, *(process.time_left() for process in self.processes)]))
        ready = wait([process.connection for process in self.processes], patience)
        for process in [process for process in self.processes if process.connection in ready]:
            place = process.item[0] if process.item else -1
            try:
                result = process.receive()
            except EOFError:
                yield from self._replace_dead(process)
                continue
            self.died_early = 0
            if result is not None:
                self.tries.pop(place, None)
                yield place, result

    def _replace_dead(self, process: WorkerProcess) -> Iterator[Numbered[Any, Any]]:
        """Start another worker in its place; its item is tried again, or given up."""
        item = process.item
        how = self._replace(process)
        if item is None:
            self.died_early += 1
            if self.died_early >= TRIES:
                raise BatchAborted(
                    f"workers end before they have begun ({how}); is there enough memory for {self.config.count}?",
                    code="resource_limit",
                )
            return
        place, source = item
        count = self.tries[place] = self.tries.get(place, 0) + 1
        if count < TRIES:
            self.retries.append(item)
        else:
            del self.tries[place]
            message = f"{TRIES} workers died of it ({how}); it needs more memory than there is, or meets a fault of ours"
            yield place, Result(source, None, WorkerFailed(message))

    def _timed_out(self) -> Iterator[Numbered[Any, Any]]:
        for process in list(self.processes):
            if process.item is not None and process.time_left() <= 0:
                place, source = process.item
                self._replace(process)
                message = f"it took more than {self.config.seconds:g} seconds; allow more with --picture-seconds"
                yield place, Result(source, None, WorkerFailed(message, code="timeout"))

    def _replace(self, process: WorkerProcess) -> str:
        how = process.end()
        self.processes[self.processes.index(process)] = self._start()
        return how
