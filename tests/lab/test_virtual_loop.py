"""Virtual time: what waits for processes takes no time, and what waits for others takes as long as it does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdl.virtual import VirtualClock, VirtualLoop, let_go, on_virtual_time, outside


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def _wall(loop: VirtualLoop, work: Awaitable[Any]) -> tuple[float, float]:
    """Virtual and wall seconds that something takes."""
    virtual, wall = loop.time(), time.perf_counter()
    loop.run_until_complete(work)
    return loop.time() - virtual, time.perf_counter() - wall


def test_days_pass_in_no_time(loop: VirtualLoop) -> None:
    """A sleep of three days takes three virtual days and a moment of wall time."""
    virtual, wall = _wall(loop, asyncio.sleep(72 * 3600))
    assert virtual == pytest.approx(72 * 3600)
    assert wall < 1


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_things_happen_in_order(delays: list[float]) -> None:
    """Whatever sleeps are under way, they end in the order of their times, and each at its own."""
    ended: list[tuple[float, float]] = []

    async def one(delay: float) -> None:
        await asyncio.sleep(delay)
        ended.append((asyncio.get_running_loop().time(), delay))

    async def every() -> None:
        await asyncio.gather(*(one(delay) for delay in delays))

    loop = VirtualLoop()
    loop.run_until_complete(every())
    loop.close()
    assert [delay for _, delay in ended] == sorted(delays)
    assert all(at == pytest.approx(delay, abs=1e-6) for at, delay in ended)


def test_a_conversation_over_tcp(loop: VirtualLoop) -> None:
    """Bytes between two ends in the loop arrive before any time passes, so no time-out comes early."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            await asyncio.sleep(1.9)
            writer.write(line)
        writer.close()

    async def talk() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for _ in range(300):
            writer.write(b"?\n")
            async with asyncio.timeout(2):
                assert await reader.readline() == b"?\n"
            await asyncio.sleep(100)
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    virtual, wall = _wall(loop, talk())
    assert virtual == pytest.approx(300 * 101.9)
    assert wall < 5


@pytest.mark.parametrize("how", ["to_thread", "executor", "outside"])
def test_time_stands_still_while_a_thread_works(loop: VirtualLoop, how: str) -> None:
    """What a thread does for the loop takes no virtual time, though a timer waits."""
    pool = ThreadPoolExecutor(1)

    async def work() -> float:
        running = asyncio.get_running_loop()
        timer = asyncio.ensure_future(asyncio.sleep(1.0))
        if how == "to_thread":
            await asyncio.to_thread(time.sleep, 0.1)
        elif how == "executor":
            await running.run_in_executor(pool, time.sleep, 0.1)
        else:
            with outside():
                await asyncio.wrap_future(pool.submit(time.sleep, 0.1))
        at = running.time()
        await timer
        return at

    assert loop.run_until_complete(work()) == 0.0
    assert loop.time() == pytest.approx(1.0)
    pool.shutdown()


def test_a_process_that_a_held_client_waits_for(loop: VirtualLoop) -> None:
    """A client in a thread holds time for its answer; the process that it waits for lets go, and takes its time."""
    pool = ThreadPoolExecutor(1)

    async def process() -> None:
        with let_go():
            await asyncio.sleep(3600)

    async def ask() -> None:
        def call() -> None:
            asyncio.run_coroutine_threadsafe(process(), loop).result(10)

        with outside():
            await asyncio.wrap_future(pool.submit(call))

    virtual, _ = _wall(loop, ask())
    assert virtual == pytest.approx(3600)
    pool.shutdown()


def test_a_soft_hold_gives_way(loop: VirtualLoop) -> None:
    """Held softly, time waits for what comes within milliseconds, and goes on when nothing does."""

    async def work(call: Callable[[], Awaitable[Any]]) -> float:
        with outside(softly=True):
            await call()
        return asyncio.get_running_loop().time()

    pool = ThreadPoolExecutor(1)
    quick = lambda: asyncio.wrap_future(pool.submit(time.sleep, 0.001))  # noqa: E731
    assert loop.run_until_complete(work(quick)) == 0.0
    assert loop.run_until_complete(work(lambda: asyncio.sleep(50))) == pytest.approx(50.0)
    pool.shutdown()


def test_a_failed_hand_over_lets_time_go(loop: VirtualLoop) -> None:
    """Time is not held for ever by work that no executor took."""
    pool = ThreadPoolExecutor(1)
    pool.shutdown()

    async def work() -> None:
        with pytest.raises(RuntimeError, match="shutdown"):
            await asyncio.get_running_loop().run_in_executor(pool, time.sleep, 0)
        await asyncio.sleep(5)

    virtual, _ = _wall(loop, work())
    assert virtual == pytest.approx(5.0)


def test_the_time_of_day(loop: VirtualLoop) -> None:
    """The clock's time of day goes on from the real one, and never before that of a record which is taken up."""
    clock = VirtualClock(loop)
    assert abs(clock.wall_ns() - time.time_ns()) < 10e9
    loop.run_until_complete(clock.sleep(86_400))
    assert clock.wall_ns() - time.time_ns() == pytest.approx(86_400e9, abs=10e9)
    later = clock.wall_ns() + int(3600e9)
    clock.not_before(later)
    assert clock.wall_ns() == later
    clock.not_before(0)
    assert clock.wall_ns() == later


def test_only_virtual_loops_are_virtual(loop: VirtualLoop) -> None:
    """`on_virtual_time` tells the loops apart, and holding an ordinary one does nothing."""

    async def look() -> bool:
        with outside(), outside(softly=True), let_go():
            return on_virtual_time()

    assert loop.run_until_complete(look())
    assert not asyncio.run(look())
    assert not on_virtual_time()
