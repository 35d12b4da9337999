"""Values as people read them: numbers with units, times, durations; and text made safe for plotly."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from typing import Any

from sdl.fair._facts import iso
from sdl.model import Match, Maximize, Objective, Outcome

__all__ = [
    "aim",
    "duration",
    "enough",
    "hover",
    "label",
    "moment",
    "number",
    "plot_text",
    "pretty_unit",
    "with_error",
]

_MICRO = re.compile(r"\bu(?=(L|l|m|g|s|mol|M|A|V|W)\b)")
_UNITS = {"1": "", "degC": "°C", "degF": "°F", "percent": "%", "dimensionless": "", "absorbance_unit": "AU"}


def pretty_unit(unit: str) -> str:
    """`degC` as °C, `uL/min` as µL/min, nothing for a pure number."""
    if unit in _UNITS:
        return _UNITS[unit]
    return _MICRO.sub("µ", unit).replace("**2", "²").replace("**3", "³")


def label(name: str, unit: str) -> str:
    """A name with its unit, as in `temperature / °C`."""
    pretty = pretty_unit(unit)
    return f"{name} / {pretty}" if pretty else name


def number(value: Any, unit: str = "") -> str:
    """Five significant digits, with the unit; text as it is; a dash for nothing."""
    if value is None:
        return "–"
    text = str(value) if isinstance(value, str | int) else f"{value:.5g}"
    pretty = pretty_unit(unit)
    return f"{text} {pretty}" if pretty else text


def with_error(outcome: Outcome) -> str:
    """Value ± standard error: the error to two digits, the value to the same decimals."""
    if not outcome.sem:
        return number(outcome.value, outcome.unit)
    digits = 1 - math.floor(math.log10(outcome.sem))
    if not 0 <= digits <= 9 or abs(outcome.value) >= 1e7:
        text = f"{outcome.value:.5g} ± {outcome.sem:.2g}"
    else:
        text = f"{outcome.value:.{digits}f} ± {outcome.sem:.{digits}f}"
    pretty = pretty_unit(outcome.unit)
    return f"{text} {pretty}" if pretty else text


def moment(at: int | None) -> str:
    """UTC nanoseconds as `2026-01-02 03:04:05 UTC`; a dash for nothing."""
    text = iso(at)
    return f"{text[:10]} {text[11:19]} UTC" if text else "–"


def duration(nanoseconds: int) -> str:
    """`2 d 3 h`, `4 h 5 min`, `6 min 7 s` or `8.9 s`."""
    seconds = nanoseconds / 1e9
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    for size, name, part, below in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {name}" + (f" {rest} {below}" if rest else "")
    raise AssertionError("60 s and more always fill a unit")


def aim(objective: Objective) -> str:
    """What an objective asks for, as in `match lambda_max to 450 nm`."""
    if isinstance(objective, Match):
        return f"match {objective.name} to {number(objective.target, objective.unit)}"
    return f"{'maximise' if isinstance(objective, Maximize) else 'minimise'} {objective.name}"


def enough(objective: Objective, value: float) -> str:
    """What a stopping rule waits for, as in `within 2 nm of the target`."""
    bound = number(value, objective.unit)
    if isinstance(objective, Match):
        return f"within {bound} of the target"
    return f"at {'least' if isinstance(objective, Maximize) else 'most'} {bound}"


def plot_text(text: Any, limit: int = 160) -> str:
    """Text that plotly shows letter by letter: plotly reads a subset of HTML in every text it draws."""
    plain = str(text)
    short = plain if len(plain) <= limit else plain[: limit - 1] + "…"
    return html.escape(short, quote=False).replace("\n", "<br>")


def hover(lines: Sequence[str]) -> str:
    """Lines of a plotly hover text, each made safe."""
    return "<br>".join(plot_text(line) for line in lines)
