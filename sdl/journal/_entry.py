"""One entry of the journal, and the hash that chains it to the one before.

The hash of an entry is the SHA-256 (lower-case hexadecimal) of this one line, in UTF-8, without a line end:

    ["<prev_hash>","<campaign>",<seq>,<at>,"<kind>",<body>]

It is a JSON array of six elements written without blanks: the previous entry's hash (64 zeros for the first entry of
a campaign), the campaign's id, the number of the entry, its time, its kind, and the body exactly as it is stored.
Strings are escaped as JSON demands and no further (RFC 8259, section 7): `"`, `\\` and control characters only.
Only the last element has a free form, so no two entries give one line.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

__all__ = ["GENESIS", "Entry", "digest", "hasher"]

GENESIS = "0" * 64
"""`prev_hash` of a campaign's first entry."""


class Entry(NamedTuple):
    """One thing that was decided or done. Immutable; do not change its body."""

    campaign: str
    """Id of the campaign."""
    seq: int
    """1, 2, 3 … within the campaign."""
    at: int
    """When it was recorded: UTC, nanoseconds since 1970; never earlier than the entry before."""
    kind: str
    """One of `sdl.journal.kinds`."""
    body: dict[str, Any]
    """Plain JSON."""
    prev_hash: str
    """`hash` of entry `seq` − 1."""
    hash: str
    """SHA-256 as the module describes it, hexadecimal."""

    def as_json(self) -> dict[str, Any]:
        """The entry as one JSON object."""
        return self._asdict()


def digest(prev_hash: str, campaign: str, seq: int, at: int, kind: str, body: str) -> str:
    """SHA-256 of an entry whose canonical body text is `body`, hexadecimal.

    Raises:
        ValueError: a text is not valid Unicode (only damage gives that).
    """
    try:
        head = orjson.dumps([prev_hash, campaign, seq, at, kind])
    except TypeError as error:
        raise ValueError(str(error)) from error
    return sha256(b"%b,%b]" % (head[:-1], body.encode())).hexdigest()


def gives_its_hash(line: tuple[Any, ...]) -> bool:
    """Whether an entry, a tuple in the order of `Entry` with the text of its body, gives its hash; of any types."""
    campaign, seq, at, kind, body, prev_hash, own = line
    try:
        return bool(digest(prev_hash, campaign, seq, at, kind, body) == own)
    except (ValueError, TypeError, AttributeError):
        return False


def hasher(campaign: str) -> Callable[[tuple[Any, ...]], bool]:
    """Tells whether an entry of a campaign, a tuple in the order of `Entry` with the text of its body, gives its hash.

    As `digest` does, at a third of the cost; False also where it cannot tell, and `digest` has to.
    """
    try:
        name = orjson.dumps(campaign).decode()
    except TypeError:
        return lambda line: False
    quoted: dict[str, str] = {}

    def gives(line: tuple[Any, ...]) -> bool:
        _, seq, at, kind, body, prev_hash, own = line
        if type(at) is not int or type(body) is not str or type(kind) is not str:
            return False
        try:
            text = quoted.get(kind) or quoted.setdefault(kind, orjson.dumps(kind).decode())
            found: str = sha256(f'["{prev_hash}",{name},{seq},{at},{text},{body}]'.encode()).hexdigest()
        except (ValueError, TypeError):
            return False
        return bool(found == own)

    return gives
