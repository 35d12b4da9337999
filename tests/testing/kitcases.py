"""First-party devices and simulators as cases of the conformance kit: one line each."""

from __future__ import annotations

from pathlib import Path

from sdl.testing import Act, DeviceCase

__all__ = ["BEYOND", "CASES", "INSTRUMENTS", "KNOWN", "TABLE", "simulators", "tabulated"]

TABLE = "ag,yield\n1.5,10.25\n1.5,12.5\n2.5,20\n"
SILVER = {"simulator": "silver_flow", "timeout": 0.4}
TRIGGER = Act(verb="trigger")

CASES = {
    "soft_detector": DeviceCase(driver="soft_detector", options={"step": 0.5}, exercise=(Act("value", 2.0), TRIGGER)),
    "ne1000_pump": DeviceCase(
        driver="ne1000_pump",
        instruments={"device": {"role": "silver"}},
        options={"max_rate": "500 uL/min", "dispense_rate": 100.0, "watchdog": "9 s"},
        exercise=(Act("dispense", 50.0), Act("rate", 100.0)),
        **SILVER,
    ),
    "modbus_heater": DeviceCase(
        driver="modbus_heater",
        instruments={"device": {"role": "heater", "high": "90 degC"}},
        options={"high": "90 degC", "dwell": "20 s"},
        exercise=(Act("", 40.0), Act("ramp", 60.0)),
        speed=500.0,
        **SILVER,
    ),
    "scpi_spectrometer": DeviceCase(
        driver="scpi_spectrometer",
        instruments={"device": {"role": "spectrometer"}},
        exercise=(TRIGGER, Act("averages", 10)),
        speed=10.0,
        **SILVER,
    ),
}
"""Device → case. A new device gets its line here."""

INSTRUMENTS = {
    "ne1000_pump": {"role": "silver", "max_volume": "100 uL"},
    "modbus_heater": {"role": "heater", "high": "90 degC"},
    "scpi_spectrometer": {"role": "spectrometer", "max_integration": "120 ms"},
}
BEYOND = {
    "ne1000_pump": ({}, Act("dispense", 200.0)),
    "modbus_heater": ({"high": 150.0}, Act("setpoint", 120.0)),
    "scpi_spectrometer": ({}, Act("integration_time", 130.0)),
}
"""Simulated instrument → what its driver lets pass, and it has to refuse itself."""

KNOWN: dict[str, set[str]] = {
    # A line without end and a Modbus frame of length zero end a server's task; the heater's control loop ticks.
    "silver_flow": {"garbage", "virtual_time"},
}
"""Simulator → checks that are known to fail; the test fails as soon as they pass."""


def tabulated(folder: Path) -> DeviceCase:
    """The tabulated instrument, with a table written into a folder."""
    table = folder / "table.csv"
    table.write_text(TABLE)
    return DeviceCase(
        driver="tabulated_instrument",
        simulator="tabulated",
        simulation={
            "table": table,
            "inputs": {"ag": "ag"},
            "outcomes": {"yield": {"column": "yield", "unit": "percent"}},
            "duration": "10 s",
        },
        options={"inputs": {"ag": "1"}, "outcomes": {"yield": "percent"}, "duration": 10.0},
        prepare=(Act("inputs.ag", 1.5), TRIGGER),
        exercise=(Act("inputs.ag", 2.5), TRIGGER),
        timeout=0.4,
    )


def simulators() -> tuple[DeviceCase, ...]:
    """The instruments of silver-flow, each under its own name."""
    return tuple(CASES[name].at(name=name) for name in INSTRUMENTS)
