"""The folder is the registry: each file `NAME.py` beside this one is an engine, unless its name starts with an underscore.

An engine file holds `outcomes(work, tasks, stop) -> Iterator[Outcome]`: it hands each task to one of its workers and
gives what became of it as soon as it is known, in any order; every task gets exactly one outcome, unless `stop` says that
no more are wanted. Importing an engine file must be cheap: heavy imports belong in `outcomes`.
"""

import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Literal

from figureground.batch.ledger import Outcome, Task
from figureground.errors import UnknownName
from figureground.jobs import JobSpec

Rows = Literal["paths", "bytes"]


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What every worker is told, once. Plain data; it travels.

    out : the folder or the address of the outputs. suffix : of the files. workers : how many work at once; the threads in
    the product's settings are those of one of them. seconds : what a picture may take; 0: any. memory : megabytes that a
    picture may take above what its worker holds before it; 0: any. read_back : whether files are read again and compared.
    address : of a cluster, for engines that have one. fewest : how many work at least, where the engine can do with fewer
    than `workers` and find more; 0: exactly `workers`. rows : what a task is to a worker: `paths`, which it reads and writes
    itself, or `bytes`, where pictures come and files go with the rows.
    """

    spec: JobSpec
    out: str
    suffix: str = ".png"
    workers: int = 1
    seconds: float = 0.0
    memory: int = 0
    read_back: bool = False
    address: str = "auto"
    min_workers: int = 0
    rows: Rows = "paths"

    @property
    def endings(self) -> tuple[str, ...]:
        """What the names of each picture's files end in."""
        return tuple(f".{view}{self.suffix}" for view in self.spec.views)


@dataclass(slots=True)
class Stop:
    """Whether the run is to end. soft : nothing new is begun. hard : what is in hand is dropped too."""

    soft: bool = False
    hard: bool = False


Engine = Callable[[WorkerConfig, Iterator[Task | None], Stop], Iterator[Outcome]]
"""Tasks are drawn when a worker is free; None says that there is none now, but may be later."""


def names() -> list[str]:
    """The names of all engines, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def load(name: str) -> Engine:
    """The engine of that name; raises UnknownName."""
    if name not in names():
        raise UnknownName("engine", name, names())
    engine: Engine = import_module(f"{__name__}.{name}").outcomes
    return engine
