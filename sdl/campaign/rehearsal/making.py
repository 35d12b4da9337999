"""Makes quotes: rehearses a campaign many times, and puts together what came of it."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sdl.campaign.amendment import amendments
from sdl.campaign.files import LoadedCampaign, load_campaign
from sdl.campaign.inventory import today
from sdl.campaign.labbook import LabBook
from sdl.campaign.prior import with_prior
from sdl.campaign.rehearsal.experience import Experience, gather
from sdl.campaign.rehearsal.pool import rehearse_all
from sdl.campaign.rehearsal.quote import Quote, StationQuote, StockQuote, TargetQuote, chance, interval
from sdl.campaign.rehearsal.runs import Order, PartResult, Result, past_of
from sdl.campaign.rehearsal.target import target_of
from sdl.campaign.rehearsal.timing import Timeline
from sdl.campaign.rules import ended
from sdl.journal import Store
from sdl.journal.state import CampaignState
from sdl.model import FileFault, InputError, SdlError, Source, TrialStatus

__all__ = ["DRAWS", "Ground", "ground_of", "make_quote", "quote_of"]

DRAWS = 200
"""How often times are drawn in all, at least."""
_LEAST_DRAWS = 5
"""The same for one rehearsal."""


@dataclass(frozen=True)
class Ground:
    """What a quote rests on beside rehearsals."""

    campaign: str
    """Id in the store; empty when it is not there yet."""
    state: CampaignState | None
    """As far as the campaign has come; None before it has begun."""
    experience: Experience
    free: Mapping[str, float]
    """Item of the stock → amount that can be set aside now."""
    sources: tuple[Source, ...] | None = None
    """Prior knowledge that the campaign has from earlier ones; None where it has none of those."""


def make_quote(
    path: Path,
    settings: Mapping[str, Any],
    ground: Callable[[LoadedCampaign], Ground],
    *,
    runs: int,
    workers: int,
    target: str = "",
    seed: int = 0,
    draws: int = DRAWS,
    done: Callable[[int], None] = lambda n: None,
) -> tuple[Quote, Ground]:
    """Rehearse a campaign and say what is to be expected of it.

    Args:
        path: the campaign file.
        settings: dotted field of the campaign, or input of the lab → value.
        ground: gives what the lab's record says.
        runs: rehearsals, each with other seeds of planner and simulation.
        workers: processes at a time.
        target: what a trial is hoped to reach; empty for the campaign's `stop.reach`.
        seed: of all rehearsals.
        draws: how often times are drawn, all rehearsals together.
        done: called with the number of rehearsals that are done.

    Raises:
        InputError: faults of the files, of the target; a lab that cannot be simulated; a campaign that has ended.
        SdlError: rehearsals fail.
    """
    loaded = load_campaign(path, settings)
    target_of(target, loaded.spec)
    _check_simulation(loaded)
    base = ground(loaded)
    _check_begun(loaded, base.state)
    past = past_of(base.state) if base.state is not None else {}
    each = max(_LEAST_DRAWS, math.ceil(draws / runs))
    known = {"timed": [asdict(t) for t in base.experience.timed], "tried": [asdict(t) for t in base.experience.tried]}
    sources = None if base.sources is None else [source.model_dump(mode="json") for source in base.sources]
    orders = [Order(str(path), dict(settings), run, seed, past, target, known, each, sources) for run in range(runs)]
    results = rehearse_all(orders, workers, done)
    return quote_of(loaded, base, results, target=target, seed=seed, draws=each), base


def ground_of(store: Store, loaded: LoadedCampaign) -> Ground:
    """What a store says about a campaign, and about its lab.

    Raises:
        InputError: a campaign that this one learns from is not there, or of no use.
        StoreError: the store cannot be read.
    """
    heads = [head for head in store.campaigns() if head.name == loaded.spec.name]
    state = store.state(heads[-1].id) if heads else None
    spec = loaded.lab.spec
    inventory = LabBook(store, spec.name).refresh().inventory(spec.stock)
    free = {item: inventory.free(item, today()) for item in spec.stock}
    begun = state if state is not None and state.spec is not None else None
    informed = with_prior(loaded, store, begun)
    sources = None if informed is loaded else informed.spec.problem.sources
    return Ground(heads[-1].id if heads else "", begun, gather(store, loaded), free, sources)


def _check_simulation(loaded: LoadedCampaign) -> None:
    """Whether every instrument can be simulated.

    Raises:
        InputError: those that cannot.
    """
    spec = loaded.lab.spec
    simulated = spec.simulation.instruments if spec.simulation is not None else {}
    missing = [
        name
        for name, device in spec.devices.items()
        if name not in simulated and device.driver != "soft_detector" and (":" not in device.driver or device.address)
    ]
    if missing:
        lacks = "has no `simulation:` block" if spec.simulation is None else "simulates no"
        what = f"for {', '.join(missing)}" if spec.simulation is None else ", ".join(missing)
        raise InputError(
            [
                FileFault(
                    f"{lacks} {what}; a rehearsal needs an entry in simulation.instruments for each device with a "
                    "registered driver",
                    loaded.lab.file.name,
                )
            ]
        )


def _check_begun(loaded: LoadedCampaign, state: CampaignState | None) -> None:
    """Whether a campaign that has begun has something left to do.

    Raises:
        InputError: it has ended, or the file is not that of the campaign.
    """
    if state is None:
        return
    amendments(state, loaded)
    pending = any(trial.status.pending for trial in state.trials.values())
    over = ended(state, loaded.spec, state.lab_seconds)
    if over is not None and not pending:
        raise InputError(
            f"campaign {state.name!r} has ended already: {over.message}; give it a larger budget with "
            "--set budget.trials=N, or its file another name"
        )


def quote_of(
    loaded: LoadedCampaign, base: Ground, results: Sequence[Result], *, target: str, seed: int, draws: int
) -> Quote:
    """Put the results of rehearsals together.

    Raises:
        SdlError: no rehearsal came to a trial's end.
    """
    lines = [line for result in results for line in result.lines]
    if not any(line.ended for line in lines):
        message = next((r.message for r in results if r.message), "no trial came to its end")
        raise SdlError(f"the campaign cannot be rehearsed: {message}")
    spec, state = loaded.lab.spec, base.state
    simulation = spec.simulation
    stations = _stations(loaded, lines)
    return Quote(
        name=loaded.spec.name,
        at=time.time_ns(),
        speed=simulation.speed if simulation is not None and loaded.lab.simulated_devices() else 1.0,
        runs=len(results),
        draws=draws,
        seed=seed,
        done=0 if state is None else sum(not t.status.pending for t in state.trials.values()),
        lab_seconds=0.0 if state is None else state.lab_seconds,
        hours=interval([line.end / 3600 for line in lines]),
        trials=interval([float(len(line.begun)) for line in lines]),
        stations=stations,
        stock={item: _stock(loaded, item, base.free.get(item, 0.0), results) for item in _items(loaded)},
        cost=interval([_cost(loaded, result, line) for result in results for line in result.lines]),
        currency=spec.currency,
        bottleneck=_bottleneck(loaded, lines),
        target=_target(loaded, target, results),
        faults=interval([float(line.faults) for line in lines]),
        person=chance(sum(line.people > 0 for line in lines), len(lines)),
        attempts=base.experience.attempts,
        campaigns=base.experience.campaigns,
        notes=tuple(_notes(base, results)),
    )


def _stations(loaded: LoadedCampaign, lines: Sequence[Timeline]) -> dict[str, StationQuote]:
    specs = loaded.lab.spec.stations
    return {
        name: StationQuote(
            interval([line.busy[name] / 3600 for line in lines]),
            interval([line.busy[name] / line.end if line.end else 0.0 for line in lines]).median,
            specs[name].cost,
        )
        for name in lines[0].busy
    }


def _items(loaded: LoadedCampaign) -> list[str]:
    """Items of the stock that the procedure uses."""
    return [item for item in loaded.lab.spec.stock if any(item in step.spec.uses for step in loaded.procedure.steps)]


def _done_in(result: Result, line: Timeline) -> list[tuple[PartResult, float]]:
    """The trials of a timeline in the order in which they began, with when; those beyond the rehearsed ones again."""
    known = {part.number: part for part in result.parts}
    again, found = list(result.parts), []
    for index, (number, at) in enumerate(sorted(line.begun.items())):
        found.append((known.get(number) or again[index % len(again)], at))
    return found


def _cost(loaded: LoadedCampaign, result: Result, line: Timeline) -> float:
    spec = loaded.lab.spec
    total = sum(spec.stations[name].cost * seconds / 3600 for name, seconds in line.busy.items())
    for part, _ in _done_in(result, line):
        total += sum(spec.stock[item].cost * amount for item, amount in part.used.items())
    return total


def _stock(loaded: LoadedCampaign, item: str, free: float, results: Sequence[Result]) -> StockQuote:
    spec = loaded.lab.spec.stock[item]
    used, trials, hours = [], [], []
    for result in results:
        for line in result.lines:
            total, short = 0.0, None
            for number, (part, at) in enumerate(_done_in(result, line), 1):
                if short is None and total + part.needs.get(item, 0.0) > free * (1 + 1e-9):
                    short = (number, at)
                total += part.used.get(item, 0.0)
            used.append(total)
            if short is not None:
                trials.append(float(short[0]))
                hours.append(short[1] / 3600)
    first = next((result.parts[0].number for result in results if result.parts), 1)
    when = (interval([first - 1 + n for n in trials]), interval(hours)) if trials else (None, None)
    return StockQuote(spec.unit, interval(used), free, spec.cost, chance(len(trials), len(used)), *when)


def _target(loaded: LoadedCampaign, text: str, results: Sequence[Result]) -> TargetQuote | None:
    target = target_of(text, loaded.spec)
    if target is None:
        return None
    trials, hours, hits = [], [], 0
    for result in results:
        first = next((part.number for part in result.parts if part.reached), None)
        if first is None:
            continue
        hits += 1
        trials.append(float(first))
        hours += [line.ended[first] / 3600 for line in result.lines if first in line.ended]
    when = (interval(trials), interval(hours)) if trials and hours else (None, None)
    return TargetQuote(target.text, chance(hits, len(results)), *when)


def _bottleneck(loaded: LoadedCampaign, lines: Sequence[Timeline]) -> str:
    """Which stations limit the campaign, in words."""
    pools = {tuple(_choices(step.spec)) for step in loaded.procedure.steps}
    busy = {
        pool: interval([sum(line.busy[s] for s in pool) / len(pool) / line.end for line in lines if line.end]).median
        for pool in pools
    }
    ranked = sorted(busy.items(), key=lambda item: -item[1])
    pool, part = ranked[0]
    names = " and ".join(pool)
    said = f"{names}: busy {part:.0%} of the time"
    if len(ranked) > 1:
        said += f", next {' and '.join(ranked[1][0])} with {ranked[1][1]:.0%}"
    flight = loaded.spec.in_flight
    if part < 0.8:
        trials = "one trial" if flight == 1 else f"{flight} trials"
        said += f"; with {trials} in flight no station is at its limit"
    return said


def _choices(step: Any) -> list[str]:
    return sorted({step.station, *(step.other_stations if step.choose == "any" else ())})


def _notes(base: Ground, results: Sequence[Result]) -> list[str]:
    notes = []
    stopped = Counter(result.message for result in results if result.status != "ended")
    for message, count in stopped.most_common(3):
        notes.append(f"{count} of {len(results)} rehearsals stopped before their end: {message}")
    failed = sum(part.status == TrialStatus.FAILED for result in results for part in result.parts)
    if failed:
        notes.append(f"{failed} trials of all rehearsals failed through the simulated equipment")
    if base.experience.attempts == 0:
        notes.append(
            "nothing is on record of this procedure in this lab: durations are those of the simulation, and no faults "
            "are reckoned with"
        )
    elif base.experience.campaigns == 1:
        notes.append("durations and fault rates are those of a single campaign")
    return notes
