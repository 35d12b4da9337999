"""The inbox of a store: what people ask of a session that holds a campaign's lease.

It is no part of the record: the session turns each request into entries of the journal, and answers. The table is made
with the first request, so a store of an earlier release is as good as a new one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import orjson
import sqlalchemy as sa

from sdl.journal._canonical import canonical
from sdl.journal._database import exclude_others
from sdl.journal._errors import JournalError
from sdl.journal._rows import Request
from sdl.journal._schema import campaigns

__all__ = ["answer", "put", "read", "requests", "take"]

_metadata = sa.MetaData()

requests = sa.Table(
    "requests",
    _metadata,
    # SQLite numbers the rows itself only where the type is INTEGER.
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("campaign", sa.Text, nullable=False, index=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("taken_at", sa.BigInteger),
    sa.Column("answer", sa.Text, nullable=False),
)
"""`taken_at` is null until a session begins with the request, or whoever asked gives it up; `answer` is empty until it
is answered. One that was taken and not answered may be on record: the session ended in between."""


def put(connection: sa.Connection, campaign: str, kind: str, body: Mapping[str, Any]) -> int:
    """Leave a request within the caller's writing transaction; return its number.

    Raises:
        JournalError: there is no such campaign, or the body has no form in JSON.
    """
    text = canonical(body)
    if connection.execute(sa.select(campaigns.c.id).where(campaigns.c.id == campaign)).first() is None:
        raise JournalError(f"there is no campaign {campaign!r} in the store")
    if not sa.inspect(connection).has_table(requests.name):
        exclude_others(connection)
        _metadata.create_all(connection)
    row = {"campaign": campaign, "at": time.time_ns(), "kind": kind, "body": text, "taken_at": None, "answer": ""}
    inserted = connection.execute(requests.insert().values(row))
    return int(inserted.inserted_primary_key[0])  # type: ignore[index]  # an insertion of one row has its key


def read(connection: sa.Connection, campaign: str, open_only: bool) -> list[Request]:
    """Requests to a campaign, the oldest first.

    One whose body was damaged has an empty body: whoever handles it refuses it, and the campaign goes on.
    """
    if not sa.inspect(connection).has_table(requests.name):
        return []
    query = sa.select(requests).where(requests.c.campaign == campaign).order_by(requests.c.id)
    if open_only:
        query = query.where(requests.c.answer == "")
    return [Request(**{**row, "body": _body(row["body"])}) for row in connection.execute(query).mappings()]


def _body(text: Any) -> dict[str, Any]:
    try:
        body = orjson.loads(text)
    except (ValueError, TypeError):
        return {}
    return body if isinstance(body, dict) else {}


def take(connection: sa.Connection, number: int) -> bool:
    """Begin with a request, within the caller's writing transaction; False when somebody has before.

    Raises:
        JournalError: there is no such request.
    """
    return _change(connection, number, {"taken_at": time.time_ns()}, requests.c.taken_at.is_(None))


def answer(connection: sa.Connection, number: int, text: str, untaken: bool) -> bool:
    """Close a request within the caller's writing transaction. The first answer stays; False when there is one.

    Args:
        connection: in a writing transaction.
        number: the request's.
        text: the answer; not empty.
        untaken: only where nobody has begun with it; False where somebody has.

    Raises:
        JournalError: there is no such request.
    """
    if not text:
        raise JournalError("an answer needs a text")
    taken = sa.func.coalesce(requests.c.taken_at, time.time_ns())
    open_ones = [requests.c.answer == "", *([requests.c.taken_at.is_(None)] if untaken else [])]
    return _change(connection, number, {"taken_at": taken, "answer": text}, *open_ones)


def _change(connection: sa.Connection, number: int, values: Mapping[str, Any], *where: sa.ColumnElement[bool]) -> bool:
    one = requests.c.id == number
    if (
        not sa.inspect(connection).has_table(requests.name)
        or connection.execute(sa.select(requests.c.id).where(one)).first() is None
    ):
        raise JournalError(f"there is no request {number} in the store")
    return bool(connection.execute(requests.update().where(one, *where).values(**values)).rowcount)
