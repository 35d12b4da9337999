"""Settings of simulated instruments as lab files give them: quantities with units, each fault with its limit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from sdl.model import FileFault, Record
from sdl.model.units import parse_quantity
from sdl.plugins import suggest

__all__ = ["Deadman", "InstrumentSettings", "by_role", "deadman_of", "faults_of", "options_of", "quantity"]


def quantity(unit: str, low: float = -math.inf, high: float = math.inf) -> Any:
    """A number in `unit` from text such as `30 s`; a bare number has the unit already, null stays null.

    A step or rate of temperature has a unit with `delta_degC`, and its text may say `degC`.
    """

    def read(given: Any) -> Any:
        if given is None:
            return None
        if isinstance(given, str) and "delta_degC" in unit and "delta_" not in given:
            given = given.replace("degC", "delta_degC")
        value = parse_quantity(given, unit)
        if not low <= value <= high:
            shown = unit.replace("delta_", "")
            raise ValueError(f"{value:g} {shown} is outside its limits, {low:g} to {high:g} {shown}")
        return value

    return BeforeValidator(read)


Deadman = Annotated[float | None, quantity("s", 0.05, 1e6)]
"""Wall seconds without a valid request after which an instrument drives itself to its safe state; null for never."""
_DEADMAN: TypeAdapter[float | None] = TypeAdapter(Deadman)


class InstrumentSettings(Record):
    """What every simulated instrument can be set to."""

    deadman: Deadman = None
    """Dead-man lease, wall s; the default of the simulation's options when left out."""

    def lease(self, default: float | None) -> float | None:
        """Dead-man lease of this instrument, wall s, where the simulation has a default for all."""
        return self.deadman if "deadman" in self.model_fields_set else default


S = TypeVar("S", bound=InstrumentSettings)
R = TypeVar("R", bound=Record)


def by_role(
    instruments: Mapping[str, Mapping[str, Any]], kinds: Mapping[str, type[S]], faults: list[FileFault]
) -> dict[str, S]:
    """Settings of each instrument, as its role has them; what is wrong is added to `faults`."""
    settings: dict[str, S] = {}
    for name, given in instruments.items():
        path, role = f"instruments.{name}", given.get("role")
        kind = kinds.get(role) if isinstance(role, str) else None
        if kind is None:
            faults.append(FileFault(f"no role {role!r}{suggest(str(role), list(kinds))}", path=f"{path}.role"))
            continue
        try:
            settings[name] = kind.model_validate(dict(given))
        except ValidationError as error:
            faults += faults_of(error, path, known=list(kind.model_fields))
    return settings


def options_of(kind: type[R], given: Mapping[str, Any], faults: list[FileFault]) -> R:
    """Options of a simulation; what is wrong is added to `faults`, and the defaults stand."""
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        faults += faults_of(error, "options", known=list(kind.model_fields))
    return kind()


def deadman_of(given: Any, path: str, faults: list[FileFault]) -> float | None:
    """Read a dead-man lease that stands outside a record; adds what is wrong with it to `faults`."""
    try:
        return _DEADMAN.validate_python(given)
    except ValidationError as error:
        faults += faults_of(error, path, known=[])
        return None


def faults_of(error: ValidationError, path: str, *, known: list[str], skip: int = 0) -> list[FileFault]:
    """Faults of a file from a failed validation.

    Args:
        error: of pydantic.
        path: dotted path of what was validated.
        known: keys that it may have.
        skip: leading parts of pydantic's locations that are no keys of the file.
    """
    faults = []
    for detail in error.errors():
        where = ".".join(map(str, (path, *detail["loc"][skip:])))
        message = str(detail["msg"]).removeprefix("Value error, ")
        if detail["type"] == "extra_forbidden":
            message = "unknown key" + suggest(str(detail["loc"][-1]), known)
        faults.append(FileFault(message, path=where))
    return faults
