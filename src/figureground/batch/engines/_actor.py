"""What the Ray engine keeps on a cluster: actors that do pictures, and the one gate that they ask before each."""

import os
import pickle
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from figureground.batch.engines import Stop, WorkerConfig, local
from figureground.batch.engines._worker_process import TRIES
from figureground.batch.ledger import Outcome, Task
from figureground.errors import BatchAborted, FigureGroundError
from figureground.io.picture import Encoded

RowOutcome = Outcome | FigureGroundError | None
"""Of one row: its outcome, what no actor can go on with, or nothing where it was not begun, for the run is to end."""


class AttemptTracker:
    """Knows which pictures were begun and not heard of yet, how often, and whether more are to be begun."""

    def __init__(self) -> None:
        self.open = True
        self.tries: dict[int, int] = {}

    def begin(self, number: int) -> int:
        """The how-manieth try of a picture begins; 0: it must not."""
        if not self.open:
            self.tries.pop(number, None)
            return 0
        self.tries[number] = self.tries.get(number, 0) + 1
        return self.tries[number]

    def finish(self, number: int) -> None:
        """What became of a picture is known."""
        self.tries.pop(number, None)

    def close(self) -> None:
        """Nothing new is begun."""
        self.open = False

    def in_hand(self) -> int:
        """How many pictures were begun and not heard of."""
        return len(self.tries)


@dataclass(frozen=True, slots=True)
class Home:
    """What the actors' machines must share with the one that the run began on.

    folder : where relative paths begin. token : a file in the folder of the outputs; empty where these are in object storage,
    or are not the actors' to write.
    """

    folder: str
    token: str = ""

    def settle(self) -> None:
        """Go there; raises CannotGoOn where this machine has another disk."""
        node = os.uname().nodename
        shared = "mount it on every machine, or use addresses (s3://...) for inputs and outputs"
        if self.token and not Path(self.token).exists():
            raise BatchAborted(f"the folder of the outputs, '{Path(self.token).parent}', is not the same on '{node}'; {shared}")
        try:
            os.chdir(self.folder)
        except OSError as error:
            if not self.token:  # nothing here says that paths are meant; each that is will be told of as not found
                return
            raise BatchAborted(f"'{node}' has no folder '{self.folder}' ({error.strerror}); {shared}") from error


class Actor:
    """One worker process of the local engine, held between the blocks of rows that Ray Data hands in.

    A picture that kills or hangs the process ends as it does there, and the actor lives on. An actor that is lost with
    its picture is replaced by Ray; the gate counts, and after `TRIES` actors the picture is given up.
    """

    def __init__(self, config: WorkerConfig, tracker: Any, home: Home) -> None:
        self.config, self.tracker, self.home = replace(config, workers=1), tracker, home
        self.pending: deque[Task] = deque()
        self.outcomes: Iterator[Outcome] | None = None
        self.fault: FigureGroundError | None = None

    def __call__(self, rows: Any) -> Any:
        """A block of tasks (`table`) in, a block of what became of them out; nothing is raised."""
        import pyarrow as pa

        rows_out = [(task.number, pickle.dumps(self._one(task))) for task in tasks(rows)]
        numbers, pickled = zip(*rows_out, strict=True)
        return pa.table({"number": pa.array(numbers, pa.int64()), "said": pa.array(pickled, pa.large_binary())})

    def _one(self, task: Task) -> RowOutcome:
        import ray

        tries = ray.get(self.tracker.begin.remote(task.number))
        if not tries:
            return None
        if tries > TRIES:
            message = f"{TRIES} actors were lost with it; it needs more memory than there is, or they were ended from outside"
            return Outcome(task.number, "failed", "resource_limit", message)
        return self.fault or self._done(task)

    def _done(self, task: Task) -> Outcome | FigureGroundError:
        try:
            if self.outcomes is None:
                self.home.settle()
                self.outcomes = local.outcomes(self.config, self._tasks(), Stop())
            self.pending.append(task)
            return next(self.outcomes)
        except FigureGroundError as error:
            self.fault = error
            return error

    def _tasks(self) -> Iterator[Task | None]:
        while True:
            yield self.pending.popleft() if self.pending else None


def table(block: list[Task]) -> Any:
    """Tasks as rows; as bytes, for names of files need not be UTF-8."""
    import pyarrow as pa

    columns: dict[str, Any] = {"number": pa.array([task.number for task in block], pa.int64())}
    columns["picture"] = pa.array([task.picture and task.picture.data for task in block], pa.large_binary())
    for name in ("source", "stem"):
        columns[name] = pa.array([os.fsencode(getattr(task, name)) for task in block], pa.binary())
    return pa.table(columns)


def tasks(rows: Any) -> Iterator[Task]:
    """The tasks of a `table`."""
    for row in rows.to_pylist():
        source, data = os.fsdecode(row["source"]), row["picture"]
        yield Task(row["number"], source, os.fsdecode(row["stem"]), None if data is None else Encoded(data, source))


def row_outcomes(rows: Any) -> Iterator[tuple[int, RowOutcome]]:
    """Numbers of tasks and what an actor said of each."""
    for row in rows.to_pylist():
        yield row["number"], pickle.loads(row["said"])  # noqa: S301  # our own actors' words
