"""The simulated instruments of a silver-flow lab: pumps, heater and spectrometer around one twin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from sdl.lab.clock import LabClock
from sdl.model import FileFault, InputError, Record
from sdl.plugins import suggest
from sdl.simulators._control import ControlServer
from sdl.simulators._faults import Probe
from sdl.simulators._server import InstrumentServer
from sdl.simulators.heater import HeaterServer
from sdl.simulators.ne1000 import Ne1000Server, SimulatedPump
from sdl.simulators.silver import FEEDS, SilverFlowOptions, SilverFlowTwin
from sdl.simulators.spectrometer import SpectrometerServer

__all__ = ["SilverFlowSimulation"]


class _Pump(Record):
    role: Literal["silver", "reductant", "stabiliser", "seed"]
    """Which feed it pumps."""
    address: int = Field(default=0, ge=0, le=99)
    """In the pump network."""
    chain: str = ""
    """Pumps that name the same chain share one server, as pumps daisy-chained to one serial port do. Without a name a
    pump is a server of its own."""


class _Heater(Record):
    role: Literal["heater"]


class _Spectrometer(Record):
    role: Literal["spectrometer"]


_Settings = Annotated[_Pump | _Heater | _Spectrometer, Field(discriminator="role")]
_SETTINGS: TypeAdapter[_Pump | _Heater | _Spectrometer] = TypeAdapter(_Settings)
_ROLES = (*FEEDS, "heater", "spectrometer")


class SilverFlowSimulation:
    """Four pumps, a heater and a spectrometer; see `sdl.simulators.silver` for what they act on.

    Args:
        instruments: device name → `{role, address, chain}` for a pump, `{role: heater}`, `{role: spectrometer}`.
        seed: of noise and drift.
        speed: lab seconds a wall second.
        options: fields of `SilverFlowOptions`.

    Raises:
        InputError: roles or options cannot be used; every fault.
    """

    def __init__(
        self, instruments: Mapping[str, Mapping[str, Any]], *, seed: int, speed: float, **options: Any
    ) -> None:
        settings, chosen = _checked(instruments, options)
        self._clock = LabClock(speed)
        begin = self._clock.now()
        self.twin = SilverFlowTwin(lambda: self._clock.now() - begin, seed=seed, options=chosen)
        """What all instruments act on; its lab time begins at 0."""
        self._probes = {name: Probe(name, self._clock.now) for name in settings}
        pumps = {name: setting for name, setting in settings.items() if isinstance(setting, _Pump)}
        self._units = {name: pump.address for name, pump in pumps.items()}
        self._servers: list[tuple[InstrumentServer, list[str]]] = []
        for names in _networks(pumps):
            network = {pumps[name].address: self._pump(name, pumps[name].role) for name in names}
            self._servers.append((Ne1000Server(network), names))
        for name, setting in settings.items():
            if isinstance(setting, _Heater):
                server = HeaterServer(self._probes[name], self._clock, self.twin.block)
                self._servers.append((server, [name]))
            elif isinstance(setting, _Spectrometer):
                self._servers.append((SpectrometerServer(self.twin, self._probes[name], self._clock), [name]))
        self._control = ControlServer(self._probes.values())
        self._control_address = ""

    def _pump(self, name: str, role: str) -> SimulatedPump:
        deliver: Callable[[float], None] = partial(self.twin.set_flow, role)
        return SimulatedPump(self._probes[name], self._clock, on_rate=deliver)

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

    async def stop(self) -> None:
        """Stop every server."""
        for server, _ in self._servers:
            await server.stop()
        await self._control.stop()


def _networks(pumps: Mapping[str, _Pump]) -> list[list[str]]:
    """Names of the pumps behind each server."""
    chains: dict[str, list[str]] = {}
    for name, pump in pumps.items():
        chains.setdefault(f"chain {pump.chain}" if pump.chain else f"pump {name}", []).append(name)
    return list(chains.values())


def _checked(
    instruments: Mapping[str, Mapping[str, Any]], options: Mapping[str, Any]
) -> tuple[dict[str, _Pump | _Heater | _Spectrometer], SilverFlowOptions]:
    faults: list[FileFault] = []
    settings: dict[str, _Pump | _Heater | _Spectrometer] = {}
    for name, given in instruments.items():
        role = given.get("role")
        if role not in _ROLES:
            hint = suggest(str(role), list(_ROLES))
            faults.append(FileFault(f"no role {role!r}{hint}", path=f"instruments.{name}.role"))
            continue
        try:
            settings[name] = _SETTINGS.validate_python(dict(given))
        except ValidationError as error:
            faults += _faults_of(error, f"instruments.{name}", skip=1)
    faults += _clashes(settings)
    chosen = SilverFlowOptions()
    try:
        chosen = SilverFlowOptions.model_validate(options)
    except ValidationError as error:
        faults += _faults_of(error, "options", skip=0, known=list(SilverFlowOptions.model_fields))
    if faults:
        raise InputError(faults)
    return settings, chosen


def _clashes(settings: Mapping[str, _Pump | _Heater | _Spectrometer]) -> list[FileFault]:
    faults: list[FileFault] = []
    seen: dict[str, str] = {}
    for name, setting in settings.items():
        claims = [f"role {setting.role}"]
        if isinstance(setting, _Pump) and setting.chain:
            claims.append(f"address {setting.address} of chain {setting.chain}")
        for claim in claims:
            if claim in seen:
                faults.append(FileFault(f"{claim} is taken by {seen[claim]}", path=f"instruments.{name}"))
            seen.setdefault(claim, name)
    return faults


def _faults_of(error: ValidationError, path: str, *, skip: int, known: list[str] | None = None) -> list[FileFault]:
    faults = []
    for detail in error.errors():
        where = ".".join(map(str, (path, *detail["loc"][skip:])))
        message = str(detail["msg"]).removeprefix("Value error, ")
        if detail["type"] == "extra_forbidden":
            message = "unknown key" + (suggest(str(detail["loc"][-1]), known) if known else "")
        faults.append(FileFault(message, path=where))
    return faults
