"""What a node may describe, type by type, and what the driver makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from ophyd_async.core import SignalR, SignalRW

from sdl.devices._limits import LimitError
from sdl.devices._secop_link import SecopError
from sdl.devices._secop_module import Command, CommandWith
from sdl.devices._secop_protocol import DataInfo, Status, read_message
from sdl.devices.secop import SecopDevice
from sdl.lab.effects import Action, _current, acts_of, find_target
from sdl.model import Fault, InputError
from sdl.protocols import Acts, Effect
from sdl.simulators._faults import Probe
from sdl.simulators.secop import Failure, Parameter, Readable, SecopServer, Writable
from tests.devices.test_secop import TIMEOUT, Rig

FLOW = {"type": "scaled", "scale": 0.01, "min": 0, "max": 5000, "unit": "mL/min"}


class Zoo:
    """A node with something of each kind."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {"level": 3, "open": False, "gas": 2, "note": "", "scaled": 1250, "name": 1.0}
        self.purged: list[Any] = []
        self.code: tuple[int, str] = (100, "")
        zoo = self

        class Valve(Writable):
            def status(self) -> tuple[int, str]:
                return zoo.code

        def parameter(name: str, info: dict[str, Any]) -> Parameter:
            return Parameter(info, lambda: self.state[name], lambda value: self.state.update({name: value}))

        def purge(argument: Any) -> None:
            if argument == 13:
                raise Failure("HardwareError", "the valve does not move")
            self.purged.append(argument)

        gases = {"type": "enum", "members": {"argon": 1, "nitrogen": 2}}
        self.valve = Valve(
            gases,
            lambda: self.state["gas"],
            "gas that flows",
            others={
                "level": parameter("level", {"type": "int", "min": 0, "max": 9}),
                "open": parameter("open", {"type": "bool"}),
                "note": parameter("note", {"type": "string", "maxchars": 5}),
                "_flow": parameter(
                    "scaled", {"type": "scaled", "scale": 0.01, "min": 0, "max": 5000, "unit": "mL/min"}
                ),
                "name": parameter("name", {"type": "double", "unit": "1/$"}),
                "curve": parameter("level", {"type": "array", "members": {"type": "double"}}),
            },
            commands={"purge": purge, "flush": purge, "mix": purge},
            arguments={"flush": {"type": "int", "min": 1, "max": 20}, "mix": {"type": "struct", "members": {}}},
            target=2,
        )
        self.server = SecopServer(
            Probe("zoo"), {"valve": self.valve, "stop": Readable({"type": "double"}, lambda: 1.5)}
        )


@pytest.fixture
async def zoo() -> AsyncIterator[tuple[Zoo, Rig]]:
    """The zoo and its driver."""
    zoo = Zoo()
    rig = Rig(server=zoo.server)
    await rig.start()
    yield zoo, rig
    await rig.stop()


async def test_every_type_of_value(zoo: tuple[Zoo, Rig]) -> None:
    """Numbers, scaled ones, whole ones, truth, text and names; what holds several values is left out, and listed."""
    node, rig = zoo
    valve = rig.box.valve
    assert isinstance(valve.value, SignalR)
    assert isinstance(valve.level, SignalRW)
    assert [await part.get_value() for part in (valve.value, valve.level, valve.open, valve.note, valve.flow)] == [
        "nitrogen", 3, False, "", 12.5,
    ]  # fmt: skip
    assert await rig.box.modules["stop"].value.get_value() == 1.5
    await valve.set("argon")
    await valve.level.set(9)
    await valve.open.set(True)
    await valve.note.set("dry")
    await valve.flow.set(20.0)
    assert node.valve.target == 1
    assert node.state == {"level": 9, "open": True, "gas": 2, "note": "dry", "scaled": 2000, "name": 1.0}
    assert (await valve.flow.describe())["box-valve-flow"]["units"] == "mL/min"
    assert await valve.name_.get_value() == 1.0
    assert valve.left_out == ["curve", "mix"]


@pytest.mark.parametrize(
    ("part", "value", "says"),
    [
        ("", "argan", "there is no 'argan'; did you mean 'argon'"),
        ("", 1, "1 is no text"),
        ("level", 10, "10  is outside its limits, 0 to 9"),
        ("level", 2.5, "2.5 is no whole number"),
        ("open", "yes", "'yes' is neither true nor false"),
        ("note", "too long", "'too long' is longer than 5 characters"),
        ("flow", 51.0, "51 mL/min is outside its limits, 0 to 50 mL/min"),
        ("flush", 21, "21  is outside its limits, 1 to 20"),
    ],
)
async def test_values_that_no_part_takes(zoo: tuple[Zoo, Rig], part: str, value: Any, says: str) -> None:
    """Refused before anything is sent, each in its own words."""
    _, rig = zoo
    target = getattr(rig.box.valve, part) if part else rig.box.valve
    asked = rig.box.link.tcp.asked_at
    with pytest.raises((LimitError, InputError), match=says):
        target.check_value(value)
    with pytest.raises((LimitError, InputError), match=says):
        await target.set(value)
    assert rig.box.link.tcp.asked_at == asked


async def test_commands(zoo: tuple[Zoo, Rig]) -> None:
    """Without an argument they are triggered, with one they are set; both are armed, and refusals are clean or not."""
    node, rig = zoo
    valve = rig.box.valve
    assert (type(valve.purge), type(valve.flush)) == (Command, CommandWith)
    armed: list[str] = []

    async def arm(evidence: Any) -> None:
        armed.append("armed")

    token = _current.set(Action("c/1/s/1", {}, arm, lambda evidence: None))
    try:
        await valve.purge.trigger()
        await valve.flush.set(5)
    finally:
        _current.reset(token)
    assert (node.purged, armed) == ([None, 5], ["armed"] * 2)
    with pytest.raises(SecopError, match="HardwareError, the valve does not move") as caught:
        await valve.flush.set(13)
    assert not caught.value.clean


async def test_effects_of_what_is_described(zoo: tuple[Zoo, Rig]) -> None:
    """Setting leads to a state; commands are not repeatable, since nobody says what they do."""
    box = zoo[1].box
    once, absolute = Acts(Effect.NON_REPEATABLE, arms=True), Acts(Effect.ABSOLUTE)
    for part, verb, meant in (
        (box.valve, "set", absolute), (box.valve.target, "set", absolute), (box.valve.level, "set", absolute),
        (box.valve.flow, "set", absolute), (box.valve.name_, "set", absolute), (box.valve.purge, "trigger", once),
        (box.valve.flush, "set", once),
    ):  # fmt: skip
        target = find_target(part, {"box": box})
        assert target is not None
        assert acts_of(target, verb, box, child=part) == meant, target


async def test_a_module_that_reports_an_error(zoo: tuple[Zoo, Rig]) -> None:
    """An error or a module that is switched off ends a move with the node's words; a warning does not."""
    node, rig = zoo
    for code, text, kind in ((430, "no gas", "ERROR"), (0, "switched off", "DISABLED")):
        node.code = (code, text)
        with pytest.raises(Fault, match=f"valve does not go to 'argon': {kind}: {text}"):
            await rig.box.valve.set("argon")
    node.code = (200, "little gas")
    await rig.box.valve.set("nitrogen")
    assert await rig.box.valve.status.get_value() == "WARN: little gas"


async def test_news_that_nobody_asked_for() -> None:
    """Updates between a request and its reply are passed over."""

    async def node(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'update a:value [1,{}]\nerror_update a:b ["HardwareError","x",{}]\nreply a:value [2.5,{"t":1}]\n')
        await reader.readline()
        writer.write(b"reply a:value 2.5\n")
        await reader.readline()
        writer.write(b"reply b:value [2.5,{}]\n")
        await reader.readline()
        writer.close()

    server = await asyncio.start_server(node, "127.0.0.1", 0)
    address = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    link = SecopDevice(address, name="box", timeout=TIMEOUT).link
    assert await link.read("a", "value") == 2.5
    with pytest.raises(Fault, match=r"answered 2\.5 to read a:value, which is no data report"):
        await link.read("a", "value")
    with pytest.raises(Fault, match="answered 'reply b:value' to 'read a:value', which makes no sense"):
        await link.read("a", "value")
    await link.close()
    server.close()
    await server.wait_closed()


def test_messages_and_types() -> None:
    """What cannot be read is refused, and never taken for something else."""
    assert read_message(b'reply a:b [1, {"t": 2}]\n').data == [1, {"t": 2}]
    assert read_message(b"inactive\n").specifier == ""
    for line in (b"reply a:b [NaN]\n", b"reply a:b [1\n", b"\xff\n"):
        with pytest.raises(ValueError, match=r".+"):
            read_message(line)
    for value in ("IDLE", [100], ["100", ""], [True, ""]):
        with pytest.raises(ValueError, match="is no status"):
            Status.read(value)
    assert [Status(code, "").kind for code in (0, 100, 250, 399, 400, 501)] == [
        "DISABLED", "IDLE", "WARN", "BUSY", "ERROR", "ERROR",
    ]  # fmt: skip
    assert DataInfo.read({"type": "array"}) is None
    assert DataInfo.read({"type": "double", "unit": "$/min"}, "K") == DataInfo("double", "K/min")
    for kind, wrong in (("double", "1"), ("int", 1.5), ("int", True), ("bool", 1), ("string", 3), ("scaled", 0.5)):
        info = DataInfo.read({"type": kind})
        assert info is not None
        with pytest.raises(ValueError, match=f"is no {kind}"):
            info.decode(wrong)
    enum = DataInfo.read({"type": "enum", "members": {"a": 1}})
    assert enum is not None
    with pytest.raises(ValueError, match="2 is none of a = 1"):
        enum.decode(2)
