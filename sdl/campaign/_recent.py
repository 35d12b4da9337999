"""What a session keeps at hand of its trials, so that nothing is read or built twice."""

from __future__ import annotations

import threading

import orjson

from sdl.journal import Entry, kinds
from sdl.journal.state import CampaignState, TrialState
from sdl.model import Trial

__all__ = ["KnownTrials", "RecentEntries"]

_ENDS = frozenset({kinds.TRIAL_OBSERVED, kinds.TRIAL_INFEASIBLE, kinds.TRIAL_FAILED, kinds.TRIAL_REJECTED})


class KnownTrials:
    """What the planner is told of a campaign's trials."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        """Last entry that is in what the planner is told."""
        self._built: dict[int, tuple[TrialState, Trial]] = {}

    def trials(self, state: CampaignState) -> list[Trial]:
        """Every trial as planners see it; those that have not changed since the last time are not built again."""
        known = []
        for number, trial in state.trials.items():
            built = self._built.get(number)
            if built is None or built[0] is not trial:
                built = self._built[number] = (trial, trial.as_trial())
            known.append(built[1])
        return known


class RecentEntries:
    """What an analysis needs of the trials that were proposed in this session.

    Documents come in the RunEngine's thread, the rest in the coordinator's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._trials: dict[int, list[Entry | str]] = {}

    def note(self, entry: Entry) -> None:
        """Take note of an entry of the coordinator."""
        number = entry.body.get("trial")
        if number is None:
            return
        with self._lock:
            if entry.kind == kinds.TRIAL_PROPOSED:
                self._trials[number] = []
            elif entry.kind in _ENDS:
                self._trials.pop(number, None)
            elif entry.kind == kinds.STEP_STARTED and number in self._trials:
                self._trials[number].append(entry)

    def add_document(self, number: int, text: str) -> None:
        """Keep the body of a document entry, as it is recorded."""
        with self._lock:
            if number in self._trials:
                self._trials[number].append(text)

    def take(self, number: int) -> list[Entry] | None:
        """Starts of steps and documents of a trial, all of them; None when it was proposed in another session."""
        with self._lock:
            kept = self._trials.get(number)
            kept = None if kept is None else list(kept)
        if kept is None:
            return None
        # Read back from the text, so that an analysis sees the same values now as from the journal later.
        return [_document(item) if isinstance(item, str) else item for item in kept]


def _document(text: str) -> Entry:
    return Entry("", 0, 0, kinds.DOCUMENT, orjson.loads(text), "", "")
