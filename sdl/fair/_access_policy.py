"""The one policy function: whether somebody may see something of a campaign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

from pydantic import ValidationError

from sdl.model import InputError, SdlError
from sdl.model.project import Access, AccessPolicy

__all__ = [
    "OWNER",
    "PUBLIC",
    "Hidden",
    "Part",
    "Role",
    "Verdict",
    "may",
    "policy_in",
    "project_in",
    "role_of",
    "shared",
]

Part = Literal["metadata", "data"]
"""`metadata`: what describes a campaign; `data`: parameters and outcomes of its trials, documents, samples, stock."""


@dataclass(frozen=True, slots=True)
class Role:
    """Who looks."""

    kind: Literal["owner", "shared", "public"]
    name: str = ""
    """Name, ORCID iD or group of somebody with whom things are shared."""

    def __str__(self) -> str:
        return f"shared:{self.name}" if self.kind == "shared" else self.kind


OWNER: Final = Role("owner")
PUBLIC: Final = Role("public")


def shared(name: str) -> Role:
    """Somebody with whom things are shared, by name, ORCID iD or group."""
    return Role("shared", name)


def role_of(text: str) -> Role:
    """The role that a person names: `owner` (also empty), `public` or `shared:NAME`.

    Raises:
        InputError: it is none of these.
    """
    kind, _, name = text.strip().partition(":")
    if not text.strip() or text.strip() == "owner":
        return OWNER
    if text.strip() == "public":
        return PUBLIC
    if kind.strip() == "shared" and name.strip():
        return shared(name.strip())
    raise InputError(f"--as {text}: nobody is called that; say public, shared:NAME (name, ORCID iD or group) or owner")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether somebody may see something, and why."""

    allowed: bool
    why: str
    """For people, as in `data are embargoed until 2027-04-01`."""


class Hidden(SdlError):
    """Something on record may not be shown to the role that asks for it."""


_STRICT: Final = {"open": 0, "shared": 1, "embargoed": 2, "closed": 3}


def may(role: Role, what: Part, policy: AccessPolicy, today: date, path: str = "") -> Verdict:
    """Whether a role may see the metadata or the data of a campaign, or one file of its release.

    The owner sees everything. Data are never more open than the metadata: who may not know of a campaign sees
    nothing of it. A pattern of `policy.files` holds for the files it names, of several the strictest. What is under
    embargo is closed until its day, and open from that day (UTC) on.

    Args:
        role: who looks.
        what: metadata or data.
        policy: of the campaign.
        today: day of the look, UTC.
        path: of a file in a release, relative to it, with `/`; empty for no file in particular.
    """
    if role.kind == "owner":
        return Verdict(True, "the owner sees everything")
    first = _grants(role, policy.metadata, policy, today, "metadata")
    if not first.allowed:
        return first
    named = [access for pattern, access in policy.files.items() if path and _names(pattern, path)]
    if named:
        strictest = max(named, key=lambda access: _rank(access, today))
        return _grants(role, strictest, policy, today, path)
    return first if what == "metadata" else _grants(role, policy.data, policy, today, "data")


def _rank(access: Access, today: date) -> tuple[int, date]:
    return _STRICT[_level(access, today)], access.until or date.min


def _level(access: Access, today: date) -> str:
    """The level that holds on a day."""
    over = access.level == "embargoed" and access.until is not None and today >= access.until
    return "open" if over else access.level


def _grants(role: Role, access: Access, policy: AccessPolicy, today: date, name: str) -> Verdict:
    level = _level(access, today)
    are = f"{name} {'are' if name in ('metadata', 'data') else 'is'}"
    if level == "open":
        return Verdict(True, f"{are} open")
    if level == "shared" and role.kind == "shared":
        if _same(role.name) in map(_same, policy.shared_with):
            return Verdict(True, f"{are} shared with {role.name}")
        return Verdict(False, f"{are} shared, but not with {role.name}")
    return Verdict(False, f"{are} {access}")


def _same(name: str) -> str:
    """A name as it is compared: an ORCID iD with or without its address is the same."""
    return name.strip().removeprefix("https://orcid.org/").casefold()


def _names(pattern: str, path: str) -> bool:
    """Whether a pattern names a file: `*` also spans folders, and a folder's name means all that is in it."""
    pattern, path = pattern.strip("/"), path.strip("/")
    return fnmatchcase(path, pattern) or path.startswith(f"{pattern}/")


# ── the policy of a campaign ──


def policy_in(created: Mapping[str, Any]) -> AccessPolicy:
    """The policy in the body of the entry that created or amended a campaign; closed where it has none.

    Args:
        created: body of the entry, or `created` of a folded state.
    """
    given = project_in(created).get("access")
    try:
        return AccessPolicy.model_validate(given) if given is not None else AccessPolicy()
    except ValidationError:  # a policy of a later release, that this one cannot read
        return AccessPolicy()


def project_in(created: Mapping[str, Any]) -> Mapping[str, Any]:
    """The project in the body of the entry that created or amended a campaign; empty where it has none."""
    spec = created.get("spec")
    project = created.get("project") or (spec.get("project") if isinstance(spec, Mapping) else None)
    return project if isinstance(project, Mapping) else {}
