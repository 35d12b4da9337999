"""The fold: pure, total on legal histories, and the same however it is cut."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sdl.journal import Entry, kinds
from sdl.journal.state import CampaignState, fold, fold_all
from sdl.model import TrialStatus

ENDS = (kinds.TRIAL_OBSERVED, kinds.TRIAL_INFEASIBLE, kinds.TRIAL_FAILED)


@st.composite
def histories(draw: Any) -> list[Entry]:
    """A legal history: sessions, trials that end each in some way, unknown kinds in between."""
    items: list[tuple[str, dict[str, Any]]] = [(kinds.SESSION_OPENED, {"epoch": 1})]
    for trial in range(1, draw(st.integers(0, 5)) + 1):
        where = {"trial": trial, "step": "a", "attempt": 1}
        items.append(
            (
                kinds.TRIAL_PROPOSED,
                {"trial": trial, "parameters": {"x": trial}, "planner": {}, "reason": {}, "seed": 1},
            )
        )
        if draw(st.booleans()):
            items.append((kinds.TRIAL_REJECTED, {"trial": trial, "by": "me", "message": "no"}))
            continue
        items.append((kinds.TRIAL_APPROVED, {"trial": trial, "by": "me"}))
        items.append((kinds.STEP_STARTED, {**where, "station": "s"}))
        items.append((kinds.DOCUMENT, {**where, "name": "start", "doc": {"uid": f"u{trial}"}}))
        if draw(st.booleans()):
            items.append(("later.kind", {"trial": 99, "whatever": None}))
        items.append((kinds.DOCUMENT, {**where, "name": "stop", "doc": {"run_start": f"u{trial}"}}))
        items.append((kinds.STEP_DONE, {**where, "runs": [f"u{trial}"]}))
        end = draw(st.sampled_from(ENDS))
        extra = {"outcomes": {"z": {"value": 1.0, "sem": None, "unit": "1"}}} if end == kinds.TRIAL_OBSERVED else {}
        items.append((end, {"trial": trial, "lab_seconds": float(trial), "message": "m", **extra}))
        if end == kinds.TRIAL_OBSERVED and draw(st.booleans()):
            right = {"z": {"value": 2.0, "sem": 0.5, "unit": "1"}, "y": {"value": 3.0, "sem": None, "unit": "nm"}}
            items.append((kinds.TRIAL_CORRECTED, {"trial": trial, "outcomes": right, "by": "person:me", "why": "w"}))
        if draw(st.booleans()):
            items.append((kinds.TRIAL_ANNOTATED, {"trial": trial, "by": "person:me", "text": "t"}))
    items += draw(st.sampled_from([[], [(kinds.CAMPAIGN_PAUSED, {"message": "m"})], [(kinds.CAMPAIGN_ENDED, {})]]))
    if draw(st.booleans()):
        items.append((kinds.SESSION_CLOSED, {"lab_seconds": 9.0}))
    if draw(st.booleans()):
        items.append((kinds.CAMPAIGN_WITHDRAWN, {"by": "person:me", "why": "w"}))
    return [Entry("c", n, n * 10, kind, body, "", "") for n, (kind, body) in enumerate(items, 1)]


@settings(max_examples=80, deadline=None)
@given(histories(), st.data())
def test_prefix_and_rest(history: list[Entry], data: st.DataObject) -> None:
    """Folding a prefix and then the rest is folding the whole, and leaves the state of the prefix as it was."""
    cut = data.draw(st.integers(0, len(history)))
    half = fold_all("c", history[:cut])
    before = repr(half)
    state = half
    for entry in history[cut:]:
        state = fold(state, entry)
    assert state == fold_all("c", history)
    assert repr(half) == before
    assert (state.seq, state.updated_at) == (len(history), 10 * len(history))
    assert state.open_runs == {}
    assert not state.count(TrialStatus.RUNNING, TrialStatus.PROPOSED, TrialStatus.APPROVED)


@settings(max_examples=40, deadline=None)
@given(histories())
def test_unknown_kinds_change_nothing(history: list[Entry]) -> None:
    """Kinds of a later release leave everything but the position as it was."""
    known = fold_all("c", [e for e in history if e.kind in kinds.KINDS])
    whole = fold_all("c", history)
    assert (known.trials, known.status, known.lab_seconds) == (whole.trials, whole.status, whole.lab_seconds)


def status(*items: tuple[str, dict[str, Any]]) -> str:
    return fold_all("c", [Entry("c", n, n, k, b, "", "") for n, (k, b) in enumerate(items, 1)]).status


def test_statuses() -> None:
    """A session that closes leaves what was said before it, and a running campaign as closed."""
    opened, closed = (kinds.SESSION_OPENED, {"epoch": 1}), (kinds.SESSION_CLOSED, {"lab_seconds": 1.0})
    assert CampaignState(id="c").status == "created"
    assert status(opened) == "running"
    assert status(opened, closed) == "closed"
    assert status(opened, (kinds.CAMPAIGN_ENDED, {}), closed) == "ended"
    assert status(opened, (kinds.CAMPAIGN_PAUSED, {}), closed) == "paused"
    assert status(opened, (kinds.CAMPAIGN_ABORTED, {}), closed, opened) == "running"


@settings(max_examples=40, deadline=None)
@given(histories())
def test_corrections_change_what_holds_only(history: list[Entry]) -> None:
    """Every correction is in the outcomes, the last one of each name; taken back, they are what was observed."""
    state = fold_all("c", history)
    for trial in state.trials.values():
        outcomes = dict(trial.outcomes)
        for change in reversed(trial.corrections):
            assert all(outcomes[name] == value for name, value in change.outcomes.items())
            outcomes = {n: o for n, o in outcomes.items() if n not in change.outcomes} | dict(change.before)
        bodies = [e.body for e in history if e.kind == kinds.TRIAL_OBSERVED and e.body["trial"] == trial.number]
        assert {n: o.model_dump() for n, o in outcomes.items()} == (bodies[0]["outcomes"] if bodies else {})
        said = [e for e in history if e.kind == kinds.TRIAL_ANNOTATED and e.body["trial"] == trial.number]
        assert [note.seq for note in trial.notes] == [entry.seq for entry in said]
    withdrawn = [e.seq for e in history if e.kind == kinds.CAMPAIGN_WITHDRAWN]
    assert (state.withdrawn.seq if state.withdrawn is not None else None) == (withdrawn[-1] if withdrawn else None)
