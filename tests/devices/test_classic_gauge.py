"""A device of classic ophyd in a station of sdl: it knows nothing of asyncio and takes part all the same."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import pytest
from bluesky import Msg, RunEngine
from bluesky.protocols import Readable, Triggerable

from sdl.lab.clock import LabClock
from sdl.lab.devices import build_devices, connect_devices, make_safe
from sdl.lab.effects import Target, acts_of
from sdl.lab.labfile import Lab, load_lab
from sdl.lab.preflight import PlanRules, preflight
from sdl.lab.station import Station
from sdl.lab.stopcards import HasStopExchanges
from sdl.lab.watchdog import Watchdog, attach
from sdl.model import Fault, InputError
from sdl.protocols import Effect, HasSafeState, Receipts
from sdl.simulators._faults import Probe
from sdl.simulators.gauge import GaugeServer, SteadyFilm
from sdl.virtual import VirtualClock, VirtualLoop, held_for

TIMEOUT = 0.5
PROCEDURE = """
import bluesky.plan_stubs as bps
from sdl.devices.classic_gauge import ThicknessGauge

def look(gauge):
    yield from bps.trigger_and_read([gauge])
"""
LAB = """
name: probing
devices:
  gauge: {{driver: "procedure.py:ThicknessGauge", address: "{address}", options: {{timeout: 0.5}}}}
stations:
  probing: {{devices: [gauge]}}
interlocks:
  thin: {{require: gauge.thickness < 500 nm, message: take the film out}}
procedures:
  look:
    steps: [{{name: look, station: probing, plan: "procedure.py:look"}}]
    analysis: {{name: mean_of_readings, steps: [look], with: {{thickness: gauge_thickness}}}}
"""


def lab_with(folder: Path, address: str) -> Lab:
    """A lab file with the gauge at an address."""
    (folder / "procedure.py").write_text(PROCEDURE)
    (folder / "lab.yaml").write_text(LAB.format(address=address))
    return load_lab(folder / "lab.yaml")


@pytest.fixture(scope="module")
def driver() -> Any:
    """The driver; ophyd starts no client of its own for EPICS."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPHYD_CONTROL_LAYER", "dummy")
        from sdl.devices.classic_gauge import ThicknessGauge
    return ThicknessGauge


class Rig:
    """A gauge and the film under it."""

    def __init__(self, speed: float = 100.0) -> None:
        self.clock, self.film = LabClock(speed), SteadyFilm(100.0)
        self.server = GaugeServer(self.film, Probe("gauge", self.clock.now), self.clock)
        self.faults = self.server.probe.faults
        self.address = ""


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A gauge that listens."""
    rig = Rig()
    rig.address = await rig.server.start()
    yield rig
    await rig.server.stop()


async def measured(gauge: Any) -> None:
    """Trigger and wait, as the guard of a station does."""
    status = gauge.trigger()
    await asyncio.to_thread(status.wait, 5)


async def test_it_takes_part_in_a_station(rig: Rig, driver: Any) -> None:
    """Connected, triggered and read by a plan; its readings have units, and nothing of it is asyncio."""
    gauge = driver(rig.address, name="gauge", timeout=TIMEOUT)
    assert isinstance(gauge, Triggerable)
    assert isinstance(gauge, Readable)
    station = Station("probing", {"gauge": gauge}, rig.clock)
    await station.open()
    documents: list[tuple[str, Any]] = []
    rig.film.nm, rig.film.cracks = 87.5, True
    await station.run(bp.count([gauge], 2), lambda name, doc: documents.append((name, doc)), {})
    (described,) = [doc["data_keys"] for name, doc in documents if name == "descriptor"]
    assert {key: entry["units"] for key, entry in described.items()} == {"gauge_thickness": "nm", "gauge_cracked": "1"}
    events = [doc["data"] for name, doc in documents if name == "event"]
    assert events == [{"gauge_thickness": 87.5, "gauge_cracked": 1}] * 2
    assert len(rig.server.probe.log) == 2
    await station.close()


async def test_its_faults_are_those_of_the_step(rig: Rig, driver: Any) -> None:
    """What the thread raises comes out of the plan as it was, with device, address and request."""
    gauge = driver(rig.address, name="gauge", timeout=TIMEOUT)
    station = Station("probing", {"gauge": gauge}, rig.clock)
    await station.open()
    rig.faults.inject("hang", count=1)
    with pytest.raises(Fault, match=rf"^gauge: {rig.address}: no answer to MEAS:THIC\? within 0.5 s") as caught:
        await station.run(bps.trigger(gauge, wait=True), lambda name, doc: None, {})
    assert caught.value.device == "gauge"
    await station.run(bps.trigger(gauge, wait=True), lambda name, doc: None, {})
    await station.close()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("refuse", r'refused MEAS:THIC\?: -200,"Execution error"'),
        ("hang", r"no answer to MEAS:THIC\? within 0.5 s"),
        ("lose", r"no answer to MEAS:THIC\? within 0.5 s"),
        (
            "cut",
            r"the connection ended in the answer to MEAS:THIC\?; b'' had come|MEAS:THIC\? failed: Connection reset",
        ),
        ("garbage", r"the connection ended|no answer|answered"),
    ],
)
async def test_every_fault_is_told_in_words_and_gone_with_its_cause(
    rig: Rig, driver: Any, kind: str, words: str
) -> None:
    """And the next measurement works."""
    gauge = driver(rig.address, name="gauge", timeout=TIMEOUT)
    rig.faults.inject(kind, count=1)
    began = time.monotonic()
    with pytest.raises(Fault, match=f"^gauge: {rig.address}: ({words})"):
        await measured(gauge)
    assert time.monotonic() - began < 2
    rig.faults.clear()
    await measured(gauge)
    assert gauge.thickness.get() == 100.0


async def test_no_film_is_a_fault_and_a_crack_is_a_reading(rig: Rig, driver: Any) -> None:
    """An empty stage is equipment failing; a crack is what the sample is like."""
    gauge = driver(rig.address, name="gauge", timeout=TIMEOUT)
    rig.film.nm = None
    with pytest.raises(Fault, match="sees no film; was it put under the gauge"):
        await measured(gauge)
    rig.film.nm, rig.film.cracks = 10.0, True
    await measured(gauge)
    assert (gauge.thickness.get(), gauge.cracked.get()) == (10.0, 1)


async def test_stuck_it_reads_what_it_read(rig: Rig, driver: Any) -> None:
    """A reading that stands still is no error of the protocol."""
    gauge = driver(rig.address, name="gauge", timeout=TIMEOUT)
    await measured(gauge)
    rig.faults.inject("stuck")
    rig.film.nm = 20.0
    await measured(gauge)
    assert gauge.thickness.get() == 100.0


async def test_connecting_finds_out_who_answers(rig: Rig, driver: Any) -> None:
    """Nobody, or somebody else, is a fault that names the device; an address that is none an input error."""
    await connect_devices({"gauge": driver(rig.address, name="gauge")})
    await attach(driver(rig.address, name="gauge"))
    with pytest.raises(Fault, match=r"gauge: tcp://127.0.0.1:9: connecting failed: .*refused"):
        await connect_devices({"gauge": driver("tcp://127.0.0.1:9", name="gauge")})
    rig.faults.inject("garbage", count=1)
    with pytest.raises(Fault, match=r"gauge: .*(\*IDN\?|connection ended)"):
        await connect_devices({"gauge": driver(rig.address, name="gauge", timeout=TIMEOUT)})
    with pytest.raises(InputError, match="is not the address of a gauge"):
        driver("gauge:1", name="gauge")


async def test_a_lab_file_builds_it(rig: Rig, driver: Any, tmp_path: Path) -> None:
    """Its address is what ophyd calls a prefix, and options of the lab file are its arguments."""
    lab = lab_with(tmp_path, rig.address)
    devices = build_devices(lab, "probing", {}, rig.clock)
    assert isinstance(devices["gauge"], driver)
    await connect_devices(devices)
    assert await make_safe(devices) == {}


async def test_what_it_cannot_do_is_known(driver: Any) -> None:
    """It acts on nothing: triggering reads, and there are neither safe state nor stop exchanges nor receipts."""
    gauge = driver("tcp://127.0.0.1:9", name="gauge")
    assert acts_of(Target("gauge", ""), "trigger", gauge).effect is Effect.READ
    assert not isinstance(gauge, HasSafeState | HasStopExchanges | Receipts)


async def test_its_plans_are_checked_before_they_run(driver: Any, run_engine: RunEngine) -> None:
    """As those of any device: a plan that triggers and reads it is in order."""
    gauge = driver("tcp://127.0.0.1:9", name="gauge")
    rules = PlanRules({"gauge": gauge}, (), run_engine.commands)
    assert await preflight(bps.trigger_and_read([gauge]), rules) == []
    (fault,) = await preflight(bps.mv(driver("tcp://127.0.0.1:9", name="other").cracked, 1), rules)
    assert "no device of this step" in fault.message


async def test_the_watchdog_reads_it(rig: Rig, driver: Any, tmp_path: Path) -> None:
    """An interlock on one of its signals is looked at in the watchdog's own thread."""
    lab = lab_with(tmp_path, rig.address)
    trips: list[Any] = []
    with Watchdog(lab, {}, rig.clock, trips.extend, interval=0.05) as dog:
        assert await asyncio.to_thread(dog.ready.wait, 5)
        assert trips == []
        dog.devices["gauge"].thickness.put(600.0)
        for _ in range(100):
            if trips:
                break
            await asyncio.sleep(0.02)
    assert [trip.interlock for trip in trips] == ["thin"]


class Engine:
    """A RunEngine on virtual time, whose statuses of threads hold it, as a guard's would."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.clock = VirtualClock(self.loop)
        self.engine = RunEngine({}, loop=self.loop, context_managers=[])
        self._trigger = self.engine._command_registry["trigger"]
        self.engine.register_command("trigger", self._hold)  # type: ignore[no-untyped-call]
        self.triggered: list[float] = []

    async def _hold(self, msg: Msg) -> Any:
        self.triggered.append(self.loop.time())
        return held_for(await self._trigger(msg))

    def do(self, coroutine: Any) -> Any:
        """In the engine's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.engine._th.join(5)
        self.loop.close()


def test_on_virtual_time_a_measurement_takes_what_it_takes(driver: Any) -> None:
    """Its thread waits in real time while the server's exposure passes in virtual time, exactly, whoever else waits."""
    virtual = Engine()
    server = GaugeServer(None, Probe("gauge", virtual.clock.now), virtual.clock, exposure=30.0, held=True)
    gauge = driver(virtual.do(server.start()), name="gauge")
    ticking: list[asyncio.Task[None]] = []

    async def begin() -> None:
        async def tick() -> None:
            while True:
                await virtual.clock.sleep(7.0)

        await asyncio.to_thread(gauge.wait_for_connection)
        ticking.append(asyncio.create_task(tick()))

    async def end() -> None:
        ticking[0].cancel()
        await asyncio.gather(*ticking, return_exceptions=True)
        await server.stop()

    virtual.do(begin())
    virtual.engine(bp.count([gauge], 20))
    took = [entry["at"] - begun for entry, begun in zip(server.probe.log, virtual.triggered, strict=True)]
    assert took == pytest.approx([30.0] * 20)
    virtual.do(end())
    virtual.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("gauge")]
