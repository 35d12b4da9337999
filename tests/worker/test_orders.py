"""Orders to a worker: what it executes, what it answers from its spool, and what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from sdl.journal import kinds
from sdl.journal.actions import ActionStatus
from sdl.lab.effects import InDoubt
from sdl.lab.station import Aborted
from sdl.model import Fault, Infeasible, Refusal
from sdl.protocols import Verdict
from sdl.worker import RemoteStation, WorkerRefused
from worker.rig import Coordinator, Worker, check_complete, check_run, until

Start = Callable[..., Worker]
Make = Callable[..., Coordinator]


async def test_a_step_runs_at_the_worker(workers: Start, coordinators: Make, lab: Path) -> None:
    """Documents and actions of a step come in order, once and complete, and before the step's end is told."""
    worker, coordinator = workers(lab), coordinators(lab)
    station = await coordinator.station(worker.address)
    assert (station.remote, station.devices, station.lost) == (True, ("stamp",), "")
    runs = await coordinator.run(station)
    check_run(coordinator, 3)
    assert runs == (coordinator.documents("start")[0]["uid"],)
    assert coordinator.documents("start")[0]["campaign"] == "camp"
    assert coordinator.kinds() == [kinds.ACTION_DISPATCHED, kinds.ACTION_DONE]
    assert coordinator.entries[1][1]["action"] == "camp/1/quick/1"
    assert worker.ledger == ["press 5", "pressed 5"]
    assert await station.make_safe() == {"stamp": "safe"}
    assert await asyncio.to_thread(worker.end) == 0
    assert coordinator.kinds()[-1] == kinds.STATION_SAFE
    check_complete(coordinator, worker.spool)


async def test_instruments_say_who_they_are(workers: Start, coordinators: Make, lab: Path) -> None:
    """The worker asks its instruments for the coordinator; one at work is not asked, and what it said last is told."""
    worker, coordinator = workers(lab), coordinators(lab)
    station = await coordinator.station(worker.address)
    said = {"said": "ACME,Stamp 3,S-17,1.0", "manufacturer": "ACME", "model": "Stamp 3", "serial": "S-17"}
    told = {"stamp": {**said, "firmware": "1.0"}}
    assert await station.identities() == told
    step = asyncio.ensure_future(coordinator.run(station, "long"))
    await until(lambda: len(coordinator.documents("event")) > 1, 10, "the step runs")
    assert await station.identities() == told
    await station.abort("seen enough")
    with pytest.raises(Aborted):
        await step
    assert worker.ledger.count("asked who it is") == 1
    worker.kill()
    assert await station.identities() == {}


async def test_many_documents_in_batches(workers: Start, coordinators: Make, lab: Path) -> None:
    """Hundreds of documents arrive exactly once; a second coordinator fetches them all from the spool."""
    worker, coordinator = workers(lab), coordinators(lab)
    station = await coordinator.station(worker.address)
    for trial in range(1, 5):
        await coordinator.run(station, "big", trial)
    assert len(coordinator.documents("event")) == 1200
    await station.close()
    late = coordinators(lab, epoch=2)
    await late.station(worker.address)
    await until(lambda: len(late.entries) == len(coordinator.entries), 10, "everything is fetched")
    assert late.entries == coordinator.entries
    await asyncio.to_thread(worker.end)
    check_complete(late, worker.spool)


async def test_an_order_is_executed_once(workers: Start, coordinators: Make, lab: Path) -> None:
    """The same attempt of the same step is joined while it runs, and answered from the spool afterwards."""
    worker, coordinator = workers(lab), coordinators(lab)
    station = await coordinator.station(worker.address)
    first, second = await asyncio.gather(coordinator.run(station), coordinator.run(station))
    assert first == second == await coordinator.run(station)
    assert worker.ledger == ["press 5", "pressed 5"]
    check_run(coordinator, 3)


async def test_a_new_attempt_skips_what_is_done(workers: Start, coordinators: Make, lab: Path) -> None:
    """The second attempt of a step completes a press that is done without touching the instrument."""
    worker, coordinator = workers(lab), coordinators(lab)
    station = await coordinator.station(worker.address)
    await coordinator.run(station)
    await coordinator.run(station, attempt=2)
    assert worker.ledger == ["press 5", "pressed 5"]
    assert coordinator.kinds()[-1] == kinds.ACTION_SKIPPED


async def test_errors_come_back_as_what_they_are(workers: Start, coordinators: Make, lab: Path) -> None:
    """A fault names its device, a refusal is one, an infeasible trial is one, and a doubt names its action."""
    worker, coordinator = workers(lab), coordinators(lab)
    station = await coordinator.station(worker.address)
    with pytest.raises(Infeasible, match=r"^no material at x = 91$"):
        await coordinator.run(station, x=91)
    with pytest.raises(Refusal, match=r"^stamp: is jammed$") as refused:
        await coordinator.run(station, trial=2, x=92)
    assert (refused.value.device, type(refused.value)) == ("stamp", Refusal)
    with pytest.raises(InDoubt, match="it is not known whether set of stamp") as doubt:
        await coordinator.run(station, trial=3, x=93)
    assert doubt.value.action == "camp/3/quick/1"
    assert coordinator.actions["camp/3/quick/1"].status is ActionStatus.IN_DOUBT
    blocking = station.blocked(("stamp",))
    assert blocking is not None
    assert blocking.id == "camp/3/quick/1"
    receipt = await station.receipt(blocking.as_record())
    assert (receipt.verdict, receipt.text) == (Verdict.UNKNOWN, "stamp cannot say what it did")


async def test_a_doubt_blocks_until_it_is_settled(workers: Start, coordinators: Make, lab: Path) -> None:
    """A device in doubt takes no orders, not even from the next coordinator, until its action is settled."""
    worker, coordinator = workers(lab), coordinators(lab)
    station = await coordinator.station(worker.address)
    with pytest.raises(InDoubt):
        await coordinator.run(station, x=93)
    with pytest.raises(InDoubt, match="stamp is blocked"):
        await coordinator.run(station, trial=2)
    await station.close()
    later = coordinators(lab, epoch=2)
    station = await later.station(worker.address)
    with pytest.raises(InDoubt, match="stamp is blocked"):
        await later.run(station, trial=3)
    station.unblock("camp/1/quick/1")
    assert station.blocked(("stamp",)) is None
    await later.run(station, trial=4)
    station.block(coordinator.actions["camp/1/quick/1"])
    with pytest.raises(InDoubt, match="stamp is blocked"):
        await later.run(station, trial=5)


async def test_abort_stops_the_step(workers: Start, coordinators: Make, lab: Path) -> None:
    """Abort returns when the plan has stopped; the step's run has its stop document, and the next step can run."""
    worker, coordinator = workers(lab), coordinators(lab)
    station = await coordinator.station(worker.address)
    step = asyncio.ensure_future(coordinator.run(station, "long"))
    await until(lambda: len(coordinator.documents("event")) > 2, 10, "the step runs")
    await station.abort("enough")
    with pytest.raises(Aborted):
        await asyncio.wait_for(step, 1)
    assert coordinator.documents("stop")[0]["exit_status"] == "abort"
    await station.abort("nothing runs")
    await coordinator.run(station, trial=2)


async def test_documents_come_within_20_ms(workers: Start, coordinators: Make, lab: Path) -> None:
    """An event is at the coordinator within 20 ms of its making: the median of sixty, where the machine has time."""
    import time

    worker, coordinator = workers(lab), coordinators(lab)
    delays: list[float] = []
    inner = coordinator._sink

    def sink(kind: str, body: dict[str, object]) -> None:
        if body.get("name") == "event":
            delays.append(time.time() - body["doc"]["time"])  # type: ignore[index]
        inner(kind, body)

    coordinator._sink = sink  # type: ignore[method-assign]
    station = await coordinator.station(worker.address)
    medians = []
    for trial in range(1, 6):  # a machine that is busy with something else gets another try
        delays.clear()
        await coordinator.run(station, "long", trial)
        assert len(delays) == 60
        medians.append(sorted(delays)[30])
        if medians[-1] <= 0.02:
            break
    assert min(medians) <= 0.02


async def test_a_lab_file_that_differs_is_refused(
    workers: Start, coordinators: Make, lab: Path, tmp_path: Path
) -> None:
    """A coordinator whose lab file has another text gets no orders in, and is told which files differ."""
    worker = workers(lab)
    other = tmp_path / "elsewhere" / "lab.yaml"
    other.parent.mkdir()
    for file in ("devices.py", "plans.py"):
        (other.parent / file).write_text((lab.parent / file).read_text())
    other.write_text(lab.read_text() + "# a word more\n")
    with pytest.raises(WorkerRefused, match="lab file") as refused:
        await coordinators(other).station(worker.address)
    assert refused.value.code == "lab"
    assert str(lab) in str(refused.value)
    assert str(other) in str(refused.value)


async def test_an_older_epoch_is_refused(workers: Start, coordinators: Make, lab: Path) -> None:
    """Once a newer coordinator has been there, an older one can give no orders; not after a restart either."""
    worker = workers(lab)
    old = coordinators(lab, epoch=3)
    station = await old.station(worker.address)
    new = coordinators(lab, epoch=4)
    newer = await new.station(worker.address)
    with pytest.raises(WorkerRefused, match="taken over by another coordinator") as refused:
        await old.run(station)
    assert refused.value.code == "epoch"
    assert "taken over" in (await station.make_safe())["bench"]
    await new.run(newer, trial=2)
    worker.kill()
    worker.start()
    with pytest.raises(WorkerRefused, match="epoch 4, this one has 3"):
        await coordinators(lab, epoch=3).station(worker.address)


async def test_another_campaign_is_refused(workers: Start, coordinators: Make, lab: Path) -> None:
    """While a campaign has the station, another is refused and told which; once it lets go, the other may have it."""
    worker = workers(lab)
    one = coordinators(lab, campaign="one")
    station = await one.station(worker.address)
    step = asyncio.ensure_future(one.run(station, "long"))
    await until(lambda: one.documents("event"), 10, "the step runs")
    with pytest.raises(WorkerRefused, match=r"executing step 'long' of trial 1 of campaign one"):
        await coordinators(lab, campaign="two").station(worker.address)
    await station.abort("enough")
    with pytest.raises(Aborted):
        await step
    with pytest.raises(WorkerRefused, match="belongs to campaign one"):
        await coordinators(lab, campaign="two").station(worker.address)
    await station.close()
    two = coordinators(lab, campaign="two")
    await two.run(await two.station(worker.address))
    check_run(two, 3)


async def test_orders_that_cannot_be_executed(workers: Start, coordinators: Make, lab: Path) -> None:
    """A procedure that the worker's lab file lacks, a step of another station, a busy station: refused in words."""
    worker, coordinator = workers(lab), coordinators(lab)
    station = await coordinator.station(worker.address, procedure="pres")
    with pytest.raises(WorkerRefused, match="no procedure 'pres'"):
        await coordinator.run(station)
    await station.close()
    station = await coordinator.station(worker.address)
    step = asyncio.ensure_future(coordinator.run(station, "long"))
    await until(lambda: coordinator.documents("event"), 10, "the step runs")
    with pytest.raises(WorkerRefused, match="is executing step 'long' of trial 1") as busy:
        await coordinator.run(station, trial=2)
    assert busy.value.code == "busy"
    await station.abort("enough")
    with pytest.raises(Aborted):
        await step
    with pytest.raises(WorkerRefused, match="has station 'bench', not 'spare'"):
        await coordinator.station(worker.address, name="spare")


async def test_a_sink_that_fails_loses_nothing(workers: Start, coordinators: Make, lab: Path) -> None:
    """When the coordinator's journal takes nothing more, the step's caller hears so; the rest waits in the spool."""
    worker, coordinator = workers(lab), coordinators(lab)
    inner = coordinator._sink

    def sink(kind: str, body: dict[str, object]) -> None:
        if len(coordinator.entries) == 4:
            raise OSError("no space left on the journal's disk")
        inner(kind, body)

    coordinator._sink = sink  # type: ignore[method-assign, assignment]
    station = await coordinator.station(worker.address)
    with pytest.raises(OSError, match="no space left"):
        await coordinator.run(station)
    await station.close()
    coordinator._sink = inner  # type: ignore[method-assign]
    coordinator.epoch = 2
    again = await coordinator.station(worker.address)
    await coordinator.run(again)
    check_run(coordinator, 3)
    await asyncio.to_thread(worker.end)
    check_complete(coordinator, worker.spool)


async def test_an_address_that_cannot_be_used(coordinators: Make, lab: Path) -> None:
    """An address that is none is told at once."""
    from sdl.worker import WorkerLost

    with pytest.raises(WorkerLost, match="write tcp://HOST:PORT"):
        await coordinators(lab).station("tcp://nowhere")


async def test_a_fault_without_a_device_stays_one() -> None:
    """A fault that names no device is a plain fault again."""
    from sdl.worker._messages import Answer

    station = RemoteStation("bench", "tcp://127.0.0.1:1", None, "0" * 64, "camp", 1, lambda k, b: None, procedure="p")
    with pytest.raises(Fault, match=r"^it broke$"):
        station._outcome(Answer(trial=1, step="s", attempt=1, outcome="fault", message="it broke", error="Fault"))
    await station.close()
