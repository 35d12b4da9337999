"""The one writer of a campaign: a thread that owns the connection, the chain's end and the lease's heartbeat.

Callers hand over canonical text and wait, or do not wait; what came in together is committed together. A failure to
write is final: the writer takes nothing more, so that no entry can follow one that was lost.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import orjson

from sdl.journal._canonical import canonical
from sdl.journal._entry import Entry
from sdl.journal._errors import JournalError, LeaseLost
from sdl.journal._lease import BEAT_S
from sdl.journal._ledger import Draft, Ledger, Row
from sdl.virtual import outside

__all__ = ["Writer"]

_log = logging.getLogger(__name__)

_GROUP: Final = 128
"""Entries of one transaction, at most."""
_LINGER_S: Final = 0.01
"""Seconds that a posted entry may wait for others to share its transaction, and for the thread to look at it."""
_WAITING: Final = 65_536
"""Entries that may wait for the disk."""
_WAITING_TEXT: Final = 256 * 2**20
"""Characters that may wait for the disk."""
_SYNC_S: Final = 1.0
"""Seconds after which what was posted is on the disk."""
_SYNC_ENTRIES: Final = 1000
"""Entries after which what was posted is on the disk."""

_T = TypeVar("_T")
_Order = tuple[Callable[[Ledger], None], "Future[None]"]


class Writer:
    """Appends entries to one campaign. Made by `Store.writer`; safe to call from any thread."""

    def __init__(self, ledger: Ledger, *, now: Callable[[], int] = time.time_ns, syncs: bool = True) -> None:
        """Args:
        ledger: the chain's end, with the lease.
        now: gives the time of an entry, Unix ns.
        syncs: whether durable entries wait for the disk; what is rehearsed need not.
        """
        self._now, self._syncs = now, syncs
        self.campaign = ledger.campaign
        self.epoch = ledger.epoch
        """Number of this taking of the lease; devices refuse orders of an older one."""
        self._ledger = ledger
        self._queue: deque[Draft | _Order | None] = deque()
        self._lock = threading.Lock()
        self._urgent = threading.Event()
        """Somebody waits for something in the queue."""
        self._at = ledger.at
        self._waiting = self._waiting_text = 0
        self._failure: JournalError | None = None
        self._told = False
        self._closed = False
        self._under_way: list[Future[Any]] = []
        self._callbacks: tuple[Callable[[Entry], None], ...] = ()
        self._beat_due = time.monotonic() + BEAT_S
        self._sync_due = float("inf")
        self._thread = threading.Thread(target=self._run, name=f"journal {self.campaign}", daemon=True)
        self._thread.start()

    @property
    def failure(self) -> JournalError | None:
        """Why nothing more is recorded; None while all is well."""
        return self._failure

    def append(self, kind: str, body: Mapping[str, Any], *, durable: bool = True) -> Entry:
        """Record an entry; return once it is committed, and on the disk when `durable`.

        Raises:
            JournalError: the body has no form in JSON, or the writer is closed.
            LeaseLost: another writer has the campaign.
            StoreError: the disk or the database refused.
        """
        return self._wait(self._submit(kind, body, durable))

    async def aappend(self, kind: str, body: Mapping[str, Any], *, durable: bool = True) -> Entry:
        """`append` for asyncio: the loop goes on meanwhile. The entry is recorded even if the caller is cancelled."""
        done = self._submit(kind, body, durable)
        try:
            with outside():
                return await asyncio.wrap_future(done)
        except JournalError:
            self._told = True
            raise

    def submit_all(self, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Future[Entry]]:
        """Hand over entries that belong together, to be recorded in order with one wait for the disk.

        Returns:
            A future for each; none can be cancelled, and the last is done when all are on the disk.

        Raises:
            JournalError: a body has no form in JSON, or the writer is closed or has failed; nothing is recorded then.
        """
        self._outside()
        texts = [(kind, canonical(body)) for kind, body in entries]
        done: list[Future[Entry]] = [Future() for _ in texts]
        with self._lock:
            self._check()
            for (kind, text), future in zip(texts, done, strict=True):
                future.set_running_or_notify_cancel()
                self._put(kind, text, True, future)
        return done

    def post(self, kind: str, body: Mapping[str, Any]) -> str:
        """Hand over an entry and return at once. It is committed in its turn and on the disk within about a second.

        Returns:
            The body as it is recorded: canonical JSON.

        Raises:
            JournalError: the body has no form in JSON, the writer is closed or has failed, or the disk is so slow
                that 65,536 entries (or 256 MiB of text) wait already.
        """
        text = canonical(body)
        with self._lock:
            self._check()
            if self._waiting >= _WAITING or self._waiting_text >= _WAITING_TEXT:
                raise JournalError(
                    f"campaign {self.campaign}: {self._waiting} entries wait for the disk, which does not keep up; "
                    "this one was not recorded. Record fewer documents a second, or use a faster disk"
                )
            self._put(kind, text, durable=False, done=None)
        return text

    def flush(self) -> None:
        """Return once everything handed over before is committed and on the disk.

        Raises:
            JournalError: some of it could not be recorded.
        """
        self._order(_synced)

    def set_address(self, address: str) -> None:
        """Make the live feed's address known to whoever reads the lease."""
        self._order(lambda ledger: ledger.beat(address=address))

    def subscribe(self, callback: Callable[[Entry], None]) -> None:
        """Call `callback` with each entry once it is committed, in order, in the writer's thread.

        It must be quick and must not record anything itself. An exception in it is logged and changes nothing.
        """
        with self._lock:
            self._callbacks = (*self._callbacks, callback)

    def close(self) -> None:
        """Write what waits, put it on the disk, give up the lease. A second call does nothing.

        Raises:
            JournalError: something handed over before could not be recorded, and nobody has been told yet.
        """
        self._outside()
        with self._lock:
            if not self._closed:
                self._closed = True
                self._enqueue(None, urgent=True)
        self._thread.join()
        if self._failure is not None and not self._told:
            self._told = True
            raise self._failure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._told = True  # the error under way is the one to see
        self.close()

    # ── in the callers' threads ──

    def _submit(self, kind: str, body: Mapping[str, Any], durable: bool) -> Future[Entry]:
        self._outside()
        text = canonical(body)
        done: Future[Entry] = Future()
        done.set_running_or_notify_cancel()  # from here on it cannot be cancelled: the entry is on its way
        with self._lock:
            self._check()
            self._put(kind, text, durable, done)
        return done

    def _put(self, kind: str, text: str, durable: bool, done: Future[Entry] | None) -> None:
        self._at = max(self._now(), self._at)
        self._waiting += 1
        self._waiting_text += len(text)
        self._enqueue(Draft(kind, text, self._at, durable, done), urgent=done is not None)

    def _enqueue(self, item: Draft | _Order | None, *, urgent: bool) -> None:
        # What nobody waits for does not wake the writer's thread, which looks every few milliseconds anyway: a waking
        # costs more CPU than the entry itself. The caller holds the lock.
        self._queue.append(item)
        if urgent and not self._urgent.is_set():
            self._urgent.set()

    def _order(self, action: Callable[[Ledger], None]) -> None:
        self._outside()
        done: Future[None] = Future()
        done.set_running_or_notify_cancel()
        with self._lock:
            self._check()
            self._enqueue((action, done), urgent=True)
        self._wait(done)

    def _wait(self, done: Future[_T]) -> _T:
        try:
            return done.result()
        except JournalError:
            self._told = True
            raise

    def _check(self) -> None:
        if self._failure is not None:
            self._told = True
            raise self._failure
        if self._closed:
            raise JournalError(f"campaign {self.campaign}: its journal's writer is closed; nothing was recorded")

    def _outside(self) -> None:
        if threading.current_thread() is self._thread:
            raise JournalError(
                "a subscriber of the journal cannot record anything itself: it would wait for its own thread"
            )

    # ── in the writer's thread ──

    def _run(self) -> None:
        try:
            while self._turn():
                pass
            _synced(self._ledger)
        except JournalError as error:
            self._fail(error)
        except Exception as error:
            _log.exception("the journal's writer of campaign %s stopped", self.campaign)
            self._fail(JournalError(f"campaign {self.campaign}: its journal's writer stopped: {error!r}"))
        finally:
            self._release()

    def _turn(self) -> bool:
        """One round: wait, commit what is there, carry out one order, renew the lease. False when closing."""
        drafts, order, going = self._next()
        self._under_way = [draft.done for draft in drafts if draft.done is not None]
        if order is not None:
            self._under_way.append(order[1])
        if drafts:
            self._commit(drafts)
        if order is not None:
            order[0](self._ledger)
            order[1].set_result(None)
        if going:
            self._housekeep()
        return going

    def _next(self) -> tuple[list[Draft], _Order | None, bool]:
        """Drafts that came in together, the order that follows them, and whether to go on."""
        until = min(self._beat_due, self._sync_due) - time.monotonic()
        self._urgent.wait(timeout=max(0.0, min(until, _LINGER_S)))
        drafts: list[Draft] = []
        with self._lock:
            while self._queue and len(drafts) < _GROUP:
                item = self._queue.popleft()
                if not isinstance(item, Draft):
                    self._settle_event()
                    return drafts, item, item is not None
                drafts.append(item)
            self._settle_event()
        return drafts, None, True

    def _settle_event(self) -> None:
        if not self._queue:
            self._urgent.clear()

    def _commit(self, drafts: list[Draft]) -> None:
        durable = self._syncs and any(draft.durable for draft in drafts)
        rows = self._ledger.commit(drafts, durable=durable)
        with self._lock:
            self._waiting -= len(drafts)
            self._waiting_text -= sum(len(draft.text) for draft in drafts)
        callbacks = self._callbacks
        for row in rows:
            if row.draft.done is not None or callbacks:
                self._announce(self._entry(row), row.draft.done, callbacks)
        if durable:
            self._sync_due = float("inf")
        elif self._sync_due == float("inf"):
            self._sync_due = time.monotonic() + _SYNC_S

    def _entry(self, row: Row) -> Entry:
        draft = row.draft
        body = orjson.loads(draft.text)
        return Entry(self.campaign, row.seq, draft.at, draft.kind, body, row.prev_hash, row.hash)

    def _announce(
        self, entry: Entry, done: Future[Entry] | None, callbacks: tuple[Callable[[Entry], None], ...]
    ) -> None:
        if done is not None:
            done.set_result(entry)
        for callback in callbacks:
            try:
                callback(entry)
            except Exception:
                _log.exception("a subscriber failed on entry %d of campaign %s", entry.seq, self.campaign)

    def _housekeep(self) -> None:
        now = time.monotonic()
        if now >= self._sync_due or self._ledger.unsynced >= _SYNC_ENTRIES:
            self._sync_due = float("inf")
            if self._ledger.unsynced:
                self._ledger.beat(durable=True)
                self._beat_due = now + BEAT_S
        if now >= self._beat_due:
            self._beat()
            self._beat_due = now + BEAT_S

    def _beat(self) -> None:
        try:
            self._ledger.beat()
        except LeaseLost:
            raise
        except JournalError as error:
            # No entry depends on it; if the trouble lasts, the next entry says so to somebody who waits.
            _log.warning("campaign %s: the lease could not be renewed: %s", self.campaign, error)

    def _fail(self, error: JournalError) -> None:
        with self._lock:
            self._failure = error
        waiting = [done for done in self._under_way if not done.done()]
        with self._lock:
            items = list(self._queue)
            self._queue.clear()
        for item in items:
            if isinstance(item, Draft):
                waiting += [item.done] if item.done is not None else []
            elif item is not None:
                waiting.append(item[1])
        for done in waiting:
            done.set_exception(error)

    def _release(self) -> None:
        try:
            if not isinstance(self._failure, LeaseLost):
                self._ledger.beat(release=True)
        except JournalError as error:
            _log.warning("campaign %s: the lease could not be given up: %s", self.campaign, error)
            with suppress(JournalError):
                self._ledger.abandon()
        finally:
            self._ledger.close()


def _synced(ledger: Ledger) -> None:
    if ledger.unsynced:
        ledger.beat(durable=True)
