"""A simulated heater with its driver."""

from __future__ import annotations

from typing import Any

from sdl.devices.modbus_heater import ModbusHeater
from sdl.lab.clock import LabClock
from sdl.simulators._faults import Probe
from sdl.simulators.heater import FirstOrderPlant, HeaterServer


class Rig:
    """A controller with its driver, and its faults."""

    def __init__(self, speed: float = 500.0, **plant: float) -> None:
        self.clock = LabClock(speed)
        self.server = HeaterServer(
            Probe("heater", self.clock.now), self.clock, FirstOrderPlant(self.clock, **plant) if plant else None
        )
        self.faults = self.server.probe.faults

    async def start(self, timeout: float = 0.5, **options: Any) -> None:
        self.address = await self.server.start()
        self.heater = ModbusHeater(self.address, name="heater", clock=self.clock, timeout=timeout, **options)
        await self.heater.connect()

    async def stop(self) -> None:
        await self.heater.close()
        await self.server.stop()
