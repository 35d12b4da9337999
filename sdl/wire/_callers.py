"""Who asks at the desk, by the key of the connection, and what those who are no operators see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import zmq

from sdl.journal import Entry
from sdl.wire._codec import WireError
from sdl.wire.keys import ServerKeys

__all__ = ["Callers", "Page", "View", "Views", "callers_of"]


class Page(NamedTuple):
    """Some of what a role sees of a campaign."""

    entries: Sequence[Entry]
    """Numbered without gaps, from the number asked for on."""
    more: bool
    """There are more already."""
    part: str
    """What the role sees: `data` or `metadata`; empty where there is nothing yet. With another part the numbers are
    others, too."""


class View(Protocol):
    """What one role sees of a campaign."""

    def page(self, after: int, limit: int) -> Page:
        """At most `limit` entries numbered above `after`.

        Raises:
            SdlError: the role may see nothing; the message is for whoever asks.
        """


Views = Callable[[str], View]
"""Role, as the allow-list has it → what it sees."""


class Callers:
    """Roles of keys, and a view for each role that has asked."""

    def __init__(self, keys: ServerKeys, views: Views) -> None:
        self._operators = keys.clients or frozenset()
        self._roles: Mapping[bytes, str] = keys.roles
        self._make, self._views = views, dict[str, View]()

    def role(self, frame: zmq.Frame) -> str:
        """The role of whoever sent a frame; empty for an operator.

        Raises:
            WireError: the connection has no key, or one that is not on the list.
        """
        try:
            key = str(frame.get("User-Id")).encode()
        except zmq.ZMQError as error:
            raise WireError("a request without a key") from error
        if (role := self._roles.get(key)) is not None:
            return role
        if key not in self._operators:
            raise WireError("a request with a key that is not on the list")
        return ""

    def view(self, role: str) -> View:
        """What a role sees."""
        if role not in self._views:
            self._views[role] = self._make(role)
        return self._views[role]


def callers_of(keys: ServerKeys | None, views: Views | None) -> Callers | None:
    """What a desk needs where not everybody is an operator; else None.

    Raises:
        WireError: nothing says what the others may see.
    """
    if keys is None or not keys.roles:
        return None
    if views is None:
        raise WireError(
            f"keys with roles ({', '.join(sorted(set(keys.roles.values())))}) follow the feed, and nothing says what "
            "they may see: give `views`, as in Feed(address, keys, sdl.fair.access.feed_views)"
        )
    return Callers(keys, views)
