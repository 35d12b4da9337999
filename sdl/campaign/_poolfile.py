"""Pools of candidates from tables, short ones with care and long ones by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sdl.lab.labfile import Lab
from sdl.lab.tables import pool_from_table
from sdl.model import CampaignSpec, CategoricalParameter, IntegerParameter, Pool, Scalar, Searched

__all__ = ["LARGE_POOL", "read_pool"]

LARGE_POOL = 20_000
"""Rows above which a pool is read by column, and the journal keeps its hash in place of its rows."""

_ROUNDING = 1e-9
"""Rows of a large pool are one when their numbers differ by less than this part of the column's range. Rows of a fine
grid are nearer to each other than replicates in a short table may be."""


def read_pool(lab: Lab, spec: CampaignSpec, name: str) -> Pool:
    """Candidates from the distinct rows of a table.

    Raises:
        InputError: the file cannot be read, a column is missing, or a cell is no value of its parameter.
    """
    columns = dict(spec.pool.columns) if spec.pool is not None else {}
    searched = spec.problem.searched
    pool = _by_column(str(lab.inputs[name].path), searched, columns)
    if pool is not None:
        return pool
    # What is fixed or derived has no column.
    problem = spec.problem.model_copy(update={"parameters": searched})
    return pool_from_table(lab.inputs[name].path, problem, columns)


def _by_column(path: str, parameters: Sequence[Searched], columns: Mapping[str, str]) -> Pool | None:
    """The pool of a long table, read by column; None for one that is short or has faults, to be read with care."""
    import numpy as np

    headings = {p.name: columns.get(p.name, p.name) for p in parameters}
    texts = {headings[p.name] for p in parameters if isinstance(p, CategoricalParameter)}
    if set(columns) - set(headings):
        return None
    cells = _cells(path, set(headings.values()), texts)
    if cells is None:
        return None
    typed: dict[str, list[Scalar]] = {}
    keys = []
    for parameter in parameters:
        column = cells[headings[parameter.name]]
        if isinstance(parameter, CategoricalParameter):
            codes = {text: i for i, text in enumerate(dict.fromkeys(column))}
            typed[parameter.name] = column
            keys.append(np.array([codes[text] for text in column], dtype=np.int64))
            continue
        values = np.array(column, dtype=np.float64)
        if not np.isfinite(values).all():
            return None
        span = float(np.ptp(values)) or 1.0
        keys.append(np.round(values / (_ROUNDING * span)).astype(np.int64))
        whole = isinstance(parameter, IntegerParameter) and bool((values == np.floor(values)).all())
        typed[parameter.name] = (values.astype(np.int64) if whole else values).tolist()
    kept = _first_of_each(np.stack(keys, axis=1))
    if len(kept) == len(keys[0]):
        return Pool(columns={name: tuple(column) for name, column in typed.items()})
    return Pool(columns={name: tuple(column[i] for i in kept) for name, column in typed.items()})


def _cells(path: str, wanted: set[str], texts: set[str]) -> dict[str, list[Any]] | None:
    """Columns of a long table by heading, numbers as numbers; None for a short one or one that has faults.

    Read with pyarrow where that is installed, which takes a tenth of the time.
    """
    try:
        if Path(path).stat().st_size < 2 * LARGE_POOL:
            return None
        import pyarrow as arrow
        from pyarrow import csv as fast
    except OSError:
        return None
    except ModuleNotFoundError:
        return _cells_by_row(path, wanted, texts)
    try:
        options = fast.ConvertOptions(column_types=dict.fromkeys(texts, arrow.string()), include_columns=sorted(wanted))
        table = fast.read_csv(path, convert_options=options)
    except (arrow.ArrowInvalid, arrow.ArrowKeyError, OSError):
        return None
    found = {}
    for name in wanted:
        column = table.column(name)
        right = name in texts or arrow.types.is_floating(column.type) or arrow.types.is_integer(column.type)
        if not right or column.null_count:
            return None
        values = column.to_pylist() if name in texts else column.to_numpy()
        found[name] = [text.strip() for text in values] if name in texts else values
    return found if table.num_rows > LARGE_POOL else None


def _cells_by_row(path: str, wanted: set[str], texts: set[str]) -> dict[str, list[Any]] | None:
    import csv

    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            headings = [cell.strip() for cell in next(reader, [])]
            body = [row for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error):
        return None
    if len(body) <= LARGE_POOL or not wanted <= set(headings) or any(len(row) != len(headings) for row in body):
        return None
    columns = zip(headings, zip(*body, strict=True), strict=True)
    try:
        return {
            name: [cell.strip() for cell in column] if name in texts else list(map(float, column))
            for name, column in columns
            if name in wanted
        }
    except ValueError:
        return None


def _first_of_each(keys: Any) -> list[int]:
    """Indices of the first of each set of equal rows of whole numbers, rising."""
    import numpy as np

    mixed = np.zeros(len(keys), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for j in range(keys.shape[1]):
            mixed = (mixed ^ keys[:, j].astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
    _, first, which = np.unique(mixed, return_index=True, return_inverse=True)
    if not (keys[first[which]] == keys).all():  # two rows with one hash: compare them in full
        _, first = np.unique(keys, axis=0, return_index=True)
    return [int(i) for i in np.sort(first)]
