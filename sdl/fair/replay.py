"""Decisions made again: every proposal from the journal's prefix, every outcome from its run's documents.

A planner is a pure function of the problem, the trials it knew and a seed, and an analysis is one of its runs. All of
that is on record, so both can be called again, and what they say now is compared with what is on record: bit by bit,
within a stated tolerance, or not, and then why.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sdl.campaign.planning import PlannerFailure, PlannerHost
from sdl.campaign.session import software_versions
from sdl.fair._replay_check import TOLERANCE, Check, Verdict, other_versions
from sdl.fair._replay_inputs import with_pool
from sdl.fair._replay_outcomes import outcomes
from sdl.fair._replay_record import Proposed, proposed
from sdl.journal import canonical
from sdl.model import Exhausted, InputError, MissingExtra, Problem, Proposal, Trial

if TYPE_CHECKING:
    from sdl.journal import Store

__all__ = ["TOLERANCE", "Check", "Replay", "replay"]

_PROCESSES: Final = 2


@dataclass(frozen=True)
class Replay:
    """A campaign's decisions made again."""

    campaign: str
    name: str
    checks: tuple[Check, ...]

    @property
    def matches(self) -> bool:
        """Whether all of them say the same as the record."""
        return all(check.matches for check in self.checks)

    def counts(self, what: str) -> Counter[str]:
        """Verdict → how many proposals, or outcomes, have it."""
        return Counter(check.verdict for check in self.checks if check.what == what)

    def as_json(self) -> dict[str, Any]:
        """For other programs."""
        return {
            "campaign": self.campaign,
            "name": self.name,
            "matches": self.matches,
            "tolerance": TOLERANCE,
            "proposals": dict(self.counts("proposal")),
            "outcomes": dict(self.counts("outcome")),
            "checks": [asdict(check) for check in self.checks],
        }


def replay(
    store: Store, campaign: str, *, lab: Path | None = None, on_check: Callable[[Check], None] = lambda check: None
) -> Replay:
    """Make every proposal and every outcome of a campaign again, and compare them with the record.

    Planners that take long run in two processes of their own, as in a campaign; the others, and analyses, in place.

    Args:
        store: an open store.
        campaign: id.
        lab: the lab file, for analyses that are code beside it; by default where the journal says it was.
        on_check: called with each comparison as it is made.

    Raises:
        StoreError: an entry is missing or was changed.
        InputError: there is no such lab file.
    """
    now = software_versions()
    checks: list[Check] = []

    def note(check: Check) -> None:
        checks.append(check)
        on_check(check)

    # A thread of its own: a notebook has an event loop already.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _proposals(list(proposed(store, campaign)), now, note)).result()
    for check in outcomes(store, campaign, lab, now):
        note(check)
    head = next(head for head in store.campaigns() if head.id == campaign)
    order = sorted(checks, key=lambda check: (check.trial, check.what != "proposal"))
    return Replay(campaign, head.name, tuple(order))


# ── proposals ──


async def _proposals(all_: Sequence[Proposed], now: Mapping[str, str], note: Callable[[Check], None]) -> None:
    """Compare proposals, those of one planner together, so that its processes are started once."""
    groups: dict[str, list[Proposed]] = {}
    for one in all_:
        choice = one.spec.planner
        groups.setdefault(canonical([choice.name, choice.options]), []).append(one)
    for group in groups.values():
        await _of_planner(group, now, note)


async def _of_planner(group: Sequence[Proposed], now: Mapping[str, str], note: Callable[[Check], None]) -> None:
    hosts: list[PlannerHost] = []
    try:
        with tempfile.TemporaryDirectory(prefix="sdl-replay-") as folder:
            spec = with_pool(group[0].spec, group[0].created, Path(folder))
        hosts.append(PlannerHost(spec))
        if hosts[0].worker_pid is not None and len(group) > 1:
            hosts += [PlannerHost(spec) for _ in range(_PROCESSES - 1)]
    except (InputError, MissingExtra) as error:
        for one in group:
            note(Check(one.trial, "proposal", _planner_of(one), "impossible", str(error)))
        return
    waiting = iter(group)

    async def work(host: PlannerHost) -> None:
        for one in waiting:
            note(await _proposal(host, one, now))

    try:
        await asyncio.gather(*map(work, hosts))
    finally:
        for host in hosts:
            host.close()


def _planner_of(one: Proposed) -> str:
    return f"{one.body['planner']['name']} {one.body['planner'].get('version', '')}".strip()


async def _proposal(host: PlannerHost, one: Proposed, now: Mapping[str, str]) -> Check:
    first: tuple[Verdict, str] | None = None
    for late, known in enumerate((one.known, *one.late)):
        verdict, why = await _asked(host, one, known)
        if verdict in ("exact", "close"):
            ends = "end of a trial was" if late == 1 else f"{late} ends of trials were"
            note = f"the last {ends} being recorded when the planner was asked" if late else ""
            return Check(one.trial, "proposal", _planner_of(one), verdict, "; ".join(filter(None, (note, why))))
        first = first or (verdict, why)
    assert first is not None
    return Check(one.trial, "proposal", _planner_of(one), first[0], _reasons(first[1], one, host, now))


async def _asked(host: PlannerHost, one: Proposed, known: Sequence[Trial]) -> tuple[Verdict, str]:
    try:
        given = await host.propose(known, 1, one.body["seed"])
    except Exhausted as error:
        return "differs", f"it has nothing left to propose: {error}"
    except PlannerFailure as error:
        return "differs", str(error)
    return _compared(one.body, given[0], one.spec.problem) if given else ("differs", "it has nothing left to propose")


def _compared(body: Mapping[str, Any], given: Proposal, problem: Problem) -> tuple[Verdict, str]:
    then = body["parameters"]
    apart = [name for name in given.parameters if name not in then or given.parameters[name] != then[name]]
    if not apart and given.parameters.keys() == then.keys():
        same = canonical(given.reason.model_dump(mode="json")) == canonical(body["reason"])
        return "exact", "" if same else "the same point, explained in other words or numbers"
    ranges = {p.name: (getattr(p, "low", None), getattr(p, "high", None)) for p in problem.parameters}
    far = [name for name in apart if not _near(then.get(name), given.parameters[name], ranges.get(name))]
    if not far and given.parameters.keys() == then.keys():
        return "close", f"within {TOLERANCE:g} of the range: {', '.join(apart)}"
    shown = ", ".join(f"{name} {then.get(name, '–')} then, {given.parameters[name]} now" for name in far or apart)
    return "differs", shown or "it proposes other parameters"


def _near(then: Any, now: Any, limits: tuple[Any, Any] | None) -> bool:
    if not isinstance(then, float) or not isinstance(now, float):
        return False
    low, high = limits if limits is not None and None not in limits else (0.0, max(abs(then), abs(now)))
    return abs(then - now) <= TOLERANCE * (high - low)


def _reasons(why: str, one: Proposed, host: PlannerHost, now: Mapping[str, str]) -> str:
    """What differs, and what may be the reason."""
    then, here = str(one.body["planner"].get("version", "")), str(host.identity["version"])
    reasons = [f"planner version {then} then, {here} now"] if then != here else []
    return "; ".join([why, *reasons, *other_versions(one.versions, now)])
