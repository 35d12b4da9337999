"""Tables for machine learning: Parquet with units, described by Croissant (mlcommons.org/croissant, 1.0).

| table | a row |
| --- | --- |
| trials | one trial: parameters, outcomes, what became of it |
| outcomes | one outcome of a trial, with its standard error |
| readings | one reading: a key of an event |
| configuration | one value of a device's configuration in a run |
| keys | one key: what it is, its unit |
| runs, samples, stock, instruments | one of these |

Readings are long, not wide: keys, lengths and types may change from run to run, and every value comes back as it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdl.fair._files import need
from sdl.fair._units import qudt, ucum
from sdl.fair.exports import ExportedFile
from sdl.fair.exports._croissant import croissant
from sdl.fair.exports._parts import json_text, write_bytes
from sdl.fair.exports._table import Column, Table
from sdl.fair.exports._table_rows import tables_of
from sdl.fair.record import CampaignRecord
from sdl.model import InputError

__all__ = ["Written", "write"]

_CROISSANT = "tables/croissant.json"
_STANDARD = "http://mlcommons.org/croissant/1.0"
_MEDIA = "application/vnd.apache.parquet"


@dataclass(frozen=True)
class Written:
    """A table and the file that holds it."""

    table: Table
    path: str
    """Relative to `tables/`."""
    content: bytes


def write(record: CampaignRecord, folder: Path) -> list[ExportedFile]:
    """Write the tables that have rows, and their description.

    Raises:
        MissingExtra: pyarrow is not installed.
        InputError: a file cannot be written, or a value cannot be told in a table; the message names it.
    """
    about = json.dumps(_campaign(record), ensure_ascii=False)
    written = [
        Written(table, f"{table.name}.parquet", _parquet(table, about)) for table in tables_of(record) if table.rows
    ]
    for one in written:
        write_bytes(folder, f"tables/{one.path}", one.content)
    write_bytes(folder, _CROISSANT, json_text(croissant(record, written)))
    files = [
        ExportedFile(f"tables/{one.path}", _MEDIA, "https://parquet.apache.org/docs/file-format/", one.table.title)
        for one in written
    ]
    return [*files, ExportedFile(_CROISSANT, "application/ld+json", _STANDARD, "Description of the tables (Croissant)")]


def _campaign(record: CampaignRecord) -> dict[str, Any]:
    project = record.project
    return {
        "id": record.id,
        "name": record.name,
        "title": project.title or record.spec.title,
        "licence": project.licence or record.spec.licence,
        "journal": {"entries": record.entries, "head": record.head},
        "withdrawn": record.withdrawn,
        "replaces": record.replaces,
    }


def _parquet(table: Table, about: str) -> bytes:
    pa = need("pyarrow", "the tables of a release")
    parquet = need("pyarrow.parquet", "the tables of a release")
    fields = [pa.field(c.name, _type(pa, c), metadata=_metadata(c)) for c in table.columns]
    schema = pa.schema(fields, metadata={"sdl.campaign": about, "sdl.table": table.title})
    arrays = [_array(pa, table, column, field.type) for column, field in zip(table.columns, fields, strict=True)]
    out = pa.BufferOutputStream()
    plain = [c.name for c in table.columns if c.type == "number" and not c.repeats]
    repeating = [c.name for c in table.columns if c.name not in plain and c.type != "numbers"]
    parquet.write_table(
        pa.Table.from_arrays(arrays, schema=schema),
        out,
        compression="zstd",
        compression_level=9,
        use_dictionary=repeating + [f"{c.name}.list.element" for c in table.columns if c.type == "numbers"],
        use_byte_stream_split=plain,
    )
    content: bytes = out.getvalue().to_pybytes()
    return content


def _array(pa: Any, table: Table, column: Column, kind: Any) -> Any:
    values = table.values(column)
    try:
        return pa.array(values, type=kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeError) as error:
        where = f"table {table.name}, column {column.name}"
        raise InputError(f"{where}: a value cannot be told as {column.type}: {error}") from error


def _type(pa: Any, column: Column) -> Any:
    kinds: Mapping[str, Any] = {
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "text": pa.string(),
        "time": pa.timestamp("ns", tz="UTC"),
        "numbers": pa.list_(pa.float64()),
        "integers": pa.list_(pa.int64()),
    }
    return kinds[column.type]


def _metadata(column: Column) -> dict[str, str]:
    about = {"description": column.description}
    if column.unit:
        about |= {"unit": column.unit, "ucum": ucum(column.unit), "qudt": qudt(column.unit)}
    return {key: text for key, text in about.items() if text}
