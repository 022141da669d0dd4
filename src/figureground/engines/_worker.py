"""One task done, whatever the engine: read, separate, encode, write, and say what became of it."""

import errno
import time
from typing import Any

from figureground.engines import Work
from figureground.errors import FigureGroundError, InputError, NoForeground, WriteFailed
from figureground.ledger import Outcome, Task
from figureground.pipeline import Clock, Separator
from figureground.places import open_source, place
from figureground.products import make

LASTING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENODEV, errno.ESTALE})
"""Faults of the disk that the next picture would meet as well: they stop the run, and no picture is blamed."""


class Worker:
    """A network made ready, and a place to write to."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.separate = Separator(work.product.method, work.product.settings)
        self.place = place(work.out)

    def __call__(self, task: Task) -> Outcome:
        """Do one task; nothing is raised."""
        began = time.perf_counter()
        try:
            facts, files = self._do(task)
        except (InputError, NoForeground) as error:
            lasting = isinstance(error, WriteFailed) and getattr(error.__cause__, "errno", None) in LASTING
            return _ended(task, "stopped" if lasting else "failed", error.code, str(error), began)
        except FigureGroundError as error:  # weights, a missing extra: the next picture would meet it too
            return _ended(task, "stopped", error.code, str(error), began)
        except Exception as error:  # our own fault; the next picture may be well
            message = " ".join(f"{type(error).__name__}: {error}".split())
            return _ended(task, "failed", "internal", message[:500], began)
        seconds = time.perf_counter() - began
        return Outcome(task.number, "done", seconds=seconds, files=files, **facts)

    def _do(self, task: Task) -> tuple[dict[str, Any], dict[str, int]]:
        """What is noted of the picture, and the size of each file."""
        work = self.work
        source = open_source(task.source, work.product.settings)
        views = dict.fromkeys(work.product.views, work.suffix)
        made = make(work.product, self.separate, source, views, task.source, Clock())
        files = {}
        for view, data in made.files.items():
            name = f"{task.stem}.{view}{work.suffix}"
            self.place.write(data, name)
            if work.read_back and self.place.read(name) != data:
                raise WriteFailed(
                    f"'{name}' reads back otherwise than it was written; look after the disk", picture=task.source
                )
            files[name] = len(data)
        return {each: made.facts[each] for each in ("width", "height", "coverage", "certainty", "box")}, files


def _ended(task: Task, state: str, code: str, message: str, began: float) -> Outcome:
    return Outcome(task.number, state, code, message, time.perf_counter() - began)  # type: ignore[arg-type]  # two of its literals
