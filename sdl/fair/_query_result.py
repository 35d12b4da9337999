"""The answer to a question: columns with units and a row a trial, as a data frame, a table, CSV or Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sdl.fair._files import need, replacing, write_text
from sdl.model import InputError

__all__ = ["Answer", "AnswerColumn"]

_FORMULA = ("=", "+", "-", "@", "\t")


@dataclass(frozen=True)
class AnswerColumn:
    """One column of an answer."""

    name: str
    type: Literal["integer", "number", "text"]
    unit: str = ""
    """Empty where a unit makes no sense, `1` for a pure number."""
    role: str = ""
    """parameter, outcome, sem, sample, stock, instrument, person or trial."""


@dataclass(frozen=True)
class Answer:
    """The trials of which a question is true."""

    question: str
    columns: tuple[AnswerColumn, ...]
    rows: tuple[tuple[Any, ...], ...]
    """Cells in the order of the columns; None where there is nothing."""
    campaigns: Mapping[str, str] = field(default_factory=dict)
    """Id → name of each campaign that has a trial among them."""

    @property
    def units(self) -> dict[str, str]:
        """Column → unit, of those that have one."""
        return {column.name: column.unit for column in self.columns if column.unit}

    def frame(self, kind: str = "pandas") -> Any:
        """As a data frame; of pandas, `frame.attrs` has `question`, `units` and `campaigns`.

        Args:
            kind: pandas or polars.

        Raises:
            InputError: no such kind.
            MissingExtra: it is not installed.
        """
        if kind not in ("pandas", "polars"):
            raise InputError(f"no data frame of kind {kind!r}; there are pandas and polars")
        cells = {c.name: [row[index] for row in self.rows] for index, c in enumerate(self.columns)}
        if kind == "polars":
            return self._polars(cells)
        pd = need("pandas", "the answer as a data frame")
        kinds = {"integer": "Int64", "number": "float64", "text": "object"}
        frame = pd.DataFrame({c.name: pd.Series(cells[c.name], dtype=kinds[c.type]) for c in self.columns})
        frame.attrs.update(question=self.question, units=self.units, campaigns=dict(self.campaigns))
        return frame

    def _polars(self, cells: Mapping[str, list[Any]]) -> Any:
        pl = need("polars", "the answer as a polars data frame")
        kinds = {"integer": pl.Int64, "number": pl.Float64, "text": pl.String}
        return pl.DataFrame(cells, schema={column.name: kinds[column.type] for column in self.columns})

    def csv(self) -> str:
        """A header line, then a line a trial; every number reads back exactly (RFC 4180, lines end with LF).

        A text cell that a spreadsheet would take for a formula gets an apostrophe in front.
        """
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([column.name for column in self.columns])
        writer.writerows([[_cell(value) for value in row] for row in self.rows])
        return out.getvalue()

    def write(self, format: str, path: Path) -> tuple[Path, ...]:
        """Write CSV (with `PATH-metadata.json` beside it, which has the units) or Parquet; return the files.

        Raises:
            InputError: no such format, or the file cannot be written.
            MissingExtra: parquet, and pyarrow is not installed.
        """
        if format == "parquet":
            self._write_parquet(path)
            return (path,)
        if format != "csv":
            raise InputError(f"no format {format!r} for a file; there are csv and parquet")
        beside = path.with_name(f"{path.name}-metadata.json")
        write_text(path, self.csv())
        write_text(beside, json.dumps(self._metadata(path.name), ensure_ascii=False, indent=2) + "\n")
        return (path, beside)

    def _metadata(self, name: str) -> dict[str, Any]:
        """As https://www.w3.org/TR/tabular-metadata/ has it."""
        kinds = {"integer": "integer", "number": "double", "text": "string"}
        columns: list[dict[str, str]] = [
            {"titles": c.name, "datatype": kinds[c.type], **({"schema:unitText": c.unit} if c.unit else {})}
            for c in self.columns
        ]
        about = {"@context": "http://www.w3.org/ns/csvw", "url": name, "dc:description": self.question}
        return {**about, "tableSchema": {"columns": columns}}

    def _write_parquet(self, path: Path) -> None:
        pa = need("pyarrow", "answers as parquet")
        parquet = need("pyarrow.parquet", "answers as parquet")
        kinds = {"integer": pa.int64(), "number": pa.float64(), "text": pa.string()}
        fields = [
            pa.field(c.name, kinds[c.type], metadata={"role": c.role, **({"unit": c.unit} if c.unit else {})})
            for c in self.columns
        ]
        schema = pa.schema(fields, metadata={"sdl.question": self.question})
        cells = {c.name: [row[index] for row in self.rows] for index, c in enumerate(self.columns)}
        with replacing(path) as part:
            parquet.write_table(pa.Table.from_pydict(cells, schema=schema), part)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        text = value.replace("\r\n", "\n").replace("\r", "\n")
        return f"'{text}" if text.startswith(_FORMULA) else text
    return repr(value)
