"""A Gantt chart of characters: a row a station, a block a step, as wide as the terminal; readable without colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from rich.text import Text

__all__ = ["Block", "Kind", "Row", "draw", "hours"]

Kind = Literal["done", "running", "planned", "failed"]

_GLYPHS: dict[Kind, str] = {"done": "█", "running": "▓", "planned": "░", "failed": "×"}
_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_red", "bright_cyan", "bright_magenta")
_STEPS = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400, 172800, 345600, 604800)
"""Lab seconds between two marks of the axis."""
_APART = 10
"""Characters between two marks, at least."""


@dataclass(frozen=True, slots=True)
class Block:
    """A step on its row."""

    trial: int
    start: float
    """Lab seconds."""
    end: float
    kind: Kind


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the chart."""

    name: str
    blocks: tuple[Block, ...]
    quiet: bool = False
    """Whether it stands back behind the row above it."""


class _Cell(NamedTuple):
    covered: float
    block: Block


def draw(rows: Sequence[Row], begin: float, end: float, width: int, now: float | None = None) -> list[Text]:
    """The lines of a chart.

    Args:
        rows: from the top.
        begin: lab second at its left end.
        end: lab second at its right end.
        width: characters of a line.
        now: lab second at which a line is drawn; None for no line.
    """
    margin = max((len(row.name) for row in rows), default=0) + 1
    cells = max(width - margin, 10)
    scale = cells / max(end - begin, 1e-9)
    mark = None if now is None or not begin <= now <= end else min(int((now - begin) * scale), cells - 1)
    lines = []
    if mark is not None:
        said = "now ▼" if mark >= 5 else "▼ now"
        lines.append(Text(" " * (margin + (mark - 4 if mark >= 5 else mark)) + said, style="bold"))
    for row in rows:
        line = Text(row.name.ljust(margin), style="dim" if row.quiet else "")
        line.append_text(_line(row, begin, scale, cells, mark))
        lines.append(line)
    return [*lines, *_axis(begin, end, scale, cells, margin)]


def _line(row: Row, begin: float, scale: float, cells: int, mark: int | None) -> Text:
    found = _cells(row.blocks, begin, scale, cells)
    line, column = Text(), 0
    while column < cells:
        cell = found.get(column)
        if cell is None:
            line.append("│" if column == mark else " ", style="bold" if column == mark else "")
            column += 1
            continue
        until = column
        while until < cells and until in found and found[until].block is cell.block:
            until += 1
        line.append_text(_block(cell.block, until - column, row.quiet))
        column = until
    return line


def _block(block: Block, size: int, quiet: bool) -> Text:
    """A block with the number of its trial, where there is room for it."""
    colour = _COLOURS[block.trial % len(_COLOURS)]
    # Of a fault in a single character, that it is one matters more than whose it is.
    label = str(block.trial) if len(str(block.trial)) <= size - (block.kind == "failed") else ""
    solid = block.kind in ("done", "running")
    text = Text(label, style=f"black on {colour}" if solid and not quiet else f"bold {colour}")
    text.append(_GLYPHS[block.kind] * (size - len(label)), style="red" if block.kind == "failed" else colour)
    return text


def _cells(blocks: Sequence[Block], begin: float, scale: float, cells: int) -> dict[int, _Cell]:
    """The block that covers most of each cell; every block has one cell, unless a longer one needs it."""
    found: dict[int, _Cell] = {}
    for block in blocks:
        first, last = (block.start - begin) * scale, (block.end - begin) * scale
        if last < 0 or first >= cells:
            continue
        covered = {
            column: min(last, column + 1) - max(first, column)
            for column in range(max(int(first), 0), min(math.ceil(last) + (first == last), cells))
        }
        most = max(covered.values(), default=0.0)
        for column, share in covered.items():
            if (share >= 0.5 or share == most) and (column not in found or share > found[column].covered):
                found[column] = _Cell(share, block)
    return found


def _axis(begin: float, end: float, scale: float, cells: int, margin: int) -> list[Text]:
    step = next((s for s in _STEPS if s * scale >= _APART), _STEPS[-1])
    ticks, labels = [" "] * cells, " " * margin
    rule = ["─"] * cells
    at = math.ceil(begin / step - 1e-9) * step
    while at <= end + 1e-6:
        column = min(int((at - begin) * scale), cells - 1)
        rule[column] = "┬"
        text = hours(at)
        if column + len(text) <= cells:
            ticks[column : column + len(text)] = text
        at += step
    return [Text(labels + "".join(rule), style="dim"), Text(labels + "".join(ticks).rstrip(), style="dim")]


def hours(seconds: float) -> str:
    """Lab time in hours and minutes, as in `1:05`."""
    minutes = round(seconds / 60)
    return f"{minutes // 60}:{minutes % 60:02}"
