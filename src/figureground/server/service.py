"""What all routes of one server share: its configuration, workers, metrics, keys and jobs."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from starlette.requests import Request

from figureground.errors import FigureGroundError
from figureground.executor import ExecutorConfig
from figureground.io.download import fetch
from figureground.jobs import JobSpec
from figureground.methods import find
from figureground.server.bodies import Body, BodyLimits, Budget, read_body
from figureground.server.config import ServerConfig
from figureground.server.errors import Refused, refused
from figureground.server.job_store import JobStore
from figureground.server.keys import Keys
from figureground.server.metrics import Metrics
from figureground.server.options import options_model
from figureground.server.pool import PicturePool, resident
from figureground.server.worker import PictureWorkerConfig, ServerResult, ServerTask

if TYPE_CHECKING:
    from figureground.server.job_runner import JobRunner

FETCHES = 16
"""Addresses that are fetched at a time."""


class Service:
    """One server's state. All but `start` may be used only after `start`."""

    def __init__(self, config: ServerConfig) -> None:
        config.validate()
        self.config = config
        self.metrics = Metrics()
        self.keys = Keys(config.keys) if config.keys else None
        self.options = options_model(config.methods)
        self.budget = Budget(config.buffered)
        self.stopping = False
        self.pages = 0
        """Pages that are open in browsers."""
        self.left: float | None = None
        """When the last page was closed, by time.monotonic; None: none was open, or one is."""
        self.active = 0
        """Requests that are being answered."""
        self.pool: PicturePool
        self.jobs: JobRunner
        self.temporary: TemporaryDirectory[str] | None = None
        self.fetchers: ThreadPoolExecutor

    async def start(self) -> None:
        """Start the workers."""
        config = self.config
        method = find(config.methods[0]) if config.preload else None
        executor = ExecutorConfig("process", config.workers, config.settings.threads, 0.0, config.memory)
        loader = PictureWorkerConfig(config.settings, method)
        self.pool = PicturePool(loader, executor, config.queue, config.seconds, config.recycle)
        self.pool.on_wait = self.metrics.stages.labels("queue").observe
        self.fetchers = ThreadPoolExecutor(FETCHES, thread_name_prefix="figureground-fetch")
        self.pool.start()
        self.start_jobs()

    def start_jobs(self) -> None:
        """Open the folder of jobs, and go on with those that are there. Raises UsageError."""
        from figureground.server.job_runner import JobRunner

        if self.config.state is None:
            self.temporary = TemporaryDirectory(prefix="figureground-jobs-")
        folder = Path(self.temporary.name) if self.temporary else self.config.state
        self.jobs = JobRunner(self, JobStore(folder or Path()))
        self.jobs.start()

    async def stop(self) -> None:
        """Finish what was accepted, and end the workers."""
        self.stopping = True
        await self.pool.drained(self.config.stop_seconds)
        await self.jobs.stop()
        await self.pool.stop()
        if self.temporary is not None:
            self.temporary.cleanup()
        self.fetchers.shutdown(wait=False, cancel_futures=True)

    @property
    def ready(self) -> bool:
        """Whether a request would find a worker."""
        return not self.stopping and self.pool.ready > 0

    @asynccontextmanager
    async def body(self, request: Request, even_if_full: bool = False) -> AsyncIterator[Body]:
        """Give the parts of a request's body; what it holds is counted until the end. Raises Refused."""
        if not even_if_full:
            self.refuse_where_full()
        with self.budget.share() as share:
            yield await read_body(request, BodyLimits(self.config.max_body, self.config.body_seconds), share)

    def refuse_where_full(self) -> None:
        """Raise Refused where there is no place in the queue, before a body is read."""
        if self.pool.full:
            retry = self.pool.retry_after()
            raise Refused("too_many_requests", "all workers are busy and the queue is full", retry_after=retry)

    async def fetch(self, url: str) -> bytes:
        """Return the picture at an address; raises Refused."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self.fetchers, partial(fetch, url, self.config.settings))
        except FigureGroundError as error:
            raise refused(error) from None

    async def process(self, task: ServerTask) -> ServerResult:
        """Have a worker do a task; raises Refused or FigureGroundError."""
        result: ServerResult = await self.pool.submit(task, _kind(task.spec))
        for stage, seconds in result.seconds.items():
            self.metrics.stages.labels(stage).observe(seconds)
        return result

    def measure(self) -> bytes:
        """Return the metrics of now."""
        metrics, pool = self.metrics, self.pool
        metrics.waiting.set(len(pool.waiting))
        metrics.working.set(pool.working)
        metrics.ready.set(pool.ready)
        metrics.deaths.set(pool.deaths)
        metrics.buffered.set(self.budget.held)
        metrics.memory.labels("front").set(resident(os.getpid()))
        for number, memory in enumerate(pool.memory()):
            metrics.memory.labels(f"worker-{number}").set(memory)
        return metrics.text()


def _kind(spec: JobSpec) -> object:
    return repr((spec.method, spec.settings))


def one_picture(files: Sequence[bytes]) -> bytes:
    """Return the one picture of a request; raises Refused."""
    if len(files) != 1:
        what = "none" if not files else f"{len(files)}"
        raise Refused("usage", f"image: one picture is wanted, but got {what}", status=422, field="image")
    return files[0]
