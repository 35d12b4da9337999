"""The fifteen common metadata elements of the Cabinet Office's list, and what a file of them has to satisfy.

The list says of each element whether it is required; what it leaves open (forms of numbers and dates, what an embargo
needs, where both languages are wanted) is added here as rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

__all__ = ["ELEMENTS", "Element", "faults"]


@dataclass(frozen=True)
class Element:
    """One element, or one part of an element that has several."""

    number: int
    """Of the list, 1 to 15."""
    ja: str
    en: str
    required: bool
    """Required of every data set, or (with `funded`) of those that a grant paid for."""
    funded: bool = False
    shape: str = "text"
    """`text`, `texts`, `both` (Japanese and English), `boths`, `people`, `person`, `organisation(s)`, `record`."""


ELEMENTS: Mapping[str, Element] = {
    "funder": Element(1, "資金配分機関情報", "Funding agency", True, True, "organisations"),
    "programmeCode": Element(2, "体系的番号におけるプログラム情報コード", "Programme code", False, True, "texts"),
    "grantNumber": Element(2, "体系的番号", "Japan Grant Number", True, True, "texts"),
    "projectName": Element(3, "プロジェクト名", "Name of the project", True, True, "boths"),
    "dataNumber": Element(4, "データNo.", "Data number", True),
    "dataName": Element(5, "データの名称", "Title of the data", True, shape="both"),
    "published": Element(6, "掲載日・掲載更新日", "Date of issue or update", True, shape="date"),
    "description": Element(7, "データの説明", "Description of the data", True, shape="both"),
    "field": Element(8, "データの分野", "Research field of the data", True, shape="both"),
    "dataType": Element(9, "データ種別", "Type of the data", True, shape="both"),
    "dataVolume": Element(10, "概略データ量", "Approximate volume of the data", False),
    "usePolicy": Element(11, "管理対象データの利活用・提供方針", "Policy on use and provision", True, shape="record"),
    "accessRights": Element(11, "アクセス権", "Access rights", True, shape="both"),
    "availableFrom": Element(11, "公開予定日", "Date of planned publication", False, shape="date"),
    "repository": Element(12, "リポジトリ情報", "Repository", True, shape="text"),
    "repositoryLink": Element(12, "リポジトリURL・DOIリンク", "URL or DOI of the data", False, shape="uri"),
    "creators": Element(13, "データ作成者", "Creators of the data", True, shape="people"),
    "hostingInstitution": Element(14, "データ管理機関", "Institution that keeps the data", True, shape="organisation"),
    "dataManager": Element(14, "データ管理者", "Data manager", True, shape="person"),
    "contact": Element(14, "データ管理者の連絡先", "Contact of the data manager", True),
    "remarks": Element(15, "備考", "Remarks", False, shape="both"),
}
"""Key → element, in the order of the list."""

_ACCESS = {
    "公開": "open access",
    "共有": "restricted access",
    "公開期間猶予": "embargoed access",
    "非共有・非公開": "metadata only access",
}


def faults(document: Mapping[str, Any]) -> list[str]:
    """What is wrong with a file of common metadata, one line a fault, for people; empty when nothing is.

    Args:
        document: the file's content.
    """
    elements = document.get("elements")
    if not isinstance(elements, Mapping):
        return ["`elements` is missing: this is no file of common metadata"]
    found = [f"{key}: no element of the list" for key in elements if key not in ELEMENTS]
    funded = bool(_value(elements, "funder"))
    for key, element in ELEMENTS.items():
        found += _element(key, element, elements.get(key), funded)
    return found + list(_across(elements))


def _value(elements: Mapping[str, Any], key: str) -> Any:
    entry = elements.get(key)
    return entry.get("value") if isinstance(entry, Mapping) else None


def _element(key: str, element: Element, entry: Any, funded: bool) -> list[str]:
    label = f"{element.number} {element.ja} ({element.en})"
    if not isinstance(entry, Mapping):
        return [f"{label}: the element is missing"]
    wrong = []
    if entry.get("no") != element.number or entry.get("name") != {"ja": element.ja, "en": element.en}:
        wrong.append(f"{label}: its number or name is not that of the list")
    value = entry.get("value")
    if value in (None, "", [], {}):
        wanted = element.required and (funded or not element.funded)
        return [*wrong, f"{label}: required, and empty; fill it in the project file"] if wanted else wrong
    return wrong + [f"{label}: {fault}" for fault in _SHAPES[element.shape](value)]


def _text(value: Any) -> Iterator[str]:
    if not isinstance(value, str) or not value.strip():
        yield f"a text is wanted, not {value!r}"


def _date(value: Any) -> Iterator[str]:
    try:
        date.fromisoformat(value)
    except (TypeError, ValueError):
        yield f"an ISO date is wanted, as 2027-04-01, not {value!r}"


def _uri(value: Any) -> Iterator[str]:
    if not isinstance(value, str) or not re.fullmatch(r"https?://[^\s]+", value):
        yield f"a URL is wanted, not {value!r}"


def _both(value: Any) -> Iterator[str]:
    if not isinstance(value, Mapping) or not set(value) <= {"ja", "en"}:
        yield f"a text in Japanese (ja) and English (en) is wanted, not {value!r}"
        return
    for language, name in (("ja", "Japanese"), ("en", "English")):
        if not isinstance(value.get(language), str) or not value[language].strip():
            yield f"the {name} text is missing"


def _record(value: Any) -> Iterator[str]:
    if not isinstance(value, Mapping) or not any(value.values()):
        yield f"an object is wanted, not {value!r}"


def _named(value: Any) -> Iterator[str]:
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), Mapping):
        yield f"an object with a name is wanted, not {value!r}"
    elif not any(value["name"].values()):
        yield "the name is empty"


def _organisation(value: Any) -> Iterator[str]:
    yield from _named(value)
    code = value.get("identifier") if isinstance(value, Mapping) else None
    if code and not re.fullmatch(r"https?://\S+|10\.\d{4,}/\S+", code):
        yield f"its identifier is no ROR id, URL or DOI: {code!r}"


def _person(value: Any) -> Iterator[str]:
    yield from _named(value)
    if not isinstance(value, Mapping):
        return
    number = value.get("eRadResearcherNumber")
    if number and not re.fullmatch(r"[0-9]{8}", str(number)):
        yield f"an e-Rad researcher number has eight digits, not {number!r}"
    orcid = value.get("orcid")
    if orcid and not re.fullmatch(r"https://orcid\.org/(\d{4}-){3}\d{3}[\dX]", orcid):
        yield f"an ORCID iD is written https://orcid.org/0000-0002-1825-0097, not {orcid!r}"


def _list_of(check: Any) -> Any:
    def checked(value: Any) -> Iterator[str]:
        if not isinstance(value, list):
            yield f"a list is wanted, not {value!r}"
            return
        for number, item in enumerate(value, 1):
            yield from (f"{number}. {fault}" for fault in check(item))

    return checked


_SHAPES: Mapping[str, Any] = {
    "text": _text,
    "texts": _list_of(_text),
    "date": _date,
    "uri": _uri,
    "both": _both,
    "boths": _list_of(_both),
    "record": _record,
    "person": _person,
    "people": _list_of(_person),
    "organisation": _organisation,
    "organisations": _list_of(_organisation),
}


def _across(elements: Mapping[str, Any]) -> Iterator[str]:
    """Rules between elements."""
    access = _value(elements, "accessRights")
    if not isinstance(access, Mapping):
        return
    if _ACCESS.get(access.get("ja", "")) != access.get("en"):
        yield f"11 アクセス権: {access} is none of {', '.join(f'{ja} ({en})' for ja, en in _ACCESS.items())}"
    embargoed, until = access.get("en") == "embargoed access", _value(elements, "availableFrom")
    if embargoed and not until:
        yield "11 公開予定日: data under embargo need the day from which they are open"
    if until and not embargoed:
        yield "11 公開予定日: only data under embargo have one"
    policy = _value(elements, "usePolicy")
    if access.get("en") == "open access" and not (isinstance(policy, Mapping) and policy.get("licence")):
        yield "11 管理対象データの利活用・提供方針: open data need a licence"
    if access.get("en") == "open access" and not _value(elements, "repositoryLink"):
        yield "12 リポジトリURL・DOIリンク: open data need the URL or DOI where they are"
