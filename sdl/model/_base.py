"""Base of all records: frozen, closed to unknown keys, ordered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

__all__ = ["JSON", "Name", "Record", "Scalar", "Unit", "named"]

Scalar = float | int | str
"""A value of one parameter."""

JSON = Any
"""Anything that JSON can hold."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^[A-Za-z][A-Za-z0-9_\-]*$")]
"""A name that people type: letters, digits, `_` and `-`, beginning with a letter."""


class Record(BaseModel):
    """A frozen value. Unknown keys are refused; JSON round-trips."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True, validate_default=True
    )


def _known_unit(unit: str) -> str:
    from sdl.model.units import check_unit

    return check_unit(unit)


Unit = Annotated[str, AfterValidator(_known_unit)]
"""A unit that pint understands (`nm`, `degC`, `uL/min`, `percent`); `1` for a pure number."""


def named(value: Any) -> Any:
    """Turn the mapping `name: {…}` that people write into the ordered sequence `[{name: …, …}]` that records hold.

    The order of a mapping is lost by canonical JSON, and planners depend on the order of parameters.
    """
    if not isinstance(value, Mapping):
        return value
    return [
        {"name": name, **item} if isinstance(item, Mapping) else {"name": name, "value": item}
        for name, item in value.items()
    ]
