"""Process variables of a simulated IOC: values that are worked out when they are asked for."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import caproto as ca

__all__ = ["Field", "Refused", "choice", "integer", "number", "text"]


class Refused(Exception):
    """The record does not take the value; the client's put fails."""


class Field:
    """Mixed into a kind of caproto's `ChannelData`.

    Args:
        get: gives the value when it is asked for; None for a value that stays as it was put.
        put: takes a value that a client puts, and returns when the record has processed it; None for a value that
            clients cannot change, unless `writable`.
        writable: whether clients may put a value that nothing follows from.
    """

    _data: dict[str, Any]

    def __init__(
        self,
        *,
        get: Callable[[], Any] | None = None,
        put: Callable[[Any], Awaitable[None]] | None = None,
        writable: bool = False,
        **given: Any,
    ) -> None:
        self._get, self._put, self._writable = get, put, writable
        super().__init__(**given)

    def check_access(self, hostname: str | None, username: str | None) -> ca.AccessRights:
        """Who may do what: everybody may read, and put what can be put."""
        rights = ca.AccessRights.READ
        return rights | ca.AccessRights.WRITE if self._put or self._writable else rights

    def now(self) -> Any:
        """The value as it is now."""
        return self._data["value"] if self._get is None else self._get()

    async def read(self, data_type: Any) -> Any:
        """The value as it is now, in the kind of data that the client wants."""
        if self._get is not None:
            self._data["value"] = self._get()
            self._data["timestamp"] = ca.TimeStamp.from_flexible_value(time.time())
        return await super().read(data_type)  # type: ignore[misc]

    async def write_from_dbr(self, data: Any, data_type: Any, metadata: Any, *, flags: int = 0) -> None:
        """A client's put. Returns when the record has processed it."""
        await super().write_from_dbr(data, data_type, metadata, flags=flags)  # type: ignore[misc]
        if self._put is not None:
            value = self._data["value"]
            await self._put(value.item() if hasattr(value, "item") else value)

    async def show(self, value: Any) -> None:
        """Change the value and tell those who monitor it."""
        await self.write(value, verify_value=False)  # type: ignore[attr-defined]


class _Number(Field, ca.ChannelDouble):  # type: ignore[misc]
    async def verify_value(self, data: Any) -> Any:
        """Limits are the record's business: it takes the value, and says what it makes of it."""
        return data


class _Integer(Field, ca.ChannelInteger):  # type: ignore[misc]
    pass


class _Text(Field, ca.ChannelString):  # type: ignore[misc]
    pass


class _Choice(Field, ca.ChannelEnum):  # type: ignore[misc]
    pass


def number(value: float, *, unit: str = "", precision: int = 3, **given: Any) -> Any:
    """A field with a number."""
    return _Number(value=float(value), units=unit, precision=precision, **given)


def integer(value: int, **given: Any) -> Any:
    """A field with a whole number."""
    return _Integer(value=value, **given)


def text(value: str, **given: Any) -> Any:
    """A field with at most 39 characters."""
    return _Text(value=value, **given)


def choice(*names: str, **given: Any) -> Any:
    """A field with one of several words; the first at the beginning."""
    return _Choice(value=names[0], enum_strings=list(names), **given)
