"""The problem: all that a planner sees of a campaign besides its trials."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from sdl.model._base import Name, Record, Scalar, named
from sdl.model.constraints import Constraint, LinearConstraint, NonlinearConstraint
from sdl.model.expressions import Expression, arithmetic
from sdl.model.mixtures import Mixture
from sdl.model.objectives import Objective, OutcomeConstraint
from sdl.model.parameters import (
    CategoricalParameter,
    DerivedParameter,
    FixedParameter,
    IntegerParameter,
    OrdinalParameter,
    Parameter,
    RealParameter,
    Searched,
)
from sdl.model.pool import Pool
from sdl.model.sources import Source

__all__ = ["LinearConstraint", "NonlinearConstraint", "Pool", "Problem", "ProblemFaults"]

Path = tuple[str | int, ...]


class ProblemFaults(ValueError):
    """Parts of a problem that do not go together: every one, with the path of the key it is about."""

    def __init__(self, faults: list[tuple[Path, str]]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(message for _, message in faults))

    def __reduce__(self) -> tuple[type[Self], tuple[list[tuple[Path, str]]]]:
        return type(self), (list(self.faults),)


class Problem(Record):
    """Parameters, constraints and objectives, and the pool of candidates when the space is a finite list."""

    parameters: Annotated[tuple[Parameter, ...], BeforeValidator(named), Field(min_length=1)]
    objectives: Annotated[tuple[Objective, ...], BeforeValidator(named), Field(min_length=1)]
    constraints: tuple[Constraint, ...] = ()
    mixtures: Annotated[tuple[Mixture, ...], BeforeValidator(named)] = ()
    """Groups of parameters that are parts of a whole."""
    outcome_constraints: Annotated[tuple[OutcomeConstraint, ...], BeforeValidator(named)] = ()
    """What outcomes have to keep within."""
    trial_cost: Annotated[str, AfterValidator(arithmetic)] | None = None
    """Cost of a trial, an expression of its numeric parameters, in any currency; None when all cost the same."""
    pool: Pool | None = None
    """When given, proposals are rows of it."""
    sources: Annotated[tuple[Source, ...], BeforeValidator(named)] = ()
    """Prior knowledge."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = [*self._name_faults(), *self._expression_faults(), *self._objective_faults()]
        kinds = {p.name: p for p in self.parameters}
        taken: dict[str, str] = {}
        for mixture in self.mixtures:
            at: Path = ("mixtures", mixture.name)
            faults += [(at, f"mixture {mixture.name}: {fault}") for fault in mixture.faults(kinds)]
            for name in mixture.components:
                if taken.setdefault(name, mixture.name) != mixture.name:
                    faults.append((at, f"component {name} is in mixtures {taken[name]} and {mixture.name}"))
        if not self.searched:
            faults.append((("parameters",), "no parameter is left to vary: all are fixed or derived"))
        if self.pool is not None:
            faults += [(("pool",), fault) for fault in self.pool.faults(self.searched)]
        if faults:
            raise ProblemFaults(faults)
        return self

    def _name_faults(self) -> Iterator[tuple[Path, str]]:
        names = [p.name for p in self.parameters] + [o.name for o in self.objectives]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            yield (), f"name used twice among parameters and objectives: {', '.join(twice)}"
        for group, what in ((self.mixtures, "mixtures"), (self.outcome_constraints, "outcome_constraints")):
            given = [item.name for item in group]
            for name in sorted({name for name in given if given.count(name) > 1}):
                yield (what, name), f"name used twice among {what.replace('_', ' ')}: {name}"
        sources = [source.name for source in self.sources]
        for name in sorted({name for name in sources if sources.count(name) > 1}):
            yield ("sources", name), f"name used twice among sources: {name}"

    def _expression_faults(self) -> Iterator[tuple[Path, str]]:
        numeric = set(self._numeric)
        for i, constraint in enumerate(self.constraints):
            linear = isinstance(constraint, LinearConstraint)
            allowed = {n for n in numeric if not isinstance(self.parameter(n), DerivedParameter)} if linear else numeric
            unknown = sorted(constraint.names - allowed)
            if unknown:
                what = "no real or integer parameter" if linear else "no numeric parameter"
                yield ("constraints", i), f"constraint {constraint} names {', '.join(unknown)}, which is {what}"
        for parameter in self.parameters:
            if isinstance(parameter, DerivedParameter):
                unknown = sorted(parameter.parsed.names - numeric)
                if unknown:
                    at: Path = ("parameters", parameter.name, "expression")
                    yield at, f"{parameter.name}: names {', '.join(unknown)}, which is no numeric parameter"
        if self.derived is None:
            around = ", ".join(p.name for p in self.parameters if isinstance(p, DerivedParameter))
            yield ("parameters",), f"derived parameters follow from each other in a circle: {around}"
        if self.trial_cost is not None:
            unknown = sorted(Expression.parse(self.trial_cost).names - numeric)
            if unknown:
                yield ("trial_cost",), f"trial_cost names {', '.join(unknown)}, which is no numeric parameter"

    def _objective_faults(self) -> Iterator[tuple[Path, str]]:
        weighed = [o.name for o in self.objectives if o.weight is not None]
        if weighed and len(weighed) < len(self.objectives):
            rest = ", ".join(o.name for o in self.objectives if o.weight is None)
            yield ("objectives",), f"give every objective a weight or none: {rest} has none"
        units = {o.name: o.unit for o in self.objectives}
        parameters = {p.name for p in self.parameters}
        for rule in self.outcome_constraints:
            at: Path = ("outcome_constraints", rule.name)
            if rule.name in parameters:
                yield at, f"outcome constraint {rule}: {rule.name} is a parameter; write it under `constraints`"
            elif rule.unit != units.get(rule.name, rule.unit):
                yield at, f"outcome constraint {rule}: the objective {rule.name} is in {units[rule.name]}"

    @cached_property
    def _numeric(self) -> tuple[Name, ...]:
        """Names of parameters that are numbers."""
        return tuple(
            p.name
            for p in self.parameters
            if not isinstance(p, CategoricalParameter) and not (isinstance(p, FixedParameter) and not p.numeric)
        )

    @property
    def searched(self) -> tuple[Searched, ...]:
        """Parameters that planners vary, in order."""
        return tuple(p for p in self.parameters if not isinstance(p, FixedParameter | DerivedParameter))

    @property
    def derived(self) -> tuple[DerivedParameter, ...] | None:
        """Derived parameters, each after those that it needs; None when they need each other in a circle."""
        left = [p for p in self.parameters if isinstance(p, DerivedParameter)]
        found: list[DerivedParameter] = []
        while left:
            waiting = {p.name for p in left}
            ready = [p for p in left if not p.parsed.names & waiting]
            if not ready:
                return None
            found += ready
            left = [p for p in left if p not in ready]
        return tuple(found)

    @cached_property
    def parameter_names(self) -> tuple[Name, ...]:
        """Names in order."""
        return tuple(p.name for p in self.parameters)

    def parameter(self, name: str) -> Parameter:
        """The parameter called `name`.

        Raises:
            KeyError: there is none.
        """
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    def check(self, values: Mapping[str, Any]) -> dict[str, Scalar]:
        """Return parameter values in order, each checked against limits, then mixtures and constraints.

        Fixed and derived values may be left out, and are filled in; where they are given they have to be right.

        Raises:
            ValueError: names missing or unknown, a value outside its limits, or a constraint broken; all in one text.
        """
        faults = [f"{p.name}: no value" for p in self.searched if p.name not in values]
        faults += [f"{name}: no such parameter" for name in values if name not in self.parameter_names]
        absent = self._may_be_absent
        checked: dict[str, Scalar] = {p.name: p.value for p in self.parameters if isinstance(p, FixedParameter)}
        for parameter in self.parameters:
            if parameter.name in values:
                value = values[parameter.name]
                try:
                    zero = parameter.name in absent and not isinstance(value, bool | str) and value == 0
                    checked[parameter.name] = 0.0 if zero else parameter.check(value)
                except ValueError as error:
                    faults.append(str(error))
        if not faults:
            faults += self._derive(checked, values)
        if not faults:
            faults += [f"mixture broken: {m}" for m in self.mixtures if not m.holds(checked)]
            faults += [f"constraint broken: {c}" for c in self.constraints if not c.holds(checked)]
        if faults:
            raise ValueError("; ".join(faults))
        return {name: checked[name] for name in self.parameter_names}

    def contradictions(self) -> Iterator[tuple[Path, str]]:
        """Linear constraints that no values within the limits can keep, each with the path of its key.

        Only what one constraint shows by itself: several together may still leave no room. It is no condition of a
        problem, so that what was once on record can be read.
        """
        for i, constraint in enumerate(self.constraints):
            if not isinstance(constraint, LinearConstraint):
                continue
            at: Path = ("constraints", i)
            low, high = constraint.at_least, constraint.at_most
            if low is not None and high is not None and low > high:
                yield at, f"constraint {constraint}: at_least {low:g} is above at_most {high:g}"
                continue
            least, most = self._reach(constraint)
            slack = 1e-9 * max(1.0, abs(least), abs(most))
            if (high is not None and least > high + slack) or (low is not None and most < low - slack):
                yield at, f"constraint {constraint}: within the limits of its parameters it is {least:g} … {most:g}"

    def _reach(self, constraint: LinearConstraint) -> tuple[float, float]:
        """The least and the greatest value of a constraint's sum within the limits."""
        least = most = 0.0
        for name, coefficient in constraint.sum.items():
            parameter = self.parameter(name)
            if isinstance(parameter, FixedParameter):
                ends = [float(parameter.value)] * 2
            else:
                assert isinstance(parameter, RealParameter | IntegerParameter | OrdinalParameter)
                ends = [0.0 if name in self._may_be_absent else float(parameter.low), float(parameter.high)]
            least += min(coefficient * end for end in ends)
            most += max(coefficient * end for end in ends)
        return least, most

    @cached_property
    def _may_be_absent(self) -> frozenset[str]:
        """Components that may be zero although their lower limit is above."""
        return frozenset(name for m in self.mixtures if m.max_components is not None for name in m.components)

    def _derive(self, checked: dict[str, Scalar], given: Mapping[str, Any]) -> Iterator[str]:
        """Put derived values in their places; what is wrong with them or with those given."""
        for parameter in self.derived or ():
            value = parameter.parsed.value(checked)
            if not math.isfinite(value):
                yield f"{parameter.name}: {parameter.expression} is not a finite number here"
                return
            checked[parameter.name] = value
            told = given.get(parameter.name, value)
            if abs(float(told) - value) > 1e-9 * max(1.0, abs(value)):
                yield f"{parameter.name}: {told!r} given, {parameter.expression} is {value:g} {parameter.unit}"

    def cost_of(self, values: Mapping[str, Scalar]) -> float:
        """Cost of a trial by `trial_cost`, from checked parameter values; 1 where all cost the same."""
        return 1.0 if self.trial_cost is None else Expression.parse(self.trial_cost).value(values)
