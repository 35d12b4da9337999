"""Workers with NE-1000 pumps: the pumps' own log tells what was delivered, whatever became of the worker."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from support import Nursery, edit, wait_until

from sdl.journal import kinds
from sdl.journal.actions import ActionStatus
from sdl.lab.effects import InDoubt
from sdl.protocols import Verdict
from worker.rig import Coordinator, Worker, check_complete, lines, until

Start = Callable[..., Worker]
Make = Callable[..., Coordinator]

VOLUMES = {"stock_volume": 250.0, "diluent_volume": 200.0}
PUMPS = {"stock_pump": 250.0, "diluent_pump": 200.0}


class Instruments:
    """Simulated instruments in a process of their own, and the lab file that has their addresses."""

    def __init__(self, nursery: Nursery, folder: Path) -> None:
        example = Path(__file__).parents[2] / "examples" / "dosing"
        shutil.copytree(example, folder)
        self.lab, self.log = folder / "lab.yaml", folder / "truth.jsonl"
        self.process = nursery.start("simulate", self.lab, "--json", "--log", self.log, cwd=folder)
        wait_until(lambda: self.process.events, 30, "the instruments are up")
        addresses = self.process.events[0]["addresses"]

        def fill_in(data: dict[str, dict[str, dict[str, str]]]) -> None:
            for name, address in addresses.items():
                data["devices"][name]["address"] = address

        edit(self.lab, fill_in)

    def delivered(self, pump: str) -> float:
        """What a pump has delivered in all, uL."""
        totals = [line["total"]["INF"] for line in lines(self.log) if line["instrument"] == pump and "total" in line]
        return float(totals[-1]) if totals else 0.0

    def runs(self, pump: str) -> int:
        """How often a pump was started."""
        return sum(line["instrument"] == pump and line["action"] == "run" for line in lines(self.log))

    def last(self, pump: str) -> str:
        """What a pump was last started or ended by, as its log tells: `target` when it came to its volume."""
        actions = [line["action"] for line in lines(self.log) if line["instrument"] == pump]
        return next((a for a in reversed(actions) if a in ("run", "target", "stop", "alarm", "reset")), "")

    def running(self, pump: str) -> bool:
        """Whether a pump was started and has not ended."""
        return self.last(pump) == "run"


@pytest.fixture
def instruments(nursery: Nursery, tmp_path: Path) -> Iterator[Instruments]:
    """Two pumps and a heater block."""
    made = Instruments(nursery, tmp_path / "dosing")
    yield made
    made.process.kill()


async def test_a_trial_at_a_worker(workers: Start, coordinators: Make, instruments: Instruments) -> None:
    """Both volumes are delivered exactly, each action is on record from its dispatch to its end, with evidence."""
    worker = workers(instruments.lab)
    coordinator = coordinators(instruments.lab, procedure="dilution")
    station = await coordinator.station(worker.address)
    await coordinator.run(station, "dose", parameters=VOLUMES)
    await coordinator.run(station, "measure", parameters=VOLUMES)
    assert {pump: instruments.delivered(pump) for pump in PUMPS} == pytest.approx(PUMPS)
    assert {pump: instruments.runs(pump) for pump in PUMPS} == dict.fromkeys(PUMPS, 1)
    of_first = [k for k, b in coordinator.entries if b.get("action") == "camp/1/dose/1"]
    assert of_first == [kinds.ACTION_DISPATCHED, kinds.ACTION_ARMED, kinds.ACTION_ACKED, kinds.ACTION_DONE]
    assert set(await station.make_safe()) == {"stock_pump", "diluent_pump", "block"}
    await asyncio.to_thread(worker.end)
    check_complete(coordinator, worker.spool)


@pytest.mark.slow
@pytest.mark.parametrize("pump", PUMPS)
async def test_killed_while_it_pumps(
    workers: Start, coordinators: Make, nursery: Nursery, tmp_path: Path, pump: str
) -> None:
    """The worker is killed during a delivery: the pump says how far it came, and the rest is delivered, no more."""
    for factor in (1, 4, 16):  # the pump runs on while a worker starts on a busy machine, so it may need more to do
        instruments = Instruments(nursery, tmp_path / f"dosing-{factor}")
        wanted = {**PUMPS, pump: PUMPS[pump] * factor}
        try:
            if await _killed_and_done(workers(instruments.lab), coordinators, instruments, pump, wanted):
                return
        finally:
            instruments.process.kill()
    pytest.fail("each worker that started after a kill found the pump at its end")


async def _killed_and_done(
    worker: Worker, coordinators: Make, instruments: Instruments, pump: str, wanted: Mapping[str, float]
) -> bool:
    """False when the pump had come to its end before the next worker could stop it."""
    parameters = {name.replace("pump", "volume"): volume for name, volume in wanted.items()}
    coordinator = coordinators(instruments.lab, procedure="dilution")
    station = await coordinator.station(worker.address)
    step = asyncio.ensure_future(coordinator.run(station, "dose", parameters=parameters))
    await until(lambda: instruments.running(pump), 60, "the pump runs")
    await asyncio.sleep(0.3)
    worker.kill()
    await asyncio.to_thread(worker.start)
    assert not instruments.running(pump), "the station is safe before the worker takes orders"
    with pytest.raises(InDoubt) as doubt:
        await asyncio.wait_for(step, 60)
    if instruments.last(pump) == "target":
        return False
    action = coordinator.actions[doubt.value.action]
    assert (action.device, action.status) == (pump, ActionStatus.IN_DOUBT)
    receipt = await station.receipt(action.as_record())
    assert receipt.verdict is Verdict.PARTIAL, receipt.text
    assert 0 < receipt.evidence["delivered"] < wanted[pump]
    told = {"verdict": "partial", "by": f"instrument:{pump}", "note": receipt.text, "evidence": dict(receipt.evidence)}
    origin = {"station": "bench", "seq": coordinator.after}
    coordinator._sink(kinds.ACTION_RESOLVED, {"trial": 1, "action": action.id, **told, "origin": origin})
    station.unblock(action.id)
    await coordinator.run(station, "dose", attempt=2, parameters=parameters)
    assert {name: instruments.delivered(name) for name in PUMPS} == pytest.approx(wanted, abs=0.2)
    assert instruments.runs(pump) == 2
    assert sum(instruments.runs(name) for name in PUMPS) == 3
    return True


async def test_a_pump_that_hangs(workers: Start, coordinators: Make, instruments: Instruments) -> None:
    """An instrument that ends in the middle is a fault or a doubt that names it; the worker itself goes on."""
    from sdl.model import Fault

    worker = workers(instruments.lab)
    coordinator = coordinators(instruments.lab, procedure="dilution")
    station = await coordinator.station(worker.address)
    step = asyncio.ensure_future(coordinator.run(station, "dose", parameters=VOLUMES))
    await until(lambda: instruments.running("stock_pump"), 30, "the pump runs")
    instruments.process.kill()
    with pytest.raises((InDoubt, Fault), match="stock_pump"):
        await asyncio.wait_for(step, 90)
    assert coordinator.lost == []
    said = await station.make_safe()
    assert said["stock_pump"] != "safe"
    assert "stock_pump" in said["stock_pump"]
