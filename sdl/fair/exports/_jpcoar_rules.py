"""What a JPCOAR 2.1 record has to satisfy: the schema's order, counts and vocabularies, and the guideline's rules.

The published XSD leaves much open (contents of identifiers, dates that exist, languages, what an embargo needs); the
guideline at https://schema.irdb.nii.ac.jp/ states it in words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from xml.etree.ElementTree import Element, ParseError, fromstring

__all__ = ["NAMESPACES", "RESOURCE_TYPES", "RIGHTS", "faults", "tag"]

NAMESPACES: Mapping[str, str] = {
    "jpcoar": "https://github.com/JPCOAR/schema/blob/master/2.1/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcterms": "http://purl.org/dc/terms/",
    "datacite": "https://schema.datacite.org/meta/kernel-4/",
    "oaire": "http://namespace.openaire.eu/schema/oaire/",
    "dcndl": "http://ndl.go.jp/dcndl/terms/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
}

RIGHTS: Mapping[str, str] = {
    "open access": "http://purl.org/coar/access_right/c_abf2",
    "embargoed access": "http://purl.org/coar/access_right/c_f1cf",
    "restricted access": "http://purl.org/coar/access_right/c_16ec",
    "metadata only access": "http://purl.org/coar/access_right/c_14cb",
}
"""COAR's vocabulary of access rights."""

RESOURCE_TYPES: Mapping[str, str] = {
    "dataset": "http://purl.org/coar/resource_type/c_ddb1",
    "experimental data": "http://purl.org/coar/resource_type/63NG-B465",
    "simulation data": "http://purl.org/coar/resource_type/W2XT-7017",
}
"""COAR's vocabulary of resource types, as far as campaigns are one."""


def tag(name: str) -> str:
    """`prefix:name` as ElementTree writes it."""
    prefix, _, local = name.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


_ORDER = [
    "dc:title",
    "dcterms:alternative",
    "jpcoar:creator",
    "jpcoar:contributor",
    "dcterms:accessRights",
    "dc:rights",
    "jpcoar:rightsHolder",
    "jpcoar:subject",
    "datacite:description",
    "dc:publisher",
    "jpcoar:publisher",
    "datacite:date",
    "dcterms:date",
    "dc:language",
    "dc:type",
    "datacite:version",
    "oaire:version",
    "jpcoar:identifier",
    "jpcoar:identifierRegistration",
    "jpcoar:relation",
    "dcterms:temporal",
    "datacite:geoLocation",
    "jpcoar:fundingReference",
    "jpcoar:sourceIdentifier",
    "dcterms:extent",
    "jpcoar:format",
    "jpcoar:file",
]
_CHILDREN: Mapping[str, list[str]] = {
    "jpcoar:creator": ["nameIdentifier", "creatorName", "familyName", "givenName", "creatorAlternative", "affiliation"],
    "jpcoar:contributor": [
        "nameIdentifier",
        "contributorName",
        "familyName",
        "givenName",
        "contributorAlternative",
        "affiliation",
    ],
    "jpcoar:affiliation": ["nameIdentifier", "affiliationName"],
    "jpcoar:relation": ["relatedIdentifier", "relatedTitle"],
    "jpcoar:fundingReference": (
        ["funderIdentifier", "funderName", "fundingStreamIdentifier", "fundingStream", "awardNumber", "awardTitle"]
    ),
}
_ONCE = ("dcterms:accessRights", "dc:type", "datacite:version", "oaire:version", "jpcoar:identifierRegistration")
_WANTED = ("dc:title", "dc:type", "jpcoar:identifier")
_VOCABULARY: Mapping[tuple[str, str], set[str]] = {
    ("jpcoar:nameIdentifier", "nameIdentifierScheme"): {
        "e-Rad_Researcher",
        "NRID",
        "ORCID",
        "ISNI",
        "VIAF",
        "AID",
        "kakenhi",
        "Ringgold",
        "GRID",
        "ROR",
    },
    ("jpcoar:identifier", "identifierType"): {"DOI", "HDL", "URI"},
    ("jpcoar:relatedIdentifier", "identifierType"): {
        "ARK",
        "arXiv",
        "CRID",
        "DOI",
        "HDL",
        "ICHUSHI",
        "ISBN",
        "J-GLOBAL",
        "Local",
        "PISSN",
        "EISSN",
        "ISSN",
        "NAID",
        "NCID",
        "PMID",
        "PURL",
        "SCOPUS",
        "URI",
        "WOS",
        "CSTR",
        "RRID",
    },
    ("jpcoar:relation", "relationType"): {
        "inSeries",
        "isCitedBy",
        "cites",
        "isVersionOf",
        "hasVersion",
        "isPartOf",
        "hasPart",
        "isReferencedBy",
        "references",
        "isFormatOf",
        "hasFormat",
        "isReplacedBy",
        "replaces",
        "isRequiredBy",
        "requires",
        "isSupplementTo",
        "isSupplementedBy",
        "isIdenticalTo",
        "isDerivedFrom",
        "isSourceOf",
        "isCollectedBy",
        "collects",
        "continues",
        "isContinuedBy",
        "isTranslationOf",
        "hasTranslation",
    },
    ("jpcoar:contributor", "contributorType"): {
        "ContactPerson",
        "DataCollector",
        "DataCurator",
        "DataManager",
        "Distributor",
        "Editor",
        "HostingInstitution",
        "Producer",
        "ProjectLeader",
        "ProjectManager",
        "ProjectMember",
        "RelatedPerson",
        "Researcher",
        "ResearchGroup",
        "Sponsor",
        "Supervisor",
        "Translator",
        "WorkPackageLeader",
        "Other",
    },
    ("jpcoar:subject", "subjectScheme"): {
        "BSH",
        "DDC",
        "e-Rad_field",
        "JEL",
        "LCC",
        "LCSH",
        "MeSH",
        "NDC",
        "NDLC",
        "NDLSH",
        "SciVal",
        "UDC",
        "Other",
    },
    ("jpcoar:funderIdentifier", "funderIdentifierType"): {
        "Crossref Funder",
        "e-Rad_funder",
        "GRID",
        "ISNI",
        "ROR",
        "Other",
    },
    ("datacite:date", "dateType"): {
        "Accepted",
        "Available",
        "Collected",
        "Copyrighted",
        "Coverage",
        "Created",
        "Issued",
        "Submitted",
        "Updated",
        "Valid",
    },
    ("datacite:description", "descriptionType"): {"Abstract", "Methods", "TableOfContents", "TechnicalInfo", "Other"},
}
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_FORMS: Mapping[str, str] = {
    "e-Rad_Researcher": r"[0-9]{8}",
    "ORCID": r"(\d{4}-){3}\d{3}[\dX]",
    "ROR": r"https://ror\.org/0[a-z0-9]{8}",
}


def faults(content: bytes) -> list[str]:
    """What is wrong with a record, one line a fault, for people; empty when nothing is.

    Args:
        content: the XML file.
    """
    try:
        root = fromstring(content)  # noqa: S314 - a record of our own, written by the function beside it
    except ParseError as error:
        return [f"no well-formed XML: {error}"]
    if root.tag != tag("jpcoar:jpcoar"):
        return [f"the root is {_name(root)}, not jpcoar:jpcoar of version 2.1"]
    return [*_sequence(root, _ORDER, "the record"), *_counts(root), *_each(root), *_across(root)]


def _name(element: Element) -> str:
    uri, _, local = element.tag.lstrip("{").partition("}")
    prefix = next((prefix for prefix, known in NAMESPACES.items() if known == uri), uri)
    return f"{prefix}:{local}"


def _sequence(parent: Element, order: list[str], where: str) -> Iterator[str]:
    last = -1
    for child in parent:
        name = _name(child)
        if name not in order:
            yield f"{where}: {name} has no place here"
            continue
        if order.index(name) < last:
            yield f"{where}: {name} stands behind {order[last]}, and belongs before it"
        last = max(last, order.index(name))


def _counts(root: Element) -> Iterator[str]:
    counted = Counter(_name(child) for child in root)
    yield from (f"{name} is missing" for name in _WANTED if not counted[name])
    yield from (f"{name} comes {counted[name]} times; once is allowed" for name in _ONCE if counted[name] > 1)


def _each(root: Element) -> Iterator[str]:
    for element in root.iter():
        name, text = _name(element), (element.text or "").strip()
        if name in _CHILDREN:
            yield from _sequence(element, [f"jpcoar:{child}" for child in _CHILDREN[name]], name)
        elif element is not root and not text:
            yield f"{name} is empty"
        for (known, attribute), words in _VOCABULARY.items():
            if name == known and element.get(attribute) not in words:
                yield f"{name}: {attribute}={element.get(attribute)!r} is not in the vocabulary"
        yield from _content(element, name, text)


def _content(element: Element, name: str, text: str) -> Iterator[str]:
    scheme = element.get("nameIdentifierScheme", "")
    if scheme in _FORMS and not re.fullmatch(_FORMS[scheme], text):
        yield f"{name}: {text!r} is no {scheme}"
    if name == "datacite:date" and not _is_date(text):
        yield f"{name}: {text!r} is no date"
    if element.get("identifierType") == "DOI" and not re.fullmatch(r"https://doi\.org/10\.\d{4,9}/\S+", text):
        yield f"{name}: {text!r}: a DOI is written https://doi.org/10.…"
    if name == "dcterms:accessRights" and RIGHTS.get(text) != element.get(tag("rdf:resource")):
        yield f"{name}: {text!r} and its URI are not a pair of COAR's vocabulary"
    if name == "dc:type" and RESOURCE_TYPES.get(text) != element.get(tag("rdf:resource")):
        yield f"{name}: {text!r} and its URI are not a pair of COAR's vocabulary"
    if name in ("dc:title", "jpcoar:creatorName", "jpcoar:affiliationName", "jpcoar:funderName") and not element.get(
        _LANGUAGE
    ):
        yield f"{name}: its language (xml:lang) is missing"
    if name == "dc:language" and not re.fullmatch(r"[a-z]{3}", text):
        yield f"{name}: {text!r} is no code of ISO 639-3"


def _is_date(text: str) -> bool:
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


def _across(root: Element) -> Iterator[str]:
    access = root.findtext(tag("dcterms:accessRights")) or ""
    kinds = [element.get("dateType") for element in root.findall(tag("datacite:date"))]
    if not access:
        yield "dcterms:accessRights is missing; research data need it"
    if access == "embargoed access" and "Available" not in kinds:
        yield "an embargo needs datacite:date of type Available, the day of its end"
    if access == "open access" and "Issued" not in kinds:
        yield "open data need datacite:date of type Issued"
    if access == "open access" and root.find(tag("dc:rights")) is None:
        yield "open data need dc:rights, their licence"
    if root.find(tag("jpcoar:creator")) is None:
        yield "jpcoar:creator is missing; research data need somebody who made them"
    for name in ("dc:title", "datacite:description"):
        languages = Counter(element.get(_LANGUAGE) for element in root.findall(tag(name)))
        yield from (f"{name}: {count} in {lang}; one is allowed" for lang, count in languages.items() if count > 1)
