"""The kit finds what is wrong with a device, says so in the check that is meant for it, and in no other."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sdl.devices.modbus_heater import ModbusHeater
from sdl.devices.soft import SoftDetector
from sdl.lab.clock import LabClock
from sdl.simulators._faults import Probe
from sdl.simulators.heater import HeaterServer
from sdl.simulators.spectrometer import SpectrometerServer
from sdl.testing import DEVICE_CHECKS, Act, CheckStatus, Conformance, DeviceCase, check_case, check_device
from tests.devices.test_spectrometer import Sample
from tests.testing import bad_devices as bad
from tests.testing.kitcases import CASES, tabulated

SOFT = CASES["soft_detector"]
HEATER = CASES["modbus_heater"].at(exercise=(Act("", 40.0),), timeout=0.3)
PUMP = CASES["ne1000_pump"].at(exercise=(Act("dispense", 50.0),), timeout=0.3)

CONTROLS = {
    "no unit": (SOFT.at(options={"unit": ""}), {"units"}),
    "other shape": (SOFT.at(driver=bad.Reshaped), {"shapes"}),
    "no such type": (SOFT.at(driver=bad.Informal), {"event_model"}),
    "not all it described": (SOFT.at(driver=bad.Promising), {"connects", "event_model"}),
    "unsafe": (SOFT.at(driver=bad.Unsafe), {"safe_state", "safe_while_acting"}),
    "undeclared effect": (SOFT.at(driver=bad.Undeclared), {"effects"}),
    "real time": (SOFT.at(driver=bad.Sleeper), {"virtual_time"}),
    "leaked socket": (SOFT.at(driver=bad.SocketLeak), {"leaks"}),
    "leaked task": (SOFT.at(driver=bad.TaskLeak), {"leaks"}),
    "closes once": (SOFT.at(driver=bad.Unclosable), {"close_twice"}),
    "ignores limits": (HEATER.at(driver=bad.Boundless), {"limits"}),
    "hangs": (HEATER.at(driver=bad.Patient), {"hang"}),
    "does not reconnect": (HEATER.at(driver=bad.Sulking), {"reconnect"}),
    "names no address": (HEATER.at(driver=bad.Nameless), {"refuse", "hang", "eof", "garbage", "nobody"}),
    "safe unconfirmed": (HEATER.at(driver=bad.Optimist), {"unconfirmed"}),
    "writes when attached": (HEATER.at(driver=bad.Meddler), {"attach"}),
    "stops after success": (HEATER.at(driver=bad.Quitter), {"acts"}),
    "stop unconfirmed": (HEATER.at(driver=bad.Mumbling), {"stop_exchanges"}),
    "always done": (PUMP.at(driver=bad.Braggart), {"arming", "no_answer"}),
    "never done": (PUMP.at(driver=bad.Forgetful), {"answer_lost"}),
}


@pytest.fixture(autouse=True)
def no_sockets_left() -> Iterator[None]:
    """What the leaking driver leaves is closed here."""
    yield
    for item in bad.SOCKETS:
        item.close()
    bad.SOCKETS.clear()


@pytest.mark.slow
@pytest.mark.parametrize("flaw", CONTROLS)
def test_a_flaw_fails_the_check_that_is_meant_for_it(flaw: str) -> None:
    """All checks are made in spite of the failure, and only those that are about the flaw fail."""
    case, expected = CONTROLS[flaw]
    report = check_case(case)
    assert {result.name for result in report.failed} == expected, str(report)
    assert len(report.results) == len(DEVICE_CHECKS)
    with pytest.raises(Conformance) as caught:
        report.require()
    assert all(f"{name}: " in str(caught.value) for name in expected)


def test_an_act_before_arming_is_found() -> None:
    """What has moved when it says that it is about to move is found in the instrument's log."""
    report = check_case(PUMP.at(driver=bad.Unarmed), only=["arming"])
    assert report["arming"].status is CheckStatus.FAILED
    assert "stopped when it was armed: the receipt says partial" in report["arming"].evidence


def test_what_is_remembered_by_id_happens_once(tmp_path: Path) -> None:
    """An action that says it is remembered, and happens twice, is found; so is a receipt that cannot know."""
    report = check_case(tabulated(tmp_path).at(driver=bad.Repeating), only=["once", "answer_lost"])
    assert {result.name for result in report.failed} == {"once", "answer_lost"}, str(report)


def test_a_driver_that_cannot_be_built_is_a_report() -> None:
    """Wrong options fail every check with the reason; the kit itself does not."""
    report = check_device(SoftDetector, options={"colour": "blue"})
    assert not report.ok
    assert {result.status for result in report.results} == {CheckStatus.FAILED}
    assert "colour" in report["connects"].evidence


def test_the_report_reads_well_and_round_trips() -> None:
    """It prints one line a check, and the JSON has what was checked, on what, and what came of it."""
    report = check_device("soft_detector", name="det", exercise=[Act("value", 1.0)], only=["units", "hang"])
    lines = str(report).splitlines()
    assert lines[0] == "det, soft_detector (without an instrument): 2 checks, 1 passed, 0 failed, 1 skipped"
    assert lines[1].split() == ["✓", "units", "det-value", "in", "1"]
    assert lines[2].split()[:2] == ["·", "hang"]
    data = json.loads(json.dumps(report.as_json()))
    assert data["device"] == "det"
    assert data["driver"]["object"] == "sdl.devices.soft:SoftDetector"
    assert data["driver"]["distribution"] == "self-driving-lab"
    assert len(data["driver"]["sha256"]) == 64
    assert [check["status"] for check in data["checks"]] == ["passed", "skipped"]
    report.require()
    with pytest.raises(KeyError, match="no check 'unit'; there are: units, hang"):
        report["unit"]


def test_unknown_checks_are_refused() -> None:
    """A misspelt check is no check that passed."""
    with pytest.raises(ValueError, match="no check unit; there are: connects"):
        check_case(DeviceCase(driver="soft_detector"), only=["unit"])


class Bench:
    """Instruments that somebody else serves, as real ones would be: in a thread with a loop of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        clock = LabClock(500.0)
        self.probe = Probe("heater", clock.now)
        self.server = HeaterServer(self.probe, clock, high=90.0)
        self.spectrometer = SpectrometerServer(Sample(), Probe("spectrometer"), clock)
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.address = self._do(self.server.start())
        self.other = self._do(self.spectrometer.start())

    def _do(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def stop(self) -> None:
        self._do(self.server.stop())
        self._do(self.spectrometer.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


@pytest.fixture
def real() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.stop()


def test_a_real_instrument_is_left_in_peace(real: Bench) -> None:
    """Without `acts` nothing is made to act and no fault is put in; limits are still held, without asking it."""
    report = check_device("modbus_heater", name="heater", address=real.address, options={"high": 90.0}, timeout=0.5)
    assert report.ok, str(report)
    assert real.probe.log == []
    passed = {result.name for result in report.results if result.status is CheckStatus.PASSED}
    expected = {"connects", "units", "shapes", "event_model", "limits", "effects", "nobody", "attach", "close_twice"}
    assert passed == expected | {"leaks"}
    assert report["hang"].evidence == "faults cannot be put into a real instrument"
    assert "acts=True" in report["safe_state"].evidence
    assert report["virtual_time"].evidence == "a real instrument takes real time"


def test_what_changes_nothing_is_done_without_acts(real: Bench) -> None:
    """A spectrometer that may not act is triggered all the same, since it declares that this is reading."""
    report = check_device("scpi_spectrometer", address=real.other, only=["connects", "units", "acts"])
    assert [result.status.value for result in report.results] == ["passed", "passed", "skipped"], str(report)


def test_a_real_instrument_does_what_it_is_told_to_try(real: Bench) -> None:
    """With `acts` it does the acts that a person chose, and nothing is chosen for it."""
    given = {"name": "heater", "address": real.address, "options": {"high": 90.0, "dwell": 0}, "timeout": 0.5}
    report = check_device("modbus_heater", **given, acts=True, only=["acts", "safe_state"])
    assert report["safe_state"].status is CheckStatus.PASSED
    assert "give `exercise`" in report["acts"].evidence
    report = check_device("modbus_heater", **given, acts=True, exercise=[Act("setpoint", 30.0)], only=["acts"])
    assert report["acts"].status is CheckStatus.PASSED, str(report)
    assert ("target", 300) in [(entry["register"], entry["value"]) for entry in real.probe.log]


def test_limits_of_a_bad_driver_are_not_tried_on_a_real_instrument(real: Bench) -> None:
    """A driver that would send whatever it is set to is not given the chance: only its check is asked."""
    report = check_device(
        bad.Boundless, name="heater", address=real.address, options={"high": 80.0}, acts=True, only=["limits"]
    )
    assert report["limits"].status is CheckStatus.PASSED
    assert real.probe.log == []
    assert issubclass(bad.Boundless, ModbusHeater)
