"""Common metadata of research data made with public funds, as the Cabinet Office of Japan lists them.

The elements are those of 「公的資金による研究データの管理・利活用に関する基本的な考え方」におけるメタデータの共通項目
(Integrated Innovation Strategy Promotion Council, 27 April 2021; https://www8.cao.go.jp/cstp/kenkyudx.html). Each has
its number, its Japanese and English names, and its value, in both languages where it is a text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sdl.fair.exports import ExportedFile
from sdl.fair.exports._cao_rules import ELEMENTS, faults
from sdl.fair.exports._parts import json_text, organisation_of, released_on, write_bytes
from sdl.fair.record import CampaignRecord
from sdl.model.project import Access, Funding, Person

__all__ = ["ACCESS", "common_metadata", "faults", "write"]

_PATH = "metadata/cao-common-metadata.json"
_STANDARD = "https://www8.cao.go.jp/cstp/common_metadata_elements.pdf"

ACCESS: Mapping[str, tuple[str, str]] = {
    "open": ("公開", "open access"),
    "shared": ("共有", "restricted access"),
    "embargoed": ("公開期間猶予", "embargoed access"),
    "closed": ("非共有・非公開", "metadata only access"),
}
"""Level of access → what the list calls it, in Japanese and (in COAR's words) in English."""


def write(record: CampaignRecord, folder: Path) -> list[ExportedFile]:
    """Write the common metadata. What the project does not say is null there; `faults` lists it for people.

    Raises:
        InputError: the file cannot be written.
    """
    write_bytes(folder, _PATH, json_text(common_metadata(record)))
    title = "Common metadata elements of the Cabinet Office of Japan / メタデータの共通項目"
    return [ExportedFile(_PATH, "application/json", _STANDARD, title)]


def common_metadata(record: CampaignRecord) -> dict[str, Any]:
    """The elements in the order of the list, as `{no, name, value}` by key."""
    values = {key: make(record) for key, make in _VALUES.items()}
    elements = {
        key: {"no": element.number, "name": {"ja": element.ja, "en": element.en}, "value": values[key]}
        for key, element in ELEMENTS.items()
    }
    return {"scheme": _STANDARD, "version": "2021-04-27", "elements": elements}


def _both(ja: str, en: str) -> dict[str, str | None] | None:
    return {"ja": ja or None, "en": en or None} if ja or en else None


def _funders(record: CampaignRecord) -> list[Any]:
    return [
        {"name": _both(grant.funder_ja, grant.funder), "identifier": grant.funder_id or None}
        for grant in record.project.funding
    ]


def _of_grants(part: Callable[[Funding], Any]) -> Callable[[CampaignRecord], list[Any]]:
    return lambda record: [found for grant in record.project.funding if (found := part(grant))]


def _data_name(record: CampaignRecord) -> Any:
    project = record.project
    return _both(project.title_ja, project.title or record.spec.title or record.name)


def _description(record: CampaignRecord) -> Any:
    project, spec = record.project, record.spec
    names = ", ".join(objective.name for objective in spec.problem.objectives)
    made = (
        f"Closed-loop campaign of {len(record.trials)} trials in the lab {record.lab.get('name') or '-'}; "
        f"outcomes: {names or '-'}."
    )
    return _both(project.description_ja, project.description or spec.description or made)


def _people(record: CampaignRecord, *roles: str) -> list[Person]:
    return [person for person in record.project.people if any(role in person.roles for role in roles)]


def _person(record: CampaignRecord, person: Person) -> dict[str, Any]:
    home = organisation_of(record, person)
    return {
        "name": _both(person.name_ja, person.name),
        "eRadResearcherNumber": person.e_rad or None,
        "orcid": f"https://orcid.org/{person.orcid}" if person.orcid else None,
        "affiliation": _both(home.name_ja, home.name) if home else None,
    }


def _creators(record: CampaignRecord) -> list[Any]:
    return [_person(record, person) for person in _people(record, "creator")]


def _host(record: CampaignRecord) -> Any:
    """The organisation that keeps the data: the publisher, or the home of whoever manages them."""
    project = record.project
    homes = [home for person in _people(record, "manager", "contact") if (home := organisation_of(record, person))]
    named = [o for o in project.organisations if project.publisher in (o.name, o.name_ja) and project.publisher]
    if found := next(iter([*named, *([] if project.publisher else homes)]), None):
        return {"name": _both(found.name_ja, found.name), "identifier": found.ror or None}
    return {"name": _both("", project.publisher), "identifier": None} if project.publisher else None


def _manager(record: CampaignRecord) -> Any:
    people = _people(record, "manager") or _people(record, "contact")
    return _person(record, people[0]) if people else None


def _contact(record: CampaignRecord) -> str | None:
    people = [person.email for person in _people(record, "manager", "contact") if person.email]
    return record.project.contact or next(iter(people), None)


def _link(record: CampaignRecord) -> str | None:
    found = record.project.identifier
    return (f"https://doi.org/{found}" if found.startswith("10.") else found) or None


def _policy(record: CampaignRecord) -> Any:
    licence = record.project.licence or record.spec.licence
    access = record.project.access.data
    return {
        "licence": licence or None,
        "uri": f"https://spdx.org/licenses/{licence}" if licence else None,
        "text": _both(*_conditions(access)),
    }


def _conditions(access: Access) -> tuple[str, str]:
    if access.level == "open":
        return "無償で利用できる", "free of charge"
    if access.level == "embargoed":
        return f"{access.until}から無償で利用できる", f"free of charge from {access.until}"
    if access.level == "shared":
        return "利用には連絡先への申請を要する", "on request to the contact"
    return "提供しない", "not provided"


def _access(record: CampaignRecord) -> Any:
    access = record.project.access.data
    ja, en = ACCESS[access.level]
    return {"ja": ja, "en": en}


def _available(record: CampaignRecord) -> str | None:
    until = record.project.access.data.until
    return until.isoformat() if until else None


def _remarks(record: CampaignRecord) -> Any:
    failed = sum(trial.status != "observed" for trial in record.trials)
    entries = f"{record.entries} entries, head sha256 {record.head}"
    ja = f"失敗・不可能を含む全{len(record.trials)}試行（うち{failed}件は結果なし）を収録。ジャーナル：{entries}"
    en = f"All {len(record.trials)} trials, {failed} of them without an outcome. Journal: {entries}"
    if record.withdrawn:
        ja, en = f"取り下げ：{record.withdrawn}。{ja}", f"Withdrawn: {record.withdrawn}. {en}"
    return _both(ja, en)


def _field(record: CampaignRecord) -> Any:
    field = record.project.field
    known = next((pair for pair in FIELDS if field.casefold() in (pair[0], pair[1].casefold())), None)
    return _both(*(known or ("", field)))


FIELDS: tuple[tuple[str, str], ...] = (
    ("ライフサイエンス", "Life Science"),
    ("情報通信", "Informatics"),
    ("環境", "Environmental Science"),
    ("ナノテク・材料", "Nanotechnology/Materials"),
    ("エネルギー", "Energy"),
    ("ものづくり技術", "Manufacturing Technology"),
    ("社会基盤", "Social Infrastructure"),
    ("フロンティア", "Frontier"),
    ("人文・社会", "Humanities/Social Sciences"),
    ("自然科学一般", "Natural Science"),
    ("その他", "Others"),
)
"""Research fields of e-Rad, which the list refers to."""

_VALUES: Mapping[str, Callable[[CampaignRecord], Any]] = {
    "funder": _funders,
    "programmeCode": _of_grants(lambda grant: grant.programme_code),
    "grantNumber": _of_grants(lambda grant: grant.number),
    "projectName": lambda record: [
        found for grant in record.project.funding if (found := _both(grant.title_ja, grant.title))
    ],
    "dataNumber": lambda record: record.id,
    "dataName": _data_name,
    "published": released_on,
    "description": _description,
    "field": _field,
    "dataType": lambda record: _data_type(record),
    "dataVolume": lambda record: _volume(record),
    "usePolicy": _policy,
    "accessRights": _access,
    "availableFrom": _available,
    "repository": lambda record: record.project.repository or None,
    "repositoryLink": _link,
    "creators": _creators,
    "hostingInstitution": _host,
    "dataManager": _manager,
    "contact": _contact,
    "remarks": _remarks,
}


def _data_type(record: CampaignRecord) -> Any:
    simulated = record.instruments and all(instrument.simulated for instrument in record.instruments)
    kinds = {"dataset": ("データセット", "dataset")}
    if simulated:
        return _both("シミュレーションデータ", "simulation data")
    return _both(*kinds.get(record.project.data_type.casefold(), ("データセット", record.project.data_type)))


def _volume(record: CampaignRecord) -> str:
    """The list's classes of size; a campaign's documents stay well below the first."""
    size = sum(len(run.record.events) for run in record.runs.values()) * 1000
    return next((name for name, limit in _VOLUMES if size < limit), "100GB以上")


_VOLUMES = (("1GB未満", 1e9), ("1GB以上10GB未満", 1e10), ("10GB以上100GB未満", 1e11))
