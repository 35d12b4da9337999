"""The quote: what rehearsals foretell of a campaign, as a record that can be kept and held against what happened."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["LEVEL", "Chance", "Interval", "Quote", "StationQuote", "StockQuote", "TargetQuote", "chance", "interval"]

LEVEL = 0.9
"""Part of all cases that an interval is to hold."""
_Z = 1.6448536269514722
"""Quantile of the normal distribution that belongs to it."""


@dataclass(frozen=True)
class Interval:
    """A median, and the limits between which 90 % lie."""

    low: float
    median: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value is inside, rounding aside."""
        slack = 1e-9 * max(abs(self.low), abs(self.high))
        return self.low - slack <= value <= self.high + slack


@dataclass(frozen=True)
class Chance:
    """A share of the rehearsals, and between which limits the chance lies with 90 %."""

    share: float
    low: float
    high: float


@dataclass(frozen=True)
class StationQuote:
    """What a station will have to do."""

    hours: Interval
    """Instrument-hours."""
    busy: float
    """Part of the campaign's time in which it is at work: the median."""
    cost: float
    """Of an hour, in the lab's currency."""


@dataclass(frozen=True)
class StockQuote:
    """What will be used of an item of the stock."""

    unit: str
    used: Interval
    free: float
    """What can be set aside now."""
    cost: float
    """Of one unit, in the lab's currency."""
    lacks: Chance
    """Chance that it does not last."""
    trial: Interval | None = None
    """First trial for which there is not enough, where it does not last."""
    hours: Interval | None = None
    """Lab hours from now until then."""


@dataclass(frozen=True)
class TargetQuote:
    """How likely a target is reached."""

    text: str
    chance: Chance
    trial: Interval | None = None
    """First trial that reaches it, where one does."""
    hours: Interval | None = None
    """Lab hours from now until then."""


@dataclass(frozen=True)
class Quote:
    """What rehearsals foretell of what a campaign has still to do."""

    name: str
    """Of the campaign."""
    at: int
    """When it was made, UTC, ns."""
    speed: float
    """Lab seconds a wall second in the lab that it is made for."""
    runs: int
    """Rehearsals."""
    draws: int
    """How often the times of each were drawn."""
    seed: int
    done: int
    """Trials that had ended already; nothing of them is in the quote."""
    lab_seconds: float
    """Lab time used up already."""
    hours: Interval
    """Lab hours from now until the end."""
    trials: Interval
    """Trials from now on."""
    stations: Mapping[str, StationQuote]
    stock: Mapping[str, StockQuote]
    cost: Interval
    currency: str
    bottleneck: str
    """In words."""
    target: TargetQuote | None
    faults: Interval
    """Attempts of steps that fail through the equipment."""
    person: Chance
    """Chance that the campaign waits for a person at least once; it is taken to be answered at once."""
    attempts: int
    """Attempts of steps on record that it was learned from."""
    campaigns: int
    """Campaigns that they come from."""
    notes: tuple[str, ...] = ()
    """What a person should know before relying on it."""

    @property
    def end_at(self) -> Interval:
        """Unix seconds of the end, if the campaign begins now and the lab works through."""
        began = self.at / 1e9
        ends = (began + hours * 3600 / self.speed for hours in (self.hours.low, self.hours.median, self.hours.high))
        return Interval(*ends)

    def as_json(self) -> dict[str, Any]:
        """For the journal and for other programs."""
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Quote:
        """From JSON; keys of a later release are passed over."""
        known = {key: value for key, value in data.items() if key in cls.__dataclass_fields__}
        target = known["target"]
        return cls(
            **{
                **known,
                **{key: Interval(**known[key]) for key in ("hours", "trials", "cost", "faults")},
                "stations": {name: _station(item) for name, item in known["stations"].items()},
                "stock": {name: _stock(item) for name, item in known["stock"].items()},
                "target": None if target is None else _target(target),
                "person": Chance(**known["person"]),
                "notes": tuple(known.get("notes", ())),
            }
        )


def _station(data: Mapping[str, Any]) -> StationQuote:
    return StationQuote(Interval(**data["hours"]), data["busy"], data["cost"])


def _stock(data: Mapping[str, Any]) -> StockQuote:
    when = (None if data[key] is None else Interval(**data[key]) for key in ("trial", "hours"))
    used, lacks = Interval(**data["used"]), Chance(**data["lacks"])
    return StockQuote(data["unit"], used, data["free"], data["cost"], lacks, *when)


def _target(data: Mapping[str, Any]) -> TargetQuote:
    when = (None if data[key] is None else Interval(**data[key]) for key in ("trial", "hours"))
    return TargetQuote(data["text"], Chance(**data["chance"]), *when)


def interval(values: Sequence[float]) -> Interval:
    """Median and 90 % interval of a sample.

    The limits are those of a prediction: that 5 % of as many further values lie beyond each. With n values, the k-th
    smallest has k/(n + 1) below it (H. A. David, Order Statistics, 1970), so the limits of a small sample are its ends.
    """
    ranked = sorted(values)
    tail = (1 - LEVEL) / 2
    return Interval(_quantile(ranked, tail), _quantile(ranked, 0.5), _quantile(ranked, 1 - tail))


def _quantile(ranked: Sequence[float], part: float) -> float:
    at = min(max(part * (len(ranked) + 1) - 1, 0.0), len(ranked) - 1.0)
    below = math.floor(at)
    above = min(below + 1, len(ranked) - 1)
    return ranked[below] + (at - below) * (ranked[above] - ranked[below])


def chance(hits: int, of: int) -> Chance:
    """A share with its 90 % interval (E. B. Wilson, Journal of the American Statistical Association 22, 1927)."""
    share = hits / of
    z2 = _Z**2
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z / (1 + z2 / of) * math.sqrt(share * (1 - share) / of + z2 / (4 * of**2))
    low = 0.0 if hits == 0 else max(0.0, middle - half)
    return Chance(share, low, 1.0 if hits == of else min(1.0, middle + half))
