"""Plans held against limits, interlocks and what is declared, before a message of theirs is executed."""

from __future__ import annotations

import asyncio
import math
import shutil
import time
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky import Msg
from ophyd_async.core import AsyncStatus, StandardReadable, StandardReadableFormat, soft_signal_rw
from support import soft_lab
from support.engines import run_engine

from sdl.devices.soft import SoftDetector
from sdl.lab._origin import origin
from sdl.lab.clock import LabClock
from sdl.lab.devices import build_devices
from sdl.lab.interlocks import Interlock, bind
from sdl.lab.labfile import load_lab
from sdl.lab.preflight import REFUSED, PlanRules, check_message, preflight
from sdl.model import Fault, Infeasible

EXAMPLE = Path(__file__).parents[2] / "examples" / "silver-flow"
with run_engine() as _engine:
    COMMANDS = _engine.commands
VALUES = {
    "temperature": 72.0,
    "silver_flow": 120.0,
    "reductant_flow": 70.0,
    "stabiliser_flow": 60.0,
    "seed_flow": 50.0,
}
Plan = Callable[..., Iterator[Any]]
Write = Callable[..., Path]


class Oven(StandardReadable):
    """Movable between 0 and 100 degC; it counts what it is asked and told."""

    def __init__(self, name: str = "oven") -> None:
        self.calls: list[str] = []
        with self.add_children_as_readables(StandardReadableFormat.HINTED_UNCACHED_SIGNAL):
            self.temperature = soft_signal_rw(float, 20.0, units="degC")
        self.setpoint = soft_signal_rw(float, 20.0, units="degC")
        super().__init__(name=name)

    async def check_value(self, value: float) -> None:
        if not 0 <= value <= 100:
            raise ValueError("only from 0 to 100 degC")

    @AsyncStatus.wrap
    async def set(self, value: float) -> None:
        self.calls.append(f"set {value:g}")

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        self.calls.append("trigger")


class Stage:
    """A positioner as classic ophyd has them: blocking, with `limits`."""

    name, parent, limits = "stage", None, (-5.0, 5.0)


def plans(folder: Path, body: str) -> types.SimpleNamespace:
    """Plans in a file `plan.py`, whose first line is line 1 of `body`."""
    path = folder / "plan.py"
    path.write_text(body)
    space: dict[str, Any] = {"bps": bps, "bpp": bpp, "bp": bp, "Msg": Msg, "Infeasible": Infeasible}
    exec(compile(body, str(path), "exec"), space)
    return types.SimpleNamespace(**{k: v for k, v in space.items() if isinstance(v, types.FunctionType)})


async def told(plan: Any, devices: Mapping[str, Any], *interlocks: Interlock, **limits: Any) -> list[str]:
    rules = PlanRules(devices, await bind(interlocks, devices), COMMANDS)
    return [str(fault) for fault in await preflight(plan, rules, **limits)]


def hot(limit: float = 88.0, signal: str = "temperature", relation: Any = "<") -> Interlock:
    return Interlock("hot", "oven", signal, relation, limit, "degC", ("bench",))


def silver(folder: Path, *changes: tuple[str, str]) -> tuple[Any, dict[str, Any], Any]:
    """The silver-flow lab without instruments: nothing may be sent anywhere."""
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    text = (folder / "procedure.py").read_text()
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    (folder / "procedure.py").write_text(text)
    lab = load_lab(folder / "lab.yaml")
    addresses = {name: f"tcp://127.0.0.1:9/{unit}" for unit, name in enumerate(lab.spec.devices)}
    devices = build_devices(lab, "flow", addresses, LabClock())
    return lab.procedure("synthesis", tuple(VALUES)), devices, lab


async def test_the_plans_of_the_silver_flow_lab_pass(tmp_path: Path) -> None:
    """Both steps of the example are in order, and their messages are looked at to the last."""
    procedure, devices, _ = silver(tmp_path)
    for step in procedure.steps:
        rules = PlanRules(devices, (), COMMANDS)
        drawn = 0

        def counting(plan: Iterator[Any]) -> Iterator[Any]:
            nonlocal drawn
            for message in plan:
                drawn += 1
                yield message

        assert await preflight(counting(step.start(devices, VALUES)), rules) == []
        assert drawn == sum(1 for _ in step.start(devices, VALUES))


async def test_the_plans_of_a_lab_of_soft_detectors_pass(tmp_path: Path) -> None:
    """A plan that sleeps and reads in a loop is in order, and nothing is triggered."""
    soft_lab(tmp_path, points=50, seconds=3600.0)
    lab = load_lab(tmp_path / "lab.yaml")
    devices = build_devices(lab, "bench", {}, LabClock())
    begun = time.monotonic()
    for step in lab.procedure("measure", ("x", "y")).steps:
        assert await told(step.start(devices, {"x": 0.5, "y": 0.5}), devices) == []
    assert time.monotonic() - begun < 5
    assert await devices["detector"].value.get_value() == 1.0


async def test_a_value_beyond_the_limits_of_a_device(tmp_path: Path) -> None:
    """What the driver would refuse is refused before the plan runs, with the plan's line."""
    procedure, devices, _ = silver(tmp_path)
    plan = procedure.steps[0].start(devices, {**VALUES, "temperature": 95.0})
    assert await told(plan, devices) == [
        "procedure.py:17: heater cannot be set to 95 degC: its limits are 0 to 90 degC"
    ]


async def test_a_value_that_an_interlock_forbids(tmp_path: Path) -> None:
    """A pump's rate is held against the interlock on it, in the interlock's unit, at each line that sets it."""
    procedure, devices, _ = silver(tmp_path)
    slow = Interlock("slow", "silver_pump", "rate", "<=", 0.1, "mL/min", ("flow",))
    flowing = Interlock("flowing", "silver_pump", "rate", ">", 1.0, "uL/min", ("flow",))
    plan = procedure.steps[1].start(devices, VALUES)
    assert await told(plan, devices, slow, flowing) == [
        "procedure.py:55: silver_pump.rate cannot be set to 120 uL/min: interlock slow requires "
        "silver_pump.rate <= 0.1 mL/min",
        "procedure.py:64: silver_pump.rate cannot be set to 0 uL/min: interlock flowing requires "
        "silver_pump.rate > 1 uL/min",
    ]


async def test_a_setpoint_that_an_interlock_forbids(tmp_path: Path) -> None:
    """A heater cannot be sent where the interlock on its temperature would trip, whatever its own limits are."""
    procedure, devices, _ = silver(tmp_path)
    hot = Interlock("reactor_hot", "heater", "temperature", "<", 343.15, "K", ("flow",))
    plan = procedure.steps[0].start(devices, VALUES)
    assert await told(plan, devices, hot) == [
        "procedure.py:17: heater cannot be set to 72 degC: interlock reactor_hot requires heater.temperature < 343.15 K"
    ]


async def test_a_device_that_the_step_does_not_have(tmp_path: Path) -> None:
    """A plan that reaches for a device of somebody else's acts where nobody looks."""
    procedure, devices, _ = silver(tmp_path, ("bps.mv(heater, temperature)", "bps.mv(heater, temperature, *OTHER)"))
    devices.pop("silver_pump")
    stranger = Oven("other_oven")
    procedure.steps[0].plan.__globals__["OTHER"] = (stranger.setpoint, 50)
    assert await told(procedure.steps[0].start(devices, VALUES), devices) == [
        "procedure.py:17: 'set' of other_oven-setpoint is an undeclared action: it is no device of this step "
        "(reductant_pump, stabiliser_pump, seed_pump, heater, spectrometer) nor part of one; give it to the station, "
        "and take it as an argument of the plan"
    ]
    assert stranger.calls == []


async def test_interlocks_on_what_a_device_moves(tmp_path: Path) -> None:
    """A device, its setpoint and the signal it hints at are one; another signal of it is not."""
    oven = Oven()
    plan = plans(
        tmp_path,
        "def move(oven):\n"
        "    yield from bps.mv(oven, 88)\n"
        "    yield from bps.mv(oven.setpoint, 88)\n"
        "    yield from bps.mv(oven.temperature, 88)\n"
        "    yield from bps.mv(oven, 87.9)\n",
    )
    needs = "cannot be set to 88 degC: interlock hot requires oven.temperature < 88 degC"
    assert await told(plan.move(oven), {"oven": oven}, hot()) == [
        f"plan.py:2: oven {needs}",
        f"plan.py:3: oven.setpoint {needs}",
        f"plan.py:4: oven.temperature {needs}",
    ]
    assert await told(plan.move(oven), {"oven": oven}, hot(relation="<=")) == []
    assert await told(plan.move(oven), {"oven": oven}, hot(limit=1.0, signal="setpoint")) == [
        "plan.py:3: oven.setpoint cannot be set to 88 degC: interlock hot requires oven.setpoint < 1 degC"
    ]


async def test_limits_of_every_sort(tmp_path: Path) -> None:
    """A coroutine or plain `check_value`, and `limits` as classic ophyd has them."""
    oven, stage = Oven(), Stage()
    plan = plans(
        tmp_path,
        "def move(oven, stage):\n"
        "    yield Msg('set', oven, 101)\n"
        "    yield Msg('set', stage, -5.5)\n"
        "    yield Msg('set', stage, 5)\n"
        "    yield Msg('set', stage, value=7)\n",
    )
    assert await told(plan.move(oven, stage), {"oven": oven, "stage": stage}) == [
        "plan.py:2: oven cannot be set to 101: only from 0 to 100 degC",
        "plan.py:3: stage cannot be set to -5.5: its limits are -5 to 5",
        "plan.py:5: stage cannot be set to 7: its limits are -5 to 5",
    ]


class Silent(Oven):
    async def check_value(self, value: float) -> None:
        if value == 1:
            raise Fault(self.name, "no answer")
        await asyncio.sleep(3600)


async def test_limits_that_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that does not say whether a value is within its limits is asked again when it is set."""
    monkeypatch.setattr("sdl.lab.preflight.CHECK_LIMIT", 0.05)
    oven = Silent()
    assert await told([Msg("set", oven, 1), Msg("set", oven, 2)], {"oven": oven}) == []


@pytest.mark.parametrize("command", sorted(REFUSED))
async def test_commands_that_act_where_no_record_is_kept(tmp_path: Path, command: str) -> None:
    """Each is refused with what to use instead, and so is it when it is executed."""
    plan = plans(tmp_path, f"def odd():\n    yield from bps.null()\n    yield Msg({command!r})\n")
    message = f"{command!r} is an undeclared action, which cannot be recorded; {REFUSED[command]}"
    assert await told(plan.odd(), {}) == [f"plan.py:3: {message}"]
    assert check_message(Msg(command), PlanRules({}, (), COMMANDS)) == message


async def test_a_command_that_there_is_not(tmp_path: Path) -> None:
    """Unknown commands are told with the nearest known one."""
    plan = plans(tmp_path, "def odd(oven):\n    yield Msg('triger', oven)\n")
    (fault,) = await told(plan.odd(Oven()), {"oven": Oven()})
    assert fault == "plan.py:2: the RunEngine has no command 'triger'; did you mean 'trigger'?"


async def test_all_faults_at_once_and_each_once(tmp_path: Path) -> None:
    """A plan that does the same wrong thing at the same line a hundred times is told so once, beside its others."""
    plan = plans(
        tmp_path,
        "def move(oven):\n"
        "    for _ in range(100):\n"
        "        yield from bps.abs_set(oven, 200)\n"
        "    yield Msg('input')\n"
        "    yield from bps.abs_set(oven, -1)\n",
    )
    oven = Oven()
    found = await told(plan.move(oven), {"oven": oven})
    assert [fault.split(":")[1] for fault in found] == ["3", "4", "5"]
    many = [Msg("set", oven, 101 + n) for n in range(100)]
    assert len(await told(many, {"oven": oven})) == 20


DECIDES = """\
def decides(oven, how):
    got = yield from bps.trigger_and_read([oven])
    value = got["oven-temperature"]["value"] * 2 + 1
    yield from bps.mv(oven, value)
    yield from bps.mv(oven, 200)
    try:
        if how(value):
            yield from bps.mv(oven, 300)
    except Exception:
        yield from bps.mv(oven, 400)
    finally:
        yield from bps.mv(oven, 500)
"""


@pytest.mark.parametrize(
    "how", [lambda v: v > 3, bool, float, int, len, list, math.isnan, lambda v: v == 1, lambda v: range(9)[v]]
)
async def test_a_plan_that_adapts_to_readings(tmp_path: Path, how: Callable[[Any], Any]) -> None:
    """What comes before the decision is checked, a value calculated from readings included; no branch is guessed."""
    oven = Oven()
    decided: list[Any] = []
    plan = plans(tmp_path, DECIDES).decides(oven, lambda value: decided.append(how(value)))
    assert await told(plan, {"oven": oven}) == ["plan.py:5: oven cannot be set to 200: only from 0 to 100 degC"]
    assert (oven.calls, decided) == ([], [])


@pytest.mark.parametrize("how", [lambda v: False, lambda v: f"{v} {v:.3f}" == "", lambda v: sum([v, 1.0]) / 2 is None])
async def test_a_plan_that_only_passes_readings_on(tmp_path: Path, how: Callable[[Any], Any]) -> None:
    """A reading that is shown, stored or averaged decides nothing: the plan is checked to its end."""
    oven = Oven()
    found = await told(plans(tmp_path, DECIDES).decides(oven, how), {"oven": oven})
    assert [fault.split(":")[1] for fault in found] == ["5", "12"]


async def test_ordinary_plans_of_bluesky(tmp_path: Path) -> None:
    """Plans that read, locate, scan, move by a step and subscribe to nothing pass, and their moves are checked."""
    oven, detector = Oven(), SoftDetector(name="detector")
    devices = {"oven": oven, "detector": detector}
    assert await told(bp.count([detector], num=3), devices) == []
    assert await told(bp.scan([detector], oven.setpoint, 0, 50, 5), devices) == []
    (fault,) = await told(bp.scan([detector], oven, 90, 110, 3), devices)
    assert fault.endswith("oven cannot be set to 110: only from 0 to 100 degC")
    plan = plans(
        tmp_path,
        "def looks(oven, detector):\n"
        "    where = yield from bps.rd(detector)\n"
        "    there = yield from bps.locate(oven.setpoint)\n"
        "    yield from bps.mv(oven.setpoint, there['readback'] + where)\n"
        "    uid = yield from bps.open_run(md={'where': f'{where}'})\n"
        "    yield from bps.close_run()\n"
        "    yield from bps.mv(oven, 120 if uid else 0)\n",
    )
    assert await told(plan.looks(oven, detector), devices) == [
        "plan.py:7: oven cannot be set to 120: only from 0 to 100 degC"
    ]


@pytest.mark.parametrize("what", ["Infeasible('dry')", "SystemExit(3)", "KeyboardInterrupt", "ValueError('x')"])
async def test_a_plan_that_raises(tmp_path: Path, what: str) -> None:
    """What a plan raises is heard when it is executed; what it did before is checked all the same."""
    body = f"def fails(oven):\n    yield from bps.mv(oven, 300)\n    raise {what}\n    yield\n"
    plan = plans(tmp_path, body)
    oven = Oven()
    assert await told(plan.fails(oven), {"oven": oven}) == [
        "plan.py:2: oven cannot be set to 300: only from 0 to 100 degC"
    ]


async def test_a_plan_without_end_is_given_up_and_closed(tmp_path: Path) -> None:
    """The check ends after a number of messages or a time; the plan's own clean-up runs; the loop goes on meanwhile."""
    closed = []
    oven = Oven()

    def endless() -> Iterator[Any]:
        try:
            while True:
                yield Msg("checkpoint")
        finally:
            closed.append(True)

    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    other = asyncio.create_task(tick())
    begun = time.monotonic()
    assert await told(endless(), {"oven": oven}, most_messages=10**9, time_limit=0.3) == []
    assert 0.3 <= time.monotonic() - begun < 3
    assert ticks > 5
    other.cancel()
    assert await told(endless(), {"oven": oven}) == []
    assert closed == [True, True]


async def test_a_plan_that_cannot_be_closed() -> None:
    """A plan that goes on when it is closed is left alone."""

    def stubborn() -> Iterator[Any]:
        while True:
            try:
                yield Msg("null")
            except GeneratorExit:
                yield Msg("null")

    assert await told(stubborn(), {}, most_messages=5) == []


async def test_what_is_no_message(tmp_path: Path) -> None:
    """`yield` in place of `yield from`, and a function that returns nothing, are told as what they are."""
    plan = plans(tmp_path, "def odd(oven):\n    yield bps.mv(oven, 3)\n\n\ndef empty():\n    yield\n")
    assert await told(plan.odd(Oven()), {}) == [
        "plan.py:2: yields Plan, which is a plan and no message; write `yield from`"
    ]
    (fault,) = await told(plan.empty(), {})
    assert fault.startswith("plan.py:6: yields None, which is no message")
    assert await told(None, {}) == [
        "the plan is None, which gives no messages; write it as a function with `yield from`"
    ]


async def test_nothing_is_asked_of_a_device(tmp_path: Path) -> None:
    """A plan that triggers, reads, sets and stops leaves its devices untouched."""

    class Untouched(Oven):
        def __getattribute__(self, name: str) -> Any:
            if name in ("read", "describe", "set", "trigger", "stage", "locate", "stop"):
                raise AssertionError(name)
            return super().__getattribute__(name)

    oven = Untouched()
    commands = ("stage", "trigger", "read", "set", "stop", "unstage", "locate")
    assert (
        await told(
            [Msg(command, oven, 1) if command == "set" else Msg(command, oven) for command in commands], {"oven": oven}
        )
        == []
    )


async def test_a_reading_kept_beyond_the_check(tmp_path: Path) -> None:
    """A plan that keeps a reading of the check in a global finds an ordinary error when it uses it later."""
    kept: list[Any] = []

    def keeps(oven: Any) -> Iterator[Any]:
        kept.append((yield from bps.rd(oven.temperature)))

    oven = Oven()
    assert await told(keeps(oven), {"oven": oven}) == []
    with pytest.raises(RuntimeError, match="keep no state in plans"):
        float(kept[0])


def test_the_line_of_a_message_inside_preprocessors(tmp_path: Path) -> None:
    """The author's line is found through decorators, finalizers, mutators and plans of bluesky."""
    plan = plans(
        tmp_path,
        "def inner(oven):\n"
        "    yield from bps.mv(oven, 1)\n"
        "\n"
        "\n"
        "def outer(oven):\n"
        "    yield from bpp.finalize_wrapper(bpp.run_wrapper(inner(oven)), bps.null)\n",
    )
    oven = Oven()
    wrapped = {
        "plain": plan.outer(oven),
        "mutated": bpp.plan_mutator(plan.outer(oven), lambda msg: (None, None)),
        "relabelled": bpp.inject_md_wrapper(plan.outer(oven), {"a": 1}),
        "both": bpp.plan_mutator(bpp.inject_md_wrapper(plan.outer(oven), {"a": 1}), lambda msg: (None, None)),
    }
    for name, generator in wrapped.items():
        places = []
        for message in generator:
            if message.command == "set":
                places.append(str(origin(generator)))
        assert places == ["plan.py:2"], name
    assert origin(plan.outer(oven)) is not None
    assert origin(iter([Msg("null")])) is None
    assert origin(wrapped["plain"]) is None


def test_messages_as_they_are_executed() -> None:
    """The same rules hold for one message at a time, apart from limits that have to be waited for."""
    oven, stage = Oven(), Stage()
    rules = PlanRules({"oven": oven, "stage": stage}, (), COMMANDS)
    for message in (Msg("read", oven), Msg("read", oven.temperature), Msg("checkpoint"), Msg("set", oven, 300)):
        assert check_message(message, rules) is None
    assert check_message(Msg("set", stage, 9), rules) == "stage cannot be set to 9: its limits are -5 to 5"
    refused = check_message(Msg("locate", oven, Oven("other")), rules)
    assert refused is not None
    assert refused.startswith("'locate' of other is an undeclared action")


def test_a_message_costs_little() -> None:
    """Looking at a message takes a few microseconds at most."""
    oven = Oven()
    rules = PlanRules({"oven": oven}, (), COMMANDS)
    message = Msg("read", oven.temperature)
    best = math.inf
    for _ in range(5):
        begun = time.process_time()
        for _ in range(1000):
            check_message(message, rules)
        best = min(best, (time.process_time() - begun) / 1000)
    assert best < 20e-6
