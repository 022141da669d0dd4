"""This process alone, one picture after the other: no start-up of workers, but nothing to bound, kill or replace either."""

import time
from collections.abc import Iterator

from figureground.batch.engines import Stop, WorkerConfig
from figureground.batch.ledger import Outcome, Task

TICK = 0.05  # seconds until it is asked again whether there is a task


def outcomes(config: WorkerConfig, tasks: Iterator[Task | None], stop: Stop) -> Iterator[Outcome]:
    """Yield the outcome of each task. Raises FigureGroundError where the network cannot be loaded."""
    from figureground.batch.engines._worker import Worker

    worker: Worker | None = None
    for task in tasks:
        if stop.soft:
            return
        if task is None:
            time.sleep(TICK)
            continue
        worker = worker or Worker(config)
        yield worker(task)
