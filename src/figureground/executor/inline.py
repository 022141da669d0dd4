"""Run in this thread, one item after the other: no worker to start, and none to limit, kill or replace."""

from collections.abc import Iterator
from typing import TypeVar

from figureground.executor import ExecutorConfig, Function, Items, Numbered, Stop, attempt, loaded, pause

S = TypeVar("S")
T = TypeVar("T")


def results(function: Function[S, T], items: Items[S], config: ExecutorConfig, stop: Stop) -> Iterator[Numbered[S, T]]:
    """Yield the result of each item. Raises FigureGroundError where the function cannot be loaded."""
    call = None
    for numbered in items:
        if stop.soft:
            return
        if numbered is None:
            pause()
            continue
        call = call or loaded(function)
        place, item = numbered
        yield place, attempt(call, item, config.threads)
