"""The watching side: a campaign's entries in order, history first, then live, none missing and none twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from types import TracebackType
from typing import Final, Literal, Self

from sdl.journal import Entry
from sdl.wire._address import Address
from sdl.wire._codec import WireError, decode_entry
from sdl.wire._desk import History
from sdl.wire._frames import Beat, Reply, Request, read_live, read_reply
from sdl.wire._link import Link
from sdl.wire._sequence import Sequence
from sdl.wire.keys import ClientKeys

Status = Literal["connecting", "live", "closed", "lost"]

_PAGE: Final = 500
_ASK_AGAIN_SECONDS: Final = 1.0
_HELD_SECONDS: Final = 2.0  # a desk that serves no feed answers at its next beat
_GOODBYE_SECONDS: Final = 1.0
_TICK_SECONDS: Final = 0.25


class Watcher:
    """Follows a campaign: `for entry in watcher`, `async for entry in watcher`, or `poll` for those at hand.

    Belongs to one thread (or one event loop) at a time. Iteration ends with `status` "closed" when the
    publisher said goodbye, "lost" when nothing was heard of it for `patience` seconds.
    """

    def __init__(
        self,
        address: str,
        *,
        after: int = 0,
        keys: ClientKeys | None = None,
        history: History | None = None,
        patience: float = 3.0,
        stay: bool = False,
        high_water: int = 10_000,
    ) -> None:
        """Connect in the background.

        Args:
            address: the publisher's `address`.
            after: entries up to this seq are not wanted.
            keys: CURVE keys, if the publisher has them.
            history: reads entries after a seq from a store on this machine; otherwise the publisher is asked.
            patience: silence after which the publisher counts as lost, seconds; it beats once a second.
            stay: keep waiting for a lost publisher to return, instead of ending.
            high_water: live messages that may wait for this watcher; those beyond are fetched from history.

        Raises:
            WireError: the address is malformed.
        """
        self.address = Address.parse(address)
        self.status: Status = "connecting"
        self.discarded = 0
        """Messages that were malformed, of another campaign or out of the chain."""
        self.role = ""
        """As whom the publisher lets this watcher follow; empty for an operator of the lab, who gets everything."""
        self.part = ""
        """What the role sees, `data` or `metadata`; empty for an operator, and before anything was there."""
        self._history = history
        self._patience = patience
        self._stay = stay
        self._sequence = Sequence(after)
        self._heard = time.monotonic()
        self._epoch = ""
        self._goodbye: float | None = None
        self._request = Request(0, 0, _PAGE)
        self._asked: float | None = None
        self._link: Link | None = Link(self.address, keys, high_water)

    @property
    def last(self) -> int:
        """Seq of the last entry that was received in order."""
        return self._sequence.last

    @property
    def missing(self) -> int:
        """How many entries the publisher announced that were not received; 0 when complete."""
        return self._sequence.missing

    @property
    def campaign(self) -> str | None:
        """Id of the campaign, once something was heard."""
        return self._sequence.campaign

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to come."""
        if self._link is None:
            return True
        over = self.status == "closed" or (self.status == "lost" and not self._stay)
        return over and not self._sequence.ready and not self._reads_store

    def poll(self, timeout: float = 0.0) -> list[Entry]:
        """Entries at hand, waiting up to `timeout` seconds for the first; empty when none came or all ended.

        Raises:
            WireError: the address serves another campaign, or history cannot be read or is broken.
        """
        until = time.monotonic() + timeout
        while not self.ended:
            link = self._turn()
            if self._reads_store:
                self._take_page(self._read_store(self._sequence.last))
            if self._sequence.ready or time.monotonic() >= until:
                break
            link.wait(min(_TICK_SECONDS, until - time.monotonic()))
        return self._take()

    async def poll_async(self, timeout: float = 0.0) -> list[Entry]:
        """The same for asyncio; cancelling it loses no entry."""
        until = time.monotonic() + timeout
        while not self.ended:
            link = self._turn()
            if self._reads_store:
                self._take_page(await asyncio.to_thread(self._read_store, self._sequence.last))
            if self._sequence.ready or time.monotonic() >= until:
                break
            await link.wait_async(min(_TICK_SECONDS, until - time.monotonic()))
        return self._take()

    def __iter__(self) -> Iterator[Entry]:
        while not self.ended:
            yield from self._one_by_one(self.poll(_TICK_SECONDS))

    async def __aiter__(self) -> AsyncIterator[Entry]:
        while not self.ended:
            for entry in self._one_by_one(await self.poll_async(_TICK_SECONDS)):
                yield entry

    def close(self) -> None:
        """Drop the connection. Idempotent."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Watcher({str(self.address)!r}, {self.status}, campaign={self.campaign!r}, last={self.last})"

    def _one_by_one(self, entries: list[Entry]) -> Iterator[Entry]:
        """Yield; those a consumer leaves behind by breaking off wait for its next loop."""
        taken = 0
        try:
            for entry in entries:
                taken += 1
                yield entry
        finally:
            self._sequence.ready.extendleft(reversed(entries[taken:]))

    def _take(self) -> list[Entry]:
        entries = list(self._sequence.ready)
        self._sequence.ready.clear()
        return entries

    @property
    def _reads_store(self) -> bool:
        return self._history is not None and self._sequence.behind

    def _read_store(self, after: int) -> list[Entry]:
        if self._history is None:
            return []
        return list(islice(self._history(after), _PAGE))

    def _take_page(self, entries: list[Entry]) -> None:
        self._sequence.extend(entries, more=len(entries) == _PAGE)

    def _turn(self) -> Link:
        """Everything that can be done without waiting."""
        link = self._link
        if link is None:
            raise WireError(f"this watcher of {self.address} is closed")
        for frame in link.live():
            self._hear(frame)
        for frame in link.replies():
            self._read_reply(frame)
        if self._history is None and self._sequence.behind:
            self._ask(link)
        self._judge()
        return link

    def _hear(self, frame: bytes) -> None:
        try:
            message = read_live(frame)
            if isinstance(message, Entry):
                self._sequence.offer(message)
        except WireError:
            self.discarded += 1
            return
        self._heard = time.monotonic()
        if isinstance(message, Beat):
            self._hear_beat(message)

    def _hear_beat(self, beat: Beat) -> None:
        if beat.epoch != self._epoch or self.status == "lost":
            self._sequence.reset()
        self._sequence.announce(beat.campaign, max(beat.seq, self._sequence.last))
        self._epoch = beat.epoch
        if beat.kind == "bye":
            self._goodbye = self._goodbye or time.monotonic()
        else:
            self._goodbye = None
            self.status = "live"

    def _ask(self, link: Link) -> None:
        now = time.monotonic()
        if self._asked is not None and now - self._asked < (_HELD_SECONDS if self.role else _ASK_AGAIN_SECONDS):
            return
        self._asked = now
        self._request = Request(self._request.id + 1, self._sequence.last, _PAGE)
        link.ask(self._request)

    def _read_reply(self, frame: bytes) -> None:
        try:
            reply = read_reply(frame)
            entries = [decode_entry(item) for item in reply.entries]
        except WireError:
            self.discarded += 1
            return
        self._heard = time.monotonic()
        if reply.id != self._request.id:
            return
        self._asked = None
        if reply.error:
            where = f"campaign {reply.campaign!r} at {self.address}" if reply.campaign else str(self.address)
            raise WireError(f"{where}: {reply.error}")
        if reply.role or self.role:
            self._follow_by_request(reply)
        self._sequence.extend(entries, more=reply.more)
        if reply.role:
            self._sequence.reset()  # the next request waits at the desk until there is more

    def _follow_by_request(self, reply: Reply) -> None:
        """Take in what a publisher says to those who are no operators; it has no feed for them.

        Raises:
            WireError: what may be seen has changed, and the numbers of entries with it.
        """
        if not self.role and self._link is not None:
            self._link.leave_feed()
        if (self.part and reply.part != self.part) or (self.role and reply.role != self.role):
            raise WireError(f"what {self.role} may see at {self.address} has changed; watch it again from the start")
        self.role, self.part = reply.role, reply.part
        self.status = "live"
        if reply.closing and not reply.more:
            self.status = "closed"

    def _judge(self) -> None:
        now = time.monotonic()
        if self._goodbye is not None:
            if not self._sequence.behind or now - self._goodbye > _GOODBYE_SECONDS:
                self.status = "closed"
        elif now - self._heard > self._patience and self.status != "lost":
            self.status = "lost"
            # the store may hold what the live feed no longer brought
            self._sequence.reset()


def follow(
    history: History,
    address: str,
    *,
    after: int = 0,
    keys: ClientKeys | None = None,
    patience: float = 3.0,
    stay: bool = False,
) -> Watcher:
    """Watch a campaign whose store is on this machine: history from `history(after)`, live over ZeroMQ.

    Raises:
        WireError: the address is malformed.
    """
    return Watcher(address, after=after, keys=keys, history=history, patience=patience, stay=stay)
