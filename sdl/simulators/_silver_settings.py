"""What the `simulation:` block of a silver-flow lab may say, and the check of all of it together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sdl.model import FileFault, InputError
from sdl.simulators._settings import Deadman, InstrumentSettings, by_role, options_of, quantity
from sdl.simulators.silver import FEEDS, SilverFlowOptions

__all__ = ["HeaterSettings", "Options", "PumpSettings", "Settings", "SpectrometerSettings", "checked"]


class Options(SilverFlowOptions):
    """`simulation.options`: those of the twin, and the default of a setting that every instrument has."""

    deadman: Deadman = None
    """Dead-man lease of each instrument that does not say otherwise, wall s."""


class PumpSettings(InstrumentSettings):
    """A pump."""

    role: Literal["silver", "reductant", "stabiliser", "seed"]
    """Which feed it pumps."""
    address: int = Field(default=0, ge=0, le=99)
    """In the pump network."""
    chain: str = ""
    """Pumps that name the same chain share one server, as pumps daisy-chained to one serial port do. Without a name a
    pump is a server of its own."""
    max_volume: Annotated[float | None, quantity("uL", 0.001, 1e7)] = None
    """Largest volume of one delivery, uL; deliveries without an end are not limited."""


class HeaterSettings(InstrumentSettings):
    """The heater's controller."""

    role: Literal["heater"]
    low: Annotated[float, quantity("degC", -273.15, 3000)] = 0.0
    """Lowest setpoint, degC."""
    high: Annotated[float, quantity("degC", -273.15, 3000)] = 300.0
    """Highest setpoint, degC."""
    max_ramp: Annotated[float | None, quantity("delta_degC/min", 0.1, 3000)] = None
    """Fastest ramp of the working setpoint, degC/min; no limit when left out."""
    safe_temperature: Annotated[float | None, quantity("degC", -273.15, 3000)] = None
    """Setpoint of the safe state, degC; 20 degC or the nearest within the limits when left out."""

    @model_validator(mode="after")
    def _ordered(self) -> HeaterSettings:
        if self.low >= self.high:
            raise ValueError(f"low, {self.low:g} degC, must be below high, {self.high:g} degC")
        safe = self.safe_temperature
        if safe is not None and not self.low <= safe <= self.high:
            limits = f"{self.low:g} to {self.high:g} degC"
            raise ValueError(f"safe_temperature, {safe:g} degC, is outside low and high, {limits}")
        return self


class SpectrometerSettings(InstrumentSettings):
    """The spectrometer."""

    role: Literal["spectrometer"]
    min_integration: Annotated[float, quantity("s", 1e-6, 3600)] = 1e-3
    """Shortest exposure, s."""
    max_integration: Annotated[float, quantity("s", 1e-6, 3600)] = 0.15
    """Longest exposure, s."""
    max_averages: int = Field(default=1000, ge=1, le=1_000_000)
    """Most exposures to one spectrum."""

    @model_validator(mode="after")
    def _ordered(self) -> SpectrometerSettings:
        if self.min_integration > self.max_integration:
            raise ValueError(
                f"min_integration, {self.min_integration:g} s, is above max_integration, {self.max_integration:g} s"
            )
        return self


Settings = PumpSettings | HeaterSettings | SpectrometerSettings
_KINDS: dict[str, type[Settings]] = {
    **dict.fromkeys(FEEDS, PumpSettings),
    "heater": HeaterSettings,
    "spectrometer": SpectrometerSettings,
}


def checked(
    instruments: Mapping[str, Mapping[str, Any]], options: Mapping[str, Any]
) -> tuple[dict[str, Settings], Options]:
    """Settings of each instrument, and the options.

    Raises:
        InputError: roles, settings or options cannot be used; every fault.
    """
    faults: list[FileFault] = []
    settings = by_role(instruments, _KINDS, faults)
    faults += _clashes(settings)
    chosen = options_of(Options, options, faults)
    if faults:
        raise InputError(faults)
    return settings, chosen


def _clashes(settings: Mapping[str, Settings]) -> list[FileFault]:
    faults: list[FileFault] = []
    seen: dict[str, str] = {}
    for name, setting in settings.items():
        claims = [f"role {setting.role}"]
        if isinstance(setting, PumpSettings) and setting.chain:
            claims.append(f"address {setting.address} of chain {setting.chain}")
        for claim in claims:
            if claim in seen:
                faults.append(FileFault(f"{claim} is taken by {seen[claim]}", path=f"instruments.{name}"))
            seen.setdefault(claim, name)
    return faults
