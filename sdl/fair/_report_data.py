"""Everything the report's template shows, prepared as plain text, numbers and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdl.fair._curves import curves_of
from sdl.fair._document import file_name, in_order, units
from sdl.fair._doubts import doubt_rows, episodes, quarantined
from sdl.fair._facts import JournalFacts, ended_at, iso
from sdl.fair._figures import calibration, convergence, observed, slices
from sdl.fair._figures_metrics import MetricTable, metric_tables
from sdl.fair._figures_runs import spectrum, timeline
from sdl.fair._figures_schedule import gantt, schedule_notes, shows_schedule
from sdl.fair._figures_use import utilisation
from sdl.fair._plot import Figure
from sdl.fair._samples import LabStock, sample_rows, stock_rows
from sdl.fair._table import Column, columns
from sdl.fair._words import aim, duration, enough, label, moment, number, with_error
from sdl.journal.runs import runs_of
from sdl.model import TrialStatus

if TYPE_CHECKING:
    from sdl.campaign.timeline import Timeline
    from sdl.fair.metrics import Metrics
    from sdl.journal.state import CampaignState, TrialState
    from sdl.model import CampaignSpec, Objective

__all__ = ["Cell", "Report", "Search", "Tile", "report_data"]


@dataclass(frozen=True)
class Tile:
    """One of the headline numbers."""

    value: str
    name: str
    kind: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell of the table of trials."""

    text: str
    key: str
    """What the column is sorted by; numbers as they read back exactly."""
    numeric: bool


@dataclass(frozen=True)
class Search:
    """Figures that belong to one objective."""

    name: str
    convergence: Figure | None
    calibration: Figure | None
    slices: list[Figure]


@dataclass(frozen=True)
class Report:
    """What the template shows."""

    title: str
    name: str
    id: str
    status: str
    message: str
    description: str
    aims: list[str]
    creators: list[dict[str, str]]
    licence: str
    about: list[tuple[str, str]]
    tiles: list[Tile]
    best: str
    best_rows: list[tuple[str, str, str]]
    """Kind, name, value of the best trial."""
    searches: list[Search]
    spectrum: Figure | None
    timeline: Figure | None
    """Where there is no schedule to show."""
    gantt: Figure | None
    utilisation: Figure | None
    notes: list[str]
    """What the figures of the schedule mean."""
    metrics: list[MetricTable]
    samples: list[tuple[str, ...]]
    """Sample, label, trial, status, where it is, note."""
    stock: list[tuple[str, ...]]
    """Item, lot, used, set aside, left in the lab."""
    doubts: list[tuple[str, ...]]
    """Trial, action, why it was in doubt, how that was settled, and the note."""
    quarantined: list[str]
    """Samples that are not used any more."""
    heads: list[tuple[str, bool]]
    """Title of each column of the table, and whether it holds numbers."""
    rows: list[tuple[str, list[Cell]]]
    """Status and cells of each trial."""
    problem: list[tuple[str, str, str]]
    """Name, kind and range of each parameter and objective."""
    steps: list[tuple[str, str, str]]
    files: list[tuple[str, str, str]]
    """What it is, its name, its SHA-256."""
    versions: list[tuple[str, str]]
    entries: int
    head: str

    @property
    def figures(self) -> bool:
        """Whether there is anything to draw."""
        drawn = self.timeline is not None or self.gantt is not None
        return drawn or any(search.convergence for search in self.searches)


def report_data(
    state: CampaignState,
    facts: JournalFacts,
    best: TrialState | None,
    stock: LabStock | None = None,
    metrics: Metrics | None = None,
) -> Report:
    """Prepare the report.

    Args:
        state: the folded state.
        facts: figures of the journal; `kept` holds the entries of the best trial.
        best: the best trial, None before the first observation.
        stock: the lab's inventory; None where there is nothing of it, or it is not at hand.
        metrics: performance metrics; None where there is nothing to measure.
    """
    spec = state.spec
    objectives = spec.problem.objectives if spec else ()
    table = columns(state)
    schedule = _schedule(state)
    return Report(
        title=(spec.title if spec else "") or state.name or state.id,
        name=state.name,
        id=state.id,
        status=state.status,
        message=state.message,
        description=spec.description if spec else "",
        aims=[aim(objective) for objective in objectives],
        creators=_creators(spec),
        licence=spec.licence if spec else "",
        about=list(_about(state, facts)),
        tiles=list(_tiles(state, best, objectives)),
        best=f"Trial {best.number}" if best else "",
        best_rows=list(_best_rows(state, best)) if best else [],
        searches=[_search(state, objective) for objective in objectives],
        spectrum=_spectrum(state, facts, best),
        timeline=timeline(state) if schedule is None else None,
        gantt=gantt(state, schedule) if schedule is not None else None,
        utilisation=utilisation(schedule) if schedule is not None else None,
        notes=list(schedule_notes(schedule)) if schedule is not None else [],
        metrics=metric_tables(metrics),
        samples=list(sample_rows(state, stock)),
        stock=list(stock_rows(stock)),
        doubts=list(doubt_rows(state, episodes(facts.doubts))),
        quarantined=quarantined(state),
        heads=[(label(column.name, column.unit), column.type in ("integer", "number")) for column in table],
        rows=[(t.status.value, [_cell(column, t) for column in table]) for t in state.trials.values()],
        problem=list(_problem(spec)),
        steps=list(_procedure(state)),
        files=list(_files(state)),
        versions=sorted(facts.versions.items()),
        entries=facts.entries,
        head=facts.head,
    )


def _schedule(state: CampaignState) -> Timeline | None:
    if not shows_schedule(state):
        return None
    from sdl.campaign.timeline import timeline as timeline_of

    return timeline_of(state)


def _creators(spec: CampaignSpec | None) -> list[dict[str, str]]:
    people = spec.creators if spec else ()
    return [{"name": p.name, "orcid": p.orcid or "", "affiliation": p.affiliation} for p in people]


def _about(state: CampaignState, facts: JournalFacts) -> Iterator[tuple[str, str]]:
    ended = ended_at(state, facts)
    yield "Lab", str(state.created.get("lab", {}).get("name") or "–")
    if state.spec is not None:
        yield "Procedure", state.spec.procedure
        yield "Planner", state.spec.planner.name
        yield "Seed", str(state.spec.seed)
        yield "Budget", _budget(state.spec)
    yield "Created", moment(state.created_at or None)
    yield ("Ended", moment(ended)) if ended else ("Last entry", moment(state.updated_at or None))
    yield "Duration", duration(max(0, (ended or state.updated_at) - state.created_at))
    if state.lab_seconds:
        yield "Lab time", duration(round(state.lab_seconds * 1e9))
    if facts.lab_speed != 1.0:
        yield "Lab speed", f"{facts.lab_speed:g} lab seconds a second"
    yield "Sessions", str(state.sessions)


def _budget(spec: CampaignSpec) -> str:
    limits = [f"{spec.budget.trials} trials"] if spec.budget.trials else []
    return " or ".join([*limits, f"{spec.budget.hours:g} h"] if spec.budget.hours else limits)


def _tiles(state: CampaignState, best: TrialState | None, objectives: Sequence[Objective]) -> Iterator[Tile]:
    if best and objectives:
        outcome = best.outcomes[objectives[0].name]
        yield Tile(with_error(outcome), f"best {objectives[0].name}, trial {best.number}", "best")
    yield Tile(str(len(state.trials)), "trials")
    yield Tile(str(state.count(TrialStatus.OBSERVED)), "observed")
    yield Tile(str(state.count(TrialStatus.INFEASIBLE)), "infeasible", "infeasible")
    yield Tile(str(state.count(TrialStatus.FAILED)), "failed through a fault", "failed")
    if rejected := state.count(TrialStatus.REJECTED):
        yield Tile(str(rejected), "rejected")
    if pending := sum(trial.status.pending for trial in state.trials.values()):
        yield Tile(str(pending), "pending")


def _best_rows(state: CampaignState, best: TrialState) -> Iterator[tuple[str, str, str]]:
    known = units(state)
    for name, outcome in in_order(best.outcomes, list(known)).items():
        yield "outcome", name, with_error(outcome)
    for name, value in in_order(best.parameters, list(known)).items():
        yield "parameter", name, number(value, known.get(name, ""))
    if summary := best.reason.get("summary"):
        yield "reason", "why it was proposed", str(summary)


def _search(state: CampaignState, objective: Objective) -> Search:
    shown = observed(state, objective)
    return Search(
        objective.name,
        convergence(state, objective),
        calibration(state, objective) if shown else None,
        slices(state, objective),
    )


def _spectrum(state: CampaignState, facts: JournalFacts, best: TrialState | None) -> Figure | None:
    if best is None:
        return None
    curves = curves_of(runs_of(facts.kept, best.number), state.created)
    return spectrum(curves, best.number) if curves else None


def _cell(column: Column, trial: TrialState) -> Cell:
    value: Any = column.value(trial)
    if column.type == "time":
        return Cell(moment(value) if value else "", iso(value) or "", False)
    if value is None:
        return Cell("", "", column.type != "text")
    if column.type == "text":
        return Cell(str(value), str(value), False)
    return Cell(number(value), repr(value), True)


def _problem(spec: CampaignSpec | None) -> Iterator[tuple[str, str, str]]:
    if spec is None:
        return
    for parameter in spec.problem.parameters:
        if parameter.kind == "categorical":
            yield parameter.name, "categorical", ", ".join(parameter.levels)
        elif parameter.kind == "fixed":
            yield parameter.name, "fixed", number(parameter.value, parameter.unit)
        elif parameter.kind == "derived":
            yield parameter.name, "derived", f"{parameter.expression} [{parameter.unit}]"
        else:
            scale = ", logarithmic" if parameter.kind == "real" and parameter.log else ""
            yield (
                parameter.name,
                f"{parameter.kind}{scale}",
                _range(parameter.low, parameter.high, parameter.unit),
            )
    for constraint in spec.problem.constraints:
        yield "constraint", "linear", str(constraint)
    if spec.problem.pool is not None:
        yield "pool", "candidates", str(len(spec.problem.pool))
    for objective in spec.problem.objectives:
        yield objective.name, "objective", aim(objective)
        if objective.name in spec.stop.reach:
            yield objective.name, "stopping rule", enough(objective, spec.stop.reach[objective.name])


def _range(low: float, high: float, unit: str) -> str:
    return f"{number(low)} … {number(high, unit)}"


def _procedure(state: CampaignState) -> Iterator[tuple[str, str, str]]:
    for step in state.created.get("procedure", {}).get("steps", ()):
        yield str(step.get("name", "")), str(step.get("station", "")), str(step.get("plan", ""))


def _files(state: CampaignState) -> Iterator[tuple[str, str, str]]:
    lab = state.created.get("lab", {})
    if lab:
        yield "lab", file_name(lab.get("file")) or "", str(lab.get("sha256") or "")
    for name, item in state.created.get("inputs", {}).items():
        yield f"input {name}", file_name(item.get("path")) or "", str(item.get("sha256") or "")
