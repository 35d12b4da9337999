"""What a lab's record says of its steps: how long they took, and how often they failed."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sdl.campaign.files import LoadedCampaign
from sdl.campaign.jobs import declared, units_of
from sdl.campaign.labbook import LabBook
from sdl.journal import Store, kinds
from sdl.journal.state import CampaignState
from sdl.lab.procedure import Procedure

__all__ = ["Attempt", "Experience", "Timed", "Tried", "attempts_of", "gather", "speeds_of"]

_LEAST_NET = 0.1
"""Part of an attempt that is never taken for set-up."""


@dataclass(frozen=True)
class Attempt:
    """One attempt of a step, in lab seconds."""

    trial: int
    step: str
    station: str
    status: str
    """done, failed or interrupted."""
    cause: str
    began: float
    """Since the Unix epoch, at the lab's speed of that moment: only for the order."""
    net: float
    """How long it took, set-up left out."""
    setup: float
    """Declared set-up in it."""
    declared: float
    """How long it should have taken, set-up left out."""

    @property
    def seconds(self) -> float:
        """How long the station had it."""
        return self.net + self.setup


@dataclass(frozen=True)
class Timed:
    """A step that was done."""

    campaign: str
    step: str
    station: str
    declared: float
    """Lab seconds, set-up left out; as `seconds`."""
    seconds: float


@dataclass(frozen=True)
class Tried:
    """How often a step was tried on a station, and how often the equipment failed."""

    step: str
    station: str
    attempts: int
    faults: int
    seconds: tuple[float, ...] = ()
    """Lab seconds that each attempt lasted which failed."""
    infeasible: int = 0
    """Attempts in which the chemistry failed."""


@dataclass(frozen=True)
class Experience:
    """All that is known of the steps of one procedure from campaigns in the lab."""

    timed: tuple[Timed, ...] = ()
    tried: tuple[Tried, ...] = ()

    @property
    def attempts(self) -> int:
        """Attempts in all."""
        return sum(tried.attempts for tried in self.tried)

    @property
    def campaigns(self) -> int:
        """Campaigns with a step that was done."""
        return len({timed.campaign for timed in self.timed})


def gather(store: Store, loaded: LoadedCampaign) -> Experience:
    """Learn from every campaign of the same lab and procedure that ran in the lab, not on virtual time.

    Args:
        store: with the campaigns.
        loaded: the campaign to be rehearsed; the steps are those of its procedure.

    Raises:
        StoreError: the store cannot be read.
    """
    name = loaded.procedure.name
    states = [s for s in LabBook(store, loaded.lab.spec.name).refresh().states if not s.virtual]
    timed: list[Timed] = []
    counts: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for state in states:
        if state.created.get("procedure", {}).get("name") != name:
            continue
        for attempt in attempts_of(state, loaded.procedure, speeds_of(store, state.id)):
            if attempt.status == "done":
                timed.append(Timed(state.id, attempt.step, attempt.station, attempt.declared, attempt.net))
            if attempt.status == "done" or attempt.cause in ("fault", "infeasible"):
                counts[attempt.step, attempt.station].append(attempt)
    return Experience(tuple(timed), tuple(_tried(*key, attempts) for key, attempts in sorted(counts.items())))


def _tried(step: str, station: str, attempts: list[Attempt]) -> Tried:
    failed = [attempt for attempt in attempts if attempt.cause == "fault"]
    seconds = tuple(attempt.seconds for attempt in failed)
    infeasible = sum(attempt.cause == "infeasible" for attempt in attempts)
    return Tried(step, station, len(attempts), len(failed), seconds, infeasible)


def speeds_of(store: Store, campaign: str) -> Callable[[int], float]:
    """How fast a campaign's lab time went at a moment, Unix ns: lab seconds a second of the record."""
    opened = [(entry.at, float(entry.body["speed"])) for entry in store.entries(campaign, kinds={kinds.LAB_OPENED})]
    times = [at for at, _ in opened]

    def speed(at: int) -> float:
        index = bisect_right(times, at) - 1
        return opened[index][1] if index >= 0 else 1.0

    return speed


def attempts_of(state: CampaignState, procedure: Procedure, speed: Callable[[int], float]) -> Iterator[Attempt]:
    """Every attempt of a campaign that has ended, with the set-up that its station needed before it.

    Args:
        state: of the campaign.
        procedure: the recipe; attempts of steps that it does not have are passed over.
        speed: lab seconds a second of the record, by the time of day.
    """
    assert state.spec is not None
    units, known = units_of(state.spec), {step.name: step for step in procedure.steps}
    steps = sorted(
        ((step, trial) for trial in state.trials.values() for step in trial.steps), key=lambda item: item[0].started_at
    )
    values: dict[str, float] = {}
    for step, trial in steps:
        bound = known.get(step.name)
        if bound is None or step.ended_at is None:
            continue
        try:
            arguments: dict[str, Any] = bound.arguments(trial.parameters)
            said = declared(bound, trial.parameters, units)
        except (KeyError, ValueError):  # a campaign with other parameters
            continue
        value, setup = bound.timing.setup_value(arguments), 0.0
        if value is not None:
            setup = bound.timing.setup_per * abs(value - values.get(step.station, value))
            values[step.station] = value
        rate = speed(step.started_at)
        seconds = (step.ended_at - step.started_at) / 1e9 * rate
        net = max(seconds - setup, _LEAST_NET * seconds)
        yield Attempt(
            trial.number, step.name, step.station, step.status, step.cause, step.started_at / 1e9 * rate,
            net, seconds - net, said,
        )  # fmt: skip
