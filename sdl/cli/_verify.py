"""`sdl verify`: stores, campaigns and releases, each compared with what it says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from sdl.cli._errors import BAD_INPUT, ENDED
from sdl.cli._format import console
from sdl.journal import Damage, Store
from sdl.journal.location import StoreLocation, location
from sdl.model import InputError

__all__ = ["verify_command"]


def verify_command(name: str, path: StoreLocation, key: str = "") -> int:
    """Print every damage of a store, of one of its campaigns or of a release, or that there is none.

    Args:
        name: a campaign of the store; the folder of a release; another store, as a file or an address; empty for all
            of the store.
        path: of the store.
        key: public key that must have signed a release, as in `ed25519:4f…`; any by default.

    Raises:
        InputError: a key for what is not signed.
    """
    if name and Path(name).is_dir():
        return _verify_release(Path(name), key)
    if key:
        raise InputError(f"--key says who signed a release, and {name or 'a store'} is none: name its folder")
    if name and ("://" in name or Path(name).is_file()):
        name, path = "", location(name)
    with Store.open(path, create=False) as store:
        campaign = store.resolve(name) if name else None
        damage = store.verify(campaign)
        chains = [] if damage else [*store.campaigns(), *store.labs()]
        heads = [head for head in chains if campaign in (None, head.id)]
    out = console()
    _show_damage(damage, "store")
    for head in heads:
        out.print(
            f"{head.name} ({head.id}): {head.seq} entries intact, head {head.hash}",
            markup=False,
            soft_wrap=True,
        )
    return BAD_INPUT if damage else ENDED


def _show_damage(damage: Sequence[Damage], whole: str) -> None:
    for item in damage:
        place = f"campaign {item.campaign}" + (f", entry {item.seq}" if item.seq else "") if item.campaign else whole
        console().print(Text(f"damaged: {place}: {item.message}", style="bold red"), soft_wrap=True)


def _verify_release(folder: Path, key: str) -> int:
    """Compare a release with its manifest, its journal and its signature."""
    from sdl.fair.release import verify_release

    damage = verify_release(folder, key)
    _show_damage(damage, "release")
    if not damage:
        console().print(f"release {folder}: intact", markup=False, soft_wrap=True)
    return BAD_INPUT if damage else ENDED
