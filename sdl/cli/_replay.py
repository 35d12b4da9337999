"""`sdl replay`: every proposal and every outcome of a campaign made again and compared with the record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from rich.text import Text

from sdl.campaign.inventory import today
from sdl.cli._as import with_data
from sdl.cli._errors import BAD_INPUT, ENDED
from sdl.cli._format import console, plain, print_json
from sdl.fair._private import without_folders
from sdl.fair.access import role_of, seen_by
from sdl.fair.replay import TOLERANCE, Check, Replay
from sdl.fair.replay import replay as made_again
from sdl.journal import Store
from sdl.journal.location import StoreLocation

__all__ = ["replay_command"]

_WORDS: Final = {
    "exact": "the same bit by bit",
    "close": f"the same within {TOLERANCE:g}",
    "differs": "not the same",
    "impossible": "cannot be made again here",
}


def replay_command(name: str, lab: Path | None, path: StoreLocation, json: bool, as_: str = "") -> int:
    """Make the decisions of a campaign again; return 0 when all are as on record.

    Args:
        name: of the campaign.
        lab: where the lab's code is now; as on record unless given.
        path: of the store.
        json: print one JSON object.
        as_: for whom, as in `--as`.
    """
    with Store.open(path, create=False) as store:
        role = role_of(as_)
        campaign = with_data(seen_by(store, role, today()), name, role)
        # What is compared is the record itself: with folders left out of it there would be no code to run.
        done = made_again(store, campaign, lab=lab)
    if role.kind != "owner":
        done = replace(done, checks=tuple(map(_for_others, done.checks)))
    if json:
        print_json(done.as_json())
    else:
        _show(done)
    return ENDED if done.matches else BAD_INPUT


def _for_others(check: Check) -> Check:
    """Without folders of this machine, which reasons may name."""
    return replace(check, by=without_folders(check.by), why=without_folders(check.why))


def _show(done: Replay) -> None:
    out = console()
    out.print(Text(f"{done.name}  {done.campaign}", style="bold"))
    for what in ("proposal", "outcome"):
        counts = done.counts(what)
        total = sum(counts.values())
        listed = ", ".join(f"{counts[verdict]} {words}" for verdict, words in _WORDS.items() if counts[verdict])
        out.print(f"{total} {what}{'' if total == 1 else 's'}: {listed or 'nothing to make again'}", markup=False)
    for check in done.checks:
        if check.why:
            text = f"trial {check.trial}, {check.what} of {check.by}: {_WORDS[check.verdict]}: {check.why}"
            out.print(Text(plain(text), style="" if check.matches else "bold red"), soft_wrap=True)
    if done.matches:
        out.print("all as on record", style="green", markup=False)
