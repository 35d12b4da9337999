"""The source-measure unit's driver against its simulated instrument."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import bluesky.plans as bp
import pytest
from bluesky import RunEngine

from sdl.devices import LimitError
from sdl.devices._keithley_reading import Sample, combine
from sdl.devices.keithley2400 import THIN_SHEET, Keithley2400
from sdl.lab.clock import LabClock
from sdl.lab.stopcards import device_stops, press, read_cards, write_card
from sdl.model import Fault, UnsafeState
from sdl.simulators._faults import Probe
from sdl.simulators.smu import Resistor, SourceMeterServer
from sdl.virtual import VirtualClock, VirtualLoop

TIMEOUT = 0.6
SAYS = {
    "refuse": "Execution error",
    "hang": "no complete reply",
    "cut": "connection closed|cannot connect",
    "garbage": "makes no sense",
    "lose": "no complete reply",
}


class Bench:
    """A source-measure unit, its driver, and the resistor at its probe."""

    def __init__(self, clock: Any = None) -> None:
        self.clock = clock or LabClock(100.0)
        self.resistor = Resistor(250.0)
        self.server = SourceMeterServer(
            self.resistor, Probe("smu", self.clock.now), self.clock, offset=50e-6, noise=0.2e-6
        )
        self.faults = self.server.probe.faults

    async def start(self, **options: Any) -> None:
        self.address = await self.server.start()
        self.smu = self.driver(**options)
        await self.smu.connect()

    def driver(self, **options: Any) -> Keithley2400:
        return Keithley2400(self.address, name="smu", clock=self.clock, timeout=TIMEOUT, **options)

    async def stop(self) -> None:
        await self.smu.close()
        await self.server.stop()

    async def measure(self) -> dict[str, Any]:
        await self.smu.trigger()
        return {key.removeprefix("smu-"): reading["value"] for key, reading in (await self.smu.read()).items()}

    def switched(self) -> list[bool]:
        return [entry["on"] for entry in self.server.probe.log if entry["action"] == "output"]


Benches = Callable[..., Awaitable[Bench]]


@pytest.fixture
async def benches() -> AsyncIterator[Benches]:
    """Starts benches with options of the driver; all are closed in the end."""
    started: list[Bench] = []

    async def start(**options: Any) -> Bench:
        started.append(Bench())
        await started[-1].start(**options)
        return started[-1]

    yield start
    for bench in started:
        await bench.stop()


@pytest.fixture
async def bench(benches: Benches) -> Bench:
    """A connected source-measure unit on loopback."""
    return await benches(current="10 uA")


async def test_both_directions_of_the_current_cancel_the_offset(bench: Bench, benches: Benches) -> None:
    """2.5 mV on an offset of 50 uV: with both directions right within the noise, with one direction 2 % too much."""
    measured = await bench.measure()
    assert measured["resistance"] == pytest.approx(250.0, rel=5e-4)
    assert measured["sheet_resistance"] == pytest.approx(math.pi / math.log(2) * measured["resistance"])
    assert measured["voltage"] == pytest.approx(2.5e-3, rel=5e-4)
    assert measured["offset"] == pytest.approx(50e-6, rel=0.05)
    assert (measured["current"], measured["compliance"]) == (10e-6, False)
    one = await (await benches(current="10 uA", delta=False)).measure()
    assert one["resistance"] == pytest.approx(255.0, rel=5e-4)
    assert one["offset"] == 0
    units = {key: value.get("units") for key, value in (await bench.smu.describe()).items()}
    assert units == {
        "smu-resistance": "ohm", "smu-sheet_resistance": "ohm", "smu-voltage": "V", "smu-current": "A",
        "smu-offset": "V", "smu-compliance": None,
    }  # fmt: skip


async def test_each_trigger_is_a_reading_of_its_own(bench: Bench) -> None:
    """Also while staged; before the first there is nothing to read, and after one that failed nothing either."""
    await bench.smu.stage()
    with pytest.raises(Fault, match="trigger it before it is read"):
        await bench.smu.read()
    assert (await bench.measure())["resistance"] == pytest.approx(250.0, rel=1e-2)
    bench.resistor.ohms = 40.0
    assert (await bench.measure())["resistance"] == pytest.approx(40.0, rel=1e-2)
    bench.faults.inject("refuse", count=1)
    with pytest.raises(Fault):
        await bench.smu.trigger()
    with pytest.raises(Fault, match="trigger it before it is read"):
        await bench.smu.read()
    await bench.smu.unstage()


@pytest.mark.parametrize("ohms", [None, 1e6])
async def test_an_open_circuit_is_a_reading_and_no_fault(benches: Benches, ohms: float | None) -> None:
    """Where the voltage reaches its limit, `compliance` says so and the resistance is the least that it can be."""
    bench = await benches(current="100 uA", compliance="5 V")
    bench.resistor.ohms = ohms
    measured = await bench.measure()
    assert measured["compliance"] is True
    assert measured["resistance"] == pytest.approx(5.0 / 100e-6, rel=1e-3)
    bench.resistor.ohms = 120.0
    assert (await bench.measure())["compliance"] is False


async def test_the_output_is_off_after_each_reading(bench: Bench) -> None:
    """On for the reading only; a safe state without a reading before is one too, twice in a row as well as once."""
    await bench.measure()
    await bench.measure()
    assert bench.switched() == [True, False, True, False]
    await bench.smu.safe_state()
    await bench.smu.safe_state()
    assert not bench.server.output


async def test_settings_are_written_and_limited(bench: Bench) -> None:
    """Settings reach the instrument; one outside its limits is refused by name before anything is sent."""
    await bench.smu.voltage_limit.set(12.5)
    await bench.smu.nplc.set(5.0)
    await bench.smu.source_current.set(2e-4)
    configuration = await bench.smu.read_configuration()
    assert {key: value["value"] for key, value in configuration.items()} == {
        "smu-source_current": 2e-4, "smu-voltage_limit": 12.5, "smu-nplc": 5.0,
    }  # fmt: skip
    assert (await bench.measure())["current"] == pytest.approx(2e-4)
    for signal, value, says in (
        (bench.smu.voltage_limit, 211.0, "smu compliance: 211 V is outside its limits, 0.0002 to 210 V"),
        (bench.smu.nplc, 11.0, "smu nplc: 11 cycles is outside its limits, 0.01 to 10 cycles"),
        (bench.smu.source_current, -1e-3, "smu current: -0.001 A is outside its limits"),
    ):
        with pytest.raises(LimitError, match=says):
            await signal.set(value)
    with pytest.raises(LimitError, match=r"probe current: 2 A is outside its limits, 1e-09 to 1.05 A"):
        Keithley2400(bench.address, name="probe", current="2 A")
    assert pytest.approx(4.532, abs=1e-3) == THIN_SHEET


@pytest.mark.parametrize("fault", SAYS)
async def test_a_fault_is_named_bounded_and_gone_once_cleared(bench: Bench, fault: str) -> None:
    """A failing instrument is named with its address within bounded time, and works again afterwards."""
    bench.faults.inject(fault)
    begin = time.monotonic()
    with pytest.raises(Fault, match=SAYS[fault]) as caught:
        await bench.smu.trigger()
    with pytest.raises(UnsafeState, match=r"output off was not confirmed .* switch it off by hand") as unsafe:
        await bench.smu.safe_state()
    assert time.monotonic() - begin < 4 * TIMEOUT + 1
    assert all(bench.address in str(error) and error.device == "smu" for error in (caught.value, unsafe.value))
    assert "its output may be on" in "".join(caught.value.__notes__)
    bench.faults.clear()
    assert (await bench.measure())["resistance"] == pytest.approx(250.0, rel=1e-2)
    assert not bench.server.output


@pytest.mark.parametrize("fault", SAYS)
@pytest.mark.parametrize("after", range(4))
async def test_one_fault_leaves_the_output_off(bench: Bench, fault: str, after: int) -> None:
    """Whichever exchange of a reading one fault hits, the safe state finds or makes the output off."""
    bench.faults.inject(fault, count=1, after=after)
    with pytest.raises(Fault):
        await bench.smu.trigger()
    await bench.smu.safe_state()
    assert not bench.server.output


async def test_an_output_that_does_not_switch(bench: Bench) -> None:
    """Stuck off: the instrument's own error is told. Stuck on: the state is called unsafe."""
    bench.faults.inject("stuck")
    with pytest.raises(Fault, match=r"refused 'SOUR:CURR 1e-05;:OUTP ON;:READ\?': 803, Not permitted with OUTPUT off"):
        await bench.smu.trigger()
    bench.faults.clear()
    await bench.smu._link.command("OUTP ON")
    bench.faults.inject("stuck")
    with pytest.raises(UnsafeState, match="its output stays on"):
        await bench.smu.safe_state()


async def test_a_cancelled_reading_switches_the_output_off(benches: Benches) -> None:
    """A reading that is given up half-way is aborted in the instrument, and the output is off."""
    bench = await benches(nplc=10.0, current="10 uA")
    bench.server._line = 0.5
    task = asyncio.create_task(_awaited(bench.smu))
    while not bench.server.measuring:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while bench.server.output:
        await asyncio.sleep(0.005)
    assert not bench.server.measuring
    bench.server._line = 50.0
    assert (await bench.measure())["resistance"] == pytest.approx(250.0, rel=1e-2)


async def _awaited(smu: Keithley2400) -> None:
    await smu.trigger()


async def test_the_wrong_instrument(benches: Benches) -> None:
    """What is no 2400, or nobody at all, is told when connecting."""
    bench = await benches()
    bench.server._identity = "sdl,UV-Vis simulator,0,1.0"
    other = bench.driver()
    with pytest.raises(Fault, match="is this a Keithley 2400"):
        await other.connect()
    await other.close()
    await bench.server.stop()
    lost = bench.driver()
    with pytest.raises(Fault, match=rf"smu: {bench.address}: cannot connect.*check its power"):
        await lost.connect()
    await lost.close()


async def test_attaching_changes_nothing(bench: Bench) -> None:
    """A second driver beside the first reads settings, and neither resets nor clears anything."""
    await bench.smu.voltage_limit.set(3.0)
    await bench.smu._link.tcp.send(b"NONSENSE\n")
    beside = bench.driver(compliance="20 V")
    await beside.attach()
    assert len(bench.server._errors) == 1
    bench.server._errors.clear()
    assert await beside.voltage_limit.get_value() == 3.0
    with pytest.raises(Fault, match="Data corrupt or stale;no reading yet"):
        await beside.resistance.get_value()
    measured = await bench.measure()
    assert await beside.voltage.get_value() == pytest.approx(measured["offset"] - measured["voltage"])
    assert await beside.resistance.get_value() == pytest.approx(245.0, rel=1e-3)
    assert await beside.compliance.get_value() is False
    await beside.close()


async def test_the_stop_card_switches_the_output_off(
    bench: Bench, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `sdl stop` sends ends a reading and switches the output off, confirmed."""
    monkeypatch.setenv("SDL_STATE_DIR", str(tmp_path / "state"))
    await bench.smu._link.command("OUTP ON")
    card = write_card("bench", str(tmp_path / "lab.yaml"), {}, device_stops({"smu": bench.smu}, {}))
    try:
        (result,) = await asyncio.to_thread(press, read_cards())
    finally:
        card.remove()
        await asyncio.get_running_loop().shutdown_default_executor()
    assert (result.state, bench.server.output) == ("safe", False)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("1,2,3", "3 elements instead of 5"),
        ("1,9.91e37,0,0,0", "no current"),
        ("9.9e37,1,0,0,0", "over its range"),
        ("1,1,0,0,1", "over its range"),
        ("a,1,0,0,1", "could not convert"),
    ],
)
def test_replies_that_are_no_reading(reply: str, says: str) -> None:
    """What was not measured or is over its range is no number to go on with."""
    with pytest.raises(ValueError, match=says):
        Sample.parse(reply)


def test_no_current_no_resistance() -> None:
    """A current of nought gives no resistance."""
    with pytest.raises(ValueError, match="no current"):
        combine([Sample(1.0, 0.0, 0.0, 0)])


def test_a_plan_reads_on_virtual_time(run_engine: RunEngine) -> None:
    """An ordinary plan counts; on virtual time a hundred slow readings take little wall time."""
    bench = Bench()
    documents: list[tuple[str, dict[str, Any]]] = []

    def on_loop(coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, run_engine.loop).result(10)

    on_loop(bench.start(current="10 uA"))
    run_engine(bp.count([bench.smu], num=2), lambda name, doc: documents.append((name, doc)))
    on_loop(bench.stop())
    events = [doc for name, doc in documents if name == "event"]
    assert [event["data"]["smu-compliance"] for event in events] == [False, False]

    loop = VirtualLoop()

    async def many() -> float:
        virtual = Bench(VirtualClock(loop))
        await virtual.start(nplc=10.0)
        for _ in range(100):
            await virtual.measure()
        await virtual.stop()
        return loop.time()

    begin = time.process_time()
    try:
        taken = loop.run_until_complete(many())
    finally:
        loop.close()
    assert taken == pytest.approx(100 * 2 * 10 / 50, rel=0.05)
    assert time.process_time() - begin < 3.0
