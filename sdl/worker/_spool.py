"""The spool: what a worker has done, in a store file of its own, until the coordinator has it.

It is a store like a journal's, with the same hash chain, so `sdl verify --store FILE` checks it. Each campaign has a
chain; the worker itself has one too, whose lease keeps a second worker from the file.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from sdl.journal import Entry, JournalError, LeaseHeld, Store, canonical, kinds
from sdl.worker._messages import BATCH_BYTES, BATCH_ENTRIES, REPLY_BYTES
from sdl.worker._past import OWN_KINDS, SPOOL_CREATED, SPOOL_OPENED, Past
from sdl.worker.errors import WorkerError

__all__ = ["MOST_TEXT", "Chain", "Spool"]

OWN: Final = ".worker"
"""Id of the chain that is the worker's own."""
MOST_TEXT: Final = REPLY_BYTES - 64 * 1024
"""Longest body of an entry that can be sent, characters of JSON."""
_RECENT: Final = 1000
"""Entries kept in memory for a coordinator that listens."""
_FOLDED: Final = frozenset({kind for kind in kinds.KINDS if kind.startswith("action.")} | OWN_KINDS)

Row = list[Any]
"""number, seq, at, kind, body (canonical JSON), prev_hash, hash."""


class Chain:
    """The chain of one campaign, open for writing. A `Recorder` of a station; safe to use from any thread."""

    def __init__(self, store: Store, campaign: str, station: str, holder: str, on_news: Callable[[], None]) -> None:
        """Take the chain up; begin it when there is none.

        Args:
            store: the spool's.
            campaign: id.
            station: name.
            holder: who writes, for people.
            on_news: called when there are more entries, in any thread.

        Raises:
            JournalError: the spool cannot be written or is damaged.
        """
        self.campaign, self._store, self._on_news = campaign, store, on_news
        self._lock = threading.Lock()
        self._recent: deque[Entry] = deque(maxlen=_RECENT)
        self.past = Past()
        if all(head.id != campaign for head in store.campaigns()):
            store.create(campaign, campaign)
        self.writer = store.writer(campaign, holder=holder)
        try:
            end = 0
            for entry in store.entries(campaign, kinds=_FOLDED):
                self.past.take(entry)
            end = next((head.seq for head in store.campaigns() if head.id == campaign), 0)
            self.past.seq = end
            self.writer.subscribe(self._take)
            self._take(self.writer.append(SPOOL_OPENED, {"station": station, "incarnation": self.writer.epoch}))
        except BaseException:
            with contextlib.suppress(JournalError):
                self.writer.close()
            raise

    @property
    def last(self) -> int:
        """Number of the last entry."""
        return self.past.number(self.past.seq)

    @property
    def trouble(self) -> str:
        """Why nothing more can be recorded; empty while all is well."""
        failure = self.writer.failure
        return "" if failure is None else str(failure)

    async def record(self, kind: str, body: Mapping[str, Any]) -> None:
        """Return once the entry is on the disk.

        Raises:
            JournalError: it cannot be recorded.
        """
        self._take(await self.writer.aappend(kind, body))

    async def record_all(self, entries: list[tuple[str, Mapping[str, Any]]]) -> None:
        """Record entries that belong together, with one wait for the disk.

        Raises:
            JournalError: they cannot be recorded.
        """
        for future in self.writer.submit_all(entries):
            self._take(await asyncio.wrap_future(future))

    def post(self, kind: str, body: Mapping[str, Any]) -> str:
        """Hand an entry over; committed within 10 ms.

        Raises:
            JournalError: it cannot be recorded.
        """
        return self.writer.post(kind, body)

    def _take(self, entry: Entry) -> None:
        # An entry comes here from whoever waited for it and from the writer's thread; the first of the two counts, and
        # both come after the entry before it.
        with self._lock:
            if entry.seq <= self.past.seq:
                return
            self.past.take(entry)
            self._recent.append(entry)
        self._on_news()

    async def rows(self, seq: int) -> list[Row]:
        """Entries from a `seq` on, at most a batch.

        Raises:
            StoreError: the spool cannot be read.
        """
        with self._lock:
            held = list(self._recent) if self._recent and self._recent[0].seq <= seq <= self.past.seq else []
            last = self.past.seq
        if seq > last:
            return []
        if held:
            return self._batch(entry for entry in held if entry.seq >= seq)
        return await asyncio.to_thread(lambda: self._batch(self._store.entries(self.campaign, after=seq - 1)))

    def _batch(self, entries: Any) -> list[Row]:
        rows: list[Row] = []
        size = 0
        for entry in itertools.islice(entries, BATCH_ENTRIES):
            text = canonical(entry.body)
            size += len(text.encode())
            if rows and size > BATCH_BYTES:
                break
            rows.append(
                [self.past.number(entry.seq), entry.seq, entry.at, entry.kind, text, entry.prev_hash, entry.hash]
            )
        return rows

    def close(self) -> None:
        """Write what waits and let the chain go.

        Raises:
            JournalError: some of it could not be recorded.
        """
        self.writer.close()


class Spool:
    """A worker's spool file. One worker holds it at a time."""

    def __init__(self, path: str | Path, station: str, holder: str) -> None:
        """Open it; make it first if there is none.

        Args:
            path: the file.
            station: whose it is.
            holder: who opens it, for people.

        Raises:
            WorkerError: another worker has it, it is another station's, or it is no spool.
            StoreError: the file cannot be used.
        """
        self.path, self.station, self.holder = Path(path).absolute(), station, holder
        self.store = Store.open(path)
        try:
            self._own, self.id = self._take_up()
        except BaseException:
            self.store.close()
            raise

    def _take_up(self) -> tuple[Any, str]:
        heads = {head.id: head for head in self.store.campaigns()}
        if heads and OWN not in heads:
            raise WorkerError(f"{self.path} is the store of a campaign, no worker's spool; name another with --spool")
        if not heads:
            self.store.create(OWN, f"worker {self.station}")
        try:
            own = self.store.writer(OWN, holder=self.holder)
        except LeaseHeld as error:
            raise WorkerError(
                f"{self.path} is in use by another worker ({error.lease.holder}); stop that one, or give this one "
                "another file with --spool"
            ) from error
        try:
            created = next(iter(self.store.entries(OWN)), None)
            if created is None:
                created = own.append(SPOOL_CREATED, {"spool": uuid.uuid4().hex, "station": self.station})
            if created.body["station"] != self.station:
                raise WorkerError(
                    f"{self.path} is the spool of station {created.body['station']!r}, not of {self.station!r}; name "
                    "another with --spool"
                )
        except BaseException:
            own.close()
            raise
        return own, str(created.body["spool"])

    def campaigns(self) -> list[str]:
        """Ids of the campaigns that have a chain."""
        return [head.id for head in self.store.campaigns() if head.id != OWN]

    def chain(self, campaign: str, on_news: Callable[[], None] = lambda: None) -> Chain:
        """Take a campaign's chain up.

        Raises:
            JournalError: the spool cannot be written or is damaged.
        """
        return Chain(self.store, campaign, self.station, self.holder, on_news)

    def close(self) -> None:
        """Let the file go."""
        with contextlib.suppress(JournalError):
            self._own.close()
        self.store.close()
