"""The simulated SECoP node over its own protocol, without our driver."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sdl.lab.clock import LabClock
from sdl.simulators._faults import Probe
from sdl.simulators.secop import FirstOrderAtmosphere, GloveboxServer, SecopServer, Writable
from sdl.virtual import VirtualClock, VirtualLoop


class Wire:
    """A raw connection, message by message."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def line(self) -> str:
        return (await asyncio.wait_for(self.reader.readline(), 5)).decode("latin-1").rstrip("\n")

    async def ask(self, request: str) -> str:
        self.writer.write(f"{request}\n".encode())
        return await self.line()

    async def value(self, request: str) -> Any:
        """Value of the data report, or class of the error report."""
        return json.loads((await self.ask(request)).split(maxsplit=2)[2])[0]


class Bench:
    """A glovebox and raw connections to it."""

    def __init__(self, speed: float = 1000.0, **settings: Any) -> None:
        self.clock = LabClock(speed)
        self.server = GloveboxServer(Probe("box", self.clock.now), self.clock, **settings)
        self.wires: list[Wire] = []

    async def start(self) -> Wire:
        self.address = await self.server.start()
        self.wire = await self.dial()
        return self.wire

    async def dial(self) -> Wire:
        port = int(self.address.rpartition(":")[2])
        self.wires.append(Wire(*await asyncio.open_connection("127.0.0.1", port)))
        return self.wires[-1]

    async def stop(self) -> None:
        for wire in self.wires:
            wire.writer.close()
            await wire.writer.wait_closed()
        await self.server.stop()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A glovebox at 45 %RH."""
    bench = Bench()
    await bench.start()
    yield bench
    await bench.stop()


async def test_it_says_what_it_is(bench: Bench) -> None:
    """Identification, sign of life and structure report, as the specification writes them."""
    assert await bench.wire.ask("*IDN?") == "ISSE,SECoP,V2019-09-16,v1.0"
    assert (await bench.wire.ask("ping 7")).startswith('pong 7 [null, {"t": ')
    reply = await bench.wire.ask("describe")
    assert reply.startswith("describing . ")
    report = json.loads(reply.removeprefix("describing . "))
    assert report["equipment_id"] == "glovebox.example.sdl"
    humidity = report["modules"]["humidity"]
    assert humidity["interface_classes"] == ["Drivable"]
    assert humidity["accessibles"]["target"] == {
        "description": "what it is to be",
        "datainfo": {"type": "double", "unit": "%", "min": 0.5, "max": 60.0, "fmtstr": "%.2f"},
        "readonly": False,
    }
    assert humidity["accessibles"]["stop"]["datainfo"] == {"type": "command"}
    temperature = report["modules"]["temperature"]
    assert list(temperature["accessibles"]) == ["value", "status"]
    assert temperature["accessibles"]["value"]["datainfo"]["unit"] == "degC"


async def test_the_humidity_follows_its_target(bench: Bench) -> None:
    """Exponentially in lab time; busy until it is near, and busy from the reply to the change on."""
    begun = bench.clock.now()
    assert await bench.wire.value("change humidity:target 5") == 5.0
    assert (await bench.wire.value("read humidity:status"))[0] == 300
    await bench.clock.sleep(100)
    value = await bench.wire.value("read humidity:value")
    gone = bench.clock.now() - begun
    assert 5 + 40 * math.exp(-gone / 300) <= value <= 5 + 40 * math.exp(-100 / 300)
    async with asyncio.timeout(5):
        while (await bench.wire.value("read humidity:status"))[0] == 300:
            await asyncio.sleep(0.01)
    assert abs(await bench.wire.value("read humidity") - 5) <= 0.5
    assert await bench.wire.value("read temperature:value") == 22.0


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        ("read lamp:value", "NoSuchModule"),
        ("read humidity:colour", "NoSuchParameter"),
        ("do humidity:dance", "NoSuchCommand"),
        ("do humidity:stop 3", "WrongType"),
        ("change temperature:value 3", "ReadOnly"),
        ("change humidity:target 61", "RangeError"),
        ("change humidity:target 0.1", "RangeError"),
        ('change humidity:target "dry"', "WrongType"),
        ("change humidity:target true", "WrongType"),
        ("change humidity:target five", "BadJSON"),
        ("change humidity:target", "BadJSON"),
        ("measure humidity:value", "ProtocolError"),
    ],
)
async def test_errors_have_the_classes_of_the_specification(bench: Bench, request_: str, kind: str) -> None:
    """And nothing has happened."""
    reply = await bench.wire.ask(request_)
    action, specifier, report = reply.split(maxsplit=2)
    assert (action, specifier) == (f"error_{request_.split()[0]}", request_.split()[1])
    assert json.loads(report)[0] == kind
    assert bench.server.probe.log == []
    assert bench.server.atmosphere.humidity_target == 45.0


async def test_stop_stays_where_it_is(bench: Bench) -> None:
    """The target becomes the humidity that there is; a module at rest takes no notice."""
    await bench.wire.ask("do humidity:stop")
    assert await bench.wire.value("read humidity:target") == 45.0
    await bench.wire.ask("change humidity:target 5")
    await bench.clock.sleep(50)
    assert (await bench.wire.ask("do humidity:stop null")).startswith("done humidity:stop [null, ")
    assert (await bench.wire.value("read humidity:status"))[0] == 100
    assert 5 < bench.server.atmosphere.humidity_target < 45


async def test_who_asks_for_news_gets_them(bench: Bench) -> None:
    """All values before `active`, then those that a request of anybody changes, until `deactivate`."""
    other = await bench.dial()
    lines = [await other.ask("activate")]
    while lines[-1] != "active":
        lines.append(await other.line())
    assert {line.split()[1] for line in lines[:-1]} == {
        "humidity:value", "humidity:status", "humidity:target", "temperature:value", "temperature:status",
    }  # fmt: skip
    await bench.wire.ask("change humidity:target 30")
    updates = [await other.line() for _ in range(3)]
    assert any(line.startswith("update humidity:target [30.0, ") for line in updates)
    assert any(line.startswith("update humidity:status [[300, ") for line in updates)
    assert await other.ask("deactivate") == "inactive"
    await bench.wire.ask("change humidity:target 20")
    assert (await other.ask("ping x")).startswith("pong x ")


@pytest.mark.parametrize("kind", ["refuse", "cut", "garbage", "hang", "lose"])
async def test_faults(bench: Bench, kind: str) -> None:
    """Only the request whose answer is lost has an effect."""
    bench.server.probe.faults.inject(kind, count=1)
    request = bench.wire.ask("change humidity:target 5")
    if kind in ("hang", "lose"):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(request, 0.1)
    else:
        meant = {"refuse": 'error_change humidity:target ["Impossible"', "cut": "", "garbage": "\xff\x00\x15~garbage"}
        assert (await request).startswith(meant[kind])
    assert (bench.server.atmosphere.humidity_target == 5.0) == (kind == "lose")


async def test_stuck(bench: Bench) -> None:
    """Targets are taken and the drier does not hear of them, until it is free again."""
    bench.server.probe.faults.inject("stuck")
    assert await bench.wire.value("change humidity:target 5") == 5.0
    await bench.clock.sleep(100)
    assert await bench.wire.value("read humidity:value") == 45.0
    assert (await bench.wire.value("read humidity:status"))[0] == 300
    bench.server.probe.faults.clear()
    await asyncio.sleep(0.01)
    assert bench.server.atmosphere.humidity_target == 5.0


async def test_nobody_talks_to_it_any_more() -> None:
    """It stays at the humidity that it has; requests that are valid keep it going, others do not."""
    bench = Bench(speed=100.0, deadman=0.2)
    wire = await bench.start()
    await wire.ask("change humidity:target 5")
    for _ in range(6):
        await asyncio.sleep(0.06)
        await wire.ask("ping 1")
    assert bench.server.atmosphere.humidity_target == 5.0
    for _ in range(8):
        await asyncio.sleep(0.06)
        await wire.ask("nonsense")
    assert [entry["action"] for entry in bench.server.probe.log] == ["change", "deadman"]
    assert 5 < bench.server.atmosphere.humidity_target < 45
    await bench.stop()


async def test_a_node_of_any_modules_has_a_safe_state() -> None:
    """Targets that it is given for when nobody talks to it."""
    valve = Writable({"type": "bool"}, lambda: valve.target, target=False)
    lamp = Writable({"type": "int", "min": 0, "max": 9}, lambda: lamp.target, target=0)
    server = SecopServer(Probe("node"), {"valve": valve, "lamp": lamp}, safe={"valve": False}, deadman=0.1)
    address = await server.start()
    wire = Wire(*await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2])))
    assert await wire.value("change valve:target true") is True
    assert await wire.value("change lamp:target 7") == 7
    assert await wire.value("change lamp:target 10") == "RangeError"
    await asyncio.sleep(0.4)
    assert (valve.target, lamp.target) == (False, 7)
    wire.writer.close()
    await wire.writer.wait_closed()
    await server.stop()


def test_the_atmosphere_is_exact_whenever_it_is_looked_at() -> None:
    """One look after an hour or a look each minute: the same humidity."""
    loop = VirtualLoop()
    clock = VirtualClock(loop)

    async def hour(looks: int) -> float:
        air = FirstOrderAtmosphere(clock, time_constant=1000.0)
        air.humidity_target = 2.0
        for _ in range(looks):
            await clock.sleep(3600 / looks)
            air.humidity()
        return air.humidity()

    once, often = loop.run_until_complete(hour(1)), loop.run_until_complete(hour(60))
    loop.close()
    assert once == pytest.approx(2 + 43 * math.exp(-3.6))
    assert often == pytest.approx(once)
