"""A stranger's planner, installed like anybody's, drives a campaign."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SAMPLE = "examples/plugins/sdl-planner-local"
CAMPAIGN = """
name: bowl
lab: lab.yaml
problem:
  parameters:
    x: {kind: real, low: 0, high: 1, unit: "1"}
    rate: {kind: real, low: 0.1, high: 10, unit: uL/min, log: true}
  objectives:
    depth: {kind: minimize, unit: "1"}
procedure: measure
planner: {name: local, options: {start: 3}}
budget: {trials: 12}
"""
LAB = """
name: bench
devices:
  detector: {driver: soft_detector, options: {value: 1.0}}
stations:
  bench: {devices: [detector]}
procedures:
  measure:
    steps:
      - {name: read, station: bench, plan: "plans.py:read", on_interrupt: redo}
    analysis: {name: "plans.py:depth"}
"""
PLANS = """
import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp

from sdl.model import Outcome


@bpp.run_decorator()
def read(detector, x, rate):
    yield from bps.trigger_and_read([detector])


def depth(runs):
    parameters = runs[0].start["parameters"]
    return {"depth": Outcome(value=(parameters["x"] - 0.3) ** 2 + (parameters["rate"] - 1) ** 2, unit="1")}
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def site(root: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the sample package; put on PYTHONPATH it is as good as site-packages."""
    folder = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(root / SAMPLE, folder / "source", ignore=shutil.ignore_patterns("build", "*.egg-info"))
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    run(*pip, "--target", folder / "site", source, cwd=folder)
    return folder / "site"


def test_it_is_listed_beside_ours(run: Run, site: Path, tmp_path: Path) -> None:
    """`sdl plugins` shows the stranger's planner with the distribution that brings it."""
    listed = run("sdl", "plugins", "--json", cwd=tmp_path, env={"PYTHONPATH": str(site)}).stdout.splitlines()
    rows = {(row["group"], row["name"]): row["distribution"] for row in map(json.loads, listed)}
    assert rows["sdl.planners", "local"] == "sdl-planner-local"
    assert rows["sdl.planners", "random"] == "self-driving-lab"


def test_without_it_the_name_is_unknown(run: Run, tmp_path: Path) -> None:
    """A planner that is not installed is refused with the names that are."""
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN)
    (tmp_path / "lab.yaml").write_text(LAB)
    (tmp_path / "plans.py").write_text(PLANS)
    said = run("sdl", "run", "campaign.yaml", cwd=tmp_path, status=2).stderr
    assert "'local'" in said
    assert "random" in said


def test_it_drives_a_campaign(run: Run, site: Path, tmp_path: Path) -> None:
    """A campaign file that names the stranger's planner runs to its end, and the record names planner and version."""
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN)
    (tmp_path / "lab.yaml").write_text(LAB)
    (tmp_path / "plans.py").write_text(PLANS)
    env = {"PYTHONPATH": str(site)}
    run("sdl", "run", "campaign.yaml", "--quiet", cwd=tmp_path, env=env)
    document = json.loads(run("sdl", "export", "bowl", "--format", "json", cwd=tmp_path, env=env).stdout)
    trials = document["trials"]
    assert [trial["number"] for trial in trials] == list(range(1, 13))
    assert {trial["status"] for trial in trials} == {"observed"}
    assert {(trial["planner"], trial["planner_version"]) for trial in trials} == {("local", "1")}
    assert trials[0]["reason"]["summary"].startswith("random")
    assert trials[-1]["reason"]["summary"].startswith("around trial")


@pytest.mark.slow
def test_its_own_tests_pass(run: Run, root: Path, site: Path, tmp_path: Path) -> None:
    """The sample package's tests, the conformance kit among them, pass against this sdl."""
    tests = shutil.copytree(root / SAMPLE / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    run(
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:asyncio",
        tests,
        cwd=tmp_path,
        env={"PYTHONPATH": str(site)},
    )
