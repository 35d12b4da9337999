"""`sdl query`: which trials meet conditions, over all campaigns of a store."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from sdl.campaign.inventory import today
from sdl.cli._as import say_withheld, with_data
from sdl.cli._format import console, number, plain
from sdl.fair.access import role_of, seen_by
from sdl.fair.query import Answer, answer
from sdl.journal import Store
from sdl.journal.location import StoreLocation
from sdl.model import InputError
from sdl.plugins import suggest

__all__ = ["FORMATS", "query_command"]

FORMATS = ("table", "csv", "parquet")


def query_command(
    text: str,
    campaigns: Sequence[str],
    columns: Sequence[str],
    filters: Mapping[str, Sequence[str]],
    format: str,
    out: Path | None,
    as_: str,
    path: StoreLocation,
) -> None:
    """Answer a question on the terminal, or in a file.

    Args:
        text: the question.
        campaigns: to look in; empty for all.
        columns: to show, also several with commas between; empty for all.
        filters: status, sample, instrument, person.
        format: table, csv or parquet.
        out: file; None is standard output.
        as_: for whom, as in `--as`.
        path: of the store.

    Raises:
        InputError: the question cannot be answered, or the format is unknown or needs a file.
    """
    if format not in FORMATS:
        raise InputError(f"no format {format!r}{suggest(format, list(FORMATS))}")
    if format == "parquet" and out is None:
        raise InputError("parquet is binary and needs a file: name one, such as --out answer.parquet")
    named = [name for given in columns for name in given.split(",") if name.strip()]
    asked = [name for given in campaigns for name in given.split(",") if name.strip()]
    role = role_of(as_)
    with Store.open(path, create=False) as store:
        seen = seen_by(store, role, today())
        for name in asked if role.kind != "owner" else ():
            with_data(seen, name, role)
        if not asked and format == "table" and out is None:
            say_withheld(seen, role)
        found = answer(
            store, text, campaigns=asked, columns=named, role=role,
            status=filters.get("status", ()), sample=filters.get("sample", ()),
            instrument=filters.get("instrument", ()), person=filters.get("person", ()),
        )  # fmt: skip
    if out is not None:
        for written in found.write("csv" if format == "table" else format, out):
            console().print(f"written: {written}", markup=False, soft_wrap=True)
    elif format == "csv":
        sys.stdout.write(found.csv())
    else:
        _show(found)


def _show(found: Answer) -> None:
    out = console()
    if not found.rows:
        out.print("no trial", markup=False)
        return
    # A column in which nothing stands would only push the others off the screen.
    shown = [i for i, _ in enumerate(found.columns) if any(row[i] is not None for row in found.rows)]
    table = Table(box=None, pad_edge=False)
    for index in shown:
        column = found.columns[index]
        unit = f"\n{column.unit}" if column.unit not in ("", "1") else ""
        table.add_column(plain(f"{column.name}{unit}"), justify="left" if column.type == "text" else "right")
    for row in found.rows:
        table.add_row(*(Text(_cell(row[index]), overflow="fold") for index in shown))
    out.print(table)
    count = len(found.rows)
    trials = "1 trial" if count == 1 else f"{count} trials"
    of = len(found.campaigns)
    out.print(f"{trials} of {'1 campaign' if of == 1 else f'{of} campaigns'}", style="dim", markup=False)


def _cell(value: Any) -> str:
    return "–" if value is None else number(value, 6)
