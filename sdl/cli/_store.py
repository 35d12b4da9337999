"""`sdl store`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from sdl.cli._as import owner_alone
from sdl.cli._errors import BAD_INPUT, ENDED
from sdl.cli._format import console, print_json
from sdl.journal import Store
from sdl.journal.location import StoreLocation

__all__ = ["backup_command", "check_command", "compact_command", "merge_command", "rebuild_command"]


def check_command(location: StoreLocation, json: bool, as_: str = "") -> int:
    """Print all that is wrong with a store, and advice; exit status 2 when something is wrong. `as_`: as in `--as`."""
    owner_alone(as_, "a check goes over every campaign of the store", f"for the rest: sdl verify --as {as_}")
    with Store.open(location, create=False) as store:
        damage, advice = store.check()
        entries = sum(head.seq for head in [*store.campaigns(), *store.labs()])
        count = len(store.campaigns())
    if json:
        for item in damage:
            print_json({"what": "damage", "campaign": item.campaign, "entry": item.seq, "message": item.message})
        for line in advice:
            print_json({"what": "advice", "message": line})
        print_json({"what": "result", "sound": not damage, "campaigns": count, "entries": entries})
        return BAD_INPUT if damage else ENDED
    out = console()
    for item in damage:
        place = f"campaign {item.campaign}" + (f", entry {item.seq}" if item.seq else "") if item.campaign else "store"
        out.print(Text(f"damaged: {place}: {item.message}", style="bold red"))
    for line in advice:
        out.print(Text(f"note: {line}"), soft_wrap=True)
    if not damage:
        out.print(f"{store.name}: {count} campaigns, {entries} entries, all as it was written", markup=False)
    return BAD_INPUT if damage else ENDED


def rebuild_command(location: StoreLocation) -> None:
    """Derive the tables for lists and queries again."""
    with Store.open(location, create=False) as store:
        store.rebuild_views()
        count = len(store.campaigns())
    console().print(f"{store.name}: derived again for {count} campaigns", markup=False)


def compact_command(location: StoreLocation) -> None:
    """Give back what is not used."""
    with Store.open(location, create=False) as store:
        before = store.size()
        store.compact()
        after = store.size()
    console().print(f"{store.name}: {_bytes(before)} before, {_bytes(after)} now", markup=False)


def backup_command(location: StoreLocation, out: Path, as_: str = "") -> None:
    """Copy a store into a new SQLite file while campaigns go on; `as_`: as in `--as`."""
    owner_alone(as_, "a backup holds every campaign in full", f"for others: sdl release CAMPAIGN --as {as_}")
    with Store.open(location, create=False) as store:
        store.backup(out)
    with Store.open(out, create=False) as copy:
        entries = sum(head.seq for head in [*copy.campaigns(), *copy.labs()])
        count = len(copy.campaigns())
    console().print(f"{out}: {count} campaigns, {entries} entries, every hash fits", markup=False)


def merge_command(
    location: StoreLocation, other: StoreLocation, leave: Sequence[str], json: bool, as_: str = ""
) -> None:
    """Take the campaigns of another store into this one; `as_`: as in `--as`."""
    owner_alone(as_, "a merge takes campaigns over in full", f"for others: sdl release CAMPAIGN --as {as_}")
    with Store.open(other, create=False) as source, Store.open(location) as store:
        told = store.merge(source, leave)
    if json:
        for one in told:
            print_json(one._asdict())
        return
    for one in told:
        count = f", {one.entries} entries" if one.entries else ""
        console().print(f"{one.name} ({one.campaign}): {one.what}{count}", markup=False)


def _bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
