from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import bluesky.plan_stubs as bps
import pytest
from bluesky import RunEngine

from sdl.devices import LimitError
from sdl.devices.modbus_heater import ModbusHeater, Register
from sdl.model import Fault
from tests.devices.heating import Rig


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    await rig.start(high=120)
    yield rig
    await rig.stop()


async def test_going_to_a_temperature(rig: Rig) -> None:
    """A move is done when the temperature has stayed within the tolerance for the dwell."""
    start = rig.clock.now()
    await rig.heater.set(80.0)
    assert rig.server.loop.plant.temperature() == pytest.approx(80.0, abs=0.6)
    assert rig.clock.now() - start >= rig.heater.dwell
    reading = await rig.heater.read()
    assert reading["heater-temperature"]["value"] == pytest.approx(80.0, abs=0.6)
    assert reading["heater-setpoint"]["value"] == 80.0
    assert await rig.heater.output.get_value() > 10
    assert (await rig.heater.locate())["setpoint"] == 80.0
    assert {key["units"] for key in (await rig.heater.describe()).values()} == {"degC"}


async def test_a_ramp_limits_the_rise(rig: Rig) -> None:
    """With a ramp the working setpoint moves at its rate, and the move takes at least that long."""
    await rig.heater.ramp.set(10.0)
    start = rig.clock.now()
    await rig.heater.set(62.0)
    assert rig.clock.now() - start >= 0.9 * 40 / 10 * 60
    assert (await rig.heater.read_configuration())["heater-ramp"]["value"] == 10.0


async def test_options_with_units() -> None:
    """Differences and rates of temperature may be given in degC or K, and are written on connecting."""
    rig = Rig()
    await rig.start(tolerance="0.8 degC", ramp="0.1 K/s", dwell="1 min", high="400 kelvin")
    assert (rig.heater.tolerance, rig.heater.dwell) == (pytest.approx(0.8), 60.0)
    assert rig.heater.high == pytest.approx(126.85)
    assert rig.server.loop.rate == 6.0
    await rig.stop()


@pytest.mark.parametrize("value", [120.1, -0.1, float("nan")])
async def test_a_temperature_out_of_limits_sends_nothing(rig: Rig, value: float) -> None:
    """The limit is checked before a byte leaves."""
    with pytest.raises(LimitError, match=r"heater: .* degC is outside its limits, 0 to 120 degC"):
        await rig.heater.set(value)
    with pytest.raises(LimitError):
        await rig.heater.setpoint.set(value)
    assert rig.server.probe.log == []


async def test_negative_temperatures_are_signed() -> None:
    """Registers are signed: a plant below freezing reads below zero."""
    rig = Rig(1.0, ambient=-12.3)
    rig.server.loop.manual, rig.server.loop.output = True, 0.0
    await rig.start()
    assert await rig.heater.temperature.get_value() == -12.3
    await rig.stop()


async def test_a_limit_of_the_controller_is_a_refusal() -> None:
    """A setpoint that the driver allows and the controller does not is refused in words."""
    rig = Rig()
    await rig.start(high=400)
    with pytest.raises(Fault, match=r"heater: .*writing 3500 to register 2: refused with exception 3, illegal"):
        await rig.heater.set(350.0)
    await rig.stop()


async def test_stop_holds(rig: Rig) -> None:
    """`stop` ends the waiting and leaves the controller heating, also after success."""
    status = rig.heater.set(100.0)
    await asyncio.sleep(0.05)
    await rig.heater.stop(success=False)
    with pytest.raises(Fault, match=r"heater: .*was stopped at .* degC on the way to 100 degC"):
        await status
    assert rig.server.loop.target == 100.0
    await rig.heater.set(40.0)
    await rig.heater.stop()
    assert (rig.server.loop.target, rig.server.loop.manual) == (40.0, False)


async def test_the_safe_state_is_off(rig: Rig) -> None:
    """Safe: output off in manual mode and a cool setpoint; twice is the same; a move ends it; a wait fails."""
    status = rig.heater.set(100.0)
    await asyncio.sleep(0.05)
    await rig.heater.safe_state()
    await rig.heater.safe_state()
    with pytest.raises(Fault, match="was stopped"):
        await status
    loop = rig.server.loop
    assert (loop.manual, loop.output, loop.target) == (True, 0.0, 20.0)
    await rig.heater.set(30.0)
    assert not loop.manual


async def test_a_broken_sensor(rig: Rig) -> None:
    """A controller that reports a broken sensor gives no temperature but a fault."""
    rig.server.sensor_break = True
    with pytest.raises(Fault, match=r"heater: .* its sensor is broken"):
        await rig.heater.read()


async def test_the_wrong_unit_does_not_answer(rig: Rig) -> None:
    """A unit that is not there is a fault that names it."""
    address = rig.address.removesuffix("/1") + "/9"
    other = ModbusHeater(address, name="ghost", timeout=0.2)
    with pytest.raises(Fault, match=f"ghost: {address}: reading register .* no valid reply within 0.2 s"):
        await other.connect()
    await other.close()


def test_a_plan_heats(run_engine: RunEngine) -> None:
    """`bps.mv` waits for the temperature, and the stop that Bluesky sends afterwards leaves the heater on."""

    def call(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, run_engine.loop).result(10)

    rig = Rig()
    call(rig.start())
    run_engine(bps.mv(rig.heater, 60))
    loop = rig.server.loop
    assert loop.plant.temperature() == pytest.approx(60, abs=1)
    assert (loop.manual, loop.target) == (False, 60.0)
    call(rig.heater.safe_state())
    call(rig.stop())


def test_registers_of_the_handbook() -> None:
    """Addresses as Eurotherm's Series 2000 handbook lists them."""
    assert {r.name: int(r) for r in Register} == {
        "PV": 1, "TARGET": 2, "OUTPUT": 3, "WORKING": 5, "RATE": 35, "STATUS": 75, "MANUAL": 273,
    }  # fmt: skip
