"""Procedures: plans loaded, their arguments bound by name, and the analysis that turns runs into outcomes.

An argument of a plan named like a device of its station gets that device, one named like a parameter of the problem
gets the trial's value, and the others come from `with:` in the lab file or from their defaults. `**parameters` gets
every parameter of the trial that no other argument takes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sdl import plugins
from sdl.lab.code import load_object
from sdl.lab.spec import AnalysisSpec, LabSpec, ProcedureSpec, SampleSpec, StepSpec
from sdl.lab.timing import StepTiming, step_timing
from sdl.lab.yamlfile import YamlFile
from sdl.model import FileFault, InputError, Outcome, Scalar
from sdl.model.units import parse_quantity
from sdl.protocols import Analysis, RunRecord

__all__ = ["BoundStep", "Procedure", "build_procedure"]

Plan = Callable[..., Iterator[Any]]


@dataclass(frozen=True)
class BoundStep:
    """A step whose plan is loaded and whose arguments are known."""

    spec: StepSpec
    plan: Plan
    devices: tuple[str, ...]
    """Arguments that are devices."""
    held: tuple[str, ...]
    """The devices themselves, in the same order."""
    parameters: tuple[str, ...]
    """Arguments that are parameters of the trial."""
    time_limit: float | None
    """Lab seconds."""
    backoff: float = 0.0
    """Lab seconds before the first new try after a fault."""
    timing: StepTiming = field(default_factory=StepTiming)
    """How long it takes, and may wait."""
    places: tuple[str, ...] = ()
    """Which of `source` and `target` the plan takes: where the sample is, and where it goes."""
    handover: Mapping[str, str] = field(default_factory=dict)
    """Their values, once they are known."""

    @property
    def name(self) -> str:
        """Name of the step."""
        return self.spec.name

    def on(self, station: str | None) -> BoundStep:
        """The same step on another of its stations; None for the first."""
        if station is None or station == self.spec.station:
            return self
        names = self.spec.other_stations[station]
        held = tuple(names.get(argument, argument) for argument in self.devices)
        return replace(self, spec=self.spec.model_copy(update={"station": station}), held=held)

    def devices_on(self, station: str) -> tuple[str, ...]:
        """Devices that the step uses on a station; none when it is not one of its stations."""
        return self.on(station).held if station in self.spec.every_station else ()

    def handing(self, source: str, target: str) -> BoundStep:
        """The same step, which moves the sample from one place to another."""
        return replace(self, handover={"source": source, "target": target})

    def arguments(self, values: Mapping[str, Scalar]) -> dict[str, Any]:
        """The plan's arguments other than devices, for one trial."""
        places = {name: self.handover[name] for name in self.places if name in self.handover}
        return {**self.spec.with_, **{name: values[name] for name in self.parameters}, **places}

    def start(self, devices: Mapping[str, Any], values: Mapping[str, Scalar]) -> Iterator[Any]:
        """Call the plan: the messages of this step for one trial."""
        held = dict(zip(self.devices, self.held, strict=True))
        return self.plan(**{name: devices[own] for name, own in held.items()}, **self.arguments(values))


@dataclass(frozen=True)
class Procedure:
    """The recipe of a trial."""

    name: str
    steps: tuple[BoundStep, ...]
    analysis: AnalysisSpec
    analyse_with: Analysis
    raw: Mapping[str, Any]
    """As the lab file has it, inputs not filled in."""
    sample: SampleSpec | None = None
    """The sample that goes from step to step."""

    def index(self, step: str) -> int:
        """Position of a step."""
        return next(i for i, s in enumerate(self.steps) if s.name == step)

    def begin_from(self, index: int) -> int:
        """Where to begin so that step `index` can be done again or in another session: its `redo_from`."""
        earlier = self.steps[index].spec.redo_from
        return self.index(earlier) if earlier is not None else index

    def analyse(self, runs: Sequence[RunRecord]) -> dict[str, Outcome]:
        """Outcomes of a trial from its runs.

        Raises:
            Infeasible: the runs show that the trial cannot give a material.
        """
        wanted = self.analysis.steps
        chosen = [run for run in runs if not wanted or run.step in wanted]
        return dict(self.analyse_with(chosen, **self.analysis.with_))


def build_procedure(
    name: str,
    spec: LabSpec,
    file: YamlFile,
    folder: Path,
    parameters: tuple[str, ...],
    optional: Collection[str] = (),
) -> Procedure:
    """Load the plans and the analysis of a procedure and bind arguments; `optional` parameters may go unused.

    Raises:
        InputError: every fault, with the line in the lab file.
    """
    procedure = spec.procedures[name]
    at = ("procedures", name)
    faults: list[FileFault] = []
    steps = []
    for index, step in enumerate(procedure.steps):
        try:
            steps.append(_bind(step, spec, folder, parameters))
        except InputError as error:
            faults.extend(file.fault((*at, "steps", index), fault.message) for fault in error.faults)
    if not faults:
        used = {name for step in steps for name in step.parameters}
        faults.extend(
            file.fault(
                at,
                f"no step of procedure {name!r} takes the parameter {unused!r}; "
                f"parameters taken: {', '.join(sorted(used)) or 'none'}",
            )
            for unused in parameters
            if unused not in used and unused not in optional
        )
    analysis = _load_analysis(procedure, file, folder, at, faults)
    if faults:
        raise InputError(faults)
    raw = file.data["procedures"][name]
    return Procedure(name, tuple(steps), procedure.analysis, analysis, raw, procedure.sample)


def _load_analysis(
    procedure: ProcedureSpec, file: YamlFile, folder: Path, at: tuple[str, ...], faults: list[FileFault]
) -> Any:
    name = procedure.analysis.name
    try:
        analysis = load_object(name, folder) if ":" in name else plugins.load("sdl.analyses", name)
        if callable(analysis):
            return analysis
        raise InputError(f"{name} is not a function")
    except InputError as error:
        faults.append(file.fault((*at, "analysis", "name"), str(error)))
    return None


def _bind(step: StepSpec, spec: LabSpec, folder: Path, parameters: tuple[str, ...]) -> BoundStep:
    plan = load_object(step.plan, folder)
    if not callable(plan):
        raise InputError(f"{step.plan} is not a function")
    station = spec.stations[step.station].devices
    devices, taken, places, faults, rest = [], [], [], [], False
    try:
        known = inspect.signature(plan).parameters
    except ValueError:
        raise InputError(f"{step.plan} does not say what arguments it takes; wrap it in a function") from None
    for argument in known.values():
        if argument.kind is argument.VAR_KEYWORD:
            rest = True
        elif argument.kind in (argument.VAR_POSITIONAL, argument.POSITIONAL_ONLY):
            faults.append(f"{step.plan}: argument {argument.name!r} cannot be given by name")
        elif argument.name in step.with_ and argument.name in (*station, *parameters):
            kind = f"a device of station {step.station!r}" if argument.name in station else "a parameter"
            faults.append(f"`with:` has {argument.name!r}, which is {kind}; take it out, or rename the argument")
        elif argument.name in station:
            devices.append(argument.name)
        elif argument.name in ("source", "target") and step.into:
            places.append(argument.name)
        elif argument.name in parameters:
            taken.append(argument.name)
        elif argument.name not in step.with_ and argument.default is argument.empty:
            faults.append(
                f"{step.plan}: argument {argument.name!r} is neither a device of station {step.station!r} "
                f"({', '.join(station)}) nor a parameter ({', '.join(parameters)}) nor in `with:`"
            )
    if rest:
        taken += [p for p in parameters if p not in taken and p not in step.with_]
    else:
        stray = [key for key in step.with_ if key not in known]
        faults += [
            f"`with:` has {key!r}, which {step.plan} does not take{plugins.suggest(key, list(known))}" for key in stray
        ]
    try:
        limit = parse_quantity(step.time_limit, "s") if step.time_limit is not None else None
        if limit is not None and limit <= 0:
            raise ValueError(f"{step.time_limit} must be above 0 s")
    except ValueError as error:
        faults.append(f"time_limit: {error}")
    try:
        backoff = parse_quantity(step.backoff, "s")
        if backoff < 0:
            raise ValueError(f"{step.backoff} must not be below 0 s")
    except ValueError as error:
        faults.append(f"backoff: {error}")
    timing = step_timing(step, faults)
    faults += _other_stations(step, spec, devices)
    if faults:
        raise InputError([FileFault(fault) for fault in faults])
    held = tuple(devices)
    return BoundStep(step, plan, held, held, tuple(taken), limit, backoff, timing, tuple(places))


def _other_stations(step: StepSpec, spec: LabSpec, arguments: Sequence[str]) -> Iterator[str]:
    """What is wrong with the stations to try after the first."""
    for station, names in step.other_stations.items():
        if station not in spec.stations:
            yield f"other_stations: no station {station!r}{plugins.suggest(station, list(spec.stations))}"
            continue
        there = spec.stations[station].devices
        for argument in arguments:
            own = names.get(argument, argument)
            if own not in there:
                yield (
                    f"other_stations: {station!r} has no device {own!r} for the argument {argument!r}; "
                    f"it has {', '.join(there)}"
                )
        stray = [name for name in names if name not in arguments]
        yield from (
            f"other_stations: {station!r}: {step.plan} takes no device {name!r}{plugins.suggest(name, list(arguments))}"
            for name in stray
        )
