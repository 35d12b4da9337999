"""Entries of trials under way, kept at hand so that an analysis need not read the store again."""

from __future__ import annotations

import threading

from sdl.journal import Entry, kinds

__all__ = ["RecentEntries"]

_WANTED = frozenset(
    {kinds.STEP_STARTED, kinds.STEP_DONE, kinds.STEP_FAILED, kinds.DOCUMENT, kinds.RUN_INTERRUPTED}
)
_ENDS = frozenset({kinds.TRIAL_OBSERVED, kinds.TRIAL_INFEASIBLE, kinds.TRIAL_FAILED, kinds.TRIAL_REJECTED})


class RecentEntries:
    """Collects the entries of trials proposed while it listens. Filled in the journal's thread, read in the loop's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._trials: dict[int, list[Entry]] = {}

    def add(self, entry: Entry) -> None:
        """Take note of a committed entry."""
        number = entry.body.get("trial")
        with self._lock:
            if entry.kind == kinds.TRIAL_PROPOSED:
                self._trials[entry.body["trial"]] = []
            elif entry.kind in _ENDS:
                self._trials.pop(entry.body["trial"], None)
            elif entry.kind in _WANTED and number in self._trials:
                self._trials[entry.body["trial"]].append(entry)

    def take(self, number: int) -> list[Entry] | None:
        """Entries of a trial, all of them; None when it was proposed before this listened."""
        with self._lock:
            kept = self._trials.get(number)
            return None if kept is None else list(kept)
