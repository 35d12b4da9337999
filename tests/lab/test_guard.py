"""Actions under guard: recorded before they happen, never repeated, never lost, whatever the RunEngine replays."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from ophyd_async.core import AsyncStatus, StandardReadable, StandardReadableFormat, soft_signal_rw

from sdl.campaign.settling import JournalRecorder
from sdl.journal import LeaseLost, Store, Writer, kinds
from sdl.journal.actions import ActionState, ActionStatus
from sdl.journal.state import fold_all
from sdl.lab.clock import LabClock
from sdl.lab.effects import InDoubt, current_action
from sdl.lab.guard import StepOrder
from sdl.lab.station import Aborted, Station
from sdl.model import Fault
from sdl.protocols import ActionRecord, Acts, Effect, Receipt, Verdict


class Dropper(StandardReadable):
    """Drops something each time it is set, in `slices` that take `seconds` altogether; it cannot take a drop back."""

    effects = {"set": Acts(Effect.NON_REPEATABLE, arms=True, continues=True)}

    def __init__(self, name: str, seconds: float = 0.0, slices: int = 1) -> None:
        self.dropped = 0.0
        self.calls = 0
        self.seconds, self.slices = seconds, slices
        self.fail: Callable[[], None] = lambda: None
        self.before: Callable[[], None] = lambda: None
        self.knows = True
        self._stop = False
        self._last = 0.0
        with self.add_children_as_readables(StandardReadableFormat.HINTED_UNCACHED_SIGNAL):
            self.level = soft_signal_rw(float, 0.0, units="mm")
        super().__init__(name=name)

    @AsyncStatus.wrap
    async def set(self, value: float) -> None:
        self.before()
        action = current_action()
        carried = action.carried.get("delivered", 0.0) if action is not None else 0.0
        if action is not None:
            await action.arm(counter=0.0)
        self.calls += 1
        self._stop, self._last = False, carried
        for _ in range(self.slices):
            await asyncio.sleep(self.seconds / self.slices)
            if self._stop:
                raise Fault(self.name, f"was stopped after {self._last:g} of {value:g}")
            self.dropped += (value - carried) / self.slices
            self._last += (value - carried) / self.slices
        self.fail()

    async def stop(self, success: bool = True) -> None:
        self._stop = True

    async def receipt(self, action: ActionRecord) -> Receipt:
        (wanted,) = action.arguments["args"]
        text = f"its counter shows {self._last:g}"
        if not self.knows:
            return Receipt(Verdict.UNKNOWN, text)
        if abs(self._last - wanted) < 1e-9:
            return Receipt(Verdict.DONE, text)
        if self._last == 0:
            return Receipt(Verdict.NOT_DONE, text)
        return Receipt(Verdict.PARTIAL, text, {"delivered": self._last})


class Mover(StandardReadable):
    """Goes to a place."""

    effects = {"set": Effect.ABSOLUTE}

    def __init__(self, name: str, seconds: float = 0.0) -> None:
        self.calls = 0
        self.seconds = seconds
        self._stop = False
        with self.add_children_as_readables(StandardReadableFormat.HINTED_UNCACHED_SIGNAL):
            self.place = soft_signal_rw(float, 0.0, units="mm")
        super().__init__(name=name)

    @AsyncStatus.wrap
    async def set(self, value: float) -> None:
        self.calls += 1
        self._stop = False
        for _ in range(5):
            await asyncio.sleep(self.seconds / 5)
            if self._stop:
                return
        await self.place.set(value)

    async def stop(self, success: bool = True) -> None:
        self._stop = True


class Bench:
    """A station, a store with one trial, and the writer of its campaign."""

    def __init__(self, path: Path, store: Store, writer: Writer, station: Station) -> None:
        self.path, self.store, self.writer, self.station = path, store, writer, station
        self.attempt = 0

    def actions(self) -> dict[str, ActionState]:
        self.writer.flush()
        return dict(fold_all("c", self.store.entries("c")).trials[1].actions)

    def kinds(self) -> list[str]:
        self.writer.flush()
        return [e.kind.removeprefix("action.") for e in self.store.entries("c") if e.kind.startswith("action.")]

    async def run(self, plan: Iterator[Any]) -> tuple[str, ...]:
        self.attempt += 1
        where = {"trial": 1, "step": "dose", "attempt": self.attempt}
        recorder = JournalRecorder(self.writer, lambda entry: None)
        order = StepOrder("c", 1, "dose", self.attempt, "bench", self.writer.epoch, recorder, self.actions())
        return await self.station.run(
            plan,
            lambda name, doc: self.writer.post(kinds.DOCUMENT, {**where, "name": name, "doc": doc}) and None,
            {},
            None,
            order,
        )


@contextlib.asynccontextmanager
async def bench(tmp_path: Path, **devices: Any) -> AsyncIterator[Bench]:
    path = tmp_path / "lab.db"
    with Store.open(path) as store:
        store.create("c", "dosing")
        with store.writer("c") as writer:
            writer.append(
                kinds.TRIAL_PROPOSED,
                {"trial": 1, "parameters": {}, "reason": {}, "planner": {}, "seed": 0, "known_seq": 0},
            )
            station = Station("bench", devices, LabClock())
            try:
                await station.open()
                yield Bench(path, store, writer, station)
            finally:
                await station.close()


def dose(*droppers: Any, volumes: tuple[float, ...] = (1.0, 2.0), other: Any = None) -> Iterator[Any]:
    """Drops with a checkpoint before each, then a reading."""

    @bpp.run_decorator()
    def inner() -> Iterator[Any]:
        for volume in volumes:
            for dropper in droppers:
                yield from bps.checkpoint()
                if other is not None:
                    yield from bps.mv(other, volume)
                yield from bps.mv(dropper, volume)
                yield from bps.null()
        yield from bps.trigger_and_read(list(droppers))

    return inner()


def test_on_the_disk_before_the_driver_is_called(tmp_path: Path) -> None:
    """When the driver is called, another process can read that the action was dispatched, and with which epoch."""
    seen: list[tuple[Any, ...]] = []

    async def main() -> None:
        dropper = Dropper("a")
        async with bench(tmp_path, a=dropper) as it:

            def look() -> None:
                with contextlib.closing(sqlite3.connect(it.path)) as connection:
                    seen.extend(
                        connection.execute(
                            "select json_extract(body, '$.action'), json_extract(body, '$.epoch') from entries "
                            "where kind = 'action.dispatched'"
                        )
                    )

            dropper.before = look
            await it.run(dose(dropper, volumes=(1.0,)))
            assert it.kinds() == ["dispatched", "armed", "done"]

    asyncio.run(main())
    assert seen == [("c/1/dose/1", 1)]


def messages_of(plan: Iterator[Any]) -> int:
    return sum(1 for _ in plan)


@pytest.mark.parametrize("how", ["pause", "suspend"])
@pytest.mark.parametrize("slow", [False, True])
def test_pause_and_suspend_at_every_message(tmp_path: Path, how: str, slow: bool) -> None:
    """Wherever a plan is paused or suspended, and rewound, exactly what was intended is dropped.

    It is to go on at once, while what was stopped still moves.
    """
    count = messages_of(dose(Dropper("a"), other=Mover("b")))

    async def one(place: int, folder: Path) -> None:
        dropper = Dropper("a", 0.06 if slow else 0.0, 6 if slow else 1)
        mover = Mover("b", 0.01)
        async with bench(folder, a=dropper, b=mover) as it:
            try:
                await _interrupted_at(it, dose(dropper, other=mover), place, how, 0.02 if slow else 0.0)
            except Fault as fault:
                # Bluesky replays the reading of a run that it has just closed, and fails; the step is done again then.
                if "open run" not in str(fault):
                    raise
                it.station._running_engine().msg_hook = None
                await it.run(dose(dropper, other=mover))
            assert dropper.dropped == pytest.approx(3.0, abs=1e-9), f"message {place}"
            assert await mover.place.get_value() == 2.0
            happened = [a.status for a in it.actions().values() if a.device == "a"]
            assert happened == [ActionStatus.DONE, ActionStatus.DONE]

    for place in range(2, count + 1):  # before the first checkpoint there is nothing to go back to
        folder = tmp_path / f"{place}"
        folder.mkdir()
        asyncio.run(one(place, folder))


async def _interrupted_at(it: Bench, plan: Iterator[Any], place: int, how: str, after: float) -> None:
    engine = it.station._running_engine()
    reached = 0
    asked = False

    def hook(msg: Any) -> None:
        nonlocal reached, asked
        reached += 1
        if reached >= place and not asked and engine.resumable and engine._msg_cache is not None:
            asked = True
            engine.loop.call_later(after, interrupt)  # the hook is called in the engine's loop

    def interrupt() -> None:
        if engine.state != "running":
            return  # the plan has ended meanwhile
        if how == "pause":
            it.station._pausing = True
            engine.loop.create_task(engine._request_pause_coro())
            it.station.resume()
        else:
            engine.request_suspend(lambda: asyncio.sleep(0))

    engine.msg_hook = hook
    await it.run(plan)


class Stubborn(Dropper):
    """Goes on whatever it is told, until `let_go`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.let_go, self.moving = asyncio.Event(), threading.Event()

    @AsyncStatus.wrap
    async def set(self, value: float) -> None:
        self.moving.set()
        await self.let_go.wait()

    async def stop(self, success: bool = True) -> None:
        """Nothing comes of it."""


async def _paused_while_moving(it: Bench, device: Stubborn) -> asyncio.Future[Any]:
    running = asyncio.ensure_future(it.run(dose(device)))
    while not device.moving.is_set():  # it moves in the station's loop, not in this one
        await asyncio.sleep(0.001)
    await it.station.pause()
    it.station.resume()
    return running


def test_it_goes_on_once_what_was_stopped_has_ended(tmp_path: Path) -> None:
    """A resumption that comes at once waits for the action that the pause has stopped, however long that takes."""

    async def main() -> None:
        device = Stubborn("a")
        async with bench(tmp_path, a=device) as it:
            running = await _paused_while_moving(it, device)
            engine = it.station._running_engine()
            while engine.state != "paused":
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.1)
            assert (engine.state, it.kinds()) == ("paused", ["dispatched"])
            engine.loop.call_soon_threadsafe(device.let_go.set)
            await running
            # The plan is taken up from its checkpoint, and what has happened by then is skipped.
            assert [kind for kind in it.kinds() if kind != "skipped"] == ["dispatched", "done"] * 2

    asyncio.run(main())


def test_what_does_not_end_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When what a pause has stopped never ends, the plan is given up with a sentence that names it."""
    monkeypatch.setattr("sdl.lab.guard._SETTLE", 0.2)

    async def main() -> None:
        device = Stubborn("a")
        async with bench(tmp_path, a=device) as it:
            running = await _paused_while_moving(it, device)
            with pytest.raises(Fault, match=r"a: the pause stopped set of a \(1\) and it has not ended 0.2 s after"):
                await running
            assert it.kinds() == ["dispatched"]

    asyncio.run(main())


def test_a_replayed_step_skips_what_is_done(tmp_path: Path) -> None:
    """A step that is done again does only what has not happened; the rest completes untouched, and that is recorded."""

    async def main() -> None:
        dropper = Dropper("a")
        async with bench(tmp_path, a=dropper) as it:

            def broken() -> Iterator[Any]:
                yield from bps.mv(dropper, 1.0)
                raise RuntimeError("the plan breaks here")

            with pytest.raises(Fault, match="breaks here"):
                await it.run(broken())
            await it.run(dose(dropper))
            assert dropper.dropped == 3.0
            assert it.kinds() == ["dispatched", "armed", "done", "skipped", "dispatched", "armed", "done"]

    asyncio.run(main())


def test_a_plan_that_has_changed(tmp_path: Path) -> None:
    """Where an earlier attempt did something else, nothing is done and a person is asked."""

    async def main() -> None:
        dropper = Dropper("a")
        async with bench(tmp_path, a=dropper) as it:
            await it.run(dose(dropper, volumes=(1.0,)))
            with pytest.raises(InDoubt, match=r"asks for set of a \(5\) where an earlier attempt did set of a \(1\)"):
                await it.run(dose(dropper, volumes=(5.0,)))
            assert dropper.dropped == 1.0

    asyncio.run(main())


def test_in_doubt_blocks_the_device_alone(tmp_path: Path) -> None:
    """What nobody can know stops the step and blocks its device; others go on; once resolved it is not repeated."""

    async def main() -> None:
        a, b = Dropper("a"), Dropper("b")
        a.knows = False

        def lost() -> None:
            raise Fault("a", "no answer")

        a.fail = lost
        async with bench(tmp_path, a=a, b=b) as it:
            with pytest.raises(InDoubt, match="not known whether set of a"):
                await it.run(dose(a, volumes=(1.0,)))
            assert list(it.station.guard.doubts) == ["a"]
            with pytest.raises(InDoubt):
                await it.run(dose(a, volumes=(1.0,)))
            assert (a.calls, a.dropped) == (1, 1.0)
            (action,) = it.actions().values()
            assert action.status is ActionStatus.IN_DOUBT
            said = {"verdict": "done", "by": "person:ann", "note": "seen in the vial", "evidence": {}}
            it.writer.append(kinds.ACTION_RESOLVED, {"trial": 1, "action": action.id, **said})
            it.station.unblock(action.id)
            await it.run(dose(a, volumes=(1.0,)))
            assert (a.calls, a.dropped) == (1, 1.0)
            await it.run(dose(a, b, volumes=(1.0,)))
            assert b.dropped == 1.0

    asyncio.run(main())


def test_a_lost_answer_is_asked_for(tmp_path: Path) -> None:
    """When the answer is lost and the instrument knows that it was done, the plan goes on as if nothing had been."""

    async def main() -> None:
        dropper = Dropper("a")

        def lost() -> None:
            raise Fault("a", "no answer")

        dropper.fail = lost
        async with bench(tmp_path, a=dropper) as it:
            await it.run(dose(dropper, volumes=(1.0,)))
            assert (dropper.calls, dropper.dropped) == (1, 1.0)
            assert it.kinds() == ["dispatched", "armed", "done"]

    asyncio.run(main())


def test_stopped_part_way_then_continued(tmp_path: Path) -> None:
    """An abort in the middle leaves on record how far it came; the replay delivers the rest and no more."""

    async def main() -> None:
        dropper = Dropper("a", 0.2, 10)
        async with bench(tmp_path, a=dropper) as it:
            task = asyncio.ensure_future(it.run(dose(dropper, volumes=(1.0,))))
            while dropper.dropped < 0.3:
                await asyncio.sleep(0.005)
            await it.station.abort("enough")
            with pytest.raises(Aborted):
                await task
            (action,) = it.actions().values()
            assert action.status is ActionStatus.ABORTED
            assert 0.2 < action.carried["delivered"] < 1.0
            await it.run(dose(dropper, volumes=(1.0,)))
            assert dropper.dropped == pytest.approx(1.0, abs=1e-9)
            assert dropper.calls == 2

    asyncio.run(main())


def test_cleaning_up_is_not_taken_for_the_plan(tmp_path: Path) -> None:
    """What a plan drops while it cleans up after a fault is another action than what it would have dropped next."""

    async def main() -> None:
        dropper, mover = Dropper("a"), Mover("b")
        trouble = True

        class Moody(Mover):
            @AsyncStatus.wrap
            async def set(self, value: float) -> None:
                if trouble:
                    raise Fault("b", "stuck")

        mover = Moody("b")

        def plan() -> Iterator[Any]:
            def inside() -> Iterator[Any]:
                yield from bps.mv(dropper, 1.0)
                yield from bps.mv(mover, 1.0)
                yield from bps.mv(dropper, 2.0)

            def wash() -> Iterator[Any]:
                yield from bps.mv(dropper, 2.0)

            return (yield from bpp.finalize_wrapper(inside(), wash))

        async with bench(tmp_path, a=dropper, b=mover) as it:
            with pytest.raises(Fault, match="stuck"):
                await it.run(plan())
            assert dropper.dropped == 3.0
            trouble = False
            await it.run(plan())
            assert dropper.dropped == 3.0 + 2.0 + 2.0
            assert [a.rpartition("/")[2] for a, s in it.actions().items() if s.device == "a"] == ["1", "1!1", "2", "3"]

    asyncio.run(main())


def test_an_older_epoch_does_nothing(tmp_path: Path) -> None:
    """A process whose campaign was taken over cannot act any more: its dispatch is refused before the driver's call."""

    async def main() -> None:
        dropper = Dropper("a")
        async with bench(tmp_path, a=dropper) as it:
            with contextlib.closing(sqlite3.connect(it.path)) as connection:
                connection.execute("update leases set epoch = epoch + 1")
                connection.execute("update heads set epoch = epoch + 1")
                connection.commit()
            with pytest.raises(LeaseLost, match="taken the campaign over"):
                await it.run(dose(dropper, volumes=(1.0,)))
            assert dropper.calls == 0

    asyncio.run(main())


def test_refused_without_a_record_when_stopped(tmp_path: Path) -> None:
    """Once somebody has called for a stop, nothing acts any more."""

    async def main() -> None:
        dropper = Dropper("a")
        async with bench(tmp_path, a=dropper) as it:
            it.station.guard.stopped = lambda: "stopped by ann"
            with pytest.raises(Aborted, match="stopped by ann"):
                await it.run(dose(dropper))
            assert (dropper.calls, it.kinds()) == (0, [])

    asyncio.run(main())
