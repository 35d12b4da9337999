"""A lab's inventory over all campaigns of a store: who is in which slot, and what is left of each lot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from sdl.campaign._draws import Draw, draws, left_over
from sdl.campaign._labfacts import LabFacts, Supply
from sdl.journal import Entry, kinds
from sdl.journal.samples import SampleState, SampleStatus, Spot, Whereabouts, apply, claims, where
from sdl.journal.state import CampaignState, TrialState
from sdl.journal.stock import Reserved
from sdl.lab.spec import StockSpec
from sdl.model import InputError
from sdl.model.units import convert

__all__ = ["Holder", "Inventory", "Located", "Lot", "Memo", "take_stock", "today"]


def today() -> date:
    """The date by which lots expire: UTC."""
    return datetime.now(UTC).date()


@dataclass(frozen=True, slots=True)
class Lot:
    """What is left of one lot."""

    item: str
    lot: str
    unit: str
    received: float = 0.0
    """All that was ever received."""
    used: float = 0.0
    """All that was ever used, counts left aside."""
    left: float = 0.0
    """What is there, or less: below 0 when more was used than is on record."""
    reserved: float = 0.0
    """Set aside for trials, and not used yet."""
    expires: str = ""
    """ISO date of the last day on which it may be used; empty where it keeps."""
    counted_at: int | None = None
    """When somebody looked last, UTC, ns."""
    supplied_at: int = 0
    """When it was received or counted last, UTC, ns."""

    @property
    def free(self) -> float:
        """What is left and not set aside."""
        return self.left - self.reserved

    def expired(self, day: date) -> bool:
        """Whether it must not be used any more on a day."""
        return bool(self.expires) and date.fromisoformat(self.expires) < day


@dataclass(frozen=True, slots=True)
class Located:
    """A sample, and where it is."""

    campaign: str
    """Id of its campaign."""
    campaign_name: str
    sample: SampleState
    at: Whereabouts
    pending: bool
    """Whether its trial goes on."""


@dataclass(frozen=True, slots=True)
class Holder:
    """What holds a slot."""

    campaign: str
    trial: int
    sample: str
    """Id; empty while the sample is being made."""
    status: str
    pending: bool
    """Whether its trial goes on, and may free the slot by itself."""


@dataclass(frozen=True)
class Inventory:
    """A lab's stock and samples at one moment."""

    lots: Mapping[tuple[str, str], Lot] = field(default_factory=dict)
    """By item and lot, in the order in which they were received."""
    samples: Mapping[str, Located] = field(default_factory=dict)
    taken: Mapping[Spot, tuple[Holder, ...]] = field(default_factory=dict)
    """Slots that have to be taken for occupied, and by what."""

    def of(self, item: str) -> list[Lot]:
        """The lots of an item."""
        return [lot for lot in self.lots.values() if lot.item == item]

    def usable(self, item: str, day: date) -> list[tuple[Lot, float]]:
        """Lots of an item with what can be set aside of each, the one that expires first before the others.

        What was used beyond a lot is owed by the others: it came from somewhere.

        Args:
            item: of the stock.
            day: lots that have expired by then are left out.
        """
        lots = self.of(item)
        owed = -sum(lot.free for lot in lots if lot.free < 0)
        fresh = sorted((lot for lot in lots if lot.free > 0 and not lot.expired(day)), key=_first_out)
        found = []
        for lot in fresh:
            take = min(owed, lot.free)
            owed -= take
            if lot.free > take:
                found.append((lot, lot.free - take))
        return found

    def free(self, item: str, day: date) -> float:
        """What can be set aside of an item, in the stock's unit."""
        return sum(amount for _, amount in self.usable(item, day))


def _first_out(lot: Lot) -> tuple[bool, str]:
    return (not lot.expires, lot.expires)


def take_stock(
    states: Iterable[CampaignState],
    facts: LabFacts,
    stock: Mapping[str, StockSpec] | None = None,
    *,
    memo: Memo | None = None,
) -> Inventory:
    """The inventory of a lab.

    Args:
        states: of all campaigns in that lab.
        facts: of the lab's own chain.
        stock: of the lab file; amounts are in its units. None: in those of the entries.
        memo: kept between calls, so that trials that have not changed are not looked at again.

    Raises:
        InputError: an amount on record does not convert to the stock's unit.
    """
    account, memo = _Account(facts, stock or {}), memo or Memo()
    samples: dict[str, Located] = {}
    taken: dict[Spot, tuple[Holder, ...]] = {}
    said: dict[str, list[Entry]] = {}
    for entry in facts.said:
        said.setdefault(entry.body["sample"], []).append(entry)
    for state in states:
        for number, reserved in state.reserved.items():
            account.book(*memo.booked(state.id, state.trials.get(number), number, reserved))
        held: list[tuple[Spot, Holder]] = []
        for id_ in state.samples:
            samples[id_], spots = memo.placed(state, id_, said.get(id_, ()))
            held += spots
        for spot, holder in (*held, *_being_made(state)):
            taken[spot] = (*taken.get(spot, ()), holder)
    return Inventory(account.lots(), samples, taken)


_Booked = tuple[list[Draw], list[tuple[Reserved, float]]]
_Placed = tuple[Located, tuple[tuple[Spot, Holder], ...]]


class Memo:
    """What was found of trials and samples that have not changed since."""

    def __init__(self) -> None:
        self._booked: dict[tuple[str, int], tuple[Any, Any, _Booked]] = {}
        self._placed: dict[tuple[str, str], tuple[Any, Any, Any, _Placed]] = {}

    def booked(self, campaign: str, trial: TrialState | None, number: int, reserved: Sequence[Reserved]) -> _Booked:
        """What a trial used, and what is still set aside for it."""
        kept = self._booked.get((campaign, number))
        if kept is not None and kept[0] is trial and kept[1] is reserved:
            return kept[2]
        found = (draws(trial, reserved) if trial is not None else [], left_over(trial, reserved))
        self._booked[campaign, number] = (trial, reserved, found)
        return found

    def placed(self, state: CampaignState, id_: str, said: Sequence[Entry]) -> _Placed:
        """A sample with what people say of it, and the slots that it holds."""
        own = state.samples[id_]
        trial = state.trials.get(own.trial)
        kept = self._placed.get((state.id, id_))
        if kept is not None and kept[0] is own and kept[1] is trial and kept[2] == said:
            return kept[3]
        found = _placed(state, own, trial, said)
        self._placed[state.id, id_] = (own, trial, said, found)
        return found


class _Account:
    """Adds up lots."""

    def __init__(self, facts: LabFacts, stock: Mapping[str, StockSpec]) -> None:
        self._stock = stock
        self._lots: dict[tuple[str, str], Lot] = {}
        self._sums: dict[tuple[str, str], list[float]] = {}
        """Used, used and not in a count, set aside."""
        for supply in facts.supplies:
            self._supply(supply)

    def _supply(self, supply: Supply) -> None:
        lot = self._lot(supply.item, supply.lot, supply.unit)
        amount = _in(supply.amount, supply.unit, lot)
        changes: dict[str, Any] = {"supplied_at": supply.at}
        if supply.counted:
            changes |= {"left": amount, "counted_at": supply.at}
        else:
            changes |= {"left": lot.left + amount, "received": lot.received + amount}
            changes["expires"] = supply.expires or lot.expires
        self._lots[lot.item, lot.lot] = replace(lot, **changes)

    def book(self, used: Iterable[Draw], reserved: Iterable[tuple[Reserved, float]]) -> None:
        """Take off what a trial used and set aside."""
        for draw in used:
            lot = self._lot(draw.item, draw.lot, draw.unit)
            amount, sums = _in(draw.amount, draw.unit, lot), self._sums[draw.item, draw.lot]
            sums[0] += amount
            # Somebody who looks sees what was used before; of what may still be under way nobody knows.
            if lot.counted_at is None or draw.settled_at is None or draw.settled_at >= lot.counted_at:
                sums[1] += amount
        for item, amount in reserved:
            lot = self._lot(item.item, item.lot, item.unit)
            self._sums[item.item, item.lot][2] += _in(amount, item.unit, lot)

    def lots(self) -> dict[tuple[str, str], Lot]:
        """By item and lot."""
        found = {}
        for key, lot in self._lots.items():
            used, gone, reserved = self._sums[key]
            found[key] = replace(lot, used=used, left=lot.left - gone, reserved=reserved)
        return found

    def _lot(self, item: str, lot: str, unit: str) -> Lot:
        known = self._lots.get((item, lot))
        if known is None:
            known = Lot(item, lot, self._stock[item].unit if item in self._stock else unit)
            self._lots[item, lot] = known
            self._sums[item, lot] = [0.0, 0.0, 0.0]
        return known


def _in(amount: float, unit: str, lot: Lot) -> float:
    try:
        return convert(amount, unit, lot.unit)
    except ValueError as error:
        raise InputError(
            f"stock {lot.item!r}, lot {lot.lot!r}: {error}; on record it is in {unit}: put that unit back into the lab "
            "file, or give the item another name"
        ) from None


# ── samples and slots ──


def _placed(state: CampaignState, own: SampleState, trial: TrialState | None, said: Sequence[Entry]) -> _Placed:
    """A sample with what people say of it, and the slots that it holds."""
    samples: Mapping[str, SampleState] = {own.id: own}
    for entry in said:
        # The campaign's own entries are in it already; whoever spoke last is right about the place.
        if entry.kind == kinds.SAMPLE_QUARANTINED or entry.at > _placed_at(samples[own.id], trial):
            samples = apply(samples, entry.kind, entry.body, entry.at)
    sample = samples[own.id]
    pending = trial is not None and trial.status.pending
    item = Located(state.id, state.name, sample, where(sample, trial), pending)
    frees = pending and sample.status is SampleStatus.LIVE
    holder = Holder(state.id, sample.trial, sample.id, sample.status.value, frees)
    return item, tuple((spot, holder) for spot in item.at.spots)


def _placed_at(sample: SampleState, trial: TrialState | None) -> int:
    """When a sample came to its place: a step's end may be put on record long after it, by the next session."""
    steps = trial.steps if trial is not None and sample.placed_by is not None else ()
    ends = [step.ended_at for step in steps if (step.name, step.attempt) == sample.placed_by]
    return ends[0] if ends and ends[0] is not None else sample.placed_at


def _being_made(state: CampaignState) -> Iterator[tuple[Spot, Holder]]:
    """Slots in which samples are being made that are not on record yet."""
    known = {sample.trial for sample in state.samples.values()}
    for trial in state.trials.values():
        if trial.status.pending and trial.number not in known:
            yield from ((spot, Holder(state.id, trial.number, "", "being made", True)) for spot in claims(trial))
