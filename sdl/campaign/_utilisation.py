"""How the stations of a campaign were used: working, setting up, blocked by a sample that waits, or idle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from sdl.campaign._labtime import LabTime
from sdl.campaign._spans import Spans, clipped, length, minus, union
from sdl.campaign.recipe import Recipe
from sdl.journal.samples import SampleState
from sdl.journal.state import CampaignState

__all__ = ["Bar", "BarStatus", "Use", "setups", "utilisation"]

BarStatus = Literal["done", "failed", "infeasible", "interrupted", "running"]


@dataclass(frozen=True, slots=True)
class Bar:
    """One attempt of one step, on its station."""

    trial: int
    step: str
    station: str
    attempt: int
    start: float
    """Lab seconds of the campaign."""
    end: float
    """Of one under way, now."""
    status: BarStatus
    message: str = ""
    into: tuple[str, int] | None = None
    """Place and slot into which it moves the sample."""

    @property
    def seconds(self) -> float:
        """Lab seconds that it took."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Use:
    """How a station was used, in lab seconds. The parts add up to the time of the campaign's steps."""

    station: str
    work: float
    setup: float
    """Of its steps, what went into setting the station up, by what the lab file says of it."""
    blocked: float
    """No step was under way, but samples waited in all of its slots, or it was kept for a trial."""
    idle: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.work + self.setup + self.blocked + self.idle

    @property
    def busy(self) -> float:
        """Share of the time in which a step was under way; 0 before the first."""
        return (self.work + self.setup) / self.total if self.total > 0 else 0.0

    def share(self, seconds: float) -> float:
        """Part of the time; 0 before the first step."""
        return seconds / self.total if self.total > 0 else 0.0


Key = tuple[int, str, int]


def setups(recipe: Recipe | None, state: CampaignState, bars: Sequence[Bar]) -> dict[Key, float]:
    """Lab seconds of set-up in each attempt, by trial, step and attempt; those without any are left out.

    Args:
        recipe: of the campaign.
        state: of the campaign.
        bars: all attempts, by start.
    """
    if recipe is None:
        return {}
    values: dict[str, float] = {}
    found: dict[Key, float] = {}
    for bar in bars:
        index = recipe.index(bar.step)
        if index is None:
            continue
        step = recipe.procedure.steps[index]
        value = step.timing.setup_value(step.arguments(state.trials[bar.trial].parameters))
        if value is None:
            continue
        seconds = step.timing.setup_per * abs(value - values.get(bar.station, value))
        values[bar.station] = value
        if seconds > 0:
            found[bar.trial, bar.step, bar.attempt] = min(seconds, bar.seconds)
    return found


def utilisation(
    state: CampaignState,
    time: LabTime,
    recipe: Recipe | None,
    bars: Sequence[Bar],
    stations: Sequence[str],
    begin: float,
    end: float,
) -> tuple[Use, ...]:
    """How each station was used between two times, in lab seconds of the campaign.

    Args:
        state: of the campaign.
        time: turns moments into lab seconds.
        recipe: of the campaign; without it nobody knows what blocks a station.
        bars: all attempts, by start.
        stations: whose use is asked for.
        begin: of the time looked at.
        end: of it.
    """
    setting_up = setups(recipe, state, bars)
    blocked = _blocked(state, time, recipe, bars) if recipe is not None else {}
    found = []
    for station in stations:
        own = [bar for bar in bars if bar.station == station]
        busy = union(clipped(((bar.start, bar.end) for bar in own), begin, end))
        worked = length(busy)
        setup = min(worked, sum(setting_up.get((bar.trial, bar.step, bar.attempt), 0.0) for bar in own))
        held = length(minus(union(clipped(blocked.get(station, ()), begin, end)), busy))
        found.append(Use(station, worked - setup, setup, held, max(0.0, end - begin - worked - held)))
    return tuple(found)


def _blocked(state: CampaignState, time: LabTime, recipe: Recipe, bars: Sequence[Bar]) -> dict[str, Spans]:
    """Station → when all of its slots were taken, or when it was kept for a trial between two of its steps."""
    lying: dict[str, list[tuple[float, float]]] = {}
    for stay in _stays(state, time):
        place = recipe.lab.places.get(stay.place)
        if place is not None and place.station is not None:
            lying.setdefault(place.station, []).append((stay.begin, stay.end))
    slots: dict[str, int] = {}
    for place in recipe.lab.places.values():
        if place.station is not None:
            slots[place.station] = slots.get(place.station, 0) + place.slots
    found = {station: list(_full(spans, slots[station])) for station, spans in lying.items()}
    for station, span in _kept(recipe, bars):
        found.setdefault(station, []).append(span)
    return found


class _Stay(NamedTuple):
    place: str
    begin: float
    end: float


def _stays(state: CampaignState, time: LabTime) -> Iterator[_Stay]:
    """Where each sample was, and when."""
    for sample in state.samples.values():
        events = [*_moves(state, sample, time), ("", time.end)]
        for (place, begin), (_, end) in pairwise(events):
            if place and end > begin:
                yield _Stay(place, begin, end)


def _moves(state: CampaignState, sample: SampleState, time: LabTime) -> Iterator[tuple[str, float]]:
    trial = state.trials.get(sample.trial)
    ended = {s.name: s.ended_at for s in trial.steps if s.status == "done"} if trial is not None else {}
    for event in sample.history:
        # What follows from a step's end may be put on record by a later session.
        moment = ended.get(event.step)
        gone = event.what == "consumed"
        if event.what != "quarantined":
            yield "" if gone else event.place, time.at(moment if moment is not None else event.at)


def _full(spans: Iterable[tuple[float, float]], slots: int) -> Iterator[tuple[float, float]]:
    """When there are as many samples as slots."""
    changes = sorted(change for begin, end in spans for change in ((begin, 1), (end, -1)))
    count, since = 0, 0.0
    for moment, change in changes:
        if count < slots <= count + change:
            since = moment
        if count + change < slots <= count:
            yield since, moment
        count += change


def _kept(recipe: Recipe, bars: Sequence[Bar]) -> Iterator[tuple[str, tuple[float, float]]]:
    """When a station waited for the next step of a trial that had been promised it."""
    steps = recipe.procedure.steps
    until: Mapping[int, int] = {
        i: recipe.procedure.index(s.spec.keep_until) for i, s in enumerate(steps) if s.spec.keep_until is not None
    }
    for first, last in until.items():
        for bar in (bar for bar in bars if bar.step == steps[first].name and bar.status == "done"):
            names = {step.name for step in steps[first + 1 : last + 1]}
            later = [b for b in bars if b.trial == bar.trial and b.step in names and b.start >= bar.end]
            yield bar.station, (bar.end, max((b.end for b in later), default=bar.end))
