"""How a trial goes on after its process ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from sdl.campaign.recovery import interrupted_entries, next_move
from sdl.journal import kinds
from sdl.journal.state import CampaignState, RunState, StepState, TrialState
from sdl.lab.procedure import BoundStep, Procedure
from sdl.lab.spec import AnalysisSpec, SampleSpec, StepSpec
from sdl.model import TrialStatus


def procedure(**second: Any) -> Procedure:
    """Three steps a, b, c; `second` are fields of b."""
    fields: Mapping[str, Mapping[str, Any]] = {"a": {}, "b": {"on_fault": "fail", **second}, "c": {}}
    specs = [StepSpec(name=n, station="s", plan="p.py:f", **f) for n, f in fields.items()]
    steps = tuple(BoundStep(spec, lambda: iter(()), (), (), (), None) for spec in specs)
    return Procedure("p", steps, AnalysisSpec(name="x"), lambda runs: {}, {})


def trial(*steps: tuple[str, str, str]) -> TrialState:
    """A running trial whose steps are (name, status, cause)."""
    done, attempts = [], dict.fromkeys("abc", 0)
    for name, status, cause in steps:
        attempts[name] += 1
        done.append(StepState(name, "s", attempts[name], status, 0, cause=cause, message=f"{name}!"))  # type: ignore[arg-type]
    return TrialState(1, {}, TrialStatus.RUNNING, {}, {}, 0, 0, steps=tuple(done))


A_DONE = ("a", "done", "")
B_CUT = ("b", "interrupted", "interrupted")
B_FAULT = ("b", "failed", "fault")


@pytest.mark.parametrize(
    ("policy", "answer", "what", "index"),
    [
        ("redo", None, "step", 1), ("resume", None, "step", 2), ("discard", None, "fail", 0), ("ask", None, "ask", 1),
        ("ask", "redo", "step", 1), ("ask", "resume", "step", 2), ("ask", "discard", "fail", 0),
        ("ask", "ask", "ask", 1),
        ("redo", "discard", "step", 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("cause", ["interrupted", "aborted"])
def test_a_step_that_was_cut_off(policy: str, answer: Any, what: str, index: int, cause: str) -> None:
    """The step's policy decides, and a person's answer only where it asks."""
    move = next_move(trial(A_DONE, ("b", "interrupted", cause)), procedure(on_interrupt=policy), answer)
    assert (move.what, move.index) == (what, index)


@pytest.mark.parametrize(
    ("steps", "what", "index"),
    [
        ((), "step", 0),
        ((A_DONE,), "step", 1),
        ((A_DONE, ("b", "done", "")), "step", 2),
        ((A_DONE, ("b", "done", ""), ("c", "done", "")), "analyse", 0),
        ((A_DONE, ("b", "failed", "infeasible")), "infeasible", 0),
        ((A_DONE, B_FAULT), "fail", 0),
    ],
)
def test_between_steps(steps: Any, what: str, index: int) -> None:
    """Between steps the trial goes on with the next one; what was decided before the crash is still decided."""
    move = next_move(trial(*steps), procedure(), None)
    assert (move.what, move.index) == (what, index)


def test_redo_from_an_earlier_step() -> None:
    """A step that needs an earlier one begins there, whether it is done again or begins in another session."""
    recipe = procedure(on_interrupt="redo", redo_from="a", retries=1)
    for steps in ((A_DONE, B_CUT), (A_DONE,), (A_DONE, B_FAULT)):
        move = next_move(trial(*steps), recipe, None)
        assert (move.what, move.index) == ("step", 0)


def test_retries_are_used_up() -> None:
    """Two retries are three attempts; interruptions are no faults."""
    recipe = procedure(retries=2)
    assert next_move(trial(A_DONE, B_FAULT, B_FAULT), recipe, None).what == "step"
    assert next_move(trial(A_DONE, B_FAULT, B_CUT, B_FAULT), recipe, None).what == "step"
    move = next_move(trial(A_DONE, B_FAULT, B_FAULT, B_FAULT), recipe, None)
    assert (move.what, move.message) == ("fail", "b!")


@pytest.mark.parametrize(("answer", "what"), [(None, "ask"), ("redo", "ask"), ("discard", "fail")])
def test_a_step_that_the_procedure_lost(answer: Any, what: str) -> None:
    """A step that was renamed in the lab file meanwhile is a question for a person."""
    lost = TrialState(1, {}, TrialStatus.RUNNING, {}, {}, 0, 0, steps=(StepState("old", "s", 1, "done", 0),))
    move = next_move(lost, procedure(), answer)
    assert move.what == what
    assert "'old'" in move.message


def test_what_a_dead_process_left_open_is_closed() -> None:
    """Open runs get a stop document, then open steps are failed as interrupted; ended ones are left alone."""
    open_step = trial(A_DONE, ("b", "started", ""))
    state = CampaignState(id="c", trials={1: open_step}, open_runs={"u": RunState("u", 1, "b", 1, 0)})
    (run, run_body), (step, step_body) = interrupted_entries(state)
    assert (run, step) == (kinds.RUN_INTERRUPTED, kinds.STEP_FAILED)
    assert run_body["doc"]["run_start"] == "u"
    assert run_body["doc"]["exit_status"] == "abort"
    assert (step_body["step"], step_body["attempt"], step_body["cause"]) == ("b", 1, "interrupted")
    assert list(interrupted_entries(CampaignState(id="c", trials={1: trial(A_DONE)}))) == []


@pytest.mark.parametrize("sample", [True, False])
def test_a_step_that_chose_its_station_is_tried_again_there(sample: bool) -> None:
    """A retry goes to the station where the step was begun; to another only when no sample lies at the first."""
    recipe = procedure(choose="any", other_stations={"t": {}, "u": {}}, retries=1)
    if sample:
        recipe = replace(recipe, sample=SampleSpec(made_by="a", place="p"))
    begun = trial(A_DONE, B_FAULT)
    begun = replace(begun, steps=(begun.steps[0], replace(begun.steps[1], station="t")))
    assert next_move(begun, recipe, None).station == "t"
    twice = replace(begun, steps=(*begun.steps, replace(begun.steps[1], attempt=2)))
    move = next_move(twice, recipe, None)
    assert (move.what, move.station) == (("fail", None) if sample else ("step", "s"))
