"""A worker or a coordinator is killed and started again: what was done is known, and nothing is done twice."""

from __future__ import annotations

import asyncio
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Nursery, wait_until

from sdl.journal import kinds
from sdl.journal.actions import ActionStatus
from sdl.lab.effects import InDoubt
from sdl.worker import StepInterrupted, WorkerRefused
from worker.rig import Coordinator, Worker, check_complete, check_run, lines, network, until, write_lab

Start = Callable[..., Worker]
Make = Callable[..., Coordinator]


async def test_killed_between_documents(workers: Start, coordinators: Make, lab: Path) -> None:
    """A worker that is killed while it measures comes back, says that the step was interrupted, and closes its run."""
    worker, coordinator = workers(lab), coordinators(lab)
    station = await coordinator.station(worker.address)
    step = asyncio.ensure_future(coordinator.run(station, "long"))
    await until(lambda: len(coordinator.documents("event")) > 5, 10, "the step runs")
    worker.kill()
    await until(lambda: coordinator.lost, 5, "the loss is told")
    assert not step.done()
    await asyncio.to_thread(worker.start)
    with pytest.raises(StepInterrupted, match="bench: its worker ended during this step and was started again"):
        await asyncio.wait_for(step, 10)
    assert coordinator.kinds() == [kinds.ACTION_DISPATCHED, kinds.ACTION_DONE, kinds.RUN_INTERRUPTED]
    body = coordinator.entries[-1][1]
    assert (body["trial"], body["step"], body["attempt"]) == (1, "long", 1)
    assert body["doc"]["run_start"] == coordinator.documents("start")[0]["uid"]
    assert (lab.parent / "ledger.txt").read_text().splitlines()[-1] == "safe"
    await coordinator.run(station, "long", attempt=2)
    assert worker.ledger == ["press 5", "pressed 5"]
    await asyncio.to_thread(worker.end)
    check_complete(coordinator, worker.spool)


async def test_killed_during_an_action(workers: Start, coordinators: Make, tmp_path: Path) -> None:
    """A press that was under way is in doubt: the device is blocked until it is settled, and only then it presses."""
    lab = write_lab(tmp_path / "lab", hold=1.0)
    worker, coordinator = workers(lab), coordinators(lab)
    station = await coordinator.station(worker.address)
    step = asyncio.ensure_future(coordinator.run(station, "twice"))
    await until(lambda: worker.ledger == ["press 5", "pressed 5", "press 6"], 10, "the second press")
    worker.kill()
    await asyncio.to_thread(worker.start)
    with pytest.raises(InDoubt, match=r"it is not known whether set of stamp \(6\) happened") as doubt:
        await asyncio.wait_for(step, 10)
    assert doubt.value.action == "camp/1/twice/2"
    assert coordinator.actions["camp/1/twice/1"].status is ActionStatus.DONE
    assert coordinator.actions["camp/1/twice/2"].status is ActionStatus.IN_DOUBT
    with pytest.raises(InDoubt, match="stamp is blocked"):
        await coordinator.run(station, trial=2)
    told = {"trial": 1, "action": "camp/1/twice/2", "verdict": "not_done", "by": "somebody", "note": "", "evidence": {}}
    coordinator._sink(kinds.ACTION_RESOLVED, {**told, "origin": {"station": "bench", "seq": coordinator.after}})
    station.unblock("camp/1/twice/2")
    await coordinator.run(station, "twice", attempt=2)
    assert worker.ledger == ["press 5", "pressed 5", "press 6", "press 6", "pressed 6"]
    assert coordinator.kinds().count(kinds.ACTION_SKIPPED) == 1


@pytest.mark.parametrize("delay", [0.0, 0.004, 0.008, 0.015, 0.03, 0.06, 0.12, 0.2])
async def test_killed_at_any_moment(workers: Start, coordinators: Make, lab: Path, delay: float) -> None:
    """Killed so long after an order was sent, the worker never presses again what it pressed, and forgets nothing."""
    worker, coordinator = workers(lab), coordinators(lab)
    station = await coordinator.station(worker.address)
    step = asyncio.ensure_future(coordinator.run(station))
    await asyncio.sleep(delay)
    worker.kill()
    await asyncio.to_thread(worker.start)
    try:
        await asyncio.wait_for(step, 10)
        assert worker.ledger == ["press 5", "pressed 5"]
        check_run(coordinator, 3)
    except StepInterrupted:
        assert worker.ledger in ([], ["press 5", "pressed 5"])
        done = [action.status.happened for action in coordinator.actions.values()]
        assert done in ([], [True])
        await coordinator.run(station, attempt=2)
        assert worker.ledger == ["press 5", "pressed 5"]
    except InDoubt:
        assert coordinator.actions["camp/1/quick/1"].status is ActionStatus.IN_DOUBT
        assert worker.ledger.count("press 5") <= 1
        with pytest.raises(InDoubt):
            await coordinator.run(station, attempt=2)
        assert worker.ledger.count("press 5") <= 1
    await asyncio.to_thread(worker.end)
    check_complete(coordinator, worker.spool)


async def test_killed_again_while_it_comes_back(
    nursery: Nursery, workers: Start, coordinators: Make, lab: Path
) -> None:
    """Killed during its own recovery, again and again, the worker closes the step once."""
    worker, coordinator = workers(lab), coordinators(lab)
    station = await coordinator.station(worker.address)
    step = asyncio.ensure_future(coordinator.run(station, "long"))
    await until(lambda: len(coordinator.documents("event")) > 2, 10, "the step runs")
    worker.kill()
    for delay in (0.05, 0.1, 0.15, 0.2, 0.3):
        argv = ("worker", lab, "--station", "bench", "--listen", worker.address)
        again = nursery.start(*argv, cwd=lab.parent)
        await asyncio.sleep(delay)
        again.kill()
    await asyncio.to_thread(worker.start)
    with pytest.raises(StepInterrupted):
        await asyncio.wait_for(step, 10)
    assert coordinator.kinds().count(kinds.RUN_INTERRUPTED) == 1
    await asyncio.to_thread(worker.end)
    check_complete(coordinator, worker.spool)


async def test_the_answer_waits_in_the_spool(workers: Start, coordinators: Make, lab: Path) -> None:
    """A step that ends while the network is cut, at a worker that is killed afterwards, is done all the same."""
    worker, coordinator = workers(lab), coordinators(lab)
    with network(worker.address) as net:
        station = await coordinator.station(net.address)
        step = asyncio.ensure_future(coordinator.run(station, "long"))
        await until(lambda: coordinator.documents("event"), 10, "the step runs")
        net.hole()
        await asyncio.sleep(4.5)  # the step takes 3 s
        worker.kill()
        await asyncio.to_thread(worker.start)
        net.mend()
        await asyncio.wait_for(step, 10)
        check_run(coordinator, 60)
        assert worker.ledger == ["press 5", "pressed 5"]


async def test_asked_to_end(workers: Start, coordinators: Make, lab: Path) -> None:
    """SIGTERM gives the step up, makes the station safe and exits with 4; the coordinator hears it before the end."""
    worker, coordinator = workers(lab), coordinators(lab)
    station = await coordinator.station(worker.address)
    step = asyncio.ensure_future(coordinator.run(station, "long"))
    await until(lambda: coordinator.documents("event"), 10, "the step runs")
    status = await asyncio.to_thread(worker.end, signal.SIGTERM)
    assert status == 4
    with pytest.raises(StepInterrupted, match=r"its worker was stopped during this step \(SIGTERM\)"):
        await asyncio.wait_for(step, 5)
    assert coordinator.documents("stop")[0]["exit_status"] == "abort"
    assert coordinator.kinds()[-1] == kinds.STATION_SAFE
    check_complete(coordinator, worker.spool)
    await asyncio.to_thread(worker.start)
    await coordinator.run(station, "long", attempt=2)
    assert await asyncio.to_thread(worker.end, signal.SIGINT) == 0


COORDINATOR = """
import asyncio, json, sys
sys.path.insert(0, sys.argv[4])
from pathlib import Path
from worker.rig import Coordinator

async def main(lab, address, out, tests):
    coordinator = Coordinator(Path(lab))
    file = open(out, "a")
    def sink(kind, body):
        print(json.dumps([kind, body]), file=file, flush=True)
    coordinator._sink = sink
    station = await coordinator.station(address)
    await coordinator.run(station, "long")

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_new_coordinator_joins_a_running_step(
    workers: Start, coordinators: Make, lab: Path, tmp_path: Path
) -> None:
    """A coordinator is killed in the middle of a step; the next one joins it, and has every document exactly once."""
    worker, out = workers(lab), tmp_path / "entries.jsonl"
    tests = Path(__file__).parents[1]
    argv = [sys.executable, "-c", COORDINATOR, str(lab), worker.address, str(out), str(tests)]
    with subprocess.Popen(argv) as process:
        try:
            wait_until(lambda: sum(body.get("name") == "event" for _, body in lines(out)) > 5, 30, "the step runs")
        finally:
            process.kill()
    coordinator = coordinators(lab, epoch=2)
    for kind, body in lines(out):
        coordinator._sink(kind, body)
    assert len(coordinator.documents("event")) < 60
    station = await coordinator.station(worker.address)
    await coordinator.run(station, "long")
    check_run(coordinator, 60)
    assert worker.ledger == ["press 5", "pressed 5"]
    await asyncio.to_thread(worker.end)
    check_complete(coordinator, worker.spool)


async def test_a_spool_that_was_lost_is_noticed(workers: Start, coordinators: Make, lab: Path) -> None:
    """With an empty spool, or an older copy, the worker takes no orders of a campaign that knows better."""
    worker, coordinator = workers(lab), coordinators(lab)
    station = await coordinator.station(worker.address)
    await coordinator.run(station)
    await station.close()
    assert await asyncio.to_thread(worker.end) == 0
    old = lab.parent / "old.db"
    shutil.copy(worker.spool, old)
    worker.start()
    coordinator.epoch = 2
    station = await coordinator.station(worker.address)
    await coordinator.run(station, trial=2)
    await station.close()
    await asyncio.to_thread(worker.end)
    for copy in (None, old):
        for file in worker.spool.parent.glob("bench.spool.db*"):
            file.unlink()
        if copy is not None:
            shutil.copy(copy, worker.spool)
        worker.start()
        coordinator.epoch += 1
        with pytest.raises(WorkerRefused, match="another file or an older copy") as refused:
            await coordinator.station(worker.address)
        assert refused.value.code == "spool"
        await asyncio.to_thread(worker.end)
    assert worker.ledger == ["press 5", "pressed 5"] * 2


async def test_a_full_disk(workers: Start, coordinators: Make, lab: Path) -> None:
    """A worker that can record nothing gives its step up, makes the station safe, and says why; then it goes on."""
    worker, coordinator = workers(lab), coordinators(lab)
    station = await coordinator.station(worker.address)
    step = asyncio.ensure_future(coordinator.run(station, "long"))
    await until(lambda: len(coordinator.documents("event")) > 2, 10, "the step runs")
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    await until(lambda: coordinator.lost, 10, "the trouble is told")
    assert "cannot record anything any more" in coordinator.lost[0][1]
    assert "start the worker again" in coordinator.lost[0][1]
    assert not step.done()
    worker.kill()
    await asyncio.to_thread(worker.start)
    with pytest.raises(StepInterrupted):
        await asyncio.wait_for(step, 10)
    await coordinator.run(station, "long", attempt=2)
    assert worker.ledger == ["press 5", "pressed 5"]
    await asyncio.to_thread(worker.end)
    check_complete(coordinator, worker.spool)


async def test_the_worker_misses_its_coordinator(workers: Start, coordinators: Make, lab: Path) -> None:
    """A coordinator that is gone is missed within 2 s, in plain words, and so is its return noticed."""
    worker, coordinator = workers(lab), coordinators(lab)
    with network(worker.address) as net:
        await coordinator.station(net.address)
        await asyncio.sleep(0.5)
        net.hole()
        await until(lambda: "camp: no word from its coordinator" in worker.process.err, 2.0, "it is missed")
        net.mend()
        await until(lambda: "camp: its coordinator is back" in worker.process.err, 5, "it is back")
