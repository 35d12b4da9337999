"""Journal entries as msgpack: plain data both ways, checked on the way in, never pickle."""

from __future__ import annotations

from typing import Any, Final

import msgpack

from sdl.journal import Entry
from sdl.model import SdlError

__all__ = ["MAX_BYTES", "WireError", "decode_entry", "encode_entry", "load_document", "pack", "unpack"]

MAX_BYTES: Final = 16 * 1024 * 1024
"""Largest entry that is sent or accepted, bytes."""

VERSION: Final = 1
_MAX_DEPTH: Final = 128
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
_FIELDS: Final[tuple[tuple[str, type], ...]] = (
    ("version", int),
    ("campaign", str),
    ("seq", int),
    ("at", int),
    ("kind", str),
    ("body", dict),
    ("prev_hash", str),
    ("hash", str),
)


class WireError(SdlError):
    """A message, an address or a key of the live feed cannot be used; the text says which and why."""


def pack(value: Any) -> bytes:
    """`value` (JSON data and bytes) as msgpack.

    Raises:
        WireError: it holds something else.
    """
    try:
        packed = msgpack.packb(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise WireError(f"cannot be sent as msgpack: {error}") from error
    return bytes(packed)


def unpack(data: bytes, *, max_bytes: int = MAX_BYTES) -> Any:
    """The value in `data`. Containers, strings and bytes are those that msgpack allows; nothing is executed.

    Raises:
        WireError: longer than `max_bytes`, or no msgpack.
    """
    if len(data) > max_bytes:
        raise WireError(f"message of {len(data)} bytes; the limit is {max_bytes} bytes")
    try:
        return msgpack.unpackb(data)
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise WireError(f"message is no msgpack: {str(error) or type(error).__name__}") from error


def _check_json(value: Any, depth: int = _MAX_DEPTH) -> None:
    kind = type(value)
    if kind in _SCALARS:
        return
    if depth == 0:
        raise WireError(f"message is nested deeper than {_MAX_DEPTH} levels")
    if kind is dict:
        for key in value:
            if type(key) is not str:
                raise WireError(f"key {key!r} is a {type(key).__name__}; keys are text")
        items = value.values()
    elif kind is list:
        items = value
    else:
        raise WireError(f"a {kind.__name__} is no JSON value")
    for item in items:
        if type(item) not in _SCALARS:
            _check_json(item, depth - 1)


def check_fields(value: Any, fields: tuple[tuple[str, type], ...], what: str) -> None:
    """Require a list with these fields, in order, of exactly these types, and non-negative integers.

    Raises:
        WireError: naming `what` and the field that is wrong.
    """
    if type(value) is not list or len(value) != len(fields):
        raise WireError(f"{what} is not a list of {len(fields)} fields")
    for item, (name, kind) in zip(value, fields, strict=True):
        if type(item) is not kind:
            raise WireError(f"{what}: {name} is {type(item).__name__}, not {kind.__name__}")
        if type(item) is int and item < 0:
            raise WireError(f"{what}: {name} is {item}, below 0")
    if value[0] != VERSION:
        raise WireError(f"{what} has wire version {value[0]}; this release reads {VERSION}: update the older side")


def encode_entry(entry: Entry, *, max_bytes: int = MAX_BYTES) -> bytes:
    """The entry as msgpack.

    Raises:
        WireError: its body is not JSON data, or it is longer than `max_bytes`.
    """
    data = pack([VERSION, *entry])
    if len(data) > max_bytes:
        raise WireError(f"entry {entry.seq} ({entry.kind}) has {len(data)} bytes; the limit is {max_bytes} bytes")
    return data


def decode_entry(data: bytes, *, max_bytes: int = MAX_BYTES) -> Entry:
    """The entry in `data`, every field's type checked.

    Raises:
        WireError: malformed, too long, or of another wire version.
    """
    value = unpack(data, max_bytes=max_bytes)
    check_fields(value, _FIELDS, "entry")
    _check_json(value[5])
    return Entry(*value[1:])


def load_document(data: bytes) -> dict[str, Any]:
    """The Bluesky document in `data`: the `deserializer` for `bluesky.callbacks.zmq.RemoteDispatcher`.

    Raises:
        WireError: malformed or too long.
    """
    value = unpack(data)
    if type(value) is not dict:
        raise WireError(f"document is a {type(value).__name__}, not a dict")
    _check_json(value)
    return value
