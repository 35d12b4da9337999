"""How long steps take and may wait, as the lab file declares it; everything in lab seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sdl.lab.spec import StepSpec
from sdl.model.units import convert, parse_quantity

__all__ = ["StepTiming", "step_timing"]


@dataclass(frozen=True)
class StepTiming:
    """What a lab file says of the time that one step takes."""

    base: float | None = None
    """Declared part that does not depend on the trial; None when nothing is declared."""
    add: tuple[str, ...] = ()
    """Arguments of the plan that are spans of time."""
    min_wait: float = 0.0
    """Since the end of the step before."""
    max_wait: float | None = None
    setup_by: str = ""
    """Argument by which the station has to be set up; empty for none."""
    setup_per: float = 0.0
    """Seconds for each unit of difference."""
    setup_start: float | None = None
    """What a station is set to that has done no step yet; None when that does not matter."""

    def duration(self, arguments: Mapping[str, Any], units: Mapping[str, str]) -> float | None:
        """Declared duration, set-up left out; None when nothing is declared.

        Args:
            arguments: of the plan, for one trial.
            units: parameter → unit; other arguments are numbers of seconds, or quantities.
        """
        if self.base is None:
            return None
        return self.base + sum(_seconds(arguments[name], units.get(name, "1")) for name in self.add)

    def setup_value(self, arguments: Mapping[str, Any]) -> float | None:
        """What the station has to be set to; None when it needs no set-up."""
        return float(arguments[self.setup_by]) if self.setup_by else None


def _seconds(value: Any, unit: str) -> float:
    if isinstance(value, str):
        return parse_quantity(value, "s")
    return float(value) if unit == "1" else convert(float(value), unit, "s")


def step_timing(step: StepSpec, faults: list[str]) -> StepTiming:
    """Read the spans of time of a step.

    Args:
        step: as the lab file has it.
        faults: what is wrong is added here, in words.
    """

    def span(field: str, text: str | float | None, default: float = 0.0) -> float:
        if text is None:
            return default
        try:
            seconds = parse_quantity(text, "s")
            if seconds < 0:
                raise ValueError(f"{text} must not be below 0 s")
        except ValueError as error:
            faults.append(f"{field}: {error}")
            return default
        return seconds

    least = span("min_wait", step.min_wait)
    most = None if step.max_wait is None else span("max_wait", step.max_wait)
    if most is not None and most < least:
        faults.append(f"max_wait: {step.max_wait} is less than min_wait, {step.min_wait}")
    duration, setup = step.duration, step.setup
    return StepTiming(
        None if duration is None else span("duration", duration.base),
        () if duration is None else duration.add,
        least,
        most,
        "" if setup is None else setup.by,
        0.0 if setup is None else span("setup.per_unit", setup.per_unit),
        None if setup is None else setup.start,
    )
