"""`sdl validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sdl.campaign import load_campaign
from sdl.campaign.settings import parse_settings
from sdl.campaign.validation import Validation, proposals, validate
from sdl.cli._format import console, print_json

__all__ = ["validate_command"]

_SHOWN = 20


def validate_command(path: Path, trials: int, settings: list[str], json: bool) -> int:
    """Draw the plans of trials from all over the space; returns the exit status: 2 when some would be refused."""
    loaded = load_campaign(path, parse_settings(settings))
    found = validate(loaded, proposals(loaded, trials))
    if json:
        print_json(_as_json(found))
    else:
        console().print(_in_words(found), markup=False, highlight=False)
    return 0 if found.ok else 2


def _as_json(found: Validation) -> dict[str, Any]:
    faults = [
        {
            "trial": number,
            "step": step,
            "station": station,
            "file": fault.file,
            "line": fault.line,
            "message": fault.message,
        }
        for number, items in found.faults.items()
        for step, station, fault in items
    ]
    return {"trials": found.trials, "plans": found.plans, "seconds": round(found.seconds, 4), "faults": faults}


def _in_words(found: Validation) -> str:
    head = f"{found.plans} plans of {found.trials} trials drawn in {found.seconds:.2f} s"
    if found.ok:
        return f"{head}: all within limits and interlocks"
    lines = [
        f"  trial {number}, step {step} on {station}: {fault}"
        for number, items in found.faults.items()
        for step, station, fault in items
    ]
    more = [f"  and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join([f"{head}: {len(found.faults)} trials would be refused", *lines[:_SHOWN], *more])
