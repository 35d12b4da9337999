"""Canonical JSON: one text for one value.

Keys are sorted by code point, floats are the shortest text that reads back as the same 64-bit number, nothing is
escaped that need not be, and there are no blanks. NaN and infinities, which JSON lacks, become null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from enum import Enum
from typing import Any
from uuid import UUID

import orjson

from sdl.journal._errors import JournalError
from sdl.model import JSON

__all__ = ["canonical", "is_canonical", "normalise"]

_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_LEAST, _GREATEST = -(2**63), 2**64 - 1
_DEPTH = 100


def is_canonical(text: str) -> bool:
    """Whether a text is canonical JSON.

    Raises:
        ValueError: it is no JSON.
    """
    return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS) == text.encode()


def canonical(value: Any) -> str:
    """Canonical JSON text of a value.

    Raises:
        JournalError: it cannot be told in JSON without loss; the message names the path within the value.
    """
    try:
        return orjson.dumps(value, default=_plain, option=_OPTIONS).decode()
    except (TypeError, JournalError):
        # The fast encoder cannot say where the fault is, and is stricter on a few harmless things.
        return orjson.dumps(normalise(value), option=_OPTIONS).decode()


def normalise(value: Any) -> JSON:
    """The value as plain JSON: dict, list, str, int, float, bool and None only; a deep copy.

    NumPy scalars and arrays, tuples, enumerations, UUIDs and dates become their plain counterparts.

    Raises:
        JournalError: a type that JSON has no form for, a key that is no text, an integer beyond 64 bits, a text that
            is not valid Unicode, a time without zone, or nesting deeper than 100. It names the path within the value.
    """
    return _walk(value, "", 0)


def _walk(value: Any, path: str, depth: int) -> JSON:
    if depth > _DEPTH:
        raise _refusal(path[:80] + "…", f"nested deeper than {_DEPTH} levels; does it contain itself?")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _walk(value.value, path, depth + 1)
    if isinstance(value, Mapping):
        return {_key(key, path): _walk(item, f"{path}.{key}", depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_walk(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    if isinstance(value, str):
        return _text(value, path)
    if isinstance(value, int):
        return _integer(int(value), path)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    try:
        plain = _plain(value)
    except JournalError as error:
        raise _refusal(path, str(error)) from None
    return _walk(plain, path, depth + 1)


def _plain(value: Any) -> Any:
    """One step from a rich value towards JSON, for the types that the encoder does not know."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise JournalError(f"{value!r} has no time zone; give one, as in datetime.now(UTC)")
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    return _plain_numpy(value)


def _plain_numpy(value: Any) -> Any:
    import numpy as np

    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufUO":
        return value.tolist()
    hint = "; name its fields, as in record.model_dump(mode='json')" if hasattr(value, "model_dump") else ""
    kind = value.dtype if isinstance(value, np.ndarray | np.generic) else type(value).__qualname__
    raise JournalError(f"{kind} has no form in JSON{hint}")


def _refusal(path: str, message: str) -> JournalError:
    return JournalError(f"{path.lstrip('.') or 'the value'}: {message}")


def _key(key: Any, path: str) -> str:
    if not isinstance(key, str):
        raise _refusal(path, f"the key {key!r} is no text; write str({key!r})")
    return _text(key, path)


def _text(text: str, path: str) -> str:
    plain = str.__str__(text)
    if not plain.isascii():
        try:
            plain.encode()
        except UnicodeEncodeError:
            raise _refusal(path, f"the text {plain[:40]!a} is not valid Unicode") from None
    return plain


def _integer(number: int, path: str) -> int:
    if not _LEAST <= number <= _GREATEST:
        raise _refusal(path, f"the integer {str(number)[:24]}… does not fit 64 bits; write it as text")
    return number
