"""The CSV export and the metadata that W3C's CSV on the Web puts beside it."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sdl.fair._facts import iso
from sdl.fair._table import Column, columns

if TYPE_CHECKING:
    from sdl.journal.state import CampaignState

__all__ = ["csv_metadata", "csv_text"]

_DATATYPES = {"integer": "integer", "number": "double", "text": "string", "time": "dateTimeStamp"}
_FORMULA = ("=", "+", "-", "@", "\t")


def csv_text(state: CampaignState) -> str:
    """One header line, then a line a trial; every number reads back exactly (RFC 4180, lines end with LF).

    A text cell that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    table = columns(state)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column.name for column in table])
    for trial in state.trials.values():
        writer.writerow([_cell(column, column.value(trial)) for column in table])
    return out.getvalue()


def _cell(column: Column, value: Any) -> str:
    if value is None:
        return ""
    if column.type == "text":
        text = str(value).replace("\r\n", "\n").replace("\r", "\n")
        return f"'{text}" if text.startswith(_FORMULA) else text
    if column.type == "time":
        return iso(value) or ""
    return repr(value)


def csv_metadata(state: CampaignState, file_name: str) -> dict[str, Any]:
    """Types, units, licence and creators of a CSV file, as https://www.w3.org/TR/tabular-metadata/ has them."""
    spec = state.spec
    about: dict[str, Any] = {
        "@context": ["http://www.w3.org/ns/csvw", {"@language": "en"}],
        "url": quote(file_name),
        "dc:identifier": state.id,
        "dc:title": (spec.title if spec else "") or state.name,
    }
    if spec and spec.description:
        about["dc:description"] = spec.description
    if spec and spec.licence:
        about["dc:license"] = {"@id": f"https://spdx.org/licenses/{quote(spec.licence)}"}
    if spec and spec.creators:
        about["schema:creator"] = [_creator(c.name, c.orcid) for c in spec.creators]
    return about | {"tableSchema": {"columns": [_column(column) for column in columns(state)], "primaryKey": "number"}}


def _creator(name: str, orcid: str | None) -> dict[str, str]:
    return {"schema:name": name} | ({"@id": f"https://orcid.org/{orcid}"} if orcid else {})


def _column(column: Column) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": column.name.replace("-", "%2D"),
        "titles": column.name,
        "datatype": _DATATYPES[column.type],
        "dc:description": column.description,
    }
    if column.unit:
        described["schema:unitText"] = column.unit
    return described
