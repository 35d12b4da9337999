"""A spin coater that fails: what the driver says, how long it takes, and that it works again afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sdl.devices.spin_coater import SpinCoater
from sdl.lab.clock import LabClock
from sdl.model import Fault, Refusal, UnsafeState
from tests.devices.test_spin_coater import FILM, TIMEOUT, Rig

MESSAGES = {
    "refuse": r"refused '[A-Z]+\?? ?.*': error 90, not ready",
    "hang": r"no complete reply to '[A-Z]+.*\\r\\n' within 0.3 s",
    "cut": "connection closed by the instrument|cannot connect",
    "garbage": r"reply to '[A-Z]+.*\\r\\n' makes no sense .*received '.*garbage",
    "lose": r"no complete reply to '[A-Z]+.*\\r\\n' within 0.3 s",
}
QUERIES = 1
"""How many requests of an action come before the one that acts."""


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A coater with a substrate on its chuck."""
    rig = Rig()
    await rig.start()
    await rig.coater.load.trigger()
    yield rig
    await rig.stop()


@pytest.mark.parametrize("kind", MESSAGES)
async def test_a_fault_is_clear_bounded_and_passes(rig: Rig, kind: str) -> None:
    """Each fault of a reading names device, address, command and bytes in time, and is over once it is gone."""
    rig.faults.inject(kind)
    start = time.monotonic()
    with pytest.raises(Fault, match=f"coater: {rig.address}: .*({MESSAGES[kind]})") as caught:
        await rig.coater.speed.get_value()
    assert not isinstance(caught.value, Refusal), "a reading says nothing about an action"
    assert time.monotonic() - start < TIMEOUT + 1
    rig.faults.clear()
    assert await rig.coater.speed.get_value() == 0.0


@pytest.mark.parametrize("kind", MESSAGES)
@pytest.mark.parametrize(("part", "value"), [("dispense", 50.0), ("spin", FILM)])
async def test_a_fault_of_an_action_is_clear(rig: Rig, kind: str, part: str, value: Any) -> None:
    """The command that acts fails with the fault's own words; only what the coater refused is known to be undone."""
    rig.faults.inject(kind, count=1, after=QUERIES)
    with pytest.raises(Fault, match=f"coater: {rig.address}: .*({MESSAGES[kind]})") as caught:
        await getattr(rig.coater, part).set(value)
    assert caught.value.clean == (kind == "refuse")
    assert len(rig.did("accept")) == 1 + (kind == "lose")
    rig.faults.clear()
    await asyncio.sleep(0.25)
    await getattr(rig.coater, part).set(value)


@pytest.mark.parametrize("kind", MESSAGES)
async def test_a_fault_while_waiting_ends_the_wait_and_not_the_action(rig: Rig, kind: str) -> None:
    """The driver says what failed; the coater comes to the end of its program, which it needs nobody for."""
    rig.faults.inject(kind, count=1, after=QUERIES + 1)
    with pytest.raises(Fault, match=f"coater: {rig.address}: .*({MESSAGES[kind]})") as caught:
        await rig.coater.spin.set(FILM)
    assert not caught.value.clean
    assert rig.plant.spins == [(3000.0, pytest.approx(30.0))]
    assert rig.did("stop") == []


@pytest.mark.parametrize("kind", MESSAGES)
async def test_the_safe_state_is_reached_or_said_not_to_be(rig: Rig, kind: str) -> None:
    """With the fault in place `safe_state` says in bounded time that nothing was confirmed; without, it is reached."""
    status = rig.coater.spin.set({**FILM, "seconds": 3000})
    await rig.until("SPIN")
    rig.faults.inject(kind)
    start = time.monotonic()
    with pytest.raises(UnsafeState, match=f"coater: {rig.address}: rotor and syringe did not confirm .*stop button"):
        await rig.coater.safe_state()
    assert time.monotonic() - start < 5 * TIMEOUT + 1
    rig.faults.clear()
    await rig.coater.safe_state()
    assert (rig.server.machine.state, rig.server.machine.speed) == ("IDLE", 0.0)
    await asyncio.gather(status.task, return_exceptions=True)


@pytest.mark.parametrize("kind", MESSAGES)
@pytest.mark.parametrize("after", range(3))
async def test_the_safe_state_outlives_one_fault(rig: Rig, kind: str, after: int) -> None:
    """Whichever of its requests one fault hits, rotor and syringe stand still in the end."""
    status = rig.coater.spin.set({**FILM, "seconds": 3000})
    await rig.until("SPIN")
    rig.faults.inject(kind, count=1, after=after)
    await rig.coater.safe_state()
    assert (rig.server.machine.state, len(rig.did("stop"))) == ("IDLE", 1)
    await asyncio.gather(status.task, return_exceptions=True)


@pytest.mark.parametrize(
    ("part", "value", "says"),
    [
        ("dispense", 50.0, "asked to dispense 50 uL, it has done 0 of 50 uL"),
        ("spin", FILM, "asked to spin at 3000 rpm for 30 s, it has done 0 of 30 s"),
        ("load", None, "asked to load a substrate, it has done 0 of 1 substrate"),
        ("vacuum", 0, "was told VAC 0 and reports vacuum 1; check pump and valve"),
    ],
)
async def test_a_coater_that_is_stuck(rig: Rig, part: str, value: Any, says: str) -> None:
    """It acknowledges all and nothing moves: sensors and counters tell, and the fault says what should have been."""
    rig.plant.taken = part != "load"
    rig.faults.inject("stuck")
    verb = getattr(rig.coater, part)
    with pytest.raises(Fault, match=says):
        await (verb.trigger() if value is None else verb.set(value))
    assert (rig.plant.ink, rig.plant.spins, rig.plant.left) == (0.0, [], 4)
    rig.faults.clear()
    await (verb.trigger() if value is None else verb.set(value))


async def test_a_syringe_that_sticks_half_way() -> None:
    """What came out before it stuck is counted and said."""
    rig = Rig(LabClock(20.0))
    await rig.start()
    await rig.coater.load.trigger()
    status = rig.coater.dispense.set(1000)
    await rig.until("DISP")
    await asyncio.sleep(0.05)
    rig.faults.inject("stuck")
    with pytest.raises(Fault, match=r"reports that it is done, and is not: .*it has done [\d.]+ of 1000 uL"):
        await status
    assert 0 < rig.plant.ink < 1000
    await rig.stop()


@pytest.mark.parametrize("kind", MESSAGES)
async def test_connecting_with_a_fault(kind: str) -> None:
    """A coater that does not answer properly cannot be connected, and can be once the fault is gone."""
    rig = Rig(LabClock(100.0))
    address = await rig.server.start()
    rig.faults.inject(kind)
    coater = SpinCoater(address, name="coater", clock=rig.clock, timeout=TIMEOUT)
    with pytest.raises(Fault, match=f"coater: {address}: "):
        await coater.connect()
    rig.faults.clear()
    await coater.connect()
    await coater.close()
    await rig.server.stop()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"OK state=IDLE\r\n", "left is missing"),
        (b"OK state=DANCE left=0 rpm=0 lid=1 vacuum=0 chuck=0 magazine=1 fault=0 tag=-\r\n", "no state 'DANCE'"),
        (b"OK state=IDLE left=nan rpm=0 lid=1 vacuum=0 chuck=0 magazine=1 fault=0 tag=-\r\n", "nan is no finite"),
        (b"OK state=IDLE left=0 rpm=0 lid=yes vacuum=0 chuck=0 magazine=1 fault=0 tag=-\r\n", "invalid literal"),
        (b"ERR x\r\n", "invalid literal"),
        (b"OK what\r\n", "'what' is not key=value"),
        (b"\r\n", "neither OK nor ERR"),
        (b"OK " + 1100 * b"x", "no end of message within 1000 bytes"),
    ],
)
async def test_answers_that_are_no_answers(rig: Rig, answer: bytes, says: str) -> None:
    """Each is a fault that tells what is wrong with the bytes, and shows them."""
    rig.server.garbage = lambda request: answer  # type: ignore[method-assign]
    rig.faults.inject("garbage", count=1)
    with pytest.raises(Fault, match=rf"reply to 'ST\?\\r\\n' makes no sense .*{says}.*; received"):
        await rig.coater.speed.get_value()
    assert await rig.coater.speed.get_value() == 0.0
