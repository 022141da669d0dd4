"""What the Ray back end keeps on a cluster: actors that process items, and the tracker that they ask before each."""

import pickle
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from figureground.errors import FigureGroundError, WorkerFailed
from figureground.executor import ExecutorConfig, Items, Numbered, Result, Stop, process
from figureground.executor._worker_process import TRIES

RowResult = Result[None, Any] | FigureGroundError | None
"""Of one row: its result, an error with which no actor can go on, or None where it was not started because the run ends."""


class AttemptTracker:
    """Knows which items were started and are not finished, how often each was started, and whether more may be started."""

    def __init__(self) -> None:
        self.open = True
        self.tries: dict[int, int] = {}

    def begin(self, place: int) -> int:
        """Count one more try of an item; returns the number of the try, or 0 where it must not start."""
        if not self.open:
            self.tries.pop(place, None)
            return 0
        self.tries[place] = self.tries.get(place, 0) + 1
        return self.tries[place]

    def finish(self, place: int) -> None:
        """Forget an item whose result is known."""
        self.tries.pop(place, None)

    def close(self) -> None:
        """Let no further item start."""
        self.open = False

    def in_hand(self) -> int:
        """Return how many items were started and are not finished."""
        return len(self.tries)


class Actor:
    """One worker process of the process back end, kept between the blocks of rows that Ray Data sends.

    An item that kills or hangs the process ends as it does there, and the actor lives on. Ray replaces an actor that is lost
    with its item; the tracker counts, and after `TRIES` actors the item is given up.
    """

    def __init__(self, function: Any, config: ExecutorConfig, tracker: Any) -> None:
        self.function, self.config, self.tracker = function, replace(config, workers=1), tracker
        self.pending: deque[tuple[int, Any]] = deque()
        self.results: Iterator[Numbered[Any, Any]] | None = None
        self.fault: FigureGroundError | None = None

    def __call__(self, rows: Any) -> Any:
        """Turn a block of items (`table`) into a block of their results; raises nothing."""
        import pyarrow as pa

        done = [(place, pickle.dumps(self._one(place, item))) for place, item in table_items(rows)]
        places, pickled = zip(*done, strict=True)
        return pa.table({"place": pa.array(places, pa.int64()), "result": pa.array(pickled, pa.large_binary())})

    def _one(self, place: int, item: Any) -> RowResult:
        import ray

        tries = ray.get(self.tracker.begin.remote(place))
        if not tries:
            return None
        if tries > TRIES:
            message = f"{TRIES} actors were lost with it; it needs more memory than there is, or they were ended from outside"
            return Result(None, None, WorkerFailed(message))
        return self.fault or self._done(place, item)

    def _done(self, place: int, item: Any) -> RowResult:
        try:
            if self.results is None:
                self.results = process.results(self.function, self._items(), self.config, Stop())
            self.pending.append((place, item))
            _, result = next(self.results)
            return replace(result, source=None)  # the driver has the item
        except FigureGroundError as error:
            self.fault = error
            return error

    def _items(self) -> Items[Any]:
        while True:
            yield self.pending.popleft() if self.pending else None


def table(block: list[tuple[int, bytes]]) -> Any:
    """Return places and pickled items as an Arrow table."""
    import pyarrow as pa

    places, items = zip(*block, strict=True)
    return pa.table({"place": pa.array(places, pa.int64()), "item": pa.array(items, pa.large_binary())})


def table_items(rows: Any) -> Iterator[tuple[int, Any]]:
    """Yield the places and items of a `table`."""
    for row in rows.to_pylist():
        yield row["place"], pickle.loads(row["item"])  # noqa: S301  # our own items


def row_results(rows: Any) -> Iterator[tuple[int, RowResult]]:
    """Yield the places of items and what an actor returned for each."""
    for row in rows.to_pylist():
        yield row["place"], pickle.loads(row["result"])  # noqa: S301  # our own actors' results
