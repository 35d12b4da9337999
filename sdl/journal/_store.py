"""The store: one file or database that holds the journals of any number of campaigns."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import orjson
import sqlalchemy as sa

from sdl.journal import _lease, _requests
from sdl.journal._canonical import canonical
from sdl.journal._database import Database, database_of
from sdl.journal._entry import GENESIS, Entry, digest, hasher
from sdl.journal._errors import JournalError, StoreError
from sdl.journal._layout import FIRST, PACKED, Layout, Line, layout_in, packer_for
from sdl.journal._ledger import Ledger, end_of
from sdl.journal._packing import add_chain, bring_up_to_date
from sdl.journal._process import this_process
from sdl.journal._resolve import resolve
from sdl.journal._rows import CampaignHead, CampaignRow, Damage, Lease, Request
from sdl.journal._schema import campaigns, heads, leases
from sdl.journal._writer import Writer
from sdl.journal.labs import is_lab
from sdl.journal.location import StoreLocation

if TYPE_CHECKING:
    import pandas

    from sdl.journal._copying import Merged
    from sdl.journal.state import CampaignState

__all__ = ["Store"]

_PAGE: Final = 500
_LONG_PAGE: Final = 2000
"""Entries of a page where the whole campaign is wanted at once."""


class Store:
    """An open store. Safe to use from several threads; close it, or use it in a `with` statement."""

    def __init__(self, database: Database, engine: sa.Engine) -> None:
        self.database = database
        self._connections = engine
        self._engine = database.reading(engine)
        self._writing = database.writing(engine)
        self._packed = False

    @classmethod
    def open(cls, location: StoreLocation, *, create: bool = True) -> Store:
        """Open a store, and make it first if there is none and `create` is set.

        Args:
            location: path of a file, or URL of a PostgreSQL database, as in `postgresql://hana@db.lab.example/journals`.
            create: whether one is made.

        Raises:
            StoreError: there is none and `create` is not set; or what is there is no store, has another format, is
                damaged, cannot be reached or written, or lies on a network filesystem.
            InputError: a URL of another kind.
            MissingExtra: the driver for PostgreSQL is not installed.
        """
        database = database_of(location)
        if not database.there():
            if not create:
                raise StoreError(
                    f"there is no store at {database.name}; `sdl run` makes one, or name another with --store"
                )
            database.create()
        engine = database.connect()
        try:
            database.check(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(database, engine)

    @staticmethod
    def there(location: StoreLocation) -> bool:
        """Whether there is a store, or something else that `open` would refuse.

        Raises:
            StoreError: no store can be there, or nobody can say, as when a server does not answer.
        """
        return database_of(location).there()

    @property
    def location(self) -> StoreLocation:
        """What opens it again, in another process too. Of PostgreSQL it may hold a password: show `name`."""
        return self.database.location

    @property
    def name(self) -> str:
        """Its location, for people."""
        return self.database.name

    @property
    def path(self) -> Path | None:
        """Its file; None where it is in PostgreSQL."""
        return self.database.path

    def close(self) -> None:
        """Close the connections. Writers keep their own until they are closed."""
        self._connections.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with self.database.translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        with self.database.translated(), self._writing.begin() as connection:
            yield connection

    def _layout(self, connection: sa.Connection) -> Layout:
        """How entries lie now: another process may have brought the store up to date."""
        self._packed = self._packed or layout_in(connection) is PACKED
        return PACKED if self._packed else FIRST

    def bring_up_to_date(self) -> None:
        """Bring a store of an earlier format to this release's, in one transaction; whoever writes does so first.

        Earlier releases cannot open it any more. What it takes on the disk is given back by `compact`.

        Raises:
            LeaseHeld: a campaign is being written.
            StoreError: the store is damaged, or there is no room; nothing was changed.
        """
        with self._read() as connection:
            if self._layout(connection) is PACKED:
                return
        with self._write() as connection:
            bring_up_to_date(connection, self.database)

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

    def query(self, text: str = "", **options: Any) -> pandas.DataFrame:
        """Trials of all campaigns that meet conditions, as in `"flow > 12 uL/min"`; needs the extra `fair`.

        Args:
            text: the question; `sdl.fair.query` says how it is written.
            options: `campaigns`, `columns`, `status`, `sample`, `instrument`, `person`, and `frame` (pandas or polars).

        Raises:
            InputError: the question cannot be read or answered; the message points to the place.
        """
        from importlib import import_module

        # Questions belong to a layer above: found by name, so that a light install runs without it.
        frame: pandas.DataFrame = import_module("sdl.fair.query").query(self, text, **options)
        return frame

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
        for row in self._rows(campaign, after, kinds, _PAGE):
            yield self._entry(row)

    def entry(self, campaign: str, seq: int) -> Entry:
        """One entry by its number.

        Raises:
            JournalError: there is none.
            StoreError: it was changed.
        """
        with self._read() as connection:
            row = self._layout(connection).entry(connection, campaign, seq)
        if row is None:
            raise JournalError(f"{self.name}: there is no entry {seq} of campaign {campaign!r}")
        self._compare(row)
        return self._entry(row)

    def _rows(self, campaign: str, after: int, kinds: Collection[str] | None, size: int) -> Iterator[Line]:
        """Entries as `entries` hands them out, page by page, each compared with its hash, and not parsed."""
        gives = hasher(campaign)
        while True:
            with self._read() as connection:
                page = self._layout(connection).page(connection, campaign, after, size, kinds)
            count = 0
            for row in page:
                seq = row[1]
                if kinds is None and seq != after + 1:
                    raise self._damaged(campaign, after + 1, f"is missing: the next is {seq!r}")
                if not gives(row):
                    self._compare(row)
                yield row
                after, count = seq, count + 1
            if count < size:
                return

    def _compare(self, row: Line) -> None:
        campaign, seq, at, kind, body, prev_hash, own = row
        if prev_hash is None:
            raise self._damaged(campaign, seq, "cannot be checked: the entry before it is missing")
        if body is None:
            raise self._damaged(campaign, seq, "is damaged: it does not belong to its form")
        try:
            sound = digest(prev_hash, campaign, seq, at, kind, body) == own
        except (ValueError, TypeError, AttributeError) as error:  # a text that is none, a value of another type
            raise self._damaged(campaign, seq, f"is damaged ({error})") from error
        if not sound:
            raise self._damaged(campaign, seq, "is damaged: its contents do not give its hash")

    def _entry(self, row: Line) -> Entry:
        campaign, seq, at, kind, body, prev_hash, own = row
        try:
            return Entry(campaign, seq, at, kind, orjson.loads(body), prev_hash, own)
        except ValueError as error:
            raise self._damaged(campaign, seq, f"is damaged ({error})") from error

    def _damaged(self, campaign: str, seq: int, what: str) -> StoreError:
        where = f"{self.name}: entry {seq!r} of campaign {campaign}"
        return StoreError(f"{where} {what}; list the damage with `sdl verify`")

    def create(self, campaign_id: str, name: str) -> None:
        """Begin a campaign without entries.

        Raises:
            JournalError: the id is taken already, or empty.
        """
        if not campaign_id:
            raise JournalError("a campaign needs an id")
        now = time.time_ns()
        self.bring_up_to_date()
        try:
            with self._write() as connection:
                connection.execute(
                    campaigns.insert().values(
                        id=campaign_id, name=name, created_at=now, hash=seal(campaign_id, name, now)
                    )
                )
                add_chain(connection, campaign_id)
                connection.execute(heads.insert().values(campaign=campaign_id, seq=0, hash=GENESIS, epoch=0))
                connection.execute(leases.insert().values(_lease.free_row(campaign_id, 0)))
        except StoreError as error:
            if isinstance(error.__cause__, sa.exc.IntegrityError):
                raise JournalError(f"there is a campaign {campaign_id!r} in {self.name} already") from error
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
        self.bring_up_to_date()
        if heard is not None:
            time.sleep(_lease.LISTEN_S)
        with self._write() as connection:
            epoch = _lease.take(connection, campaign, holder, address, heard)
            end = end_of(connection, self.name, campaign)
            packer = packer_for(connection, campaign)
        return Writer(Ledger(self.database, campaign, epoch, end, packer, holder, address), now=now, syncs=syncs)

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

    def take(self, request: int) -> bool:
        """Begin with a request (its number), so that whoever asked does not give it up; False when somebody has before.

        Raises:
            JournalError: there is no such request.
        """
        with self._write() as connection:
            return _requests.take(connection, request)

    def answer(self, request: int, text: str, *, untaken: bool = False) -> bool:
        """Close a request (its number) with an answer. The first answer stays: then, False.

        Args:
            request: its number.
            text: the answer.
            untaken: only if no session has begun with it; otherwise nothing changes, and False.

        Raises:
            JournalError: there is no such request, or the text is empty.
        """
        with self._write() as connection:
            return _requests.answer(connection, request, text, untaken)

    def verify(self, campaign: str | None = None) -> list[Damage]:
        """Recompute every hash and compare everything with everything; empty when all is as it was written."""
        from sdl.journal._verify import verify

        return verify(self._engine, self.database, campaign)

    def state(self, campaign: str) -> CampaignState:
        """The campaign's state: the fold over its entries.

        Raises:
            StoreError: the store cannot be read, or an entry is missing or was changed.
        """
        from sdl.journal.state import fold_all

        return fold_all(campaign, self.for_the_fold(campaign))

    def for_the_fold(self, campaign: str, *, upto: int | None = None) -> Iterator[Entry]:
        """Fewer entries than `entries` hands out, with the same fold: what it passes over is checked and not parsed.

        Args:
            campaign: its id.
            upto: number of the last entry that counts.

        Raises:
            StoreError: as `entries`.
        """
        from sdl.journal._folding import for_the_fold

        rows = self._rows(campaign, 0, None, _LONG_PAGE)
        if upto is not None:
            rows = takewhile(lambda row: row[1] <= upto, rows)
        return for_the_fold(rows, self._entry)

    def sync_views(self) -> None:
        """Bring the derived tables up to date with the journal."""
        from sdl.journal._views import sync

        with self.database.translated():
            sync(self, self._writing)

    def rebuild_views(self) -> None:
        """Drop the derived tables and derive them again from the journal."""
        from sdl.journal._views import drop, sync

        with self.database.translated():
            drop(self._writing)
            sync(self, self._writing)

    def check(self) -> tuple[list[Damage], list[str]]:
        """All that `verify` finds, indexes and derived tables that are not as they should be; and advice for people."""
        from sdl.journal._checking import check

        return check(self, self._engine)

    def compact(self) -> None:
        """Give back what is not used, and count anew what there is, for the planning of queries.

        Raises:
            LeaseHeld: a campaign is being written.
            StoreError: another process uses the store, or the disk has no room for a copy of it.
        """
        with self._read() as connection:
            for head in self._heads():
                _lease.refuse_if_held(connection, head.id)
        self.bring_up_to_date()
        self.database.compact()

    def size(self) -> int:
        """Bytes on the disk."""
        with self._read() as connection:
            return self.database.size(connection)

    def backup(self, out: str | Path) -> None:
        """Copy it into a new SQLite file, as it is at one moment, while campaigns go on.

        Raises:
            StoreError: the file is there already, cannot be made, or the store is damaged.
        """
        from sdl.journal._copying import backup

        backup(self, Path(out))

    def merge(self, other: Store, leave: Collection[str] = ()) -> list[Merged]:
        """Take the campaigns of another store into this one, all or, where chains differ, none of them.

        Args:
            other: gives; it is only read.
            leave: ids or names of campaigns, and names of labs, of the other store that are left out.

        Raises:
            JournalError: chains that differ, by name, with what to do.
            StoreError: the other store is damaged, or either cannot be used.
            LeaseHeld: a chain that would be lengthened here has a writer.
        """
        from sdl.journal._copying import merge

        return merge(self, other, leave)

    def list_campaigns(self) -> list[CampaignRow]:
        """Every campaign with its status, trials and best value, the oldest first."""
        from sdl.journal._views import campaign_rows

        self.sync_views()
        with self._read() as connection:
            return campaign_rows(connection)


def seal(campaign: str, name: str, created_at: int) -> str:
    """Hash of a row of `campaigns`."""
    return sha256(canonical([campaign, name, created_at]).encode()).hexdigest()
