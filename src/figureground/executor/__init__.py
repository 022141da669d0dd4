"""Call a function for many items: in this process, in threads, in processes, or by the actors of a Ray cluster.

`map` is the one way. The folder is the registry: each file ``NAME.py`` beside this one is a back end, unless its name starts
with an underscore. A back end holds ``results(function, items, config, stop) -> Iterator[Numbered]``: it takes an item when a
worker is free, and yields one result for each item as soon as it is known, in any order. Importing the file must be cheap.
"""

import pkgutil
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, cast, runtime_checkable

from figureground._machine import cores
from figureground.errors import FigureGroundError, InputError, OutputError, UnknownName, UsageError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

S = TypeVar("S")
T = TypeVar("T")
S_contra = TypeVar("S_contra", contravariant=True)
T_co = TypeVar("T_co", covariant=True)
Payload = Literal["paths", "bytes"]
TICK = 0.05
"""Seconds after which the items are asked again, where there was none."""


@runtime_checkable
class Loader(Protocol[S_contra, T_co]):
    """Makes the function in each worker. A loader can be pickled; what it makes, such as a network, need not."""

    def load(self) -> Callable[[S_contra], T_co]:
        """Return the function; raises FigureGroundError where that is not possible."""


Function = Callable[[S], T] | Loader[S, T]


@dataclass(frozen=True, slots=True)
class ExecutorConfig:
    """Where a function runs, in how many workers, and within which limits. Plain data that can be pickled.

    Parameters
    ----------
    backend : str
        ``inline`` (this thread), ``thread``, ``process`` or ``ray``.
    workers : int, optional
        Number of items that are processed at the same time, at least 1; one for each core by default.
    threads : int
        Threads that each worker may use; 0 for as many as there are cores. `share_threads` decides it.
    seconds : float
        Limit for one item; 0 for no limit. Back ends ``process`` and ``ray``.
    memory : int
        Megabytes that an item may need beyond what its worker holds before it; 0 for no limit. As `seconds`, on Linux.
    address : str
        Address of a Ray cluster: ``auto``, ``local``, ``HOST:PORT`` or ``ray://HOST:PORT``.
    min_workers : int
        Number of workers with which a Ray cluster may begin; 0 for `workers`.
    rows : {'paths', 'bytes'}
        What an item holds: paths, or the bytes of a picture. Decides how much memory a new Ray cluster reserves.
    gpus : int
        Number of GPUs that each worker of a Ray cluster needs.
    """

    backend: str = "thread"
    workers: int | None = None
    threads: int = 0
    seconds: float = 0.0
    memory: int = 0
    address: str = "auto"
    min_workers: int = 0
    rows: Payload = "paths"
    gpus: int = 0

    @property
    def count(self) -> int:
        """The number of workers."""
        return cores() if self.workers is None else self.workers

    def share_threads(self, total: int) -> "ExecutorConfig":
        """Return a copy with the number of workers decided, and `total` threads (0: one for each core) shared among them."""
        return replace(self, workers=self.count, threads=share(total, self.count))


@dataclass(slots=True)
class Stop:
    """Whether a run is to end. soft : no further item is started. hard : items in work are dropped too."""

    soft: bool = False
    hard: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Result(Generic[S, T]):
    """The result of one item.

    Attributes
    ----------
    source
        The item, as it was given.
    value
        What the function returned; None where there is an error.
    error : FigureGroundError or None
        What was wrong with the item.
    """

    source: S
    value: T | None = None
    error: FigureGroundError | None = None

    def get(self) -> T:
        """Return the value; raises the error where there is one."""
        if self.error is not None:
            raise self.error
        return cast("T", self.value)


Numbered = tuple[int, Result[S, T]]
"""The place of an item among the items, and its result. Its `error` may be any exception until `map` has checked it."""
Items = Iterator[tuple[int, S] | None]
"""Items with their places; None where there is none at the moment, but may be one later."""
Backend = Callable[[Any, Items[Any], ExecutorConfig, Stop], Iterator[Numbered[Any, Any]]]


@cache
def names() -> tuple[str, ...]:
    """Return the names of all back ends, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


def load_backend(name: str) -> Backend:
    """Return the back end of that name; raises UnknownName."""
    if name not in names():
        raise UnknownName("engine", name, names())
    backend: Backend = import_module(f"{__name__}.{name}").results
    return backend


def map(  # noqa: A001  # the name that concurrent.futures and multiprocessing give it
    function: Function[S, T],
    items: Iterable[S | None],
    config: ExecutorConfig | None = None,
    *,
    ordered: bool = True,
    faults: tuple[type[Exception], ...] = (InputError, OutputError),
    stop: Stop | None = None,
) -> Generator[Result[S, T], None, None]:
    """Call `function` for each item; yields a `Result` for each.

    Parameters
    ----------
    function : callable or Loader
        Called with one item. Back ends ``process`` and ``ray`` pickle it; a `Loader` makes the function in each worker.
    items : iterable
        May be endless. It is read in the thread of the caller, and never further than 2 × `workers` ahead of the results
        (``ray``: some blocks), so memory stays flat. None stands for "no item now, but maybe later".
    config : ExecutorConfig, optional
        One thread by default.
    ordered : bool
        Whether results come in the order of the items, or as soon as they are known.
    faults : tuple of exception types
        Errors that are the item's own fault. They come as results; any other exception ends the run.
    stop : Stop, optional
        Lets another thread, or a signal handler, end the run.

    Raises
    ------
    UsageError
        For `workers` below 1 or an unknown back end.

    Leaving the loop (or ``close()``) ends the workers: items in work are finished, waiting items are dropped.
    """
    config = config or ExecutorConfig(workers=1)
    config = replace(config, workers=config.count)
    if config.count < 1:
        raise UsageError(f"workers is how many pictures are worked on at once, at least 1, but got {config.workers}")
    return _results(load_backend(config.backend), function, items, config, ordered, faults, stop or Stop())


def _results(
    backend: Backend,
    function: Function[S, T],
    items: Iterable[S | None],
    config: ExecutorConfig,
    ordered: bool,
    faults: tuple[type[Exception], ...],
    stop: Stop,
) -> Generator[Result[S, T], None, None]:
    waiting: dict[int, Result[S, T]] = {}
    following = 0  # the place of the next result, where they are ordered

    def window() -> Items[S]:
        place, iterator = 0, iter(items)
        while True:
            if ordered and place >= following + 2 * config.count:
                yield None
                continue
            try:
                item = next(iterator)
            except StopIteration:
                return
            if item is None:
                yield None
            else:
                yield place, item
                place += 1

    results = backend(function, window(), config, stop)
    try:
        for place, result in results:
            if not ordered:
                yield _checked(result, faults)
                continue
            waiting[place] = result
            while following in waiting:
                ready = waiting.pop(following)
                following += 1
                yield _checked(ready, faults)
    finally:
        if isinstance(results, Generator):
            results.close()


def _checked(result: Result[S, T], faults: tuple[type[Exception], ...]) -> Result[S, T]:
    if result.error is not None and not isinstance(result.error, faults):
        raise result.error
    return result


def attempt(call: Callable[[S], T], item: S, threads: int) -> Result[S, T]:
    """Call a function within a limit of threads; an exception becomes the result's `error`. For back ends."""
    try:
        with limit_threads(threads):
            return Result(item, call(item))
    except Exception as error:
        # the frames that an exception holds keep the picture; whoever keeps the results would keep them all
        if isinstance(error, FigureGroundError):
            error.__cause__ = error.__context__ = None
            error = error.with_traceback(None)
        return Result(item, None, cast("FigureGroundError", error))


def loaded(function: Function[S, T]) -> Callable[[S], T]:
    """Return the function itself, which a Loader makes first. For back ends."""
    return function.load() if isinstance(function, Loader) else function


def share(threads: int, workers: int) -> int:
    """Return how many threads each worker may use, at least 1, so that all together use `threads`; 0: one for each core."""
    return max(1, (threads or cores()) // max(1, workers))


_limit: ContextVar[int] = ContextVar("figureground_threads", default=0)


@contextmanager
def limit_threads(count: int) -> Iterator[None]:
    """Within, `map_parts` uses at most so many threads; 0 changes nothing, and an inner limit cannot raise an outer one."""
    outer = _limit.get()
    token = _limit.set(min(count, outer) if count and outer else count or outer)
    try:
        yield
    finally:
        _limit.reset(token)


def map_parts(function: Callable[[S], T], parts: Iterable[S]) -> list[T]:
    """Call a function for the parts of one picture, in as many threads as `limit_threads` allows; returns the values."""
    parts, threads = list(parts), _limit.get() or cores()
    if min(threads, len(parts)) < 2:
        return [function(part) for part in parts]
    with _pool(min(threads, len(parts))) as pool:
        return list(pool.map(function, parts))


def _pool(count: int) -> "ThreadPoolExecutor":
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(count, thread_name_prefix="figureground-part")


def pause() -> None:
    """Wait a moment for the next item. For back ends."""
    time.sleep(TICK)
