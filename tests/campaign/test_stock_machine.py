"""Whatever happens, in whatever order: what is counted is never more than what is there, and no slot holds two."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.film import DAY, Lab, Session

from sdl.campaign.recovery import interrupted_entries
from sdl.campaign.samplekeeper import NoRoom, sample_id
from sdl.campaign.stockkeeper import Shortage
from sdl.journal import kinds
from sdl.journal.actions import ActionStatus
from sdl.journal.samples import SampleStatus
from sdl.journal.state import TrialState, fold_all

PLAN: dict[str, list[tuple[str, str]]] = {
    "coat": [("coater", "load"), ("coater", "dispense")],
    "carry": [("robot", "carry")],
    "anneal": [],
    "measure": [("stage", "position")],
}
STEPS = tuple(PLAN)
VOLUME = 0.2
TAKES = {"load": ("substrate", 1.0), "dispense": ("ink", VOLUME)}
"""What an action physically takes, in full."""

BAD_ENDS = [kinds.TRIAL_FAILED, kinds.TRIAL_INFEASIBLE]


@dataclass
class Truth:
    """What is there."""

    stock: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("ink", "substrate", "tip"), 0.0))
    samples: dict[int, tuple[str, int] | str] = field(default_factory=dict)
    """Trial → spot of its sample, `gripper`, or `away`."""
    done: dict[str, float] = field(default_factory=dict)
    """Action → part of it that has happened."""


class Film(RuleBasedStateMachine):
    """Trials of one campaign on a lab whose instruments do what they like, with people and kills in between."""

    @initialize()
    def begin(self) -> None:
        self.lab, self.truth, self.lots = Lab(), Truth(), 0
        self.session = Session(self.lab)
        for item in ("ink", "substrate", "tip"):
            self.receive(item, 4)

    @property
    def open(self) -> list[TrialState]:
        return [t for t in self.session.state.trials.values() if t.status.pending]

    def trial(self, choice: int) -> TrialState | None:
        return self.open[choice % len(self.open)] if self.open else None

    # ── people ──

    @rule(item=st.sampled_from(["ink", "substrate", "tip"]), amount=st.integers(1, 4))
    def receive(self, item: str, amount: int) -> None:
        """A lot comes in, sometimes more of a lot that is there."""
        self.lots += amount % 2
        self.truth.stock[item] += amount
        expires = "2027-01-01" if amount == 3 else ""
        self.lab.receive(item, float(amount), f"L{self.lots}{'x' if expires else ''}", expires)

    @rule(item=st.sampled_from(["ink", "substrate", "tip"]))
    def count(self, item: str) -> None:
        """Somebody looks at every lot of an item; nobody knows of which the instrument took."""
        lots = self.lab.inventory.of(item)
        rest = self.truth.stock[item]
        for index, lot in enumerate(lots):
            last = index == len(lots) - 1
            here = max(0.0, rest if last else min(rest, lot.left))
            rest -= here
            self.lab.count(item, here, lot.lot)

    @rule(choice=st.integers(0, 9))
    def take_away(self, choice: int) -> None:
        """A sample whose trial is over is taken out of the lab."""
        over = [s for s in self.lab.inventory.samples.values() if not s.pending and s.at.place]
        if over:
            sample = over[choice % len(over)].sample
            self.lab.locate(sample.id, "", 0)
            self.truth.samples[sample.trial] = "away"

    @rule(choice=st.integers(0, 9), quarantine=st.booleans())
    def resolve(self, choice: int, quarantine: bool) -> None:
        """A person settles a doubt, and says what is true."""
        doubts = self.session.state.doubts()
        if doubts:
            doubt = doubts[choice % len(doubts)]
            part = self.truth.done.get(doubt.id, 0.0)
            verdict = "quarantine" if quarantine or 0 < part < 1 else "done" if part == 1 else "not_done"
            self.session.action(kinds.ACTION_RESOLVED, doubt.id, verdict=verdict, by="person:hana", note="n")

    # ── the campaign ──

    @rule(cut=st.integers(0, 6))
    def propose(self, cut: int) -> None:
        """A trial with its stock, sometimes killed before its first step; or none, for want of stock."""
        number = len(self.session.state.trials) + 1
        found = self.session.keeper.stock.reserve(
            self.session.state, number, {"volume": 1000 * VOLUME}, self.lab.inventory, day=DAY
        )  # fmt: skip
        if isinstance(found, Shortage) or len(self.open) > 2:
            return
        body = {"parameters": {"volume": 1000 * VOLUME}, "reason": {}, "planner": {}, "seed": 0, "known_seq": 0}
        self.write([(kinds.TRIAL_PROPOSED, {"trial": number, **body}), *found], cut)

    def write(self, entries: list[Any], cut: int) -> None:
        """Record entries with what follows from them; a kill leaves out all after the first ones."""
        whole = self.session.keeper.complete(self.session.state, entries)
        self.session.write(*(whole if cut == 0 else whole[:cut]))
        if 0 < cut < len(whole):
            self.kill()

    @rule()
    def kill(self) -> None:
        """The process ends; the next one closes what is open, and adds what follows and is missing."""
        self.session.write(*interrupted_entries(self.session.state))
        self.session.write(*self.session.keeper.missing(self.session.state), (kinds.SESSION_OPENED, {"epoch": 1}))
        assert self.session.keeper.missing(self.session.state) == []

    @rule(choice=st.integers(0, 9), tip=st.booleans(), cut=st.integers(0, 3))
    def start(self, choice: int, tip: bool, cut: int) -> None:
        """The next step of a trial begins, where nothing stands in its way."""
        trial = self.trial(choice)
        if trial is None or trial.doubts() or any(a.status is ActionStatus.QUARANTINED for a in trial.actions.values()):
            return
        if trial.steps and trial.steps[-1].status == "started":
            return
        done = {s.name for s in trial.steps if s.status == "done"}
        step = next((name for name in STEPS if name not in done), None)
        if step is None or self.session.reserve(trial.number, 1000 * VOLUME, step) is not None:
            return
        if self.session.keeper.samples.objection(trial.number, self.lab.inventory, self.session.state.id):
            return
        into = self.session.keeper.samples.target(self.session.state, trial.number, step, self.lab.inventory)
        if isinstance(into, NoRoom):
            assert into.holders
            return
        attempt = 1 + sum(s.name == step for s in trial.steps)
        body = {"trial": trial.number, "step": step, "attempt": attempt, "station": "s", "plan": "", "arguments": {}}
        chosen = {"into": {"place": into[0], "slot": into[1]}} if into is not None else {}
        self.write([(kinds.STEP_STARTED, {**body, **chosen})], 0)
        if step == "measure" and tip:
            self.truth.stock["tip"] -= 1

    def under_way(self, trial: TrialState | None) -> Any:
        """The running step and its action under way."""
        if trial is None or not trial.steps or trial.steps[-1].status != "started":
            return None, None
        step = trial.steps[-1]
        open_ = [a for a in trial.actions.values() if a.step == step.name and a.status.under_way]
        return step, open_[0] if open_ and open_[0].attempt == step.attempt else None

    @rule(choice=st.integers(0, 9))
    def dispatch(self, choice: int) -> None:
        """The next action of a running step that has not happened is put on record."""
        trial = self.trial(choice)
        step, action = self.under_way(trial)
        if trial is None or step is None or action is not None or trial.doubts():
            return
        for device, path in PLAN[step.name]:
            known = trial.actions.get(f"{self.session.state.id}/{trial.number}/{step.name}/{path}")
            absolute = path == "position"
            if known is None or (not known.status.happened or (absolute and known.attempt != step.attempt)):
                effect = "absolute" if absolute else "non_repeatable"
                self.session.dispatch(trial.number, device, path, effect)
                return

    @rule(choice=st.integers(0, 9), part=st.sampled_from([0.5, 1.0]))
    def happen(self, choice: int, part: float) -> None:
        """The instrument does what it was told, or half of it."""
        trial = self.trial(choice)
        step, action = self.under_way(trial)
        if trial is None or action is None:
            return
        before = self.truth.done.get(action.id, 0.0)
        part = max(before, part) if action.path in TAKES or before else part
        if action.path in TAKES:
            item, whole = TAKES[action.path]
            # Of a substrate there is no half: one that fell off the arm is gone.
            used = (part - before) * whole if item == "ink" else float(before == 0)
            self.truth.stock[item] -= used
        self.truth.done[action.id] = part
        if action.path == "load":
            self.truth.samples[trial.number] = step_spot(trial, "coat")
        if action.path in ("carry", "position"):
            whole_way = part == 1.0
            self.truth.samples[trial.number] = step_spot(trial, step.name) if whole_way else "gripper"

    @rule(choice=st.integers(0, 9), said=st.sampled_from(["done", "done", "failed", "aborted", "doubtful"]))
    def hear(self, choice: int, said: str) -> None:
        """What becomes of an action is put on record, as far as it is known."""
        trial = self.trial(choice)
        _, action = self.under_way(trial)
        if trial is None or action is None:
            return
        part, path = self.truth.done.get(action.id, 0.0), action.path
        carried = action.carried.get("delivered", 0.0) / (1000 * VOLUME) if path == "dispense" else 0.0
        if said == "done" and part == 1.0:
            self.session.action(kinds.ACTION_DONE, action.id)
        elif said == "failed" and (part == carried or path == "position"):
            self.session.action(kinds.ACTION_FAILED, action.id, message="m")
            self.end(trial.number, "fault")
        elif said == "aborted" and path == "dispense":
            evidence = {"delivered": part * 1000 * VOLUME, "unit": "uL"}
            self.session.action(kinds.ACTION_ABORTED, action.id, message="m", evidence=evidence)
            self.end(trial.number, "fault")
        elif said == "doubtful" and path != "position":
            self.session.action(kinds.ACTION_DOUBTFUL, action.id, cause="fault", message="m")
            self.end(trial.number, "doubt")

    def end(self, number: int, cause: str, cut: int = 0) -> None:
        step = self.session.state.trials[number].steps[-1]
        where = {"trial": number, "step": step.name, "attempt": step.attempt}
        said = {"cause": cause, "message": "m", "device": ""}
        entry = (kinds.STEP_FAILED, {**where, **said}) if cause else (kinds.STEP_DONE, {**where, "runs": []})
        self.write([entry], cut)

    @rule(choice=st.integers(0, 9), cut=st.integers(0, 3))
    def step_ends(self, choice: int, cut: int) -> None:
        """A step whose actions have all happened is done; a kill may leave out what follows from it."""
        trial = self.trial(choice)
        step, action = self.under_way(trial)
        if trial is None or step is None or action is not None:
            return
        prefix = f"{self.session.state.id}/{trial.number}/{step.name}/"
        known = [trial.actions.get(prefix + path) for _, path in PLAN[step.name]]
        if all(a is not None and a.status.happened for a in known):
            self.end(trial.number, "", cut)

    @rule(choice=st.integers(0, 9), cut=st.integers(0, 4), kind=st.sampled_from(BAD_ENDS))
    def trial_ends(self, choice: int, cut: int, kind: str) -> None:
        """A trial ends: observed when all its steps are done, and for some other reason at any time between steps."""
        trial = self.trial(choice)
        if trial is None or (trial.steps and trial.steps[-1].status == "started"):
            return
        whole = {s.name for s in trial.steps if s.status == "done"} == set(STEPS)
        kind = kinds.TRIAL_OBSERVED if whole else kind
        self.write([(kind, {"trial": trial.number, "outcomes": {}, "message": "m"})], cut)

    @rule(choice=st.integers(0, 9), times=st.integers(2, 9))
    def advance(self, choice: int, times: int) -> None:
        """A trial goes on for a while as it should."""
        if not self.open:
            self.propose(0)
        for _ in range(times):
            trial = self.trial(choice)
            step, action = self.under_way(trial)
            if step is None:
                self.start(choice, True, 0)
            elif action is None:
                self.step_ends(choice, 0)
                self.dispatch(choice)
            else:
                self.happen(choice, 1.0)
                self.hear(choice, "done")

    @rule(
        choice=st.integers(0, 9),
        part=st.sampled_from([0.0, 0.5, 1.0]),
        said=st.sampled_from(["failed", "aborted", "doubtful", "kill"]),
    )
    def mishap(self, choice: int, part: float, said: str) -> None:
        """The next action of a trial comes to no good end, whether it happened or not."""
        self.start(choice, True, 0)
        self.dispatch(choice)
        if part:
            self.happen(choice, part)
        if said == "kill":
            self.kill()
        else:
            self.hear(choice, said)

    # ── what must hold ──

    @invariant()
    def never_optimistic(self) -> None:
        """No more of an item is on record than is there, and what is free is no more than what is left."""
        inventory = self.lab.inventory
        for item, there in self.truth.stock.items():
            left = sum(lot.left for lot in inventory.of(item))
            assert left <= there + 1e-6, f"{item}: {left} on record, {there} there"
            assert inventory.free(item, DAY) <= max(left, 0.0) + 1e-6

    @invariant()
    def a_slot_never_holds_two(self) -> None:
        """Neither on record nor in the lab are two samples in one slot."""
        for spot, holders in self.lab.inventory.taken.items():
            assert len({holder.trial for holder in holders}) == 1, (spot, holders)
        spots = [spot for spot in self.truth.samples.values() if isinstance(spot, tuple)]
        assert len(set(spots)) == len(spots)

    @invariant()
    def every_sample_is_somewhere(self) -> None:
        """A live sample is in a place or in transit, and where it truly is, its slot is taken."""
        inventory = self.lab.inventory
        for item in inventory.samples.values():
            if item.sample.status is SampleStatus.LIVE:
                assert item.at.place
        for number, there in self.truth.samples.items():
            found = inventory.samples.get(sample_id(self.session.state.id, number))
            if isinstance(there, tuple):
                assert any(holder.trial == number for holder in inventory.taken.get(there, ())), (number, there)
            elif there == "gripper":
                assert found is not None
                assert found.at.towards

    @invariant()
    def nothing_is_set_aside_for_what_has_ended(self) -> None:
        """What is set aside is for trials that go on."""
        state = self.session.state
        for number in state.reserved:
            trial = state.trials.get(number)
            if trial is not None and not trial.status.pending:
                assert self.session.keeper.stock.release(state, number) == []

    @invariant()
    def the_same_from_the_beginning(self) -> None:
        """The fold over all entries is the fold as it went."""
        again = fold_all(self.session.state.id, self.session.entries)
        assert (again.samples, again.reserved) == (self.session.state.samples, self.session.state.reserved)


def step_spot(trial: TrialState, name: str) -> tuple[str, int]:
    """The slot into which the last attempt of a step puts the sample."""
    into = [s.into for s in trial.steps if s.name == name][-1]
    assert into is not None
    return into


TestFilm = Film.TestCase
TestFilm.settings = settings(
    max_examples=80 if os.environ.get("SDL_CHAOS") == "full" else 35, stateful_step_count=70, deadline=None
)
