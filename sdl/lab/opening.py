"""Open a lab: simulated instruments where devices have no address, then its stations; and close all of it again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sdl.lab.clock import LabClock
from sdl.lab.devices import build_devices
from sdl.lab.labfile import Lab
from sdl.lab.simulation import SimulatedInstruments
from sdl.lab.station import Station

__all__ = ["OpenLab", "connect_lab"]


@dataclass(frozen=True)
class OpenLab:
    """A lab whose devices answer."""

    clock: LabClock
    stations: Mapping[str, Station]
    addresses: Mapping[str, str]
    """Device → address, real or simulated."""
    simulated: tuple[str, ...]
    """Devices whose instruments are simulated."""
    control: str
    """Address of the simulation's channel for injected faults; empty in a real lab."""

    def as_json(self) -> dict[str, Any]:
        """For the journal."""
        return {
            "addresses": dict(self.addresses),
            "simulated": list(self.simulated),
            "control": self.control,
            "speed": self.clock.speed,
        }


@contextlib.asynccontextmanager
async def connect_lab(lab: Lab, names: Iterable[str] | None = None) -> AsyncIterator[OpenLab]:
    """Start simulated instruments where there are any, and open stations; close all of it in the end.

    Args:
        lab: the lab.
        names: stations to open; all by default.

    Raises:
        SdlError: the simulated instruments do not start, or devices cannot be built or connected.
    """
    wanted = list(lab.spec.stations if names is None else names)
    devices = [device for name in wanted for device in lab.spec.stations[name].devices]
    given = {name: lab.spec.devices[name].address for name in devices}
    simulated = tuple(name for name in devices if given[name] is None)
    speed, control = 1.0, ""
    addresses = {name: address for name, address in given.items() if address is not None}
    async with contextlib.AsyncExitStack() as stack:
        if simulated and lab.spec.simulation is not None:
            paths = {name: str(item.path) for name, item in lab.inputs.items()}
            instruments = await asyncio.to_thread(SimulatedInstruments, lab.file.path, paths)
            stack.push_async_callback(asyncio.to_thread, instruments.close)
            addresses = {
                name: address for name, address in instruments.addresses.items() if name in devices
            } | addresses
            speed, control = lab.spec.simulation.speed, instruments.control
        clock = LabClock(speed)
        stations = {name: Station(name, build_devices(lab, name, addresses, clock), clock) for name in wanted}
        for station in stations.values():
            stack.push_async_callback(station.close)
            await station.open()
        yield OpenLab(clock, stations, addresses, simulated, control)
