from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from sdl.devices.ne1000 import Ne1000Pump
from sdl.model import Fault, UnsafeState
from sdl.simulators._control import ControlClient, ControlServer
from tests.devices.pumping import RUN, TIMEOUT, Rig

MESSAGES = {
    "refuse": r"refused .*: \?NA, the command is not applicable",
    "hang": r"no complete reply to .* within 0.3 s",
    "cut": "connection closed by the instrument after|cannot connect",
    "garbage": "makes no sense",
}


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig(speed=1000.0)
    await rig.start()
    yield rig
    await rig.stop()


@pytest.mark.parametrize("kind", MESSAGES)
async def test_a_fault_is_clear_bounded_and_passes(rig: Rig, kind: str) -> None:
    """Each fault: a clear error that names device and address, in bounded time; then the driver recovers."""
    rig.faults.inject(kind)
    start = time.monotonic()
    with pytest.raises(Fault, match=f"pump: {rig.address}: .*({MESSAGES[kind]})") as caught:
        await rig.pump.rate.set(25.0)
    assert isinstance(caught.value, Fault)
    assert caught.value.device == "pump"
    assert time.monotonic() - start < 10 * TIMEOUT
    assert not rig.simulated.running
    rig.faults.clear()
    await rig.pump.rate.set(25.0)
    assert await rig.pump.rate.get_value() == 25.0
    await rig.pump.safe_state()
    assert not rig.simulated.running


@pytest.mark.parametrize("kind", MESSAGES)
async def test_the_safe_state_is_reached_or_said_not_to_be(rig: Rig, kind: str) -> None:
    """With the fault in place `safe_state` either stops the pump or says within bounded time that it could not."""
    await rig.pump.rate.set(25.0)
    rig.faults.inject(kind)
    start = time.monotonic()
    with pytest.raises(UnsafeState, match=rf"pump: {rig.address}: pump 03 did not confirm that it stopped .*keypad"):
        await rig.pump.safe_state()
    assert time.monotonic() - start < 20 * TIMEOUT
    rig.faults.clear()
    await rig.pump.safe_state()
    assert not rig.simulated.running


@pytest.mark.parametrize("kind", MESSAGES)
async def test_the_safe_state_outlives_one_fault(rig: Rig, kind: str) -> None:
    """A single lost or garbled exchange does not keep the pump from being stopped."""
    await rig.pump.rate.set(25.0)
    rig.faults.inject(kind, count=1)
    await rig.pump.safe_state()
    assert not rig.simulated.running


async def test_a_lost_answer_is_not_repeated(rig: Rig) -> None:
    """A pump that starts and whose answer is lost is stopped again; it started once."""
    await rig.pump.dispense.rate.set(10.0)
    rig.faults.inject("lose", count=1, after=RUN)
    with pytest.raises(Fault, match=r"no complete reply to .*RUN"):
        await rig.pump.dispense.set(100.0)
    actions = [entry["action"] for entry in rig.simulated.probe.log]
    assert actions.count("run") == 1
    assert actions[-1] == "stop"
    assert not rig.simulated.running


@pytest.mark.parametrize("kind", MESSAGES)
@pytest.mark.parametrize("after", [0, 1, 3, 5, 6, 8, 9, 11])
async def test_a_fault_at_any_request_of_a_dispense(rig: Rig, kind: str, after: int) -> None:
    """Wherever a fault hits, a dispense ends: with the volume, or with a fault and the pump stopped."""
    await rig.pump.dispense.rate.set(100.0)
    rig.faults.inject(kind, count=1, after=after)
    status = rig.pump.dispense.set(100.0)
    await asyncio.wait({status.task}, timeout=5)
    if status.success:
        assert rig.simulated.moved["INF"] == pytest.approx(100.0)
    else:
        assert rig.address in str(status.exception())
    assert not rig.simulated.running
    assert len([e for e in rig.simulated.probe.log if e["action"] == "run"]) <= 1


async def test_a_stuck_plunger_is_found_by_reading(rig: Rig) -> None:
    """A plunger that stands still while the pump says that it runs is a fault at the next reading."""
    await rig.pump.rate.set(200.0)
    rig.faults.inject("stuck")
    await rig.clock.sleep(60)
    with pytest.raises(Fault, match=r"pump: .*reports that it runs at 200 uL/min, but moved .* may be stuck"):
        await rig.pump.read()
    await rig.pump.safe_state()
    rig.faults.clear()
    await rig.pump.rate.set(100.0)
    await rig.clock.sleep(60)
    assert (await rig.pump.read())["pump-dispensed"]["value"] > 50


async def test_a_stuck_plunger_ends_a_dispense(rig: Rig) -> None:
    """A dispense with a stuck plunger fails, names what was moved, and leaves the pump stopped."""
    rig.faults.inject("stuck")
    await rig.pump.dispense.rate.set(1000.0)
    with pytest.raises(Fault, match="may be stuck"):
        await asyncio.wait_for(rig.pump.dispense.set(500.0), 5)
    assert not rig.simulated.running


@pytest.mark.parametrize("kind", MESSAGES)
async def test_connecting_with_a_fault(kind: str) -> None:
    """A pump that does not answer properly cannot be connected, and can be once the fault is gone."""
    rig = Rig(speed=1000.0)
    address = f"{await rig.server.start()}/3"
    rig.faults.inject(kind)
    pump = Ne1000Pump(address, name="pump", clock=rig.clock, timeout=TIMEOUT)
    with pytest.raises(Fault, match=f"pump: {address}: "):
        await pump.connect()
    rig.faults.clear()
    await pump.connect()
    await pump.close()
    await rig.server.stop()


async def test_a_cut_lasts_as_long_as_it_is_said_to(rig: Rig) -> None:
    """A cut of half a second: refused connections in between, and the driver connects again by itself."""
    rig.faults.inject("cut", seconds=0.5)
    for _ in range(2):
        with pytest.raises(Fault, match=r"closed|cannot connect"):
            await rig.pump.rate.get_value()
    await asyncio.sleep(0.6)
    assert await rig.pump.rate.get_value() == 0.0


async def test_the_control_channel(rig: Rig) -> None:
    """Over its own port a test puts faults in, takes them out, and reads what the instrument did."""
    control = ControlServer(rig.server.probes())
    address = await control.start()

    def talk() -> ControlClient:
        client = ControlClient(address)
        assert client.instruments() == ["pump"]
        client.inject("pump", "hang", count=1)
        with pytest.raises(ValueError, match="no instrument 'heater'; there are: pump"):
            client.clear("heater")
        with pytest.raises(ValueError, match="'melt' is not a valid FaultKind"):
            client.inject("pump", "melt")
        return client

    client = await asyncio.to_thread(talk)
    with pytest.raises(Fault, match="no complete reply"):
        await rig.pump.rate.set(25.0)
    await asyncio.to_thread(client.clear, "pump")
    await rig.pump.rate.set(25.0)
    log = await asyncio.to_thread(client.log, "pump")
    assert [entry["action"] for entry in log][-2:] == ["rate", "run"]
    client.close()
    await control.stop()
    await asyncio.get_running_loop().shutdown_default_executor()
