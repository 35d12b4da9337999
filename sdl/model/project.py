"""Who answers for a campaign's data, who pays, and who may see it: the project file."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, field_validator, model_validator

from sdl.model._base import Name, Record
from sdl.model._orcid import checked_orcid

__all__ = ["Access", "AccessPolicy", "Funding", "Organisation", "Person", "Project", "Related"]

_Text = Annotated[str, StringConstraints(min_length=1)]


class Organisation(Record):
    """An institution."""

    name: _Text
    name_ja: str = ""
    ror: Annotated[str, StringConstraints(pattern=r"^(https://ror\.org/0[a-hj-km-np-tv-z0-9]{6}[0-9]{2})?$")] = ""
    """ROR id, as in https://ror.org/026v1ze26."""


class Person(Record):
    """Somebody who made the data or answers for it."""

    name: _Text
    """Family name, given name."""
    name_ja: str = ""
    orcid: str | None = None
    """ORCID iD, as in 0000-0002-1825-0097."""
    e_rad: Annotated[str, StringConstraints(pattern=r"^([0-9]{8})?$")] = ""
    """Researcher number of e-Rad, Japan's system for research and development: eight digits."""
    affiliation: str = ""
    """Name of one of the project's organisations, or of another."""
    roles: tuple[Literal["creator", "contact", "manager", "operator", "contributor"], ...] = ("creator",)
    email: str = ""
    accounts: tuple[str, ...] = ()
    """Login names under which the person decides in the lab. A release names the person in their place."""

    @field_validator("orcid")
    @classmethod
    def _valid_orcid(cls, orcid: str | None) -> str | None:
        return checked_orcid(orcid)


class Funding(Record):
    """A grant."""

    funder: _Text
    funder_ja: str = ""
    funder_id: str = ""
    """ROR id or Crossref funder DOI of the funder."""
    number: str = ""
    """Grant number as the funder writes it."""
    title: str = ""
    title_ja: str = ""
    programme_code: str = ""
    """Programme code of e-Rad / the Cabinet Office's list."""


class Related(Record):
    """Something the data belong with: an article, another data set, code."""

    identifier: _Text
    kind: Literal["DOI", "URL", "Handle", "arXiv", "ISBN", "URN"] = "DOI"
    relation: Literal["IsSupplementTo", "References", "IsDerivedFrom", "IsNewVersionOf", "IsPartOf", "IsDocumentedBy"]


class Access(Record):
    """Who may see something: written `open`, `shared`, `closed` or `embargoed until 2027-04-01`."""

    level: Literal["open", "shared", "embargoed", "closed"] = "closed"
    until: date | None = None
    """The day on which what is embargoed becomes open."""

    @model_validator(mode="after")
    def _dated(self) -> Self:
        if (self.level == "embargoed") != (self.until is not None):
            raise ValueError("write an embargo with its end, as in 'embargoed until 2027-04-01'; nothing else has one")
        return self

    def __str__(self) -> str:
        return f"embargoed until {self.until.isoformat()}" if self.until else self.level


def _access(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    level, _, until = value.strip().partition(" until ")
    return {"level": level.strip(), "until": until.strip() or None}


AccessText = Annotated[Access, BeforeValidator(_access)]


class AccessPolicy(Record):
    """Access to a campaign, separately for what describes it and for its data. Closed unless said otherwise."""

    metadata: AccessText = Access()
    data: AccessText = Access()
    files: dict[str, AccessText] = {}
    """Pattern of paths in a release (as in `runs/*.nxs`) → access, where it differs from that of `data`."""
    shared_with: tuple[str, ...] = ()
    """People (name or ORCID iD) and groups that may see what is shared."""


class Project(Record):
    """What a funder, a catalogue or a reader wants to know of a campaign besides what was measured."""

    name: Name
    title: str = ""
    title_ja: str = ""
    description: str = ""
    description_ja: str = ""
    people: tuple[Person, ...] = ()
    organisations: tuple[Organisation, ...] = ()
    funding: tuple[Funding, ...] = ()
    licence: str = ""
    """SPDX identifier of the data's licence."""
    publisher: str = ""
    """Name of the organisation that makes the data available."""
    dmp: str = ""
    """Identifier of the data-management plan."""
    field: str = ""
    """Research field, as in `Nanotechnology/Materials`: e-Rad's list has it in Japanese and English."""
    data_type: str = "Dataset"
    keywords: tuple[str, ...] = ()
    related: tuple[Related, ...] = ()
    repository: str = ""
    """URL or name of the place where the data are or will be kept."""
    contact: str = ""
    """Address for questions and requests for access."""
    identifier: str = ""
    """DOI of the data, once there is one."""
    access: AccessPolicy = Field(default_factory=AccessPolicy)
