"""A call over many pictures in threads: a few at a time, results in the order in which the pictures came.

Threads suffice, since numpy, OpenCV, Pillow's codecs and the runtimes let go of the interpreter while they compute. To
count another error as a picture's own fault, pass it to `in_order`.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from figureground.errors import FigureGroundError, InputError, OutputError, UsageError

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Result(Generic[S, T]):
    """What became of one picture.

    source : as it came.
    value : what was made of it; None where there is an error.
    error : what was wrong with it, or None.
    """

    source: S
    value: T | None = None
    error: FigureGroundError | None = None

    def get(self) -> T:
        """The value; raises the error where there is one."""
        if self.error is not None:
            raise self.error
        return cast("T", self.value)


def in_order(
    call: Callable[[S], T],
    sources: Iterable[S],
    workers: int,
    faults: tuple[type[FigureGroundError], ...] = (InputError, OutputError),
) -> Generator[Result[S, T], None, None]:
    """`call(source)` for each source, in `workers` threads, results in the order of the sources.

    sources : may be endless. It is drawn from in the thread of the one who asks for results, and never further than
    2 × `workers` ahead of them: a slow reader holds everything up, and memory does not grow.
    faults : errors that are the picture's own; they come as results, any other exception ends the run and comes out here.

    Leaving the loop (or `close()`) ends the threads: what is being worked on is finished, what waits is dropped.
    Raises UsageError where `workers` is not at least 1.
    """
    if workers < 1:
        raise UsageError(f"workers is how many pictures are worked on at once, at least 1, but got {workers}")
    return _results(lambda source: _attempt(call, source, faults), sources, workers)


def _results(attempt: Callable[[S], Result[S, T]], sources: Iterable[S], workers: int) -> Generator[Result[S, T], None, None]:
    taken: deque[Future[Result[S, T]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="figureground")
    try:
        for source in sources:
            taken.append(pool.submit(attempt, source))
            # what is ready is handed over at once, not when the window is full: the next source may be long in coming
            while taken and (len(taken) == 2 * workers or taken[0].done()):
                yield taken.popleft().result()
        while taken:
            yield taken.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _attempt(call: Callable[[S], T], source: S, faults: tuple[type[FigureGroundError], ...]) -> Result[S, T]:
    try:
        return Result(source, call(source))
    except faults as error:
        # the frames that an exception drags along hold the picture; whoever keeps the results would keep them all
        error.__cause__ = error.__context__ = None
        return Result(source, None, error.with_traceback(None))
