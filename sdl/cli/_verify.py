"""`sdl verify`: stores, campaigns and releases, each compared with what it says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from sdl.cli._as import only_data, opened_as, say_withheld, with_data
from sdl.cli._errors import BAD_INPUT, ENDED
from sdl.cli._format import console
from sdl.journal import Damage
from sdl.journal.location import StoreLocation, location
from sdl.model import InputError

__all__ = ["verify_command"]


def verify_command(name: str, path: StoreLocation, key: str = "", as_: str = "", against: str = "") -> int:
    """Print every damage of a store, of one of its campaigns or of a release, or that there is none.

    Args:
        name: a campaign of the store; the folder of a release; another store, as a file or an address; empty for all
            of the store.
        path: of the store.
        key: public key that must have signed a release, as in `ed25519:4f…`; any by default.
        as_: for whom, as in `--as`; others have the campaigns verified whose data they may see.
        against: the store that a release was made from, to compare every entry with; none by default.

    Raises:
        InputError: a key for what is not signed, a store to compare with for what is no release.
    """
    if name and Path(name).is_dir():
        return _verify_release(Path(name), key, against)
    for option, given, use in (("--key", key, "says who signed"), ("--against", against, "names the store of")):
        if given:
            raise InputError(f"{option} {use} a release, and {name or 'a store'} is none: name its folder")
    if name and ("://" in name or Path(name).is_file()):
        name, path = "", location(name)
    with opened_as(path, as_) as (seen, role):
        if not name:
            say_withheld(seen, role)
        campaign = with_data(seen, name, role) if name else None
        store = only_data(seen)
        damage = store.verify(campaign)
        chains = [] if damage else [*store.campaigns(), *(store.labs() if role.kind == "owner" else [])]
        heads = [head for head in chains if campaign in (None, head.id)]
    out = console()
    _show_damage(damage, "store")
    for head in heads:
        end = f", head {head.hash}" if head.hash else ""
        out.print(f"{head.name} ({head.id}): {head.seq} entries intact{end}", markup=False, soft_wrap=True)
    return BAD_INPUT if damage else ENDED


def _show_damage(damage: Sequence[Damage], whole: str) -> None:
    for item in damage:
        place = f"campaign {item.campaign}" + (f", entry {item.seq}" if item.seq else "") if item.campaign else whole
        console().print(Text(f"damaged: {place}: {item.message}", style="bold red"), soft_wrap=True)


def _verify_release(folder: Path, key: str, against: str) -> int:
    """Compare a release with its manifest, its journal, its signature and, when one is named, its store."""
    from sdl.fair._verify_against import told_in_part, verify_against
    from sdl.fair.release import verify_release

    damage = verify_release(folder, key)
    if against:
        with opened_as(location(against), "") as (store, _role):
            damage += verify_against(folder, store)
    _show_damage(damage, "release")
    if not damage:
        out = console()
        out.print(f"release {folder}: intact", markup=False, soft_wrap=True)
        if not against and (part := told_in_part(folder)):
            numbers = ", ".join(map(str, part[:10])) + (" …" if len(part) > 10 else "")
            out.print(f"{len(part)} of its entries are told in part ({numbers}): --against STORE checks them too")
    return BAD_INPUT if damage else ENDED
