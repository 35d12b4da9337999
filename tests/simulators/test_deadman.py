"""Instruments that nobody talks to any more make themselves safe, by their own timers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdl.devices._ne1000_protocol import safe_packet
from sdl.devices.modbus_heater import Register
from sdl.lab.clock import LabClock
from sdl.simulators._faults import Probe
from sdl.simulators._server import InstrumentServer
from sdl.simulators.heater import HeaterServer
from sdl.simulators.ne1000 import Ne1000Server, SimulatedPump
from sdl.simulators.silver_flow import SilverFlowSimulation
from sdl.simulators.spectrometer import SpectrometerServer
from sdl.simulators.tabulated import TabulatedSimulation

Dial = Callable[[str], Awaitable[Any]]
LIMIT = 0.25
CLOCK = LabClock(100.0)


class Sample:
    """A sample that absorbs nothing."""

    wavelength = np.arange(320.0, 330.0)

    def spectrum(self, integration_ms: float, averages: int) -> np.ndarray:
        return np.zeros(10)


class Bench:
    """Starts servers, and stops them in the end."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._servers: list[InstrumentServer] = []

    async def __call__(self, server: InstrumentServer) -> Any:
        self._servers.append(server)
        return await self._dial(await server.start())

    async def stop(self) -> None:
        for server in self._servers:
            await server.stop()


@pytest.fixture
async def bench(dial: Dial) -> AsyncIterator[Bench]:
    """Starts a server and connects to it."""
    bench = Bench(dial)
    yield bench
    await bench.stop()


def _actions(probe: Probe) -> list[str]:
    return [entry["action"] for entry in probe.log]


async def _heat(line: Any) -> None:
    assert await line.modbus(16, Register.TARGET, 800) == []
    assert await line.modbus(16, Register.MANUAL, 0) == []


async def test_a_heater_that_nobody_talks_to_turns_itself_off(bench: Bench) -> None:
    """Manual mode, no output and the safe setpoint, once, with nobody asking for it; the log says why."""
    server = HeaterServer(Probe("heater"), CLOCK, safe_temperature=25.0, deadman=LIMIT)
    line = await bench(server)
    await _heat(line)
    await asyncio.sleep(LIMIT / 2)
    assert server.loop.output > 0
    await asyncio.sleep(3 * LIMIT)
    assert (server.loop.manual, server.loop.output, server.loop.target) == (True, 0.0, 25.0)
    log = server.probe.log
    assert _actions(server.probe).count("deadman") == 1
    last = [(entry["register"], entry["value"]) for entry in log[_actions(server.probe).index("deadman") + 1 :]]
    assert last == [("manual", 1), ("output", 0), ("target", 250)]
    await _heat(line)
    assert (server.loop.manual, server.loop.target) == (False, 80.0)
    await asyncio.sleep(3 * LIMIT)
    assert server.loop.manual, "the first request arms it anew"


async def test_without_a_lease_a_heater_goes_on_heating(bench: Bench) -> None:
    """No `deadman` set: silence changes nothing, also when the connection is closed."""
    server = HeaterServer(Probe("heater"), CLOCK)
    line = await bench(server)
    await _heat(line)
    await line.close()
    await asyncio.sleep(4 * LIMIT)
    assert (server.loop.manual, server.loop.target) == (False, 80.0)
    assert server.loop.output > 0
    assert "deadman" not in _actions(server.probe)


async def test_requests_of_anybody_keep_the_lease(bench: Bench, dial: Dial) -> None:
    """One connection heats and falls silent, another one reads: the heater goes on. Noise does not count."""
    server = HeaterServer(Probe("heater"), CLOCK, deadman=LIMIT)
    await _heat(await bench(server))
    other = await dial(f"tcp://127.0.0.1:{server._port}")
    for _ in range(8):
        await asyncio.sleep(LIMIT / 2)
        await other.modbus(3, Register.PV, 1)
    assert not server.loop.manual
    for _ in range(8):
        await asyncio.sleep(LIMIT / 2)
        other.send(b"\x00\x07\x00\x00\x00\x03\x63\x03\x00")  # unit 99
    assert server.loop.manual


async def test_a_hung_heater_still_turns_itself_off(bench: Bench) -> None:
    """Requests that a hung instrument never takes do not renew its lease."""
    server = HeaterServer(Probe("heater"), CLOCK, deadman=LIMIT)
    line = await bench(server)
    await _heat(line)
    server.probe.faults.inject("hang")
    for _ in range(8):
        await asyncio.sleep(LIMIT / 2)
        line.send(bytes.fromhex("000700000006010300010001"))
    assert server.loop.manual


async def test_a_refused_request_keeps_the_lease(bench: Bench) -> None:
    """An instrument that answers with its protocol's own error was asked all the same: somebody is there."""
    server = HeaterServer(Probe("heater"), CLOCK, deadman=LIMIT)
    line = await bench(server)
    await _heat(line)
    server.probe.faults.inject("refuse")
    for _ in range(8):
        await asyncio.sleep(LIMIT / 2)
        assert await line.modbus(3, Register.PV, 1) == [-6]
    assert not server.loop.manual
    await asyncio.sleep(3 * LIMIT)
    assert server.loop.manual


async def test_a_spectrometer_aborts_and_shuts_its_lamp_off(bench: Bench) -> None:
    """The acquisition ends without a spectrum and the shutter is closed; without a lease both go on."""
    leased = SpectrometerServer(Sample(), Probe("leased"), LabClock(1.0), deadman=LIMIT)
    free = SpectrometerServer(Sample(), Probe("free"), LabClock(1.0))
    for server in (leased, free):
        line = await bench(server)
        assert await line.scpi("OUTP ON;:SENS:AVER:COUN 100;:INIT;:STAT:OPER:COND?") == "16"
    await asyncio.sleep(3 * LIMIT)
    assert _actions(leased.probe) == ["shutter", "init", "deadman", "abort", "shutter"]
    assert not leased.measuring
    assert _actions(free.probe) == ["shutter", "init"]
    assert free.measuring


async def test_nonsense_does_not_keep_the_lease_of_an_instrument(bench: Bench) -> None:
    """A header that the instrument does not know is no valid request."""
    server = SpectrometerServer(Sample(), Probe("spectrometer"), CLOCK, deadman=LIMIT)
    line = await bench(server)
    await line.scpi("OUTP ON;OUTP?")
    for _ in range(8):
        await asyncio.sleep(LIMIT / 2)
        line.send(b"NONSENSE\n")
    assert _actions(server.probe)[-2:] == ["deadman", "shutter"]


async def test_each_pump_of_a_chain_has_its_own_lease(bench: Bench) -> None:
    """The pump that nobody addresses stops, its delivery over; its neighbour on the line goes on."""
    flows: list[float] = []
    silent = SimulatedPump(Probe("silent"), CLOCK, on_rate=flows.append, deadman=LIMIT)
    busy = SimulatedPump(Probe("busy"), CLOCK, deadman=LIMIT)
    line = await bench(Ne1000Server({0: silent, 1: busy}))
    for command in ("0", "0RUN", "1", "1RUN"):
        await line.pump(command)
    for _ in range(8):
        await asyncio.sleep(LIMIT / 2)
        assert await line.pump("1") == "01I"
    assert flows == [10.0, 0.0]
    assert _actions(silent.probe) == ["run", "deadman", "stop"]
    assert silent.probe.log[-1]["delivered"] == silent.total["INF"] > 0
    assert await line.pump("0") == "00S"


async def test_the_watchdog_of_a_pump_acts_by_itself(bench: Bench) -> None:
    """`SAF1`: after a second without a packet liquid stops in the twin, nobody looking; in basic mode it goes on."""
    flows: list[list[float]] = [[], []]
    pumps = {i: SimulatedPump(Probe(f"pump {i}"), CLOCK, on_rate=flows[i].append) for i in (0, 1)}
    guarded = await bench(Ne1000Server({0: pumps[0]}))
    basic = await bench(Ne1000Server({0: pumps[1]}))
    for line in (guarded, basic):
        await line.pump("")
    guarded.send(b"SAF1\r")
    await asyncio.sleep(0.05)
    guarded.send(safe_packet("RUN"))
    await basic.pump("RUN")
    await asyncio.sleep(0.8)
    assert flows == [[10.0], [10.0]]
    await asyncio.sleep(0.5)
    assert flows == [[10.0, 0.0], [10.0]]
    assert pumps[0].alarm == "T"
    ended = pumps[0].probe.log[-1]
    assert (ended["action"], ended["alarm"]) == ("alarm", "T")
    assert ended["volume"] == pytest.approx(10.0 * CLOCK.speed / 60, rel=0.1)


async def test_a_tabulated_instrument_aborts(tmp_path: Path, dial: Dial) -> None:
    """A measurement that nobody asks about is aborted: no result, and its id counts as not carried out."""
    table = tmp_path / "table.csv"
    table.write_text("x,y\n1,10\n")
    simulation = TabulatedSimulation(
        {"rig": {}},
        seed=1,
        speed=1.0,
        table=table,
        inputs={"x": {}},
        outcomes={"y": {}},
        duration="1 min",
        deadman=f"{LIMIT} s",
    )
    address = (await simulation.start())["rig"]
    try:
        line = await dial(address)
        assert await line.scpi('TABL:INP "x",1;:TABL:INIT "a";:TABL:REC? "a"') == "1"
        await asyncio.sleep(3 * LIMIT)
        assert _actions(simulation.probes[0]) == ["set", "init", "deadman", "abort"]
        assert await line.scpi('TABL:REC? "a"') == "0"
    finally:
        await simulation.stop()


async def test_a_lab_file_sets_leases(dial: Dial) -> None:
    """`deadman` of the options holds for every instrument but those that say otherwise, null included."""
    simulation = SilverFlowSimulation(
        {
            "heater": {"role": "heater", "deadman": "250 ms"},
            "pump": {"role": "silver", "deadman": None},
            "spectrometer": {"role": "spectrometer"},
        },
        seed=1,
        speed=100.0,
        deadman="1 h",
    )
    try:
        addresses = await simulation.start()
        await _heat(await dial(addresses["heater"]))
        pump = await dial(addresses["pump"])
        await pump.pump("")
        await pump.pump("RUN")
        await (await dial(addresses["spectrometer"])).scpi("OUTP ON;OUTP?")
        await asyncio.sleep(0.7)
        last = {probe.name: _actions(probe)[-1] for probe in simulation.probes}
        assert last == {"heater": "write", "pump": "run", "spectrometer": "shutter"}
        assert [probe.name for probe in simulation.probes if "deadman" in _actions(probe)] == ["heater"]
        limits = {names[0]: [lease.limit for lease in server.leases] for server, names in simulation._servers}
        assert limits == {"heater": [0.25], "pump": [], "spectrometer": [3600.0]}
    finally:
        await simulation.stop()
