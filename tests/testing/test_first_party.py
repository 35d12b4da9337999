"""Every device and simulator that comes with sdl passes the kit that is given to everybody."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from sdl.testing import DEVICE_CHECKS, CheckStatus, DeviceReport, check_case, check_simulator
from tests.testing.kitcases import BEYOND, CASES, INSTRUMENTS, KNOWN, simulators, tabulated

SKIPPED: Mapping[str, set[str]] = {
    "soft_detector": {
        *("limits", "refuse", "hang", "eof", "garbage", "reconnect", "nobody", "unconfirmed"),
        *("arming", "answer_lost", "no_answer", "once"),
    },
    "ne1000_pump": {"once"},
    "modbus_heater": {"arming", "answer_lost", "no_answer", "once"},
    "scpi_spectrometer": {"arming", "answer_lost", "no_answer", "once"},
    "tabulated_instrument": {"limits", "arming"},
}
"""What cannot be asked of each: it has no instrument, no limits, or nothing that must not be repeated."""


def skipped(report: DeviceReport) -> set[str]:
    return {result.name for result in report.results if result.status is CheckStatus.SKIPPED}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CASES, "tabulated_instrument"])
def test_the_device_conforms(name: str, tmp_path: Path) -> None:
    """All checks are made and none fails; what is skipped is what cannot be asked of this device, and nothing else."""
    case = CASES[name] if name in CASES else tabulated(tmp_path)
    report = check_case(case)
    report.require()
    assert tuple(result.name for result in report.results) == DEVICE_CHECKS
    assert skipped(report) == SKIPPED[name], str(report)
    assert all(result.evidence and result.about for result in report.results)


@pytest.mark.slow
def test_the_instruments_of_silver_flow_conform() -> None:
    """Pump, heater and spectrometer: nothing fails but what is known to."""
    report = check_simulator("silver_flow", simulators(), instruments=INSTRUMENTS, beyond=BEYOND)
    assert {result.name for result in report.failed} == KNOWN.get("silver_flow", set()), str(report)


@pytest.mark.slow
def test_the_tabulated_instrument_conforms(tmp_path: Path) -> None:
    """It has no limits of its own; all else is kept."""
    case = tabulated(tmp_path)
    report = check_simulator("tabulated", [case.at(name="tab")], simulation=case.simulation)
    assert {result.name for result in report.failed} == KNOWN.get("tabulated", set()), str(report)
