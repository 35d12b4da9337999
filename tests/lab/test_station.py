"""Plans on a real RunEngine with soft devices."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from ophyd_async.core import AsyncStatus, StandardReadable, StandardReadableFormat, soft_signal_rw

from sdl.devices.soft import SoftDetector
from sdl.lab.clock import LabClock
from sdl.lab.station import Aborted, Station
from sdl.model import Fault, Infeasible

Documents = list[tuple[str, dict[str, Any]]]


class Actuator(StandardReadable):
    """A device whose `set` may fail or take for ever; it counts how often it was stopped."""

    def __init__(self, name: str) -> None:
        self.stopped = 0
        self.failure: Exception | None = None
        self.forever = False
        with self.add_children_as_readables(StandardReadableFormat.HINTED_UNCACHED_SIGNAL):
            self.place = soft_signal_rw(float, 0.0, units="mm")
        super().__init__(name=name)

    @AsyncStatus.wrap
    async def set(self, value: float) -> None:
        if self.failure is not None:
            raise self.failure
        if self.forever:
            await asyncio.sleep(3600)
        await self.place.set(value)

    async def stop(self, success: bool = True) -> None:
        self.stopped += 1


@contextlib.asynccontextmanager
async def opened(name: str = "bench", speed: float = 1.0, **devices: Any) -> AsyncIterator[Station]:
    station = Station(
        name, devices or {"detector": SoftDetector(name="detector", value=1.0, step=1.0)}, LabClock(speed)
    )
    try:
        await station.open()
        yield station
    finally:
        await station.close()


def reading(detector: Any, n: int = 1) -> Iterator[Any]:
    @bpp.run_decorator()
    def inner() -> Iterator[Any]:
        for _ in range(n):
            yield from bps.trigger_and_read([detector])

    return inner()


async def works(station: Station) -> None:
    """The station still runs plans."""
    documents: Documents = []
    runs = await station.run(reading(next(iter(station.devices.values()))), lambda n, d: documents.append((n, d)), {})
    assert len(runs) == 1
    assert [name for name, _ in documents] == ["start", "descriptor", "event", "stop"]
    assert documents[-1][1]["exit_status"] == "success"


def nothing(name: str, doc: dict[str, Any]) -> None:
    return None


async def test_documents_and_run_ids() -> None:
    """A plan of two runs gives two uids, and each document in order with the step's metadata."""
    async with opened() as station:
        detector = station.devices["detector"]

        def plan() -> Iterator[Any]:
            yield from reading(detector, 2)
            yield from reading(detector)

        documents: Documents = []
        runs = await station.run(plan(), lambda n, d: documents.append((n, d)), {"trial": 3, "step": "read"})
        starts = [doc for name, doc in documents if name == "start"]
        assert runs == tuple(doc["uid"] for doc in starts)
        assert [(doc["trial"], doc["step"]) for doc in starts] == [(3, "read")] * 2
        values = [doc["data"]["detector-value"] for name, doc in documents if name == "event"]
        assert values == [2.0, 3.0, 4.0]


async def test_a_plan_without_runs() -> None:
    """A plan that opens no run gives no uid."""
    async with opened() as station:
        assert await station.run(bps.null(), nothing, {}) == ()


async def test_sleep_is_lab_time() -> None:
    """`bps.sleep` of 100 lab seconds at speed 1000 takes a tenth of a second."""
    async with opened(speed=1000.0) as station:
        begun = time.monotonic()
        await station.run(bps.sleep(100), nothing, {})
        assert 0.1 <= time.monotonic() - begun < 5


async def test_the_loop_is_free_while_a_plan_runs() -> None:
    """The coordinator's loop goes on while a plan sleeps."""
    async with opened() as station:
        run = asyncio.ensure_future(station.run(bps.sleep(0.3), nothing, {}))
        ticks = 0
        while not run.done():
            await asyncio.sleep(0.01)
            ticks += 1
        assert ticks >= 5


async def test_over_the_time_limit() -> None:
    """A plan over its limit is a fault that names the limit; its run is closed and the station goes on."""
    async with opened(speed=100.0) as station:
        documents: Documents = []

        @bpp.run_decorator()
        def plan() -> Iterator[Any]:
            yield from bps.sleep(1e6)

        with pytest.raises(Fault, match="given up after its time limit of 20 s of lab time"):
            await station.run(plan(), lambda n, d: documents.append((n, d)), {}, time_limit=20.0)
        assert [name for name, _ in documents] == ["start", "stop"]
        assert documents[-1][1]["exit_status"] == "abort"
        await works(station)


async def test_within_the_time_limit() -> None:
    """A plan that ends in time is not touched."""
    async with opened() as station:
        detector = station.devices["detector"]
        assert len(await station.run(reading(detector), nothing, {}, time_limit=60)) == 1


async def test_abort_is_quick_and_leaves_the_station_usable() -> None:
    """Abort ends a waiting plan at once: its cleanup runs, moved devices are stopped, and the next plan works."""
    mover = Actuator("mover")
    async with opened(mover=mover) as station:
        mover.forever = True
        cleaned = []

        def plan() -> Iterator[Any]:
            try:
                yield from bps.mv(mover, 3.0)
            finally:
                cleaned.append(True)

        run = asyncio.ensure_future(station.run(plan(), nothing, {}))
        await asyncio.sleep(0.2)
        begun = time.monotonic()
        await station.abort("asked to")
        with pytest.raises(Aborted):
            await run
        assert time.monotonic() - begun < 3
        assert cleaned == [True]
        assert mover.stopped >= 1
        mover.forever = False
        await station.run(bps.mv(mover, 3.0), nothing, {})


async def test_abort_of_a_plan_that_has_just_been_handed_over() -> None:
    """Abort reaches a plan also in the moment before the RunEngine has begun it."""
    async with opened() as station:
        for delay in (0.0, 0.0, 0.001):
            run = asyncio.ensure_future(station.run(bps.sleep(30), nothing, {}))
            await asyncio.sleep(delay)
            begun = time.monotonic()
            await station.abort("at once")
            with pytest.raises(Aborted):
                await run
            assert time.monotonic() - begun < 5
        await works(station)


async def test_abort_of_an_idle_station() -> None:
    """Abort without a plan does nothing, also to the next plan."""
    async with opened() as station:
        await station.abort("nothing to do")
        await works(station)


async def test_an_exception_in_a_plan_is_a_fault_with_its_line() -> None:
    """What a plan raises becomes a fault that names the type, the text, the file and the line."""
    async with opened() as station:

        def plan() -> Iterator[Any]:
            yield from bps.null()
            raise KeyError("flow")

        with pytest.raises(Fault) as caught:
            await station.run(plan(), nothing, {})
        line = plan.__code__.co_firstlineno + 2
        assert str(caught.value) == f"KeyError: 'flow' ({Path(__file__)}:{line})"
        assert caught.value.device == ""
        await works(station)


@pytest.mark.parametrize("body", ["return 3", "yield 3", "yield from bps.mv(None, 1)", "raise SystemExit(2)"])
async def test_a_plan_that_is_wrong_is_a_fault(body: str) -> None:
    """A function that is no plan, a message that is none, and an exit are faults; the station goes on."""
    async with opened() as station:
        names: dict[str, Any] = {"bps": bps}
        exec(f"def plan():\n    yield from bps.null()\n    {body}\n", names)
        with contextlib.suppress(Fault):
            await station.run(names["plan"](), nothing, {})
        await works(station)


async def test_infeasible_passes() -> None:
    """A plan that finds the trial infeasible is heard as such, also when a fault led to it."""
    mover = Actuator("mover")
    async with opened(mover=mover) as station:
        mover.failure = Fault("mover", "blocked")

        def plan() -> Iterator[Any]:
            try:
                yield from bps.mv(mover, 1.0)
            except Exception:
                raise Infeasible("the film has peeled off")  # noqa: B904 - as a plan's author may write it

        with pytest.raises(Infeasible, match="peeled off"):
            await station.run(plan(), nothing, {})


async def test_a_failed_status_is_the_drivers_fault() -> None:
    """What a driver raises inside a status comes out as it was raised, device and all."""
    mover = Actuator("mover")
    async with opened(mover=mover) as station:
        mover.failure = Fault("mover", "no answer within 2 s")
        with pytest.raises(Fault) as caught:
            await station.run(bps.mv(mover, 1.0), nothing, {})
        assert caught.value is mover.failure
        mover.failure = Infeasible("clogged by product")
        with pytest.raises(Infeasible, match="clogged"):
            await station.run(bps.mv(mover, 1.0), nothing, {})
        mover.failure = None
        await works(station)


async def test_a_fault_that_the_plan_has_dealt_with_is_no_cause() -> None:
    """An error raised `from None` is told for itself."""
    async with opened() as station:

        def plan() -> Iterator[Any]:
            yield from bps.null()
            try:
                raise Fault("pump", "alarm")
            except Fault:
                raise ValueError("volume must be above 0 uL") from None

        with pytest.raises(Fault, match="ValueError: volume must be above 0 uL"):
            await station.run(plan(), nothing, {})


async def test_a_plan_that_pauses_itself_is_a_fault() -> None:
    """`bps.pause` has nobody to resume it: the plan fails, and the station goes on."""
    async with opened() as station:
        with pytest.raises(Fault):
            await station.run(bps.pause(), nothing, {})
        await works(station)


async def test_a_document_callback_that_raises_fails_the_run() -> None:
    """What takes the documents may refuse them; that is a fault, and the station goes on."""
    async with opened() as station:

        def refuse(name: str, doc: dict[str, Any]) -> None:
            raise ValueError("the record is full")

        with pytest.raises(Fault, match="the record is full"):
            await station.run(reading(station.devices["detector"]), refuse, {})
        await works(station)


async def test_two_stations_at_once() -> None:
    """Two stations sleep at the same time, and each has its own documents."""
    async with opened("a") as first, opened("b") as second:
        documents: dict[str, Documents] = {"a": [], "b": []}

        def plan(station: Station) -> Iterator[Any]:
            yield from bps.sleep(1.0)
            yield from reading(station.devices["detector"])

        def take(station: Station) -> Callable[[str, dict[str, Any]], None]:
            return lambda name, doc: documents[station.name].append((name, doc))

        begun = time.monotonic()
        await asyncio.gather(*(s.run(plan(s), take(s), {"who": s.name}) for s in (first, second)))
        assert time.monotonic() - begun < 1.9
        for name, got in documents.items():
            assert [doc["who"] for kind, doc in got if kind == "start"] == [name]
            assert len(got) == 4


async def test_aborting_one_station_leaves_the_other() -> None:
    """Abort concerns one station only."""
    async with opened("a") as first, opened("b") as second:
        stopped = asyncio.ensure_future(first.run(bps.sleep(30), nothing, {}))
        going = asyncio.ensure_future(second.run(bps.sleep(0.4), nothing, {}))
        await asyncio.sleep(0.1)
        await first.abort("only this one")
        with pytest.raises(Aborted):
            await stopped
        assert await going == ()


class Unanswering(SoftDetector):
    async def connect(self, *args: Any, **options: Any) -> None:
        raise OSError(f"{self.name}: connection refused")

    async def close(self) -> None:
        raise RuntimeError("was never open")


async def test_close_leaves_nothing_behind() -> None:
    """After close no thread is alive and the loop is closed, also when a device failed to open or close."""
    before = set(threading.enumerate())
    async with opened() as station:
        await works(station)
    assert station._loop.is_closed()
    broken = Station("broken", {"d": Unanswering(name="d")}, LabClock())
    with pytest.raises(Fault, match="cannot connect 1 of 1 devices: d: connection refused"):
        await broken.open()
    await broken.close()
    assert broken._loop.is_closed()
    unopened = Station("unopened", {}, LabClock())
    await unopened.close()
    assert unopened._loop.is_closed()
    names = {t.name for t in set(threading.enumerate()) - before if t.is_alive()}
    assert not [n for n in names if n.startswith("station") or "bluesky" in n], names


async def test_classic_ophyd_devices() -> None:
    """Devices of classic ophyd work like any other."""
    sim = pytest.importorskip("ophyd.sim")
    async with opened(det=sim.SynAxis(name="det")) as station:
        documents: Documents = []
        await station.run(reading(station.devices["det"]), lambda n, d: documents.append((n, d)), {})
        assert [name for name, _ in documents] == ["start", "descriptor", "event", "stop"]
