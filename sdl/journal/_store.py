"""The store: one file that holds the journals of any number of campaigns."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import orjson
import sqlalchemy as sa

from sdl.journal import _lease, _requests, _sqlite
from sdl.journal._canonical import canonical
from sdl.journal._entry import GENESIS, Entry, digest
from sdl.journal._errors import JournalError, StoreError
from sdl.journal._filesystem import check_place
from sdl.journal._ledger import Ledger, end_of
from sdl.journal._process import this_process
from sdl.journal._resolve import resolve
from sdl.journal._rows import CampaignHead, CampaignRow, Damage, Lease, Request
from sdl.journal._schema import campaigns, entries, heads, leases
from sdl.journal._writer import Writer
from sdl.journal.labs import is_lab

if TYPE_CHECKING:
    from sdl.journal.state import CampaignState

__all__ = ["Store"]

_PAGE: Final = 500


class Store:
    """An open store. Safe to use from several threads; close it, or use it in a `with` statement."""

    def __init__(self, path: Path, engine: sa.Engine) -> None:
        self.path = path
        self._engine = engine
        self._writing = engine.execution_options(writing=True)

    @classmethod
    def open(cls, path: str | Path, *, create: bool = True) -> Store:
        """Open a store, and make it first if there is none and `create` is set.

        Raises:
            StoreError: there is none and `create` is not set; or the file is no store, has another format, is damaged,
                cannot be written or lies on a network filesystem.
        """
        path = Path(path).absolute()
        check_place(path)
        if not path.exists():
            if not create:
                raise StoreError(f"there is no store at {path}; `sdl run` makes one, or name another with --store")
            _sqlite.create(path)
        engine = _sqlite.connect(path)
        try:
            _sqlite.check(engine, path)
        except BaseException:
            engine.dispose()
            raise
        return cls(path, engine)

    def close(self) -> None:
        """Close the connections. Writers keep their own until they are closed."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with _sqlite.translated(self.path), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        with _sqlite.translated(self.path), self._writing.begin() as connection:
            yield connection

    def campaigns(self) -> list[CampaignHead]:
        """Every campaign with the end of its chain, the oldest first."""
        return [head for head in self._heads() if not is_lab(head.id)]

    def labs(self) -> list[CampaignHead]:
        """The chains of labs, which hold what belongs to no campaign; the oldest first."""
        return [head for head in self._heads() if is_lab(head.id)]

    def _heads(self) -> list[CampaignHead]:
        query = (
            sa.select(campaigns.c.id, campaigns.c.name, campaigns.c.created_at, heads.c.seq, heads.c.hash)
            .join(heads, heads.c.campaign == campaigns.c.id)
            .order_by(campaigns.c.created_at, campaigns.c.id)
        )
        with self._read() as connection:
            return [CampaignHead(*row) for row in connection.execute(query)]

    def resolve(self, text: str) -> str:
        """Id of the campaign that a person means by its name, its id, or a unique prefix of either.

        Of several campaigns with one name the newest is meant.

        Raises:
            InputError: none or several fit; the message names them, or the nearest.
        """
        return resolve(text, self.campaigns())

    def entries(self, campaign: str, *, after: int = 0, kinds: Collection[str] | None = None) -> Iterator[Entry]:
        """Entries with a number above `after` in order, of the kinds given or of all.

        Read page by page: entries written meanwhile are included, and no page holds the database up.

        Raises:
            StoreError: the store cannot be read, or an entry is missing or was changed; those before it are handed out.
        """
        query = sa.select(entries).where(entries.c.campaign == campaign).order_by(entries.c.seq).limit(_PAGE)
        if kinds is not None:
            query = query.where(entries.c.kind.in_(sorted(kinds)))
        while True:
            with self._read() as connection:
                page = connection.execute(query.where(entries.c.seq > after)).all()
            for row in page:
                if kinds is None and row.seq != after + 1:
                    raise self._damaged(campaign, after + 1, f"is missing: the next is {row.seq!r}")
                yield self._entry(row)
                after = row.seq
            if len(page) < _PAGE:
                return

    def _entry(self, row: Any) -> Entry:
        campaign, seq, at, kind, body, prev_hash, own = row
        try:
            sound = digest(prev_hash, campaign, seq, at, kind, body) == own
            read = orjson.loads(body)
        except (ValueError, TypeError, AttributeError) as error:  # a text that is none, a value of another type
            raise self._damaged(campaign, seq, f"is damaged ({error})") from error
        if not sound:
            raise self._damaged(campaign, seq, "is damaged: its contents do not give its hash")
        return Entry(campaign, seq, at, kind, read, prev_hash, own)

    def _damaged(self, campaign: str, seq: int, what: str) -> StoreError:
        where = f"{self.path}: entry {seq!r} of campaign {campaign}"
        return StoreError(f"{where} {what}; list the damage with `sdl verify`")

    def create(self, campaign_id: str, name: str) -> None:
        """Begin a campaign without entries.

        Raises:
            JournalError: the id is taken already, or empty.
        """
        if not campaign_id:
            raise JournalError("a campaign needs an id")
        now = time.time_ns()
        try:
            with self._write() as connection:
                connection.execute(
                    campaigns.insert().values(
                        id=campaign_id, name=name, created_at=now, hash=seal(campaign_id, name, now)
                    )
                )
                connection.execute(heads.insert().values(campaign=campaign_id, seq=0, hash=GENESIS, epoch=0))
                connection.execute(
                    leases.insert().values(
                        campaign=campaign_id, epoch=0, holder="", host="", machine="", pid=0, started="",
                        since=0, heartbeat=0, address="",
                    )
                )  # fmt: skip
        except StoreError as error:
            if isinstance(error.__cause__, sa.exc.IntegrityError):
                raise JournalError(f"there is a campaign {campaign_id!r} in {self.path} already") from error
            raise

    def writer(
        self,
        campaign: str,
        *,
        holder: str | None = None,
        address: str = "",
        now: Callable[[], int] = time.time_ns,
        syncs: bool = True,
    ) -> Writer:
        """Take the campaign's lease and begin to write.

        Args:
            campaign: its id.
            holder: who writes, for people; host and process id unless given.
            address: address of the live feed.
            now: gives the time of an entry, Unix ns; the time of day by default.
            syncs: whether entries that decide wait for the disk. Only what is rehearsed need not.

        Raises:
            LeaseHeld: another writer holds it and lives.
            StoreError: the end of the chain is damaged, or the store cannot be written.
        """
        me = this_process()
        holder = holder or f"{me.host}:{me.pid}"
        with self._read() as connection:
            _lease.refuse_if_held(connection, campaign)
            heard = _lease.listen_for(connection, campaign)
        if heard is not None:
            time.sleep(_lease.LISTEN_S)
        with self._write() as connection:
            epoch = _lease.take(connection, campaign, holder, address, heard)
            end = end_of(connection, self.path, campaign)
        return Writer(Ledger(self.path, campaign, epoch, end, holder, address), now=now, syncs=syncs)

    def lease(self, campaign: str) -> Lease | None:
        """Who writes the campaign; None when nobody does. Look at `alive`: the holder may have died."""
        with self._read() as connection:
            return _lease.read(connection, campaign)

    def request(self, campaign: str, kind: str, body: Mapping[str, Any]) -> int:
        """Ask something of the session that holds a campaign; return the request's number.

        Raises:
            JournalError: there is no such campaign, or the body has no form in JSON.
        """
        with self._write() as connection:
            return _requests.put(connection, campaign, kind, body)

    def requests(self, campaign: str, *, open_only: bool = True) -> list[Request]:
        """What people ask of a campaign's session, the oldest first; only what is not answered unless told."""
        with self._read() as connection:
            return _requests.read(connection, campaign, open_only)

    def answer(self, request: int, text: str) -> None:
        """Close a request (its number) with an answer. The first answer stays.

        Raises:
            JournalError: there is no such request.
        """
        with self._write() as connection:
            _requests.answer(connection, request, text)

    def verify(self, campaign: str | None = None) -> list[Damage]:
        """Recompute every hash and compare everything with everything; empty when all is as it was written."""
        from sdl.journal._verify import verify

        return verify(self._engine, self.path, campaign)

    def state(self, campaign: str) -> CampaignState:
        """The campaign's state: the fold over its entries."""
        from sdl.journal.state import fold_all

        return fold_all(campaign, self.entries(campaign))

    def sync_views(self) -> None:
        """Bring the derived tables up to date with the journal."""
        from sdl.journal._views import sync

        with _sqlite.translated(self.path):
            sync(self, self._writing)

    def rebuild_views(self) -> None:
        """Drop the derived tables and derive them again from the journal."""
        from sdl.journal._views import drop, sync

        with _sqlite.translated(self.path):
            drop(self._writing)
            sync(self, self._writing)

    def list_campaigns(self) -> list[CampaignRow]:
        """Every campaign with its status, trials and best value, the oldest first."""
        from sdl.journal._views import campaign_rows

        self.sync_views()
        with self._read() as connection:
            return campaign_rows(connection)


def seal(campaign: str, name: str, created_at: int) -> str:
    """Hash of a row of `campaigns`."""
    return sha256(canonical([campaign, name, created_at]).encode()).hexdigest()
