"""Files of RDE's data tiles: documents as they are, tables as CSV, a plot as PNG."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from sdl.fair.exports._nexus_data import Field, Plot, plots_of
from sdl.fair.exports._parts import file_stem, unique
from sdl.fair.exports._png import line_plot
from sdl.fair.exports._table import Table
from sdl.fair.exports._table_rows import tables_of
from sdl.fair.exports.documents import documents
from sdl.fair.record import CampaignRecord, RunInfo, TrialInfo

__all__ = ["campaign_files", "measuring", "trial_files"]

_OF_CAMPAIGN = ("trials", "outcomes", "keys", "instruments", "samples", "stock")
_FORMULA = ("=", "+", "-", "@", "\t")


def measuring(record: CampaignRecord, trial: TrialInfo) -> list[RunInfo]:
    """Runs of a trial that read something."""
    return [run for uid in trial.runs if (run := record.runs.get(uid)) and run.record.events]


def campaign_files(record: CampaignRecord) -> dict[str, bytes | str]:
    """Tables of the whole campaign."""
    tables = {table.name: table for table in tables_of(record) if table.name in _OF_CAMPAIGN and table.rows}
    return {f"structured/{name}.csv": _table(table) for name, table in tables.items()}


def trial_files(record: CampaignRecord, trial: TrialInfo) -> dict[str, bytes | str]:
    """Documents, tables and a plot of the runs of a trial."""
    runs = measuring(record, trial)
    names = unique({run.uid: f"{file_stem(run.step)}-{run.attempt}" for run in runs})
    files: dict[str, bytes | str] = {}
    for run in runs:
        lines = [json.dumps([name, doc], ensure_ascii=False) for name, doc in documents(run)]
        files[f"raw/{names[run.uid]}.jsonl"] = "\n".join(lines) + "\n"
        plots = plots_of(run)
        for plot in plots:
            for part, text in _tables_of_plot(plot):
                files[f"structured/{names[run.uid]}-{plot.name}{part}.csv"] = text
        if plots and (image := _image(plots[0])):
            files["main_image/measurement.png"] = image
    return files


def _table(table: Table) -> str:
    rows = [[_cell(cell) for cell in row] for row in table.rows]
    return _csv([_header(column.name, column.unit) for column in table.columns], rows)


def _cell(cell: Any) -> Any:
    if cell is None:
        return ""
    return json.dumps(cell, ensure_ascii=False) if isinstance(cell, list | bool) else cell


def _header(name: str, unit: str) -> str:
    return f"{name} [{unit}]" if unit and unit != "1" else name


def _csv(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return out.getvalue()


def _harmless(cell: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets an apostrophe in front."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _tables_of_plot(plot: Plot) -> Iterator[tuple[str, str]]:
    """A table with a row an event, and one a key whose readings are arrays, with a column an event."""
    flat = [field for field in plot.fields if field.values.ndim == 1 and field.name not in plot.axes[1:]]
    columns = [field.values.tolist() for field in flat]
    yield "", _csv([_header(field.key, field.unit) for field in flat], list(zip(*columns, strict=True)))
    axis = next((field for field in plot.fields if field.name in plot.axes[1:]), None)
    for field in plot.fields:
        if field.values.ndim == 2:
            yield f"-{field.name}", _array_table(field, axis)


def _array_table(field: Field, axis: Field | None) -> str:
    count, length = field.values.shape
    shown = axis if axis is not None and len(axis.values) == length else Field("index", "index", _index(length))
    header = [_header(shown.key, shown.unit), *(_header(f"{field.key} {n}", field.unit) for n in range(1, count + 1))]
    rows = zip(shown.values.tolist(), field.values.T.tolist(), strict=True)
    return _csv(header, []) + "".join([f"{x!r},{','.join(map(repr, ys))}\n" for x, ys in rows])


def _index(length: int) -> Any:
    import numpy as np

    return np.arange(length)


def _image(plot: Plot) -> bytes | None:
    """The signal over its last axis; of several spectra all."""
    fields = {field.name: field for field in plot.fields}
    signal = fields[plot.signal].values
    if signal.dtype.kind not in "if" or signal.ndim > 2:
        return None
    axis = fields.get(plot.axes[-1])
    lines = signal if signal.ndim == 2 else signal[None, :]
    x = axis.values if axis is not None and len(axis.values) == lines.shape[1] else _index(lines.shape[1])
    return line_plot(x, lines)
