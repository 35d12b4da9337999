"""Where a store is: a file, or a PostgreSQL database."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from sdl.model import InputError

__all__ = ["StoreLocation", "is_url", "location", "shown"]

StoreLocation = str | Path
"""Path of an SQLite file, or the URL of a PostgreSQL database, as in `postgresql://hana@db.lab.example/journals`."""

_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://")
_SCHEMES: Final = ("postgresql", "postgres", "postgresql+psycopg")


def is_url(place: StoreLocation) -> bool:
    """Whether a location is a URL, and no path."""
    return isinstance(place, str) and _URL.match(place) is not None


def location(text: str) -> StoreLocation:
    """The location that a person wrote: a URL stays a text, all else is a path.

    Raises:
        InputError: a URL of another kind than PostgreSQL's, as `mysql://…`; or one that lost a slash.
    """
    found = _URL.match(text)
    if found is None:
        if re.match(r"postgres(ql)?(\+psycopg)?:", text):
            raise InputError(f"{text!r} is no URL: write postgresql://USER@HOST/DATABASE, with two slashes")
        return Path(text)
    if found["scheme"].lower() not in _SCHEMES:
        raise InputError(
            f"{shown(text)}: a store is a file or a PostgreSQL database; write a path, or "
            "postgresql://USER@HOST/DATABASE"
        )
    return text


def shown(place: StoreLocation) -> str:
    """A location for people: without the password of a URL."""
    if not is_url(place):
        return str(place)
    bare = re.sub(r"^([^:]+://[^/?#@:]*):[^/?#@]*@", r"\1:***@", str(place))
    return re.sub(r"([?&](?:password|sslpassword)=)[^&#]*", r"\1***", bare)
