"""What is left of a journal for others than its owner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from sdl.fair._access_policy import Role, may, policy_in, project_in
from sdl.fair._private import Discretion
from sdl.journal import kinds
from sdl.model.project import AccessPolicy, Person

if TYPE_CHECKING:
    from sdl.journal import Entry

__all__ = ["KEPT", "STATING", "Standing", "described", "readable", "redacted", "shown"]

KEPT: Final[Mapping[str, tuple[str, ...]]] = {
    kinds.CAMPAIGN_CREATED: ("spec", "project"),
    kinds.CAMPAIGN_AMENDED: ("spec", "project"),
    kinds.SESSION_OPENED: ("epoch", "versions", "lab_speed", "virtual"),
    kinds.SESSION_CLOSED: (),
    kinds.CAMPAIGN_PAUSED: (),
    kinds.CAMPAIGN_ENDED: ("rule",),
    kinds.CAMPAIGN_ABORTED: (),
    kinds.CAMPAIGN_WITHDRAWN: ("why",),
}
"""Kinds of entries that describe a campaign, and what of them does."""
STATING: Final = frozenset({kinds.CAMPAIGN_CREATED, kinds.CAMPAIGN_AMENDED})
"""Kinds of entries that state a policy."""
_BLANK: Final = ("message", "advice", "by", "holder")
"""What is left empty of them: messages tell outcomes, the others of people and machines."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a campaign's project says of access, and which entry says so."""

    policy: AccessPolicy = field(default_factory=AccessPolicy)
    project: Mapping[str, Any] = field(default_factory=dict)
    seq: int = 0
    """Number of the entry that created or last amended the campaign; 0 where there is none."""

    @classmethod
    def of(cls, entry: Entry) -> Standing:
        """What an entry that created or amended a campaign says."""
        return cls(policy_in(entry.body), project_in(entry.body), entry.seq)

    @property
    def people(self) -> list[Person]:
        """Those whom the project names, and who may therefore be named."""
        found: list[Person] = []
        for person in self.project.get("people", ()):
            with suppress(ValidationError):
                found.append(Person.model_validate(person))
        return found


def readable(entries: Iterable[Entry], role: Role, today: date, standing: Standing | None = None) -> Iterator[Entry]:
    """The entries of a campaign that a role may see, in order.

    Whoever may see the data gets all of them; whoever may see metadata only gets those that describe the campaign, with
    what describes it, numbered anew: how many there are is data. Paths of machines and names of accounts are for the
    owner alone. Others get no hashes: with the hash of an entry, and that of the one before it, what was left out of it
    could be guessed and the guess be proved. Who wants the chain takes a release.

    Args:
        entries: of one campaign, from the first.
        role: who looks.
        today: day of the look, UTC.
        standing: what holds now, where that is known: it then holds for what was written before it, too. By default
            the policy is that of the entries read so far; nothing comes before the campaign's own.
    """
    if role.kind == "owner":
        yield from entries
        return
    known = standing if standing is not None else Standing()
    discretion = Discretion(known.people)
    held: list[Entry] = []
    count = 0
    for entry in entries:
        if entry.kind in STATING and entry.seq > known.seq:
            known = Standing.of(entry)
            discretion = Discretion(known.people)
        held.append(entry)
        if known.seq:
            for one in held:
                for seen in redacted(one, role, known.policy, today):
                    count += 1
                    whole = may(role, "data", known.policy, today).allowed
                    yield shown(seen, discretion, seen.seq if whole else count)
            held.clear()


def shown(entry: Entry, discretion: Discretion, number: int) -> Entry:
    """An entry as others get it: without accounts, paths and hashes.

    Args:
        entry: with the body that may be seen.
        discretion: that of the campaign, which has seen what comes before.
        number: under which it is shown.
    """
    return discretion.clean(entry)[0]._replace(seq=number, hash="", prev_hash="")


def redacted(entry: Entry, role: Role, policy: AccessPolicy, today: date) -> Iterator[Entry]:
    """An entry with what of its body a role may see, or nothing."""
    if may(role, "data", policy, today).allowed:
        body = dict(entry.body)
    elif entry.kind in KEPT and may(role, "metadata", policy, today).allowed:
        body = {key: entry.body[key] for key in KEPT[entry.kind] if key in entry.body}
        if "spec" in body:
            body["spec"] = described(body["spec"])
        body |= {key: "" for key in _BLANK if key in entry.body}
    else:
        return
    if isinstance(body.get("project"), Mapping):
        body["project"] = _described_project(body["project"])
    spec = body.get("spec")
    if isinstance(spec, Mapping) and isinstance(spec.get("project"), Mapping):
        body["spec"] = {**spec, "project": _described_project(spec["project"])}
    yield entry._replace(body=body)


def _described_project(project: Mapping[str, Any]) -> dict[str, Any]:
    """A project without what is for the owner: with whom data are shared, accounts, and addresses of people."""
    people = [
        {k: v for k, v in person.items() if k not in ("accounts", "email")} for person in project.get("people", ())
    ]
    return {**{key: value for key, value in project.items() if key != "access"}, "people": people}


def described(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A campaign's specification without its data: candidates of a pool, and the files that were its inputs.

    Args:
        spec: as JSON.
    """
    problem = {**spec["problem"], "pool": None}
    return {**spec, "problem": problem, "lab": PureWindowsPath(str(spec.get("lab", ""))).name, "inputs": {}}
