"""What catalogues ask of every data set, said once: people, organisations, licence, access, dates."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

from sdl.fair._facts import iso
from sdl.fair.record import CampaignRecord
from sdl.model.project import Access, Organisation, Person, Project

__all__ = [
    "ACCESS_RIGHTS",
    "access_right",
    "creators",
    "instant",
    "licence_url",
    "organisation",
    "slug",
    "split_name",
    "summary",
]

ACCESS_RIGHTS: Final = {
    "open": ("open access", "http://purl.org/coar/access_right/c_abf2"),
    "embargoed": ("embargoed access", "http://purl.org/coar/access_right/c_f1cf"),
    "shared": ("restricted access", "http://purl.org/coar/access_right/c_16ec"),
    "closed": ("metadata only access", "http://purl.org/coar/access_right/c_14cb"),
}
"""Level of access → term and IRI of COAR's vocabulary of access rights, version 1.0."""


def access_right(access: Access) -> tuple[str, str]:
    """Term and IRI of COAR for who may see something."""
    return ACCESS_RIGHTS[access.level]


def licence_url(licence: str) -> str:
    """The page of an SPDX identifier; a licence that is a URL already stays."""
    return licence if licence.startswith(("http://", "https://")) else f"https://spdx.org/licenses/{licence}"


def creators(project: Project) -> list[Person]:
    """The people who made the data."""
    return [person for person in project.people if "creator" in person.roles]


def organisation(project: Project, name: str) -> Organisation:
    """An organisation by its name, with what the project says of it."""
    found = (one for one in project.organisations if name in (one.name, one.name_ja))
    return next(found, Organisation(name=name))


def split_name(person: Person) -> tuple[str, str]:
    """Family name and given name, where the name is written as `family, given`; else the whole and nothing."""
    family, comma, given = person.name.partition(",")
    return (family.strip(), given.strip()) if comma else (person.name, "")


def instant(at: int | None) -> str | None:
    """UTC nanoseconds as ISO 8601 with milliseconds and offset, as in 2026-01-02T03:04:05.006+00:00."""
    text = iso(at)
    return f"{text[:23]}+00:00" if text is not None else None


def slug(text: str) -> str:
    """A text as part of an identifier: as it is where that holds no more than ASCII letters, digits, `.`, `_` and `-`.

    Else other characters become `-`, and the beginning of the text's SHA-256 keeps it apart from similar ones.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text)
    return plain if plain == text and text else f"{plain.strip('-') or 'x'}-{sha256(text.encode()).hexdigest()[:8]}"


def summary(record: CampaignRecord) -> str:
    """How many trials became what, in one sentence."""
    if not record.data:
        return "The data are not part of this release."
    counts: dict[str, int] = {}
    for trial in record.trials:
        counts[trial.status] = counts.get(trial.status, 0) + 1
    became = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
    return f"{len(record.trials)} trials ({became}), {len(record.runs)} runs." if became else "No trial."
