"""One task done, whatever the engine: read, separate, encode, write, and say what became of it; each piece stands by itself."""

import errno
import time
from dataclasses import replace

from figureground.batch.engines import WorkerConfig
from figureground.batch.ledger import Outcome, Task
from figureground.errors import FigureGroundError, InputError, NoForeground, OutputError, WriteFailed
from figureground.io.picture import Encoded
from figureground.io.storage import Place, open_source, place, scheme
from figureground.jobs import run_job
from figureground.pipeline import Clock, Separator

LASTING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENODEV, errno.ESTALE})
"""Faults of the disk that the next picture would meet as well: they stop the run, and no picture is blamed."""


class Worker:
    """A network made ready, and a place to write to, unless the files go back with the outcomes."""

    def __init__(self, config: WorkerConfig) -> None:
        self.config = config
        self.separate = Separator(config.spec.method, config.spec.settings)
        self.place = place(config.out) if config.rows == "paths" else None

    def __call__(self, task: Task) -> Outcome:
        """Do one task; nothing is raised."""
        began = time.perf_counter()
        try:
            outcome = self._process(task)
            outcome = write_files(self.config, self.place, task, outcome) if self.place else outcome
        except Exception as error:
            return outcome_from_error(task, error, began)
        return replace(outcome, seconds=time.perf_counter() - began)

    def _process(self, task: Task) -> Outcome:
        """What is noted of the picture, and the contents of its files."""
        config = self.config
        source = task.picture or open_source(task.source, config.spec.settings)
        views = dict.fromkeys(config.spec.views, config.suffix)
        result = run_job(config.spec, self.separate, source, views, task.source, Clock())
        facts = {each: result.facts[each] for each in ("width", "height", "coverage", "certainty", "box")}
        files = {f"{task.stem}.{view}{config.suffix}": data for view, data in result.files.items()}
        return Outcome(task.number, "done", contents=files, **facts)  # type: ignore[arg-type]  # facts are plain data


def load_source(config: WorkerConfig, task: Task) -> Task | Outcome:
    """The task with its picture's bytes, or what became of it where these cannot be read; nothing is raised.

    An http(s) address is left to whoever works on it: `download.fetch` is the one way to the web.
    """
    began = time.perf_counter()
    try:
        source = open_source(task.source, config.spec.settings)
        if isinstance(source, str):
            if scheme(source):
                return task
            source = Encoded.of_file(source, config.spec.settings)
        return replace(task, picture=source)
    except Exception as error:
        return outcome_from_error(task, error, began)


def store_outcome(config: WorkerConfig, target: Place, task: Task, outcome: Outcome) -> Outcome:
    """The outcome after its files, where these came with it, were written; nothing is raised."""
    began = time.perf_counter() - outcome.seconds
    try:
        outcome = write_files(config, target, task, outcome)
    except Exception as error:
        return outcome_from_error(task, error, began)
    return replace(outcome, seconds=time.perf_counter() - began)


def write_files(config: WorkerConfig, target: Place, task: Task, outcome: Outcome) -> Outcome:
    """Write the files, and read each back if that is asked for; of the outcome only their sizes remain. Raises WriteFailed."""
    for name, data in outcome.contents.items():
        target.write(data, name)
        if config.read_back and target.read(name) != data:
            raise WriteFailed(f"'{name}' reads back otherwise than it was written; look after the disk", picture=task.source)
    return replace(outcome, files={name: len(data) for name, data in outcome.contents.items()}, contents={})


def outcome_from_error(task: Task, error: Exception, began: float) -> Outcome:
    """What an error makes of a task: `failed`, or `stopped` where the next picture would meet it too.

    began : on the clock of `time.perf_counter`.
    """
    seconds = time.perf_counter() - began
    if isinstance(error, InputError | OutputError | NoForeground):
        lasting = isinstance(error, WriteFailed) and getattr(error.__cause__, "errno", None) in LASTING
        return Outcome(task.number, "stopped" if lasting else "failed", error.code, str(error), seconds)
    if isinstance(error, FigureGroundError):  # weights, a missing extra
        return Outcome(task.number, "stopped", error.code, str(error), seconds)
    message = " ".join(f"{type(error).__name__}: {error}".split())  # our own fault; the next picture may be well
    return Outcome(task.number, "failed", "internal", message[:500], seconds)
