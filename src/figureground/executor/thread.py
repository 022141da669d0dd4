"""Threads of this process. They suffice, since numpy, OpenCV, Pillow's codecs and the runtimes release the interpreter."""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

from figureground.executor import TICK, ExecutorConfig, Function, Items, Numbered, Result, Stop, attempt, loaded, pause

S = TypeVar("S")
T = TypeVar("T")


def results(function: Function[S, T], items: Items[S], config: ExecutorConfig, stop: Stop) -> Iterator[Numbered[S, T]]:
    """Yield the result of each item as soon as it is known. Raises FigureGroundError where the function cannot be loaded."""
    run = _Run(loaded(function), items, config, stop)
    try:
        yield from run.results()
    finally:
        run.pool.shutdown(cancel_futures=True)


class _Run(Generic[S, T]):
    """The threads, and the items that wait or are in work."""

    def __init__(self, call: Callable[[S], T], items: Items[S], config: ExecutorConfig, stop: Stop) -> None:
        self.call, self.items, self.config, self.stop = call, items, config, stop
        self.pool = ThreadPoolExecutor(config.count, thread_name_prefix="figureground")
        self.pending: dict[Future[Result[S, T]], int] = {}
        self.exhausted = False

    def results(self) -> Iterator[Numbered[S, T]]:
        while not self.stop.hard:
            idle = self._submit()
            if self.pending:
                yield from self._finished(idle)
            elif self.exhausted or self.stop.soft:
                return
            elif idle:
                pause()

    def _submit(self) -> bool:
        """Submit items until the window is full or a result is ready; returns whether there is no item at the moment."""
        while len(self.pending) < 2 * self.config.count and not (self.exhausted or self.stop.soft):
            try:
                numbered = next(self.items)
            except StopIteration:
                self.exhausted = True
                return False
            if numbered is None:
                return True
            place, item = numbered
            self.pending[self.pool.submit(attempt, self.call, item, self.config.threads)] = place
            # a result is handed over at once, not when the window is full: the next item may take long to arrive
            if any(future.done() for future in self.pending):
                return False
        return False

    def _finished(self, idle: bool) -> Iterator[Numbered[S, T]]:
        complete = self.exhausted or self.stop.soft or len(self.pending) == 2 * self.config.count
        patience = None if complete else TICK if idle else 0
        for future in wait(self.pending, patience, FIRST_COMPLETED).done:
            yield self.pending.pop(future), future.result()
