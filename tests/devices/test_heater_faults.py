from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from sdl.devices.modbus_heater import ModbusHeater
from sdl.model import Fault, UnsafeState
from tests.devices.heating import Rig

TIMEOUT = 0.8
MESSAGES = {
    "refuse": "refused with exception 6, device busy",
    "hang": "no valid reply within 0.8 s",
    "cut": "connection closed by the instrument|cannot connect",
    "garbage": "the reply makes no sense; received .* 7e",
}


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig(1000.0)
    await rig.start(TIMEOUT, settle_time="10 min")
    yield rig
    await rig.stop()


@pytest.mark.parametrize("kind", MESSAGES)
async def test_a_fault_is_clear_bounded_and_passes(rig: Rig, kind: str) -> None:
    """Each fault: a clear error within twice the time-out, and the driver recovers once it is gone."""
    rig.faults.inject(kind)
    start = time.monotonic()
    with pytest.raises(Fault, match=f"heater: {rig.address}: .*({MESSAGES[kind]})"):
        await rig.heater.temperature.get_value()
    assert time.monotonic() - start < 2 * TIMEOUT + 1
    rig.faults.clear()
    await rig.heater.set(40.0)
    assert await rig.heater.temperature.get_value() == pytest.approx(40.0, abs=1)


@pytest.mark.parametrize("kind", MESSAGES)
async def test_a_fault_while_waiting_ends_the_wait(rig: Rig, kind: str) -> None:
    """A fault that strikes during a move fails the move."""
    status = rig.heater.set(100.0)
    await asyncio.sleep(0.05)
    rig.faults.inject(kind)
    with pytest.raises(Fault, match=f"heater: {rig.address}: .*({MESSAGES[kind]})"):
        await asyncio.wait_for(status, 5)


@pytest.mark.parametrize("kind", MESSAGES)
async def test_the_safe_state_is_reached_or_said_not_to_be(rig: Rig, kind: str) -> None:
    """With the fault in place `safe_state` says in bounded time that nothing was confirmed; without, it is reached."""
    await rig.heater.setpoint.set(100.0)
    rig.faults.inject(kind)
    start = time.monotonic()
    with pytest.raises(UnsafeState, match=f"heater: {rig.address}: heating off was not confirmed .*by hand"):
        await rig.heater.safe_state()
    assert time.monotonic() - start < 10 * TIMEOUT
    rig.faults.clear()
    await rig.heater.safe_state()
    assert rig.server.loop.output == 0.0


@pytest.mark.parametrize("kind", MESSAGES)
@pytest.mark.parametrize("after", range(5))
async def test_the_safe_state_outlives_one_fault(rig: Rig, kind: str, after: int) -> None:
    """Whichever of its requests one fault hits, the heater is off in the end."""
    await rig.heater.setpoint.set(100.0)
    rig.faults.inject(kind, count=1, after=after)
    await rig.heater.safe_state()
    assert (rig.server.loop.manual, rig.server.loop.output) == (True, 0.0)


async def test_a_heater_without_effect(rig: Rig) -> None:
    """A stuck output: the move fails in bounded lab time with setpoint, temperature, tolerance and unit."""
    rig.faults.inject("stuck")
    with pytest.raises(
        Fault,
        match=r"heater: .* did not stay within 0.5 degC of 80 degC for 30 s: it is at 2\d(\.\d)? degC after 60 s",
    ):
        await rig.heater.set(80.0, timeout=60.0)
    await rig.heater.safe_state()
    rig.faults.clear()
    await rig.heater.set(40.0)


@pytest.mark.parametrize("kind", MESSAGES)
async def test_connecting_with_a_fault(kind: str) -> None:
    """A controller that does not answer properly cannot be connected, and can be once the fault is gone."""
    rig = Rig()
    address = await rig.server.start()
    rig.faults.inject(kind)
    heater = ModbusHeater(address, name="heater", clock=rig.clock, timeout=TIMEOUT)
    with pytest.raises(Fault, match=f"heater: {address}: "):
        await heater.connect()
    rig.faults.clear()
    await heater.connect()
    await heater.close()
    await rig.server.stop()


async def test_nobody_there() -> None:
    """A port where nobody listens is a fault that says what to check."""
    heater = ModbusHeater("tcp://127.0.0.1:9/1", name="heater", timeout=TIMEOUT)
    with pytest.raises(Fault, match=r"heater: tcp://127.0.0.1:9/1: reading register .* cannot connect"):
        await heater.connect()
    await heater.close()
