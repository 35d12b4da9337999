"""Columns and rows of the released tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sdl.fair._units import qudt, ucum
from sdl.fair.exports._parts import stream_names, unique
from sdl.fair.exports._table import VALUES, Column, Table, value_columns
from sdl.fair.record import CampaignRecord, RunInfo, TrialInfo

__all__ = ["tables_of"]


def tables_of(record: CampaignRecord) -> Iterator[Table]:
    """Every table of a campaign."""
    yield _trials(record)
    yield _outcomes(record)
    yield _readings(record)
    yield _configuration(record)
    yield _keys(record)
    yield _runs(record)
    yield _samples(record)
    yield _stock(record)
    yield _instruments(record)


_TRIAL = Column("trial", "integer", "Number of the trial")
_RUN = Column("run", "text", "Uid of the run")


# ── trials and outcomes ──


def _trials(record: CampaignRecord) -> Table:
    fixed: tuple[tuple[Column, Callable[[TrialInfo], Any]], ...] = (
        (_TRIAL, lambda t: t.number),
        (Column("status", "text", "What became of it"), lambda t: t.status),
        (Column("message", "text", "Why it failed or was infeasible"), lambda t: t.message or None),
        (Column("planner", "text", "Planner that proposed it"), lambda t: t.planner.get("name")),
        (Column("planner_version", "text", "Version of the planner"), lambda t: _text(t.planner.get("version"))),
        (Column("reason", "text", "Why it was proposed"), lambda t: t.reason.get("summary")),
        (Column("corrections", "text", "Entries that correct or annotate it, as JSON"), _corrections),
        (Column("seed", "integer", "Seed of the proposal"), lambda t: t.seed),
        (Column("proposed", "time", "When it was proposed"), lambda t: t.proposed),
        (Column("started", "time", "When its first step began"), lambda t: t.started),
        (Column("ended", "time", "When it ended"), lambda t: t.ended),
    )
    makers = list(fixed)
    for name, unit, about in _named(record):
        makers.append(_parameter(record, name, unit, about))
    for name, unit, about in _objectives(record):
        makers.append((Column(f"outcome_{name}", "number", about, unit), _outcome(name, "value")))
        sem = Column(f"outcome_{name}_sem", "number", f"Standard error of {name}", unit)
        makers.append((sem, _outcome(name, "sem")))
    names = unique({str(index): column.name for index, (column, _) in enumerate(makers)})
    columns = tuple(_renamed(column, names[str(index)]) for index, (column, _) in enumerate(makers))
    rows = [tuple(make(trial) for _, make in makers) for trial in record.trials]
    return Table("trials", "Trials with parameters, outcomes and what became of them", columns, rows)


def _corrections(trial: TrialInfo) -> str | None:
    return _text([dict(entry) for entry in trial.corrections]) if trial.corrections else None


def _renamed(column: Column, name: str) -> Column:
    return Column(name, column.type, column.description, column.unit, column.repeats)


def _named(record: CampaignRecord) -> Iterator[tuple[str, str, str]]:
    """Name, unit and description of every parameter: those of the problem, then whatever else trials have."""
    known = {p.name: (getattr(p, "unit", "") or "", p.description) for p in record.spec.problem.parameters}
    others = {name: ("", "") for trial in record.trials for name in trial.parameters if name not in known}
    for name, (unit, about) in {**known, **others}.items():
        yield name, record.units.get(name, unit), about or f"Parameter {name}"


def _parameter(record: CampaignRecord, name: str, unit: str, about: str) -> tuple[Column, Callable[[TrialInfo], Any]]:
    values = [t.parameters[name] for t in record.trials if t.parameters.get(name) is not None]
    kind = _common(values)
    column = Column(f"parameter_{name}", kind, about, unit if kind in ("integer", "number") else "")
    return column, lambda trial: _told(kind, trial.parameters.get(name))


def _common(values: Sequence[Any]) -> str:
    """The narrowest type that tells every value exactly."""
    if values and all(isinstance(v, bool) for v in values):
        return "boolean"
    if any(not isinstance(v, int | float) or isinstance(v, bool) for v in values):
        return "text"
    if any(isinstance(v, float) for v in values) or not values:
        return "number" if all(not isinstance(v, int) or abs(v) <= 2**53 for v in values) else "text"
    return "integer" if all(-(2**63) <= v < 2**63 for v in values) else "text"


def _told(kind: str, value: Any) -> Any:
    if value is None:
        return None
    return _text(value) if kind == "text" else float(value) if kind == "number" else value


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _objectives(record: CampaignRecord) -> Iterator[tuple[str, str, str]]:
    known = {o.name: (o.unit, o.description) for o in record.spec.problem.objectives}
    others = {n: (o.unit, "") for t in record.trials for n, o in t.outcomes.items() if n not in known}
    for name, (unit, about) in {**known, **others}.items():
        yield name, unit, about or f"Outcome {name}"


def _outcome(name: str, part: str) -> Callable[[TrialInfo], Any]:
    return lambda trial: getattr(trial.outcomes[name], part) if name in trial.outcomes else None


def _outcomes(record: CampaignRecord) -> Table:
    columns = (
        _TRIAL,
        Column("name", "text", "Name of the outcome"),
        Column("value", "number", "Its value"),
        Column("sem", "number", "Its standard error"),
        *_UNITS,
        Column("analysis", "text", "Analysis that gave it"),
    )
    rows = [
        (trial.number, name, outcome.value, outcome.sem, *_unit(outcome.unit), trial.analysis.get("name"))
        for trial in record.trials
        for name, outcome in trial.outcomes.items()
    ]
    return Table("outcomes", "Outcomes of trials with their standard errors", columns, rows)


_UNITS = (
    Column("unit", "text", "Unit"),
    Column("ucum", "text", "Unit as a UCUM code"),
    Column("qudt", "text", "IRI of the unit in QUDT"),
)


def _unit(unit: str) -> tuple[str | None, str | None, str | None]:
    """The unit in the three forms; what pint does not know stays as the instrument wrote it."""
    if not unit:
        return None, None, None
    try:
        return unit, ucum(unit) or None, qudt(unit) or None
    except ValueError:
        return unit, None, None


# ── readings ──


def _readings(record: CampaignRecord) -> Table:
    columns = (
        _TRIAL,
        _RUN,
        Column("stream", "text", "Stream of the run"),
        Column("event", "integer", "Number of the event in its stream"),
        Column("time", "number", "When it was read: seconds since 1970-01-01 UTC", "s", True),
        Column("key", "text", "What was read"),
        *VALUES,
    )
    table = Table("readings", "Readings of all events", columns)
    for run in record.runs.values():
        streams = stream_names(run)
        for event in run.record.events:
            at = (run.trial, run.uid, streams.get(event["descriptor"]), event["seq_num"], float(event["time"]))
            for key, value in event["data"].items():
                table.rows.append((*at, key, *value_columns(value)))
    return table


def _configuration(record: CampaignRecord) -> Table:
    stream, device = Column("stream", "text", "Stream of the run"), Column("device", "text", "Device")
    columns = (_TRIAL, _RUN, stream, device, Column("key", "text", "What was configured"), *VALUES)
    table = Table("configuration", "Configuration of devices in runs", columns)
    for run, about in _descriptors(record):
        for name, device_part in about.get("configuration", {}).items():
            at = (run.trial, run.uid, about.get("name"), name)
            for key, value in device_part.get("data", {}).items():
                table.rows.append((*at, key, *value_columns(value)))
    return table


def _descriptors(record: CampaignRecord) -> Iterator[tuple[RunInfo, Mapping[str, Any]]]:
    yield from ((run, doc) for run in record.runs.values() for doc in run.record.descriptors)


def _keys(record: CampaignRecord) -> Table:
    columns = (
        Column("key", "text", "Key of readings or of configuration"),
        Column("device", "text", "Device that it belongs to"),
        Column("dtype", "text", "Type, as event-model has it"),
        *_UNITS,
        Column("source", "text", "Where the value comes from"),
    )
    seen: dict[tuple[Any, ...], None] = {}
    for _, doc in _descriptors(record):
        for key, about in doc.get("data_keys", {}).items():
            seen[_key(key, about.get("object_name"), about)] = None
        for device, part in doc.get("configuration", {}).items():
            for key, about in part.get("data_keys", {}).items():
                seen[_key(key, device, about)] = None
    return Table("keys", "Keys of readings and configuration, with their units", columns, list(seen))


def _key(key: str, device: str | None, about: Mapping[str, Any]) -> tuple[Any, ...]:
    return (key, device, about.get("dtype"), *_unit(str(about.get("units") or "")), about.get("source"))


# ── runs, samples, stock, instruments ──


def _runs(record: CampaignRecord) -> Table:
    columns = (
        _RUN,
        _TRIAL,
        Column("step", "text", "Step of the procedure"),
        Column("attempt", "integer", "Which attempt of the step"),
        Column("station", "text", "Station"),
        Column("plan", "text", "Bluesky plan"),
        Column("started", "time", "When it began"),
        Column("ended", "time", "When it ended"),
        Column("status", "text", "Exit status"),
        Column("events", "integer", "Number of events"),
    )
    rows = [
        (r.uid, r.trial, r.step, r.attempt, r.station, r.record.start.get("plan_name"), r.started, r.ended, r.status,
         len(r.record.events))
        for r in record.runs.values()
    ]  # fmt: skip
    return Table("runs", "Runs", columns, rows)


def _samples(record: CampaignRecord) -> Table:
    names = (
        ("sample", "Id of the sample"),
        ("label", "Label"),
        ("barcode", "Barcode"),
        ("status", "What became of it"),
        ("place", "Where it is"),
        ("parents", "Samples it was made of, separated by blanks"),
        ("stock", "Stock it was made of, as JSON"),
    )
    columns = (_TRIAL, *(Column(name, "text", about) for name, about in names))
    rows = [
        (s.trial, s.id, s.label, s.barcode, s.status, s.place, " ".join(s.parents) or None,
         _text([dict(item) for item in s.stock]) if s.stock else None)
        for s in record.samples
    ]  # fmt: skip
    return Table("samples", "Samples", columns, rows)


def _stock(record: CampaignRecord) -> Table:
    item, lot = Column("item", "text", "Item of the stock"), Column("lot", "text", "Its lot")
    columns = (_TRIAL, item, lot, Column("amount", "number", "Amount used up"), *_UNITS)
    rows = [(t.number, u.item, u.lot, u.amount, *_unit(u.unit)) for t in record.trials for u in t.stock]
    return Table("stock", "What trials used up", columns, rows)


def _instruments(record: CampaignRecord) -> Table:
    texts = ["device", "station", "driver", "manufacturer", "model", "serial", "owner", "calibrated", "identifier"]
    columns = (
        *(Column(name, "text", f"{name.capitalize()} of the instrument") for name in texts),
        Column("simulated", "boolean", "Whether it is a simulated instrument"),
    )
    rows = [(*(getattr(i, name) or None for name in texts), i.simulated) for i in record.instruments]
    return Table("instruments", "Instruments", columns, rows)
