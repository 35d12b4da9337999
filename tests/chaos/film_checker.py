"""What must hold after a campaign in the thin-film lab was killed, with several samples in flight; judged without sdl.

An act of an instrument belongs to the action of its kind that was dispatched last before it on that instrument: one
trial at a time has it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chaos.checker import Entry, Record, check_journal

__all__ = ["Books", "check", "check_books", "differing", "happened", "history_of"]

ACTS: Mapping[tuple[str, str], str] = {
    ("coater", "load"): "load",
    ("coater", "dispense"): "dispense",
    ("coater", "spin"): "spin",
    ("robot", "carry"): "carry",
    ("furnace_a", "hold"): "hold",
    ("furnace_b", "hold"): "hold",
    ("stage", "eject"): "eject",
}
"""Device and path of an action that must happen once → what is counted."""
_ACCEPTED = {"LOAD": "load", "DISP": "dispense", "SPIN": "spin"}
WANTED = {"load": 1, "dispense": 1, "spin": 1, "carry": 2, "hold": 1, "eject": 1}
"""Per trial."""
STEPS = ["coat", "to_furnace", "anneal", "to_probe", "measure", "eject"]
DIGIT = 0.01
"""uL, the last digit of the coater's syringe."""
SPIN = 45.0
"""Seconds that each film is spun."""
OUTCOME = 0.15
"""Part by which outcomes may differ: ink dries a little while nobody spins it, and films age while they wait."""
AGED = 0.1
"""Wall seconds by which two gels may have waited differently and still be the same film; at speed 1500, 150 s."""
_ENDS = ("trial.observed", "trial.failed", "trial.infeasible", "trial.rejected")


@dataclass(frozen=True)
class Books:
    """What `sdl stock --json` and `sdl samples --json` say."""

    stock: Sequence[Mapping[str, Any]]
    samples: Sequence[Mapping[str, Any]]


@dataclass
class Act:
    """What an instrument did for one action."""

    kind: str
    action: str
    trial: int
    begun: list[int] = field(default_factory=list)
    """Wall times at which it began, ns."""
    done: int = 0
    """Times that it came to its end."""
    amount: float = 0.0
    """uL dispensed, s spun; for a hold the seconds that its timer was set to."""


@dataclass
class Deeds:
    """What the instruments did, by their own log."""

    acts: dict[str, Act]
    unbidden: list[str]
    films: dict[int, str]
    """Trial → where its film is; `robot` while it is in the gripper."""
    loaded: int = 0
    dispensed: float = 0.0
    """uL"""


def check(record: Record, reference: Sequence[Any]) -> list[str]:
    """Everything that does not hold, a sentence each.

    Args:
        record: of a campaign that has ended.
        reference: `history_of` a campaign that nobody disturbed.
    """
    deeds = deeds_of(record)
    return [
        *check_journal(record),
        *deeds.unbidden,
        *_once(record, deeds),
        *_written_ahead(record, deeds),
        *differing(history_of(record.entries), reference),
    ]


# ── what the campaign came to ──


def history_of(entries: Sequence[Entry]) -> list[Any]:
    """Number, parameters, end, outcomes, steps done, sessions that ended amid it and wall seconds from coat to anneal
    of each trial; and how the campaign ended.
    """
    trials: dict[int, list[Any]] = {}
    ending: Any = None
    begun: set[int] = set()
    for entry in entries:
        body = entry.body
        if entry.kind == "trial.proposed":
            trials[body["trial"]] = [body["trial"], body["parameters"], None, None, [], 0, 0.0]
        elif entry.kind in _ENDS:
            trials[body["trial"]][2:4] = [entry.kind, body.get("outcomes")]
        elif entry.kind == "session.opened":
            for trial in trials.values():
                trial[5] += trial[2] is None and trial[0] in begun
        elif entry.kind == "step.started":
            begun.add(body["trial"])
            if body["step"] == "anneal":
                trials[body["trial"]][6] += entry.at / 1e9
        elif entry.kind == "step.done":
            trials[body["trial"]][4].append(body["step"])
            if body["step"] == "coat":
                trials[body["trial"]][6] -= entry.at / 1e9
        elif entry.kind in ("campaign.ended", "campaign.paused", "campaign.aborted"):
            ending = [entry.kind, body.get("rule")]
    return [*trials.values(), ending]


def differing(found: Sequence[Any], wanted: Sequence[Any]) -> Iterator[str]:
    """What differs between two histories by more than films may."""
    if len(found) != len(wanted):
        yield f"history: {len(found) - 1} trials instead of {len(wanted) - 1}"
        return
    if found[-1] != wanted[-1]:
        yield f"history: {found[-1]} instead of {wanted[-1]}"
    for one, other in zip(found[:-1], wanted[:-1], strict=True):
        if one[:3] != other[:3] or one[4] != other[4]:
            yield f"history: {json.dumps(one)} instead of {json.dumps(other)}"
            continue
        if one[5] or other[5]:
            continue  # its ink dried while nobody spun it, or the film aged: another film, though all was done once
        if abs(one[6] - other[6]) > AGED:
            continue  # the computer was busy while the gel waited, which aged it: another film as well
        for name, outcome in (other[3] or {}).items():
            value = one[3][name]["value"]
            if abs(value - outcome["value"]) > OUTCOME * abs(outcome["value"]):
                yield f"history: trial {one[0]}: {name} is {value:g} instead of {outcome['value']:g}"


# ── what the instruments did ──


def deeds_of(record: Record) -> Deeds:
    """The instruments' log, each act with the action that it was done for."""
    known = _guarded(record.entries)
    orders: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for ack in record.acks:
        if ack.kind == "action.dispatched" and ack.action in known:
            _, device, kind = known[ack.action]
            orders[device, kind].append((ack.wall, ack.action))
    deeds = Deeds({id_: Act(kind, id_, trial) for id_, (trial, _, kind) in known.items()}, [], {})
    owner: dict[tuple[str, str], Act] = {}
    places: dict[str, int] = {}
    for line in record.truth:
        _one(line, deeds, orders, owner, places)
    deeds.films |= {trial: place for place, trial in places.items()}
    return deeds


def _guarded(entries: Iterable[Entry]) -> dict[str, tuple[int, str, str]]:
    """Action → trial, device, and what is counted."""
    found = {}
    for entry in entries:
        if entry.kind == "action.dispatched":
            body = entry.body
            kind = ACTS.get((body["device"], body["path"].partition(".")[0]))
            if kind is not None and body["effect"] == "non_repeatable":
                found[body["action"]] = (body["trial"], body["device"], kind)
    return found


def _one(
    line: Mapping[str, Any],
    deeds: Deeds,
    orders: Mapping[tuple[str, str], Sequence[tuple[int, str]]],
    owner: dict[tuple[str, str], Act],
    places: dict[str, int],
) -> None:
    """Take one line of the log into account."""
    device, what, wall = line["instrument"], line["action"], line["wall"]

    def begins(kind: str) -> Act:
        before = [action for at, action in orders.get((device, kind), ()) if at <= wall]
        if not before:
            deeds.unbidden.append(f"order: {device} began to {kind} before that was on record")
            return Act(kind, "", 0)
        act = deeds.acts[before[-1]]
        act.begun.append(wall)
        owner[device, kind] = act
        return act

    match device, what:
        case "coater", "accept":
            begins(_ACCEPTED[line["kind"]])
        case "coater", "load":
            act = owner[device, "load"]
            act.done += 1
            deeds.loaded += 1
            places["chuck"] = act.trial
        case "coater", "dispense":
            act = owner[device, "dispense"]
            act.done += line["complete"]
            act.amount += line["volume"]
            deeds.dispensed += line["volume"]
        case "coater", "spin":
            act = owner[device, "spin"]
            act.done += line["complete"]
            act.amount += line["seconds"]
        case "robot", "carry":
            begins("carry")
        case "robot", "pick":
            places["robot"] = places.pop(line["place"])
        case "robot", "put":
            places[line["place"]] = places.pop("robot")
            owner[device, "carry"].done += 1
        case (("furnace_a" | "furnace_b"), "timer"):
            act = begins("hold") if not line["counted"] else owner[device, "hold"]
            act.amount = line["duration"]
            act.done = len(act.begun)
        case "stage", "eject":
            begins("eject").done += 1
            deeds.films[places.pop("probe_stage")] = "tray"


def happened(record: Record, action: str) -> bool | None:
    """Whether an action was done; None for a part of it."""
    act = deeds_of(record).acts[action]
    return True if act.done else None if act.amount else False


def _once(record: Record, deeds: Deeds) -> Iterator[str]:
    proposed = {body["trial"]: body for e in record.entries if e.kind == "trial.proposed" for body in (e.body,)}
    counts: Counter[tuple[int, str]] = Counter()
    amounts: Counter[tuple[int, str]] = Counter()
    parts: Counter[tuple[int, str]] = Counter()
    for act in deeds.acts.values():
        counts[act.trial, act.kind] += act.done
        amounts[act.trial, act.kind] += act.amount  # type: ignore[assignment]
        parts[act.trial, act.kind] += len(act.begun)
    for trial, body in proposed.items():
        for kind, wanted in WANTED.items():
            if (number := counts[trial, kind]) != wanted:
                what = "repeated" if number > wanted else "lost"
                yield f"{what}: trial {trial}: {number} times {kind} instead of {wanted}"
        exact = {
            "dispense": (body["parameters"]["volume"], DIGIT),
            "spin": (SPIN, 0.1),
            "hold": (60 * body["parameters"]["anneal_time"], 1.0),
        }
        for kind, (value, digit) in exact.items():
            got = amounts[trial, kind]
            if abs(got - value) > digit * max(1, parts[trial, kind]):
                what = "repeated" if got > value else "lost"
                yield f"{what}: trial {trial}: {kind} of {got:g} instead of {value:g}"


def _written_ahead(record: Record, deeds: Deeds) -> Iterator[str]:
    """DISPATCHED and ARMED were on the disk before the instrument began; each beginning has its own ARMED."""
    for kind in ("action.dispatched", "action.armed"):
        known: dict[str, list[int]] = defaultdict(list)
        for ack in record.acks:
            if ack.kind == kind:
                known[ack.action].append(ack.wall)
        for act in deeds.acts.values():
            for number, wall in enumerate(sorted(act.begun), 1):
                if sum(at <= wall for at in known[act.action]) < number:
                    yield f"order: {act.kind} {number} of {act.action} began before its {kind} was on the disk"


# ── what the ledgers say ──


def check_books(record: Record, books: Books, *, at_rest: bool) -> list[str]:
    """What does not hold of the ledgers.

    Args:
        record: the campaign as it is on the disk, and what the instruments have done.
        books: what was printed at that time, or earlier while nothing was written.
        at_rest: whether the campaign has ended: the ledgers are equal to the instruments' log. Else they may be
            pessimistic about what was under way, and never optimistic.
    """
    deeds = deeds_of(record)
    return [*_stock(deeds, books, at_rest), *_samples(deeds, books, at_rest)]


def _stock(deeds: Deeds, books: Books, at_rest: bool) -> Iterator[str]:
    actual = {"substrate": float(deeds.loaded), "ink": deeds.dispensed / 1000}
    digits = {"substrate": 0.0, "ink": DIGIT / 1000 * max(1, len(deeds.acts))}
    for item, wanted in actual.items():
        used = sum(lot["used"] for lot in books.stock if lot["item"] == item)
        if used < wanted - digits[item] or (at_rest and used > wanted + digits[item]):
            yield f"ledger: {item}: {used:g} used by the record, {wanted:g} by the instruments"
        if at_rest and (reserved := sum(lot["reserved"] for lot in books.stock if lot["item"] == item)):
            yield f"ledger: {item}: {reserved:g} still set aside"


def _samples(deeds: Deeds, books: Books, at_rest: bool) -> Iterator[str]:
    said = {sample["trial"]: sample for sample in books.samples}
    if at_rest and (missing := deeds.films.keys() - said.keys()):
        yield f"ledger: no sample on record of trials {sorted(missing)}"
    for trial, sample in said.items():
        known = {sample["place"], *(spot["place"] for spot in sample["towards"])}
        actual = deeds.films.get(trial, "nowhere")
        moving = actual == "robot" and sample["towards"] and not at_rest
        if (actual not in known and not moving) or (at_rest and known != {actual}):
            yield f"ledger: sample of trial {trial} is {sample['where']} by the record, {actual} by the instruments"
    taken = Counter((s["place"], s["slot"]) for s in books.samples if s["place"])
    yield from (f"ledger: {n} samples in {place} slot {slot}" for (place, slot), n in taken.items() if n > 1)
