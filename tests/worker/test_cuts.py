"""The network between a coordinator and a worker is cut: nothing is lost or repeated, and it is said in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sdl.protocols import ActionRecord, Effect, Verdict
from sdl.worker import WorkerLost
from worker.rig import Coordinator, Network, Worker, check_complete, check_run, network, until

Start = Callable[..., Worker]
Make = Callable[..., Coordinator]

CUTS: dict[str, Callable[[Network], None]] = {
    "closed": Network.cut,
    "silent": Network.hole,
    "after half a message": lambda net: net.after(333),
}


@pytest.mark.parametrize(
    ("how", "seconds"),
    [("closed", 0.3), ("silent", 0.3), ("after half a message", 0.3), ("after half a message", 2.2), ("silent", 6.5)],
)
async def test_a_cut_of_any_length(workers: Start, coordinators: Make, lab: Path, how: str, seconds: float) -> None:
    """The worker goes on with its step; when the network is back the coordinator gets every document exactly once."""
    worker, coordinator = workers(lab), coordinators(lab)
    with network(worker.address) as net:
        station = await coordinator.station(net.address)
        step = asyncio.ensure_future(coordinator.run(station, "long"))
        await until(lambda: len(coordinator.documents("event")) >= 3, 10, "the step runs")
        CUTS[how](net)
        await asyncio.sleep(seconds)
        had = len(coordinator.documents("event"))
        assert not step.done()
        net.mend()
        (run,) = await asyncio.wait_for(step, 20)
        assert run == coordinator.documents("start")[0]["uid"]
        check_run(coordinator, 60)
        assert had < 60
        assert worker.ledger == ["press 5", "pressed 5"]
        assert len(coordinator.lost) == len(coordinator.found) == (1 if seconds > 2 else len(coordinator.found))
        await coordinator.run(station, trial=2)
        await asyncio.to_thread(worker.end)
    check_complete(coordinator, worker.spool)


@pytest.mark.parametrize("how", ["closed", "silent"])
async def test_cuts_again_and_again(workers: Start, coordinators: Make, lab: Path, how: str) -> None:
    """Twelve cuts during three steps, each at another moment: every document exactly once, every press exactly once."""
    worker, coordinator = workers(lab), coordinators(lab)
    with network(worker.address) as net:
        station = await coordinator.station(net.address)

        async def steps() -> None:
            for trial in range(1, 4):
                await coordinator.run(station, "long", trial)

        work = asyncio.ensure_future(steps())
        for number in range(12):
            await asyncio.sleep(0.05 + 0.037 * number)
            CUTS[how](net)
            await asyncio.sleep(0.03 * (number % 4))
            net.mend()
        await asyncio.wait_for(work, 60)
        await asyncio.to_thread(worker.end)
    assert worker.ledger == ["press 5", "pressed 5"] * 3
    assert len(coordinator.documents("event")) == 180
    check_complete(coordinator, worker.spool)


async def test_loss_is_noticed_within_2_s(workers: Start, coordinators: Make, lab: Path) -> None:
    """A silent network, a killed worker and a stopped one (SIGSTOP) are told within 2 s, and so is the return."""
    import signal

    worker, coordinator = workers(lab), coordinators(lab)
    with network(worker.address) as net:
        station = await coordinator.station(net.address)
        for begin, end in (
            (net.hole, net.mend),
            (worker.kill, worker.start),
            (lambda: worker.process.signal(signal.SIGSTOP), lambda: worker.process.signal(signal.SIGCONT)),
        ):
            lost, found = len(coordinator.lost), len(coordinator.found)
            await asyncio.sleep(0.5)
            begin()
            at = time.monotonic()
            await until(lambda count=lost: len(coordinator.lost) > count, 5, "the loss is told")
            assert coordinator.lost[-1][0] - at < 2.0
            message = coordinator.lost[-1][1]
            assert message.startswith(f"bench: its worker at {net.address} does not answer")
            assert message.endswith("go and look")
            assert station.lost == message
            await asyncio.to_thread(end)
            at = time.monotonic()
            await until(lambda count=found: len(coordinator.found) > count, 10, "the return is told")
            assert coordinator.found[-1] - at < 2.5
            assert station.lost == ""
        await coordinator.run(station)


async def test_what_a_lost_worker_cannot_do(workers: Start, coordinators: Make, lab: Path) -> None:
    """While it is lost, abort raises, make_safe complains and receipts are unknown, each at once and in plain words."""
    worker, coordinator = workers(lab), coordinators(lab)
    station = await coordinator.station(worker.address)
    worker.kill()
    asked = asyncio.ensure_future(station.make_safe())  # on its way when the loss is noticed
    await until(lambda: coordinator.lost, 5, "the loss is told")
    at = time.monotonic()
    assert "does not answer" in (await asked)["bench"]
    with pytest.raises(WorkerLost, match=r"^bench: its worker at tcp://.* does not answer.*go and look$"):
        await station.abort("stop")
    assert "go and look" in (await station.make_safe())["bench"]
    action = ActionRecord(
        "camp/1/quick/1", "stamp", "", "set", {"args": [5], "kwargs": {}}, Effect.NON_REPEATABLE, True, {}
    )
    receipt = await station.receipt(action)
    assert receipt.verdict is Verdict.UNKNOWN
    assert "does not answer" in receipt.text
    assert time.monotonic() - at < 1.5


async def test_an_order_waits_for_the_worker(workers: Start, coordinators: Make, lab: Path) -> None:
    """An order given while the worker cannot be reached is executed once when it can; a forgotten one is not."""
    worker, coordinator = workers(lab), coordinators(lab)
    with network(worker.address) as net:
        station = await coordinator.station(net.address)
        net.hole()
        step = asyncio.ensure_future(coordinator.run(station))
        given_up = asyncio.ensure_future(coordinator.run(station, trial=2))
        await until(lambda: coordinator.lost, 5, "the loss is told")
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        net.mend()
        await asyncio.wait_for(step, 10)
        check_run(coordinator, 3)
        assert worker.ledger == ["press 5", "pressed 5"]


async def test_nothing_listens(coordinators: Make, lab: Path) -> None:
    """A worker that is not there is told within 2 s, with what to look at."""
    at = time.monotonic()
    with pytest.raises(WorkerLost, match="nobody listens there: is the worker running"):
        await coordinators(lab).station("tcp://127.0.0.1:9")
    assert time.monotonic() - at < 2.0


async def test_without_a_coordinator_the_station_is_made_safe(workers: Start, coordinators: Make, lab: Path) -> None:
    """A step is finished without its coordinator, then the station is made safe; the record of it comes later."""
    worker, coordinator = workers(lab, "--dead-man", "1 s"), coordinators(lab)
    ledger = lab.parent / "ledger.txt"
    with network(worker.address) as net:
        station = await coordinator.station(net.address)
        step = asyncio.ensure_future(coordinator.run(station, "long"))
        await until(lambda: len(coordinator.documents("event")) >= 3, 10, "the step runs")
        before = ledger.read_text().count("safe")
        net.hole()
        await asyncio.sleep(2)
        assert ledger.read_text().count("safe") == before
        await until(lambda: ledger.read_text().count("safe") > before, 10, "the station is made safe")
        net.mend()
        await asyncio.wait_for(step, 10)
        check_run(coordinator, 60)
        await until(lambda: "station.safe" in coordinator.kinds(), 5, "the safe state is told")
        body = next(body for kind, body in coordinator.entries if kind == "station.safe")
        assert (body["cause"], body["devices"]) == ("deadman", {"stamp": "safe"})
