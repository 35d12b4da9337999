"""Interlocks and `sdl stop` at a worker: they hold without the coordinator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Nursery, edit

from sdl.journal import kinds
from sdl.lab.station import Aborted
from sdl.worker import WorkerRefused
from worker.rig import Coordinator, Worker, until

Start = Callable[..., Worker]
Make = Callable[..., Coordinator]


async def test_a_violated_interlock_lets_no_step_begin(workers: Start, coordinators: Make, lab: Path) -> None:
    """A worker looks at the interlocks of its station by itself: no step begins, and the trip is on record."""
    edit(lab, lambda data: data.update(interlocks={"full": {"require": "stamp.count > 5 1", "message": "look at it"}}))
    worker, coordinator = workers(lab), coordinators(lab)
    station = await coordinator.station(worker.address)
    with pytest.raises(WorkerRefused, match=r"full: stamp.count .*must be > 5; look at it") as refused:
        await coordinator.run(station)
    assert refused.value.code == "stopped"
    await until(lambda: kinds.INTERLOCK_TRIPPED in coordinator.kinds(), 5, "the trip is told")
    assert worker.ledger == []


async def test_sdl_stop_beside_the_worker(nursery: Nursery, workers: Start, coordinators: Make, lab: Path) -> None:
    """`sdl stop` on the worker's machine stops the step and lets none begin until it is taken away."""
    worker, coordinator = workers(lab), coordinators(lab)
    station = await coordinator.station(worker.address)
    step = asyncio.ensure_future(coordinator.run(station, "long"))
    await until(lambda: coordinator.documents("event"), 10, "the step runs")
    await asyncio.to_thread(nursery.run, "stop", lab, "--note", "smoke", cwd=lab.parent)
    try:
        with pytest.raises(Aborted, match=r"was stopped .*smoke"):
            await asyncio.wait_for(step, 5)
        with pytest.raises(WorkerRefused, match="smoke"):
            await coordinator.run(station, trial=2)
    finally:
        await asyncio.to_thread(nursery.run, "stop", lab, "--release", cwd=lab.parent)
    await asyncio.sleep(1.2)  # the watchdog looks twice a second
    await coordinator.run(station, trial=2)
