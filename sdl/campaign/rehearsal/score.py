"""Holds a quote against what happened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sdl.campaign._draws import draws
from sdl.campaign.rehearsal.experience import speeds_of
from sdl.campaign.rehearsal.quote import Interval, Quote
from sdl.campaign.rehearsal.target import target_of
from sdl.journal import Store
from sdl.journal.state import CampaignState, TrialState
from sdl.model import InputError

__all__ = ["Line", "Score", "score"]

Verdict = Literal["inside", "outside", "so far", "beyond"]
"""`so far`: the campaign goes on, and it is not beyond the upper limit yet; `beyond`: it is."""


@dataclass(frozen=True)
class Line:
    """One thing that was foretold, beside what became of it."""

    what: str
    unit: str
    quoted: Interval
    actual: float
    verdict: Verdict


@dataclass(frozen=True)
class Score:
    """What became of a quote."""

    at: int
    """When the quote was made, UTC, ns."""
    ended: bool
    """Whether the campaign has ended; else everything is as of now."""
    lines: tuple[Line, ...]
    target: str
    """What became of the target, in words; empty where there was none."""
    reached: bool | None
    """Whether it was reached; None where there was none."""

    def as_json(self) -> dict[str, Any]:
        """For other programs."""
        return asdict(self)


def score(store: Store, state: CampaignState) -> Score | None:
    """Hold the last quote of a campaign against what happened since it was made; None without one.

    Args:
        store: with the campaign.
        state: of the campaign.

    Raises:
        StoreError: the store cannot be read.
    """
    if not state.quotes:
        return None
    quote = Quote.of(state.quotes[-1])
    # A campaign that had ended, and was given a larger budget, has not gone on yet.
    ended = state.status == "ended" and state.sessions > state.quotes[-1]["sessions"]
    since = [trial for trial in state.trials.values() if trial.number > quote.done]
    actual = {
        ("lab time", "h"): (quote.hours, (state.lab_seconds - quote.lab_seconds) / 3600),
        ("trials", ""): (quote.trials, float(len(since))),
        ("faults", ""): (quote.faults, float(sum(s.cause == "fault" for t in since for s in t.steps))),
    }
    busy = _busy(since, store, state.id)
    used = _used(state, since)
    for name, station in quote.stations.items():
        actual[f"{name} at work", "h"] = (station.hours, busy.get(name, 0.0) / 3600)
    for item, stock in quote.stock.items():
        actual[item, "" if stock.unit == "1" else stock.unit] = (stock.used, used.get(item, 0.0))
    total = sum(station.cost * busy.get(name, 0.0) / 3600 for name, station in quote.stations.items())
    total += sum(stock.cost * used.get(item, 0.0) for item, stock in quote.stock.items())
    if quote.cost.high > 0:
        actual["cost", quote.currency] = (quote.cost, total)
    lines = tuple(
        Line(what, unit, foretold, value, _verdict(foretold, value, ended))
        for (what, unit), (foretold, value) in actual.items()
    )
    said, reached = _target(quote, state, since, ended)
    return Score(quote.at, ended, lines, said, reached)


def _verdict(foretold: Interval, value: float, ended: bool) -> Verdict:
    if ended:
        return "inside" if foretold.holds(value) else "outside"
    return "beyond" if value > foretold.high and not foretold.holds(value) else "so far"


def _busy(trials: list[TrialState], store: Store, campaign: str) -> dict[str, float]:
    """Station → lab seconds in which it was at work."""
    speed, busy = speeds_of(store, campaign), dict[str, float]()
    for trial in trials:
        for step in trial.steps:
            if step.ended_at is not None:
                seconds = (step.ended_at - step.started_at) / 1e9 * speed(step.started_at)
                busy[step.station] = busy.get(step.station, 0.0) + seconds
    return busy


def _used(state: CampaignState, trials: list[TrialState]) -> Mapping[str, float]:
    """Item of the stock → amount used."""
    used: dict[str, float] = {}
    for trial in trials:
        for draw in draws(trial, state.reserved.get(trial.number, ())):
            used[draw.item] = used.get(draw.item, 0.0) + draw.amount
    return used


def _target(quote: Quote, state: CampaignState, trials: list[TrialState], ended: bool) -> tuple[str, bool | None]:
    if quote.target is None or state.spec is None:
        return "", None
    said = "".join(_foretold(quote))
    # `stop.reach` is quoted in words that do not parse where it has several goals; the campaign itself knows it.
    try:
        target = target_of(quote.target.text, state.spec)
    except InputError:
        target = target_of("", state.spec)
    if target is None:
        return "", None
    first = next((trial.number for trial in trials if target.reached(trial)), None)
    if first is not None:
        return f"{said}; trial {first} reached it", True
    return f"{said}; {'it was not reached' if ended else 'it is not reached yet'}", False


def _foretold(quote: Quote) -> Iterator[str]:
    target = quote.target
    assert target is not None
    yield f"{target.text}: chance {target.chance.share:.0%} ({target.chance.low:.0%} to {target.chance.high:.0%})"
    if target.trial is not None:
        yield f", by trial {target.trial.median:.0f}"
