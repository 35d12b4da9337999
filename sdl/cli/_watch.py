"""`sdl watch`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sdl.campaign.inventory import today
from sdl.cli._format import console, print_json
from sdl.cli._progress import Progress
from sdl.cli._run import event_json
from sdl.fair.access import Role, Standing, data_verdict, readable, role_of, seen_by, standing_of
from sdl.journal import Entry, Store, kinds
from sdl.journal.location import StoreLocation
from sdl.journal.state import CampaignState, fold
from sdl.model import InputError
from sdl.wire import ClientKeys, Watcher, follow

__all__ = ["watch_command"]

_KEYS = "it asks for keys (--key, --server-key)"


def watch_command(
    name: str,
    path: StoreLocation,
    address: str,
    json: bool,
    documents: bool,
    keys: ClientKeys | None = None,
    as_: str = "",
) -> None:
    """Follow a campaign until it stops or Ctrl-C; `as_`: for whom, as in `--as`."""
    role = role_of(as_)
    if address:
        with Watcher(address, keys=keys) as watcher:
            _show(_told(watcher, json, role), json, documents, role)
            if watcher.status == "lost" and not json:
                _say(f"nothing more comes from {address}: the campaign's process has vanished, or {_KEYS}")
        return
    with Store.open(path, create=False) as store:
        campaign = _campaign(seen_by(store, role, today()), name)
        verdict, standing = data_verdict(store, campaign, role, today()), standing_of(store, campaign)
        if not verdict.allowed and not json:
            console().print(f"no data are shown: {verdict.why}", style="dim", markup=False)
        lease = store.lease(campaign)
        if lease is None or not lease.alive or not lease.address:
            _show(store.entries(campaign), json, documents, role, standing)
            if not json:
                console().print("nobody is running this campaign at the moment; this is its journal", style="dim")
            return
        with follow(lambda after: store.entries(campaign, after=after), lease.address, keys=keys) as watcher:
            _show(watcher, json, documents, role, standing)
            lease = store.lease(campaign)
            if watcher.status == "lost" and not json:
                alive = lease is not None and lease.alive
                gone = "the process that ran the campaign has vanished; run it again to go on"
                _say(f"the campaign runs, but its feed is silent: {_KEYS}" if alive else gone)


def _campaign(store: Store, name: str) -> str:
    if name:
        return store.resolve(name)
    campaigns = store.campaigns()
    if not campaigns:
        raise InputError(f"the store {store.name} holds no campaign yet")
    return campaigns[-1].id


def _told(watcher: Watcher, json: bool, role: Role) -> Iterator[Entry]:
    """The entries of a feed; first said as whom one follows it, where one is no operator.

    Raises:
        InputError: another role is asked for than the key has.
    """
    for entry in watcher:
        if watcher.role and role.kind != "owner":
            raise InputError(f"the feed knows this key as {watcher.role} and shows that and no more: leave out --as")
        if watcher.role and not json and entry.seq == 1:
            what = "no data, what describes the campaign" if watcher.part == "metadata" else "its data"
            console().print(f"followed as {watcher.role}: {what}", style="dim", markup=False)
        yield entry


def _show(entries: Iterable[Entry], json: bool, documents: bool, role: Role, standing: Standing | None = None) -> None:
    entries = readable(entries, role, today(), standing)
    if json:
        for entry in entries:
            if documents or entry.kind != kinds.DOCUMENT:
                print_json(event_json(entry))
        return
    state: CampaignState | None = None
    with Progress(console()) as progress:
        for entry in entries:
            state = fold(state or CampaignState(id=entry.campaign), entry)
            progress.on_event(entry, state)


def _say(text: str) -> None:
    console().print(text, style="bold red", markup=False)
