"""What is left of a journal for others than its owner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
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

__all__ = ["described", "readable"]

_KEPT: Final[Mapping[str, tuple[str, ...]]] = {
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
_BLANK: Final = ("message", "advice", "by", "holder")
"""What is left empty of them: messages tell outcomes, the others of people and machines."""


def readable(entries: Iterable[Entry], role: Role, today: date) -> Iterator[Entry]:
    """The entries of a campaign that a role may see, in order.

    Whoever may see the data gets all of them; whoever may see metadata only gets those that describe the campaign, with
    what describes it. Paths of machines and names of accounts are for the owner alone, so an entry that had some does
    not give its hash any more. The policy is that of the entries read so far: nothing comes before the campaign's own.

    Args:
        entries: of one campaign, from the first.
        role: who looks.
        today: day of the look, UTC.
    """
    if role.kind == "owner":
        yield from entries
        return
    policy, discretion = AccessPolicy(), Discretion()
    held: list[Entry] = []
    known = False
    for entry in entries:
        if entry.kind in (kinds.CAMPAIGN_CREATED, kinds.CAMPAIGN_AMENDED):
            policy, discretion, known = policy_in(entry.body), Discretion(_people_in(entry.body)), True
        held.append(entry)
        if known:
            for one in held:
                for seen in _readable(one, role, policy, today):
                    yield discretion.clean(seen)[0]
            held.clear()


def _people_in(created: Mapping[str, Any]) -> list[Person]:
    """Those whom a project names, and who may therefore be named."""
    found: list[Person] = []
    for person in project_in(created).get("people", ()):
        with suppress(ValidationError):
            found.append(Person.model_validate(person))
    return found


def _readable(entry: Entry, role: Role, policy: AccessPolicy, today: date) -> Iterator[Entry]:
    if may(role, "data", policy, today).allowed:
        body = dict(entry.body)
    elif entry.kind in _KEPT and may(role, "metadata", policy, today).allowed:
        body = {key: entry.body[key] for key in _KEPT[entry.kind] if key in entry.body}
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
