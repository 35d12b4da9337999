"""The lab file as records: devices, stations, procedures, inputs, simulation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from sdl.model import JSON, Name, Record
from sdl.protocols import Effect

__all__ = [
    "AnalysisSpec",
    "DeviceSpec",
    "InputSpec",
    "InterlockSpec",
    "LabSpec",
    "OnFault",
    "OnInterrupt",
    "ProcedureSpec",
    "SimulationSpec",
    "StationSpec",
    "StepSpec",
]

OnInterrupt = Literal["resume", "redo", "discard", "ask"]
OnFault = Literal["fail", "pause"]


class InputSpec(Record):
    """A file that the lab needs and a campaign or `--set` may choose."""

    path: str | None = None
    """Default, relative to the lab file; None when the campaign has to give one."""
    about: str = ""


def _input(value: Any) -> Any:
    """`table: path` declares an input of kind path without a default."""
    return {} if value == "path" else value


class DeviceSpec(Record):
    """An instrument's driver and where to reach it."""

    driver: str
    """Name of a registered driver, `package.module:Class`, or `file.py:Class` relative to the lab file."""
    address: str | None = None
    """As in tcp://192.168.1.20:4001; None when the device is simulated."""
    options: dict[str, JSON] = {}
    """Passed to the driver; quantities with units, as in `14.43 mm`."""
    effects: dict[str, Effect] = {}
    """What repeating an action does, by part or verb, as in `{trigger: read}`; wins over what the driver declares."""


class StationSpec(Record):
    """Devices that one RunEngine drives."""

    devices: Annotated[tuple[Name, ...], Field(min_length=1)]
    worker: str | None = None
    """Address of the worker that has the station, as in tcp://192.168.1.20:5600; None for this process."""
    worker_key: str | None = None
    """File with the worker's public key, relative to the lab file; needed when the worker is on another machine."""


class StepSpec(Record):
    """One plan on one station."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    name: Name
    station: Name
    plan: str
    """`file.py:function` relative to the lab file, or `package.module:function`: a Bluesky plan."""
    with_: dict[str, JSON] = Field(default={}, alias="with")
    """Constant arguments of the plan."""
    on_interrupt: OnInterrupt = "ask"
    """What to do when the process ended during the step: go on after it, do it again, give the trial up, or ask."""
    redo_from: Name | None = None
    """Earlier step to begin again from whenever this step is done again or begins in another session."""
    retries: int = Field(default=0, ge=0, le=10)
    """How often to try again after a fault of the equipment, on each station."""
    backoff: str | float = 0.0
    """Lab time to wait before the first of these tries, as in `30 s`; each further wait is twice as long."""
    other_stations: dict[Name, dict[Name, Name]] = {}
    """Stations to try in turn once the retries are used up: station → {argument of the plan: its device there}."""
    on_fault: OnFault = "pause"
    """What follows when all of that did not help: the trial fails, or the campaign pauses and the trial waits."""
    time_limit: str | float | None = None
    """Lab time after which the step is given up as a fault, as in `10 min`; None for no limit."""


class AnalysisSpec(Record):
    """How runs become outcomes."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    name: str
    """Name of a registered analysis, or `file.py:function`."""
    steps: tuple[Name, ...] = ()
    """Steps whose runs it gets; all when empty."""
    with_: dict[str, JSON] = Field(default={}, alias="with")
    """Options of the analysis."""


class ProcedureSpec(Record):
    """The recipe of a trial."""

    steps: Annotated[tuple[StepSpec, ...], Field(min_length=1)]
    analysis: AnalysisSpec
    description: str = ""


class InterlockSpec(Record):
    """What has to be true of a signal all the time."""

    require: str
    """As in `heater.temperature < 88 degC`: a signal of a device, one of `<` `<=` `>` `>=`, and a quantity."""
    stations: tuple[Name, ...] = ()
    """Stations that stop when it is not true; the one that has the device when empty."""
    message: str = ""
    """What to do about it, for the operator."""


def _interlock(value: Any) -> Any:
    """`name: requirement` is an interlock of nothing else."""
    return {"require": value} if isinstance(value, str) else value


class SimulationSpec(Record):
    """Simulated instruments that stand in for devices without an address."""

    simulator: str
    """Name of a registered simulator."""
    seed: int = Field(default=0, ge=0)
    speed: float = Field(default=1.0, gt=0)
    """Lab seconds a wall second."""
    instruments: dict[Name, dict[str, JSON]]
    """Device name → settings of its simulated instrument."""
    options: dict[str, JSON] = {}


class LabSpec(Record):
    """One lab file. Trusted: it names code, and it lives on the machine that drives the lab."""

    name: Name
    description: str = ""
    inputs: dict[Name, Annotated[InputSpec, BeforeValidator(_input)]] = {}
    devices: Annotated[dict[Name, DeviceSpec], Field(min_length=1)]
    stations: Annotated[dict[Name, StationSpec], Field(min_length=1)]
    procedures: Annotated[dict[Name, ProcedureSpec], Field(min_length=1)]
    interlocks: dict[Name, Annotated[InterlockSpec, BeforeValidator(_interlock)]] = {}
    simulation: SimulationSpec | None = None
