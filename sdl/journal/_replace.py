"""`dataclasses.replace` for frozen records with slots, at a third of the cost: the fold does little else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

__all__ = ["copied_as", "replace", "settle"]

_T = TypeVar("_T")


def replace(record: _T, **changes: Any) -> _T:
    """A copy with other values in some fields. For records without `__post_init__`, made by `@dataclass(slots=True)`.

    Raises:
        AttributeError: there is no such field.
    """
    kind: Any = type(record)
    copied: _T = _copier(kind)(record)
    setters = _setters(kind)
    for name, value in changes.items():
        setter = setters.get(name)
        if setter is None:
            raise AttributeError(f"{kind.__qualname__} has no field {name!r}")
        setter(copied, value)
    return copied


def copied_as(kind: type[_T], record: _T) -> _T:
    """A copy that is of this kind, where the record is of a kind derived from it."""
    exact: Any = kind
    copied: _T = _copier(exact)(record)
    return copied


def settle(record: Any, **values: Any) -> None:
    """Set fields of a record that its maker alone has seen yet.

    Raises:
        KeyError: there is no such field.
    """
    kind: Any = type(record)
    setters = _setters(kind)
    for name, value in values.items():
        setters[name](record, value)


@cache
def _setters(kind: Any) -> dict[str, Callable[[Any, Any], None]]:
    """Field → what sets it, whatever the record says of being frozen."""
    return {field.name: getattr(kind, field.name).__set__ for field in fields(kind)}


@cache
def _copier(kind: Any) -> Callable[[Any], Any]:
    """What makes a copy."""
    members = [getattr(kind, field.name) for field in fields(kind)]
    values = attrgetter(*(field.name for field in fields(kind)))
    puts, new = [member.__set__ for member in members], object.__new__

    def copy(record: Any) -> Any:
        copied = new(kind)
        for put, value in zip(puts, values(record), strict=True):
            put(copied, value)
        return copied

    return copy
