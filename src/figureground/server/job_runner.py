"""Jobs in work: pictures go to the workers when no request waits for them."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from figureground.errors import FigureGroundError
from figureground.separation import VIEWS
from figureground.server.errors import Refused, refused
from figureground.server.job_store import JobStore
from figureground.server.options import Options, build_spec, read_options, suffixes
from figureground.server.service import Service
from figureground.server.worker import ServerResult, ServerTask

LOG = logging.getLogger("figureground.server")
TICK = 0.25
"""Seconds after which the queue is looked at again."""
SWEEP_SECONDS = 30.0
TRIES = 3
"""How often a picture is tried whose worker ended."""
MAX_STORED = 5_000_000_000
"""Bytes of pictures and results of all jobs."""


class JobRunner:
    """Works on the jobs of a store, as many pictures at a time as there are workers."""

    def __init__(self, service: Service, store: JobStore) -> None:
        self.service, self.store = service, store
        self.changed = asyncio.Condition()
        self.tasks: list[asyncio.Task[None]] = []
        self.tries: dict[tuple[str, int], int] = {}

    def start(self) -> None:
        """Begin, with what an earlier server has left."""
        self.tasks = [asyncio.create_task(self._work()) for _ in range(self.service.config.workers)]
        self.tasks.append(asyncio.create_task(self._sweep()))

    async def stop(self) -> None:
        """Take no further picture, and leave those in work for the next server."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.notify()
        self.store.close()

    async def add(self, options: Options, pictures: list[bytes], owner: str) -> str:
        """Store a job and return its id; raises Refused where there is no place, UsageError where it cannot be done."""
        if self.store.waiting() >= self.service.config.max_jobs:
            raise Refused("too_many_requests", "too many jobs wait", retry_after=60)
        if self.store.stored() + sum(map(len, pictures)) > MAX_STORED:
            raise Refused("busy", "the results of other jobs take all the space", retry_after=600)
        given = options.model_dump(exclude_none=True)
        suffixes(self._spec(given), _suffix(given))
        job = self.store.add(given, pictures, owner)
        await self.notify()
        return job

    def _spec(self, given: Mapping[str, Any]) -> Any:
        config = self.service.config
        return build_spec(read_options(self.service.options, given), config.methods, config.settings)

    async def notify(self) -> None:
        """Wake all who wait for a change."""
        async with self.changed:
            self.changed.notify_all()

    async def wait(self, seconds: float) -> None:
        """Wait for a change of any job, at most so long."""
        async with self.changed:
            try:
                await asyncio.wait_for(self.changed.wait(), seconds)
            except TimeoutError:
                return

    async def _work(self) -> None:
        while True:
            pool = self.service.pool
            if self.service.stopping or pool.waiting or not pool.ready or (picture := self.store.begin_next()) is None:
                await self.wait(TICK)
                continue
            try:
                await self._one(*picture)
            except asyncio.CancelledError:
                self.store.give_back(*picture[:2])
                raise
            except Exception as error:
                LOG.exception("a job met a fault")
                self.store.fail(*picture[:2], _plain(refused(error)))
            await self.notify()

    async def _one(self, job: str, number: int, given: dict[str, Any]) -> None:
        """Process one picture of a job."""
        try:
            spec, suffix = self._spec(given), _suffix(given)
            data = await asyncio.to_thread(self.store.path(job, f"{number}.picture").read_bytes)
            result: ServerResult = await self.service.process(ServerTask(data, spec, suffixes(spec, suffix)))
        except (Refused, FigureGroundError) as error:
            refusal = refused(error)
            tries = self.tries[job, number] = self.tries.get((job, number), 0) + 1
            if refusal.code in ("busy", "too_many_requests") or (refusal.code == "resource_limit" and tries < TRIES):
                self.store.give_back(job, number)
                await asyncio.sleep(TICK)
            else:
                self.store.fail(job, number, _plain(refusal))
            return
        facts = {name: value for name, value in result.facts.items() if name not in ("picture", "licence", "seconds")}
        files = {f"{number}.{view}{VIEWS[view].suffix or suffix}": data for view, data in result.files.items()}
        self.tries.pop((job, number), None)
        self.store.finish(job, number, facts, files)

    async def _sweep(self) -> None:
        """Remove results that were kept long enough."""
        while True:
            self.store.remove_expired(self.service.config.keep_seconds)
            await asyncio.sleep(min(SWEEP_SECONDS, max(TICK, self.service.config.keep_seconds / 4)))


def _suffix(given: Mapping[str, Any]) -> str:
    return f".{given.get('format', 'png')}"


def _plain(refusal: Refused) -> dict[str, str]:
    return {"code": refusal.code, "message": refusal.message}
