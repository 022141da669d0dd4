"""What a worker process does with one picture: decode, separate, encode. It holds one network at a time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from figureground.io.picture import Encoded
from figureground.jobs import JobResult, JobSpec, run_job
from figureground.methods import Method
from figureground.pipeline import Clock, Separator
from figureground.settings import Settings

LABEL = "the picture"
"""What messages call a picture: its name never leaves the client."""

Finish = Callable[[JobSpec, Separator, Encoded, Clock], JobResult]


@dataclass(frozen=True, slots=True)
class ServerTask:
    """One picture and what to make of it. Plain data that can be pickled.

    suffixes : the suffix of each view's file. finish : a function of a module, with its data, that makes other files.
    """

    data: bytes = field(repr=False)
    spec: JobSpec
    suffixes: Mapping[str, str] = field(default_factory=dict)
    finish: Finish | None = None


@dataclass(frozen=True, slots=True)
class ServerResult:
    """What was found, the files by name, and the seconds of every stage."""

    facts: dict[str, Any]
    files: dict[str, bytes] = field(repr=False)
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True)
class PictureWorkerConfig:
    """A `Loader` of a `Worker`. method : is loaded at once; None: with the first picture."""

    settings: Settings
    method: Method | None = None

    def load(self) -> "PictureWorker":
        """Load the network, if that is wanted; raises FigureGroundError."""
        worker = PictureWorker(self.settings)
        if self.method is not None:
            worker.separator(self.method)
        return worker


class PictureWorker:
    """Processes one task after the other, with the network of the last one while the next needs the same."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.loaded: Separator | None = None
        self.wanted: Method | None = None

    def separator(self, method: Method, settings: Settings | None = None) -> Separator:
        """Return a method made ready; the one before is let go first. Raises FigureGroundError."""
        settings = settings or self.settings
        if self.loaded is None or self.wanted != method or self.loaded.settings != settings:
            self.loaded, self.wanted = None, None
            self.loaded, self.wanted = Separator(method, settings), method
        return self.loaded

    def warm_up(self) -> None:
        """Process a small picture, so that memory that is kept is not counted as a task's."""
        if self.loaded is not None:
            self.loaded(np.zeros((64, 64, 3), np.uint8))

    def __call__(self, task: ServerTask) -> ServerResult:
        """Do one task; raises FigureGroundError."""
        clock = Clock()
        separate = clock("load", self.separator, task.spec.method, task.spec.settings)
        source = Encoded(task.data, LABEL)
        if task.finish is None:
            result = run_job(task.spec, separate, source, task.suffixes, LABEL, clock)
        else:
            result = task.finish(task.spec, separate, source, clock)
        return ServerResult(result.facts, result.files, {name: round(value, 4) for name, value in clock.seconds.items()})
