"""What the `simulation:` block of a thin-film lab may say, and the check of all of it together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import model_validator

from sdl.model import FileFault, InputError
from sdl.simulators._settings import Deadman, InstrumentSettings, by_role, options_of, quantity
from sdl.simulators.film import FilmOptions

Lease = TypeVar("Lease", bound=InstrumentSettings)

__all__ = [
    "CoaterSettings",
    "FurnaceSettings",
    "Options",
    "PlainSettings",
    "QuietSettings",
    "RobotSettings",
    "Settings",
    "StageSettings",
    "checked",
]


class Options(FilmOptions):
    """`simulation.options`: those of the twin, and the default of a setting that every instrument has."""

    deadman: Deadman = None
    """Dead-man lease of each instrument that does not say otherwise, wall s."""


class CoaterSettings(InstrumentSettings):
    """The spin coater."""

    role: Literal["coater"]
    max_speed: Annotated[float, quantity("rpm", 10, 20_000)] = 10_000.0
    """Fastest spin that it takes, rpm."""
    max_volume: Annotated[float, quantity("uL", 0.01, 1e6)] = 2000.0
    """Largest volume of one dispense, uL."""
    flow: Annotated[float, quantity("uL/s", 0.1, 1e4)] = 100.0
    """Of the syringe, uL/s."""
    load_time: Annotated[float, quantity("s", 0, 3600)] = 8.0
    """That its handler takes for a substrate, s."""


class FurnaceSettings(InstrumentSettings):
    """The controller of a furnace."""

    role: Literal["furnace_a", "furnace_b"]
    """Which bed it heats: `furnace_a` has bed_a."""
    low: Annotated[float, quantity("degC", -273.15, 3000)] = 0.0
    """Lowest setpoint, degC."""
    high: Annotated[float, quantity("degC", -273.15, 3000)] = 450.0
    """Highest setpoint, degC."""
    max_ramp: Annotated[float | None, quantity("delta_degC/min", 0.1, 3000)] = None
    """Fastest ramp of the working setpoint, degC/min; no limit when left out."""
    safe_temperature: Annotated[float, quantity("degC", -273.15, 3000)] = 20.0
    """Setpoint of the safe state, degC; the nearest there is within the limits."""

    @model_validator(mode="after")
    def _ordered(self) -> FurnaceSettings:
        if self.low >= self.high:
            raise ValueError(f"low, {self.low:g} degC, must be below high, {self.high:g} degC")
        return self


class RobotSettings(InstrumentSettings):
    """The robot; how long the phases of a carry take."""

    role: Literal["robot"]
    approach: Annotated[float, quantity("s", 0, 3600)] = 5.0
    """To the source, s."""
    grip: Annotated[float, quantity("s", 0, 3600)] = 1.5
    """s"""
    travel: Annotated[float, quantity("s", 0, 3600)] = 8.0
    """To the target, s."""
    place: Annotated[float, quantity("s", 0, 3600)] = 2.5
    """s"""

    @property
    def durations(self) -> dict[str, float]:
        """Of each phase, lab s."""
        return {"APPROACH": self.approach, "GRIP": self.grip, "TRAVEL": self.travel, "PLACE": self.place}


def _needs_no_lease(setting: Lease) -> Lease:
    if setting.deadman is not None:
        raise ValueError("it has no `deadman`: it comes to rest by itself, and has nothing to make safe")
    return setting


class StageSettings(InstrumentSettings):
    """The sample stage."""

    role: Literal["stage"]
    velocity: Annotated[float, quantity("mm/s", 0.01, 1000)] = 20.0
    """mm/s"""
    _safe = model_validator(mode="after")(_needs_no_lease)


class PlainSettings(InstrumentSettings):
    """An instrument without settings of its own."""

    role: Literal["glovebox", "probe"]


class QuietSettings(InstrumentSettings):
    """One without settings, in which nothing moves or heats, nor is under voltage."""

    role: Literal["balance", "gauge"]
    _safe = model_validator(mode="after")(_needs_no_lease)


Settings = CoaterSettings | FurnaceSettings | RobotSettings | StageSettings | PlainSettings | QuietSettings
_KINDS: dict[str, type[Settings]] = {
    "coater": CoaterSettings,
    "balance": QuietSettings,
    "glovebox": PlainSettings,
    "furnace_a": FurnaceSettings,
    "furnace_b": FurnaceSettings,
    "robot": RobotSettings,
    "stage": StageSettings,
    "probe": PlainSettings,
    "gauge": QuietSettings,
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
    taken: dict[str, str] = {}
    for name, setting in settings.items():
        if setting.role in taken:
            faults.append(
                FileFault(f"role {setting.role} is taken by {taken[setting.role]}", path=f"instruments.{name}")
            )
        taken.setdefault(setting.role, name)
    chosen = options_of(Options, options, faults)
    if faults:
        raise InputError(faults)
    return settings, chosen
