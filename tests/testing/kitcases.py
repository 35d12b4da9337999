"""First-party devices and simulators as cases of the conformance kit: one line each."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from sdl.testing import Act, DeviceCase

__all__ = ["BEYOND", "CASES", "INSTRUMENTS", "KNOWN", "SIMULATED", "TABLE", "of_simulator", "tabulated"]

TABLE = "ag,yield\n1.5,10.25\n1.5,12.5\n2.5,20\n"
SILVER = {"simulator": "silver_flow", "timeout": 0.6}
FILM = {"simulator": "thin_film", "timeout": 0.8}
TRIGGER = Act(verb="trigger")


async def plate_on_chuck(simulation: Any, act: Act) -> None:
    """A plate lies on the chuck before it is coated, and none before one is loaded."""
    twin, coater = simulation.twin, simulation._servers["device" if "device" in simulation._servers else "spin_coater"]
    while coater.machine.state == "LOAD":  # hands stay away until its handler stands still
        await asyncio.sleep(0.005)
    if act.path != "load":
        if not twin.occupied():
            twin.load()
    elif twin.occupied():
        twin.pick("chuck")
        twin.put("tray")


def plate_to_carry(simulation: Any, act: Act) -> None:
    """A plate lies on the chuck, and neither in the gripper nor where it is carried to."""
    twin = simulation.twin
    if twin.holding():
        twin.put("tray")
    if twin.occupied("bed_a"):
        twin.pick("bed_a")
        twin.put("tray")
    if not twin.occupied("chuck"):
        twin.load()


def film_under_probe(simulation: Any, act: Act) -> None:
    """A coated plate lies on the stage."""
    twin = simulation.twin
    if not twin.occupied("probe_stage"):
        twin.load()
        twin.dispense(100.0)
        twin.spin(2000.0, 30.0)
        twin.pick("chuck")
        twin.put("probe_stage")
        twin.moved(twin.middle)


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
        options={"high": "90 degC", "dwell": "20 s", "settle_time": "300 s"},
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
    "spin_coater": DeviceCase(
        driver="spin_coater",
        instruments={"device": {"role": "coater"}},
        prepare=(Act("vacuum", 1),),
        arrange=plate_on_chuck,
        exercise=(Act("load", verb="trigger"), Act("dispense", 50.0), Act("spin", 3000.0)),
        **FILM,
    ),
    "mtsics_balance": DeviceCase(
        driver="mtsics_balance",
        instruments={"device": {"role": "balance"}},
        simulation={"ink": "1 mL", "bottle": "2 g"},  # a balance can be zeroed near its zero only
        exercise=(TRIGGER, Act("tare", verb="trigger"), Act("zero", verb="trigger")),
        **FILM,
    ),
    "furnace": DeviceCase(
        driver="furnace",
        instruments={"device": {"role": "furnace_a"}},
        options={"high": "400 degC", "dwell": "20 s", "settle_time": "300 s", "hold_temperature": "50 degC"},
        exercise=(Act("", 60.0), Act("ramp", 60.0), Act("hold", 60.0)),
        speed=500.0,
        **FILM,
    ),
    "keithley2400": DeviceCase(
        driver="keithley2400",
        instruments={"device": {"role": "probe"}},
        arrange=film_under_probe,
        exercise=(TRIGGER, Act("voltage_limit", 10.0), Act("nplc", 0.5)),
        speed=10.0,
        **FILM,
    ),
    "ur_robot": DeviceCase(
        driver="ur_robot",
        instruments={"device": {"role": "robot"}},
        arrange=plate_to_carry,
        exercise=(Act("carry", {"source": "chuck", "target": "bed_a"}),),
        **FILM,
    ),
    "secop": DeviceCase(
        driver="secop",
        instruments={"device": {"role": "glovebox"}},
        exercise=(Act("humidity", 15.0),),
        speed=2000.0,
        **FILM,
    ),
    "epics_stage": DeviceCase(
        driver="epics_stage",
        instruments={"device": {"role": "stage"}},
        exercise=(Act("", 30.0), Act("eject", verb="trigger")),
        simulator="thin_film",
        timeout=1.5,
    ),
    "classic_gauge": DeviceCase(
        driver="classic_gauge",
        instruments={"device": {"role": "gauge"}},
        arrange=film_under_probe,
        exercise=(TRIGGER,),
        **FILM,
    ),
}
"""Device → case. A new device gets its line here."""

INSTRUMENTS = {
    "ne1000_pump": {"role": "silver", "max_volume": "100 uL"},
    "modbus_heater": {"role": "heater", "high": "90 degC"},
    "scpi_spectrometer": {"role": "spectrometer", "max_integration": "120 ms"},
    "spin_coater": {"role": "coater", "max_volume": "100 uL"},
    "mtsics_balance": {"role": "balance"},
    "furnace": {"role": "furnace_a", "high": "450 degC"},
    "keithley2400": {"role": "probe"},
    "ur_robot": {"role": "robot"},
    "secop": {"role": "glovebox"},
    "epics_stage": {"role": "stage"},
    "classic_gauge": {"role": "gauge"},
}
BEYOND: dict[str, tuple[dict[str, Any], Act]] = {
    "ne1000_pump": ({}, Act("dispense", 200.0)),
    "modbus_heater": ({"high": 150.0}, Act("setpoint", 120.0)),
    "scpi_spectrometer": ({}, Act("integration_time", 130.0)),
    "spin_coater": ({}, Act("dispense", 200.0)),
    "furnace": ({"high": 550.0}, Act("setpoint", 500.0)),
}
"""Simulated instrument → what its driver lets pass, and it has to refuse itself."""

SIMULATED = {
    "silver_flow": ("ne1000_pump", "modbus_heater", "scpi_spectrometer"),
    "thin_film": ("spin_coater", "mtsics_balance", "furnace", "keithley2400", "ur_robot", "secop", "classic_gauge"),
    "thin_film, over Channel Access": ("epics_stage",),
}
"""Simulators, each with the devices through which its instruments are looked at."""

KNOWN: dict[str, set[str]] = {}
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


def of_simulator(label: str) -> tuple[DeviceCase, ...]:
    """The instruments of a simulator, each under its own name."""
    return tuple(CASES[name].at(name=name) for name in SIMULATED[label])
