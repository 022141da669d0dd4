"""The workers behind the event loop: order, limits, death, recycling, stop."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from figureground.errors import UnreadablePicture
from figureground.executor import ExecutorConfig
from figureground.server.errors import Refused
from figureground.server.pool import PicturePool, Ticket
from odd_workers import Odd


@asynccontextmanager
async def pool_of(workers=1, queue=4, seconds=30.0, recycle=0, loader=None):
    pool = PicturePool(loader or Odd(), ExecutorConfig("process", workers), queue, seconds, recycle)
    pool.start()
    try:
        await until(lambda: pool.ready == workers or loader)
        yield pool
    finally:
        await pool.stop()


async def until(condition, seconds=60):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        await asyncio.sleep(0.01)


def run(function):
    asyncio.run(function())


def test_results_and_errors_come_to_whom_they_belong():
    async def check():
        async with pool_of() as pool:
            first = await pool.submit(("pid", 0))
            assert await pool.submit(("echo", "a")) == "a"
            results = await asyncio.gather(*(pool.submit(("echo", number)) for number in range(4)))
            assert results == [0, 1, 2, 3]
            with pytest.raises(UnreadablePicture, match="no picture"):
                await pool.submit(("refuse", 0))
            with pytest.raises(RuntimeError, match="fault of ours"):
                await pool.submit(("fail", 0))
            assert await pool.submit(("pid", 0)) == first
            assert pool.deaths == 0 and pool.memory()[0] > 1e6

    run(check)


def test_the_queue_is_bounded_and_says_when_to_come_back():
    async def check():
        async with pool_of(queue=2) as pool:
            busy = [asyncio.ensure_future(pool.submit(("sleep", 1.0)))]
            await until(lambda: pool.working == 1)
            busy += [asyncio.ensure_future(pool.submit(("echo", 5))) for _ in range(2)]
            await asyncio.sleep(0)
            assert pool.full
            began = time.monotonic()
            for _ in range(100):
                with pytest.raises(Refused) as caught:
                    await pool.submit(("echo", 0))
                assert caught.value.status == 429 and caught.value.retry_after >= 1
            assert time.monotonic() - began < 1
            assert (await asyncio.gather(*busy))[1:] == [5, 5]
            assert not pool.full

    run(check)


def test_an_item_that_takes_too_long_ends_its_worker_alone():
    async def check():
        async with pool_of(seconds=0.5) as pool:
            before = await pool.submit(("pid", 0))
            began = time.monotonic()
            with pytest.raises(Refused) as caught:
                await pool.submit(("sleep", 60))
            assert (caught.value.code, caught.value.status) == ("timeout", 503)
            assert time.monotonic() - began < 10
            await until(lambda: pool.ready == 1)
            assert await pool.submit(("pid", 0)) != before
            assert pool.deaths == 1

    run(check)


def test_who_waits_too_long_is_told():
    async def check():
        async with pool_of(seconds=1.5) as pool:
            first = asyncio.ensure_future(pool.submit(("sleep", 60)))
            await until(lambda: pool.working == 1)
            second = asyncio.ensure_future(pool.submit(("echo", 1)))
            codes = [getattr(each, "code", each) for each in await asyncio.gather(first, second, return_exceptions=True)]
            assert codes[0] == "timeout" and codes[1] in ("busy", 1)
            assert not pool.waiting

    run(check)


def test_a_worker_that_dies_takes_only_its_own_item():
    async def check():
        async with pool_of(workers=2, queue=10) as pool:
            items = [("echo", 1), ("die", 0), ("echo", 2), ("echo", 3), ("echo", 4)]
            results = await asyncio.gather(*map(pool.submit, items), return_exceptions=True)
            failed = [each for each in results if isinstance(each, Exception)]
            assert [each.code for each in failed] == ["resource_limit"] and failed[0].retry_after
            assert sorted(each for each in results if not isinstance(each, Exception)) == [1, 2, 3, 4]
            await until(lambda: pool.ready == 2)
            pool.slots[0].kill()  # while it is idle
            await until(lambda: pool.ready == 1)
            await until(lambda: pool.ready == 2)
            assert await pool.submit(("echo", 9)) == 9

    run(check)


def test_a_worker_that_keeps_too_much_memory_is_replaced():
    async def check():
        async with pool_of(recycle=150) as pool:
            before = await pool.submit(("pid", 0))
            assert await pool.submit(("hold", 200_000_000)) == before
            await until(lambda: pool.ready == 1)
            assert await pool.submit(("pid", 0)) != before
            assert pool.deaths == 0

    run(check)


def test_workers_that_cannot_begin_are_started_again(tmp_path, monkeypatch):
    monkeypatch.setattr("figureground.server.pool.PAUSES", (0.0, 0.1))
    (tmp_path / "broken").touch()

    async def check():
        async with pool_of(loader=Odd(str(tmp_path / "broken"))) as pool:
            await asyncio.sleep(0.5)
            assert pool.ready == 0
            waits = asyncio.ensure_future(pool.submit(("echo", 7)))
            (tmp_path / "broken").unlink()
            assert await waits == 7

    run(check)


def test_what_waits_when_the_pool_stops_gets_an_answer():
    async def check():
        async with pool_of() as pool:
            items = [asyncio.ensure_future(pool.submit(("sleep", 30))) for _ in range(3)]
            await until(lambda: pool.working == 1)
            assert not await pool.drained(0.05)
        results = await asyncio.gather(*items, return_exceptions=True)
        assert {each.code for each in results} == {"busy"}

    run(check)


def test_like_goes_to_like_while_nobody_waits_for_long():
    async def check():
        pool = PicturePool(Odd(), ExecutorConfig("process", 2), 4, 1)
        tickets = [Ticket(kind, kind, asyncio.get_running_loop().create_future()) for kind in ("a", "b", "b", "c")]
        pool.waiting.extend(tickets)
        assert pool.take("b") is tickets[1]
        assert pool.take("c") is tickets[0], "c is too far behind"
        tickets[2].queued -= 100
        assert pool.take("c") is tickets[2]
        tickets[3].future.set_result(None)
        assert pool.take("c") is None
        await pool.stop()

    run(check)
