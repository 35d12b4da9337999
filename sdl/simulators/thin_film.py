"""The simulated instruments of a thin-film lab: coater, furnaces, robot, stage and probes around one twin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from sdl.lab.clock import LabClock
from sdl.protocols import Clock
from sdl.simulators._control import ControlServer
from sdl.simulators._faults import Probe
from sdl.simulators._film_settings import (
    CoaterSettings,
    FurnaceSettings,
    PlainSettings,
    QuietSettings,
    RobotSettings,
    Settings,
    StageSettings,
    checked,
)
from sdl.simulators.balance import BalanceServer
from sdl.simulators.epics_stage import EJECT, StageIoc
from sdl.simulators.film import PLACES, FilmTwin, FurnaceBed
from sdl.simulators.furnace import FurnaceServer
from sdl.simulators.gauge import GaugeServer
from sdl.simulators.secop import GloveboxServer
from sdl.simulators.smu import SourceMeterServer
from sdl.simulators.spin_coater import CoaterLimits, SpinCoaterServer
from sdl.simulators.ur_robot import UrRobotServer
from sdl.virtual import on_virtual_time

__all__ = ["ThinFilmSimulation"]

_MIDDLE = 50.0
"""Position of the stage at which the middle of a film is under the probe, mm."""
_CLOSED = 30.0
"""Time constant with which a furnace follows its working setpoint, s."""
_BEDS = {"furnace_a": "bed_a", "furnace_b": "bed_b"}


class _Server(Protocol):
    async def start(self) -> str: ...
    async def stop(self) -> None: ...


class _Furnace(FurnaceServer):
    """A furnace with an output of its timer wired to the pins of the bed: they are down while it runs."""

    def __init__(self, bed: FurnaceBed, probe: Probe, clock: Clock, setting: FurnaceSettings, deadman: float | None):
        self._bed = bed
        super().__init__(
            probe,
            clock,
            bed,
            low=setting.low,
            high=setting.high,
            max_ramp=setting.max_ramp or 0.0,
            safe_temperature=setting.safe_temperature,
            deadman=deadman,
            closed=_CLOSED,
        )

    def _take(self, register: int, value: int) -> None:
        super()._take(register, value)
        ends = self.timer.ends
        if ends is None:
            self._bed.lift()
        else:
            self._bed.lower(ends)


class ThinFilmSimulation:
    """Spin coater, balance, glovebox, two furnaces, robot, stage, probe and gauge, around `sdl.simulators.film`.

    Args:
        instruments: device name → settings: `{role: coater, max_speed, max_volume, flow, load_time}`,
            `{role: furnace_a, low, high, max_ramp, safe_temperature}` and the same for `furnace_b`,
            `{role: robot, approach, grip, travel, place}`, `{role: stage, velocity}`, and roles `balance`, `glovebox`,
            `probe` and `gauge`; `deadman` for each but stage, balance and gauge, which have nothing to make safe.
        seed: of what differs from film to film, of noise, and of the atmosphere.
        speed: lab seconds a wall second.
        clock: lab time; that of `speed` by default.
        options: fields of `FilmOptions`, and `deadman` as the default for all instruments.

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
        self._clock = clock or LabClock(speed)
        self._seed = seed
        self.twin = FilmTwin(self._clock, seed=seed, options=chosen, middle=_MIDDLE, eject=EJECT)
        """What all instruments act on."""
        self._probes = {name: Probe(name, self._clock.now) for name in settings}
        self._servers = {
            name: self._server(setting, self._probes[name], setting.lease(chosen.deadman))
            for name, setting in settings.items()
        }
        self._control = ControlServer(self._probes.values())
        self._control_address = ""

    def _server(self, setting: Settings, probe: Probe, deadman: float | None) -> _Server:
        clock, twin = self._clock, self.twin
        match setting:
            case CoaterSettings():
                limits = CoaterLimits(
                    max_speed=setting.max_speed,
                    max_volume=setting.max_volume,
                    flow=setting.flow,
                    load_time=setting.load_time,
                )
                return SpinCoaterServer(probe, clock, twin, limits=limits, deadman=deadman)
            case FurnaceSettings():
                return _Furnace(twin.beds[_BEDS[setting.role]], probe, clock, setting, deadman)
            case RobotSettings():
                return UrRobotServer(probe, clock, twin, places=PLACES, durations=setting.durations, deadman=deadman)
            case StageSettings():
                return StageIoc(twin, probe, clock, velocity=setting.velocity)
            case PlainSettings() | QuietSettings():
                return self._plain(probe, deadman)[setting.role]()

    def _plain(self, probe: Probe, deadman: float | None) -> Mapping[str, Callable[[], _Server]]:
        clock, twin = self._clock, self.twin
        return {
            "balance": lambda: BalanceServer(
                probe, clock, twin.mass, seed=self._seed, capacity=max(220.0, 1.05 * twin.mass())
            ),
            "glovebox": lambda: GloveboxServer(probe, clock, twin.glovebox, deadman=deadman),
            "probe": lambda: SourceMeterServer(twin, probe, clock, seed=self._seed, deadman=deadman),
            "gauge": lambda: GaugeServer(twin, probe, clock, held=on_virtual_time()),
        }

    async def start(self) -> Mapping[str, str]:
        """Start every server and the control channel; device name → address."""
        addresses: dict[str, str] = {}
        try:
            self._control_address = await self._control.start()
            for name, server in self._servers.items():
                addresses[name] = await server.start()
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
        for server in self._servers.values():
            await server.stop()
        await self._control.stop()
