"""One task of a batch, on whatever back end: read, separate, encode, write, and return its outcome."""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from figureground._files import part_name
from figureground.batch.ledger import Outcome, Task
from figureground.errors import BatchAborted, FigureGroundError, InputError, NoForeground, OutputError, WriteFailed
from figureground.executor import Payload
from figureground.io.picture import Encoded
from figureground.io.storage import Place, is_remote, open_source, place, scheme
from figureground.jobs import JobSpec, run_job
from figureground.pipeline import Clock, Separator

LASTING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENODEV, errno.ESTALE})
"""Faults of the disk that the next picture would meet as well: they stop the run, and no picture is blamed."""


@dataclass(frozen=True, slots=True)
class Home:
    """What the machines of a cluster must share with the machine where the run began.

    folder : where relative paths begin. token : a file in the folder of the outputs; empty where these are in object storage,
    or are not the workers' to write.
    """

    folder: str
    token: str = ""

    def settle(self) -> None:
        """Change to the folder; raises BatchAborted where this machine has another disk."""
        node = os.uname().nodename
        shared = "mount it on every machine, or use addresses (s3://...) for inputs and outputs"
        if self.token and not Path(self.token).exists():
            raise BatchAborted(f"the folder of the outputs, '{Path(self.token).parent}', is not the same on '{node}'; {shared}")
        try:
            os.chdir(self.folder)
        except OSError as error:
            if not self.token:  # perhaps no input is a path; each that is will be reported as not found
                return
            raise BatchAborted(f"'{node}' has no folder '{self.folder}' ({error.strerror}); {shared}") from error


@contextmanager
def shared_home(out: str, rows: Payload) -> Iterator[Home]:
    """Give the home of a cluster's workers, with a token in the folder of the outputs; its name is a temporary file's.

    No token where the outputs are in object storage, or where the workers do not write.
    """
    if is_remote(out) or rows == "bytes":
        yield Home(os.fspath(Path.cwd()))
        return
    token = Path(out).absolute() / part_name()
    token.touch()
    try:
        yield Home(os.fspath(Path.cwd()), os.fspath(token))
    finally:
        token.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What every worker of a batch needs to know: a `Loader` of its `Worker`. Plain data that can be pickled.

    spec : what to make of each picture; the threads in its settings are those of one worker. out : the folder or the address of
    the outputs. suffix : of the files. rows : what a task holds: ``paths``, and the worker writes the files, or ``bytes``, and
    the files return with the outcome. read_back : whether files are read again and compared. home : of a cluster's workers.
    """

    spec: JobSpec
    out: str
    suffix: str = ".png"
    rows: Payload = "paths"
    read_back: bool = False
    home: Home | None = None

    @property
    def endings(self) -> tuple[str, ...]:
        """What the names of each picture's files end in."""
        return tuple(self.spec.endings(self.suffix).values())

    def load(self) -> "Worker":
        """Load the network; raises FigureGroundError."""
        if self.home is not None:
            self.home.settle()
        return Worker(self)


class Worker:
    """A loaded network, and a place to write to, unless the files return with the outcomes."""

    def __init__(self, config: WorkerConfig) -> None:
        self.config = config
        self.separate = Separator(config.spec.method, config.spec.settings)
        self.place = place(config.out) if config.rows == "paths" else None

    def warm_up(self) -> None:
        """Process a small picture, so that the memory of the first one is not counted as that of a task."""
        self.separate(np.zeros((64, 64, 3), np.uint8))

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
        """Return the picture's record and the contents of its files."""
        config = self.config
        source = task.picture or open_source(task.source, config.spec.settings)
        views = dict.fromkeys(config.spec.views, config.suffix)
        result = run_job(config.spec, self.separate, source, views, task.source, Clock())
        facts = {each: result.facts[each] for each in ("width", "height", "coverage", "certainty", "box")}
        endings = config.spec.endings(config.suffix)
        files = {f"{task.stem}{endings[view]}": data for view, data in result.files.items()}
        return Outcome(task.number, "done", contents=files, **facts)  # type: ignore[arg-type]  # facts are plain data


def load_source(config: WorkerConfig, task: Task) -> Task | Outcome:
    """Return the task with its picture's bytes, or its outcome if they cannot be read; raises nothing.

    An http(s) address is left to the worker: only `download.fetch` downloads pictures.
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
    """Write the files that came with the outcome, if any, and return the outcome; raises nothing."""
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


def outcome_from_error(task: Task, error: Exception, began: float | None = None) -> Outcome:
    """Return what an error makes of a task: `failed`, or `stopped` where the next picture would meet it too.

    began : on the clock of `time.perf_counter`; None where the time is not known.
    """
    seconds = 0.0 if began is None else time.perf_counter() - began
    if isinstance(error, InputError | OutputError | NoForeground):
        lasting = isinstance(error, WriteFailed) and getattr(error.__cause__, "errno", None) in LASTING
        return Outcome(task.number, "stopped" if lasting else "failed", error.code, str(error), seconds)
    if isinstance(error, FigureGroundError):  # weights, a missing extra
        return Outcome(task.number, "stopped", error.code, str(error), seconds)
    message = " ".join(f"{type(error).__name__}: {error}".split())  # our own fault; the next picture may be well
    return Outcome(task.number, "failed", "internal", message[:500], seconds)
