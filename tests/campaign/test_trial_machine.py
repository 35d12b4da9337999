"""The state machine of a trial: whatever happens to its steps, in whatever order, it comes to one end."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sdl.campaign.recovery import NextMove, interrupted_entries, next_move
from sdl.journal import Entry, kinds
from sdl.journal.state import CampaignState, fold, fold_all
from sdl.lab.procedure import BoundStep, Procedure
from sdl.lab.spec import AnalysisSpec, StepSpec

END = {"observed": kinds.TRIAL_OBSERVED, "infeasible": kinds.TRIAL_INFEASIBLE, "failed": kinds.TRIAL_FAILED}


class Trial(RuleBasedStateMachine):
    """Moves come from `next_move`; what becomes of a step is drawn, and so are crashes and answers of people."""

    @initialize(
        retries=st.integers(0, 2),
        on_fault=st.sampled_from(["fail", "pause"]),
        on_interrupt=st.sampled_from(["redo", "resume", "discard", "ask"]),
        other=st.booleans(),
        back=st.booleans(),
    )
    def begin(self, retries: int, on_fault: str, on_interrupt: str, other: bool, back: bool) -> None:
        options: dict[str, Any] = {"retries": retries, "on_fault": on_fault, "on_interrupt": on_interrupt}
        if other:
            options["other_stations"] = {"right": {}}
        specs = [StepSpec(name=name, station="left", plan="p.py:f", **options) for name in "ab"]
        specs.append(StepSpec(name="c", station="left", plan="p.py:f", redo_from="b" if back else None, **options))
        steps = tuple(BoundStep(spec, lambda: iter(()), (), (), (), None) for spec in specs)
        self.procedure = Procedure("p", steps, AnalysisSpec(name="x"), lambda runs: {}, {})
        self.options = options
        self.entries: list[Entry] = []
        self.state = CampaignState(id="c")
        self.answer: Any = None
        self.asked = False
        self.write(kinds.SESSION_OPENED, {"epoch": 1})
        proposal = {"trial": 1, "parameters": {}, "reason": {}, "planner": {}, "seed": 0, "known_seq": 0}
        self.write(kinds.TRIAL_PROPOSED, proposal)
        self.write(kinds.TRIAL_APPROVED, {"trial": 1, "by": "policy:auto"})

    def write(self, kind: str, body: dict[str, Any]) -> None:
        entry = Entry("c", len(self.entries) + 1, 10 * (len(self.entries) + 1), kind, body, "", "")
        self.entries.append(entry)
        self.state = fold(self.state, entry)

    @property
    def pending(self) -> bool:
        return self.state.trials[1].status.pending

    @property
    def started(self) -> bool:
        steps = self.state.trials[1].steps
        return bool(steps) and steps[-1].status == "started"

    def move(self) -> NextMove:
        return next_move(self.state.trials[1], self.procedure, self.answer, since=self.state.opened_at)

    @precondition(lambda self: self.pending and not self.started)
    @rule()
    def go_on(self) -> None:
        """The runner does what the journal says comes next."""
        move = self.move()
        self.answer = None
        self.asked = move.what in ("ask", "pause")
        if move.what == "step":
            step = self.procedure.steps[move.index].on(move.station)
            attempt = 1 + sum(s.name == step.name for s in self.state.trials[1].steps)
            where = {"trial": 1, "step": step.name, "attempt": attempt, "station": step.spec.station}
            self.write(kinds.STEP_STARTED, {**where, "plan": "", "arguments": {}})
        elif move.what == "analyse":
            done = [s.name for s in self.state.trials[1].steps if s.status != "failed"]
            assert set(done) >= set("abc") or self.options["on_interrupt"] in ("resume", "ask")
            self.write(kinds.TRIAL_OBSERVED, {"trial": 1, "outcomes": {}, "analysis": {}, "runs": []})
        elif move.what in ("fail", "infeasible"):
            kind = kinds.TRIAL_FAILED if move.what == "fail" else kinds.TRIAL_INFEASIBLE
            self.write(kind, {"trial": 1, "message": move.message})

    @precondition(lambda self: self.pending and self.started)
    @rule(cause=st.sampled_from(["", "", "fault", "infeasible", "aborted", "doubt", "interlock", "refused"]))
    def step_ends(self, cause: str) -> None:
        """The step comes to its end, one way or another."""
        step = self.state.trials[1].steps[-1]
        where = {"trial": 1, "step": step.name, "attempt": step.attempt}
        if cause:
            self.write(kinds.STEP_FAILED, {**where, "cause": cause, "message": "m", "device": ""})
        else:
            self.write(kinds.STEP_DONE, {**where, "runs": []})

    @rule(answer=st.sampled_from([None, "redo", "resume", "discard"]))
    def crash(self, answer: Any) -> None:
        """The process ends; the next session closes what is open, perhaps with a person's answer."""
        for kind, body in interrupted_entries(self.state):
            self.write(kind, body)
        self.write(kinds.SESSION_OPENED, {"epoch": 1})
        self.answer = answer

    @invariant()
    def one_end(self) -> None:
        """A trial ends at most once, and nothing of it follows its end."""
        ends = [i for i, e in enumerate(self.entries) if e.kind in END.values()]
        assert len(ends) <= 1
        if ends:
            assert all("trial" not in e.body for e in self.entries[ends[0] + 1 :])

    @invariant()
    def one_step_at_a_time(self) -> None:
        """At most the last attempt is open, and attempts of a step are numbered without gaps."""
        steps = self.state.trials[1].steps if 1 in self.state.trials else ()
        assert all(step.status != "started" for step in steps[:-1])
        for name in "abc":
            attempts = [step.attempt for step in steps if step.name == name]
            assert attempts == list(range(1, len(attempts) + 1))

    @invariant()
    def only_as_often_as_allowed(self) -> None:
        """A trial that fails on faults has used every try on every station, and no more."""
        if not self.entries or self.options["on_fault"] == "pause":
            return
        allowed = (1 + self.options["retries"]) * (2 if "other_stations" in self.options else 1)
        for name in "abc":
            steps = self.state.trials[1].steps
            assert sum(s.name == name and s.cause == "fault" for s in steps) <= allowed

    @invariant()
    def the_same_from_the_beginning(self) -> None:
        """The fold over all entries is the fold as it went."""
        if self.entries:
            assert fold_all("c", self.entries) == self.state


TestTrial = Trial.TestCase
TestTrial.settings = settings(
    max_examples=150 if os.environ.get("SDL_CHAOS") == "full" else 60, stateful_step_count=40, deadline=None
)
