"""JPCOAR schema 2.1: what Japan's institutional repositories, IRDB and CiNii Research harvest.

The order of the elements and the vocabularies are those of the published schema (github.com/JPCOAR/schema, folder 2.1),
and its sample of the Cabinet Office's common metadata says which element carries which of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, register_namespace, tostring

from sdl.fair.exports import ExportedFile
from sdl.fair.exports._jpcoar_rules import NAMESPACES, RESOURCE_TYPES, RIGHTS, faults, tag
from sdl.fair.exports._maiml_xml import xml_text
from sdl.fair.exports._parts import day, identifier, organisation_of, released_on, write_bytes
from sdl.fair.exports.cao import FIELDS, common_metadata
from sdl.fair.record import CampaignRecord
from sdl.model.project import Funding, Organisation, Person, Related

__all__ = ["document", "faults", "write"]

_PATH = "metadata/jpcoar.xml"
_STANDARD = NAMESPACES["jpcoar"]
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_RESOURCE = tag("rdf:resource")
_CONTRIBUTORS = {
    "contact": "ContactPerson",
    "manager": "DataManager",
    "operator": "DataCollector",
    "contributor": "ProjectMember",
}
_LEVELS = {
    "open": "open access",
    "shared": "restricted access",
    "embargoed": "embargoed access",
    "closed": "metadata only access",
}
_RELATIONS = {
    "IsSupplementTo": "isSupplementTo",
    "References": "references",
    "IsDerivedFrom": "isDerivedFrom",
    "IsNewVersionOf": "replaces",
    "IsPartOf": "isPartOf",
    "IsDocumentedBy": "isReferencedBy",
}
_IDENTIFIERS = {"DOI": "DOI", "URL": "URI", "Handle": "HDL", "arXiv": "arXiv", "ISBN": "ISBN", "URN": "URI"}


def write(record: CampaignRecord, folder: Path) -> list[ExportedFile]:
    """Write the metadata as one `jpcoar` element.

    Raises:
        InputError: the file cannot be written.
    """
    write_bytes(folder, _PATH, document(record))
    return [ExportedFile(_PATH, "application/xml", _STANDARD, "Metadata for institutional repositories (JPCOAR 2.1)")]


def document(record: CampaignRecord) -> bytes:
    """The file's content."""
    for prefix, uri in NAMESPACES.items():
        register_namespace(prefix, uri)
    root = Element(tag("jpcoar:jpcoar"))
    root.set(tag("xsi:schemaLocation"), f"{_STANDARD} jpcoar_scm.xsd")
    for part in (_titles, _creators, _contributors, _rights, _about, _dates, _kind, _relations, _funding, _extent):
        root.extend(part(record))
    indent(root, "  ")
    text: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _element(name: str, text: str, language: str = "", **attributes: str) -> Element:
    made = Element(tag(name), attributes)
    made.text = xml_text(text)
    if language:
        made.set(_LANGUAGE, language)
    return made


def _in_both(name: str, ja: str, en: str, **attributes: str) -> Iterator[Element]:
    yield from (_element(name, text, lang, **attributes) for lang, text in (("ja", ja), ("en", en)) if text)


def _titles(record: CampaignRecord) -> Iterator[Element]:
    project = record.project
    yield from _in_both("dc:title", project.title_ja, project.title or record.spec.title or record.name)


def _creators(record: CampaignRecord) -> Iterator[Element]:
    for person in record.project.people:
        if "creator" in person.roles:
            creator = Element(tag("jpcoar:creator"))
            creator.extend(_identifiers(person))
            creator.extend(_in_both("jpcoar:creatorName", person.name_ja, person.name, nameType="Personal"))
            creator.extend(_affiliation(record, person))
            yield creator


def _identifiers(person: Person) -> Iterator[Element]:
    if person.e_rad:
        yield _element("jpcoar:nameIdentifier", person.e_rad, nameIdentifierScheme="e-Rad_Researcher")
    if person.orcid:
        uri = f"https://orcid.org/{person.orcid}"
        yield _element("jpcoar:nameIdentifier", person.orcid, nameIdentifierScheme="ORCID", nameIdentifierURI=uri)


def _affiliation(record: CampaignRecord, person: Person) -> Iterator[Element]:
    if home := organisation_of(record, person):
        affiliation = Element(tag("jpcoar:affiliation"))
        affiliation.extend(_ror(home))
        affiliation.extend(_in_both("jpcoar:affiliationName", home.name_ja, home.name))
        yield affiliation


def _ror(organisation: Organisation) -> Iterator[Element]:
    if organisation.ror:
        about = {"nameIdentifierScheme": "ROR", "nameIdentifierURI": organisation.ror}
        yield _element("jpcoar:nameIdentifier", organisation.ror, **about)


def _contributors(record: CampaignRecord) -> Iterator[Element]:
    project = record.project
    for organisation in project.organisations:
        if project.publisher in (organisation.name, organisation.name_ja):
            host = Element(tag("jpcoar:contributor"), contributorType="HostingInstitution")
            host.extend(_ror(organisation))
            name = ("jpcoar:contributorName", organisation.name_ja, organisation.name)
            host.extend(_in_both(*name, nameType="Organizational"))
            yield host
    for role, kind in _CONTRIBUTORS.items():
        for person in project.people:
            if role in person.roles:
                contributor = Element(tag("jpcoar:contributor"), contributorType=kind)
                contributor.extend(_identifiers(person))
                contributor.extend(_in_both("jpcoar:contributorName", person.name_ja, person.name, nameType="Personal"))
                contributor.extend(_affiliation(record, person))
                yield contributor


def _rights(record: CampaignRecord) -> Iterator[Element]:
    word = _LEVELS[record.project.access.data.level]
    access = _element("dcterms:accessRights", word)
    access.set(_RESOURCE, RIGHTS[word])
    yield access
    if licence := record.project.licence or record.spec.licence:
        rights = _element("dc:rights", licence, "en")
        rights.set(_RESOURCE, f"https://spdx.org/licenses/{licence}")
        yield rights


def _about(record: CampaignRecord) -> Iterator[Element]:
    project = record.project
    known = next((pair for pair in FIELDS if project.field.casefold() in (pair[0], pair[1].casefold())), None)
    if known:
        yield from _in_both("jpcoar:subject", *known, subjectScheme="e-Rad_field")
    elif project.field:
        yield _element("jpcoar:subject", project.field, "en", subjectScheme="Other")
    yield from (_element("jpcoar:subject", word, "en", subjectScheme="Other") for word in project.keywords)
    described = common_metadata(record)["elements"]["description"]["value"]
    texts = (described["ja"] or "", described["en"] or "")
    yield from _in_both("datacite:description", *texts, descriptionType="Abstract")
    if record.withdrawn:
        yield _element("datacite:description", f"Withdrawn: {record.withdrawn}", descriptionType="Other")
    publisher = next((o for o in project.organisations if project.publisher in (o.name, o.name_ja)), None)
    if publisher:
        yield from _in_both("dc:publisher", publisher.name_ja, publisher.name)
    elif project.publisher:
        yield _element("dc:publisher", project.publisher, "en")


def _dates(record: CampaignRecord) -> Iterator[Element]:
    yield _element("datacite:date", day(record.created), dateType="Created")
    access = record.project.access.data
    if access.until:
        yield _element("datacite:date", access.until.isoformat(), dateType="Available")
    else:
        yield _element("datacite:date", released_on(record), dateType="Issued")
    yield _element("dc:language", "eng")


def _kind(record: CampaignRecord) -> Iterator[Element]:
    simulated = record.instruments and all(instrument.simulated for instrument in record.instruments)
    word = "simulation data" if simulated else "experimental data"
    kind = _element("dc:type", word)
    kind.set(_RESOURCE, RESOURCE_TYPES[word])
    yield kind
    yield _element("datacite:version", record.head[:12])
    known = record.project.identifier
    if known.startswith("10."):
        yield _element("jpcoar:identifier", f"https://doi.org/{known}", identifierType="DOI")
    elif known:
        doi = known.startswith(("https://doi.org/", "http://doi.org/"))
        yield _element("jpcoar:identifier", known, identifierType="DOI" if doi else "URI")
    else:
        yield _element("jpcoar:identifier", f"urn:uuid:{identifier(record)}", identifierType="URI")


def _relations(record: CampaignRecord) -> Iterator[Element]:
    for related in record.project.related:
        yield _relation(_RELATIONS[related.relation], _IDENTIFIERS[related.kind], _written(related))
    if record.replaces:
        doi = record.replaces.startswith(("10.", "https://doi.org/"))
        yield _relation("replaces", "DOI" if doi else "Local", record.replaces)
    yield _relation("isIdenticalTo", "Local", record.id)


def _written(related: Related) -> str:
    return f"https://doi.org/{related.identifier}" if related.identifier.startswith("10.") else related.identifier


def _relation(kind: str, scheme: str, text: str) -> Element:
    relation = Element(tag("jpcoar:relation"), relationType=kind)
    relation.append(_element("jpcoar:relatedIdentifier", text, identifierType=scheme))
    return relation


def _funding(record: CampaignRecord) -> Iterator[Element]:
    for grant in record.project.funding:
        funding = Element(tag("jpcoar:fundingReference"))
        funding.extend(_funder(grant))
        if grant.programme_code:
            about = {
                "fundingStreamIdentifierType": "JGN_fundingStream",
                "fundingStreamIdentifierTypeURI": "https://www.nistep.go.jp/taikei",
            }
            funding.append(_element("jpcoar:fundingStreamIdentifier", grant.programme_code, **about))
        if grant.number:
            number = SubElement(funding, tag("jpcoar:awardNumber"))
            number.text = xml_text(grant.number)
            if grant.number.startswith("JP"):
                number.set("awardNumberType", "JGN")
        funding.extend(_in_both("jpcoar:awardTitle", grant.title_ja, grant.title))
        yield funding


def _funder(grant: Funding) -> Iterator[Element]:
    if grant.funder_id:
        ror = grant.funder_id.startswith("https://ror.org/")
        scheme = "ROR" if ror else "Crossref Funder" if "10.13039/" in grant.funder_id else "Other"
        yield _element("jpcoar:funderIdentifier", grant.funder_id, funderIdentifierType=scheme)
    yield from _in_both("jpcoar:funderName", grant.funder_ja, grant.funder)


def _extent(record: CampaignRecord) -> Iterator[Element]:
    events = sum(len(run.record.events) for run in record.runs.values())
    yield _element("dcterms:extent", f"{len(record.trials)} trials, {len(record.runs)} runs, {events} events", "en")
