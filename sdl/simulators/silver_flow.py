"""The simulated instruments of a silver-flow lab: pumps, heater and spectrometer around one twin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdl.lab.clock import LabClock
from sdl.protocols import Clock
from sdl.simulators._control import ControlServer
from sdl.simulators._faults import Probe
from sdl.simulators._server import InstrumentServer
from sdl.simulators._silver_settings import HeaterSettings, PumpSettings, SpectrometerSettings, checked
from sdl.simulators.heater import HeaterServer
from sdl.simulators.ne1000 import Ne1000Server, SimulatedPump
from sdl.simulators.silver import SilverFlowTwin
from sdl.simulators.spectrometer import SpectrometerServer

__all__ = ["SilverFlowSimulation"]


_CLOSED = 15.0
"""Time constant with which the heater follows its working setpoint, s."""


class _LabTime:
    """A clock that begins at 0, as the time of a twin does."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.begin = clock.now()
        self.speed = clock.speed

    def now(self) -> float:
        return self._clock.now() - self.begin

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


class SilverFlowSimulation:
    """Four pumps, a heater and a spectrometer; see `sdl.simulators.silver` for what they act on.

    Args:
        instruments: device name → settings: `{role, address, chain, max_volume}` for a pump, `{role: heater, low,
            high, max_ramp, safe_temperature}`, `{role: spectrometer, min_integration, max_integration,
            max_averages}`; and for each of them `deadman`.
        seed: of noise and drift.
        speed: lab seconds a wall second.
        clock: lab time, when it is not that of `speed`.
        options: fields of `SilverFlowOptions`, and `deadman` as the default for all instruments.

    Raises:
        InputError: roles, settings or options cannot be used; every fault.
    """

    def __init__(
        self,
        instruments: Mapping[str, Mapping[str, Any]],
        *,
        seed: int,
        speed: float,
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        settings, chosen = checked(instruments, options)
        self._clock: Clock = clock or LabClock(speed)
        self._time = _LabTime(self._clock)
        self.twin = SilverFlowTwin(self._time.now, seed=seed, options=chosen)
        """What all instruments act on; its lab time begins at 0."""
        self._probes = {name: Probe(name, self._clock.now) for name in settings}
        self._leases = {name: setting.lease(chosen.deadman) for name, setting in settings.items()}
        pumps = {name: setting for name, setting in settings.items() if isinstance(setting, PumpSettings)}
        self._units = {name: pump.address for name, pump in pumps.items()}
        self._servers: list[tuple[InstrumentServer, list[str]]] = []
        for names in _networks(pumps):
            network = {pumps[name].address: self._pump(name, pumps[name]) for name in names}
            self._servers.append((Ne1000Server(network), names))
        for name, setting in settings.items():
            if isinstance(setting, HeaterSettings):
                self._servers.append((self._heater(name, setting), [name]))
            elif isinstance(setting, SpectrometerSettings):
                self._servers.append((self._spectrometer(name, setting), [name]))
        self._control = ControlServer(self._probes.values())
        self._control_address = ""

    def _pump(self, name: str, setting: PumpSettings) -> SimulatedPump:
        def deliver(rate: float) -> None:
            self.twin.set_flow(setting.role, rate, pump.changed_at - self._time.begin)

        pump = SimulatedPump(
            self._probes[name],
            self._clock,
            on_rate=deliver,
            max_volume=setting.max_volume,
            deadman=self._leases[name],
        )
        return pump

    def _heater(self, name: str, setting: HeaterSettings) -> HeaterServer:
        return HeaterServer(
            self._probes[name],
            self._time,
            self.twin.block,
            low=setting.low,
            high=setting.high,
            max_ramp=setting.max_ramp or 0.0,
            safe_temperature=20.0 if setting.safe_temperature is None else setting.safe_temperature,
            deadman=self._leases[name],
            closed=_CLOSED,
        )

    def _spectrometer(self, name: str, setting: SpectrometerSettings) -> SpectrometerServer:
        return SpectrometerServer(
            self.twin,
            self._probes[name],
            self._clock,
            min_integration=setting.min_integration,
            max_integration=setting.max_integration,
            max_averages=setting.max_averages,
            deadman=self._leases[name],
        )

    async def start(self) -> Mapping[str, str]:
        """Start every server and the control channel; device name → address."""
        addresses: dict[str, str] = {}
        try:
            self._control_address = await self._control.start()
            for server, names in self._servers:
                address = await server.start()
                for name in names:
                    unit = self._units.get(name)
                    addresses[name] = address if unit is None else f"{address}/{unit}"
        except BaseException:
            await self.stop()
            raise
        return addresses

    @property
    def control(self) -> str:
        """Address of the channel over which tests inject faults; empty before the start."""
        return self._control_address

    @property
    def probes(self) -> list[Probe]:
        """Faults and log of each instrument."""
        return list(self._probes.values())

    async def stop(self) -> None:
        """Stop every server."""
        for server, _ in self._servers:
            await server.stop()
        await self._control.stop()


def _networks(pumps: Mapping[str, PumpSettings]) -> list[list[str]]:
    """Names of the pumps behind each server."""
    chains: dict[str, list[str]] = {}
    for name, pump in pumps.items():
        chains.setdefault(f"chain {pump.chain}" if pump.chain else f"pump {name}", []).append(name)
    return list(chains.values())
