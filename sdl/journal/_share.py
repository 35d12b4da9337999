"""Shares of the audit: this process does them one after the other, or several processes side by side.

    python -m sdl.journal._share

reads a share a line from standard input (JSON; the store's location first) and answers each with a line: its damage.
"""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import orjson
import sqlalchemy as sa

from sdl.journal._chains import Part, examine, is_text
from sdl.journal._database import Database, database_of
from sdl.journal._errors import JournalError
from sdl.journal._rows import Damage
from sdl.journal._views import changed
from sdl.waiting import as_they_end

__all__ = ["Share", "Shares"]

_ENTRIES: Final = 50_000
"""Of a share, about."""
_VIEWS: Final = 10
"""Campaigns of a share of what is derived."""
_MOST: Final = 4
"""Processes; more do not read faster."""


class Share(NamedTuple):
    """Some of the work."""

    parts: list[Part]
    views: list[Any]
    """Campaigns whose derived rows are compared with their seal."""

    def damage(self, connection: sa.Connection) -> list[Damage]:
        """All there is in it."""
        found = [damage for part in self.parts for damage in examine(connection, part)]
        return found + [Damage(one if is_text(one) else "", 0, _DERIVED) for one in changed(connection, self.views)]


_DERIVED: Final = (
    "what was derived from its journal, for lists and queries, was changed; run `sdl store rebuild`, and it is derived "
    "again"
)


class Shares:
    """All the work, cut into shares. A context manager; processes begin with it, and end with it."""

    def __init__(self, database: Database, parts: Sequence[Part], views: Sequence[Any], processes: int) -> None:
        """Args:
        database: the store's.
        parts: of chains.
        views: campaigns with derived rows.
        processes: beside this one, at most.
        """
        self._todo = deque(_cut(parts, views) if processes else [Share(list(parts), list(views))])
        self._undone: list[Share] = []
        self._database = database
        self._stack = ExitStack()
        self._done: list[Future[list[Damage]]] = []
        self._processes = min(processes, len(self._todo), _MOST)

    def __enter__(self) -> Self:
        if self._processes:
            pool = self._stack.enter_context(ThreadPoolExecutor(self._processes))
            try:
                self._done = [pool.submit(self._serve) for _ in range(self._processes)]
            except BaseException:
                self.__exit__(None, None, None)
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._todo.clear()
        self._stack.close()

    def damage(self, here: Callable[[Share], list[Damage]]) -> Iterator[Damage]:
        """All damage, in the order of campaigns; `here` does a share in this process, where no other did."""
        found = [damage for done in as_they_end(self._done) for damage in done.result()]
        for share in [*self._undone, *self._todo]:
            found += here(share)
        self._todo.clear()
        yield from sorted(found, key=lambda damage: (damage.campaign, damage.seq == 0, damage.seq))

    def _serve(self) -> list[Damage]:
        """Let one process do share after share, until there is none left."""
        found: list[Damage] = []
        command = [sys.executable, "-P", "-m", "sdl.journal._share"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - this interpreter
            assert process.stdin
            assert process.stdout
            order: Any = str(self._database.location)
            while True:
                try:
                    process.stdin.write(orjson.dumps(order, default=list) + b"\n")
                    process.stdin.flush()
                    answer = orjson.loads(process.stdout.readline())
                except (OSError, ValueError):  # it was killed, or cannot start: this process does that share itself
                    if isinstance(order, Share):
                        self._undone.append(order)
                    return found
                found += [Damage(*one) for one in answer]
                try:
                    order = self._todo.popleft()
                except IndexError:
                    return found


def _cut(parts: Sequence[Part], views: Sequence[Any]) -> Iterator[Share]:
    own, size = list[Part](), 0
    for part in parts:
        own.append(part)
        size += (part.upto or part.after + _ENTRIES // 2) - part.after
        if size >= _ENTRIES:
            yield Share(own, [])
            own, size = [], 0
    if own:
        yield Share(own, [])
    texts = [one for one in views if is_text(one)]
    for first in range(0, len(texts), _VIEWS):
        yield Share([], texts[first : first + _VIEWS])
    if len(texts) < len(views):
        yield Share([], [one for one in views if not is_text(one)])


def _main() -> None:
    """Do what the other process orders, until it closes the pipe."""
    lines = iter(sys.stdin.buffer)
    database = database_of(orjson.loads(next(lines)))
    engine = database.reading(database.connect())
    print("[]", flush=True)
    for line in lines:
        parts, views = orjson.loads(line)
        share = Share([Part(*part) for part in parts], views)
        try:
            with database.translated(), engine.connect() as connection:
                database.lenient(connection)
                damage = share.damage(connection)
        except JournalError as error:
            damage = [Damage("", 0, str(error))]
        sys.stdout.buffer.write(orjson.dumps(damage, default=list) + b"\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
