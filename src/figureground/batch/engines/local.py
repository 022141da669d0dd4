"""Processes on this machine: each does one picture at a time; one that dies or hangs is replaced."""

from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import wait

from figureground.batch.engines import Stop, Work
from figureground.batch.engines._hand import TRIES, Hand
from figureground.batch.ledger import Outcome, Task
from figureground.errors import CannotGoOn

TICK = 0.25  # seconds after which it is looked whether the run is to end


def outcomes(work: Work, tasks: Iterator[Task | None], stop: Stop) -> Iterator[Outcome]:
    """What became of each task, as soon as it is known.

    A picture whose worker died is tried again, by `TRIES` workers in all; one that took too long is not.
    Raises FigureGroundError where a worker cannot begin, CannotGoOn where they die before they have begun.
    """
    run = _Run(work, tasks, stop)
    try:
        yield from run.outcomes()
    finally:
        for hand in run.hands:
            hand.end(0 if stop.hard else 5)


class _Run:
    """The workers, and what waits for one."""

    def __init__(self, work: Work, tasks: Iterator[Task | None], stop: Stop) -> None:
        self.work, self.tasks, self.stop = work, tasks, stop
        self.hands: list[Hand] = []
        self.again: deque[Task] = deque()
        self.tries: dict[int, int] = {}
        self.stillborn = 0
        self.exhausted = False

    def outcomes(self) -> Iterator[Outcome]:
        task = self._next()
        if task is None and self.exhausted:
            return
        if task is not None:
            self.again.append(task)
        self.hands = [Hand(self.work)]  # one first: what has to be fetched or converted is so once
        while not self.stop.hard:
            self._hand_out()
            if not any(hand.task for hand in self.hands) and (self.stop.soft or (self.exhausted and not self.again)):
                return
            yield from self._heard()
            yield from self._timed_out()

    def _next(self) -> Task | None:
        if self.again:
            return self.again.popleft()
        if self.exhausted:
            return None
        try:
            return next(self.tasks)
        except StopIteration:
            self.exhausted = True
            return None

    def _hand_out(self) -> None:
        """A task for every worker that is free, and further workers as long as there are tasks for them."""
        for hand in self.hands:
            if not self.stop.soft and not hand.loading and hand.task is None and (task := self._next()) is not None:
                hand.give(task)
        ready = not any(hand.loading for hand in self.hands)
        if ready and len(self.hands) < self.work.workers and all(hand.task for hand in self.hands) and not self.stop.soft:
            self.hands += [Hand(self.work) for _ in range(self.work.workers - len(self.hands))]

    def _heard(self) -> Iterator[Outcome]:
        """What workers say within a moment."""
        patience = max(0.0, min([TICK, *(hand.left() for hand in self.hands)]))
        said = wait([hand.connection for hand in self.hands], patience)
        for hand in [hand for hand in self.hands if hand.connection in said]:
            try:
                outcome = hand.hear()
            except EOFError:
                yield from self._died(hand)
                continue
            self.stillborn = 0
            if outcome is not None:
                self.tries.pop(outcome.number, None)
                yield outcome

    def _died(self, hand: Hand) -> Iterator[Outcome]:
        """Put another in its place; its picture gets another try, or is given up."""
        task = hand.task
        how = self._replace(hand)
        if task is None:
            self.stillborn += 1
            if self.stillborn >= TRIES:
                raise CannotGoOn(
                    f"workers end before they have begun ({how}); is there enough memory for {self.work.workers}?",
                    code="resource_limit",
                )
            return
        count = self.tries[task.number] = self.tries.get(task.number, 0) + 1
        if count < TRIES:
            self.again.append(task)
        else:
            del self.tries[task.number]
            message = f"{TRIES} workers died of it ({how}); it needs more memory than there is, or meets a fault of ours"
            yield Outcome(task.number, "failed", "resource_limit", message)

    def _timed_out(self) -> Iterator[Outcome]:
        for hand in list(self.hands):
            if hand.task is not None and hand.left() <= 0:
                number = hand.task.number
                self._replace(hand)
                message = f"it took more than {self.work.seconds:g} seconds; allow more with --picture-seconds"
                yield Outcome(number, "failed", "timeout", message, self.work.seconds)

    def _replace(self, hand: Hand) -> str:
        how = hand.end()
        self.hands[self.hands.index(hand)] = Hand(self.work)
        return how
