"""The lab file as records: devices, stations, procedures, inputs, simulation."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from sdl.model import JSON, Name, Record
from sdl.protocols import Effect

__all__ = [
    "AboutSpec",
    "AnalysisSpec",
    "DeviceSpec",
    "DurationSpec",
    "InputSpec",
    "InterlockSpec",
    "LabSpec",
    "OnFault",
    "OnInterrupt",
    "PlaceSpec",
    "ProcedureSpec",
    "SampleSpec",
    "SetupSpec",
    "SimulationSpec",
    "StationSpec",
    "StepSpec",
    "StockSpec",
    "UseSpec",
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


class AboutSpec(Record):
    """What PIDINST 1.0 (doi:10.15497/RDA00070) asks of an instrument, for the record and for releases."""

    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    owner: str = ""
    """Organisation that owns it."""
    calibrated: date | None = None
    """Day of the last calibration."""
    identifier: str = ""
    """A persistent identifier of the instrument, as a DOI or a Handle."""


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
    about: AboutSpec = AboutSpec()
    """Maker, model, serial number, owner, calibration: wins over what the instrument says of itself."""


class StationSpec(Record):
    """Devices that one RunEngine drives."""

    devices: Annotated[tuple[Name, ...], Field(min_length=1)]
    worker: str | None = None
    """Address of the worker that has the station, as in tcp://192.168.1.20:5600; None for this process."""
    cost: float = Field(default=0.0, ge=0)
    """What an hour of it costs, in the lab's currency."""
    worker_key: str | None = None
    """File with the worker's public key, relative to the lab file; needed when the worker is on another machine."""


class PlaceSpec(Record):
    """Where samples can be: a chuck, a bed, a rack."""

    station: Name | None = None
    """Station at which it is; None for a store that every station which carries can reach."""
    slots: int = Field(default=1, ge=1, le=10_000)
    """Samples it holds at a time."""


class StockSpec(Record):
    """Something that trials use up."""

    unit: str
    """As in `mL`, or `1` for what is counted."""
    warn_below: float | str = 0.0
    """Amount, in that unit, below which people are warned."""
    cost: float = Field(default=0.0, ge=0)
    """What one unit costs, in the lab's currency."""
    description: str = ""


class SampleSpec(Record):
    """The sample that a trial makes and hands from step to step."""

    made_by: Name
    """Step that brings it into being."""
    place: Name
    """Place where it then is."""
    label: str = "{campaign}-{trial:04d}"
    """Pattern of what is written on it: `{campaign}` is the campaign's name, `{trial}` the trial's number."""


class DurationSpec(Record):
    """How long a step takes: a fixed part, and parameters or constants of the plan that are times themselves."""

    base: str | float = 0.0
    """Lab time, as in `90 s`."""
    add: tuple[Name, ...] = ()
    """Arguments of the plan that are spans of time, with the unit of the parameter (s where it has none)."""


class SetupSpec(Record):
    """Time that a station needs before a step, by how far an argument is from that of its last step."""

    by: Name
    """Argument of the plan, as the temperature of a furnace."""
    per_unit: str | float
    """Lab time for each unit of difference, as in `6 s`."""
    start: float | None = None
    """Value of a station that has done no step yet, in the unit of the argument, as 22 for a furnace in degC."""


class UseSpec(Record):
    """What a step takes from stock."""

    amount: float | str
    """Amount in the stock's unit, or the name of an argument of the plan that says it."""
    device: Name | None = None
    """Device whose action takes it: what is used follows what is known of the action. None: the step as a whole."""
    path: str = ""
    """Part of that device, as in `dispense`."""


def _duration(value: Any) -> Any:
    """`3 min` is a fixed duration."""
    return {"base": value} if isinstance(value, str | int | float) and not isinstance(value, bool) else value


def _use(value: Any) -> Any:
    """`ink: 0.2 mL` is an amount used by the step as a whole."""
    return {"amount": value} if isinstance(value, str | int | float) and not isinstance(value, bool) else value


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
    choose: Literal["first", "any"] = "first"
    """When `other_stations` may be taken: only after faults on the first, or whichever is free sooner."""
    duration: Annotated[DurationSpec | None, BeforeValidator(_duration)] = None
    """How long it takes, set-up left out, as in `3 min`; learned from what happened once it has."""
    setup: SetupSpec | None = None
    """What the station has to do before."""
    min_wait: str | float = 0.0
    """Least lab time since the end of the step before, as in `30 s`."""
    max_wait: str | float | None = None
    """Most lab time since the end of the step before, as in `5 min`: a coated film must be annealed by then."""
    into: tuple[Name, ...] = ()
    """Places into which the step moves the sample, any of which will do; empty when it stays where it is."""
    archives: bool = False
    """Whether the sample is archived where the step leaves it, and the trial is done with it."""
    consumes: bool = False
    """Whether nothing of the sample is left after the step."""
    keep_until: Name | None = None
    """Later step until whose end the station stays with the trial, as a robot does that holds on to a sample."""
    uses: dict[Name, Annotated[UseSpec, BeforeValidator(_use)]] = {}
    """Stock that the step takes: item → amount, as in `0.2 mL`."""
    on_fault: OnFault = "pause"
    """What follows when all of that did not help: the trial fails, or the campaign pauses and the trial waits."""
    time_limit: str | float | None = None
    """Lab time after which the step is given up as a fault, as in `10 min`; None for no limit."""

    @property
    def every_station(self) -> tuple[str, ...]:
        """Stations that may have it, the first one first."""
        return (self.station, *self.other_stations)

    @property
    def choices(self) -> tuple[str, ...]:
        """Stations of which any may have it from the beginning, faults left aside."""
        return self.every_station if self.choose == "any" else (self.station,)


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
    sample: SampleSpec | None = None
    """The sample that goes from step to step; None where trials have none."""
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
    places: dict[Name, PlaceSpec] = {}
    """Where samples can be."""
    stock: dict[Name, StockSpec] = {}
    """What trials use up."""
    currency: str = "JPY"
    """Of all costs."""
    interlocks: dict[Name, Annotated[InterlockSpec, BeforeValidator(_interlock)]] = {}
    simulation: SimulationSpec | None = None
