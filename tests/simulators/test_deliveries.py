"""What pumps and twin say was delivered: to the last digit, whoever looks and whenever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from sdl.simulators.silver_flow import SilverFlowSimulation

ENDS = ("target", "stop", "alarm", "reset", "direction")
SPEED = 200.0


class Rig:
    """A simulated silver-flow lab with two pumps, and a raw connection to the first."""

    def __init__(self, **settings: Any) -> None:
        self.simulation = SilverFlowSimulation(
            {"silver": {"role": "silver", **settings}, "seed": {"role": "seed"}}, seed=1, speed=SPEED
        )
        self.probe = self.simulation.probes[0]
        (self.pump,) = self.simulation._servers[0][0].pumps.values()  # type: ignore[attr-defined]

    async def start(self, dial: Callable[[str], Awaitable[Any]]) -> None:
        addresses = await self.simulation.start()
        self.line, self.other = await dial(addresses["silver"]), await dial(addresses["seed"])
        await self.ask("")
        await self.ask("DIA14.43", "VOLUL")
        await self.other.pump("")

    async def ask(self, *commands: str) -> list[str]:
        return [await self.line.pump(command) for command in commands]

    def entries(self, *actions: str) -> list[dict[str, Any]]:
        return [entry for entry in self.probe.log if entry["action"] in (actions or ("run", *ENDS))]

    async def delivered(self) -> None:
        """Return when the pump has come to its volume."""
        async with asyncio.timeout(20):
            while not self.entries("target"):
                await asyncio.sleep(0.005)

    def in_twin(self) -> float:
        """Volume of the silver feed that the twin has seen, uL."""
        return self.simulation.twin.flows.delivered("silver", self.simulation.twin._now())


@pytest.fixture
async def rig(dial: Callable[[str], Awaitable[Any]]) -> AsyncIterator[Rig]:
    """A rig that was started."""
    rig = Rig()
    await rig.start(dial)
    yield rig
    await rig.simulation.stop()


async def test_a_delivery_ends_by_itself_and_exactly(rig: Rig) -> None:
    """Nobody looks: pump and twin stop at the volume, not a digit more, and the log has it."""
    assert await rig.ask("RAT2000UM", "VOL12.34", "RUN") == ["00S", "00S", "00I"]
    await rig.delivered()
    run, target = rig.entries()
    assert (run["number"], run["continued"], run["direction"]) == (1, False, "INF")
    assert (run["rate"], run["target"], run["delivered"]) == (2000.0, 12.34, 0.0)
    assert (target["action"], target["number"], target["volume"]) == ("target", 1, 12.34)
    assert target["total"] == {"INF": 12.34, "WDR": 0.0}
    assert rig.in_twin() == pytest.approx(12.34, rel=1e-8)
    assert not rig.pump.running
    assert await rig.ask("DIS") == ["00SI12.34W0.000UL"]


async def test_twin_and_pump_agree_while_another_pump_changes(rig: Rig) -> None:
    """Flows that change in between at another pump, late news included, leave the volume exact."""
    await rig.ask("RAT2000UM", "VOL50", "RUN")
    await rig.other.pump("RAT1000UM")
    for _ in range(10):
        for command in ("RUN", "STP", "STP"):
            await rig.other.pump(command)
            await asyncio.sleep(0.004)
    await rig.delivered()
    assert rig.in_twin() == pytest.approx(50.0, rel=1e-8)
    seed = sum(e["volume"] for e in rig.simulation.probes[1].log if e["action"] == "stop")
    twin = rig.simulation.twin
    assert twin.flows.delivered("seed", twin._now()) == pytest.approx(seed, rel=1e-8)


async def test_a_paused_delivery_goes_on_under_its_number(rig: Rig) -> None:
    """STP and RUN from a pause: two stretches of one delivery, together its volume; then RUN begins the next one."""
    await rig.ask("RAT100UM", "VOL100", "RUN")
    await asyncio.sleep(0.01)
    assert await rig.ask("STP", "RUN") == ["00P", "00I"]
    await rig.delivered()
    assert await rig.ask("RUN", "STP", "STP") == ["00I", "00P", "00S"]
    runs, ends = rig.entries("run"), rig.entries(*ENDS)
    assert [(e["number"], e["continued"]) for e in runs] == [(1, False), (1, True), (2, False)]
    assert [(e["action"], e["number"]) for e in ends] == [("stop", 1), ("target", 1), ("stop", 2), ("stop", 2)]
    first, second = ends[0], ends[1]
    assert 0 < first["volume"] == first["delivered"] == runs[1]["delivered"] < 100
    assert second["delivered"] == 100.0
    assert first["volume"] + second["volume"] == pytest.approx(100.0, rel=1e-12)
    assert [e["state"] for e in ends if e["action"] == "stop"] == ["P", "P", "S"]
    assert ends[3]["volume"] == 0.0


async def test_stretches_add_up_to_the_totals(rig: Rig) -> None:
    """Changes of rate and direction on the run, a reset, a counter cleared: volumes of a direction add to its total."""
    await rig.ask("RAT1500UM", "RUN")
    await asyncio.sleep(0.01)
    await rig.ask("RAT500", "DIRREV")
    await asyncio.sleep(0.01)
    await rig.ask("STP", "STP", "CLDWDR", "DIRINF", "RUN")
    await asyncio.sleep(0.01)
    rig.pump.reset()
    ends = rig.entries(*ENDS)
    assert [e["action"] for e in ends] == ["direction", "stop", "stop", "reset"]
    assert [e["number"] for e in ends] == [1, 1, 1, 2]
    for direction in ("INF", "WDR"):
        volumes = [e["volume"] for e in ends if e["direction"] == direction]
        assert sum(volumes) == pytest.approx(rig.pump.total[direction], rel=1e-12)
        assert rig.pump.total[direction] > 0
    assert ends[-1]["total"] == rig.pump.total
    assert ends[-1]["alarm"] == "R"
    assert rig.in_twin() == pytest.approx(rig.pump.total["INF"], rel=1e-8)


async def test_a_refused_run_is_no_delivery(rig: Rig) -> None:
    """RUN on the run, and RUN in alarm, leave no trace: the number goes up with deliveries alone."""
    rig.pump.reset()
    assert await rig.ask("RUN", "RUN", "RUN", "STP", "STP") == ["00A?R", "00I", "00I?NA", "00P", "00S"]
    assert [e["number"] for e in rig.entries("run")] == [1]


async def test_a_stuck_plunger_delivers_nothing(rig: Rig) -> None:
    """What the log calls delivered is what moved, not what was asked for; freed, the rest follows."""
    rig.probe.faults.inject("stuck")
    await rig.ask("RAT1000UM", "VOL20", "RUN")
    await asyncio.sleep(0.1)
    assert rig.entries(*ENDS) == []
    assert rig.in_twin() == 0.0
    rig.probe.faults.clear()
    await rig.delivered()
    assert rig.entries("target")[0]["volume"] == 20.0
    assert rig.in_twin() == pytest.approx(20.0, rel=1e-8)


async def test_a_lost_answer_was_a_delivery(rig: Rig) -> None:
    """RUN whose answer is lost is in the log like any other; one that hung is not."""
    await rig.ask("RAT1000UM", "VOL5")
    rig.probe.faults.inject("hang", count=1)
    rig.line.send(b"RUN\r")
    await asyncio.sleep(0.05)
    assert rig.entries() == []
    rig.probe.faults.inject("lose", count=1)
    rig.line.send(b"RUN\r")
    await asyncio.sleep(0.1)
    assert [e["action"] for e in rig.entries()] == ["run", "target"]
    assert await rig.ask("") == ["00S"]


async def test_rates_are_limited_by_the_syringe(rig: Rig) -> None:
    """RAT outside of what the diameter allows is ?OOR, and so is RUN when a smaller syringe was set since."""
    assert await rig.ask("RAT9000UM", "RAT8000UM", "RUN") == ["00S?OOR", "00S", "00I"]
    assert await rig.ask("STP", "STP", "DIA4.70", "RUN") == ["00P", "00S", "00S", "00S?OOR"]
    assert await rig.ask("RAT800UM", "RUN") == ["00S", "00I"]
    assert [e["rate"] for e in rig.entries("run")] == [8000.0, 800.0]


async def test_a_largest_volume(dial: Callable[[str], Awaitable[Any]]) -> None:
    """`max_volume`: VOL above it is ?OOR and changes nothing, in either unit; up to it, and without end, as ever."""
    rig = Rig(max_volume="0.5 mL")
    await rig.start(dial)
    try:
        asked = {
            "VOL501": "00S?OOR",
            "VOL": "00S0.000UL",
            "VOL500": "00S",
            "VOLML": "00S?OOR",
            "VOL ": "00S500.0UL",
            "RUN": "00I",
            "STP": "00P",
            "STP ": "00S",
            "VOL0.4": "00S",
            "VOL ML": "00S",
            "VOL0.6": "00S?OOR",
            "VOL  ": "00S0.400ML",
            "VOL0": "00S",
            "RUN ": "00I",
        }
        assert {command: (await rig.ask(command))[0] for command in asked} == asked
        # A change of syringe may bring another unit of volume with it.
        await rig.ask("STP", "STP", "DIA10", "VOL400")
        assert await rig.ask("DIA14.43", "RUN", "VOLUL", "RUN") == ["00S", "00S?OOR", "00S", "00I"]
    finally:
        await rig.simulation.stop()
