"""Messages of the live feed and of its history made wrong in a thousand ways."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import pytest
from support.mutations import mutated_bytes

from sdl.journal import GENESIS, Entry
from sdl.wire import load_document
from sdl.wire._codec import WireError, decode_entry, encode_entry, pack
from sdl.wire._frames import (
    Beat,
    Reply,
    Request,
    beat_frame,
    document_frame,
    entry_frame,
    read_live,
    read_reply,
    read_request,
    reply_frame,
    request_frame,
)

_NUMBER = 1200
_SECONDS = 2.0
"""CPU that one message may take."""

_BODY: dict[str, Any] = {"name": "event", "doc": {"uid": "a b", "data": {"x": [1, 2.5, None, True]}}, "µ": "µ" * 40}
_ENTRY = Entry("c1", 7, 1_700_000_000_000_000_000, "document", _BODY, GENESIS, "f" * 64)


def _live(frame: bytes) -> object:
    told = read_live(frame)
    return entry_frame(told) if isinstance(told, Entry) else beat_frame(told)


def _reply(frame: bytes) -> object:
    reply = read_reply(frame)
    return [decode_entry(entry) for entry in reply.entries]


_MESSAGES: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "entry": (entry_frame(_ENTRY), _live),
    "beat": (beat_frame(Beat("beat", "c1", "e" * 32, 7)), _live),
    "bye": (beat_frame(Beat("bye", "c1", "e" * 32, 7)), _live),
    "request": (request_frame(Request(1, 0, 500)), lambda frame: request_frame(read_request(frame))),
    "reply": (reply_frame(Reply(1, "c1", "", False, [encode_entry(_ENTRY)] * 3)), _reply),
    "document": (document_frame(_BODY) or b"", lambda frame: load_document(frame.split(b" ", 2)[-1])),
}
_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2, 2**63, 2**64 - 1, 1.5, float("nan"), "", "é" * 999, b"", b"\xc1" * 99, [], [[]], {}, {1: 1},
    {b"a": 1}, {"a": b""}, msgpack.Timestamp(1, 2), msgpack.ExtType(5, b"x"), [1] * 5000,
)  # fmt: skip
_LENGTHS = (
    b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x01", b"\xdc\xff\xff", b"\xde\xff\xff", b"\x9f", b"\x8f", b"\xc1", b"\xd8\xff",
    b"\xc7\x0c\xff",
)  # fmt: skip


def _mutated(content: bytes, rng: random.Random) -> bytes:
    """A frame with damaged bytes, a lie about a length, deep nesting, or fields of wrong types."""
    head, payload = _split(content)
    match rng.randrange(5):
        case 0 | 1:
            return mutated_bytes(content, rng)
        case 2:
            at = rng.randrange(len(payload))
            return head + payload[:at] + rng.choice(_LENGTHS) + payload[at + rng.randrange(6) :]
        case 3:
            at = rng.randrange(len(payload))
            return (
                head + payload[:at] + rng.choice((b"\x91", b"\x81\xa1a")) * rng.choice((50, 200, 5000)) + payload[at:]
            )
        case _:
            return head + bytes(msgpack.packb(_wrong(msgpack.unpackb(payload), rng)))


def _split(content: bytes) -> tuple[bytes, bytes]:
    if content[:1] not in b"ebd":  # a history message: no words before the msgpack
        return b"", content
    first, second, payload = content.split(b" ", 2)
    return b"%s %s " % (first, second), payload


def _wrong(value: Any, rng: random.Random) -> Any:
    if not isinstance(value, list):
        return rng.choice(_VALUES)
    fields = list(value)
    at = rng.randrange(len(fields))
    match rng.randrange(4):
        case 0:
            del fields[at]
        case 1:
            fields.insert(at, rng.choice(_VALUES))
        case _:
            fields[at] = rng.choice(_VALUES)
    return fields


def _cases() -> Iterator[tuple[str, bytes]]:
    rng = random.Random(6)
    for index in range(_NUMBER):
        name = list(_MESSAGES)[index % len(_MESSAGES)]
        yield name, _mutated(_MESSAGES[name][0], rng)


def _refusal(read: Callable[[bytes], object], frame: bytes) -> str | None:
    try:
        read(frame)
    except WireError as error:
        return str(error)
    return None


def test_the_messages_are_good() -> None:
    """What is mutated below is read as it was sent."""
    for frame, read in _MESSAGES.values():
        assert read(frame) is not None


@pytest.mark.slow
def test_mutated_messages() -> None:
    """Whatever is done to a good message, it is read or refused with one short sentence; nothing else is raised."""
    found: Counter[str] = Counter()
    for name, frame in _cases():
        begun = time.process_time()
        refusal = _refusal(_MESSAGES[name][1], frame)
        found["read" if refusal is None else "refused"] += 1
        assert refusal is None or 10 < len(refusal) < 300, refusal
        assert refusal is None or refusal.isprintable(), ascii(refusal)
        assert time.process_time() - begun < _SECONDS, (name, frame[:200])
    assert found["refused"] > _NUMBER // 2, found
    assert found["read"] > 0, found


@pytest.mark.parametrize("length", _LENGTHS)
def test_a_lie_about_a_length(length: bytes) -> None:
    """A message that announces four billion values, or a length that does not follow, is refused without the memory."""
    with pytest.raises(WireError):
        read_live(b"entry 1 " + length)
    with pytest.raises(WireError):
        read_reply(length + pack([1, 2, 3]))
