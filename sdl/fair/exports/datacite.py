"""DataCite metadata, kernel 4.5, as JSON: what a registration agency needs to give the data a DOI.

The form is that of DataCite's REST API, as the Python package `datacite` checks it (`datacite.schema45`). A field of
which nothing is known is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sdl.fair._cited import access_right, creators, instant, licence_url, organisation, split_name, summary
from sdl.fair.exports import ExportedFile
from sdl.fair.exports._json import write_json
from sdl.fair.record import CampaignRecord, Instrument
from sdl.model.project import Funding, Person, Project, Related

__all__ = ["datacite", "write"]

_ORCID = "https://orcid.org"
_ROR = "https://ror.org"
_ROLES = {"contact": "ContactPerson", "manager": "DataManager", "operator": "DataCollector", "contributor": "Other"}


def write(record: CampaignRecord, folder: Path) -> list[ExportedFile]:
    """Write `datacite.json`."""
    write_json(folder / "datacite.json", datacite(record))
    title = "Metadata for the registration of a DOI"
    return [ExportedFile("datacite.json", "application/json", "http://datacite.org/schema/kernel-4.5", title)]


def datacite(record: CampaignRecord) -> dict[str, Any]:
    """The metadata as one JSON object."""
    project = record.project
    found: dict[str, Any] = {
        "doi": _doi(project.identifier),
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": project.data_type},
        "creators": [_person(person, project) for person in creators(project)],
        "titles": _titles(record),
        "publisher": _publisher(project),
        "publicationYear": record.released[:4],
        "subjects": _subjects(project),
        "contributors": _contributors(project),
        "dates": _dates(record),
        "language": "en",
        "alternateIdentifiers": _alternates(record),
        "relatedIdentifiers": [*map(_related, project.related), *_replaced(record), *_instruments(record)],
        "version": record.released,
        "rightsList": _rights(project),
        "descriptions": _descriptions(record),
        "fundingReferences": [_funding(grant) for grant in project.funding],
        "schemaVersion": "http://datacite.org/schema/kernel-4",
    }
    return {key: value for key, value in found.items() if value not in ("", None, [])}


def _doi(identifier: str) -> str:
    bare = identifier.removeprefix("https://doi.org/").removeprefix("doi:")
    return bare if bare.startswith("10.") and "/" in bare else ""


def _person(person: Person, project: Project) -> dict[str, Any]:
    family, given = split_name(person)
    found: dict[str, Any] = {"name": person.name, "nameType": "Personal"}
    if given:
        found |= {"givenName": given, "familyName": family}
    identifiers = []
    if person.orcid:
        identifiers.append(_identifier(f"{_ORCID}/{person.orcid}", "ORCID", _ORCID))
    if person.e_rad:
        identifiers.append(_identifier(person.e_rad, "e-Rad_Researcher", "https://www.e-rad.go.jp/"))
    if identifiers:
        found["nameIdentifiers"] = identifiers
    if person.affiliation:
        found["affiliation"] = [_affiliation(person.affiliation, project)]
    return found


def _identifier(value: str, scheme: str, uri: str) -> dict[str, str]:
    return {"nameIdentifier": value, "nameIdentifierScheme": scheme, "schemeUri": uri}


def _affiliation(name: str, project: Project) -> dict[str, str]:
    ror = organisation(project, name).ror
    stated = {"affiliationIdentifier": ror, "affiliationIdentifierScheme": "ROR", "schemeUri": _ROR} if ror else {}
    return {"name": name, **stated}


def _titles(record: CampaignRecord) -> list[dict[str, str]]:
    titles = [{"title": record.project.title or record.name, "lang": "en"}]
    if record.project.title_ja:
        titles.append({"title": record.project.title_ja, "titleType": "TranslatedTitle", "lang": "ja"})
    return titles


def _publisher(project: Project) -> dict[str, str]:
    ror = organisation(project, project.publisher).ror if project.publisher else ""
    stated = {"publisherIdentifier": ror, "publisherIdentifierScheme": "ROR", "schemeUri": _ROR} if ror else {}
    # The schema asks for a publisher; `:unav` is DataCite's own code for one that is not known (appendix 3).
    return {"name": project.publisher or ":unav", **stated}


def _subjects(project: Project) -> list[dict[str, str]]:
    return [{"subject": text} for text in dict.fromkeys((project.field, *project.keywords)) if text]


def _contributors(project: Project) -> list[dict[str, Any]]:
    return [
        {**_person(person, project), "contributorType": _ROLES[role]}
        for person in project.people
        for role in person.roles
        if role != "creator"
    ]


def _dates(record: CampaignRecord) -> list[dict[str, str]]:
    first, last = instant(record.created) or "", instant(record.ended or record.updated) or ""
    dates = [
        {"date": f"{first}/{last}", "dateType": "Collected"},
        {"date": record.released, "dateType": "Issued"},
    ]
    if until := record.project.access.data.until:
        dates.append({"date": until.isoformat(), "dateType": "Available"})
    if record.withdrawn:
        dates.append({"date": record.released, "dateType": "Withdrawn", "dateInformation": record.withdrawn})
    return dates


def _alternates(record: CampaignRecord) -> list[dict[str, str]]:
    found = [
        {"alternateIdentifier": record.id, "alternateIdentifierType": "sdl campaign"},
        {"alternateIdentifier": record.head, "alternateIdentifierType": "SHA-256 of the journal's last entry"},
    ]
    identifier = record.project.identifier
    if identifier and not _doi(identifier):
        found.insert(0, {"alternateIdentifier": identifier, "alternateIdentifierType": "Identifier"})
    return found


def _related(related: Related) -> dict[str, str]:
    return {
        "relatedIdentifier": related.identifier,
        "relatedIdentifierType": related.kind,
        "relationType": related.relation,
    }


def _replaced(record: CampaignRecord) -> list[dict[str, str]]:
    if not record.replaces:
        return []
    return [{**_typed(record.replaces), "relationType": "IsNewVersionOf"}]


def _typed(identifier: str) -> dict[str, str]:
    """An identifier with its type, as far as its form tells."""
    if doi := _doi(identifier):
        return {"relatedIdentifier": doi, "relatedIdentifierType": "DOI"}
    if identifier.startswith(("http://", "https://")):
        return {"relatedIdentifier": identifier, "relatedIdentifierType": "URL"}
    kind = "URN" if identifier.startswith("urn:") else "Handle"
    return {"relatedIdentifier": identifier, "relatedIdentifierType": kind}


def _instruments(record: CampaignRecord) -> list[dict[str, str]]:
    """Instruments with an identifier of their own, as PIDINST recommends."""
    return [{**_typed(one.identifier), "relationType": "IsCollectedBy"} for one in record.instruments if one.identifier]


def _rights(project: Project) -> list[dict[str, str]]:
    term, iri = access_right(project.access.data)
    rights = [{"rights": term, "rightsUri": iri}]
    if project.licence:
        stated = {"rights": project.licence, "rightsUri": licence_url(project.licence)}
        named = not project.licence.startswith("http")
        spdx = {"rightsIdentifier": project.licence, "rightsIdentifierScheme": "SPDX"} if named else {}
        rights.insert(0, {**stated, **spdx, **({"schemeUri": "https://spdx.org/licenses/"} if named else {})})
    return rights


def _descriptions(record: CampaignRecord) -> list[dict[str, str]]:
    project = record.project
    found = [
        {"description": project.description, "descriptionType": "Abstract", "lang": "en"},
        {"description": project.description_ja, "descriptionType": "Abstract", "lang": "ja"},
        {"description": _methods(record), "descriptionType": "Methods", "lang": "en"},
    ]
    return [one for one in found if one["description"]]


def _methods(record: CampaignRecord) -> str:
    planners = sorted({f"{t.planner.get('name')} {t.planner.get('version')}" for t in record.trials})
    lab, recipe = record.lab.get("description", ""), record.procedure.get("description", "")
    used = ", ".join(_instrument(one) for one in record.instruments)
    lines = (
        f"{lab}." if lab else "",
        f"{recipe}." if recipe else "",
        summary(record),
        f"Proposed by: {', '.join(planners)}." if planners else "",
        f"Instruments: {used}." if used else "",
    )
    return " ".join(line for line in lines if line)


def _instrument(one: Instrument) -> str:
    what = " ".join(text for text in (one.manufacturer, one.model) if text)
    return f"{one.device} ({what or one.driver}{', simulated' if one.simulated else ''})"


def _funding(grant: Funding) -> dict[str, str]:
    found = {"funderName": grant.funder}
    if grant.funder_id:
        kind = "ROR" if grant.funder_id.startswith(_ROR) else "Crossref Funder ID"
        found |= {"funderIdentifier": grant.funder_id, "funderIdentifierType": kind}
    if grant.number:
        found["awardNumber"] = grant.number
    if grant.title:
        found["awardTitle"] = grant.title
    return found
