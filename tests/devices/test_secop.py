"""An instrument that describes itself, and the driver that builds itself from the description."""

from __future__ import annotations

import asyncio
import math
import pickle
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import pytest
from bluesky import Msg

from sdl.devices._limits import LimitError
from sdl.devices._secop_link import SecopError
from sdl.devices._secop_module import Movable
from sdl.devices.secop import SecopDevice
from sdl.lab._signals import find_signal
from sdl.lab.clock import LabClock
from sdl.lab.preflight import PlanRules, preflight
from sdl.lab.stopcards import HasStopExchanges, device_stops, press, read_cards, write_card
from sdl.lab.watchdog import attach
from sdl.model import Fault, InputError, UnsafeState
from sdl.simulators._faults import Probe
from sdl.simulators.secop import GloveboxServer, SecopServer, Writable
from sdl.virtual import VirtualClock, VirtualLoop

TIMEOUT = 0.6
KINDS = {
    "refuse": "refused 'read humidity': Impossible|refused 'read humidity:value': Impossible",
    "hang": "no complete reply to .* within 0.6 s",
    "cut": "connection closed by the instrument|cannot connect",
    "garbage": "makes no sense",
}


class Rig:
    """A glovebox and its driver."""

    def __init__(self, speed: float = 1000.0, server: SecopServer | None = None, **settings: Any) -> None:
        self.clock = LabClock(speed)
        self.server = server or GloveboxServer(Probe("box", self.clock.now), self.clock, **settings)
        self.faults = self.server.probe.faults
        self.opened: list[SecopDevice] = []

    async def start(self, **options: Any) -> Any:
        self.address = await self.server.start()
        return await self.driver(**options)

    def build(self, **options: Any) -> Any:
        self.box: Any = SecopDevice(self.address, name="box", clock=self.clock, timeout=TIMEOUT, **options)
        self.opened.append(self.box)
        return self.box

    async def driver(self, **options: Any) -> Any:
        """A connected driver; `box` is the last one."""
        await self.build(**options).connect()
        return self.box

    async def stop(self) -> None:
        for box in self.opened:
            await box.close()
        await self.server.stop()

    @property
    def did(self) -> list[tuple[Any, ...]]:
        """What the node was told."""
        return [tuple(entry[key] for key in list(entry)[3:]) for entry in self.server.probe.log]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A glovebox at 45 %RH."""
    rig = Rig()
    await rig.start()
    yield rig
    await rig.stop()


async def test_the_parts_are_those_that_the_node_describes(rig: Rig) -> None:
    """Units, types and limits come from the node; the reading of a module has the module's name."""
    box = rig.box
    assert list(box.modules) == ["humidity", "temperature"]
    assert await box.humidity.value.get_value() == pytest.approx(45.0)
    assert await box.temperature.value.get_value() == pytest.approx(22.0)
    assert await box.humidity.status.get_value() == "IDLE"
    described = await box.describe()
    assert {key: (described[key]["dtype"], described[key].get("units")) for key in described} == {
        "box-humidity": ("number", "percent"),
        "box-humidity-target": ("number", "percent"),
        "box-temperature": ("number", "degC"),
    }
    assert box.hints == {"fields": ["box-humidity", "box-temperature"]}
    assert (await box.read())["box-humidity"]["value"] == pytest.approx(45.0)
    assert isinstance(box.humidity, Movable)
    assert not hasattr(box.temperature, "set")
    watched = await find_signal(box, "box", "humidity")
    assert (watched.unit, await watched.read()) == ("percent", pytest.approx(45.0))
    assert (await find_signal(box, "box", "temperature.value")).unit == "degC"


async def test_a_move_is_done_when_the_module_is_busy_no_more(rig: Rig) -> None:
    """The node's own status says when it has arrived; where it stands can be located."""
    begun = rig.clock.now()
    await rig.box.humidity.set(10.0)
    assert rig.clock.now() - begun > 300 * math.log(35 / 0.5) - 60
    assert await rig.box.humidity.locate() == {"setpoint": 10.0, "readback": pytest.approx(10.0, abs=0.5)}
    assert rig.did == [("change", "humidity", "target", 10.0)]
    await rig.box.humidity.target.set(20.0)
    assert await rig.box.humidity.status.get_value() == "BUSY: on its way to 20"


async def test_limits_are_those_of_the_node(rig: Rig) -> None:
    """Outside of them nothing is sent, in a plan that is checked and in one that is not."""
    asked = rig.box.link.tcp.asked_at
    for value in (0.1, 60.5, math.nan):
        with pytest.raises(LimitError, match=r"is outside its limits, 0\.5 to 60 percent"):
            await rig.box.humidity.set(value)
        with pytest.raises(LimitError, match=r"box-humidity\.target: .* is outside its limits, 0.5 to 60 percent"):
            await rig.box.humidity.target.set(value)
    with pytest.raises(InputError, match="'dry' is no number"):
        await rig.box.humidity.set("dry")
    rules = PlanRules({"box": rig.box}, [], ["set"])
    (fault,) = await preflight(iter([Msg("set", rig.box.humidity, 70.0)]), rules)
    assert "box.humidity cannot be set to 70 percent: its limits are 0.5 to 60 percent" in str(fault)
    assert rig.box.link.tcp.asked_at == asked


async def test_what_the_node_itself_refuses(rig: Rig) -> None:
    """A limit that the node has and did not describe: refused with its words, and it has not happened."""
    with pytest.raises(SecopError, match=r"refused 'change humidity:target 99.0': RangeError, .*\(0.5..60\)") as caught:
        await rig.box.link.change("humidity", "target", 99.0)
    assert (caught.value.clean, caught.value.kind) == (True, "RangeError")
    with pytest.raises(SecopError, match="NoSuchModule, lamp is not configured") as caught:
        await rig.box.link.read("lamp", "value")
    assert not caught.value.clean
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.kind, copy.clean) == (str(caught.value), "NoSuchModule", False)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_fault_is_clear_bounded_and_passes(rig: Rig, kind: str) -> None:
    """Each fault: a clear error within twice the time-out, and the driver recovers once it is gone."""
    rig.faults.inject(kind)
    begun = time.monotonic()
    with pytest.raises(Fault, match=f"box: {rig.address}: .*({KINDS[kind]})"):
        await rig.box.humidity.value.get_value()
    assert time.monotonic() - begun < 2 * TIMEOUT + 1
    rig.faults.clear()
    await rig.box.humidity.set(40.0)


@pytest.mark.parametrize("kind", [*KINDS, "lose"])
async def test_a_fault_while_waiting_ends_the_wait(rig: Rig, kind: str) -> None:
    """A fault that strikes during a move fails the move."""
    moving = rig.box.humidity.set(5.0)
    await asyncio.sleep(0.05)
    rig.faults.inject(kind)
    with pytest.raises(Fault, match=f"box: {rig.address}: "):
        await asyncio.wait_for(moving.task, 5)


@pytest.mark.parametrize("kind", KINDS)
async def test_connecting_with_a_fault(kind: str) -> None:
    """A node that does not answer properly cannot be connected, and can be once the fault is gone."""
    rig = Rig()
    rig.faults.inject(kind)
    rig.address = await rig.server.start()
    with pytest.raises(Fault, match=f"box: {rig.address}: "):
        await rig.driver()
    rig.faults.clear()
    await rig.box.connect()
    assert await rig.box.humidity.value.get_value() == pytest.approx(45.0)
    await rig.stop()


async def test_nobody_there() -> None:
    """A port where nobody listens is a fault that says what to check."""
    box = SecopDevice("tcp://127.0.0.1:9", name="box", timeout=TIMEOUT)
    with pytest.raises(Fault, match=r"box: tcp://127.0.0.1:9: cannot connect .*check its power, cable and address"):
        await box.connect()
    await box.close()


async def test_a_drier_that_does_not_dry(rig: Rig) -> None:
    """Targets are taken and nothing moves: the move fails in bounded lab time with the node's status."""
    rig.box.patience = 120.0
    rig.faults.inject("stuck")
    with pytest.raises(Fault, match=r"humidity did not arrive at 10 percent within 120 s \(BUSY: on its way to 10\)"):
        await rig.box.humidity.set(10.0)
    rig.faults.clear()
    rig.box.patience = 7200.0
    await rig.box.humidity.set(20.0)


async def test_stopping_and_cancelling(rig: Rig) -> None:
    """`stop` ends a move at once and stops the module; after success, and without a move, it does nothing."""
    await rig.box.humidity.stop()
    moving = rig.box.humidity.set(5.0)
    await asyncio.sleep(0.05)
    await rig.box.stop()
    with pytest.raises(Fault, match="humidity was stopped on its way to 5 percent"):
        await moving
    assert rig.did[1:] == [("do", "humidity", "stop", None)]
    assert await rig.box.humidity.status.get_value() == "IDLE"
    again = rig.box.humidity.set(5.0)
    await asyncio.sleep(0.05)
    again.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await again
    assert not rig.box.humidity.under_way


async def test_the_safe_state_as_the_lab_file_names_it(rig: Rig) -> None:
    """A target, a stop, or, where nothing is named, a stop of what is busy; twice as well."""
    rig.server.atmosphere.time_constant = 30000.0  # type: ignore[attr-defined]
    for safe, told in (
        ({"humidity": 5}, [("change", "humidity", "target", 5)] * 2),
        ({"humidity": "stop"}, [("do", "humidity", "stop", None)] * 2),
        (None, [("do", "humidity", "stop", None)]),
    ):
        box = await rig.driver(safe=safe)
        moving = box.humidity.set(30.0)
        await asyncio.sleep(0.02)
        rig.server.probe.log.clear()
        for _ in range(2):
            await box.safe_state()
        assert rig.did == told
        with pytest.raises(Fault, match="was stopped on its way to 30 percent"):
            await moving


@pytest.mark.parametrize("kind", [*KINDS, "lose"])
async def test_the_safe_state_is_reached_or_said_not_to_be(rig: Rig, kind: str) -> None:
    """With the fault in place nothing is confirmed, in bounded time; one fault does not keep it from being reached."""
    box = await rig.driver(safe={"humidity": 5})
    rig.faults.inject(kind)
    begun = time.monotonic()
    with pytest.raises(UnsafeState, match=f"box: {rig.address}: the safe state was not confirmed .*by hand"):
        await box.safe_state()
    assert time.monotonic() - begun < 6 * TIMEOUT
    rig.faults.clear()
    rig.faults.inject(kind, count=1)
    await box.safe_state()
    assert rig.server.atmosphere.humidity_target == 5  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"safe": {"humidty": 5}}, "there is no module 'humidty'; did you mean 'humidity'"),
        ({"safe": {"humidity": 99}}, "humidity: 99 percent is outside its limits"),
        ({"safe": {"temperature": 20}}, "temperature has no target"),
        ({"safe": {"temperature": "stop"}}, "temperature has no command stop"),
        ({"modules": ["temprature"]}, "has no module 'temprature'; did you mean 'temperature'"),
    ],
)
async def test_names_that_the_node_does_not_have(rig: Rig, options: dict[str, Any], says: str) -> None:
    """A lab file that names what is not there is told so when the lab is opened."""
    with pytest.raises(Fault, match=says):
        await rig.driver(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"modules": "humidity"}, {"modules": []}, {"modules": [3]}, {"safe": ["humidity"]}, {"safe": {"a": "dry"}},
        {"safe": {"a": math.inf}}, {"safe": {"a": None}}, {"patience": "0 s"},
    ],
)  # fmt: skip
def test_options_that_make_no_sense(options: dict[str, Any]) -> None:
    """Refused when the lab file is read."""
    with pytest.raises((InputError, LimitError)):
        SecopDevice("tcp://127.0.0.1:9", name="box", **options)


async def test_only_some_of_the_modules(rig: Rig) -> None:
    """The others have no part and are not read."""
    box = await rig.driver(modules=["temperature"])
    assert list(await box.read()) == ["box-temperature"]
    assert not hasattr(box, "humidity")


@pytest.mark.parametrize("safe", [{"humidity": 2.5}, {"humidity": 5}, {"humidity": "stop"}])
@pytest.mark.parametrize("kind", [None, "refuse", "hang", "cut", "garbage", "lose"])
async def test_the_stop_card(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None, safe: dict[str, Any]
) -> None:
    """A driver that is not connected knows the bytes; they work past one fault of each kind, and twice."""
    monkeypatch.setenv("SDL_STATE_DIR", str(tmp_path / "state"))
    await rig.box.humidity.target.set(30.0)
    rig.server.probe.log.clear()
    box = rig.build(safe=safe)
    assert isinstance(box, HasStopExchanges)
    card = write_card("bench", str(tmp_path / "lab.yaml"), {}, device_stops({"box": box}, {}))
    for _ in range(2):
        if kind is not None:
            rig.faults.inject(kind, count=1)
        (pressed,) = await asyncio.to_thread(press, read_cards())
        assert pressed.state == "safe", pressed
    card.remove()
    await asyncio.get_running_loop().shutdown_default_executor()
    verb = ("do", "humidity", "stop", None) if safe == {"humidity": "stop"} else ("change", "humidity", "target")
    assert {entry[: len(verb)] for entry in rig.did} == {verb}


def test_nothing_named_is_nothing_to_stop() -> None:
    """Without `safe` the card holds no bytes: which modules there are is not known before the node is asked."""
    assert SecopDevice("tcp://127.0.0.1:9", name="box").stop_exchanges() == []


async def test_attaching_tells_the_node_nothing(rig: Rig) -> None:
    """A second driver reads beside the first; nothing is set."""
    await rig.box.close()
    beside = rig.build()
    await attach(beside)
    assert await beside.humidity.value.get_value() == pytest.approx(45.0)
    assert rig.server.probe.log == []


async def test_a_node_that_comes_back_changed(rig: Rig) -> None:
    """Connected again it is the same driver; a node that describes itself otherwise by then is refused."""
    await rig.server.stop()
    with pytest.raises(Fault):
        await rig.box.humidity.value.get_value()
    await rig.server.start()
    await rig.box.connect()
    assert await rig.box.humidity.value.get_value() == pytest.approx(45.0)
    rig.server.modules["lamp"] = Writable({"type": "bool"}, lambda: True)
    with pytest.raises(Fault, match="describes itself otherwise than when it was connected"):
        await rig.box.connect(force_reconnect=True)


async def test_a_heartbeat_keeps_the_node_awake() -> None:
    """A node that makes itself safe when nobody talks to it does so only once the driver has gone."""
    rig = Rig(deadman=0.25)
    await rig.start(heartbeat="50 ms")
    await rig.box.humidity.target.set(30.0)
    await asyncio.sleep(0.6)
    assert [entry["action"] for entry in rig.server.probe.log] == ["change"]
    await rig.box.close()
    await asyncio.sleep(0.5)
    assert [entry["action"] for entry in rig.server.probe.log] == ["change", "deadman"]
    await rig.stop()


def test_a_plan_on_virtual_time() -> None:
    """Two hours of a slow drier in well under a second, with few looks at it."""
    loop = VirtualLoop()
    clock = VirtualClock(loop)

    async def work() -> tuple[float, int]:
        server = GloveboxServer(Probe("box", clock.now), clock)
        server.atmosphere.time_constant = 1500.0  # type: ignore[attr-defined]
        box: Any = SecopDevice(await server.start(), name="box", clock=clock)
        await box.connect()
        await box.humidity.set(5.0)
        took = clock.now()
        await box.close()
        await server.stop()
        return took, loop.jumps

    cpu = time.process_time()
    took, jumps = loop.run_until_complete(work())
    cpu = time.process_time() - cpu
    loop.close()
    assert took == pytest.approx(1500 * math.log(40 / 0.5), abs=60)
    assert jumps < 400
    assert cpu < 3


async def test_a_mock_talks_to_nobody() -> None:
    """A mocked driver connects without a node."""
    await SecopDevice("tcp://127.0.0.1:9", name="box").connect(mock=True)


def test_plans_reach_the_parts() -> None:
    """Messages of plan stubs name the parts that are built on connecting."""
    loop = VirtualLoop()
    clock = VirtualClock(loop)

    async def work() -> list[str]:
        server = GloveboxServer(Probe("box", clock.now), clock)
        box: Any = SecopDevice(await server.start(), name="box", clock=clock)
        await box.connect()
        rules = PlanRules({"box": box}, [], ["set", "wait", "read"])
        faults = await preflight(bps.mv(box.humidity, 5.0, box.humidity.target, 70.0), rules)
        await box.close()
        await server.stop()
        return [str(fault) for fault in faults]

    (fault,) = loop.run_until_complete(work())
    loop.close()
    assert "box.humidity.target cannot be set to 70 percent" in fault
