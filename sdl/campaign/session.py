"""One session of a campaign: everything that has to be open while it runs, opened in order and closed in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import platform, python_version
from socket import gethostname
from typing import TYPE_CHECKING, Any

from sdl.campaign._provenance import environment, revision
from sdl.campaign.amendment import amendments
from sdl.campaign.control import Control
from sdl.campaign.coordinator import Coordinator, OnEvent
from sdl.campaign.files import LoadedCampaign
from sdl.campaign.jobs import needs_planning
from sdl.campaign.keeping import Keeping, keeping_of
from sdl.campaign.planning import PlannerHost
from sdl.campaign.recovery import interrupted_entries
from sdl.campaign.safety import Safety
from sdl.campaign.workers import Workers
from sdl.journal import Store, Writer, kinds
from sdl.journal.state import CampaignState, fold
from sdl.lab.certificates import find_certificate
from sdl.lab.clock import LabClock
from sdl.lab.host import StationHost
from sdl.lab.opening import OpenLab, connect_lab, stopped_by
from sdl.lab.spec import OnInterrupt
from sdl.lab.stopcards import lab_key, refuse_if_stopped
from sdl.model import InputError, SdlError
from sdl.protocols import Clock
from sdl.virtual import VirtualClock
from sdl.wire import Publisher, ServerKeys

if TYPE_CHECKING:
    from sdl.campaign.board import Board

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


@dataclass(frozen=True)
class Seat:
    """A campaign that is to run, and who follows it."""

    loaded: LoadedCampaign
    """The campaign and its lab."""
    campaign: str
    """Its id; the store has it."""
    on_event: OnEvent
    """Called after each entry but documents."""
    feed: Feed = Feed()
    """Where the live feed is served; a free port on loopback by default."""


@dataclass(frozen=True)
class _Open:
    """A campaign that was taken up."""

    seat: Seat
    writer: Writer
    state: CampaignState
    keeping: Keeping | None

    async def record(self, kind: str, body: Mapping[str, Any]) -> _Open:
        """Write an entry, and go on from there."""
        state = await _record([(kind, body)], self.writer, self.state, self.seat.on_event)
        return replace(self, state=state)


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
        opened = []
        for seat, keeping in zip(seats, keepings, strict=True):
            writer = _writer(stack, seat, store, virtual)
            state = await _take_up(seat, store, writer, virtual is not None, keeping)
            opened.append(_Open(seat, writer, state, keeping))
        for campaign in await _with_lab(opened, store, control, answer, key, virtual):
            await campaign.record(kinds.SESSION_CLOSED, {"lab_seconds": campaign.state.lab_seconds})
            # Watchers get the last entries before the feed says goodbye.
            await asyncio.to_thread(campaign.writer.flush)


def _writer(stack: contextlib.ExitStack, seat: Seat, store: Store, virtual: VirtualClock | None) -> Writer:
    """Take a campaign up for writing, and publish what is written."""
    timing: dict[str, Any] = {}
    if virtual is not None:
        virtual.not_before(store.state(seat.campaign).updated_at)
        timing = {"now": virtual.wall_ns, "syncs": False}
    writer = stack.enter_context(store.writer(seat.campaign, **timing))
    publisher = stack.enter_context(
        Publisher(
            seat.campaign,
            lambda after: store.entries(seat.campaign, after=after),
            address=seat.feed.address,
            keys=seat.feed.keys,
        )
    )
    writer.subscribe(publisher.publish)
    writer.set_address(publisher.address)
    return writer


async def _take_up(
    seat: Seat,
    store: Store,
    writer: Writer,
    virtual: bool,
    keeping: Keeping | None,
) -> CampaignState:
    """Bring the record in order: create, amend, or close what a dead process left open.

    Raises:
        InputError: what was done is not what this session would go on with.
    """
    loaded, on_event = seat.loaded, seat.on_event
    state = store.state(seat.campaign)
    if state.spec is not None and state.virtual is not virtual:
        was, flag = ("on virtual time", "give --virtual") if state.virtual else ("in a lab", "leave out --virtual")
        raise InputError(f"campaign {state.name!r} was begun {was}: {flag}, or choose another store with --store")
    entries: list[tuple[str, Mapping[str, Any]]] = []
    if state.spec is None:
        entries.append((kinds.CAMPAIGN_CREATED, loaded.created_body()))
    elif changes := amendments(state, loaded):
        entries.append((kinds.CAMPAIGN_AMENDED, {**loaded.created_body(), "changes": changes}))
    simulation = loaded.lab.spec.simulation
    opened = {
        "holder": f"{gethostname()}:{os.getpid()}",
        "epoch": writer.epoch,
        "versions": software_versions(),
        "revision": revision(loaded.lab.folder),
        "environment": list(environment()),
        "lab_speed": simulation.speed if simulation and not virtual else 1.0,
        "virtual": virtual,
        "lab_sha256": loaded.lab.as_json()["sha256"],
    }
    remote = [name for name, station in loaded.lab.spec.stations.items() if station.worker is not None and not virtual]
    entries += [*interrupted_entries(state, remote), (kinds.SESSION_OPENED, opened)]
    state = await _record(entries, writer, state, on_event)
    if keeping is not None:
        state = await _record(keeping.keeper.missing(state), writer, state, on_event)
    return state


async def _record(
    entries: Sequence[tuple[str, Mapping[str, Any]]], writer: Writer, state: CampaignState, on_event: OnEvent
) -> CampaignState:
    for kind, body in entries:
        entry = await writer.aappend(kind, body)
        state = fold(state, entry)
        on_event(entry, state)
    return state


async def _with_lab(
    opened: Sequence[_Open],
    store: Store,
    control: Control,
    answer: OnInterrupt | None,
    key: Path | None,
    virtual: VirtualClock | None,
) -> list[_Open]:
    """Open the lab, run the campaigns on it, and close it; returns them as they then are."""
    loaded = opened[0].seat.loaded
    planners = [PlannerHost(one.seat.loaded.spec) for one in opened]
    try:
        async with contextlib.AsyncExitStack() as stack:
            try:
                if virtual is None:
                    refuse_if_stopped(lab_key(loaded.lab.file.path))
                names = list(dict.fromkeys(name for one in opened for name in _stations(one.seat.loaded)))
                workers = Workers(loaded, names if virtual is None else [], key)
                lab = await stack.enter_async_context(
                    connect_lab(loaded.lab, [name for name in names if name not in workers.names], virtual)
                )
                safety = Safety(loaded.lab, lab, lambda: stopped_by(lab.key) if virtual is None else "")
                await safety.bind()
                if len(opened) > 1 and workers.names:
                    raise InputError(
                        f"stations {', '.join(workers.names)} have workers, and a worker serves one campaign at a "
                        "time: run these campaigns one after another"
                    )
                remote = workers.build(opened[0].state.id, opened[0].writer.epoch, opened[0].state.origins)
                stations: dict[str, StationHost] = {**lab.stations, **remote}
                clock = lab.clock if lab.stations else LabClock(_speed(loaded))
                board = _board([one.seat.loaded for one in opened], clock)
                coordinators = tuple(
                    Coordinator(
                        one.seat.loaded, store, one.writer, one.state,
                        {name: stations[name] for name in _stations(one.seat.loaded)},
                        planner, clock, control, one.seat.on_event, answer, safety, workers, one.keeping, board, rank,
                    )
                    for rank, (one, planner) in enumerate(zip(opened, planners, strict=True))
                )  # fmt: skip
                stack.push_async_callback(workers.close)
                await workers.open(coordinators[0])
            except SdlError as error:
                stopped = bool(stopped_by(lab_key(loaded.lab.file.path)))
                return [await _cannot_open(error, one, stopped) for one in opened]
            for coordinator in coordinators:
                coordinator.mates = coordinators
            told = {**_opened(loaded, lab, workers, clock), "identity": await _identities(lab)}
            for coordinator in coordinators:
                await coordinator.record(kinds.LAB_OPENED, told)
            try:
                with safety.watch(*coordinators):
                    await _run(coordinators)
            except BaseException:
                # Most likely nothing can be recorded any more: what is left to do is to leave the lab safe.
                await asyncio.gather(
                    *(station.abort("the campaign cannot go on") for station in stations.values()),
                    return_exceptions=True,
                )
                await asyncio.gather(*(station.make_safe() for station in stations.values()), return_exceptions=True)
                raise
            return [replace(one, state=c.final_state()) for one, c in zip(opened, coordinators, strict=True)]
    finally:
        for planner in planners:
            planner.close()


def _board(campaigns: Sequence[LoadedCampaign], clock: Clock) -> Board | None:
    """One schedule for campaigns that run together; None for one that runs alone."""
    if len(campaigns) == 1:
        return None
    from sdl.campaign.board import Board

    ahead = any(needs_planning(loaded.procedure, loaded.spec) for loaded in campaigns)
    return Board(campaigns[0].lab.spec, clock, ahead)


async def _run(coordinators: Sequence[Coordinator]) -> None:
    """Run campaigns side by side. What one of them raises ends them all: the record or the lab cannot be trusted."""
    if len(coordinators) == 1:
        await coordinators[0].run()
        return
    tasks = [asyncio.ensure_future(coordinator.run()) for coordinator in coordinators]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _speed(loaded: LoadedCampaign) -> float:
    """Lab seconds a wall second, where workers have every station."""
    simulation = loaded.lab.spec.simulation
    return simulation.speed if simulation is not None and loaded.lab.simulated_devices() else 1.0


def _opened(loaded: LoadedCampaign, lab: OpenLab, workers: Workers, clock: Clock) -> dict[str, Any]:
    body = lab.as_json()
    found = {name: find_certificate(loaded.lab.file.path, name) for name in loaded.lab.spec.devices}
    return {
        **body,
        "addresses": {**body["addresses"], **workers.addresses()},
        "simulated": [*body["simulated"], *workers.simulated()],
        "speed": clock.speed,
        "workers": {name: station.address for name, station in workers.stations.items()},
        "certificates": {name: certificate.cite() for name, certificate in found.items() if certificate is not None},
    }


async def _identities(lab: OpenLab) -> dict[str, dict[str, str]]:
    """What the instruments of this process's stations say of themselves."""
    found = await asyncio.gather(*(station.identities() for station in lab.stations.values()))
    return {name: fields for told in found for name, fields in told.items()}


def _stations(loaded: LoadedCampaign) -> list[str]:
    """Stations that the procedure uses."""
    steps = loaded.procedure.steps
    return list(dict.fromkeys(name for step in steps for name in step.spec.every_station))


async def _cannot_open(error: SdlError, campaign: _Open, stopped: bool) -> _Open:
    what = "see that it is safe and take the stop away" if stopped else "mend that"
    body = {"message": str(error), "advice": f"{what}, then run the same command again"}
    return await campaign.record(kinds.CAMPAIGN_PAUSED, body)
