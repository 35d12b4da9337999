"""One session of a campaign: everything that has to be open while it runs, opened in order and closed in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import platform, python_version
from socket import gethostname
from typing import Any

from sdl.campaign._onlab import run_on_lab
from sdl.campaign._provenance import environment, revision
from sdl.campaign._taken import Taken, caught_up
from sdl.campaign.amendment import amendments
from sdl.campaign.control import Control
from sdl.campaign.coordinator import OnEvent
from sdl.campaign.files import LoadedCampaign
from sdl.campaign.keeping import Keeping, keeping_of
from sdl.campaign.recovery import interrupted_entries
from sdl.journal import Store, Writer, kinds
from sdl.journal.state import CampaignState
from sdl.lab.spec import OnInterrupt
from sdl.model import InputError
from sdl.virtual import VirtualClock
from sdl.wire import Publisher, ServerKeys, Views

__all__ = ["Feed", "Seat", "run_sessions", "software_versions"]

_PACKAGES = (
    "self-driving-lab",
    "bluesky",
    "ophyd-async",
    "event-model",
    "numpy",
    "scipy",
    "torch",
)


def software_versions() -> dict[str, str]:
    """Versions of what a campaign's results depend on."""
    found = {"python": python_version(), "platform": platform()}
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


@dataclass(frozen=True)
class Feed:
    """Where a campaign's entries are published live."""

    address: str = "tcp://127.0.0.1:0"
    """`tcp://HOST:PORT`; port 0 takes a free one. The history is served on the port after it."""
    keys: ServerKeys | None = None
    """CURVE keys; without them only this machine may connect."""
    views: Callable[[Store, str], Views] | None = None
    """What keys with a role get of a campaign: `sdl.fair.access.feed_views`. Such keys are refused without it."""


@dataclass(frozen=True)
class Seat:
    """A campaign that is to run, and who follows it."""

    loaded: LoadedCampaign
    """The campaign and its lab."""
    state: CampaignState
    """Of the campaign, which the store has; others may have written to it since it was read."""
    on_event: OnEvent
    """Called after each entry but documents."""
    feed: Feed = Feed()
    """Where the live feed is served; a free port on loopback by default."""

    @property
    def campaign(self) -> str:
        """Id of the campaign."""
        return self.state.id


async def run_sessions(
    seats: Sequence[Seat],
    store: Store,
    control: Control,
    answer: OnInterrupt | None = None,
    key: Path | None = None,
    virtual: VirtualClock | None = None,
) -> None:
    """Take campaigns up, run them on one lab until each ends, pauses or aborts, and let them go.

    Several share the lab's stations, places and stock, as one schedule for all of them says.

    Args:
        seats: at least one; all have the same lab file.
        store: an open store that has the campaigns.
        control: pause and abort requests, which go to all of them.
        answer: what to do with interrupted steps that say `ask`.
        key: file with this coordinator's secret key, for workers that ask for one.
        virtual: the clock of the running loop when that is on virtual time: every station is then in this process,
            every instrument simulated, and nothing waits for the disk.

    Raises:
        WireError: the feed's address is taken, malformed, or reachable from outside without keys.
        LeaseHeld: another process runs one of them.
        InputError: the files differ from a campaign in a way that cannot be amended.
        JournalError: the record cannot be written; the stations are in their safe states.
    """
    keepings = [keeping_of(seat.loaded, store) for seat in seats]
    together = [keeping for keeping in keepings if keeping is not None]
    for one in together:
        one.share(together)
    with contextlib.ExitStack() as stack:
        taken = []
        for seat, keeping in zip(seats, keepings, strict=True):
            writer = _writer(stack, seat, store, virtual)
            taken.append(await _take_up(seat, store, writer, virtual is not None, keeping))
        for campaign in await run_on_lab(taken, control, answer, key, virtual):
            await campaign.record((kinds.SESSION_CLOSED, {"lab_seconds": campaign.state.lab_seconds}))
            # Watchers get the last entries before the feed says goodbye.
            await asyncio.to_thread(campaign.writer.flush)


def _writer(stack: contextlib.ExitStack, seat: Seat, store: Store, virtual: VirtualClock | None) -> Writer:
    """Take a campaign up for writing, and publish what is written."""
    timing: dict[str, Any] = {}
    if virtual is not None:
        virtual.not_before(seat.state.updated_at)
        timing = {"now": virtual.wall_ns, "syncs": False}
    writer = stack.enter_context(store.writer(seat.campaign, **timing))
    publisher = stack.enter_context(
        Publisher(
            seat.campaign,
            lambda after: store.entries(seat.campaign, after=after),
            address=seat.feed.address,
            keys=seat.feed.keys,
            views=seat.feed.views(store, seat.campaign) if seat.feed.views is not None else None,
        )
    )
    writer.subscribe(publisher.publish)
    writer.set_address(publisher.address)
    return writer


async def _take_up(seat: Seat, store: Store, writer: Writer, virtual: bool, keeping: Keeping | None) -> Taken:
    """Bring the record in order: create, amend, or close what a dead process left open.

    Raises:
        InputError: what was done is not what this session would go on with.
    """
    loaded = seat.loaded
    state = caught_up(store, seat.state)  # nobody else writes from here on
    if state.spec is not None and state.virtual is not virtual:
        was, flag = ("on virtual time", "give --virtual") if state.virtual else ("in a lab", "leave out --virtual")
        raise InputError(f"campaign {state.name!r} was begun {was}: {flag}, or choose another store with --store")
    entries: list[tuple[str, Mapping[str, Any]]] = []
    if state.spec is None:
        entries.append((kinds.CAMPAIGN_CREATED, loaded.created_body()))
    elif changes := amendments(state, loaded):
        entries.append((kinds.CAMPAIGN_AMENDED, {**loaded.created_body(), "changes": changes}))
    stations = loaded.lab.spec.stations.items()
    remote = [name for name, station in stations if station.worker is not None and not virtual]
    opened = _opened(loaded, writer, virtual)
    taken = Taken(loaded, store, writer, state, seat.on_event, keeping)
    taken = await taken.record(*entries, *interrupted_entries(state, remote), (kinds.SESSION_OPENED, opened))
    if keeping is not None:
        taken = await taken.record(*keeping.keeper.missing(taken.state))
    return taken


def _opened(loaded: LoadedCampaign, writer: Writer, virtual: bool) -> dict[str, Any]:
    """What is on record of a session."""
    simulation = loaded.lab.spec.simulation
    return {
        "holder": f"{gethostname()}:{os.getpid()}",
        "epoch": writer.epoch,
        "versions": software_versions(),
        "revision": revision(loaded.lab.folder),
        "environment": list(environment()),
        "lab_speed": simulation.speed if simulation and not virtual else 1.0,
        "virtual": virtual,
        "lab_sha256": loaded.lab.as_json()["sha256"],
    }
