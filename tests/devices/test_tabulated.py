"""The tabulated lab's driver and simulated instrument."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sdl.devices.tabulated import TabulatedInstrument
from sdl.lab.clock import LabClock
from sdl.lab.tables import ColumnSpec, read_table
from sdl.model import Fault, Infeasible, InputError, UnsafeState
from sdl.simulators._control import ControlClient
from sdl.simulators.tabulated import TabulatedSimulation

DATA = Path(__file__).parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"measured data are not there: {DATA}")
TIMEOUT = 0.8
CSV = 'QAg(%),base,yield\n1.5,"K ""OAc""",10.25\n1.5,"K ""OAc""",12.5\n1.5,"K ""OAc""",11.125\n2.5,CsOAc,20\n'
INPUTS = {"ag": {"column": "QAg(%)", "unit": "percent"}, "base": {"text": True}}
OUTCOMES = {"yield": {"unit": "percent"}}


class Bench:
    """A simulated instrument with a table, and its driver."""

    def __init__(self, table: Path, inputs: Mapping[str, Any], outcomes: Mapping[str, Any], seed: int = 1) -> None:
        self.simulation = TabulatedSimulation(
            {"rig": {}}, seed=seed, speed=100.0, table=table, inputs=inputs, outcomes=outcomes
        )
        self._given = inputs, outcomes

    async def start(self) -> None:
        self.address = (await self.simulation.start())["rig"]
        self.device = TabulatedInstrument(
            self.address,
            name="rig",
            clock=LabClock(100.0),
            timeout=TIMEOUT,
            inputs=self._given[0],
            outcomes=self._given[1],
        )
        await self.device.connect()

    async def stop(self) -> None:
        await self.device.close()
        await self.simulation.stop()

    async def measure(self, **inputs: float | str) -> dict[str, Any]:
        for name, value in inputs.items():
            await self.device.inputs[name].set(value)  # type: ignore[arg-type]
        await self.device.trigger()
        return {key: reading["value"] for key, reading in (await self.device.read()).items()}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table with three replicates of one setting."""
    path = tmp_path / "table.csv"
    path.write_text(CSV)
    return path


@pytest.fixture
async def bench(table: Path) -> AsyncIterator[Bench]:
    """A connected instrument."""
    bench = Bench(table, INPUTS, OUTCOMES)
    await bench.start()
    yield bench
    await bench.stop()


def _control(bench: Bench, verb: str, *arguments: str) -> None:
    with ControlClient(bench.simulation.control) as control:
        getattr(control, verb)(*arguments)


async def test_replicates_come_as_measured(bench: Bench) -> None:
    """Each visit gives a measured value unchanged, each replicate once before any comes twice."""
    readings = [await bench.measure(ag=1.5, base='K "OAc"') for _ in range(6)]
    values = [reading["rig-outcomes-yield"] for reading in readings]
    assert sorted(values[:3]) == sorted(values[3:]) == [10.25, 11.125, 12.5]
    assert (readings[0]["rig-inputs-ag"], readings[0]["rig-inputs-base"]) == (1.5, 'K "OAc"')
    keys = await bench.device.describe()
    assert keys["rig-outcomes-yield"]["units"] == "percent"
    assert keys["rig-inputs-ag"]["units"] == "percent"


async def test_order_follows_the_seed(table: Path) -> None:
    """Equal seeds give equal orders, another seed another one."""
    orders = []
    for seed in (1, 1, 2, 3, 4):
        bench = Bench(table, INPUTS, OUTCOMES, seed)
        await bench.start()
        orders.append([(await bench.measure(ag=1.5, base='K "OAc"'))["rig-outcomes-yield"] for _ in range(6)])
        await bench.stop()
    assert orders[0] == orders[1]
    assert any(order != orders[0] for order in orders[2:])


async def test_missing_experiment_is_infeasible(bench: Bench) -> None:
    """Inputs that nobody measured are infeasible, and the nearest experiment is named; the next one works."""
    with pytest.raises(Infeasible, match=r"no such experiment in the table; nearest: ag = 2.5, base = CsOAc"):
        await bench.measure(ag=2.4, base="CsOAc")
    assert (await bench.measure(ag=2.5, base="CsOAc"))["rig-outcomes-yield"] == 20.0


async def test_inputs_must_be_set(bench: Bench) -> None:
    """Measuring before every input is set is refused, naming those that are not."""
    await bench.device.inputs["ag"].set(1.5)  # type: ignore[arg-type]
    with pytest.raises(Fault, match="not set: base"):
        await bench.device.trigger()


async def test_names_are_checked_on_connecting(bench: Bench) -> None:
    """Names that the table does not have, or that the lab file forgot, are all reported."""
    other = TabulatedInstrument(
        bench.address,
        name="other",
        inputs={"silver": "percent", "base": {"text": True}},
        outcomes={"yeld": "1"},
    )
    with pytest.raises(Fault) as caught:
        await other.connect()
    for part in (
        "other: tcp://",
        "no input 'silver'",
        "input 'ag' is not in the lab file",
        "did you mean 'yield'",
    ):
        assert part in str(caught.value)
    await other.close()


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("refuse", "Execution error"),
        ("hang", "no complete reply"),
        ("cut", "connection closed"),
        ("garbage", "makes no sense"),
        ("stuck", "still measuring"),
    ],
)
async def test_fault_is_named_bounded_and_gone_once_cleared(bench: Bench, fault: str, says: str) -> None:
    """A failing instrument is named with its address within the time-out, and works again afterwards."""
    await bench.measure(ag=2.5, base="CsOAc")
    await asyncio.to_thread(_control, bench, "inject", "rig", fault)
    begin = time.monotonic()
    with pytest.raises(Fault, match=says) as caught:
        await bench.device.trigger()
    assert time.monotonic() - begin < 2 * TIMEOUT + 1
    assert str(caught.value).startswith(f"rig: {bench.address}")
    if fault == "stuck":
        with pytest.raises(Fault, match=r"input ag was set to 1.5 and reads 2.5"):
            await bench.device.inputs["ag"].set(1.5)  # type: ignore[arg-type]
    else:
        with pytest.raises(UnsafeState, match=bench.address):
            await bench.device.safe_state()
    await asyncio.to_thread(_control, bench, "clear", "rig")
    assert (await bench.measure(ag=2.5, base="CsOAc"))["rig-outcomes-yield"] == 20.0
    await bench.device.safe_state()


def test_settings_of_the_simulation_are_checked(table: Path) -> None:
    """Every fault of the lab file's simulation block is reported at once."""
    with pytest.raises(InputError) as caught:
        TabulatedSimulation(
            {"a": {"latncy": 1}, "b": {}},
            seed=1,
            speed=1.0,
            table=table,
            inputs={"ag": {"colum": "QAg(%)"}},
            outcomes={"yield": {"unit": "perzent"}},
        )
    assert [fault.path for fault in caught.value.faults] == [
        "instruments",
        "instruments.a.latncy",
        "ag.colum",
        "yield.unit",
    ]
    with pytest.raises(InputError, match=r"no column 'QAg' for ag; did you mean 'QAg\(%\)'"):
        TabulatedSimulation(
            {"a": {}}, seed=1, speed=1.0, table=table, inputs={"ag": "QAg"}, outcomes={"yield": "yield"}
        )


@needs_data
@pytest.mark.parametrize(
    ("file", "inputs", "outcome"),
    [
        ("crossed_barrel/replicates.csv", ["n", "theta", "r", "t"], "toughness"),
        (
            "direct_arylation/pool.csv",
            ["Base", "Ligand", "Solvent", "Concentration", "Temp_C"],
            "yield",
        ),
        ("agnp/replicates.csv", ["QAgNO3(%)", "Qpva(%)", "Qtsc(%)", "Qseed(%)", "Qtot(uL/min)"], "loss"),
    ],
)
async def test_measured_tables_answer_over_the_wire(file: str, inputs: list[str], outcome: str) -> None:
    """Settings of the measured data come back over the wire with one of their measured values, to the last digit."""
    specs = {f"x{i}": ColumnSpec(column=name) for i, name in enumerate(inputs)}
    table = read_table(DATA / file, specs, {"y": ColumnSpec(column=outcome)})
    given = {
        name: {"column": spec.column, "text": isinstance(table.inputs[name][0], str)} for name, spec in specs.items()
    }
    bench = Bench(DATA / file, given, {"y": {"column": outcome}})
    await bench.start()
    for index in (0, 50, 163):
        setting = table.distinct_inputs()[index]
        rows = table.groups[tuple(setting.values())]
        value = (await bench.measure(**setting))["rig-outcomes-y"]
        assert value in {table.outcomes["y"][row] for row in rows}
    await bench.stop()
