"""How values look in a terminal."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from sdl.model import Outcome

__all__ = ["console", "duration", "number", "outcome", "parameters", "plain", "print_json", "when"]


_PIPE_WIDTH = 1000


def console(*, stderr: bool = False) -> Console:
    """A console that neither colours numbers nor breaks lines in the middle of a word."""
    out = Console(stderr=stderr, highlight=False, soft_wrap=False)
    # A pipe has no width of its own; whoever reads it wants whole cells.
    return out if out.is_terminal else Console(stderr=stderr, highlight=False, width=_PIPE_WIDTH)


def number(value: Any, digits: int = 4) -> str:
    """A value in few digits: 12.35, 0.0123, 1.2e+06; text as it is."""
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return plain(str(value))


def outcome(value: Outcome, *, unit: bool = True) -> str:
    """`0.0312 ± 0.0004 nm`, the value cut to two digits of its standard error."""
    shown = "" if not unit or value.unit == "1" else f" {value.unit}"
    if not value.sem:
        return f"{value.value:.4g}{shown}"
    places = max(0, 1 - math.floor(math.log10(value.sem)))
    if places > 9 or abs(value.value) >= 1e9:
        return f"{value.value:.6g} ± {value.sem:.2g}{shown}"
    return f"{value.value:.{places}f} ± {value.sem:.{places}f}{shown}"


def parameters(values: Mapping[str, Any]) -> str:
    """`temperature 61.2, flow 14`."""
    return ", ".join(f"{name} {number(value)}" for name, value in values.items())


def duration(seconds: float) -> str:
    """`0:42`, `1:02:03`, `3 d 04:05`."""
    whole = max(0, round(seconds))
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, secs = divmod(rest, 60)
    if days:
        return f"{days} d {hours:02}:{minutes:02}"
    return f"{hours}:{minutes:02}:{secs:02}" if hours else f"{minutes}:{secs:02}"


def when(at: int) -> str:
    """Local time of a UTC time in ns, to the second."""
    return datetime.fromtimestamp(at / 1e9, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else "–"


def plain(text: str) -> str:
    """Text without control characters: what a stranger wrote cannot steer the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "�" for char in text)


def print_json(value: Mapping[str, Any], file: Any = None) -> None:
    """One JSON object on one line, at once."""
    import orjson

    target = file or sys.stdout
    target.write(orjson.dumps(value).decode() + "\n")
    target.flush()
