"""Measurements that carry the id of an action: each once, however often it is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sdl.devices._scpi import ScpiError
from sdl.devices.tabulated import TabulatedInstrument
from sdl.lab.clock import LabClock
from sdl.lab.effects import Action, _current
from sdl.lab.tables import ColumnSpec, read_table
from sdl.model import Fault
from sdl.protocols import ActionRecord, Effect, Verdict
from sdl.simulators._faults import Probe
from sdl.simulators._scpi import Handler
from sdl.simulators.tabulated import TabulatedServer

CLOCK = LabClock(100.0)
ROWS = "".join(f"1,{value}\n" for value in range(50))


class Forgetful(TabulatedServer):
    """An instrument of the same kind that does not know action ids."""

    def _own_commands(self) -> dict[str, Handler]:
        commands = super()._own_commands()
        return {k: v for k, v in commands.items() if k not in ("TABLe:INITiate", "TABLe:RECord?")}


class Bench:
    """A table with many replicates of one setting, and its driver."""

    def __init__(self, folder: Path, server: type[TabulatedServer], duration: float = 0.0) -> None:
        (folder / "t.csv").write_text("x,y\n" + ROWS)
        table = read_table(folder / "t.csv", {"x": ColumnSpec(column="x")}, {"y": ColumnSpec(column="y")})
        self.server = server(table, Probe("table", CLOCK.now), CLOCK, seed=3, duration=duration)
        self.duration = duration

    async def start(self) -> None:
        address = await self.server.start()
        self.device = TabulatedInstrument(
            address,
            name="table",
            clock=CLOCK,
            timeout=0.8,
            inputs={"x": "1"},
            outcomes={"y": "1"},
            duration=self.duration,
        )
        await self.device.connect()
        await self.device.inputs["x"].set(1.0)  # type: ignore[arg-type]

    async def stop(self) -> None:
        await self.device.close()
        await self.server.stop()

    async def trigger(self, id_: str) -> float:
        """Trigger as an action of a campaign, and read."""

        async def arm(evidence: Mapping[str, Any]) -> None:
            raise AssertionError("this driver does not arm")

        token = _current.set(Action(id_, {}, arm, lambda evidence: None))
        try:
            status = self.device.trigger()
        finally:
            _current.reset(token)
        await status
        return await self.device.outcomes["y"].get_value()

    def done(self, action: str) -> int:
        return sum(entry["action"] == action for entry in self.server.probe.log)


def _record(id_: str) -> ActionRecord:
    return ActionRecord(id_, "table", "", "trigger", {"args": [], "kwargs": {}}, Effect.DEDUP, True, {})


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path, TabulatedServer)
    await bench.start()
    yield bench
    await bench.stop()


async def test_an_action_is_measured_once(bench: Bench) -> None:
    """The same action gives the same replicate without another measurement, others their own."""
    ids = [f"campaign/1/measure/{i}" for i in range(1, 6)]
    values = [await bench.trigger(id_) for id_ in ids]
    assert len(set(values)) > 1
    assert [await bench.trigger(id_) for id_ in ids] == values
    assert (bench.done("measured"), bench.done("repeated")) == (5, 5)
    assert all(len(entry["id"]) == 32 for entry in bench.server.probe.log if entry["action"] == "measured")


async def test_without_an_action_every_trigger_measures(bench: Bench) -> None:
    """Outside a campaign nothing is remembered."""
    for _ in range(3):
        await bench.device.trigger()
    assert bench.done("measured") == 3


async def test_receipts(bench: Bench) -> None:
    """The instrument is asked whether it measured; an answer that was lost is no measurement lost."""
    assert (await bench.device.receipt(_record("a/1"))).verdict is Verdict.NOT_DONE
    bench.server.probe.faults.inject("lose", count=1)
    with pytest.raises(Fault, match="no complete reply"):
        await bench.trigger("a/1")
    assert (await bench.device.receipt(_record("a/1"))).verdict is Verdict.DONE
    await bench.trigger("a/1")
    assert bench.done("measured") == 1
    bench.server.probe.faults.inject("hang")
    with pytest.raises(Fault, match="no complete reply"):
        await bench.device.receipt(_record("a/1"))


async def test_a_receipt_waits_for_a_measurement_under_way(tmp_path: Path) -> None:
    """Asked too early, the answer comes when there is a result; asked after an abort, there is none."""
    bench = Bench(tmp_path, TabulatedServer, duration=30.0)
    await bench.start()
    for end, verdict in (("", Verdict.DONE), ("ABOR", Verdict.NOT_DONE)):
        trying = asyncio.ensure_future(bench.trigger(f"a/{end}"))
        while not bench.server.measuring:
            await asyncio.sleep(0.005)
        asking = asyncio.ensure_future(bench.device.receipt(_record(f"a/{end}")))
        await asyncio.sleep(0.05)
        if end:
            await bench.server.answer(b"ABOR\n")
        assert (await asking).verdict is verdict
        await asyncio.gather(trying, return_exceptions=True)
    await bench.stop()


async def test_an_instrument_that_forgets_is_not_trusted(tmp_path: Path) -> None:
    """Without ids on the wire a measurement is not repeatable, and there is no receipt of it."""
    bench = Bench(tmp_path, Forgetful)
    await bench.start()
    assert bench.device.effects["trigger"] is Effect.NON_REPEATABLE
    assert TabulatedInstrument.effects["trigger"] is Effect.DEDUP
    await bench.trigger("a/1")
    assert "id" not in bench.server.probe.log[-1]
    assert (await bench.device.receipt(_record("a/1"))).verdict is Verdict.UNKNOWN
    await bench.stop()


async def test_a_refused_command_is_clean_and_a_refused_query_is_not(bench: Bench) -> None:
    """In answer to a command an execution error says that it was not executed; to a query it says no such thing."""
    link = bench.device._link
    with pytest.raises(ScpiError) as command:
        await link.command("TABL:INP 7,1")
    with pytest.raises(ScpiError) as query:
        await link.query('TABL:OUTC? "z"')
    assert (command.value.clean, query.value.clean) == (True, False)
    assert not ScpiError("table", "own error", 101, "no such experiment", True).clean
