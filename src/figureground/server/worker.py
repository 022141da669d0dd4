"""What a worker process does with one picture: decode, separate, encode. It holds one network at a time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from figureground.errors import UsageError
from figureground.io.picture import Encoded, Picture
from figureground.jobs import JobResult, JobSpec, finish_job, run_job
from figureground.methods import Method
from figureground.pipeline import Clock, Separator
from figureground.separation import Separation
from figureground.server.sessions import Held
from figureground.settings import Settings
from figureground.types import SaliencyMap

LABEL = "the picture"
"""What messages call a picture: its name never leaves the client."""

Finish = Callable[[JobSpec, Separator, Encoded, Clock], JobResult]


@dataclass(frozen=True, slots=True)
class ServerTask:
    """One picture and what to make of it. Plain data that can be pickled.

    suffixes : the suffix of each view's file. finish : a function of a module, with its data, that makes other files.
    remember : a name under which the worker holds the decoded picture for the next task; "" for none. mask : a PNG of the
    picture's size that is used in place of a network's answer.
    """

    data: bytes = field(repr=False)
    spec: JobSpec
    suffixes: Mapping[str, str] = field(default_factory=dict)
    finish: Finish | None = None
    remember: str = ""
    mask: bytes | None = field(default=None, repr=False)


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


def separation_of(picture: Picture, data: bytes, spec: JobSpec) -> Separation:
    """Return the separation that a mask drawn by hand gives, a PNG; raises InputError, and UsageError for another size."""
    painted = Picture.read(Encoded(data, "the mask"), spec.settings).rgb
    if painted.shape != picture.rgb.shape:
        sizes = [f"{each.shape[1]} × {each.shape[0]}" for each in (picture.rgb, painted)]
        raise UsageError(f"mask: it must have the picture's size, {sizes[0]}, but it is {sizes[1]}")
    mask = painted[..., 0].astype(np.float32) / np.float32(255)
    return Separation(picture, mask, SaliencyMap(mask), spec.method, {}, threads=spec.settings.threads)


class PictureWorker:
    """Processes one task after the other, with the network of the last one while the next needs the same."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pictures: Held[Picture] = Held()
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
        if task.remember:
            result = finish_job(task.spec, self._corrected(task, source, separate, clock), task.suffixes, LABEL, clock)
        elif task.finish is None:
            result = run_job(task.spec, separate, source, task.suffixes, LABEL, clock)
        else:
            result = task.finish(task.spec, separate, source, clock)
        return ServerResult(result.facts, result.files, {name: round(value, 4) for name, value in clock.seconds.items()})

    def _corrected(self, task: ServerTask, source: Encoded, separate: Separator, clock: Clock) -> Separation:
        """Return the separation of a page's picture, which is decoded once: by its network, or by the mask that was sent."""
        key = task.remember, task.spec.settings
        picture = self.pictures.get(key)
        if picture is None:
            picture = clock("decode", Picture.read, source, task.spec.settings)
            own = 0 if picture.original is picture.rgb else picture.original.nbytes
            self.pictures.put(key, picture, picture.rgb.nbytes + own)
        if task.mask is None:
            return separate(picture, task.spec.prompt)
        return clock("decode", separation_of, picture, task.mask, task.spec)
