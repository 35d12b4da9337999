"""A small lab of soft detectors, written to a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

LAB = """\
name: soft
inputs:
  table: {path: table.csv}
devices:
  detector: {driver: soft_detector, options: {value: 1.0, step: 1.0}}
  other: {driver: soft_detector}
stations:
  bench: {devices: [detector]}
  oven: {devices: [other]}
procedures:
  measure:
    steps:
      - {name: read, station: bench, plan: "plans.py:read", on_interrupt: redo}
      - {name: bake, station: oven, plan: "plans.py:bake", with: {hours: 2}}
    analysis: {name: "plans.py:analyse"}
"""

PLANS = """\
import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from sdl.model import Outcome


def read(detector, x, wait=0.0):
    @bpp.run_decorator()
    def inner():
        yield from bps.sleep(wait)
        yield from bps.trigger_and_read([detector])
    yield from inner()


def bake(other, hours, **rest):
    @bpp.run_decorator()
    def inner():
        yield from bps.trigger_and_read([other])
    yield from inner()


def analyse(runs, scale=1.0):
    x = runs[0].start["parameters"]["x"]
    return {"z": Outcome(value=scale * (x - 0.3) ** 2, sem=0.1, unit="1")}
"""

Write = Callable[..., Path]


@pytest.fixture
def write_lab(tmp_path: Path) -> Write:
    """Writes the lab, with parts of its texts replaced; returns the path of the lab file."""

    def write(*changes: tuple[str, str], plans: str = PLANS) -> Path:
        text = LAB
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (tmp_path / "plans.py").write_text(plans)
        (tmp_path / "table.csv").write_text("x,z\n1,2\n")
        path = tmp_path / "lab.yaml"
        path.write_text(text)
        return path

    return write
