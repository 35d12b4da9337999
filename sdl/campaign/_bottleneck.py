"""What a campaign waited for: its busiest stations, why, and what would help, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sdl.campaign._labtime import LabTime
from sdl.campaign._spans import clipped, length
from sdl.campaign._utilisation import Bar, Use
from sdl.campaign.recipe import Recipe
from sdl.campaign.scheduling.bound import lower_bound
from sdl.campaign.scheduling.problem import Job, Lab, StationNow, Task
from sdl.journal.samples import SampleStatus
from sdl.journal.state import CampaignState

__all__ = ["Bottleneck", "bottleneck", "bound_of"]

_BUSY = 0.7
"""Share of the time from which on a station is said to hold the others up."""
_MATTERS = 0.15
"""Share from which on set-ups and blocked stations are spoken of."""
_FULL = 0.8
"""Share of the trials that may be in flight from which on it is their number that holds the campaign up."""
_ORDINALS = {2: "second", 3: "third", 4: "fourth", 5: "fifth"}


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """The stations that a campaign waited for most."""

    stations: tuple[str, ...]
    """One, or those that stand in for each other."""
    busy: float
    """Share of the time in which they worked or were set up."""
    in_flight: float
    """Trials under way on average."""
    sentence: str
    """Why it is them, and what would help."""


def bound_of(recipe: Recipe, bars: Sequence[Bar], setups: Mapping[tuple[int, str, int], float]) -> float:
    """Lab seconds that no schedule of these attempts could beat, set-ups and waits left out."""
    tasks = []
    for bar in bars:
        index = recipe.index(bar.step)
        choices = recipe.choices(index) if index is not None else (bar.station,)
        stations = choices if bar.station in choices else (bar.station,)
        seconds = bar.seconds - setups.get((bar.trial, bar.step, bar.attempt), 0.0)
        tasks.append(Task(bar.step, stations, dict.fromkeys(stations, seconds)))
    lab = Lab({name: StationNow() for name in {*recipe.stations, *(bar.station for bar in bars)}})
    return lower_bound([Job(1, 0, 0.0, tuple(tasks))], lab)


def bottleneck(
    state: CampaignState, recipe: Recipe, uses: Sequence[Use], bars: Sequence[Bar], time: LabTime
) -> Bottleneck | None:
    """The stations that were busiest, with a sentence about them; None when no time has passed.

    Args:
        state: of the campaign.
        recipe: of the campaign.
        uses: how the stations were used.
        bars: all attempts.
        time: turns moments into lab seconds.
    """
    known = {use.station: use for use in uses}
    total = max((use.total for use in uses), default=0.0)
    if total <= 0:
        return None
    loads = {pool: sum(known[s].busy for s in pool) / len(pool) for pool in _pools(recipe) if known.keys() >= set(pool)}
    stations = max(loads, key=lambda pool: (loads[pool], -len(pool)))
    busy = loads[stations]
    flying = _in_flight(state, bars, time)
    chosen = [known[name] for name in stations]
    begun = f"{_list(stations)} {'was' if len(stations) == 1 else 'were'} busy {_percent(busy)} of the time"
    if busy >= _BUSY:
        others = max((load for pool, load in loads.items() if not set(pool) & set(stations)), default=0.0)
        parts = [begun + _one_more(len(stations), busy, others, total)]
    else:
        most = recipe.spec.in_flight
        parts = [f"No station held the others up: the busiest, {begun}"]
        # Of the trials that may be in flight, one is always about to begin or about to end.
        full = flying >= _FULL * most
        why = "(`in_flight`): more would help" if full else "because trials were held up or proposed late"
        parts.append(f"On average {flying:.1f} of at most {_trials(most)} were under way at once {why}")
    parts += [*_about_setups(recipe, stations, chosen), *_about_blocked(state, recipe, uses, bars)]
    return Bottleneck(stations, busy, flying, ". ".join(parts) + ".")


def _one_more(count: int, busy: float, others: float, total: float) -> str:
    """What another station like these would save at best: then the next busiest holds the campaign up."""
    saved = (busy - max(busy * count / (count + 1), others)) * total
    if saved < 0.02 * total:
        return ", and others hardly less: one more of them alone would not help"
    return f": a {_ORDINALS.get(count + 1, 'further')} one could shorten these {_span(total)} by up to {_span(saved)}"


def _pools(recipe: Recipe) -> list[tuple[str, ...]]:
    """Stations that stand in for each other, with the unions of those that overlap."""
    pools = {frozenset(recipe.choices(index)) for index in range(len(recipe.procedure.steps))}
    pools |= {a | b for a in pools for b in pools if a & b}
    return [tuple(name for name in recipe.stations if name in pool) for pool in sorted(pools, key=sorted)]


def _in_flight(state: CampaignState, bars: Sequence[Bar], time: LabTime) -> float:
    """Trials under way on average, from the first step to the last."""
    begin, end = min(bar.start for bar in bars), max(bar.end for bar in bars)
    first: dict[int, float] = {}
    for bar in bars:
        first[bar.trial] = min(bar.start, first.get(bar.trial, bar.start))
    spans = []
    for number, start in first.items():
        ended = state.trials[number].ended_at
        spans.append((start, time.at(ended) if ended is not None else time.end))
    return length(clipped(spans, begin, end)) / (end - begin) if end > begin else 0.0


def _about_setups(recipe: Recipe, stations: tuple[str, ...], chosen: Sequence[Use]) -> Iterator[str]:
    setup, worked = sum(use.setup for use in chosen), sum(use.setup + use.work for use in chosen)
    if worked > 0 and setup / worked >= _MATTERS:
        names = [
            step.timing.setup_by
            for index, step in enumerate(recipe.procedure.steps)
            if step.timing.setup_by and set(recipe.choices(index)) & set(stations)
        ]
        order = f": fewer if trials came in order of {' and '.join(dict.fromkeys(names))}" if names else ""
        yield f"{_percent(setup / worked)} of that went into set-ups{order}"


def _about_blocked(state: CampaignState, recipe: Recipe, uses: Sequence[Use], bars: Sequence[Bar]) -> Iterator[str]:
    worst = max(uses, key=lambda use: use.blocked)
    share = worst.share(worst.blocked)
    if share < _MATTERS:
        return
    yield f"{worst.station} stood still {_percent(share)} of the time{_why(state, recipe, worst.station, bars)}"


def _why(state: CampaignState, recipe: Recipe, station: str, bars: Sequence[Bar]) -> str:
    """What the samples of a station that stood still waited for."""
    places = {name for name, place in recipe.lab.places.items() if place.station == station}
    for sample in state.samples.values():
        if sample.status is SampleStatus.QUARANTINED and sample.place in places:
            return f", in the end with sample {sample.id} in it, which is in quarantine"
    index = next((recipe.index(bar.step) for bar in reversed(bars) if bar.station == station), None)
    if index is None or index + 1 >= len(recipe.procedure.steps):
        return ""
    step = recipe.procedure.steps[index + 1].spec
    if step.into:
        return f" while its sample waited to be taken to {' or '.join(step.into)}"
    return f" while its sample waited for {' or '.join(recipe.choices(index + 1))}"


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _trials(count: int) -> str:
    return "1 trial" if count == 1 else f"{count} trials"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _span(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes / 60:.1f} h" if minutes >= 90 else f"{max(minutes, 1):.0f} min"
