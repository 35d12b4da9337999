"""What repeating each verb of our drivers would do, as the guard of a station sees it."""

from __future__ import annotations

from typing import Any

import pytest

from sdl.devices.classic_gauge import ThicknessGauge
from sdl.devices.epics_stage import EpicsStage
from sdl.devices.furnace import Furnace
from sdl.devices.keithley2400 import Keithley2400
from sdl.devices.modbus_heater import ModbusHeater
from sdl.devices.mtsics_balance import MtSicsBalance
from sdl.devices.ne1000 import Ne1000Pump
from sdl.devices.scpi_spectrometer import ScpiSpectrometer
from sdl.devices.secop import SecopDevice
from sdl.devices.soft import SoftDetector
from sdl.devices.spin_coater import SpinCoater
from sdl.devices.tabulated import TabulatedInstrument
from sdl.devices.ur_robot import UrRobot
from sdl.lab.clock import LabClock
from sdl.lab.effects import acts_of, find_target
from sdl.protocols import Acts, Effect
from sdl.simulators import Probe
from sdl.simulators.secop import GloveboxServer
from sdl.testing._parts import parts_of, reached, verbs_of

ADDRESS = "tcp://127.0.0.1:9/1"
DELIVERY = Acts(Effect.NON_REPEATABLE, arms=True, continues=True)
ONCE = Acts(Effect.NON_REPEATABLE, arms=True)
DEVICES: dict[str, Any] = {
    "pump": Ne1000Pump(ADDRESS, name="pump"),
    "heater": ModbusHeater(ADDRESS, name="heater"),
    "spectrometer": ScpiSpectrometer(ADDRESS, name="spectrometer"),
    "table": TabulatedInstrument(
        ADDRESS, name="table", inputs={"ag": "percent", "base-type": {"text": True}}, outcomes={"yield": "percent"}
    ),
    "detector": SoftDetector(name="detector"),
    "coater": SpinCoater(ADDRESS, name="coater"),
    "balance": MtSicsBalance(ADDRESS, name="balance"),
    "furnace": Furnace(ADDRESS, name="furnace"),
    "smu": Keithley2400(ADDRESS, name="smu"),
    "robot": UrRobot(ADDRESS, name="robot"),
    "stage": EpicsStage("ca://127.0.0.1:9/BL1:STAGE", name="stage"),
    "gauge": ThicknessGauge(ADDRESS, name="gauge"),
}
RECORD = [path for path, part in parts_of(DEVICES["stage"].motor).items() if path and "set" in verbs_of(part)]
"""Variables of the stage's motor record that can be written."""
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
    ("coater", "load", "trigger", ONCE),
    ("coater", "dispense", "set", DELIVERY),
    ("coater", "spin", "set", ONCE),
    ("coater", "spin.seconds", "set", Acts(Effect.ABSOLUTE)),
    ("coater", "spin.acceleration", "set", Acts(Effect.ABSOLUTE)),
    ("coater", "vacuum", "set", Acts(Effect.ABSOLUTE)),
    ("coater", "reset", "trigger", Acts(Effect.ABSOLUTE)),
    ("balance", "", "trigger", Acts(Effect.READ)),
    ("balance", "tare", "trigger", ONCE),
    ("balance", "zero", "trigger", ONCE),
    ("furnace", "", "set", Acts(Effect.ABSOLUTE)),
    ("furnace", "setpoint", "set", Acts(Effect.ABSOLUTE)),
    ("furnace", "ramp", "set", Acts(Effect.ABSOLUTE)),
    ("furnace", "hold", "set", DELIVERY),
    ("furnace", "hold.temperature", "set", Acts(Effect.ABSOLUTE)),
    ("smu", "", "trigger", Acts(Effect.READ)),
    ("smu", "source_current", "set", Acts(Effect.ABSOLUTE)),
    ("smu", "voltage_limit", "set", Acts(Effect.ABSOLUTE)),
    ("smu", "nplc", "set", Acts(Effect.ABSOLUTE)),
    ("robot", "carry", "set", DELIVERY),
    ("stage", "", "set", Acts(Effect.ABSOLUTE)),
    ("stage", "eject", "trigger", ONCE),
    *(("stage", "motor", verb, Acts(Effect.ABSOLUTE)) for verb in ("set", "prepare", "kickoff", "complete")),
    *(("stage", f"motor.{path}", "set", Acts(Effect.ABSOLUTE)) for path in RECORD),
    ("gauge", "", "trigger", Acts(Effect.READ)),
    ("gauge", "thickness", "set", Acts(Effect.ABSOLUTE)),
    ("gauge", "cracked", "set", Acts(Effect.ABSOLUTE)),
    *((name, "", verb, Acts(Effect.ABSOLUTE)) for name in DEVICES for verb in ("stage", "unstage")),
]


@pytest.mark.parametrize(("name", "path", "verb", "acts"), MEANT)
def test_each_verb_has_the_effect_that_is_meant(name: str, path: str, verb: str, acts: Acts) -> None:
    """From the object that a message names to its effect, children of a `DeviceMap` as well."""
    part = reached(DEVICES[name], path)
    target = find_target(part, DEVICES)
    assert target is not None
    assert (target.device, target.path) == (name, path)
    assert acts_of(target, verb, DEVICES[name], child=part) == acts


def test_nothing_that_acts_is_forgotten() -> None:
    """Every part of our drivers that can be set, triggered or flown stands in the table above."""
    named = {(name, path, verb) for name, path, verb, _ in MEANT}
    there = {
        (name, path, verb)
        for name, device in DEVICES.items()
        for path, part in parts_of(device).items()
        for verb in verbs_of(part)
    }
    assert there <= named, there - named


async def test_parts_that_a_node_describes_have_effects_of_their_own() -> None:
    """Of an instrument that describes itself, targets and parameters lead to a state."""
    clock = LabClock(100.0)
    server = GloveboxServer(Probe("box", clock.now), clock)
    box = SecopDevice(await server.start(), name="box", clock=clock)
    try:
        await box.connect()
        there = [(path, verb) for path, part in parts_of(box).items() for verb in verbs_of(part)]
        assert set(there) == {("humidity", "set"), ("humidity.target", "set")}
        for path, verb in there:
            part = reached(box, path)
            target = find_target(part, {"box": box})
            assert target is not None
            assert acts_of(target, verb, box, child=part) == Acts(Effect.ABSOLUTE)
    finally:
        await box.close()
        await server.stop()
