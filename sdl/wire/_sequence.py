"""Live entries and pages of history put in one order: by seq, each once, none missing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from sdl.journal import Entry
from sdl.wire._codec import WireError

_MAX_HELD = 10_000


class Sequence:
    """Pure bookkeeping of a watcher, no I/O.

    An entry is ready when it follows the last one, by seq and by hash. Live entries that come too early are
    held until history has filled the gap.
    """

    def __init__(self, after: int) -> None:
        self.ready: deque[Entry] = deque()
        """In order, not yet taken."""
        self.last = after
        """Seq of the last entry that became ready."""
        self.campaign: str | None = None
        """Known from the first message."""
        self._announced = after
        self._held: dict[int, Entry] = {}
        self._hash: str | None = None
        self._history_read = False

    @property
    def behind(self) -> bool:
        """Whether history has to be asked for entries after `last`."""
        return not self._history_read or self._announced > self.last or bool(self._held)

    @property
    def missing(self) -> int:
        """How many announced entries did not become ready."""
        return max(0, self._announced - self.last)

    def reset(self) -> None:
        """Have history read again: live messages may have been missed."""
        self._history_read = False

    def announce(self, campaign: str, seq: int) -> None:
        """The publisher has entries up to `seq`.

        Raises:
            WireError: it publishes another campaign.
        """
        self._check_campaign(campaign)
        self._announced = seq

    def offer(self, entry: Entry) -> None:
        """Take a live entry.

        Raises:
            WireError: of another campaign, or it does not continue the chain; it is left out.
        """
        self._check_campaign(entry.campaign)
        if entry.seq == self.last + 1:
            self._accept(entry)
            self._release()
        elif entry.seq > self.last and len(self._held) < _MAX_HELD:
            self._held[entry.seq] = entry

    def extend(self, entries: Iterable[Entry], *, more: bool) -> None:
        """Take a page of history read after `last`.

        Raises:
            WireError: an entry is missing, of another campaign, or does not continue the chain.
        """
        before = self.last
        for entry in entries:
            self._check_campaign(entry.campaign)
            if entry.seq <= self.last:
                continue
            if entry.seq != self.last + 1:
                raise WireError(f"history has entry {entry.seq} after entry {self.last}; those between are missing")
            self._accept(entry)
        self._release()
        stuck = self.last == before
        self._history_read = stuck or not more
        if stuck:
            # History has nothing that follows, so what was held or announced beyond it is not to be believed
            # until it is said again.
            self._held.clear()
            self._announced = self.last

    def _check_campaign(self, campaign: str) -> None:
        if self.campaign is None:
            self.campaign = campaign
        elif campaign != self.campaign:
            raise WireError(f"the publisher serves campaign {campaign!r}; this watcher follows {self.campaign!r}")

    def _accept(self, entry: Entry) -> None:
        if self._hash is not None and entry.prev_hash != self._hash:
            raise WireError(
                f"entry {entry.seq} of campaign {entry.campaign!r} does not continue the chain: its "
                f"prev_hash is {entry.prev_hash[:12]}…, entry {self.last} has {self._hash[:12]}…"
            )
        self.ready.append(entry)
        self.last, self._hash = entry.seq, entry.hash

    def _release(self) -> None:
        while (entry := self._held.pop(self.last + 1, None)) is not None:
            try:
                self._accept(entry)
            except WireError:
                self._announced = max(self._announced, entry.seq)  # fetch the true one from history
                return
        for seq in [seq for seq in self._held if seq <= self.last]:
            del self._held[seq]
