"""A lab of four stations without instruments: mix, bake in either of two ovens, look. For schedules and rehearsals."""

from __future__ import annotations

from pathlib import Path

__all__ = ["bakery"]

_PLANS = """
import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from sdl.model import Outcome


def _work(device, seconds):
    @bpp.run_decorator()
    def inner():
        yield from bps.sleep(seconds)
        yield from bps.trigger_and_read([device])

    yield from inner()


def mix(mixer, x, seconds):
    yield from _work(mixer, seconds)


def bake(oven_a, seconds, source="", target=""):
    yield from _work(oven_a, seconds)


def look(eye, seconds):
    yield from _work(eye, seconds)


def analyse(runs):
    return {"z": Outcome(value=runs[0].start["parameters"]["x"], sem=0.01, unit="MS/m")}
"""

_LAB = """
name: bakery
devices:
  mixer: {{driver: soft_detector}}
  oven_a: {{driver: soft_detector}}
  oven_b: {{driver: soft_detector}}
  eye: {{driver: soft_detector}}
stations:
  mixing: {{devices: [mixer], cost: 100}}
  first_oven: {{devices: [oven_a], cost: 50}}
  second_oven: {{devices: [oven_b], cost: 50}}
  looking: {{devices: [eye]}}
currency: EUR
stock:
  flour: {{unit: g, cost: 2}}
procedures:
  bread:
    steps:
      - name: mix
        station: mixing
        plan: "plans.py:mix"
        with: {{seconds: {mix}}}
        duration: "{mix} s"
        on_interrupt: redo
        uses: {{flour: {flour}}}
      - name: bake
        station: first_oven
        plan: "plans.py:bake"
        with: {{seconds: {bake}}}
        duration: "{declared} s"
        on_interrupt: redo
        other_stations: {{second_oven: {{oven_a: oven_b}}}}
        choose: any
      - name: look
        station: looking
        plan: "plans.py:look"
        with: {{seconds: {look}}}
        duration: "{look} s"
        on_interrupt: redo
    analysis: {{name: "plans.py:analyse"}}
"""

_CAMPAIGN = """
name: {name}
lab: lab.yaml
problem:
  parameters:
    x: {{kind: real, low: 0, high: 10, unit: g}}
  objectives:
    z: {{kind: maximize, unit: MS/m}}
procedure: bread
planner: random
budget: {{trials: {trials}}}
in_flight: {in_flight}
seed: 3
"""


def bakery(
    folder: Path,
    *,
    mix: float = 60.0,
    bake: float = 600.0,
    look: float = 30.0,
    declared: float | None = None,
    flour: str = "2 g",
    trials: int = 10,
    in_flight: int = 3,
    name: str = "bread",
) -> Path:
    """Write the lab and a campaign in it; return the campaign file.

    Args:
        folder: where to.
        mix: lab seconds of that step; as `bake` and `look`.
        bake: the same.
        look: the same.
        declared: what the lab file says of `bake`; the truth by default.
        flour: what a trial takes of the stock; `x` for its parameter.
        trials: budget.
        in_flight: trials at a time.
        name: of the campaign.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plans.py").write_text(_PLANS)
    seconds = {"mix": mix, "bake": bake, "look": look, "declared": bake if declared is None else declared}
    (folder / "lab.yaml").write_text(_LAB.format(flour=flour, **seconds))
    campaign = folder / "campaign.yaml"
    campaign.write_text(_CAMPAIGN.format(name=name, trials=trials, in_flight=in_flight))
    return campaign
