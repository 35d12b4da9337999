"""What people want on record of a campaign: by the session that runs, or in its absence.

A session that runs holds the campaign's lease and alone may write. It is asked through the store's inbox and answers
within a second. Where none runs, the entries are written at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from sdl.campaign._doubt import has_session
from sdl.journal import Entry, LeaseHeld, Store
from sdl.journal.state import CampaignState
from sdl.model import InputError, SdlError

__all__ = ["ANSWER_S", "NotAnswered", "Said", "Statement", "put_on_record"]

ANSWER_S: Final = 10.0
"""Wall seconds in which a session answers."""
_LOOK_S: Final = 0.1
"""Wall seconds between two looks for its answer."""

Said = tuple[str, dict[str, Any]]
"""Kind and body of an entry."""

T = TypeVar("T")


class NotAnswered(SdlError):
    """The session that holds the campaign has not answered."""


@dataclass(frozen=True)
class Statement(Generic[T]):
    """Something that a person wants on record."""

    kind: str
    """Of the request to a session."""
    body: Mapping[str, Any]
    """Of the request."""
    entries: Callable[[], Sequence[Said]]
    """Makes the entries where no session runs; raises InputError when they cannot be any more."""
    shown_by: str
    """Kind of the entries that show that it is on record."""
    found: Callable[[Sequence[Entry]], T | None]
    """What came of it, from the entries of that kind since the statement was made; None when it is not on record."""
    request: int | None = None
    """One of the same content that waits in the store already."""
    seen_by: str = ""
    """Command that shows a request that no session has answered in time, where that waits for the next one."""


def put_on_record(store: Store, state: CampaignState, statement: Statement[T], *, wait: float) -> T:
    """Put a statement on record, by the session that runs or in its absence; return what came of it.

    Args:
        store: an open store.
        state: of the campaign, when the statement was made.
        statement: what is to be on record.
        wait: wall seconds in which a session that runs is to answer.

    Raises:
        InputError: the session refused, or the entries cannot be written any more.
        NotAnswered: a session runs and has not answered.
    """
    asked = _Asked(store, state, statement)
    end = time.monotonic() + wait
    while True:
        if answer := asked.answer():
            if (found := asked.found()) is not None:
                return found
            raise InputError(f"the session that runs campaign {state.name!r} refused: {answer}")
        if not has_session(store, state.id) and (found := asked.write()) is not None:
            return found
        if time.monotonic() > end and (why := asked.give_up(wait)):
            if (found := asked.found()) is not None:  # it was on the point of answering
                return found
            raise NotAnswered(why)
        if time.monotonic() > end + wait:
            raise NotAnswered(asked.begun())
        asked.ask()
        time.sleep(_LOOK_S)


class _Asked(Generic[T]):
    """A statement on its way to the journal."""

    def __init__(self, store: Store, state: CampaignState, statement: Statement[T]) -> None:
        self._store, self._campaign, self._name, self._after = store, state.id, state.name, state.seq
        self._statement, self._request = statement, statement.request

    def ask(self) -> None:
        """Leave a request for the session, once."""
        if self._request is None:
            self._request = self._store.request(self._campaign, self._statement.kind, self._statement.body)

    def answer(self) -> str:
        """What the session said; empty while the request waits."""
        if self._request is None:
            return ""
        asked = self._store.requests(self._campaign, open_only=False)
        return next((one.answer for one in asked if one.id == self._request), "")

    def found(self) -> T | None:
        """What the journal has of it; None when it is not on record."""
        later = self._store.entries(self._campaign, after=self._after, kinds={self._statement.shown_by})
        return self._statement.found(list(later))

    def write(self) -> T | None:
        """Write it in the absence of a session; None when one has just begun."""
        try:
            with self._store.writer(self._campaign) as writer:
                # A session that was asked and has just ended may have written it.
                if self._request is None or self.found() is None:
                    writer.submit_all(self._statement.entries())[-1].result()
                found = self.found()
        except LeaseHeld:
            return None
        self._close("put on record without a session")
        return found

    def give_up(self, wait: float) -> str:
        """What to tell when time is up; empty when the session has begun with the request, and is to be waited for.

        A request that is to wait for no other session is taken back.
        """
        silent = f"campaign {self._name!r} runs, and its session did not answer within {wait:g} s"
        if self._statement.seen_by:
            waits = "The decision waits for it in the store, and is carried out as soon as a session looks"
            return f"{silent}. {waits}; `{self._statement.seen_by}` shows it"
        if self._request is not None:
            taken_back = self._store.answer(self._request, "given up: it was not answered in time", untaken=True)
            if not taken_back:
                return ""
        return f"{silent}; nothing is on record. Say it again later, or once the campaign has paused"

    def begun(self) -> str:
        """What to tell when the session has begun with the request and never said that it was done."""
        return (
            f"the session that runs campaign {self._name!r} has begun to put it on record, and does not say whether it "
            f"is: look (`sdl show {self._name}`) before you say it again"
        )

    def _close(self, text: str) -> None:
        if self._request is not None:
            self._store.answer(self._request, text)
