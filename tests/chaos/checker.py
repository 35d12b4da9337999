"""What must hold after a campaign that was killed and taken up again, judged without sdl.

Reads the store with SQLite and the simulated instruments' own log, which their server wrote while the campaign died
and came back. Imports nothing of `sdl`: the hash chain is computed as docs/architecture.md describes it.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

__all__ = [
    "Ack", "Entry", "Record", "check", "check_journal", "delivered_by", "has_campaign", "history_of", "read_acks",
    "read_store", "read_truth",
]  # fmt: skip

VOLUMES = {"stock_pump": "stock_volume", "diluent_pump": "diluent_volume"}
"""Pump → parameter with the volume that a trial wants of it, uL."""
DIGIT = 0.001
"""uL that the last of the pump's four digits is worth, for volumes below 10 uL: what a delivery may be off by."""
_ENDS = ("trial.observed", "trial.failed", "trial.infeasible", "trial.rejected")
OWN_KINDS = ("spool.opened", "epoch.raised", "step.ordered", "step.answered")
"""Kinds of entries that a worker's spool has for itself."""
SCALE = 1_000_000_000
"""An entry of a spool is known by its `seq` plus this times the worker's life."""
Truth = Sequence[Mapping[str, Any]]


class Entry(NamedTuple):
    """A row of the journal."""

    campaign: str
    seq: int
    at: int
    kind: str
    text: str
    prev_hash: str
    hash: str

    @property
    def body(self) -> dict[str, Any]:
        """The text as JSON."""
        body: dict[str, Any] = json.loads(self.text)
        return body


class Ack(NamedTuple):
    """An entry whose commit had returned."""

    campaign: str
    seq: int
    hash: str
    wall: int
    """Unix ns."""
    kind: str
    action: str
    """Id of the action it is about, or `-`."""


@dataclass
class Record:
    """What is judged."""

    entries: list[Entry]
    head: tuple[int, str]
    """Number and hash of the last entry, as the store's head has it."""
    truth: Truth
    """Lines of the instruments' log."""
    acks: list[Ack] = field(default_factory=list)
    """What the process that writes the journal saw acknowledged."""
    orders: list[Ack] | None = None
    """What the process that drives the pumps saw acknowledged, where that is a worker with a spool of its own."""
    spool: list[Entry] | None = None
    """The campaign's chain in that spool."""

    @property
    def driving(self) -> list[Ack]:
        """What the process that drives the pumps had on its disk."""
        return self.acks if self.orders is None else self.orders


def read_store(path: Path, campaign: str = "%") -> tuple[list[Entry], tuple[int, str]]:
    """Entries and head of a campaign (id), by default of the only one."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        columns = "campaign, seq, at, kind, body, prev_hash, hash"
        found = db.execute(f"SELECT {columns} FROM entries WHERE campaign LIKE ? ORDER BY seq", (campaign,))
        entries = [Entry(*row) for row in found]
        ((seq, last),) = db.execute("SELECT seq, hash FROM heads WHERE campaign LIKE ?", (campaign,)).fetchall()
    return entries, (seq, last)


def has_campaign(path: Path, campaign: str = "2%") -> bool:
    """Whether a store has an entry of a campaign (id), by default of any: their ids begin with the year."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return bool(db.execute("SELECT 1 FROM entries WHERE campaign LIKE ? LIMIT 1", (campaign,)).fetchall())


def read_truth(path: Path) -> list[dict[str, Any]]:
    """Lines of the instruments' log."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def read_acks(path: Path) -> list[Ack]:
    """Entries that were acknowledged; a line that the kill cut off was not."""
    if not path.exists():
        return []
    text = path.read_text()
    lines = [line.split() for line in text[: text.rfind("\n") + 1].splitlines()]
    return [Ack(name, int(seq), digest, int(wall), kind, action) for name, seq, digest, wall, kind, action in lines]


def check(record: Record, reference: Sequence[Any]) -> list[str]:
    """Everything that does not hold, a sentence each.

    Args:
        record: of a campaign that has ended.
        reference: `history_of` a campaign that nobody disturbed.
    """
    return [
        *check_journal(record),
        *_spooled(record),
        *_deliveries(record),
        *_written_ahead(record),
        *_history(record.entries, reference),
    ]


def check_journal(record: Record) -> list[str]:
    """What does not hold of the journal by itself, whatever the lab."""
    return [
        *_chain(record.entries),
        *_ends(record),
        *_acknowledged(record.entries, record.acks),
        *_told(record.entries),
    ]


# ── the journal ──


def _chain(entries: Sequence[Entry]) -> Iterable[str]:
    before, last_at = "0" * 64, 0
    for number, entry in enumerate(entries, 1):
        head = json.dumps([before, entry.campaign, number, entry.at, entry.kind], separators=(",", ":"))
        digest = sha256(f"{head[:-1]},{entry.text}]".encode()).hexdigest()
        if (entry.seq, entry.prev_hash, entry.hash) != (number, before, digest):
            yield f"chain: entry {number} ({entry.kind}) is missing or was changed"
            return
        if entry.at < last_at:
            yield f"chain: entry {number} ({entry.kind}) is earlier than the one before"
        before, last_at = digest, entry.at


def _ends(record: Record) -> Iterable[str]:
    last = record.entries[-1]
    if record.head != (last.seq, last.hash):
        yield f"chain: the head names entry {record.head[0]}, the last is {last.seq}"


def _acknowledged(entries: Sequence[Entry], acks: Sequence[Ack]) -> Iterable[str]:
    there = {entry.seq: entry.hash for entry in entries}
    for ack in acks:
        if there.get(ack.seq) != ack.hash:
            yield f"lost: entry {ack.seq} was acknowledged, and is {'another' if ack.seq in there else 'gone'}"


def _spooled(record: Record) -> Iterable[str]:
    """What a worker has spooled came into the journal, each entry once and in order."""
    if record.spool is None:
        return
    campaign = record.entries[0].campaign
    yield from (f"spool: {text}" for text in _chain(record.spool))
    yield from _acknowledged(record.spool, [ack for ack in record.orders or () if ack.campaign == campaign])
    came: list[int] = []
    kinds = {entry.seq: entry.kind for entry in record.spool}
    for entry in record.entries:
        if (origin := entry.body.get("origin")) is not None:
            came.append(origin["seq"] % SCALE)
            if kinds.get(came[-1]) != entry.kind:
                yield f"spool: entry {entry.seq} of the journal is not entry {came[-1]} of the spool"
    if came != sorted(set(came)):
        yield "spool: entries came twice, or out of order"
    left = [e for e in record.spool if e.kind not in OWN_KINDS and e.seq not in set(came)]
    for entry in left:
        if entry.seq < max(came, default=0) or entry.kind.startswith("action."):
            yield f"lost: entry {entry.seq} of the spool ({entry.kind}) never came into the journal"


def _told(entries: Sequence[Entry]) -> Iterable[str]:
    proposed = Counter(entry.body["trial"] for entry in entries if entry.kind == "trial.proposed")
    ended = Counter(entry.body["trial"] for entry in entries if entry.kind in _ENDS)
    for what, counts in (("proposed", proposed), ("told", ended)):
        yield from (f"history: trial {trial} was {what} {n} times" for trial, n in counts.items() if n > 1)
    yield from (f"history: trial {trial} has no end" for trial in proposed.keys() - ended.keys())


def history_of(entries: Sequence[Entry]) -> list[Any]:
    """What a campaign came to: parameters, end and outcomes of each trial, and how the campaign ended."""
    trials: dict[int, list[Any]] = {}
    ending: Any = None
    for entry in entries:
        body = entry.body
        if entry.kind == "trial.proposed":
            trials[body["trial"]] = [body["trial"], body["parameters"], None, None]
        elif entry.kind in _ENDS:
            trials[body["trial"]][2:] = [entry.kind, body.get("outcomes")]
        elif entry.kind in ("campaign.ended", "campaign.paused", "campaign.aborted"):
            ending = [entry.kind, body.get("rule")]
    return [*trials.values(), ending]


def _history(entries: Sequence[Entry], reference: Sequence[Any]) -> Iterable[str]:
    for found, wanted in zip(history_of(entries), reference, strict=False):
        if found != wanted:
            yield f"history: {json.dumps(found)} instead of {json.dumps(wanted)}"
    if len(history_of(entries)) != len(reference):
        yield f"history: {len(history_of(entries)) - 1} trials instead of {len(reference) - 1}"


# ── what the instruments did ──


@dataclass
class _Delivered:
    """By one dispense of a trial."""

    volume: float = 0.0
    """uL"""
    runs: list[int] = field(default_factory=list)
    """Wall times of the pump's starts, ns."""


def _pumps(entries: Iterable[Entry]) -> dict[str, tuple[int, str]]:
    """Action → trial and pump."""
    bodies = [entry.body for entry in entries if entry.kind == "action.dispatched"]
    return {body["action"]: (body["trial"], body["device"]) for body in bodies if body["device"] in VOLUMES}


def _attributed(record: Record) -> tuple[dict[str, _Delivered], list[str]]:
    """Action → what the pump delivered for it; and what it did that nobody had asked for.

    A start of a pump belongs to the action of that pump that was dispatched last before it.
    """
    pumps = _pumps(record.entries)
    orders: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for ack in record.driving:
        if ack.kind == "action.dispatched" and ack.action in pumps:
            orders[pumps[ack.action][1]].append((ack.wall, ack.action))
    found: dict[str, _Delivered] = defaultdict(_Delivered)
    unbidden: list[str] = []
    for pump in VOLUMES:
        owner: dict[int, str | None] = {}
        for line in record.truth:
            if line["instrument"] != pump or "number" not in line:
                continue
            if line["action"] == "run":
                before = [action for wall, action in orders[pump] if wall <= line["wall"]]
                owner[line["number"]] = before[-1] if before else None
                if before:
                    found[before[-1]].runs.append(line["wall"])
                else:
                    unbidden.append(f"order: {pump} ran before any dispense of it was on record")
            elif (action := owner.get(line["number"])) is not None:
                found[action].volume += line["volume"]
    return found, unbidden


def delivered_by(record: Record, action: str) -> float:
    """Volume that a pump delivered for an action (id), uL."""
    return _attributed(record)[0][action].volume


def _deliveries(record: Record) -> Iterable[str]:
    delivered, unbidden = _attributed(record)
    yield from unbidden
    proposed = {body["trial"]: body for e in record.entries if e.kind == "trial.proposed" for body in (e.body,)}
    dispatched = {where: action for action, where in _pumps(record.entries).items()}
    for pump, parameter in VOLUMES.items():
        total, slack = 0.0, DIGIT
        for trial, body in proposed.items():
            wanted, got = body["parameters"][parameter], delivered[dispatched.get((trial, pump), "")]
            allowed = DIGIT * (1 + len(got.runs))
            if abs(got.volume - wanted) > allowed:
                what = "repeated" if got.volume > wanted else "lost"
                yield (
                    f"{what}: trial {trial}: {pump} delivered {got.volume:.4f} uL of {wanted:.4f} uL "
                    f"in {len(got.runs)} runs"
                )
            total, slack = total + wanted, slack + allowed
        lines = [line["total"] for line in record.truth if line["instrument"] == pump and "total" in line]
        moved = lines[-1] if lines else {"INF": 0.0, "WDR": 0.0}
        if abs(moved["INF"] - total) > slack or moved["WDR"]:
            yield f"total: {pump} delivered {moved} uL in all; the trials wanted {total:.4f} uL"


def _written_ahead(record: Record) -> Iterable[str]:
    """DISPATCHED and ARMED were on the disk before the pump started; each start has its own ARMED."""
    for kind in ("action.dispatched", "action.armed"):
        for action, got in _attributed(record)[0].items():
            known = [ack.wall for ack in record.driving if (ack.kind, ack.action) == (kind, action)]
            for number, wall in enumerate(sorted(got.runs), 1):
                if sum(known_at <= wall for known_at in known) < number:
                    yield f"order: run {number} of {action} began before its {kind} was on the disk"
