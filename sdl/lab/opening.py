"""Open a lab: simulated instruments where devices have no address, then its stations; and close all of it again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sdl.lab._inuse import instruments_taken
from sdl.lab.clock import LabClock
from sdl.lab.devices import build_devices
from sdl.lab.labfile import Lab
from sdl.lab.simulation import SimulatedInstruments, build_simulation
from sdl.lab.station import Station
from sdl.lab.stopcards import WrittenCard, device_stops, lab_key, marked, stop_folder, write_card
from sdl.model import SdlError
from sdl.protocols import Clock
from sdl.virtual import VirtualClock

__all__ = ["OpenLab", "connect_lab", "stop_card", "stopped_by"]


@dataclass(frozen=True)
class OpenLab:
    """A lab whose devices answer."""

    clock: Clock
    stations: Mapping[str, Station]
    addresses: Mapping[str, str]
    """Device → address, real or simulated."""
    simulated: tuple[str, ...]
    """Devices whose instruments are simulated."""
    control: str
    """Address of the simulation's channel for injected faults; empty in a real lab."""
    key: str = ""
    """What stands for the lab in stop marks; see `sdl.lab.stopcards.marked`."""
    keep_card: Callable[[], None] = lambda: None
    """Call it when a device did not confirm its safe state: the stop card then stays when the lab is closed."""

    def as_json(self) -> dict[str, Any]:
        """For the journal."""
        return {
            "addresses": dict(self.addresses),
            "simulated": list(self.simulated),
            "control": self.control,
            "speed": self.clock.speed,
        }


@contextlib.asynccontextmanager
async def connect_lab(
    lab: Lab, names: Iterable[str] | None = None, virtual: VirtualClock | None = None
) -> AsyncIterator[OpenLab]:
    """Start simulated instruments where there are any, and open stations; close all of it in the end.

    A stop card for `sdl stop` is there before the first device is connected. It is removed when all was closed in good
    order; after an exception, as after a crash or a call of `keep_card`, it stays for the devices whose instruments are
    real.

    Args:
        lab: the lab.
        names: stations to open; all by default.
        virtual: the clock of the running loop when that is on virtual time. Every instrument is simulated then,
            whatever addresses the file has, in this process, and no stop card is written.

    Raises:
        Fault: another process has one of the instruments.
        SdlError: the simulated instruments do not start, devices cannot be built or connected, or real instruments
            have to do without a stop card since the state folder cannot be written to.
    """
    wanted = list(lab.spec.stations if names is None else names)
    devices = [device for name in wanted for device in lab.spec.stations[name].devices]
    given = {name: None if virtual else lab.spec.devices[name].address for name in devices}
    simulated = tuple(name for name in devices if given[name] is None)
    speed, control, served = 1.0, "", frozenset[str]()
    addresses = {name: address for name, address in given.items() if address is not None}
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(instruments_taken(addresses, lab.spec.name))
        if simulated and lab.spec.simulation is not None and virtual is not None:
            simulation = build_simulation(lab, lab.spec.simulation, virtual)
            stack.push_async_callback(simulation.stop)
            addresses = {name: at for name, at in (await simulation.start()).items() if name in devices}
            control, served = simulation.control, frozenset(addresses)
        elif simulated and lab.spec.simulation is not None:
            paths = {name: str(item.path) for name, item in lab.inputs.items()}
            instruments = await asyncio.to_thread(SimulatedInstruments, lab.file.path, paths)
            stack.push_async_callback(asyncio.to_thread, instruments.close)
            addresses = {
                name: address for name, address in instruments.addresses.items() if name in devices
            } | addresses
            speed, control = lab.spec.simulation.speed, instruments.control
            served = frozenset(simulated) & frozenset(instruments.addresses)
        clock: Clock = virtual or LabClock(speed)
        effects = {name: device.effects for name, device in lab.spec.devices.items() if device.effects}
        key = lab_key(lab.file.path)
        built = {name: build_devices(lab, name, addresses, clock) for name in wanted}
        every = {name: device for members in built.values() for name, device in members.items()}
        keep_card = _nothing
        if virtual is None:
            keep_card = stack.enter_context(stop_card(lab, every, addresses, served))
        stopped = (lambda: stopped_by(key)) if virtual is None else (lambda: "")
        loop = None if virtual is None else virtual.loop
        stations = {name: Station(name, members, clock, effects, stopped, loop) for name, members in built.items()}
        for station in stations.values():
            stack.push_async_callback(station.close)
        for station in stations.values():
            await station.open()
        yield OpenLab(clock, stations, addresses, simulated, control, key, keep_card)


def _nothing() -> None:
    """No stop card, nothing to keep."""


def stopped_by(key: str) -> str:
    """What `sdl stop` left for a lab, in words; empty while nobody has stopped it. A few microseconds."""
    mark = marked(key)
    return "" if mark is None else mark.sentence()


@contextlib.contextmanager
def stop_card(
    lab: Lab, devices: Mapping[str, Any], addresses: Mapping[str, str], simulated: Collection[str] = ()
) -> Iterator[Callable[[], None]]:
    """Keep a card for `sdl stop` while devices are in use; enter it before any of them is connected.

    It is removed in the end, unless that is an exception or the function that the context gives was called.

    Args:
        lab: the lab.
        devices: name → device, built.
        addresses: name → address, of those that have one.
        simulated: names of devices whose simulated instruments end with this process.

    Raises:
        SdlError: the state folder cannot be written to, and there are real instruments to stop.
    """
    stops = device_stops(devices, addresses, simulated)
    inputs = {name: str(item.path) for name, item in lab.inputs.items()}
    card: WrittenCard | None = None
    try:
        card = write_card(lab.spec.name, str(lab.file.path), inputs, stops)
    except OSError as error:
        if any(stop.real for stop in stops):
            raise SdlError(
                f"the card that `sdl stop` needs cannot be written to {stop_folder()}: {error.strerror or error}; "
                "make that folder writable, or name another one in SDL_STATE_DIR"
            ) from error
    kept: list[bool] = []
    try:
        yield lambda: kept.append(True)
    except BaseException:
        kept.append(True)
        raise
    finally:
        if card is not None and kept:
            card.leave()
        elif card is not None:
            card.remove()
