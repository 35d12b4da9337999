"""The two sockets of a publisher: the live feed, and the desk that answers history requests."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import zmq

from sdl.journal import Entry, kinds
from sdl.wire._codec import WireError, encode_entry
from sdl.wire._frames import (
    BEAT,
    BYE,
    DOCUMENT,
    ENTRY,
    PAGE_BYTES,
    Beat,
    Reply,
    Request,
    beat_frame,
    document_frame,
    entry_frame,
    read_request,
    reply_frame,
)

History = Callable[[int], Iterable[Entry]]
"""`history(after)`: the campaign's entries with a seq above `after`, in order."""

_REQUESTS_A_TURN = 16
_log = logging.getLogger(__name__)


class Feed:
    """The live feed: sends what somebody subscribed to and drops what a slow subscriber cannot take."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._topics: set[bytes] = set()
        self.entries = False
        """Somebody wants entries."""
        self.documents = False
        """Somebody wants Bluesky documents."""

    @property
    def heard(self) -> bool:
        """Whether anybody is subscribed."""
        return bool(self._topics)

    def listen(self) -> bool:
        """Take in subscriptions; whether one was added that wants signs of life."""
        added = False
        while True:
            try:
                message = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            # XPUB hands up the first subscription to a topic (1) and the end of the last one (0); anything
            # else is a peer talking out of turn
            if message[:1] == b"\x01":
                self._topics.add(message[1:])
                added = added or _overlaps(message[1:], BEAT)
            elif message[:1] == b"\x00":
                self._topics.discard(message[1:])
        self.entries = any(_overlaps(topic, ENTRY) for topic in self._topics)
        self.documents = any(_overlaps(topic, DOCUMENT) for topic in self._topics)
        return added

    def offer(self, entry: Entry) -> None:
        """Send an entry to those who want it, as itself and, if it is a Bluesky document, as that too."""
        try:
            if self.entries:
                self._send(entry_frame(entry))
            if self.documents and entry.kind == kinds.DOCUMENT:
                frame = document_frame(entry.body)
                if frame is not None:
                    self._send(frame)
        except WireError as error:
            _log.warning("campaign %s: entry %d is not on the live feed: %s", entry.campaign, entry.seq, error)

    def beat(self, beat: Beat) -> None:
        """Send a sign of life or a goodbye."""
        if any(_overlaps(topic, BEAT) or _overlaps(topic, BYE) for topic in self._topics):
            self._send(beat_frame(beat))

    def _send(self, frame: bytes) -> None:
        self._socket.send(frame, zmq.NOBLOCK)


def _overlaps(topic: bytes, kind: bytes) -> bool:
    return kind.startswith(topic) or topic.startswith(kind)


class Desk:
    """Answers history requests, one bounded page each."""

    def __init__(self, socket: zmq.Socket[bytes], campaign: str, history: History, page: int) -> None:
        self._socket = socket
        self._campaign = campaign
        self._history = history
        self._page = page

    def serve(self) -> bool:
        """Answer what is waiting, up to a bound so that the feed gets its turn; whether there was any."""
        for turn in range(_REQUESTS_A_TURN):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return turn > 0
            if len(frames) != 2:
                continue
            try:
                request = read_request(frames[1])
            except WireError as error:
                _log.debug("history request dropped: %s", error)
                continue
            self._answer(frames[0], reply_frame(self._read(request)))
        return True

    def _answer(self, peer: bytes, reply: bytes) -> None:
        try:
            self._socket.send_multipart([peer, reply], zmq.NOBLOCK)
        except zmq.Again:
            _log.debug("history reply dropped: the watcher does not read")

    def _read(self, request: Request) -> Reply:
        entries: list[bytes] = []
        try:
            more = self._fill(entries, request)
        except Exception as error:  # whatever the store raises belongs to the asker; the campaign goes on
            _log.warning("campaign %s: history after %d: %s", self._campaign, request.after, error)
            text = f"history after entry {request.after} cannot be read: {str(error) or type(error).__name__}"
            return Reply(request.id, self._campaign, text, False, [])
        return Reply(request.id, self._campaign, "", more, entries)

    def _fill(self, entries: list[bytes], request: Request) -> bool:
        limit = max(1, min(request.limit, self._page))
        size = 0
        with _reading(self._history(request.after)) as found:
            for entry in found:
                if len(entries) == limit or size > PAGE_BYTES:
                    return True
                entries.append(encode_entry(entry))
                size += len(entries[-1])
        return False


@contextmanager
def _reading(entries: Iterable[Entry]) -> Iterator[Iterator[Entry]]:
    """Iterate, and close a generator that is left early: it may hold a connection to the store."""
    iterator = iter(entries)
    try:
        yield iterator
    finally:
        close: Any = getattr(iterator, "close", None)
        if close is not None:
            close()
