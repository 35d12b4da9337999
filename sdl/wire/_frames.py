"""The messages of the wire.

Live feed (XPUB → SUB), one frame each, three parts with a blank between them: kind, word, msgpack. The third
part may hold blanks; the word never does. Bluesky's RemoteDispatcher splits every message that way before it
looks at the kind, so all four are safe for it to receive:

    entry SEQ [version, campaign, seq, at, kind, body, prev_hash, hash]
    document NAME {Bluesky document}
    beat SEQ [version, campaign, epoch, seq]      once a second; SEQ is the last entry announced
    bye SEQ [version, campaign, epoch, seq]       the publisher closes in good order

History (DEALER ↔ ROUTER), one frame each:

    request [version, id, after, limit]
    reply [version, id, campaign, error, more, [entry …]]
    reply [version, id, campaign, error, more, [entry …], role, part, closing]     to those who are no operators
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple, cast

from sdl.journal import Entry
from sdl.wire._codec import (
    MAX_BYTES,
    VERSION,
    WireError,
    check_fields,
    decode_entry,
    encode_entry,
    pack,
    unpack,
)

ENTRY: Final = b"entry "
DOCUMENT: Final = b"document "
BEAT: Final = b"beat "
BYE: Final = b"bye "

DOCUMENT_NAMES: Final = frozenset(
    {
        "bulk_datum",
        "bulk_events",
        "datum",
        "datum_page",
        "descriptor",
        "event",
        "event_page",
        "resource",
        "start",
        "stop",
        "stream_datum",
        "stream_resource",
    }
)
"""Names in `event_model.DocumentNames`; any other would end a RemoteDispatcher."""

HEADROOM: Final = 64 * 1024
"""What a frame may hold beyond its largest entry, bytes."""
PAGE_BYTES: Final = 4 * 1024 * 1024
"""A history page closes once it holds this much, bytes."""
REPLY_BYTES: Final = PAGE_BYTES + MAX_BYTES + HEADROOM
REQUEST_BYTES: Final = 1024


class Beat(NamedTuple):
    """The publisher is alive (`beat`) or says goodbye (`bye`)."""

    kind: Literal["beat", "bye"]
    campaign: str
    epoch: str
    """Differs each time a publisher starts."""
    seq: int
    """Last entry it was given; 0 before the first."""


class Request(NamedTuple):
    """Ask for at most `limit` entries with a seq above `after`."""

    id: int
    after: int
    limit: int


class Reply(NamedTuple):
    """One page of history."""

    id: int
    campaign: str
    error: str
    """Why there is no page; empty when there is one."""
    more: bool
    entries: list[bytes]
    """Encoded entries, by seq."""
    role: str = ""
    """As whom the asker follows; empty for an operator, who alone may subscribe to the feed."""
    part: str = ""
    """What the role sees: `data` or `metadata`; empty where nothing was there yet."""
    closing: bool = False
    """The publisher closes; to those who hear no goodbye on the feed."""


_BEAT_FIELDS = (("version", int), ("campaign", str), ("epoch", str), ("seq", int))
_REQUEST_FIELDS = (("version", int), ("id", int), ("after", int), ("limit", int))
_REPLY_FIELDS = (
    ("version", int),
    ("id", int),
    ("campaign", str),
    ("error", str),
    ("more", bool),
    ("entries", list),
)
_OTHERS_FIELDS = (*_REPLY_FIELDS, ("role", str), ("part", str), ("closing", bool))


def entry_frame(entry: Entry) -> bytes:
    """An entry for watchers."""
    return b"%s%d %s" % (ENTRY, entry.seq, encode_entry(entry))


def document_frame(body: dict[str, Any]) -> bytes | None:
    """The Bluesky document in the body of a `document` entry, or None when a dispatcher could not take it."""
    name, document = body.get("name"), body.get("doc")
    if not isinstance(document, dict) or name not in DOCUMENT_NAMES:
        return None
    return b"%s%s %s" % (DOCUMENT, str(name).encode(), pack(document))


def beat_frame(beat: Beat) -> bytes:
    """A sign of life or a goodbye."""
    kind, *rest = beat
    return b"%s %d %s" % (kind.encode(), beat.seq, pack([VERSION, *rest]))


def read_live(frame: bytes) -> Entry | Beat:
    """What a frame of the live feed says to a watcher.

    Raises:
        WireError: none of the kinds for watchers, or malformed.
    """
    parts = frame.split(b" ", 2)
    if len(parts) != 3:
        raise WireError("message is not kind, word and payload")
    kind, _word, payload = parts
    if kind == b"entry":
        return decode_entry(payload)
    if kind in (b"beat", b"bye"):
        value = unpack(payload, max_bytes=HEADROOM)
        check_fields(value, _BEAT_FIELDS, "beat")
        return Beat(cast('Literal["beat", "bye"]', kind.decode()), *value[1:])
    raise WireError("message of unknown kind")


def request_frame(request: Request) -> bytes:
    """A history request."""
    return pack([VERSION, *request])


def read_request(frame: bytes) -> Request:
    """The request in a frame.

    Raises:
        WireError: malformed.
    """
    value = unpack(frame, max_bytes=REQUEST_BYTES)
    check_fields(value, _REQUEST_FIELDS, "history request")
    return Request(*value[1:])


def reply_frame(reply: Reply) -> bytes:
    """A history reply."""
    return pack([VERSION, *reply] if reply.role else [VERSION, *reply[:5]])


def read_reply(frame: bytes) -> Reply:
    """The reply in a frame; its entries stay encoded.

    Raises:
        WireError: malformed.
    """
    value = unpack(frame, max_bytes=REPLY_BYTES)
    others = type(value) is list and len(value) == len(_OTHERS_FIELDS)
    check_fields(value, _OTHERS_FIELDS if others else _REPLY_FIELDS, "history reply")
    if not all(type(item) is bytes for item in value[5]):
        raise WireError("history reply: entries are not bytes")
    return Reply(*value[1:])
