"""Every record survives JSON unchanged."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdl.model import (
    Budget,
    CampaignSpec,
    CategoricalParameter,
    Creator,
    DerivedParameter,
    FixedParameter,
    IntegerParameter,
    LinearConstraint,
    Match,
    MatchCurve,
    Maximize,
    Minimize,
    NonlinearConstraint,
    OrdinalParameter,
    Outcome,
    OutcomeConstraint,
    PlannerChoice,
    Pool,
    PoolSource,
    Prediction,
    Problem,
    Proposal,
    RealParameter,
    Reason,
    Record,
    Source,
    StoppingRule,
    Trial,
    TrialStatus,
)

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
names = st.from_regex(r"[A-Za-z][A-Za-z0-9_\-]{0,11}", fullmatch=True)
units = st.sampled_from(["1", "nm", "degC", "uL/min", "percent", "mm", "K", "absorbance_unit"])
finite = st.floats(-1e12, 1e12, allow_nan=False)
texts = st.text(st.characters(codec="utf-8"), max_size=20)


@st.composite
def reals(draw: Any, name: str) -> RealParameter:
    low = draw(st.floats(1e-6, 1e6))
    high = low * draw(st.floats(1.5, 1e3))
    return RealParameter(name=name, low=low, high=high, unit=draw(units), log=draw(st.booleans()))


@st.composite
def integers(draw: Any, name: str) -> IntegerParameter:
    low = draw(st.integers(-1000, 1000))
    return IntegerParameter(name=name, low=low, high=low + draw(st.integers(1, 1000)), unit=draw(units))


@st.composite
def categories(draw: Any, name: str) -> CategoricalParameter:
    levels = draw(st.lists(texts, min_size=2, max_size=4, unique=True))
    known = draw(st.lists(names, min_size=1, max_size=2, unique=True))
    descriptors = {level: {what: draw(finite) for what in known} for level in levels} if draw(st.booleans()) else {}
    return CategoricalParameter(
        name=name, levels=levels, description=draw(texts), descriptors=descriptors, change_cost=draw(st.floats(0, 9))
    )


@st.composite
def ordinals(draw: Any, name: str) -> OrdinalParameter:
    levels = sorted(draw(st.lists(finite, min_size=2, max_size=5, unique=True)))
    return OrdinalParameter(name=name, levels=levels, unit=draw(units))


def others(name: str) -> list[Any]:
    """A fixed number, a fixed text, and a derived number."""
    return [
        FixedParameter(name=f"{name}-n", value=3, unit="mm"),
        FixedParameter(name=f"{name}-t", value="argon"),
        DerivedParameter(name=f"{name}-d", expression=f"`{name}-n` * 2", unit="mm"),
    ]


@st.composite
def sources(draw: Any) -> Source:
    rows = draw(st.integers(1, 3))
    column = st.lists(st.none() | finite, min_size=rows, max_size=rows)
    return Source(
        name=draw(names),
        kind=draw(st.sampled_from(["campaign", "simulation", "prior_mean"])),
        parameters={"a": draw(st.lists(finite | texts, min_size=rows, max_size=rows))},
        outcomes={"y": draw(column)},
        sems={"y": draw(column)} if draw(st.booleans()) else {},
        cost=draw(st.floats(0, 9)),
    )


def value_of(parameter: Any) -> st.SearchStrategy[Any]:
    """Values inside the limits of a parameter."""
    if isinstance(parameter, RealParameter):
        return st.floats(parameter.low, parameter.high)
    if isinstance(parameter, IntegerParameter):
        return st.integers(parameter.low, parameter.high)
    if isinstance(parameter, FixedParameter):
        return st.just(parameter.value)
    return st.sampled_from(parameter.levels)


@st.composite
def problems(draw: Any) -> Problem:
    chosen = draw(st.lists(names, min_size=2, max_size=6, unique=True))
    cut = draw(st.integers(1, len(chosen) - 1))
    parameters = [draw(draw(st.sampled_from([reals, integers, categories, ordinals]))(name)) for name in chosen[:cut]]
    searched = list(parameters)
    if draw(st.booleans()) and max(len(p.name) for p in parameters) < 70:
        parameters += others(parameters[0].name)
    kinds = st.sampled_from([Maximize, Minimize, Match, MatchCurve])
    objectives = []
    for name in chosen[cut:]:
        kind = draw(kinds)
        extra: dict[str, Any] = {"target": draw(finite)} if kind is Match else {}
        if kind is MatchCurve:
            extra = {"target": draw(st.lists(finite, min_size=1, max_size=3)), "threshold": draw(st.floats(0.1, 9))}
        objectives.append(kind(name=name, unit=draw(units), description=draw(texts), **extra))
    numeric = [p.name for p in searched if not isinstance(p, CategoricalParameter)]
    constraints: list[Any] = []
    if numeric and draw(st.booleans()):
        terms = {name: draw(finite) for name in numeric}
        constraints.append(LinearConstraint(sum=terms, at_most=draw(finite), at_least=draw(finite)))
        constraints.append(NonlinearConstraint(expression=f"`{numeric[0]}` ** 2 <= 5"))
    pool = None
    if draw(st.booleans()):
        rows = draw(st.integers(1, 4))
        pool = Pool(columns={p.name: draw(st.lists(value_of(p), min_size=rows, max_size=rows)) for p in searched})
    limits = [OutcomeConstraint(name="Zz", unit="nm", at_most=draw(finite))] if "Zz" not in chosen else []
    return Problem(
        parameters=parameters,
        objectives=objectives,
        constraints=constraints,
        pool=pool,
        outcome_constraints=limits,
        trial_cost=f"1 + `{numeric[0]}`" if numeric else None,
        sources=draw(st.lists(sources(), max_size=2, unique_by=lambda source: source.name)),
    )


@st.composite
def specs(draw: Any) -> CampaignSpec:
    problem = draw(problems())
    reach = {o.name: draw(finite) for o in problem.objectives if draw(st.booleans())}
    return CampaignSpec(
        name=draw(names),
        title=draw(texts),
        creators=[Creator(name="Carberry, Josiah", orcid="0000-0002-1825-0097")],
        licence="CC-BY-4.0",
        lab="lab.yaml",
        problem=problem,
        pool=draw(st.none() | st.builds(PoolSource, input=names, columns=st.dictionaries(names, texts, max_size=2))),
        procedure=draw(names),
        planner=PlannerChoice(name=draw(names), options=draw(st.dictionaries(names, finite, max_size=2))),
        budget=Budget(trials=draw(st.integers(1, 9999)), hours=draw(st.none() | st.floats(0.1, 1e4))),
        stop=StoppingRule(reach=reach, patience=draw(st.none() | st.integers(1, 99))),
        seed=draw(st.integers(0, 2**63 - 1)),
        in_flight=draw(st.integers(1, 64)),
        inputs=draw(st.dictionaries(names, texts, max_size=2)),
    )


scalars = finite | st.integers(-(2**53), 2**53) | texts
values = st.dictionaries(names, scalars, max_size=4)
outcomes = st.builds(Outcome, value=finite, sem=st.none() | st.floats(0, 1e6), unit=units)
trials = st.builds(
    Trial,
    number=st.integers(1, 10**6),
    parameters=values,
    status=st.sampled_from(TrialStatus),
    outcomes=st.dictionaries(names, outcomes, max_size=3),
)
reasons = st.builds(
    Reason,
    summary=texts,
    acquisition=st.none() | finite,
    predicted=st.dictionaries(names, st.builds(Prediction, mean=finite, sem=st.floats(0, 1e6)), max_size=2),
    details=st.dictionaries(names, scalars | st.lists(finite, max_size=3) | st.none(), max_size=3),
)
proposals = st.builds(Proposal, parameters=values, reason=reasons)


def survives(record: Record) -> None:
    kind = type(record)
    again = kind.model_validate_json(record.model_dump_json())
    assert again == record
    plain = orjson.loads(orjson.dumps(record.model_dump(mode="json")))
    assert kind.model_validate(plain) == record
    assert kind.model_validate(plain).model_dump_json() == record.model_dump_json()


@quick
@given(problems())
def test_problem(problem: Problem) -> None:
    """A problem with constraints and a pool comes back equal, the order of its parameters included."""
    survives(problem)
    again = Problem.model_validate_json(problem.model_dump_json())
    assert again.parameter_names == problem.parameter_names


@quick
@given(specs())
def test_campaign_spec(spec: CampaignSpec) -> None:
    """A campaign specification comes back equal."""
    survives(spec)


@quick
@given(trials, proposals)
def test_trials_and_proposals(trial: Trial, proposal: Proposal) -> None:
    """Trials and proposals come back equal; a whole number stays one, and a real number stays one."""
    survives(trial)
    survives(proposal)
    again = Trial.model_validate_json(trial.model_dump_json())
    assert [type(v) for v in again.parameters.values()] == [type(v) for v in trial.parameters.values()]


@quick
@given(problems(), st.data())
def test_values_inside_the_limits_pass(problem: Problem, data: st.DataObject) -> None:
    """Values within the limits are returned unchanged and in the problem's order, constraints aside."""
    free = problem.model_copy(update={"constraints": ()})
    given_values = {p.name: data.draw(value_of(p)) for p in reversed(problem.searched)}
    checked = free.check(given_values)
    assert tuple(checked) == problem.parameter_names
    assert {name: checked[name] for name in given_values} == given_values
    assert free.check(checked) == checked


@quick
@given(problems())
def test_mapping_and_sequence_are_one(problem: Problem) -> None:
    """`name: {…}` as people write it is the sequence that the record holds."""
    plain = problem.model_dump(mode="json")
    for key in ("parameters", "objectives"):
        plain[key] = {item["name"]: {k: v for k, v in item.items() if k != "name"} for item in plain[key]}
    assert Problem.model_validate(plain) == problem
