"""A small lab with places and stock, and campaigns in it written entry by entry as a session writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from sdl.campaign._labfacts import lab_facts
from sdl.campaign.inventory import Inventory, take_stock
from sdl.campaign.keeper import Keeper
from sdl.campaign.samplekeeper import NoRoom, SampleKeeper
from sdl.campaign.stockkeeper import Shortage, StockKeeper
from sdl.journal import Entry, Store, kinds
from sdl.journal.state import CampaignState, fold
from sdl.lab.spec import LabSpec
from sdl.model import CampaignSpec

__all__ = ["DAY", "LAB", "UNITS", "Lab", "Session", "film_spec", "into_store", "write_film"]

LAB = """\
name: film
devices:
  coater: {driver: soft_detector}
  robot: {driver: soft_detector}
  oven_a: {driver: soft_detector}
  oven_b: {driver: soft_detector}
  stage: {driver: soft_detector}
stations:
  coating: {devices: [coater]}
  transport: {devices: [robot]}
  furnace_a: {devices: [oven_a]}
  furnace_b: {devices: [oven_b]}
  probing: {devices: [stage]}
places:
  chuck: {station: coating}
  bed_a: {station: furnace_a}
  bed_b: {station: furnace_b}
  tray: {slots: 3}
stock:
  substrate: {unit: "1", warn_below: 2}
  ink: {unit: mL, warn_below: 0.5 mL}
  tip: {unit: "1"}
procedures:
  film:
    sample: {made_by: coat, place: chuck}
    steps:
      - name: coat
        station: coating
        plan: "plans.py:coat"
        uses:
          substrate: {amount: 1, device: coater, path: load}
          ink: {amount: volume, device: coater, path: dispense}
      - {name: carry, station: transport, plan: "plans.py:carry", into: [bed_a, bed_b]}
      - {name: anneal, station: furnace_a, plan: "plans.py:anneal", other_stations: {furnace_b: {oven_a: oven_b}}}
      - {name: measure, station: probing, plan: "plans.py:measure", into: [tray], archives: true, uses: {tip: 1}}
    analysis: {name: "plans.py:analyse"}
"""

PLANS = """\
import bluesky.plan_stubs as bps


def coat(coater, volume):
    yield from bps.null()


def carry(robot):
    yield from bps.null()


def anneal(oven_a, minutes=5):
    yield from bps.null()


def measure(stage):
    yield from bps.null()


def analyse(runs):
    return {}
"""

UNITS = {"volume": "uL"}
DAY = date(2026, 11, 22)
_STATIONS = {"coat": "coating", "carry": "transport", "anneal": "furnace_a", "measure": "probing"}


def film_spec(text: str = LAB) -> LabSpec:
    """The lab file as a record."""
    return LabSpec.model_validate(YAML(typ="safe", pure=True).load(text))


def write_film(folder: Path, text: str = LAB) -> Path:
    """The lab file with its plans in a folder; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plans.py").write_text(PLANS)
    path = folder / "lab.yaml"
    path.write_text(text)
    return path


class Lab:
    """The lab's chain, the clock that its campaigns share, and the campaigns."""

    def __init__(self, spec: LabSpec | None = None) -> None:
        self.spec = spec or film_spec()
        self.entries: list[Entry] = []
        self.sessions: list[Session] = []
        self.now = 0

    def tick(self) -> int:
        self.now += 10
        return self.now

    def say(self, kind: str, **body: Any) -> None:
        """An entry of the lab's own chain."""
        self.entries.append(Entry("lab-film", len(self.entries) + 1, self.tick(), kind, body, "", ""))

    def receive(self, item: str, amount: float, lot: str = "A", expires: str = "") -> None:
        unit = self.spec.stock[item].unit
        self.say(kinds.STOCK_RECEIVED, item=item, lot=lot, amount=amount, unit=unit, expires=expires, by="", note="")

    def count(self, item: str, amount: float, lot: str = "A") -> None:
        unit = self.spec.stock[item].unit
        self.say(kinds.STOCK_COUNTED, item=item, lot=lot, amount=amount, unit=unit, by="", note="")

    def locate(self, sample: str, place: str, slot: int = 1) -> None:
        self.say(kinds.SAMPLE_LOCATED, sample=sample, place=place, slot=slot, by="person:hana", note="seen")

    @property
    def inventory(self) -> Inventory:
        return take_stock([s.state for s in self.sessions], lab_facts(self.entries), self.spec.stock)


class Session:
    """A campaign that the keeper looks after."""

    def __init__(self, lab: Lab, campaign: str = "20261122t010203-4f9a1c") -> None:
        self.lab = lab
        self.keeper = Keeper(StockKeeper(lab.spec, "film", UNITS), SampleKeeper(lab.spec, "film"))
        self.state = CampaignState(id=campaign)
        self.entries: list[Entry] = []
        lab.sessions.append(self)
        self.write((kinds.SESSION_OPENED, {"epoch": 1}))

    def write(self, *items: tuple[str, Mapping[str, Any]]) -> None:
        """Record entries as they are."""
        for kind, body in items:
            entry = Entry(self.state.id, len(self.entries) + 1, self.lab.tick(), kind, dict(body), "", "")
            self.entries.append(entry)
            self.state = fold(self.state, entry)

    def record(self, *items: tuple[str, Mapping[str, Any]]) -> None:
        """Record entries with all that follows from them."""
        self.write(*self.keeper.complete(self.state, items))

    def reserve(self, number: int, volume: float = 200.0, step: str = "") -> Shortage | None:
        found = self.keeper.stock.reserve(
            self.state, number, {"volume": volume}, self.lab.inventory, step=step, day=DAY
        )  # fmt: skip
        if isinstance(found, Shortage):
            return found
        self.write(*found)
        return None

    def propose(self, number: int = 1, volume: float = 200.0) -> Shortage | None:
        """A trial with its stock; `volume` in uL."""
        proposal = {"parameters": {"volume": volume}, "reason": {}, "planner": {}, "seed": 0, "known_seq": 0}
        self.write((kinds.TRIAL_PROPOSED, {"trial": number, **proposal}))
        self.write((kinds.TRIAL_APPROVED, {"trial": number, "by": "policy"}))
        return self.reserve(number, volume)

    def start(self, number: int, step: str, station: str = "") -> NoRoom | None:
        """The start of a step, with the slot that is chosen for it."""
        into = self.keeper.samples.target(self.state, number, step, self.lab.inventory)
        if isinstance(into, NoRoom):
            return into
        attempt = 1 + sum(s.name == step for s in self.state.trials[number].steps)
        where = {"trial": number, "step": step, "attempt": attempt, "station": station or _STATIONS[step]}
        chosen = {"into": {"place": into[0], "slot": into[1]}} if into is not None else {}
        self.record((kinds.STEP_STARTED, {**where, "plan": "", "arguments": {}, **chosen}))
        return None

    def dispatch(self, number: int, device: str, path: str, effect: str = "non_repeatable", verb: str = "set") -> str:
        """An action of the step under way; returns its id, which is the same whenever the step is done again."""
        step = self.state.trials[number].steps[-1]
        id_ = f"{self.state.id}/{number}/{step.name}/{path or verb}"
        old = self.state.trials[number].actions.get(id_)
        where = {"trial": number, "step": step.name, "attempt": step.attempt, "station": step.station}
        what = {"device": device, "path": path, "verb": verb, "arguments": {"args": [200.0], "kwargs": {}}}
        more = {"action": id_, "try": 1 + (old.tries if old else 0), "effect": effect, "arms": False, "epoch": 1}
        self.write((kinds.ACTION_DISPATCHED, {**where, **what, **more, "continues": True}))
        return id_

    def action(self, kind: str, id_: str, **body: Any) -> None:
        number = int(id_.split("/")[1])
        self.record((kind, {"trial": number, "action": id_, "evidence": {}, **body}))

    def act(self, number: int, device: str, path: str, **how: Any) -> str:
        """An action that is done."""
        id_ = self.dispatch(number, device, path, **how)
        self.action(kinds.ACTION_DONE, id_)
        return id_

    def end(self, number: int, cause: str = "") -> None:
        """The end of the step under way."""
        step = self.state.trials[number].steps[-1]
        where = {"trial": number, "step": step.name, "attempt": step.attempt}
        if cause:
            self.record((kinds.STEP_FAILED, {**where, "cause": cause, "message": "m", "device": ""}))
        else:
            self.record((kinds.STEP_DONE, {**where, "runs": []}))

    def finish(self, number: int, kind: str = kinds.TRIAL_OBSERVED) -> None:
        """The end of a trial."""
        extra = {"outcomes": {}} if kind == kinds.TRIAL_OBSERVED else {}
        self.record((kind, {"trial": number, "message": "it broke", "lab_seconds": 1.0, **extra}))

    def through(self, number: int, *steps: str) -> None:
        """Steps that go as they should."""
        actions = {
            "coat": [("coater", "load"), ("coater", "dispense")],
            "carry": [("robot", "carry")],
            "anneal": [],
            "measure": [("stage", "position")],
        }
        for step in steps:
            assert self.start(number, step) is None
            for device, path in actions[step]:
                self.act(number, device, path)
            self.end(number)


def into_store(store: Store, session: Session, *, name: str = "films", text: str = LAB) -> None:
    """Write a session's campaign and the lab's chain into a store."""
    spec = CampaignSpec.model_validate(
        {
            "name": name, "lab": "lab.yaml", "procedure": "film", "budget": {"trials": 9}, "planner": "random",
            "problem": {
                "parameters": {"volume": {"kind": "real", "low": 50, "high": 300, "unit": "uL"}},
                "objectives": {"conductivity": {"kind": "maximize", "unit": "S/m"}},
            },
        }
    )  # fmt: skip
    lab = {"name": "film", "file": "lab.yaml", "sha256": "cd" * 32, "text": text}
    created = {"spec": spec.model_dump(mode="json"), "lab": lab, "inputs": {}, "procedure": {"name": "film"}}
    _append(store, session.state.id, name, [(kinds.CAMPAIGN_CREATED, created), *_bodies(session.entries)])
    _append(store, "lab-film", "film", _bodies(session.lab.entries))


def _bodies(entries: Sequence[Entry]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(entry.kind, entry.body) for entry in entries]


def _append(store: Store, chain: str, name: str, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    store.create(chain, name)
    with store.writer(chain) as writer:
        for kind, body in entries:
            writer.append(kind, body, durable=False)
