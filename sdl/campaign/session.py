"""One session of a campaign: everything that has to be open while it runs, opened in order and closed in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import platform, python_version
from socket import gethostname
from typing import Any

from sdl.campaign.amendment import amendments
from sdl.campaign.control import Control
from sdl.campaign.coordinator import Coordinator, OnEvent
from sdl.campaign.files import LoadedCampaign
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

__all__ = ["Feed", "run_session", "software_versions"]

_PACKAGES = (
    "self-driving-lab",
    "bluesky",
    "ophyd-async",
    "event-model",
    "numpy",
    "scipy",
    "torch",
    "botorch",
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


async def run_session(
    loaded: LoadedCampaign,
    store: Store,
    campaign: str,
    control: Control,
    on_event: OnEvent,
    answer: OnInterrupt | None = None,
    feed: Feed | None = None,
    key: Path | None = None,
    virtual: VirtualClock | None = None,
) -> CampaignState:
    """Take a campaign up, run it until it ends, pauses or aborts, and let it go.

    Args:
        loaded: the campaign and its lab.
        store: an open store that has the campaign.
        campaign: id.
        control: pause and abort requests.
        on_event: called after each entry but documents.
        answer: what to do with interrupted steps that say `ask`.
        feed: where the live feed is served; a free port on loopback by default.
        key: file with this coordinator's secret key, for workers that ask for one.
        virtual: the clock of the running loop when that is on virtual time: every station is then in this process,
            every instrument simulated, and nothing waits for the disk.

    Raises:
        WireError: the feed's address is taken, malformed, or reachable from outside without keys.
        LeaseHeld: another process runs the campaign.
        InputError: the files differ from the campaign in a way that cannot be amended.
        JournalError: the record cannot be written; the stations are in their safe states.
    """
    keeping = keeping_of(loaded, store)
    timing: dict[str, Any] = {}
    if virtual is not None:
        virtual.not_before(store.state(campaign).updated_at)
        timing = {"now": virtual.wall_ns, "syncs": False}
    with store.writer(campaign, **timing) as writer:
        where = feed or Feed()
        with Publisher(
            campaign,
            lambda after: store.entries(campaign, after=after),
            address=where.address,
            keys=where.keys,
        ) as publisher:
            writer.subscribe(publisher.publish)
            writer.set_address(publisher.address)
            state = await _take_up(loaded, store, campaign, writer, on_event, virtual is not None, keeping)
            state = await _with_lab(loaded, store, writer, state, control, on_event, answer, key, virtual, keeping)
            closed = await writer.aappend(kinds.SESSION_CLOSED, {"lab_seconds": state.lab_seconds})
            state = fold(state, closed)
            on_event(closed, state)
            await asyncio.to_thread(writer.flush)  # watchers get the last entries before the feed says goodbye
    return state


async def _take_up(
    loaded: LoadedCampaign,
    store: Store,
    campaign: str,
    writer: Writer,
    on_event: OnEvent,
    virtual: bool,
    keeping: Keeping | None,
) -> CampaignState:
    """Bring the record in order: create, amend, or close what a dead process left open.

    Raises:
        InputError: what was done is not what this session would go on with.
    """
    state = store.state(campaign)
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
    loaded: LoadedCampaign,
    store: Store,
    writer: Writer,
    state: CampaignState,
    control: Control,
    on_event: OnEvent,
    answer: OnInterrupt | None,
    key: Path | None,
    virtual: VirtualClock | None,
    keeping: Keeping | None,
) -> CampaignState:
    planner = PlannerHost(loaded.spec)
    try:
        async with contextlib.AsyncExitStack() as stack:
            try:
                if virtual is None:
                    refuse_if_stopped(lab_key(loaded.lab.file.path))
                names = _stations(loaded)
                workers = Workers(loaded, names if virtual is None else [], key)
                lab = await stack.enter_async_context(
                    connect_lab(loaded.lab, [name for name in names if name not in workers.names], virtual)
                )
                safety = Safety(loaded.lab, lab, lambda: stopped_by(lab.key) if virtual is None else "")
                await safety.bind()
                remote = workers.build(state.id, writer.epoch, state.origins)
                stations: dict[str, StationHost] = {**lab.stations, **remote}
                clock = lab.clock if lab.stations else LabClock(_speed(loaded))
                coordinator = Coordinator(
                    loaded, store, writer, state, stations, planner, clock, control, on_event, answer, safety, workers,
                    keeping,
                )  # fmt: skip
                stack.push_async_callback(workers.close)
                await workers.open(coordinator)
            except SdlError as error:
                stopped = bool(stopped_by(lab_key(loaded.lab.file.path)))
                return await _cannot_open(error, writer, state, on_event, stopped)
            await coordinator.record(kinds.LAB_OPENED, _opened(loaded, lab, workers, clock))
            try:
                with safety.watch(coordinator):
                    await coordinator.run()
            except BaseException:
                # Most likely nothing can be recorded any more: what is left to do is to leave the lab safe.
                await asyncio.gather(
                    *(station.abort("the campaign cannot go on") for station in stations.values()),
                    return_exceptions=True,
                )
                await asyncio.gather(*(station.make_safe() for station in stations.values()), return_exceptions=True)
                raise
            return coordinator.final_state()
    finally:
        planner.close()


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


def _stations(loaded: LoadedCampaign) -> list[str]:
    """Stations that the procedure uses."""
    steps = loaded.procedure.steps
    return list(dict.fromkeys(name for step in steps for name in step.spec.every_station))


async def _cannot_open(
    error: SdlError, writer: Writer, state: CampaignState, on_event: OnEvent, stopped: bool
) -> CampaignState:
    what = "see that it is safe and take the stop away" if stopped else "mend that"
    body = {"message": str(error), "advice": f"{what}, then run the same command again"}
    entry = await writer.aappend(kinds.CAMPAIGN_PAUSED, body)
    state = fold(state, entry)
    on_event(entry, state)
    return state
