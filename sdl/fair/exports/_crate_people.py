"""The root of a crate: title, people, organisations, licence, funding, access, and what the data belong with."""

from __future__ import annotations

from typing import Any

from sdl.fair._cited import access_right, instant, licence_url, organisation, slug, split_name, summary
from sdl.fair.exports._crate_graph import Graph, ref
from sdl.fair.record import CampaignRecord
from sdl.model.project import Person, Project

__all__ = ["describe_people", "organisation_id", "person_id"]


def describe_people(record: CampaignRecord, graph: Graph, root: dict[str, Any]) -> None:
    """Fill the root with who made the data, who pays, and who may see them."""
    project = record.project
    root |= {
        "name": project.title or record.name,
        "description": " ".join(text for text in (project.description, summary(record)) if text),
        "datePublished": record.released,
        "license": ref(_licence(graph, project.licence)) if project.licence else "not stated",
        "inLanguage": "en",
        "version": record.released,
        "temporalCoverage": f"{instant(record.created)}/{instant(record.ended or record.updated)}",
    }
    if project.title_ja:
        root["alternateName"] = project.title_ja
    if project.description_ja:
        root["abstract"] = project.description_ja
    if keywords := list(dict.fromkeys(text for text in (project.field, *project.keywords) if text)):
        root["keywords"] = keywords
    people = [(person, _person(graph, project, person)) for person in project.people]
    root["author"] = [ref(id_) for person, id_ in people if "creator" in person.roles]
    if others := [ref(id_) for person, id_ in people if "creator" not in person.roles]:
        root["contributor"] = others
    if project.publisher:
        root["publisher"] = ref(organisation_id(graph, project, project.publisher))
    if project.contact:
        contact = {"@id": _address(project.contact), "@type": "ContactPoint", "contactType": "requests for access"}
        shown = {"email": project.contact} if "@" in project.contact else {"url": project.contact}
        root["contactPoint"] = ref(graph.add({**contact, "name": "Contact", **shown})["@id"])
    _funding(graph, project, root)
    _belongings(record, graph, root)


def person_id(project: Project, name: str) -> str | None:
    """The id of a person of the project; None for anybody else."""
    found = next((person for person in project.people if person.name == name), None)
    return _person_id(found) if found is not None else None


def _person_id(person: Person) -> str:
    return f"https://orcid.org/{person.orcid}" if person.orcid else f"#person-{slug(person.name)}"


def _person(graph: Graph, project: Project, person: Person) -> str:
    family, given = split_name(person)
    entity: dict[str, Any] = {
        "@id": _person_id(person),
        "@type": "Person",
        "name": f"{given} {family}" if given else person.name,
        "givenName": given,
        "familyName": family if given else "",
        "alternateName": person.name_ja,
    }
    if person.affiliation:
        entity["affiliation"] = ref(organisation_id(graph, project, person.affiliation))
    if person.email:
        entity["email"] = person.email
    if person.e_rad:
        number = {"@id": f"#e-rad-{person.e_rad}", "@type": "PropertyValue", "propertyID": "e-Rad researcher number"}
        entity["identifier"] = ref(graph.add({**number, "name": "e-Rad", "value": person.e_rad})["@id"])
    return str(graph.add(entity)["@id"])


def organisation_id(graph: Graph, project: Project, name: str) -> str:
    """The id of an organisation, which is added to the graph."""
    known = organisation(project, name)
    id_ = known.ror or f"#organisation-{slug(name)}"
    entity = {"@id": id_, "@type": "Organization", "name": known.name, "alternateName": known.name_ja}
    return str(graph.add({**entity, "url": known.ror})["@id"])


def _licence(graph: Graph, licence: str) -> str:
    url = licence_url(licence)
    return str(graph.add({"@id": url, "@type": "CreativeWork", "name": licence, "identifier": licence})["@id"])


def _address(contact: str) -> str:
    return f"mailto:{contact}" if "@" in contact and not contact.startswith("mailto:") else contact


def _funding(graph: Graph, project: Project, root: dict[str, Any]) -> None:
    grants = []
    for index, grant in enumerate(project.funding, start=1):
        funder = grant.funder_id or f"#funder-{slug(grant.funder)}"
        graph.add({"@id": funder, "@type": "Organization", "name": grant.funder, "alternateName": grant.funder_ja})
        entity = {
            "@id": f"#grant-{index}",
            "@type": "Grant",
            "name": grant.title or grant.number or grant.funder,
            "alternateName": grant.title_ja,
            "identifier": grant.number,
            "funder": ref(funder),
        }
        grants.append(ref(graph.add(entity)["@id"]))
        root.setdefault("funder", [])
        if ref(funder) not in root["funder"]:
            root["funder"].append(ref(funder))
    if grants:
        root["funding"] = grants


def _belongings(record: CampaignRecord, graph: Graph, root: dict[str, Any]) -> None:
    """Identifiers, access, data-management plan, and related works."""
    project = record.project
    term, iri = access_right(project.access.data)
    root["conditionsOfAccess"] = f"data: {project.access.data}; metadata: {project.access.metadata}"
    root["isAccessibleForFree"] = project.access.data.level == "open"
    right = {"@id": iri, "@type": "DefinedTerm", "name": term, "url": iri}
    root["usageInfo"] = ref(graph.add(right)["@id"])
    identifiers = [_identifier(graph, "journal-head", "SHA-256 of the journal's last entry", record.head)]
    identifiers.append(_identifier(graph, "campaign-id", "sdl campaign", record.id))
    root["identifier"] = [*([project.identifier] if project.identifier else []), *map(ref, identifiers)]
    if project.dmp:
        plan = {"@id": "#dmp", "@type": "CreativeWork", "name": "Data-management plan", "identifier": project.dmp}
        root["subjectOf"] = ref(graph.add(plan)["@id"])
    if project.repository.startswith(("http://", "https://")):
        root["url"] = project.repository
    for related in project.related:
        id_ = f"https://doi.org/{related.identifier}" if related.kind == "DOI" else related.identifier
        id_ = id_ if ":" in id_ else f"#related-{slug(id_)}"
        work = {"@id": id_, "@type": "CreativeWork", "name": f"{related.relation}: {related.identifier}"}
        key = "isBasedOn" if related.relation == "IsDerivedFrom" else "citation"
        root.setdefault(key, []).append(ref(graph.add(work)["@id"]))
    if record.replaces:
        older = {"@id": "#replaced", "@type": "CreativeWork", "name": "The release that this one replaces"}
        root["isBasedOn"] = [
            *root.get("isBasedOn", []),
            ref(graph.add({**older, "identifier": record.replaces})["@id"]),
        ]
    if record.withdrawn:
        root["creativeWorkStatus"] = f"withdrawn: {record.withdrawn}"


def _identifier(graph: Graph, key: str, name: str, value: str) -> str:
    entity = {"@id": f"#{key}", "@type": "PropertyValue", "propertyID": name, "name": name, "value": value}
    return str(graph.add(entity)["@id"])
