"""The furnace's driver against its simulated controller: moves, holds, and what a hold's receipt says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from sdl.devices import LimitError
from sdl.devices.furnace import Furnace, TimerRegister
from sdl.lab.clock import LabClock
from sdl.lab.effects import Action, _current
from sdl.lab.stopcards import device_stops, press, read_cards, write_card
from sdl.model import Fault, UnsafeState
from sdl.protocols import ActionRecord, Effect, Verdict
from sdl.simulators._faults import Probe
from sdl.simulators.furnace import FurnaceServer
from sdl.virtual import VirtualClock, VirtualLoop

TIMEOUT = 0.6
MESSAGES = {
    "refuse": "refused with exception 6, device busy",
    "hang": "no valid reply within 0.6 s",
    "cut": "connection closed by the instrument|cannot connect",
    "garbage": "the reply makes no sense; received .* 7e",
    "lose": "no valid reply within 0.6 s",
}


class Rig:
    """A furnace with its driver."""

    def __init__(self, clock: Any = None) -> None:
        self.clock = clock or LabClock(200.0)
        self.server = FurnaceServer(Probe("furnace", self.clock.now), self.clock)
        self.faults = self.server.probe.faults

    async def start(self, **options: Any) -> None:
        self.address = await self.server.start()
        self.furnace = self.driver(**options)
        await self.furnace.connect()

    def driver(self, **options: Any) -> Furnace:
        settings = {"clock": self.clock, "timeout": TIMEOUT, "tolerance": "1 K", "dwell": "20 s"}
        return Furnace(self.address, name="furnace", **(settings | options))

    async def stop(self) -> None:
        await self.furnace.close()
        await self.server.stop()

    def log(self, action: str) -> list[Mapping[str, Any]]:
        return [entry for entry in self.server.probe.log if entry["action"] == action]


class Noted:
    """An action as a station's guard hands it to the driver, and as the journal has it afterwards."""

    def __init__(self, carried: Mapping[str, Any] | None = None) -> None:
        self.evidence: dict[str, Any] = {}
        self.armed = False
        self.action = Action("c/1/anneal/0", carried or {}, self._arm, self.evidence.update)

    async def _arm(self, evidence: Mapping[str, Any]) -> None:
        self.armed = True
        self.evidence.clear()
        self.evidence.update(evidence)

    async def perform(self, furnace: Furnace, seconds: float) -> None:
        token = _current.set(self.action)
        try:
            await furnace.hold.set(seconds)
        finally:
            _current.reset(token)

    def record(self, path: str = "hold") -> ActionRecord:
        arguments = {"args": [60], "kwargs": {}}
        return ActionRecord(
            "c/1/anneal/0", "furnace", path, "set", arguments, Effect.NON_REPEATABLE, self.armed, self.evidence
        )


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    await rig.start()
    yield rig
    await rig.stop()


async def test_a_film_is_held_at_a_temperature(rig: Rig) -> None:
    """The furnace goes to the temperature first, and its own timer counts the time; the past can be told."""
    furnace = rig.furnace
    await furnace.hold.temperature.set(120.0)
    await furnace.hold.set(90.0)
    (timer,) = rig.log("timer")
    assert (timer["duration"], timer["counted"]) == (90, 0)
    assert await furnace.held.get_value() == 90.0
    begin = timer["at"]
    times, temperatures = rig.server.plant.history(begin, begin + 90.0, 5.0)
    assert times.shape == (19,)
    assert temperatures == pytest.approx(120.0, abs=1.1)
    assert {key: value["units"] for key, value in (await furnace.describe()).items()} == {
        "furnace-temperature": "degC",
        "furnace-setpoint": "degC",
        "furnace-held": "s",
    }


async def test_after_a_hold_the_furnace_cools_by_itself() -> None:
    """With `rest` the controller goes there at the end of its timer, to the second, with nobody asking."""
    rig = Rig()
    await rig.start(rest="40 degC")
    await rig.furnace.hold.temperature.set(90.0)
    await rig.furnace.hold.set(60.0)
    assert await rig.furnace.setpoint.get_value() == 40.0
    ended = rig.log("timer")[0]["at"] + 60.0
    await rig.clock.sleep(60.0)
    _, temperatures = rig.server.plant.history(ended, ended + 50.0, 10.0)
    assert temperatures[0] == pytest.approx(90.0, abs=1.1)
    assert all(temperatures[1:] < temperatures[:-1] - 0.5)
    await rig.stop()


@pytest.mark.parametrize("seconds", [0.4, 6000.0, float("nan")])
async def test_a_time_that_the_timer_does_not_count_sends_nothing(rig: Rig, seconds: float) -> None:
    """Limits are checked before a byte leaves, for the time and for the temperature."""
    written = len(rig.server.probe.log)
    with pytest.raises(LimitError, match=r"furnace-hold: .* s is outside its limits, 1 to 5999 s"):
        await rig.furnace.hold.set(seconds)
    with pytest.raises(LimitError, match="601 degC is outside its limits, 0 to 600 degC"):
        await rig.furnace.hold.temperature.set(601.0)
    assert len(rig.server.probe.log) == written


async def test_options_have_limits_too(rig: Rig) -> None:
    """What follows a hold, and what to hold from the start, are checked before anything is sent."""
    with pytest.raises(LimitError, match="rest: 700 degC is outside its limits, 0 to 600 degC"):
        rig.driver(rest="700 degC")
    with pytest.raises(LimitError, match="hold_temperature: 450 degC is outside its limits, 0 to 400 degC"):
        rig.driver(hold_temperature="723.15 kelvin", high="400 degC")
    assert await rig.driver(hold_temperature="80 degC").hold.temperature.get_value() == 80.0


async def test_manual_mode_holds_nothing(rig: Rig) -> None:
    """A furnace that does not regulate refuses to hold before its timer is touched."""
    await rig.furnace.safe_state()
    with pytest.raises(Fault, match="in manual mode and holds no temperature"):
        await rig.furnace.hold.set(60.0)
    assert rig.log("timer") == []


async def test_stopping_leaves_the_timer_running(rig: Rig) -> None:
    """`stop` ends the waiting at once, also in the middle of a long look; the film goes on being annealed."""
    status = rig.furnace.hold.set(3000.0)
    while not rig.log("timer"):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    begin = time.monotonic()
    await rig.furnace.hold.stop(success=False)
    with pytest.raises(Fault, match=r"the waiting for its hold was stopped; its timer of 3000 s runs after \d+ s"):
        await status
    assert time.monotonic() - begin < 1.0
    assert rig.server.timer.status == 1
    await rig.furnace.hold.stop()


async def test_the_safe_state_holds_the_timer(rig: Rig) -> None:
    """Heating off, and the timer held where it stands, so that what was annealed stays known; twice is the same."""
    status = rig.furnace.hold.set(3000.0)
    while not rig.log("timer"):
        await asyncio.sleep(0.01)
    await rig.furnace.safe_state()
    await rig.furnace.safe_state()
    with pytest.raises(Fault, match=r"was stopped; its timer of 3000 s (runs|is held) after \d+ s"):
        await status
    assert (rig.server.loop.manual, rig.server.loop.output, rig.server.timer.status) == (True, 0.0, 2)


async def test_a_lost_driver_leaves_a_hold_to_the_next(rig: Rig) -> None:
    """Ended amid a hold: PARTIAL with the seconds; the next driver takes it up, and the timer was started once."""
    first = Noted()
    task = asyncio.create_task(first.perform(rig.furnace, 200))
    while "status" not in first.evidence:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await rig.furnace.close()
    beside = rig.driver()
    await beside.attach()
    receipt = await beside.receipt(first.record())
    assert receipt.verdict is Verdict.PARTIAL
    assert 20 < receipt.evidence["held"] < 200
    again = Noted(receipt.evidence)
    await again.perform(beside, 200)
    assert [entry["duration"] for entry in rig.log("timer")] == [200]
    done = await beside.receipt(again.record())
    assert (done.verdict, done.evidence["held"]) == (Verdict.DONE, 200)
    assert "its timer of 200 s has ended after 200 s" in done.text
    await beside.close()


async def test_a_hold_is_gone_on_with_after_the_safe_state(rig: Rig) -> None:
    """Held by the safe state: the furnace is heated again first, and the timer counts what was left."""
    await rig.furnace.hold.temperature.set(80.0)
    first = Noted()
    task = asyncio.create_task(first.perform(rig.furnace, 300))
    while "status" not in first.evidence:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    await rig.furnace.safe_state()
    await asyncio.gather(task, return_exceptions=True)
    receipt = await rig.furnace.receipt(first.record())
    assert receipt.verdict is Verdict.PARTIAL
    await rig.clock.sleep(200.0)
    await Noted(receipt.evidence).perform(rig.furnace, 300)
    counted = [entry["counted"] for entry in rig.log("timer")]
    assert counted[0] == 0
    assert counted[1] == pytest.approx(receipt.evidence["held"], abs=1)
    assert rig.server.plant.temperature() == pytest.approx(80.0, abs=1.1)


@pytest.mark.parametrize(("kind", "verdict"), [("lose", Verdict.DONE), ("hang", Verdict.NOT_DONE)])
async def test_a_start_without_an_answer_is_no_doubt(rig: Rig, kind: str, verdict: Verdict) -> None:
    """The timer tells whether it was started when its answer did not come."""
    write = rig.furnace.link.write

    async def hit(register: int, value: int) -> None:
        if (register, value) == (TimerRegister.STATUS, 1):
            rig.faults.inject(kind, count=1)
        await write(register, value)

    rig.furnace.link.write = hit  # type: ignore[method-assign]
    noted = Noted()
    with pytest.raises(Fault, match="no valid reply"):
        await noted.perform(rig.furnace, 60)
    assert noted.armed
    await rig.clock.sleep(70.0)
    receipt = await rig.furnace.receipt(noted.record())
    assert receipt.verdict is verdict, receipt


async def test_a_timer_that_lost_its_power_leaves_a_doubt(rig: Rig) -> None:
    """Started, acknowledged and reset since: nobody knows how long the film was annealed. So with another's hold."""
    noted = Noted()
    await noted.perform(rig.furnace, 60)
    await rig.furnace.link.write(TimerRegister.STATUS, 0)
    receipt = await rig.furnace.receipt(noted.record())
    assert (receipt.verdict, "was its power interrupted?" in receipt.text) == (Verdict.UNKNOWN, True)
    with pytest.raises(Fault, match="cannot go on with a hold of 60 s: its timer of 60 s is reset"):
        await Noted({"held": 20, "duration": 60}).perform(rig.furnace, 60)
    await rig.furnace.link.write(TimerRegister.DURATION, 61)
    assert (await rig.furnace.receipt(noted.record())).verdict is Verdict.UNKNOWN
    assert (await rig.furnace.receipt(noted.record("setpoint"))).verdict is Verdict.UNKNOWN
    rig.faults.inject("cut")
    assert (await rig.furnace.receipt(noted.record())).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("kind", MESSAGES)
async def test_a_fault_is_clear_bounded_and_passes(rig: Rig, kind: str) -> None:
    """Each fault amid a hold: a clear error within bounded time, and the furnace works once it is gone."""
    status = rig.furnace.hold.set(400.0)
    while not rig.log("timer"):
        await asyncio.sleep(0.01)
    await rig.furnace.hold.stop()
    await asyncio.gather(status, return_exceptions=True)
    rig.faults.inject(kind)
    begin = time.monotonic()
    with pytest.raises(Fault, match=f"furnace: {rig.address}: .*({MESSAGES[kind]})"):
        await rig.furnace.hold.set(60.0)
    with pytest.raises(UnsafeState, match=r"heating off was not confirmed .*by hand"):
        await rig.furnace.safe_state()
    assert time.monotonic() - begin < 4 * TIMEOUT + 0.5
    rig.faults.clear()
    await rig.furnace.safe_state()
    await rig.furnace.set(30.0)
    await rig.furnace.hold.set(20.0)


async def test_the_stop_card_switches_off_and_holds_the_timer(
    rig: Rig, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `sdl stop` sends ends the heating, confirmed, and keeps what the timer has counted."""
    monkeypatch.setenv("SDL_STATE_DIR", str(tmp_path / "state"))
    await rig.furnace.setpoint.set(300.0)
    status = rig.furnace.hold.set(3000.0)
    while not rig.log("timer"):
        await asyncio.sleep(0.01)
    card = write_card("bench", str(tmp_path / "lab.yaml"), {}, device_stops({"furnace": rig.furnace}, {}))
    try:
        (result,) = await asyncio.to_thread(press, read_cards())
    finally:
        card.remove()
        await asyncio.get_running_loop().shutdown_default_executor()
    assert (result.state, rig.server.loop.manual, rig.server.loop.output) == ("safe", True, 0.0)
    assert rig.server.timer.status == 2
    await rig.furnace.hold.stop()
    with pytest.raises(Fault, match="its timer of 3000 s is held"):
        await status


def test_hours_of_annealing_on_virtual_time() -> None:
    """A ramp to 500 degC, an hour there and the way back in virtual time: few looks, and little wall time."""
    loop = VirtualLoop()

    async def anneal() -> tuple[float, int, float]:
        rig = Rig(VirtualClock(loop))
        await rig.start(ramp="10 K/min", rest="60 degC")
        asked = 0
        exchange = rig.furnace.link._exchange

        async def counting(*args: Any, **kwargs: Any) -> Any:
            nonlocal asked
            asked += 1
            return await exchange(*args, **kwargs)

        rig.furnace.link._exchange = counting  # type: ignore[method-assign]
        begin = rig.clock.now()
        await rig.furnace.hold.temperature.set(500.0)
        await rig.furnace.hold.set(3600.0)
        await rig.furnace.set(60.0)
        (timer,) = rig.log("timer")
        _, during = rig.server.plant.history(timer["at"], timer["at"] + 3600.0)
        assert during == pytest.approx(500.0, abs=1.1)
        taken = rig.clock.now() - begin
        await rig.stop()
        return taken, asked, taken - 3600.0

    begin = time.process_time()
    try:
        taken, asked, moving = loop.run_until_complete(anneal())
    finally:
        loop.close()
    assert 2 * 44 * 60 < moving < 2 * 44 * 60 + 1800
    assert taken < 3.2 * 3600
    assert asked < 2.5 * (taken / 60) + 60
    assert time.process_time() - begin < 2.0
