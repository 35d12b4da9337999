"""Campaign files: checked whole, and unable to import code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdl.campaign import load_campaign
from sdl.model import InputError

LAB = """\
name: soft
inputs: {table: {path: t.csv}}
devices: {detector: {driver: soft_detector}}
stations: {bench: {devices: [detector]}}
procedures:
  measure:
    steps: [{name: read, station: bench, plan: "plans.py:read"}]
    analysis: {name: "plans.py:analyse"}
"""
PLANS = "def read(detector, x):\n    yield from ()\ndef analyse(runs):\n    return {}\n"
CAMPAIGN = """\
name: demo
lab: lab.yaml
problem:
  parameters:
    x: {kind: real, low: 0, high: 1, unit: "1"}
  objectives:
    z: {kind: minimize, unit: "1"}
procedure: measure
planner: random
budget: {trials: 3}
inputs: {table: t.csv}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    for name, text in {"lab.yaml": LAB, "plans.py": PLANS, "t.csv": "x\n1\n", "u.csv": "x\n2\n"}.items():
        (folder / name).write_text(text)
    return folder


def written(folder: Path, text: str) -> Path:
    path = folder / "campaign.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return path


def refusal(folder: Path, old: str, new: str) -> InputError:
    assert CAMPAIGN.count(old) == 1
    with pytest.raises(InputError) as caught:
        load_campaign(written(folder, CAMPAIGN.replace(old, new)))
    return caught.value


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("planner: random", "planner: os:system"),
        ("planner: random", "planner: {name: 'this:s'}"),
        ("procedure: measure", "procedure: 'this:s'"),
        ("lab: lab.yaml", "lab: plans.py"),
    ],
)
def test_a_campaign_file_names_no_code(folder: Path, old: str, new: str) -> None:
    """Planner and procedure are registered names: a reference to code is refused, and nothing is imported."""
    refusal(folder, old, new)
    assert "this" not in sys.modules


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("planner: random", "planner: randm", 9, "did you mean 'random'?"),
        ("procedure: measure", "procedure: mesure", 8, "did you mean 'measure'?"),
        ("lab: lab.yaml", "lab: gone.yaml", 2, "no such file"),
        ("planner: random", "planner: random\npool: tabel", 10, "did you mean 'table'?"),
    ],
)
def test_faults_have_lines(folder: Path, old: str, new: str, line: int, message: str) -> None:
    """What the campaign file gets wrong about its lab has its line."""
    fault = refusal(folder, old, new).faults[0]
    assert fault.line == line
    assert message in fault.message


def test_faults_of_both_files_at_once(folder: Path) -> None:
    """A slip in the campaign and a missing input of the lab are told together."""
    with pytest.raises(InputError) as caught:
        load_campaign(written(folder, CAMPAIGN.replace("trials: 3", "trails: 3").replace("t.csv", "gone.csv")))
    text = str(caught.value)
    assert "did you mean 'trials'?" in text
    assert "gone.csv cannot be read" in text


@pytest.mark.parametrize("key", ["table", "inputs.table"])
def test_inputs_from_settings(folder: Path, key: str) -> None:
    """An input is chosen by its name alone or by its dotted path; both reach the lab."""
    loaded = load_campaign(written(folder, CAMPAIGN), {key: str(folder / "u.csv")}, seed=5, trials=9)
    assert loaded.lab.inputs["table"].text == "x\n2\n"
    assert (loaded.spec.seed, loaded.spec.budget.trials) == (5, 9)


_PIECES = [
    "",
    "\0",
    "\n",
    "[",
    "{",
    ":",
    "*a",
    "&a ",
    "<<: ",
    "~",
    ".nan",
    "-1",
    "1e400",
    "9" * 40,
    "null",
    "\ud800",
    "é",
]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, len(CAMPAIGN)), st.integers(0, 12), st.sampled_from(_PIECES))
def test_a_mutilated_file_is_read_or_refused(folder: Path, at: int, cut: int, piece: str) -> None:
    """Whatever is done to a good file, it loads or is bad input; nothing else is raised."""
    try:
        name = load_campaign(written(folder, CAMPAIGN[:at] + piece + CAMPAIGN[at + cut :])).spec.name
    except InputError as error:
        name = str(error)
    assert name
