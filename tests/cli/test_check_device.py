"""`sdl devices check`: the devices of a lab file through the conformance kit, and their certificates."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sdl.cli._check_device import check_device_command
from sdl.lab.certificates import find_certificate, read_certificate
from sdl.testing import DEVICE_CHECKS
from sdl.testing.__main__ import main

EXAMPLES = Path(__file__).parents[2] / "examples"
SOFT = """
name: bench
devices:
  detector: {driver: soft_detector, options: {value: 1.0, step: 0.5}}
  other: {driver: "drivers.py:Bad"}
stations:
  bench: {devices: [detector, other]}
procedures:
  measure:
    steps: [{name: read, station: bench, plan: "plans.py:read"}]
    analysis: {name: "plans.py:depth"}
"""
DRIVERS = """
from sdl.devices.soft import SoftDetector


class Bad(SoftDetector):
    effects = {}
"""


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A lab of two devices without instruments; the second does not declare its effects."""
    (tmp_path / "lab.yaml").write_text(SOFT)
    (tmp_path / "drivers.py").write_text(DRIVERS)
    (tmp_path / "plans.py").write_text("def read(detector): ...\n\n\ndef depth(runs): ...\n")
    return tmp_path / "lab.yaml"


def command(*arguments: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    """`python -m sdl.testing` as `sdl devices check` starts it."""
    done = subprocess.run(
        [sys.executable, "-m", "sdl.testing", *map(str, arguments)],
        capture_output=True, text=True, timeout=150, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == status, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


def test_a_device_that_conforms_gets_a_certificate(lab: Path) -> None:
    """Status 0, one line a check, and a certificate beside the lab file that is found by the device's name."""
    done = command(lab, "detector", "--exercise", _exercise(lab, "detector: {exercise: [value 2, trigger]}"))
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"detector, soft_detector (without an instrument): {len(DEVICE_CHECKS)} checks, ")
    assert [line.split()[1] for line in lines[1 : len(DEVICE_CHECKS) + 1]] == list(DEVICE_CHECKS)
    assert "value.set(2)" in done.stdout
    certificate = find_certificate(lab, "detector")
    assert certificate is not None
    assert certificate.ok
    assert f"certificate {certificate.id[:12]} in " in done.stdout
    assert find_certificate(lab, "other") is None
    assert done.stderr == ""


def _exercise(lab: Path, text: str) -> Path:
    path = lab.parent / "exercise.yaml"
    path.write_text(text)
    return path


def test_one_that_does_not_is_certified_as_such(lab: Path, tmp_path: Path) -> None:
    """Status 2 for all devices of the lab together; each certificate says what failed, and goes where it was told."""
    out = tmp_path / "out"
    done = command(lab, "--json", "--out", out, status=2)
    written = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["device"], one["report"]["ok"]) for one in written] == [("detector", True), ("other", False)]
    failed = [check["name"] for check in written[1]["report"]["checks"] if check["status"] == "failed"]
    assert failed == ["effects"]
    assert {read_certificate(path).id for path in out.glob("*.json")} == {one["id"] for one in written}
    assert written[1]["driver"]["object"].endswith(":Bad")
    assert not (lab.parent / "certificates").exists()


def test_a_choice_of_checks_certifies_nothing(lab: Path) -> None:
    """`--only` makes the named checks and writes no certificate."""
    done = command(lab, "other", "--only", "units", "--only", "leaks")
    assert "2 checks, 2 passed" in done.stdout
    assert not (lab.parent / "certificates").exists()


@pytest.mark.parametrize(
    ("exercise", "arguments", "says"),
    [
        ("", ["detectr"], "has no device 'detectr'; did you mean 'detector'?"),
        ("detector: [trigger]", [], "write `exercise: [...]`"),
        ("detector: {exercises: [trigger]}", [], "detector.exercises: unknown key; did you mean 'exercise'?"),
        ("detector: {exercise: trigger}", [], "write a list of acts"),
        ("nobody: {exercise: [trigger]}", [], "has no device 'nobody'"),
    ],
)
def test_what_cannot_be_used_is_said(lab: Path, exercise: str, arguments: list[str], says: str) -> None:
    """Status 2, the name and the nearest known one; nothing is checked."""
    given = ["--exercise", str(_exercise(lab, exercise))] if exercise else []
    done = command(lab, *arguments, *given, status=2)
    assert says in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_a_simulated_device_of_a_lab(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A pump of silver-flow among its five neighbours; faults are put into it, and hours pass at once."""
    shutil.copytree(EXAMPLES / "silver-flow", tmp_path / "lab")
    path = tmp_path / "lab" / "lab.yaml"
    assert check_device_command(path, ["seed_pump"], False, None, [], None, [], False) == 0
    said = capfd.readouterr().out
    assert "seed_pump, ne1000_pump (simulated by silver_flow)" in said
    assert " 0 failed, 1 skipped" in said
    assert find_certificate(path, "seed_pump") is not None


@pytest.mark.slow
def test_inputs_of_the_lab_are_passed_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`--set NAME=PATH` fills an input, with blanks in it too."""
    shutil.copytree(EXAMPLES / "tabulated", tmp_path / "lab")
    table = tmp_path / "my table.csv"
    table.write_text("n,theta,r,t,toughness\n6,0,1.5,0.7,1.25\n8,25,1.5,0.7,2.5\n")
    exercise = tmp_path / "exercise.yaml"
    exercise.write_text(
        "tester:\n"
        "  prepare: [inputs.n 6, inputs.theta 0, inputs.r 1.5, inputs.t 0.7, trigger]\n"
        "  exercise: [inputs.theta 0, trigger]\n"
    )
    path, settings = tmp_path / "lab" / "lab.yaml", [f"table={table}"]
    out = tmp_path / "out"
    assert check_device_command(path, [], False, exercise, [], out, settings, True) == 0
    written = json.loads(capfd.readouterr().out)
    assert written["report"]["ok"]
    assert os.listdir(out) == [f"tester-{written['at'][:10]}-{written['id'][:12]}.json"]


def test_the_module_can_be_called(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As from a notebook: the same words, the same status."""
    import logging

    try:
        assert main([str(lab), "detector", "--only", "units"]) == 0
    finally:
        logging.disable(logging.NOTSET)
    assert "1 checks, 1 passed" in capsys.readouterr().out
