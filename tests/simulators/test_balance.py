"""The simulated balance without our driver: MT-SICS as its manual has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from sdl.lab.clock import LabClock
from sdl.simulators._faults import Probe
from sdl.simulators.balance import BalanceServer

Dial = Callable[[str], Awaitable[Any]]
CLOCK = LabClock(100.0)


class Bench:
    """A balance, and a raw connection to it."""

    def __init__(self, **options: Any) -> None:
        self.grams = 0.0
        given = {"noise": 0.0, **options}
        self.server = BalanceServer(Probe("balance", CLOCK.now), CLOCK, lambda: self.grams, **given)

    async def start(self, dial: Dial) -> None:
        self.line = await dial(await self.server.start())

    async def ask(self, request: str) -> str:
        self.line.send(request.encode() + b"\r\n")
        answer = await asyncio.wait_for(self.line._reader.readuntil(b"\r\n"), 5)
        return str(answer[:-2].decode("ascii"))


@pytest.fixture
async def bench(dial: Dial) -> AsyncIterator[Bench]:
    """A balance without noise and with an empty pan."""
    bench = Bench()
    await bench.start(dial)
    yield bench
    await bench.server.stop()


async def test_a_session_by_hand(bench: Bench) -> None:
    """Weights have ten characters and a unit; each command is answered under its own letters."""
    for request, answer in [
        ("I4", 'I4 A "B000000001"'),
        ("I3", 'I3 A "1.00"'),
        ("S", "S S     0.0000 g"),
        ("Z", "Z A"),
        ("TA", "TA A     0.0000 g"),
        ("TA 12.5 g", "TA A    12.5000 g"),
        ("SI", "S S   -12.5000 g"),
        ("TA 100 mg", "TA A     0.1000 g"),
        ("TAC", "TAC A"),
        ("@", 'I4 A "B000000001"'),
    ]:
        assert await bench.ask(request) == answer
    bench.grams = 100.0
    assert await bench.ask("S") == "S S   100.0000 g"
    assert await bench.ask("T") == "T S   100.0000 g"
    assert await bench.ask("SI") == "S S     0.0000 g"
    bench.grams = 99.5
    assert await bench.ask("S") == "S S    -0.5000 g"
    assert [entry["action"] for entry in bench.server.probe.log] == [
        "zero", "tare", "tare", "tare", "reset", "tare",
    ], "weighing changes nothing"  # fmt: skip
    assert bench.server.probe.log[-1]["grams"] == 100.0


@pytest.mark.parametrize("request_", ["", "s", "S ", "SX", "T 5", "C3", "TA5"])
async def test_what_it_does_not_know(bench: Bench, request_: str) -> None:
    """A syntax error, and nothing else."""
    assert await bench.ask(request_) == "ES"
    assert bench.server.probe.log == []


@pytest.mark.parametrize("preset", ["much", "-5 g", "5 lb", "500 g", "5"])
async def test_a_preset_tare_that_cannot_be(bench: Bench, preset: str) -> None:
    """A wrong parameter is `L`, and the tare stays."""
    assert await bench.ask(f"TA {preset}") == "TA L"
    assert bench.server.tare == 0


async def test_at_once_it_is_dynamic_until_it_has_settled(bench: Bench) -> None:
    """The reading follows a change from below and is D on the way, S after the settling time."""
    bench.grams = 50.0
    seen = []
    while not (answer := await bench.ask("SI")).startswith("S S"):
        assert answer.startswith("S D")
        seen.append(float(answer.split()[2]))
        await asyncio.sleep(0.001)
    assert seen == sorted(seen)
    assert 0 <= seen[0] < 50
    assert answer == "S S    50.0000 g"


async def test_at_once_for_tare_and_zero(bench: Bench) -> None:
    """TI and ZI say whether it was stable."""
    assert await bench.ask("ZI") == "ZI S"
    bench.grams = 3.0
    assert (await bench.ask("TI")).startswith("TI D")
    await bench.ask("S")
    assert await bench.ask("ZI") == "ZI S"
    assert await bench.ask("S") == "S S     0.0000 g"
    bench.grams = 30.0
    await bench.ask("S")
    assert await bench.ask("ZI") == "ZI +"


async def test_out_of_range(bench: Bench) -> None:
    """Overload, underload, and what cannot become zero or tare."""
    bench.grams = 221.0
    assert await bench.ask("S") == "S +"
    assert await bench.ask("SI") == "S +"
    assert await bench.ask("T") == "T +"
    assert await bench.ask("Z") == "Z +"
    bench.grams = -2.0
    assert await bench.ask("S") == "S -"
    assert await bench.ask("T") == "T -"
    assert bench.server.probe.log == []


async def test_busy_with_a_tare(dial: Dial) -> None:
    """While it waits to be stable for a tare, other weighing is answered `I`; the serial number is told."""
    bench = Bench(settling=60.0, patience=100.0)
    await bench.start(dial)
    bench.grams = 5.0
    other = await dial(f"tcp://127.0.0.1:{bench.server._port}")
    bench.line.send(b"T\r\n")
    while not bench.server._busy:
        await asyncio.sleep(0)
    for request, answer in [
        (b"S", b"S I"),
        (b"SI", b"S I"),
        (b"TA", b"TA I"),
        (b"TI", b"TI I"),
        (b"TA 5 g", b"TA I"),
        (b"I4", b'I4 A "B000000001"'),
    ]:
        other.send(request + b"\r\n")
        assert await other._reader.readuntil(b"\r\n") == answer + b"\r\n"
    assert await bench.line._reader.readuntil(b"\r\n") == b"T S     5.0000 g\r\n"
    await bench.server.stop()


async def test_it_gives_up(dial: Dial) -> None:
    """What does not become stable in its patience is `I`, and the next reading is as always."""
    bench = Bench(patience=4.0)
    await bench.start(dial)
    bench.server.probe.faults.inject("stuck")
    begin = CLOCK.now()
    for request in ("S", "T", "Z"):
        assert await bench.ask(request) == f"{request} I"
    assert CLOCK.now() - begin >= 12.0
    bench.server.probe.faults.clear()
    assert await bench.ask("S") == "S S     0.0000 g"
    await bench.server.stop()


async def test_the_noise_is_that_of_its_seed(dial: Dial) -> None:
    """Equal seeds give equal readings, and their spread is what was asked for."""
    series = []
    for seed in (7, 7, 8):
        bench = Bench(noise=2e-3, seed=seed)
        await bench.start(dial)
        series.append([float((await bench.ask("S")).split()[2]) for _ in range(200)])
        await bench.server.stop()
    assert series[0] == series[1] != series[2]
    assert np.std(series[0]) == pytest.approx(2e-3, rel=0.25)


async def test_its_resolution(dial: Dial) -> None:
    """Readings are multiples of it, with as many decimals."""
    bench = Bench(resolution=0.05, capacity=5000.0)
    await bench.start(dial)
    bench.grams = 1234.567
    assert await bench.ask("S") == "S S    1234.55 g"
    assert await bench.ask("I2") == 'I2 A "simulator 5000.00 g"'
    await bench.server.stop()
