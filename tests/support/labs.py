"""Labs and planners that the end-to-end tests write."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

__all__ = ["PlannerPlugin", "edit", "one_parameter", "silver_lab", "soft_lab"]

_EXAMPLES = Path(__file__).parents[2] / "examples"

_PLANS = """
import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from sdl.model import Infeasible, Outcome


def read(detector, x, y, seconds=0.0, points=1):
    @bpp.run_decorator()
    def inner():
        for _ in range(points):
            yield from bps.sleep(seconds)
            yield from bps.trigger_and_read([detector])

    yield from inner()


def analyse(runs, infeasible_above=2.0):
    p = runs[0].start["parameters"]
    if p["x"] > infeasible_above:
        raise Infeasible(f"x {p['x']:.3g} gives no material")
    return {"z": Outcome(value=(p["x"] - 0.3) ** 2 + (p["y"] - 0.6) ** 2, sem=0.01, unit="1")}
"""

_LAB = """
name: soft
devices:
  detector: {{driver: soft_detector, options: {{value: 1.0, step: 0.5}}}}
stations:
  bench: {{devices: [detector]}}
procedures:
  measure:
    steps:
      - name: read
        station: bench
        plan: "plans.py:read"
        on_interrupt: {on_interrupt}
        with: {{seconds: {seconds}, points: {points}}}
      - name: read_again
        station: bench
        plan: "plans.py:read"
        on_interrupt: {on_interrupt}
        redo_from: read
    analysis: {{name: "plans.py:analyse", with: {{infeasible_above: {infeasible_above}}}}}
"""

_CAMPAIGN = """
name: {name}
lab: lab.yaml
problem:
  parameters:
    x: {{kind: real, low: 0, high: 1, unit: "1"}}
    y: {{kind: real, low: 0, high: 1, unit: "1"}}
  objectives:
    z: {{kind: minimize, unit: "1"}}
procedure: measure
planner: random
budget: {{trials: {trials}}}
max_consecutive_faults: 5
seed: 3
"""


def one_parameter(trials: int, in_flight: int = 1, name: str = "demo") -> str:
    """Text of a campaign in `lab.yaml` beside it: procedure `measure`, parameter x, objective z, planner `random`."""
    return f"""\
name: {name}
lab: lab.yaml
problem:
  parameters: {{x: {{kind: real, low: 0, high: 1, unit: "1"}}}}
  objectives: {{z: {{kind: minimize, unit: "1"}}}}
procedure: measure
planner: random
budget: {{trials: {trials}}}
in_flight: {in_flight}
"""


def soft_lab(
    folder: Path,
    *,
    on_interrupt: str = "redo",
    seconds: float = 0.0,
    points: int = 1,
    trials: int = 10,
    infeasible_above: float = 2.0,
    name: str = "soft",
) -> Path:
    """Write a lab of one detector without an instrument, and a campaign in it; return the campaign file.

    A trial has two steps: `points` readings, each after `seconds`; then one reading.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plans.py").write_text(_PLANS)
    values = {
        "on_interrupt": on_interrupt,
        "seconds": seconds,
        "points": points,
        "infeasible_above": infeasible_above,
    }
    (folder / "lab.yaml").write_text(_LAB.format(**values))
    campaign = folder / "campaign.yaml"
    campaign.write_text(_CAMPAIGN.format(name=name, trials=trials))
    return campaign


def silver_lab(folder: Path, *, speed: float = 1000.0, trials: int = 3, faults: int = 3) -> Path:
    """Copy the silver-flow example with another speed and the random planner; return the campaign file.

    A fault that lasts fails the trial, and `faults` of them in a row pause the campaign.
    """
    shutil.copytree(_EXAMPLES / "silver-flow", folder)
    lab, campaign = folder / "lab.yaml", folder / "campaign.yaml"
    edit(lab, lambda data: data["simulation"].update(speed=speed))

    def fail(data: dict[str, Any]) -> None:
        data.pop("interlocks", None)
        for step in data["procedures"]["synthesis"]["steps"]:
            step["on_fault"] = "fail"

    edit(lab, fail)

    def change(data: dict[str, Any]) -> None:
        data.update(planner="random", budget={"trials": trials}, max_consecutive_faults=faults, seed=1)
        data.pop("stop", None)

    edit(campaign, change)
    return campaign


def edit(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the content of a YAML file; what it says stays, its comments go."""
    yaml = YAML(typ="safe", pure=True)
    data = yaml.load(file.read_text())
    change(data)
    with file.open("w") as out:
        yaml.dump(data, out)


class PlannerPlugin:
    """A planner of somebody else's, installed in a folder for PYTHONPATH: metadata and one module."""

    def __init__(self, folder: Path, name: str, body: str) -> None:
        """Args:
        folder: where to install it.
        name: the planner's registered name.
        body: the class body of the planner.
        """
        self.path = folder
        module = f"planner_{name}"
        info = folder / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[sdl.planners]\n{name} = {module}:Mine\n")
        head = "import os, signal, time\nfrom sdl.model import Exhausted, Proposal, Reason\n\n\nclass Mine:\n"
        (folder / f"{module}.py").write_text(head + textwrap.indent(textwrap.dedent(body).strip(), "    ") + "\n")
