"""`sdl correct`, `sdl annotate` and `sdl withdraw`: what people say afterwards, as entries; nothing is rewritten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sdl.campaign._doubt import actions_state
from sdl.campaign.corrections import annotation, correction, put_on_record, withdrawal
from sdl.campaign.doubts import NotAnswered
from sdl.cli._doubts import _login
from sdl.cli._errors import ENDED, PAUSED
from sdl.cli._format import console, outcome, plain
from sdl.journal import Entry, Store
from sdl.journal.location import StoreLocation
from sdl.journal.state import CampaignState, fold

__all__ = ["annotate_command", "correct_command", "withdraw_command"]


def correct_command(
    name: str, trial: int, given: Sequence[str], why: str, by: str, path: StoreLocation, wait: float
) -> int:
    """Put outcomes of a trial right; return the exit status."""

    def told(entry: Entry, before: CampaignState) -> None:
        now = fold(before, entry)
        for change in now.trials[trial].corrections[-1:]:
            for what, value in change.outcomes.items():
                was = f", was {outcome(change.before[what])}" if what in change.before else ""
                _say(f"trial {trial}: {what} is {outcome(value)}{was}; entry {entry.seq}")
        _say("what it was stays on record; planners are told what is right")

    return _record(name, path, wait, lambda state: correction(state, trial, given, by or _login(), why), told)


def annotate_command(name: str, trial: int, text: str, by: str, path: StoreLocation, wait: float) -> int:
    """Note something about a trial; return the exit status."""

    def told(entry: Entry, before: CampaignState) -> None:
        _say(f"trial {trial}: noted; entry {entry.seq}")

    return _record(name, path, wait, lambda state: annotation(state, trial, by or _login(), text), told)


def withdraw_command(name: str, why: str, by: str, path: StoreLocation, wait: float) -> int:
    """Say that the data of a campaign are not to be relied on; return the exit status."""

    def told(entry: Entry, before: CampaignState) -> None:
        _say(f"campaign {before.name} is withdrawn; entry {entry.seq}")
        _say("its data stay on record; every release from here on says that they are withdrawn, and why")

    return _record(name, path, wait, lambda state: withdrawal(state, by or _login(), why), told)


def _say(text: str) -> None:
    console().print(plain(text), markup=False, soft_wrap=True)


def _record(
    name: str,
    path: StoreLocation,
    wait: float,
    make: Callable[[CampaignState], tuple[str, dict[str, Any]]],
    told: Callable[[Entry, CampaignState], None],
) -> int:
    with Store.open(path, create=False) as store:
        campaign = store.resolve(name)
        state = actions_state(store, campaign)
        try:
            entry = put_on_record(store, campaign, make(state), wait=wait)
        except NotAnswered as error:
            console(stderr=True).print(f"sdl: {error}", markup=False, soft_wrap=True)
            return PAUSED
    told(entry, state)
    return ENDED
