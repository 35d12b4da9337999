"""Limits that can be asked for without asking the instrument, and errors that say that nothing happened."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from bluesky.protocols import Checkable

from sdl.devices import LimitError
from sdl.devices._modbus import ModbusLink
from sdl.devices._scpi import ScpiError
from sdl.devices.modbus_heater import ModbusHeater, Register
from sdl.devices.ne1000 import Ne1000Pump
from sdl.devices.scpi_spectrometer import ScpiSpectrometer
from sdl.lab.clock import LabClock
from sdl.model import Fault, Refusal
from sdl.simulators._faults import Probe
from sdl.simulators.heater import HeaterServer

ADDRESS = "tcp://127.0.0.1:9/1"
PUMP = Ne1000Pump(ADDRESS, name="pump", max_rate=500.0)
HEATER = ModbusHeater(ADDRESS, name="heater", low=10, high=90)
SPECTROMETER = ScpiSpectrometer(ADDRESS, name="spectrometer")


@pytest.mark.parametrize(
    ("settable", "good", "bad"),
    [
        (PUMP.rate, [0.0, 500.0], [-1.0, 501.0, 0.001]),
        (PUMP.dispense, [0.001, 9999.0], [0.0, 10_000.0, float("nan")]),
        (PUMP.dispense.rate, [500.0], [0.0, 501.0]),
        (HEATER, [10.0, 90.0], [9.0, 91.0]),
        (HEATER.setpoint, [10.0, 90.0], [9.0, 91.0]),
        (HEATER.ramp, [0.0, 3000.0], [-1.0, 3001.0]),
        (SPECTROMETER.integration_time, [1.0, 150.0], [0.5, 151.0]),
        (SPECTROMETER.averages, [1, 1000], [0, 1001]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
async def test_limits_are_known_without_the_instrument(settable: Any, good: list[float], bad: list[float]) -> None:
    """`check_value` answers at once, with name, value, unit and limits; `set` refuses alike, with nobody there."""
    assert isinstance(settable, Checkable)
    for value in good:
        assert settable.check_value(value) is None
    for value in bad:
        with pytest.raises(LimitError) as caught:
            settable.check_value(value)
        assert caught.value.name.startswith(settable.name.split("-")[0])
        with pytest.raises(LimitError):
            await settable.set(value)


def test_what_is_out_of_limits_has_not_happened() -> None:
    """A limit is checked before any byte leaves; the error survives a process boundary."""
    error = LimitError("pump-rate", 3.0, "uL/min", 0.0, 2.0)
    again = pickle.loads(pickle.dumps(error))
    assert (again.clean, str(again), again.high) == (True, str(error), 2.0)
    refused = pickle.loads(pickle.dumps(ScpiError("s", "refused", -222, "out of range", True)))
    assert (refused.clean, refused.code, str(refused)) == (True, -222, "s: refused")


async def test_a_refused_write_is_a_refusal_and_a_refused_read_is_not() -> None:
    """An exception in answer to a write says that it was not written; an answer to a read says nothing of the kind."""
    server = HeaterServer(Probe("heater"), LabClock(100.0), high=100.0)
    link = ModbusLink(await server.start(), lambda: "heater", 0.5)
    with pytest.raises(Refusal, match="refused with exception 3"):
        await link.write(Register.TARGET, 2000)
    server.probe.faults.inject("refuse", count=1)
    with pytest.raises(Fault, match="refused with exception 6") as caught:
        await link.read(Register.TARGET)
    assert not caught.value.clean
    await link.close()
    await server.stop()
