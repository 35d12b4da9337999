"""Campaigns on a lab: it is opened for them, they run on it side by side, and it is left safe and closed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdl.campaign._taken import Shared, Taken, stations_of
from sdl.campaign.control import Control
from sdl.campaign.coordinator import Coordinator
from sdl.campaign.files import LoadedCampaign
from sdl.campaign.jobs import needs_planning
from sdl.campaign.planning import PlannerHost
from sdl.campaign.safety import Safety
from sdl.campaign.workers import Workers
from sdl.journal import kinds
from sdl.lab.certificates import find_certificate
from sdl.lab.clock import LabClock
from sdl.lab.opening import connect_lab, stopped_by
from sdl.lab.spec import OnInterrupt
from sdl.lab.stopcards import lab_key, refuse_if_stopped
from sdl.model import InputError, SdlError
from sdl.protocols import Clock
from sdl.virtual import VirtualClock

if TYPE_CHECKING:
    from sdl.campaign.board import Board

__all__ = ["run_on_lab"]


async def run_on_lab(
    taken: Sequence[Taken],
    control: Control,
    answer: OnInterrupt | None,
    key: Path | None,
    virtual: VirtualClock | None,
) -> list[Taken]:
    """Open the lab, run the campaigns on it, and close it; returns them as they then are.

    A lab that cannot be opened pauses them.

    Args:
        taken: campaigns with one lab file.
        control: pause and abort requests, which go to all of them.
        answer: what to do with interrupted steps that say `ask`.
        key: file with this coordinator's secret key, for workers that ask for one.
        virtual: the clock of the running loop when that is on virtual time.

    Raises:
        JournalError: the record cannot be written; the stations are in their safe states.
    """
    planners = [PlannerHost(one.loaded.spec) for one in taken]
    try:
        async with contextlib.AsyncExitStack() as stack:
            try:
                shared = await _open(stack, taken, control, key, virtual)
                coordinators = tuple(
                    Coordinator(one, shared, planner, answer, rank)
                    for rank, (one, planner) in enumerate(zip(taken, planners, strict=True))
                )
                stack.push_async_callback(shared.workers.close)
                await shared.workers.open(coordinators[0])
            except SdlError as error:
                stopped = bool(stopped_by(lab_key(taken[0].loaded.lab.file.path)))
                return [await _cannot_open(error, one, stopped) for one in taken]
            for coordinator in coordinators:
                coordinator.mates = coordinators
            told = await _told(taken[0].loaded, shared)
            for coordinator in coordinators:
                await coordinator.record(kinds.LAB_OPENED, told)
            await _run_watched(coordinators, shared)
            return [replace(one, state=c.final_state()) for one, c in zip(taken, coordinators, strict=True)]
    finally:
        for planner in planners:
            planner.close()


# ── opening ──


async def _open(
    stack: contextlib.AsyncExitStack,
    taken: Sequence[Taken],
    control: Control,
    key: Path | None,
    virtual: VirtualClock | None,
) -> Shared:
    """Open what the campaigns share. Stations at workers are made, and not connected yet.

    Raises:
        SdlError: the lab cannot be opened.
    """
    first, campaigns = taken[0], [one.loaded for one in taken]
    loaded, names = first.loaded, stations_of(campaigns)
    if virtual is None:
        refuse_if_stopped(lab_key(loaded.lab.file.path))
    workers = Workers(loaded, names if virtual is None else [], key)
    here = [name for name in names if name not in workers.names]
    lab = await stack.enter_async_context(connect_lab(loaded.lab, here, virtual))
    safety = Safety(loaded.lab, lab, lambda: stopped_by(lab.key) if virtual is None else "")
    await safety.bind()
    if len(taken) > 1 and workers.names:
        raise InputError(
            f"stations {', '.join(workers.names)} have workers, and a worker serves one campaign at a time: run these "
            "campaigns one after another"
        )
    remote = workers.build(first.state.id, first.writer.epoch, first.state.origins)
    clock = lab.clock if lab.stations else LabClock(_speed(loaded))
    return Shared(lab, workers, {**lab.stations, **remote}, clock, safety, control, _board(campaigns, clock))


def _board(campaigns: Sequence[LoadedCampaign], clock: Clock) -> Board | None:
    """One schedule for campaigns that run together; None for one that runs alone."""
    if len(campaigns) == 1:
        return None
    from sdl.campaign.board import Board

    ahead = any(needs_planning(loaded.procedure, loaded.spec) for loaded in campaigns)
    return Board(campaigns[0].lab.spec, clock, ahead)


def _speed(loaded: LoadedCampaign) -> float:
    """Lab seconds a wall second, where workers have every station."""
    simulation = loaded.lab.spec.simulation
    return simulation.speed if simulation is not None and loaded.lab.simulated_devices() else 1.0


async def _told(loaded: LoadedCampaign, shared: Shared) -> dict[str, Any]:
    """What is on record of a lab that is open, with what the instruments say of themselves, also those of workers."""
    body, workers = shared.lab.as_json(), shared.workers
    found = {name: find_certificate(loaded.lab.file.path, name) for name in loaded.lab.spec.devices}
    asked = [station.identities() for station in shared.lab.stations.values()]
    said = await asyncio.gather(*asked, *(station.identities() for station in workers.stations.values()))
    return {
        **body,
        "addresses": {**body["addresses"], **workers.addresses()},
        "simulated": [*body["simulated"], *workers.simulated()],
        "speed": shared.clock.speed,
        "workers": {name: station.address for name, station in workers.stations.items()},
        "certificates": {name: certificate.cite() for name, certificate in found.items() if certificate is not None},
        "identity": {name: fields for told in said for name, fields in told.items()},
    }


async def _cannot_open(error: SdlError, campaign: Taken, stopped: bool) -> Taken:
    what = "see that it is safe and take the stop away" if stopped else "mend that"
    body = {"message": str(error), "advice": f"{what}, then run the same command again"}
    return await campaign.record((kinds.CAMPAIGN_PAUSED, body))


# ── running ──


async def _run_watched(coordinators: Sequence[Coordinator], shared: Shared) -> None:
    """Run campaigns under the watchdog's eyes; whatever goes wrong, the stations are left safe."""
    try:
        with shared.safety.watch(*coordinators):
            await _run(coordinators)
    except BaseException:
        # Most likely nothing can be recorded any more: what is left to do is to leave the lab safe.
        stations = shared.stations.values()
        aborting = (station.abort("the campaign cannot go on") for station in stations)
        await asyncio.gather(*aborting, return_exceptions=True)
        await asyncio.gather(*(station.make_safe() for station in stations), return_exceptions=True)
        raise


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
