"""`sdl doubts` and `sdl resolve`."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from sdl.campaign.doubts import Doubt, NotAnswered, find_doubt, has_session, list_doubts, resolve, signed
from sdl.cli._as import only_data, opened_as, say_withheld, with_data
from sdl.cli._errors import ENDED, PAUSED
from sdl.cli._format import console, number, plain, print_json, when
from sdl.journal import Store
from sdl.journal.location import StoreLocation, shown
from sdl.model import FileFault, InputError

__all__ = ["WAYS", "doubts_command", "how_to_resolve", "resolve_command"]

WAYS = "--done | --not-done | --quarantine --note '…'"
"""The verdicts, for a line that has no room to explain them."""

_MEANINGS = (
    ("--done", "it happened in full"),
    ("--not-done", "nothing of it happened: it is done when the trial goes on"),
    ("--quarantine", "it happened in part, or nobody can say: the trial is given up"),
)
_DEFAULT_STORE = Path("sdl.db")


def doubts_command(name: str, path: StoreLocation, json: bool, as_: str = "") -> None:
    """Print every action in doubt, of one campaign or of all in the store, and how to settle it.

    Args:
        name: of the campaign; empty for all.
        path: of the store.
        json: print one JSON object a line.
        as_: for whom, as in `--as`; only the owner is told how to settle them.
    """
    with opened_as(path, as_) as (seen, role):
        chosen = [with_data(seen, name, role)] if name else _chosen(only_data(seen), "")
        if not name and not json:
            say_withheld(seen, role)
        doubts = [doubt for campaign in chosen for doubt in list_doubts(only_data(seen), campaign)]
    if json:
        for doubt in doubts:
            print_json(doubt.as_json())
        return
    out = console()
    if not doubts:
        where = f"campaign {name}" if name else f"any campaign of {path}"
        out.print(f"nothing is in doubt in {where}", markup=False)
        return
    count, they = (f"{len(doubts)} actions are", "they") if len(doubts) > 1 else ("1 action is", "it")
    out.print(Text(f"{count} in doubt: nobody knows yet whether {they} happened", style="bold red"))
    out.print(_table(doubts))
    out.print()
    for line in _advice(doubts, path) if role.kind == "owner" else []:
        out.print(line, markup=False, soft_wrap=True)


def _chosen(store: Store, name: str) -> list[str]:
    return [store.resolve(name)] if name else [head.id for head in store.campaigns()]


def _short(doubts: Sequence[Doubt]) -> dict[str, str]:
    """Action → what is enough for `sdl resolve`: `trial/step/position` where no other campaign has the same."""
    keys = Counter(doubt.key for doubt in doubts)
    return {d.action.id: d.key if keys[d.key] == 1 else d.action.id for d in doubts}


def _table(doubts: Sequence[Doubt]) -> Table:
    short = _short(doubts)
    table = Table(box=None, pad_edge=False)
    for column in ("ID", "what", "campaign", "trial", "step", "dispatched", "acknowledged", "evidence"):
        table.add_column(column, overflow="fold", no_wrap=column in ("ID", "trial"))
    for doubt in doubts:
        action = doubt.action
        acked = when(action.acked_at) if action.acked_at else "never"
        cells = (
            short[action.id], doubt.what, doubt.name, str(action.trial), action.step, when(action.dispatched_at),
            acked, _evidence(doubt),
        )  # fmt: skip
        table.add_row(*(Text(plain(cell)) for cell in cells))
    return table


def _evidence(doubt: Doubt) -> str:
    """What there is to go by: readings, how far it came, and what the instrument said."""
    action = doubt.action
    noted = {name: value for name, value in {**action.carried, **action.evidence}.items() if value != doubt.unit}
    parts = [", ".join(f"{name} {number(value)}" for name, value in noted.items())]
    if action.arms and not action.armed:
        parts.append("it was being prepared: nothing that acts had left")
    elif doubt.cut_off:
        parts.append("the process ended during this action")
    if action.tries > 1:
        parts.append(f"try {action.tries}")
    parts.append(action.message)
    if doubt.asked is not None:
        said, by = (str(doubt.asked.body.get(key)).replace("_", " ") for key in ("verdict", "by"))
        parts.append(f"{by} says {said} since {when(doubt.asked.at)}; the session has not taken it up yet")
    return "; ".join(part for part in parts if part) or "none"


def _advice(doubts: Sequence[Doubt], path: StoreLocation) -> list[str]:
    short = _short(doubts)
    cut_off = ", ".join(short[doubt.action.id] for doubt in doubts if doubt.cut_off)
    lines = [f"{cut_off}: `sdl run` with the campaign's file asks the instrument first"] if cut_off else []
    one = next(iter(short.values())) if len(doubts) == 1 else "ID"
    lines.append("look at the instrument and the sample, then say what you found:")
    for flag, meaning in _MEANINGS:
        lines.append(f"  {how_to_resolve(one, path)} {flag:<12} --note '…'   {meaning}")
    return lines


def how_to_resolve(key: str, path: StoreLocation) -> str:
    """The command without its verdict."""
    return f"sdl resolve {shlex.quote(key)}{_elsewhere(path)}"


def _elsewhere(path: StoreLocation) -> str:
    return "" if path == _DEFAULT_STORE else f" --store {shlex.quote(shown(path))}"


def resolve_command(
    action: str, verdicts: Sequence[str], note: str, by: str, name: str, path: StoreLocation, wait: float = 10.0
) -> int:
    """Settle an action in doubt; return the exit status."""
    _check(verdicts, note)
    by = signed(by or _login())
    with Store.open(path, create=False) as store:
        doubt = find_doubt(store, _chosen(store, name), action)
        try:
            told = resolve(store, doubt.campaign, doubt.action.id, verdicts[0], by, note, wait=wait)
        except NotAnswered as error:
            console(stderr=True).print(f"sdl: {error}", markup=False, soft_wrap=True)
            return PAUSED
        left = [other for other in list_doubts(store, doubt.campaign) if other.action.id != doubt.action.id]
        runs = has_session(store, doubt.campaign)
    out = console()
    out.print(plain(told), markup=False, soft_wrap=True)
    if left:
        out.print(f"still in doubt: {', '.join(other.key for other in left)}", markup=False, soft_wrap=True)
    elif not runs:
        out.print(f"to go on: sdl run CAMPAIGN.yaml{_elsewhere(path)}", markup=False, soft_wrap=True)
    return ENDED


def _check(verdicts: Sequence[str], note: str) -> None:
    """Raise what is missing, all of it at once."""
    faults = list[FileFault]()
    if len(verdicts) != 1:
        given = "none was given" if not verdicts else f"{len(verdicts)} were given"
        faults.append(FileFault(f"say what became of it with one of --done, --not-done, --quarantine; {given}"))
    if not note.strip():
        faults.append(FileFault("say what shows it, as in --note 'the beaker is empty'; those after you read it"))
    if faults:
        raise InputError(faults)


def _login() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no name for this user's number, as in many containers
        raise InputError("this system has no name for you; give one with --by NAME") from None
