"""Croissant 1.0 metadata of the released tables (github.com/mlcommons/croissant, docs/croissant-spec-1.0.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sdl.fair._units import ucum
from sdl.fair.exports._parts import identifier, organisation_of, released_on
from sdl.fair.exports._table import Column
from sdl.fair.record import CampaignRecord
from sdl.model.project import Person

if TYPE_CHECKING:
    from sdl.fair.exports.tables import Written

__all__ = ["croissant"]

_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that the specification prescribes."""

_TYPES = {
    "integer": "sc:Integer",
    "number": "sc:Float",
    "boolean": "sc:Boolean",
    "text": "sc:Text",
    "time": "sc:DateTime",
    "numbers": "sc:Float",
    "integers": "sc:Integer",
}
_KEYS = {"trials": "trial", "runs": "run", "samples": "sample", "instruments": "device"}


def croissant(record: CampaignRecord, written: Sequence[Written]) -> dict[str, Any]:
    """The metadata of the tables: where each is, its SHA-256, and its columns with types and units."""
    project = record.project
    licence = project.licence or record.spec.licence
    title = project.title or record.spec.title or record.name
    withdrawn = f"WITHDRAWN: {record.withdrawn}. " if record.withdrawn else ""
    about: dict[str, Any] = {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": record.name,
        "alternateName": [text for text in (title, project.title_ja) if text],
        "description": withdrawn + (project.description or record.spec.description or title),
        "datePublished": released_on(record),
        "version": f"1.0.0+{record.head[:12]}",
        "url": _url(record),
        "citeAs": _cite(record, title),
        "keywords": list(project.keywords),
        "inLanguage": "en",
        "isLiveDataset": False,
    }
    if licence:
        about["license"] = f"https://spdx.org/licenses/{licence}"
    if creators := [_person(record, p) for p in project.people if "creator" in p.roles]:
        about["creator"] = creators
    if project.publisher:
        about["publisher"] = {"@type": "sc:Organization", "name": project.publisher}
    about["distribution"] = [_file(one) for one in written]
    about["recordSet"] = [_record_set(one) for one in written]
    return about


def _url(record: CampaignRecord) -> str:
    known = record.project.identifier or record.project.repository
    if known.startswith("10."):
        return f"https://doi.org/{known}"
    return known if known.startswith("http") else f"urn:uuid:{identifier(record)}"


def _cite(record: CampaignRecord, title: str) -> str:
    people = "; ".join(p.name for p in record.project.people if "creator" in p.roles) or record.project.publisher
    return f"{people or record.name} ({released_on(record)[:4]}). {title}. {_url(record)}"


def _person(record: CampaignRecord, person: Person) -> dict[str, Any]:
    made: dict[str, Any] = {"@type": "sc:Person", "name": person.name}
    if person.orcid:
        made["url"] = f"https://orcid.org/{person.orcid}"
    if home := organisation_of(record, person):
        made["affiliation"] = {"@type": "sc:Organization", "name": home.name}
    return made


def _file(one: Written) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": one.path,
        "name": one.path,
        "description": one.table.title,
        "contentUrl": one.path,
        "contentSize": f"{len(one.content)} B",
        "encodingFormat": "application/x-parquet",
        "sha256": hashlib.sha256(one.content).hexdigest(),
    }


def _record_set(one: Written) -> dict[str, Any]:
    name = one.table.name
    made: dict[str, Any] = {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": one.table.title,
    }
    if name in _KEYS:
        made["key"] = {"@id": f"{name}/{_KEYS[name]}"}
    return made | {"field": [_field(one, column) for column in one.table.columns]}


def _field(one: Written, column: Column) -> dict[str, Any]:
    made: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{one.table.name}/{column.name}",
        "name": column.name,
        "description": "; ".join(_described(column)),
        "dataType": _TYPES[column.type],
        "source": {"fileObject": {"@id": one.path}, "extract": {"column": column.name}},
    }
    if column.type in ("numbers", "integers"):
        made["repeated"] = True
    return made


def _described(column: Column) -> Iterator[str]:
    yield column.description
    if column.unit:
        yield f"unit {column.unit}" + (f" (UCUM {code})" if (code := ucum(column.unit)) else "")
