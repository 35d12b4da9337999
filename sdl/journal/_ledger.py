"""The writer's hand: appends drafts to one campaign's chain, on one connection, in one thread."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import sqlalchemy as sa

from sdl.journal._database import Database
from sdl.journal._entry import GENESIS, Entry, digest, gives_its_hash
from sdl.journal._errors import LeaseLost, StoreError
from sdl.journal._forms import Form, Packer
from sdl.journal._layout import PACKED
from sdl.journal._lease import ABANDONED
from sdl.journal._packing import values_of
from sdl.journal._schema import PLACES, Prepared, forms, heads, leases, packed

__all__ = ["Draft", "End", "Ledger", "Row", "end_of"]


class Draft(NamedTuple):
    """An entry before it has its place in the chain."""

    kind: str
    text: str
    """Canonical JSON of the body."""
    at: int
    durable: bool
    done: Future[Entry] | None
    """Who waits for it; None for what was posted."""


class Row(NamedTuple):
    """An entry as it is stored."""

    draft: Draft
    seq: int
    prev_hash: str
    hash: str


_MOVE = (
    heads.update()
    .where(
        heads.c.campaign == sa.bindparam("id_"),
        heads.c.seq == sa.bindparam("old_seq"),
        heads.c.epoch == sa.bindparam("my_epoch"),
    )
    .values(seq=sa.bindparam("new_seq"), hash=sa.bindparam("new_hash"))
)
_BEAT = (
    leases.update()
    .where(leases.c.campaign == sa.bindparam("id_"), leases.c.epoch == sa.bindparam("my_epoch"))
    .values(heartbeat=sa.bindparam("now"), address=sa.bindparam("where_"), holder=sa.bindparam("who"))
)


class End(NamedTuple):
    """The last entry of a chain."""

    seq: int
    hash: str
    at: int


def end_of(connection: sa.Connection, store: str, campaign: str) -> End:
    """The end of a campaign's chain; `store` is its name, for people.

    Raises:
        StoreError: the end is damaged; a writer must not lengthen such a chain.
    """
    where = heads.c.campaign == campaign
    seq, head = connection.execute(sa.select(heads.c.seq, heads.c.hash).where(where)).one()
    last = PACKED.last(connection, campaign)
    end = (0, GENESIS) if last is None else (last[1], last[-1])
    if (seq, head) != end or (last is not None and not gives_its_hash(last)):
        raise StoreError(
            f"{store}: the last entry of campaign {campaign} is missing or was changed, so nothing is added to it; "
            "list the damage with `sdl verify`"
        )
    return End(seq, head, 0 if last is None else last[2])


class Ledger:
    """The end of one chain, in memory and on disk. Not thread-safe: it belongs to the writer's thread."""

    def __init__(
        self, database: Database, campaign: str, epoch: int, end: End, packer: Packer, holder: str, address: str
    ) -> None:
        self.campaign, self.epoch, self._packer = campaign, epoch, packer
        self._base = packer.chain * PLACES
        self.seq, self.hash, self.at = end
        self._database, self._holder, self._address = database, holder, address
        self._engine = database.connect(pooled=False)
        self.unsynced = 0
        """Entries committed and not yet known to be on the disk."""
        self._durable = False
        with database.translated():
            self._connection = self._engine.raw_connection()
            self._cursor = self._connection.cursor()
            database.set_durable(self._cursor, self._durable)
        dialect = self._engine.dialect
        self._errors: type[Exception] = dialect.dbapi.Error if dialect.dbapi is not None else Exception
        self._move, self._beat = Prepared(_MOVE, dialect), Prepared(_BEAT, dialect)
        self._insert, self._insert_form = Prepared(packed.insert(), dialect), Prepared(forms.insert(), dialect)

    def commit(self, drafts: Sequence[Draft], *, durable: bool) -> list[Row]:
        """Append drafts in one transaction; when `durable`, they and all before them are on the disk on return.

        Raises:
            LeaseLost: another writer has the campaign; nothing was written.
            StoreError: the disk or the database refused; nothing was written.
        """
        rows = list(self._chain(drafts))
        last = rows[-1]
        fresh: list[Form] = []
        values = [self._values(row, fresh) for row in rows]
        with self._transaction(durable) as cursor:
            moved = self._move.execute(
                cursor,
                {
                    "id_": self.campaign,
                    "old_seq": self.seq,
                    "my_epoch": self.epoch,
                    "new_seq": last.seq,
                    "new_hash": last.hash,
                },
            )
            if moved != 1:
                raise LeaseLost(self.campaign, self.epoch)
            for form in fresh:
                self._insert_form.execute(cursor, values_of(self._packer.chain, form))
            if len(values) == 1:
                self._insert.execute(cursor, values[0])
            else:
                self._insert.execute_many(cursor, values)
        self.seq, self.hash = last.seq, last.hash
        self.unsynced = 0 if durable else self.unsynced + len(rows)
        return rows

    def _chain(self, drafts: Sequence[Draft]) -> Iterator[Row]:
        seq, previous = self.seq, self.hash
        for draft in drafts:
            seq += 1
            own = digest(previous, self.campaign, seq, draft.at, draft.kind, draft.text)
            yield Row(draft, seq, previous, own)
            previous = own

    def _values(self, row: Row, fresh: list[Form]) -> dict[str, Any]:
        draft = row.draft
        form, body = self._packer.pack(draft.kind, draft.text, fresh)
        own = bytes.fromhex(row.hash)
        return {"place": self._base + row.seq, "form": form, "at": draft.at, "body": body, "hash": own}

    def beat(self, *, durable: bool = False, address: str | None = None, release: bool = False) -> None:
        """Renew the lease, or give it up. A durable one puts everything committed before on the disk.

        Raises:
            LeaseLost: another writer has the campaign.
            StoreError: the disk or the database refused.
        """
        self._address = "" if release else self._address if address is None else address
        values = {
            "id_": self.campaign,
            "my_epoch": self.epoch,
            "now": time.time_ns(),
            "where_": self._address,
            "who": "" if release else self._holder,
        }
        with self._transaction(durable) as cursor:
            if self._beat.execute(cursor, values) != 1:
                raise LeaseLost(self.campaign, self.epoch)
        if durable:
            self.unsynced = 0

    def abandon(self) -> None:
        """Let this process take the lease again although the store still names it as the holder.

        Raises:
            StoreError: the database cannot be read.
        """
        where = (leases.c.campaign == self.campaign, leases.c.epoch == self.epoch)
        with self._database.translated(), self._engine.connect() as connection:
            since = connection.execute(sa.select(leases.c.since).where(*where)).scalar_one_or_none()
        if since is not None:
            ABANDONED.add((self.campaign, self.epoch, since))

    @contextmanager
    def _transaction(self, durable: bool) -> Iterator[Any]:
        with self._database.translated():
            if durable != self._durable:
                self._database.set_durable(self._cursor, durable)
                self._durable = durable
            self._database.begin(self._cursor)
            try:
                yield self._cursor
                self._connection.commit()
            except BaseException:
                with suppress(self._errors):  # the connection is gone, and the transaction with it
                    self._connection.rollback()
                raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        self._engine.dispose()
