"""The two sockets of a publisher: the live feed, and the desk that answers history requests."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import zmq

from sdl.journal import Entry, kinds
from sdl.model import SdlError
from sdl.wire._callers import Callers
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
_MOST_WAITING = 1000
_FOLLOWED_SECONDS = 3.0
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
    """Answers history requests, one bounded page each.

    Whoever is no operator cannot subscribe to the feed and follows the campaign here: a request that finds nothing new
    is answered at the next beat.
    """

    def __init__(
        self, socket: zmq.Socket[bytes], campaign: str, history: History, page: int, callers: Callers | None = None
    ) -> None:
        self._socket = socket
        self._campaign = campaign
        self._history = history
        self._page = page
        self._callers = callers
        self._waiting: dict[bytes, tuple[Request, str]] = {}
        self._closing = False
        self._followed = -math.inf

    @property
    def followed(self) -> bool:
        """Whether somebody follows here, who would miss the end: a request waits, or the next is on its way."""
        return time.monotonic() - self._followed < _FOLLOWED_SECONDS

    def serve(self) -> bool:
        """Answer what is waiting, up to a bound so that the feed gets its turn; whether there was any."""
        for turn in range(_REQUESTS_A_TURN):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return turn > 0
            if len(frames) != 2:
                continue
            try:
                role = self._callers.role(frames[1]) if self._callers is not None else ""
                request = read_request(frames[1].bytes)
            except WireError as error:
                _log.debug("history request dropped: %s", error)
                continue
            if role:
                self._follow(frames[0].bytes, request, role)
            else:
                self._answer(frames[0].bytes, reply_frame(self._read(request)))
        return True

    def remind(self, *, closing: bool = False) -> None:
        """Answer those who wait for something new, whether there is or not; `closing`: from now on nobody waits."""
        self._closing = self._closing or closing
        waiting, self._waiting = self._waiting, {}
        for peer, (request, role) in waiting.items():
            self._answer(peer, reply_frame(self._seen(request, role)))

    def _follow(self, peer: bytes, request: Request, role: str) -> None:
        self._followed = time.monotonic()
        reply = self._seen(request, role)
        if reply.entries or reply.error or self._closing or len(self._waiting) >= _MOST_WAITING:
            self._answer(peer, reply_frame(reply))
        else:
            self._waiting[peer] = (request, role)

    def _seen(self, request: Request, role: str) -> Reply:
        """A page of what a role may see, or why there is none."""
        assert self._callers is not None
        none = Reply(request.id, "", "", False, [], role, "", self._closing)
        try:
            page = self._callers.view(role).page(request.after, max(1, min(request.limit, self._page)))
            entries, cut = _encoded(page.entries)
        except SdlError as error:
            return none._replace(error=str(error))
        except Exception as error:  # as for operators; what the store says of itself is not for others
            _log.warning("campaign %s: page after %d for %s: %s", self._campaign, request.after, role, error)
            return none._replace(error="the record cannot be read at the moment; ask whoever serves the feed")
        return none._replace(campaign=self._campaign, more=cut or page.more, entries=entries, part=page.part)

    def _answer(self, peer: bytes, reply: bytes) -> None:
        try:
            self._socket.send_multipart([peer, reply], zmq.NOBLOCK)
        except zmq.Again:
            _log.debug("history reply dropped: the watcher does not read")

    def _read(self, request: Request) -> Reply:
        try:
            limit = max(1, min(request.limit, self._page))
            with _reading(self._history(request.after)) as found:
                entries, more = _encoded(found, limit)
        except Exception as error:  # whatever the store raises belongs to the asker; the campaign goes on
            _log.warning("campaign %s: history after %d: %s", self._campaign, request.after, error)
            text = f"history after entry {request.after} cannot be read: {str(error) or type(error).__name__}"
            return Reply(request.id, self._campaign, text, False, [])
        return Reply(request.id, self._campaign, "", more, entries)


def _encoded(found: Iterable[Entry], limit: int | None = None) -> tuple[list[bytes], bool]:
    """Entries for a page, and whether it closed before they ended."""
    entries: list[bytes] = []
    size = 0
    for entry in found:
        if len(entries) == limit or size > PAGE_BYTES:
            return entries, True
        entries.append(encode_entry(entry))
        size += len(entries[-1])
    return entries, False


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
