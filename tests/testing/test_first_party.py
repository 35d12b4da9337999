"""Every device and simulator that comes with sdl passes the kit that is given to everybody."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from sdl.testing import DEVICE_CHECKS, CheckStatus, DeviceReport, check_case, check_simulator
from tests.testing.kitcases import BEYOND, CASES, INSTRUMENTS, KNOWN, SIMULATED, of_simulator, tabulated

RECEIPTS = {"arming", "answer_lost", "no_answer", "once"}
SKIPPED: Mapping[str, set[str]] = {
    "soft_detector": {"limits", "refuse", "hang", "eof", "garbage", "reconnect", "nobody", "unconfirmed", *RECEIPTS},
    "ne1000_pump": {"once"},
    "modbus_heater": RECEIPTS,
    "scpi_spectrometer": RECEIPTS,
    "tabulated_instrument": {"limits", "arming"},
    "spin_coater": {"once"},
    "mtsics_balance": {"limits", "once"},
    "furnace": {"once"},
    "keithley2400": RECEIPTS,
    "ur_robot": {"limits", "once"},
    "secop": RECEIPTS,
    # Channel Access has no bytes that could be known beforehand, and finds its servers by name.
    "epics_stage": {"once", "nobody", "stop_exchanges"},
    # Classic ophyd knows no safe state; a gauge needs none.
    "classic_gauge": {"limits", "safe_state", "safe_while_acting", "unconfirmed", "stop_exchanges", *RECEIPTS},
}
"""What cannot be asked of each: it has no instrument, no limits, or nothing that must not be repeated."""
UNASKED: Mapping[str, set[str]] = {
    "thin_film, over Channel Access": {"garbage", "two_clients", "limits", "deadman", "faults"}
}
"""What cannot be asked of simulated instruments: the checks look at bytes, and an IOC is not behind a port alone."""
NAMELESS = {"soft_detector", "modbus_heater", "furnace"}
"""Devices that cannot say which instrument they are."""


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
    assert bool(report.identity.instrument) == (name not in NAMELESS)


@pytest.mark.slow
@pytest.mark.parametrize("label", SIMULATED)
def test_the_simulated_instruments_conform(label: str) -> None:
    """Nothing fails but what is known to, and nothing is skipped but what cannot be asked."""
    names, cases = SIMULATED[label], of_simulator(label)
    report = check_simulator(
        label.partition(",")[0],
        cases,
        instruments={name: INSTRUMENTS[name] for name in names},
        simulation={key: value for case in cases for key, value in case.simulation.items()},
        beyond={name: BEYOND[name] for name in names if name in BEYOND},
        speed=500.0,
    )
    assert {result.name for result in report.failed} == KNOWN.get(label, set()), str(report)
    unasked = {result.name for result in report.results if result.status is CheckStatus.SKIPPED}
    assert unasked == UNASKED.get(label, set()), str(report)


@pytest.mark.slow
def test_the_tabulated_instrument_conforms(tmp_path: Path) -> None:
    """It has no limits of its own; all else is kept."""
    case = tabulated(tmp_path)
    report = check_simulator("tabulated", [case.at(name="tab")], simulation=case.simulation)
    assert {result.name for result in report.failed} == KNOWN.get("tabulated", set()), str(report)
