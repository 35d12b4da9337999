"""Devices: built from the lab file, connected, made safe, closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdl.devices.soft import SoftDetector
from sdl.lab import devices as module
from sdl.lab.clock import LabClock
from sdl.lab.devices import build_devices, close_devices, connect_devices, make_safe
from sdl.lab.labfile import load_lab
from sdl.model import Fault, InputError, UnsafeState

Write = Callable[..., Path]

DRIVERS = """

class Plain:
    def __init__(self, prefix, name, **options):
        self.prefix, self.name, self.options = prefix, name, options


class Broken:
    def __init__(self, name):
        raise KeyError("calibration")
"""


def build(path: Path, station: str = "bench") -> dict[str, Any]:
    return build_devices(load_lab(path), station, {"detector": "tcp://127.0.0.1:1"}, LabClock(3.0))


def refusal(path: Path) -> list[tuple[str, int | None, str]]:
    with pytest.raises(InputError) as caught:
        build(path)
    return [(f.path, f.line, f.message) for f in caught.value.faults]


async def test_options_and_the_clock_reach_the_driver(write_lab: Write) -> None:
    """A driver gets its name, the lab's clock and its options."""
    detector = build(write_lab())["detector"]
    assert isinstance(detector, SoftDetector)
    assert (detector.name, detector.clock.speed) == ("detector", 3.0)


def test_addresses(write_lab: Write) -> None:
    """The file's address wins over a simulated one, and ophyd's word for it is `prefix`."""
    plain = 'driver: "plans.py:Plain", options: {a: 1}'
    old = "driver: soft_detector, options: {value: 1.0, step: 1.0}"
    device = build(write_lab((old, plain), plans=DRIVERS))["detector"]
    assert (device.prefix, device.name, device.options) == ("tcp://127.0.0.1:1", "detector", {"a": 1})
    device = build(write_lab((old, plain + ", address: 'LAB:'"), plans=DRIVERS))["detector"]
    assert device.prefix == "LAB:"


def test_unknown_options_have_lines(write_lab: Write) -> None:
    """Each unknown option has its line and the nearest known one; what the lab gives is no option."""
    options = "options:\n      vale: 1.0\n      step: 1.0\n      name: other"
    found = refusal(
        write_lab(
            ("options: {value: 1.0, step: 1.0}", options),
            ("{driver: soft_detector, o", "\n    driver: soft_detector\n    o"),
            ("step: 1.0\n      name: other}", "step: 1.0\n      name: other"),
        )
    )
    assert ("devices.detector.options.vale", 8, "unknown option; did you mean 'value'?") in found
    assert [(path, line) for path, line, _ in found][1] == ("devices.detector.options.name", 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [("{value: abc}", "could not convert string to float: 'abc'"), ("{value: [1]}", "float()")],
)
def test_a_driver_that_refuses_a_value(write_lab: Write, options: str, message: str) -> None:
    """What a driver says about a value comes with the line of the device."""
    path, line, text = refusal(write_lab(("{value: 1.0, step: 1.0}", options)))[0]
    assert (path, line) == ("devices.detector", 5)
    assert message in text


def test_a_driver_that_breaks(write_lab: Write) -> None:
    """Whatever a driver raises is a fault of the lab file with the type of what it raised."""
    old = "driver: soft_detector, options: {value: 1.0, step: 1.0}"
    found = refusal(write_lab((old, 'driver: "plans.py:Broken"'), plans=DRIVERS))
    assert found == [("devices.detector", 5, "KeyError('calibration')")]


class Refusing(SoftDetector):
    async def connect(self, *args: Any, **options: Any) -> None:
        raise Fault(self.name, "no answer on tcp://10.0.0.9:4001 within 2 s")


class Silent(SoftDetector):
    async def connect(self, *args: Any, **options: Any) -> None:
        await asyncio.sleep(3600)


async def test_connect_tells_every_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices connect at the same time, and every one that fails is named once with its reason."""
    monkeypatch.setattr(module, "CONNECT_LIMIT", 0.3)
    lab = {
        "pump": Refusing(name="pump"),
        "lamp": Silent(name="lamp"),
        "good": SoftDetector(name="good"),
        "oven": Silent(name="oven"),
    }
    begun = time.monotonic()
    with pytest.raises(Fault) as caught:
        await connect_devices(lab)
    assert str(caught.value) == (
        "cannot connect 3 of 4 devices: pump: no answer on tcp://10.0.0.9:4001 within 2 s; "
        "lamp: no answer within 0.3 s; oven: no answer within 0.3 s"
    )
    assert time.monotonic() - begun < 2


class Unsafe(SoftDetector):
    async def safe_state(self) -> None:
        raise UnsafeState(self.name, "still at 80 degC")


class Hanging(SoftDetector):
    async def safe_state(self) -> None:
        await asyncio.sleep(3600)


class Buggy(SoftDetector):
    async def safe_state(self) -> None:
        raise ZeroDivisionError


async def test_make_safe_reaches_every_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that fails, one that hangs and one that is wrong keep no other from its safe state."""
    monkeypatch.setattr(module, "SAFE_LIMIT", 0.3)
    lab = {
        "u": Unsafe(name="u"),
        "h": Hanging(name="h"),
        "b": Buggy(name="b"),
        "s": SoftDetector(name="s"),
        "x": object(),
    }
    assert await make_safe(lab) == {
        "u": "u: still at 80 degC",
        "h": "did not confirm its safe state within 0.3 s",
        "b": "ZeroDivisionError",
        "s": "safe",
    }


class Closing(SoftDetector):
    def __init__(self, name: str, failure: Exception | None = None) -> None:
        self.closed, self.failure = False, failure
        super().__init__(name=name)

    async def close(self) -> None:
        self.closed = True
        if self.failure is not None:
            raise self.failure


async def test_close_reaches_every_device() -> None:
    """A device that cannot be closed keeps no other open."""
    lab = {
        "a": Closing("a", OSError("gone")),
        "b": Closing("b", ValueError("bad")),
        "c": Closing("c"),
        "d": object(),
    }
    await close_devices(lab)
    assert [device.closed for device in lab.values() if isinstance(device, Closing)] == [True] * 3


async def test_lab_time() -> None:
    """The clock runs `speed` times as fast as the wall's, and a speed of 0 is refused."""
    clock = LabClock(1000.0)
    begun, wall = clock.now(), time.monotonic()
    await clock.sleep(50)
    passed = clock.now() - begun
    assert passed >= 50
    assert passed == pytest.approx(1000 * (time.monotonic() - wall), rel=0.2)
    for speed in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="must be above 0"):
            LabClock(speed)
