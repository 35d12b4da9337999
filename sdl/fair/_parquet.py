"""The Parquet export: the table of trials, units beside each column, the campaign in the file's metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdl.fair._files import need, replacing
from sdl.fair._table import Column, columns

if TYPE_CHECKING:
    from sdl.journal.state import CampaignState

__all__ = ["write_parquet"]


def write_parquet(state: CampaignState, document: Mapping[str, Any], out: Path) -> None:
    """Write the table of trials to `out`.

    The schema's metadata holds `sdl.campaign` and `sdl.problem` as JSON, as in the JSON export; each field's
    metadata holds `unit`, `role` and `description`. Times are UTC nanoseconds.

    Raises:
        MissingExtra: pyarrow is not installed.
        InputError: `out` cannot be written.
    """
    pa = need("pyarrow", "export to parquet")
    parquet = need("pyarrow.parquet", "export to parquet")
    table = columns(state)
    trials = tuple(state.trials.values())
    about = {f"sdl.{key}": json.dumps(document[key], ensure_ascii=False) for key in ("campaign", "problem")}
    schema = pa.schema([_field(pa, column) for column in table], metadata=about)
    cells = {column.name: [column.value(trial) for trial in trials] for column in table}
    with replacing(out) as part:
        parquet.write_table(pa.Table.from_pydict(cells, schema=schema), part)


def _field(pa: Any, column: Column) -> Any:
    kinds = {
        "integer": pa.int64(),
        "number": pa.float64(),
        "text": pa.string(),
        "time": pa.timestamp("ns", tz="UTC"),
    }
    about = {"role": column.role, "description": column.description}
    if column.unit:
        about["unit"] = column.unit
    return pa.field(column.name, kinds[column.type], metadata=about)
