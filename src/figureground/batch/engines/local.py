"""Processes on this machine: each does one picture at a time; one that dies or hangs is replaced."""

from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import wait

from figureground.batch.engines import Stop, WorkerConfig
from figureground.batch.engines._worker_process import TRIES, WorkerProcess
from figureground.batch.ledger import Outcome, Task
from figureground.errors import BatchAborted

TICK = 0.25  # seconds after which it is looked whether the run is to end


def outcomes(config: WorkerConfig, tasks: Iterator[Task | None], stop: Stop) -> Iterator[Outcome]:
    """What became of each task, as soon as it is known.

    A picture whose worker died is tried again, by `TRIES` workers in all; one that took too long is not.
    Raises FigureGroundError where a worker cannot begin, CannotGoOn where they die before they have begun.
    """
    run = _WorkerPool(config, tasks, stop)
    try:
        yield from run.outcomes()
    finally:
        for process in run.processes:
            process.end(0 if stop.hard else 5)


class _WorkerPool:
    """The workers, and what waits for one."""

    def __init__(self, config: WorkerConfig, tasks: Iterator[Task | None], stop: Stop) -> None:
        self.config, self.tasks, self.stop = config, tasks, stop
        self.processes: list[WorkerProcess] = []
        self.retries: deque[Task] = deque()
        self.tries: dict[int, int] = {}
        self.died_early = 0
        self.exhausted = False

    def outcomes(self) -> Iterator[Outcome]:
        task = self._next()
        if task is None and self.exhausted:
            return
        if task is not None:
            self.retries.append(task)
        self.processes = [WorkerProcess(self.config)]  # one first: what has to be fetched or converted is so once
        while not self.stop.hard:
            self._submit_tasks()
            if not any(process.task for process in self.processes) and (
                self.stop.soft or (self.exhausted and not self.retries)
            ):
                return
            yield from self._received()
            yield from self._timed_out()

    def _next(self) -> Task | None:
        if self.retries:
            return self.retries.popleft()
        if self.exhausted:
            return None
        try:
            return next(self.tasks)
        except StopIteration:
            self.exhausted = True
            return None

    def _submit_tasks(self) -> None:
        """A task for every worker that is free, and further workers as long as there are tasks for them."""
        for process in self.processes:
            if not self.stop.soft and not process.loading and process.task is None and (task := self._next()) is not None:
                process.submit(task)
        ready = not any(process.loading for process in self.processes)
        if (
            ready
            and len(self.processes) < self.config.workers
            and all(process.task for process in self.processes)
            and not self.stop.soft
        ):
            self.processes += [WorkerProcess(self.config) for _ in range(self.config.workers - len(self.processes))]

    def _received(self) -> Iterator[Outcome]:
        """What workers say within a moment."""
        patience = max(0.0, min([TICK, *(process.time_left() for process in self.processes)]))
        ready = wait([process.connection for process in self.processes], patience)
        for process in [process for process in self.processes if process.connection in ready]:
            try:
                outcome = process.receive()
            except EOFError:
                yield from self._replace_dead(process)
                continue
            self.died_early = 0
            if outcome is not None:
                self.tries.pop(outcome.number, None)
                yield outcome

    def _replace_dead(self, process: WorkerProcess) -> Iterator[Outcome]:
        """Put another in its place; its picture gets another try, or is given up."""
        task = process.task
        how = self._replace(process)
        if task is None:
            self.died_early += 1
            if self.died_early >= TRIES:
                raise BatchAborted(
                    f"workers end before they have begun ({how}); is there enough memory for {self.config.workers}?",
                    code="resource_limit",
                )
            return
        count = self.tries[task.number] = self.tries.get(task.number, 0) + 1
        if count < TRIES:
            self.retries.append(task)
        else:
            del self.tries[task.number]
            message = f"{TRIES} workers died of it ({how}); it needs more memory than there is, or meets a fault of ours"
            yield Outcome(task.number, "failed", "resource_limit", message)

    def _timed_out(self) -> Iterator[Outcome]:
        for process in list(self.processes):
            if process.task is not None and process.time_left() <= 0:
                number = process.task.number
                self._replace(process)
                message = f"it took more than {self.config.seconds:g} seconds; allow more with --picture-seconds"
                yield Outcome(number, "failed", "timeout", message, self.config.seconds)

    def _replace(self, process: WorkerProcess) -> str:
        how = process.end()
        self.processes[self.processes.index(process)] = WorkerProcess(self.config)
        return how
