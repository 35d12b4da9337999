"""Options of a planner, as written in a campaign file, read into a frozen record."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sdl.model import FileFault, InputError, Record

__all__ = ["read_options"]

R = TypeVar("R", bound=Record)


def read_options(record: type[R], planner: str, options: Mapping[str, Any]) -> R:
    """Validate the options of a planner.

    Args:
        record: the options' type; unknown keys are refused.
        planner: registered name, for the message.
        options: as a person wrote them.

    Raises:
        InputError: every option that is unknown or has a value that cannot be used.
    """
    try:
        return record(**options)
    except ValidationError as error:
        known = list(record.model_fields)
        raise InputError([_fault(planner, known, detail) for detail in error.errors()]) from None


def _fault(planner: str, known: list[str], detail: ErrorDetails) -> FileFault:
    name = ".".join(str(part) for part in detail["loc"])
    path = f"planner.options.{name}"
    if detail["type"] != "extra_forbidden":
        return FileFault(f"planner {planner!r}: {detail['msg']}, got {detail['input']!r}", path=path)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"
    return FileFault(f"planner {planner!r} has no option {name!r}; {hint}", path=path)
