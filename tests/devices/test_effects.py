"""What repeating each verb of our drivers would do, as the guard of a station sees it."""

from __future__ import annotations

from typing import Any

import pytest

from sdl.devices.modbus_heater import ModbusHeater
from sdl.devices.ne1000 import Ne1000Pump
from sdl.devices.scpi_spectrometer import ScpiSpectrometer
from sdl.devices.soft import SoftDetector
from sdl.devices.tabulated import TabulatedInstrument
from sdl.lab.effects import acts_of, find_target
from sdl.protocols import Acts, Effect

ADDRESS = "tcp://127.0.0.1:9/1"
DELIVERY = Acts(Effect.NON_REPEATABLE, arms=True, continues=True)
DEVICES: dict[str, Any] = {
    "pump": Ne1000Pump(ADDRESS, name="pump"),
    "heater": ModbusHeater(ADDRESS, name="heater"),
    "spectrometer": ScpiSpectrometer(ADDRESS, name="spectrometer"),
    "table": TabulatedInstrument(
        ADDRESS, name="table", inputs={"ag": "percent", "base-type": {"text": True}}, outcomes={"yield": "percent"}
    ),
    "detector": SoftDetector(name="detector"),
}
MEANT = [
    ("pump", "rate", "set", Acts(Effect.ABSOLUTE)),
    ("pump", "direction", "set", Acts(Effect.ABSOLUTE)),
    ("pump", "dispense", "set", DELIVERY),
    ("pump", "dispense.rate", "set", Acts(Effect.ABSOLUTE)),
    ("pump", "", "kickoff", Acts(Effect.NON_REPEATABLE)),
    ("heater", "", "set", Acts(Effect.ABSOLUTE)),
    ("heater", "setpoint", "set", Acts(Effect.ABSOLUTE)),
    ("heater", "ramp", "set", Acts(Effect.ABSOLUTE)),
    ("spectrometer", "", "trigger", Acts(Effect.READ)),
    ("spectrometer", "integration_time", "set", Acts(Effect.ABSOLUTE)),
    ("spectrometer", "averages", "set", Acts(Effect.ABSOLUTE)),
    ("table", "inputs.ag", "set", Acts(Effect.ABSOLUTE)),
    ("table", "inputs.base-type", "set", Acts(Effect.ABSOLUTE)),
    ("table", "", "trigger", Acts(Effect.DEDUP)),
    ("detector", "", "trigger", Acts(Effect.READ)),
    ("detector", "value", "set", Acts(Effect.ABSOLUTE)),
    *((name, "", verb, Acts(Effect.ABSOLUTE)) for name in DEVICES for verb in ("stage", "unstage")),
]


def _part(device: Any, path: str) -> Any:
    for name in path.split(".") if path else ():
        device = dict(device.children())[name]
    return device


@pytest.mark.parametrize(("name", "path", "verb", "acts"), MEANT)
def test_each_verb_has_the_effect_that_is_meant(name: str, path: str, verb: str, acts: Acts) -> None:
    """From the object that a message names to its effect, children of a `DeviceMap` as well."""
    part = _part(DEVICES[name], path)
    target = find_target(part, DEVICES)
    assert target is not None
    assert (target.device, target.path) == (name, path)
    assert acts_of(target, verb, DEVICES[name], child=part) == acts


def _settable(device: Any, path: str = "") -> list[str]:
    found = [path] if hasattr(device, "set") else []
    return found + [p for n, child in device.children() for p in _settable(child, f"{path}.{n}".lstrip("."))]


def test_nothing_that_can_be_set_is_forgotten() -> None:
    """Every part of our drivers that has `set`, and every `trigger`, stands in the table above."""
    named = {(name, path, verb) for name, path, verb, _ in MEANT}
    there = {(name, path, "set") for name, device in DEVICES.items() for path in _settable(device)}
    there |= {(name, "", "trigger") for name, device in DEVICES.items() if hasattr(device, "trigger")}
    assert there <= named
