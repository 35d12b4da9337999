"""The state of a campaign: a fold over its journal entries, `fold(state, entry) -> state`, pure and total.

Resume, status, live views, export and audit all use this one fold. Kinds it does not know (from a later release)
leave the state as it is but for `seq` and `updated_at`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal, cast

from sdl.journal import actions, kinds, samples, stock
from sdl.journal._collector import no_collecting
from sdl.journal._replace import copied_as, replace, settle
from sdl.journal.actions import ActionState, ActionStatus
from sdl.journal.corrections import Correction, Note, Withdrawal, corrected, correction, note
from sdl.journal.samples import SampleState
from sdl.journal.stock import Reserved
from sdl.journal.timing import Scheduled, SessionTime, scheduled
from sdl.model import CampaignSpec, Outcome, Trial, TrialStatus

if TYPE_CHECKING:
    from sdl.journal import Entry

__all__ = ["CampaignState", "RunState", "StepState", "TrialState", "best_trial", "fold", "fold_all"]

CampaignStatus = Literal["created", "running", "paused", "ended", "aborted", "closed"]
StepStatus = Literal["started", "done", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class RunState:
    """A Bluesky run."""

    uid: str
    trial: int
    step: str
    attempt: int
    started_at: int
    """UTC, ns."""


@dataclass(frozen=True, slots=True)
class StepState:
    """One attempt of one step."""

    name: str
    station: str
    attempt: int
    status: StepStatus
    started_at: int
    """UTC, ns."""
    ended_at: int | None = None
    runs: tuple[str, ...] = ()
    """uids of its runs; filled when done."""
    cause: str = ""
    """Why it failed: fault, infeasible, interrupted, aborted, doubt, interlock or refused."""
    message: str = ""
    device: str = ""
    """Device that failed."""
    into: tuple[str, int] | None = None
    """Place and slot where the sample is once it is done; None when it stays where it is."""


@dataclass(frozen=True, slots=True)
class TrialState:
    """A trial and all that became of it."""

    number: int
    parameters: Mapping[str, Any]
    status: TrialStatus
    planner: Mapping[str, Any]
    reason: Mapping[str, Any]
    seed: int
    proposed_at: int
    """UTC, ns."""
    first_seq: int = 0
    """`seq` of the entry that proposed it; its documents come after."""
    started_at: int | None = None
    ended_at: int | None = None
    steps: tuple[StepState, ...] = ()
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    message: str = ""
    actions: Mapping[str, ActionState] = field(default_factory=dict)
    """By id, in the order in which they were first dispatched."""
    scheduled: Scheduled | None = None
    """What was planned for it when its first step began; None where nothing was."""
    corrections: tuple[Correction, ...] = ()
    """What people put right about its outcomes, the oldest first; `outcomes` has it already."""
    notes: tuple[Note, ...] = ()
    """What people wrote about it, the oldest first."""

    def doubts(self) -> list[ActionState]:
        """Actions of which nobody knows yet whether they happened."""
        return [action for action in self.actions.values() if action.status is ActionStatus.IN_DOUBT]

    def as_trial(self) -> Trial:
        """The trial as planners see it."""
        return Trial.model_construct(
            number=self.number,
            parameters=dict(self.parameters),
            status=self.status,
            outcomes=dict(self.outcomes),
            origin="person" if str(self.planner.get("name", "")).startswith("person:") else "planner",
        )


@dataclass(frozen=True, slots=True)
class CampaignState:
    """A campaign as its journal tells it."""

    id: str
    name: str = ""
    spec: CampaignSpec | None = None
    created: Mapping[str, Any] = field(default_factory=dict)
    """Body of the entry that created it: lab, inputs, procedure."""
    status: CampaignStatus = "created"
    message: str = ""
    advice: str = ""
    trials: Mapping[int, TrialState] = field(default_factory=dict)
    """By number, in order."""
    open_runs: Mapping[str, RunState] = field(default_factory=dict)
    """Runs without a stop document, by uid."""
    sessions: int = 0
    opened_at: int = 0
    """When the last session was opened, UTC, ns."""
    times: tuple[SessionTime, ...] = ()
    """How lab time follows from the time of day, by session."""
    epoch: int = 0
    virtual: bool = False
    """Whether it is rehearsed on virtual time."""
    lab_seconds: float = 0.0
    origins: Mapping[str, int] = field(default_factory=dict)
    """Station in a worker → number, in its spool, of the last entry that came from it."""
    samples: Mapping[str, SampleState] = field(default_factory=dict)
    """By id, in the order in which they were made."""
    reserved: Mapping[int, tuple[Reserved, ...]] = field(default_factory=dict)
    """Trial → what was set aside of the lab's stock for it."""
    low: Mapping[str, int] = field(default_factory=dict)
    """Item of the stock → when it was last said to be low, UTC, ns."""
    quotes: tuple[Mapping[str, Any], ...] = ()
    """What rehearsals foretold of it, the last one last; `sessions` is how many there had been before."""
    withdrawn: Withdrawal | None = None
    """Who says that its data are not to be relied on, and why; the last one of several."""
    seq: int = 0
    created_at: int = 0
    updated_at: int = 0

    def doubts(self) -> list[ActionState]:
        """Actions in doubt, of all trials that have not ended."""
        return [doubt for trial in self.trials.values() if trial.status.pending for doubt in trial.doubts()]

    def count(self, *status: TrialStatus) -> int:
        """How many trials have one of the statuses."""
        return sum(trial.status in status for trial in self.trials.values())


_INTERRUPTED = frozenset({"interrupted", "aborted", "doubt", "interlock", "refused"})

_Rule = Callable[[CampaignState, Mapping[str, Any], "Entry"], CampaignState]


class _Draft(CampaignState):
    """A state that one fold alone has seen: it is changed in place of being copied, which is a fold's dearest part."""

    __slots__ = ()


def _with(state: CampaignState, **changes: Any) -> CampaignState:
    """The state with other values in some fields."""
    if type(state) is not _Draft:
        return replace(state, **changes)
    settle(state, **changes)
    return state


def _with_trial(state: CampaignState, trial: TrialState) -> CampaignState:
    """The state with a trial, a new one or in place of what it was."""
    if type(state) is not _Draft:
        return replace(state, trials={**state.trials, trial.number: trial})
    cast(dict[int, TrialState], state.trials)[trial.number] = trial
    return state


def _trial(state: CampaignState, number: int, **changes: Any) -> CampaignState:
    return _with_trial(state, replace(state.trials[number], **changes))


def _step(state: CampaignState, body: Mapping[str, Any], **changes: Any) -> CampaignState:
    """Change the last attempt of a step, found by name and attempt."""
    trial = state.trials[body["trial"]]
    steps = tuple(
        replace(step, **changes) if (step.name, step.attempt) == (body["step"], body["attempt"]) else step
        for step in trial.steps
    )
    return _trial(state, trial.number, steps=steps)


def _created(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
    spec = CampaignSpec.model_validate(body["spec"])
    return _with(state, spec=spec, name=spec.name, created=body, created_at=entry.at)


def _amended(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
    created = {**state.created, **{key: value for key, value in body.items() if key != "changes"}}
    return _with(state, spec=CampaignSpec.model_validate(body["spec"]), created=created)


def _opened(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
    return _with(
        state,
        status="running",
        message="",
        advice="",
        sessions=state.sessions + 1,
        epoch=body.get("epoch", 0),
        virtual=body.get("virtual", False),
        opened_at=entry.at,
        times=(*state.times, SessionTime(entry.at, body.get("lab_speed", 1.0))),
    )


def _lab_opened(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
    """Lab time begins when the devices are connected."""
    if not state.times:
        return state
    begun = replace(state.times[-1], opened_at=entry.at, speed=body.get("speed", state.times[-1].speed))
    return _with(state, times=(*state.times[:-1], begun))


def _closed(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
    status: CampaignStatus = "closed" if state.status == "running" else state.status
    times = (*state.times[:-1], replace(state.times[-1], closed_at=entry.at)) if state.times else ()
    return _with(state, status=status, lab_seconds=body.get("lab_seconds", state.lab_seconds), times=times)


def _ends_as(status: CampaignStatus) -> _Rule:
    def rule(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
        return _with(state, status=status, message=body.get("message", ""), advice=body.get("advice", ""))

    return rule


def _proposed(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
    trial = TrialState(
        number=body["trial"],
        parameters=body["parameters"],
        status=TrialStatus.PROPOSED,
        planner=body["planner"],
        reason=body["reason"],
        seed=body["seed"],
        proposed_at=entry.at,
        first_seq=entry.seq,
    )
    return _with_trial(state, trial)


def _becomes(status: TrialStatus) -> _Rule:
    def rule(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
        changes: dict[str, Any] = {"status": status, "message": body.get("message", "")}
        if not status.pending:
            changes["ended_at"] = entry.at
        if status is TrialStatus.OBSERVED:
            changes["outcomes"] = {k: Outcome.model_validate(v) for k, v in body["outcomes"].items()}
        state = _trial(state, body["trial"], **changes)
        return _with(state, lab_seconds=body["lab_seconds"]) if "lab_seconds" in body else state

    return rule


def _step_started(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
    trial = state.trials[body["trial"]]
    into = (body["into"]["place"], body["into"]["slot"]) if body.get("into") else None
    step = StepState(body["step"], body["station"], body["attempt"], "started", entry.at, into=into)
    return _trial(
        state,
        trial.number,
        status=TrialStatus.RUNNING,
        started_at=trial.started_at or entry.at,
        steps=(*trial.steps, step),
    )


def _step_done(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
    return _step(state, body, status="done", ended_at=entry.at, runs=tuple(body["runs"]))


def _step_failed(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
    status: StepStatus = "interrupted" if body["cause"] in _INTERRUPTED else "failed"
    changes = {"cause": body["cause"], "message": body.get("message", ""), "device": body.get("device", "")}
    return _step(state, body, status=status, ended_at=entry.at, **changes)


def _scheduled(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
    return _trial(state, body["trial"], scheduled=scheduled(body, entry.at))


def _action(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
    trial = state.trials[body["trial"]]
    return _trial(state, trial.number, actions=actions.apply(trial.actions, entry.kind, body, entry.at))


def _sample(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
    return _with(state, samples=samples.apply(state.samples, entry.kind, body, entry.at))


def _stock(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
    return _with(state, reserved=stock.apply(state.reserved, entry.kind, body))


def _stock_low(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
    return _with(state, low={**state.low, body["item"]: entry.at})


def _quoted(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
    # A campaign may begin with it, before anything else says what its name is.
    name = state.name or body["quote"]["name"]
    return _with(state, name=name, quotes=(*state.quotes, {**body["quote"], "sessions": state.sessions}))


def _corrected(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
    trial = state.trials[body["trial"]]
    change = correction(trial.outcomes, body, entry.seq, entry.at)
    outcomes = corrected(trial.outcomes, change)
    return _trial(state, trial.number, outcomes=outcomes, corrections=(*trial.corrections, change))


def _annotated(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
    trial = state.trials[body["trial"]]
    return _trial(state, trial.number, notes=(*trial.notes, note(body, entry.seq, entry.at)))


def _withdrawn(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
    return _with(state, withdrawn=Withdrawal(entry.at, entry.seq, body["by"], body["why"]))


def _document(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
    name, doc = body["name"], body["doc"]
    if name == "start":
        run = RunState(doc["uid"], body["trial"], body["step"], body["attempt"], entry.at)
        return _with(state, open_runs={**state.open_runs, run.uid: run})
    if name == "stop":
        return _run_closed(state, body, entry)
    return state


def _run_closed(state: CampaignState, body: Mapping[str, Any], entry: Entry) -> CampaignState:
    uid = body["doc"]["run_start"]
    return _with(state, open_runs={u: run for u, run in state.open_runs.items() if u != uid})


_RULES: Mapping[str, _Rule] = {
    kinds.CAMPAIGN_CREATED: _created,
    kinds.CAMPAIGN_AMENDED: _amended,
    kinds.SESSION_OPENED: _opened,
    kinds.LAB_OPENED: _lab_opened,
    kinds.SESSION_CLOSED: _closed,
    kinds.CAMPAIGN_PAUSED: _ends_as("paused"),
    kinds.CAMPAIGN_ENDED: _ends_as("ended"),
    kinds.CAMPAIGN_ABORTED: _ends_as("aborted"),
    kinds.TRIAL_PROPOSED: _proposed,
    kinds.TRIAL_APPROVED: _becomes(TrialStatus.APPROVED),
    kinds.TRIAL_REJECTED: _becomes(TrialStatus.REJECTED),
    kinds.STEP_STARTED: _step_started,
    kinds.STEP_DONE: _step_done,
    kinds.STEP_FAILED: _step_failed,
    kinds.TRIAL_SCHEDULED: _scheduled,
    kinds.ACTION_DISPATCHED: _action,
    kinds.ACTION_ARMED: _action,
    kinds.ACTION_ACKED: _action,
    kinds.ACTION_DONE: _action,
    kinds.ACTION_FAILED: _action,
    kinds.ACTION_ABORTED: _action,
    kinds.ACTION_DOUBTFUL: _action,
    kinds.ACTION_RESOLVED: _action,
    kinds.SAMPLE_CREATED: _sample,
    kinds.SAMPLE_MOVED: _sample,
    kinds.SAMPLE_CONSUMED: _sample,
    kinds.SAMPLE_ARCHIVED: _sample,
    kinds.SAMPLE_QUARANTINED: _sample,
    kinds.SAMPLE_LOCATED: _sample,
    kinds.STOCK_RESERVED: _stock,
    kinds.STOCK_RELEASED: _stock,
    kinds.STOCK_LOW: _stock_low,
    kinds.REHEARSAL_QUOTED: _quoted,
    kinds.DOCUMENT: _document,
    kinds.RUN_INTERRUPTED: _run_closed,
    kinds.TRIAL_OBSERVED: _becomes(TrialStatus.OBSERVED),
    kinds.TRIAL_INFEASIBLE: _becomes(TrialStatus.INFEASIBLE),
    kinds.TRIAL_FAILED: _becomes(TrialStatus.FAILED),
    kinds.TRIAL_CORRECTED: _corrected,
    kinds.TRIAL_ANNOTATED: _annotated,
    kinds.CAMPAIGN_WITHDRAWN: _withdrawn,
}


def fold(state: CampaignState, entry: Entry) -> CampaignState:
    """The state after one more entry."""
    rule, before = _RULES.get(entry.kind), state
    if rule is not None:
        state = rule(state, entry.body, entry)
    if state is before:
        state = _with(state)
    if "origin" in entry.body:
        origin = entry.body["origin"]
        settle(state, origins={**state.origins, origin["station"]: origin["seq"]})
    # Entries of stations may be folded a moment after later ones of the coordinator.
    settle(state, seq=max(state.seq, entry.seq), updated_at=max(state.updated_at, entry.at))
    return state


def fold_all(campaign: str, entries: Iterable[Entry]) -> CampaignState:
    """The state after all entries of a campaign, from the first."""
    with no_collecting():
        draft: CampaignState = _Draft(id=campaign, trials={})
        return copied_as(CampaignState, reduce(fold, entries, draft))


def best_trial(state: CampaignState) -> TrialState | None:
    """The observed trial with the best first objective; the earliest of equals. None before the first observation."""
    if state.spec is None:
        return None
    objective = state.spec.problem.objectives[0]
    observed = [t for t in state.trials.values() if objective.name in t.outcomes]
    return max(observed, key=lambda t: (objective.score(t.outcomes[objective.name].value), -t.number), default=None)
