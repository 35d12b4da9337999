"""One rehearsal: a whole campaign on virtual time in a store of its own, and its times drawn many times over."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from sdl.campaign._ids import new_campaign_id
from sdl.campaign.campaign import Campaign
from sdl.campaign.control import Control
from sdl.campaign.files import LoadedCampaign, load_campaign
from sdl.campaign.labbook import record
from sdl.campaign.rehearsal.experience import Experience, Timed, Tried
from sdl.campaign.rehearsal.learning import learn
from sdl.campaign.rehearsal.script import Part, script_of, timed_of
from sdl.campaign.rehearsal.target import target_of
from sdl.campaign.rehearsal.timing import Recovery, Rules, Timeline, play
from sdl.campaign.scheduling.problem import Lab, PlaceNow, StationNow
from sdl.campaign.seeds import derive_seed
from sdl.journal import Store, kinds
from sdl.journal.state import CampaignState
from sdl.model import Source, TrialStatus

__all__ = ["Order", "PartResult", "Result", "lab_of", "past_of", "rehearse_once", "rules_of"]

_PLENTY = 1e9
"""Amount of each item of the stock that a rehearsal has, so that it shows what would be needed."""


@dataclass(frozen=True)
class Order:
    """What one rehearsal needs to know. Survives JSON."""

    campaign: str
    """Path of the campaign file."""
    settings: Mapping[str, Any]
    run: int
    """Number of the rehearsal: its seeds follow from it."""
    seed: int
    """Seed of all rehearsals; None of them uses that of the campaign."""
    past: Mapping[str, Any]
    """What the campaign has done already; see `past_of`."""
    target: str
    experience: Mapping[str, Any]
    draws: int
    """How often its times are drawn."""
    sources: Sequence[Mapping[str, Any]] | None = None
    """What the planner knows from the lab's record, as `Source` has it; None where the campaign's file says it all."""
    folder: str = ""
    """Where to put its store; empty for the usual place."""

    def as_json(self) -> dict[str, Any]:
        """For the worker's process."""
        return asdict(self)


@dataclass(frozen=True)
class PartResult:
    """What became of one trial."""

    number: int
    status: str
    used: Mapping[str, float]
    needs: Mapping[str, float]
    reached: bool


@dataclass(frozen=True)
class Result:
    """What one rehearsal gave. Survives JSON."""

    parts: tuple[PartResult, ...]
    status: str
    rule: str
    """Which rule ended it; empty when it did not end."""
    message: str
    seconds: float
    """Lab seconds that it took in the simulation."""
    lines: tuple[Timeline, ...]
    """Its times, drawn many times over."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Result:
        """From JSON."""
        lines = tuple(
            Timeline(**{**line, **{key: {int(n): at for n, at in line[key].items()} for key in ("begun", "ended")}})
            for line in data["lines"]
        )
        parts = tuple(PartResult(**part) for part in data["parts"])
        return cls(parts, data["status"], data["rule"], data["message"], data["seconds"], lines)

    def as_json(self) -> dict[str, Any]:
        """For the process that asked."""
        lines = [
            {
                **asdict(line),
                **{key: {str(n): at for n, at in getattr(line, key).items()} for key in ("begun", "ended")},
            }
            for line in self.lines
        ]
        return {**asdict(self), "lines": lines}


def past_of(state: CampaignState) -> dict[str, Any]:
    """What a campaign has done already, for a rehearsal of what is to come."""
    trials = [
        {
            "number": trial.number,
            "parameters": dict(trial.parameters),
            "status": trial.status.value,
            "outcomes": {name: outcome.model_dump(mode="json") for name, outcome in trial.outcomes.items()},
        }
        for trial in state.trials.values()
    ]
    return {"trials": trials, "lab_seconds": state.lab_seconds}


def experience_of(data: Mapping[str, Any]) -> Experience:
    """From JSON."""
    timed = tuple(Timed(**one) for one in data.get("timed", ()))
    return Experience(timed, tuple(Tried(**{**one, "seconds": tuple(one["seconds"])}) for one in data.get("tried", ())))


def rehearse_once(order: Order) -> Result:
    """Run a campaign once on virtual time, with seeds of its own, and draw its times.

    Raises:
        InputError: the files have faults.
        SdlError: the lab cannot be opened, or the record cannot be written.
    """
    seed = derive_seed(order.seed, "rehearse", order.run)
    loaded = _seeded(load_campaign(order.campaign, order.settings, seed=seed), seed)
    if order.sources is not None:
        loaded = _informed(loaded, [Source.model_validate(source) for source in order.sources])
    folder = Path(tempfile.mkdtemp(prefix="sdl-rehearsal-", dir=order.folder or None))
    try:
        store = folder / "rehearsal.db"
        _prepare(store, loaded, order.past)
        state = Campaign(store, "", loaded).run(control=Control(), interrupted="redo", virtual=True).state
        with Store.open(store, create=False) as opened:
            endings = [entry.body["rule"] for entry in opened.entries(state.id, kinds={kinds.CAMPAIGN_ENDED})]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _result(order, loaded, state, endings[-1] if endings else "")


def _result(order: Order, loaded: LoadedCampaign, state: CampaignState, rule: str) -> Result:
    done = [t["number"] for t in order.past.get("trials", ()) if not TrialStatus(t["status"]).pending]
    before = float(order.past.get("lab_seconds", 0.0))
    learned = learn(experience_of(order.experience), timed_of(loaded, state)[1])
    target = target_of(order.target, loaded.spec)
    script = script_of(loaded, state, max(done, default=0), state.lab_seconds - before, learned, target)
    rules, lab = rules_of(loaded, script.parts, rule, before, len(done)), lab_of(loaded)
    rng = Random(derive_seed(order.seed, "times", order.run))
    lines = tuple(play(script.parts, lab, rules, learned.draw(rng), rng) for _ in range(order.draws))
    parts = tuple(PartResult(p.number, p.status.value, p.used, p.needs, p.reached) for p in script.parts)
    return Result(parts, state.status, rule, state.message, script.lab_seconds, lines)


def _seeded(loaded: LoadedCampaign, seed: int) -> LoadedCampaign:
    """With another seed of the simulation."""
    simulation = loaded.lab.spec.simulation
    if simulation is None:
        return loaded
    simulation = simulation.model_copy(update={"seed": derive_seed(seed, "simulation") % 2**31})
    spec = loaded.lab.spec.model_copy(update={"simulation": simulation})
    return replace(loaded, lab=replace(loaded.lab, spec=spec))


def _informed(loaded: LoadedCampaign, sources: Sequence[Source]) -> LoadedCampaign:
    """With prior knowledge that was read from the lab's record, which the rehearsal's own store does not have."""
    problem = loaded.spec.problem.model_copy(update={"sources": tuple(sources)})
    return replace(loaded, spec=loaded.spec.model_copy(update={"learn_from": (), "problem": problem}))


def _prepare(path: Path, loaded: LoadedCampaign, past: Mapping[str, Any]) -> None:
    """A store with plenty of everything, and with the campaign as far as it has come."""
    lab = loaded.lab.spec
    with Store.open(path) as store:
        for item, spec in lab.stock.items():
            body = {"item": item, "lot": "rehearsal", "amount": _PLENTY, "unit": spec.unit, "expires": "", "by": "",
                    "note": ""}  # fmt: skip
            record(store, lab.name, kinds.STOCK_RECEIVED, body)
        trials = past.get("trials", [])
        if not trials:
            return
        campaign = new_campaign_id()
        store.create(campaign, loaded.spec.name)
        with store.writer(campaign, syncs=False) as writer:
            writer.append(kinds.CAMPAIGN_CREATED, loaded.created_body())
            writer.append(kinds.SESSION_OPENED, {"holder": "", "epoch": writer.epoch, "versions": {}, "lab_speed": 1.0,
                                                 "virtual": True})  # fmt: skip
            for trial in trials:
                for kind, body in _told(trial, float(past["lab_seconds"])):
                    writer.append(kind, body)
            writer.append(kinds.SESSION_CLOSED, {"lab_seconds": past["lab_seconds"]})


_ENDINGS = {
    TrialStatus.OBSERVED: kinds.TRIAL_OBSERVED,
    TrialStatus.INFEASIBLE: kinds.TRIAL_INFEASIBLE,
    TrialStatus.FAILED: kinds.TRIAL_FAILED,
    TrialStatus.REJECTED: kinds.TRIAL_REJECTED,
}


def _told(trial: Mapping[str, Any], lab_seconds: float) -> list[tuple[str, dict[str, Any]]]:
    """Entries of a trial, without its steps; one that has not ended begins anew."""
    number, status = trial["number"], TrialStatus(trial["status"])
    proposed = {"trial": number, "parameters": trial["parameters"], "reason": {"summary": ""}, "planner": {},
                "seed": 0, "known_seq": 0}  # fmt: skip
    told: list[tuple[str, dict[str, Any]]] = [(kinds.TRIAL_PROPOSED, proposed)]
    if status in _ENDINGS:
        body = {"trial": number, "message": "", "lab_seconds": lab_seconds, "by": "", "device": ""}
        if status is TrialStatus.OBSERVED:
            body |= {"outcomes": trial["outcomes"], "analysis": {}, "runs": []}
        told.append((_ENDINGS[status], body))
    return told


def lab_of(loaded: LoadedCampaign) -> Lab:
    """Stations and places, empty, for the scheduler."""
    spec = loaded.lab.spec
    names = [name for step in loaded.procedure.steps for name in step.spec.every_station]
    places = {name: PlaceNow(place.slots, 0, place.station) for name, place in spec.places.items()}
    return Lab({name: StationNow() for name in dict.fromkeys(names)}, places)


def rules_of(loaded: LoadedCampaign, parts: Sequence[Part], rule: str, lab_seconds: float, done: int) -> Rules:
    """How the campaign goes on, by its files.

    Args:
        loaded: the campaign and its lab.
        parts: trials of a rehearsal.
        rule: that ended it.
        lab_seconds: used up before it.
        done: trials that had ended before it.
    """
    spec, procedure = loaded.spec, loaded.procedure
    recoveries = tuple(
        Recovery(
            stations=step.spec.every_station,
            retries=step.spec.retries,
            backoff=step.backoff,
            begin=procedure.begin_from(index),
            pauses=step.spec.on_fault == "pause",
        )
        for index, step in enumerate(procedure.steps)
    )
    hours, most = spec.budget.hours, len(parts)
    if hours is not None:
        hours = max(hours - lab_seconds / 3600, 0.0)
        if rule == "hours":  # in the lab there may be time for more trials than there was in the simulation
            most = 10 * len(parts) if spec.budget.trials is None else spec.budget.trials - done
    return Rules(recoveries, spec.schedule, spec.in_flight, spec.max_consecutive_faults, hours, most, rule == "reach")
