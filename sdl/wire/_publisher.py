"""The publishing side: entries go out live, and history is served to whoever joins late."""

from __future__ import annotations

import math
import os
import threading
import time
import uuid
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Final, Literal, Self

import zmq

from sdl.journal import Entry
from sdl.wire._address import Address
from sdl.wire._callers import Views, callers_of
from sdl.wire._desk import Desk, Feed, History
from sdl.wire._frames import Beat
from sdl.wire._sockets import bind_pair
from sdl.wire.keys import ServerKeys

BEAT_SECONDS: Final = 1.0
_GOODBYE_SECONDS: Final = 2.0  # longest wait for watchers that fetch what they missed
_QUIET_MS: Final = 200  # nobody asks for that long: everybody has everything


class Publisher:
    """Publishes one campaign's journal entries over ZeroMQ from a thread of its own.

    Give `publish` to `Writer.subscribe`. It never blocks and never raises: what a slow subscriber or a full
    backlog cannot take is left out of the live feed, and watchers fetch it from history.

    Bluesky tools subscribe to the feed's port with `RemoteDispatcher(("127.0.0.1", publisher.feed_port),
    prefix=b"document", deserializer=sdl.wire.load_document)`.
    """

    def __init__(
        self,
        campaign: str,
        history: History,
        *,
        address: str = "tcp://127.0.0.1:0",
        keys: ServerKeys | None = None,
        backlog: int = 10_000,
        high_water: int = 1_000,
        page: int = 500,
        views: Views | None = None,
    ) -> None:
        """Bind both ports and start.

        Args:
            campaign: id of the campaign; entries of others are left out.
            history: called in the publisher's thread with a seq; gives the entries after it, in order.
            address: `tcp://HOST:PORT[,HISTORY-PORT]`; 0 takes a free port. History defaults to PORT + 1.
            keys: CURVE keys; without them only this machine may connect.
            backlog: entries that may wait for the publisher's thread.
            high_water: messages that may wait for one subscriber.
            page: most entries in one history reply.
            views: what those see who are no operators, by their role; called in the publisher's thread. The feed is
                closed to them, and the history desk serves them that and nothing else.

        Raises:
            WireError: the address is malformed or taken, or reachable from outside without keys; or keys have roles,
                and `views` is not given.
        """
        callers = callers_of(keys, views)
        self.campaign = campaign
        self._epoch = uuid.uuid4().hex
        self._backlog: deque[Entry] = deque(maxlen=backlog)
        self._last = 0
        self._awake = False
        self._closing = False
        self._sockets = bind_pair(Address.parse(address), keys, high_water)
        self._feed = Feed(self._sockets.feed)
        self._desk = Desk(self._sockets.history, campaign, history, page, callers)
        self._pipe_lock, self._pipe_open = threading.Lock(), True
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._thread = threading.Thread(target=self._run, name=f"sdl-wire-{campaign}", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """What a watcher is given: `tcp://HOST:FEED-PORT,HISTORY-PORT`."""
        return str(self._sockets.address.reachable())

    @property
    def feed_port(self) -> int:
        """Port of the live feed, for Bluesky's RemoteDispatcher."""
        return self._sockets.address.feed

    def publish(self, entry: Entry) -> None:
        """Hand over an entry that is already in the journal. Called from one thread, the writer's."""
        if entry.campaign != self.campaign or self._closing:
            return
        self._last = entry.seq
        if self._feed.entries or self._feed.documents:
            self._backlog.append(entry)
            if not self._awake:
                self._awake = True
                self._wake()

    def close(self) -> None:
        """Send what waits, say goodbye, let watchers fetch what they missed (≤ 2 s), and stop. Idempotent."""
        self._closing = True
        self._wake()
        self._thread.join()
        with self._pipe_lock:
            if self._pipe_open:
                self._pipe_open = False
                os.close(self._wake_read)
                os.close(self._wake_write)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Publisher({self.campaign!r}, {self.address})"

    def _wake(self) -> None:
        # the lock keeps a late wake-up from writing to a descriptor that was closed and given to somebody else
        with self._pipe_lock, suppress(BlockingIOError):
            if self._pipe_open:
                os.write(self._wake_write, b"!")

    def _run(self) -> None:
        poller = zmq.Poller()
        for source in (self._wake_read, self._sockets.feed, self._sockets.history):
            poller.register(source, zmq.POLLIN)
        try:
            next_beat = time.monotonic()
            while not self._closing:
                poller.poll(max(0, math.ceil((next_beat - time.monotonic()) * 1000)))
                self._sleep_again()
                newcomer = self._feed.listen()
                last = self._send_backlog()
                self._desk.serve()
                if newcomer or time.monotonic() >= next_beat:
                    self._beat("beat", last)
                    self._desk.remind()
                    next_beat = time.monotonic() + BEAT_SECONDS
            self._say_goodbye()
        finally:
            self._closing = True
            self._sockets.close()

    def _sleep_again(self) -> None:
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            return
        # cleared before the backlog is sent: an entry that comes in between rings again
        self._awake = False

    def _send_backlog(self) -> int:
        """Send what waits; the last seq that was handed over before."""
        last = self._last
        for _ in range(len(self._backlog)):
            self._feed.offer(self._backlog.popleft())
        return last

    def _beat(self, kind: Literal["beat", "bye"], last: int) -> None:
        self._feed.beat(Beat(kind, self.campaign, self._epoch, last))

    def _say_goodbye(self) -> None:
        self._feed.listen()
        self._beat("bye", self._send_backlog())
        heard = self._feed.heard or self._desk.followed
        self._desk.remind(closing=True)
        until = time.monotonic() + _GOODBYE_SECONDS
        while heard and time.monotonic() < until and self._sockets.history.poll(_QUIET_MS):
            self._desk.serve()
