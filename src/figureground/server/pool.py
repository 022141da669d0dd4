"""Worker processes in front of which an event loop waits: a bounded queue, a deadline for each picture, and replacement.

Each worker has a task of the event loop, which gives it one item after the other, and a thread, which waits for its pipe.
"""

import asyncio
import logging
import math
import sys
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from figureground.errors import FigureGroundError
from figureground.executor import ExecutorConfig, Result
from figureground.executor._worker_process import WorkerProcess
from figureground.server.errors import Refused

LOG = logging.getLogger("figureground.server")
START_SECONDS = 120.0
"""Seconds in which a worker must be ready."""
PAUSES = (0.0, 1.0, 5.0, 15.0)
"""Seconds before a worker that did not become ready is started again; the last counts for all further tries."""


@dataclass(slots=True, eq=False)
class Ticket:
    """An item that waits for a worker, and the future of its result."""

    item: Any
    kind: object
    """Items of equal kinds go to the same worker where there is a choice, since it has loaded what they need."""
    future: asyncio.Future[Any]
    queued: float = field(default_factory=time.monotonic)


class PicturePool:
    """Workers and the items that wait for one. All methods belong to the event loop.

    function : a Loader, which each worker loads. seconds : of one item in a worker, and of its wait for one. queue : items that
    may wait. recycle : megabytes that an idle worker may hold.
    """

    def __init__(self, function: Any, config: ExecutorConfig, queue: int, seconds: float, recycle: int = 0) -> None:
        self.function, self.config, self.queue, self.seconds, self.recycle = function, config, queue, seconds, recycle
        self.waiting: deque[Ticket] = deque()
        self.slots = [_Slot(self) for _ in range(config.count)]
        self.threads = ThreadPoolExecutor(config.count, thread_name_prefix="figureground-worker")
        self.changed = asyncio.Condition()
        self.mean = 1.0
        self.tasks: list[asyncio.Task[None]] = []
        self.deaths = 0
        self.on_wait: Callable[[float], None] = lambda _: None

    @property
    def ready(self) -> int:
        """The number of workers that are ready."""
        return sum(slot.ready for slot in self.slots)

    @property
    def working(self) -> int:
        """The number of items in workers."""
        return sum(slot.ticket is not None for slot in self.slots)

    @property
    def full(self) -> bool:
        """Whether another item would be refused."""
        free = sum(slot.ready and slot.ticket is None for slot in self.slots)
        return len(self.waiting) >= self.queue + free

    def retry_after(self) -> float:
        """Return the seconds in which the queue of now should be done."""
        return max(1.0, math.ceil((len(self.waiting) + 1) * self.mean / len(self.slots)))

    def start(self) -> None:
        """Start the workers; does not wait for them."""
        self.tasks = [asyncio.create_task(slot.run()) for slot in self.slots]

    async def submit(self, item: Any, kind: object = None) -> Any:
        """Return the result of an item; raises Refused where there is no place or no time, or what the worker raised."""
        if self.full:
            raise Refused("too_many_requests", "all workers are busy and the queue is full", retry_after=self.retry_after())
        ticket = Ticket(item, kind, asyncio.get_running_loop().create_future())
        self.waiting.append(ticket)
        async with self.changed:
            self.changed.notify_all()
        timer = asyncio.get_running_loop().call_later(self.seconds, self._expire, ticket)
        try:
            return await ticket.future
        finally:
            timer.cancel()
            with suppress(ValueError):
                self.waiting.remove(ticket)

    def _expire(self, ticket: Ticket) -> None:
        if ticket in self.waiting and not ticket.future.done():
            ticket.future.set_exception(Refused("busy", "no worker became free in time", retry_after=self.retry_after()))

    def take(self, kind: object) -> Ticket | None:
        """Return the next item for a worker that has loaded `kind`: one of the first few that needs it, else the first."""
        while self.waiting and self.waiting[0].future.done():
            self.waiting.popleft()
        if not self.waiting:
            return None
        near = list(self.waiting)[: len(self.slots)]
        chosen = next((each for each in near if each.kind == kind and not each.future.done()), near[0])
        if time.monotonic() - near[0].queued > self.mean * 4:
            chosen = near[0]
        self.waiting.remove(chosen)
        return chosen

    async def drained(self, seconds: float) -> bool:
        """Wait until nothing waits or is in work; returns whether that is so in time."""
        ends = time.monotonic() + seconds
        while (self.waiting or self.working) and time.monotonic() < ends:
            await asyncio.sleep(0.02)
        return not (self.waiting or self.working)

    async def stop(self) -> None:
        """End the workers; what waits or is in work gets an error."""
        for task in self.tasks:
            task.cancel()
        for slot in self.slots:
            slot.kill()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for ticket in self.waiting:
            if not ticket.future.done():
                ticket.future.set_exception(Refused("busy", "the server stops", retry_after=5))
        self.threads.shutdown(wait=False, cancel_futures=True)

    def memory(self) -> list[int]:
        """Return the bytes of memory that each worker holds; 0 where that is not known."""
        return [slot.memory() for slot in self.slots]


class _Slot:
    """The place of one worker, in which one follows the other."""

    def __init__(self, pool: PicturePool) -> None:
        self.pool = pool
        self.process: WorkerProcess | None = None
        self.ticket: Ticket | None = None
        self.ready = False
        self.kind: object = None
        self.killed = ""

    async def run(self) -> None:
        """Start a worker, give it items until it ends, and start the next."""
        failures = 0
        while True:
            await asyncio.sleep(PAUSES[min(failures, len(PAUSES) - 1)])
            try:
                self.ready = await self._start()
                failures = 0 if self.ready else failures + 1
                while self.ready:
                    await self._one()
            finally:
                self._end()

    async def _start(self) -> bool:
        """Start a worker; returns whether it is ready."""
        loop, self.killed, self.kind = asyncio.get_running_loop(), "", None
        timer = loop.call_later(START_SECONDS, self.kill)
        try:
            self.process = await loop.run_in_executor(self.pool.threads, WorkerProcess, self.pool.function, self.pool.config)
            await loop.run_in_executor(self.pool.threads, self.process.receive)
        except (EOFError, FigureGroundError, OSError) as error:
            LOG.error("a worker could not start: %s", error or type(error).__name__)  # noqa: TRY400  # no fault of ours
            return False
        finally:
            timer.cancel()
        async with self.pool.changed:
            self.pool.changed.notify_all()
        return True

    async def _one(self) -> None:
        """Wait for an item, and have it done; the worker is not ready afterwards where it has to be replaced."""
        ticket = await self._next()
        if ticket is None:
            return
        self.ticket, began = ticket, time.monotonic()
        self.pool.on_wait(began - ticket.queued)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self.pool.seconds, self._late)
        try:
            result = await loop.run_in_executor(self.pool.threads, self._call, ticket.item)
        except asyncio.CancelledError:
            result = Result(None, None, None)
            _fail(ticket, Refused("busy", "the server stops", retry_after=5))
            raise
        finally:
            timer.cancel()
            self.ticket = None
        self.pool.mean += 0.1 * (time.monotonic() - began - self.pool.mean)
        if result is None:
            self.ready = False
            self.pool.deaths += 1
            code, message = (
                ("timeout", f"it took more than {self.pool.seconds:g} seconds")
                if self.killed
                else ("resource_limit", "its worker ended; it may need more memory than is allowed")
            )
            _fail(ticket, Refused(code, message, retry_after=5))
        elif result.error is not None:
            _fail(ticket, result.error)
        elif not ticket.future.done():
            ticket.future.set_result(result.value)
        self.kind = ticket.kind
        if self.pool.recycle and self.ready and self.memory() > self.pool.recycle * 1_000_000:
            self.ready = False

    async def _next(self) -> Ticket | None:
        """Wait for an item; None where the worker died while it was idle."""
        async with self.pool.changed:
            while (ticket := self.pool.take(self.kind)) is None:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.pool.changed.wait(), 1.0)
                if self.process is None or not self.process.process.is_alive():
                    self.ready = False
                    return None
        return ticket

    def _call(self, item: Any) -> Result[Any, Any] | None:
        """Have the worker do an item, in a thread; None where the worker died of it."""
        process = self.process
        if process is None:
            return None
        try:
            process.submit((0, item))
            return process.receive()
        except (EOFError, OSError, ValueError):  # ValueError: the pipe is closed
            return None

    def _late(self) -> None:
        self.killed = "it took too long"
        self.kill()

    def kill(self) -> None:
        """Kill the worker; the end of its pipe tells the thread that waits for it."""
        with suppress(ValueError, AttributeError):  # it is closed, or was not started
            self.process.process.kill()  # type: ignore[union-attr]

    def _end(self) -> None:
        """Let go of the worker, which is dead, or idle."""
        self.ready = False
        if self.process is not None:
            self.kill()
            with suppress(OSError, ValueError):
                self.process.end(1)
            self.process = None

    def memory(self) -> int:
        """Return the bytes of memory that the worker holds."""
        try:
            return resident(self.process.process.pid)  # type: ignore[union-attr]
        except (ValueError, AttributeError):
            return 0


def _fail(ticket: Ticket, error: BaseException) -> None:
    if not ticket.future.done():
        ticket.future.set_exception(error)


def resident(process: int | None) -> int:
    """Return the bytes of memory of a process; 0 where the system does not tell."""
    if sys.platform != "linux" or process is None:
        return 0
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * 4096
