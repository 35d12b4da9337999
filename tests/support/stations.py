"""A lab of four stations without instruments, through which samples go; its campaigns run on virtual time."""

from __future__ import annotations

from pathlib import Path

from sdl.campaign import Campaign
from sdl.campaign.labbook import record
from sdl.journal import Store, kinds

__all__ = ["run_stations", "stations_lab"]

_PLANS = """
import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from sdl.model import Fault, Infeasible, Outcome


def work(device, seconds):
    @bpp.run_decorator()
    def inner():
        yield from bps.sleep(seconds)
        yield from bps.trigger_and_read([device])

    yield from inner()


def coat(coater):
    yield from work(coater, 60)


def carry(robot):
    yield from work(robot, 20)


def anneal(oven_a, minutes, temperature):
    yield from work(oven_a, 60 * minutes)


def measure(probe, minutes):
    yield from work(probe, 30)
    if minutes > {faulty_above}:
        raise Fault("probe", "the needle is bent")


def analyse(runs):
    p = runs[0].start["parameters"]
    if p["temperature"] > 300:
        raise Infeasible("the film is cracked")
    return {{"z": Outcome(value=p["temperature"] / 100, sem=0.01, unit="1")}}
"""

_LAB = """
name: stations
devices:
  coater: {driver: soft_detector}
  robot: {driver: soft_detector}
  oven_a: {driver: soft_detector}
  oven_b: {driver: soft_detector}
  probe: {driver: soft_detector}
stations:
  coating: {devices: [coater]}
  transport: {devices: [robot]}
  furnace_a: {devices: [oven_a]}
  furnace_b: {devices: [oven_b]}
  probing: {devices: [probe]}
places:
  chuck: {station: coating}
  bed_a: {station: furnace_a}
  bed_b: {station: furnace_b}
  tray: {slots: 50}
stock:
  substrate: {unit: "1"}
procedures:
  film:
    sample: {made_by: coat, place: chuck}
    steps:
      - {name: coat, station: coating, plan: "plans.py:coat", duration: 60 s, on_interrupt: redo, uses: {substrate: 1}}
      - name: carry
        station: transport
        plan: "plans.py:carry"
        into: [bed_a, bed_b]
        min_wait: 30 s
        max_wait: 4 min
        duration: 20 s
        on_interrupt: redo
      - name: anneal
        station: furnace_a
        plan: "plans.py:anneal"
        other_stations: {furnace_b: {oven_a: oven_b}}
        choose: any
        duration: {add: [minutes]}
        setup: {by: temperature, per_unit: 0.5 s}
        on_interrupt: redo
      - name: measure
        station: probing
        plan: "plans.py:measure"
        into: [tray]
        archives: true
        duration: 30 s
        on_interrupt: redo
        on_fault: ON_FAULT
    analysis: {name: "plans.py:analyse"}
"""

_CAMPAIGN = """
name: films
lab: lab.yaml
problem:
  parameters:
    minutes: {{kind: real, low: 5, high: 30, unit: min}}
    temperature: {{kind: real, low: 100, high: 400, unit: degC}}
  objectives:
    z: {{kind: maximize, unit: "1"}}
procedure: film
planner: random
budget: {{trials: {trials}}}
in_flight: {in_flight}
seed: 3
"""


def stations_lab(
    folder: Path, *, trials: int = 8, in_flight: int = 3, faulty_above: float = 1000.0, on_fault: str = "pause"
) -> Path:
    """Write the lab and a campaign in it; return the campaign file.

    A trial coats, is carried to a furnace within four minutes, annealed, and measured into the tray. Those annealed
    above 300 degC are infeasible; measuring those annealed for longer than `faulty_above` minutes fails, and
    the campaign pauses, or with `on_fault="fail"` goes on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plans.py").write_text(_PLANS.format(faulty_above=faulty_above))
    (folder / "lab.yaml").write_text(_LAB.replace("ON_FAULT", on_fault))
    campaign = folder / "campaign.yaml"
    campaign.write_text(_CAMPAIGN.format(trials=trials, in_flight=in_flight))
    with Store.open(folder / "sdl.db") as store:
        lot = {"item": "substrate", "lot": "S-1", "amount": 100, "unit": "1", "expires": "", "by": "person:hana"}
        record(store, "stations", kinds.STOCK_RECEIVED, {**lot, "note": ""})
    return campaign


def run_stations(campaign: Path) -> Campaign:
    """Run it on virtual time, in `sdl.db` beside the file, and return it."""
    return Campaign.from_yaml(campaign, store=campaign.parent / "sdl.db").run(virtual=True)
