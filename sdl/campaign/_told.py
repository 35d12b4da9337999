"""What people write of a trial that they made: flags, or a table."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sdl.model import FileFault, InputError, Problem
from sdl.plugins import suggest

__all__ = ["Told", "read_assignments", "read_told"]


@dataclass(frozen=True)
class Told:
    """A trial as a person tells of it."""

    parameters: Mapping[str, Any]
    """Values by name; numbers, or texts with a unit as in `25 mL/min`. Fixed and derived ones may be left out."""
    outcomes: Mapping[str, Any] = field(default_factory=dict)
    """Name → number, or text as in `451.2 ± 0.3 nm`."""
    infeasible: str = ""
    """Why no material came of it, in place of outcomes."""
    source: str = ""
    """File and line, for faults."""


def read_assignments(texts: Iterable[str]) -> dict[str, str]:
    """`name=value` texts as a mapping.

    Raises:
        InputError: every text that is none, and every name given twice.
    """
    found: dict[str, str] = {}
    faults = []
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name or not value:
            faults.append(FileFault(f"{text!r}: write it as NAME=VALUE, as in 'flow=25 mL/min'"))
        elif name in found:
            faults.append(FileFault(f"{name} is given twice: {found[name]!r} and {value!r}"))
        found.setdefault(name, value)
    if faults:
        raise InputError(faults)
    return found


def read_told(path: str | Path, problem: Problem) -> list[Told]:
    """Trials from a CSV file: a line each, columns named as parameters and outcomes, `NAME_sem` for standard errors.

    An empty cell of an outcome is an outcome that was not measured; a column `infeasible` says why nothing came of a
    trial. Other columns are refused.

    Raises:
        InputError: the file cannot be read, or has columns that are neither.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = [(reader.line_num, {str(k).strip(): str(v or "").strip() for k, v in row.items()}) for row in reader]
            headings = [str(name).strip() for name in reader.fieldnames or ()]
    except OSError as error:
        raise InputError(f"cannot read the table {str(path)!r}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{str(path)!r} is no CSV file in UTF-8: {error}") from error
    outcomes = [o.name for o in (*problem.objectives, *problem.outcome_constraints)]
    known = [*problem.parameter_names, *outcomes, *(f"{name}_sem" for name in outcomes), "infeasible"]
    strange = [name for name in headings if name not in known]
    if strange:
        message = "column {!r} is neither a parameter nor an outcome{}; leave it out or rename it"
        raise InputError([FileFault(message.format(n, suggest(n, known)), str(path), 1) for n in strange])
    if not rows:
        raise InputError([FileFault("no rows under the headings", str(path))])
    return [_row(row, problem, outcomes, f"{path}:{line}") for line, row in rows]


def _row(row: Mapping[str, str], problem: Problem, outcomes: Sequence[str], source: str) -> Told:
    values = {name: row[name] for name in problem.parameter_names if row.get(name)}
    given = {
        name: f"{row[name]} ± {row[f'{name}_sem']}" if row.get(f"{name}_sem") else row[name]
        for name in outcomes
        if row.get(name)
    }
    return Told(values, given, row.get("infeasible", ""), source)
