"""`sdl replay`: every proposal and every outcome of a campaign made again and compared with the record."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rich.text import Text

from sdl.cli._errors import BAD_INPUT, ENDED
from sdl.cli._format import console, plain, print_json
from sdl.fair.replay import TOLERANCE, Replay, replay
from sdl.journal import Store
from sdl.journal.location import StoreLocation

__all__ = ["replay_command"]

_WORDS: Final = {
    "exact": "the same bit by bit",
    "close": f"the same within {TOLERANCE:g}",
    "differs": "not the same",
    "impossible": "cannot be made again here",
}


def replay_command(name: str, lab: Path | None, path: StoreLocation, json: bool) -> int:
    """Make the decisions of a campaign again; return 0 when all are as on record."""
    with Store.open(path, create=False) as store:
        done = replay(store, store.resolve(name), lab=lab)
    if json:
        print_json(done.as_json())
    else:
        _show(done)
    return ENDED if done.matches else BAD_INPUT


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
