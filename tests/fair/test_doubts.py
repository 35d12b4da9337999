"""Actions in doubt in the report and in the JSON export."""

from __future__ import annotations

from typing import Any

from sdl.fair import campaign_document, render_report
from sdl.fair._doubts import episodes
from sdl.journal import kinds

HEADING = "Actions in doubt and how they were settled"


def _act(journal: Any, trial: int, position: str, attempt: int = 1, number: int = 1) -> str:
    action = f"{journal.id}/{trial}/mix/{position}"
    journal.add(
        kinds.ACTION_DISPATCHED,
        trial=trial, action=action, step="mix", attempt=attempt, station="flow", device="pump_a", path="dispense",
        verb="set", arguments={"args": [40.0], "kwargs": {}}, effect="non_repeatable", arms=True, continues=True,
        epoch=1, **{"try": number},
    )  # fmt: skip
    journal.add(kinds.ACTION_ARMED, trial=trial, action=action, evidence={"counter": 7.5})
    return action


def _doubt(journal: Any, trial: int, action: str, message: str, cause: str = "fault") -> None:
    journal.add(kinds.ACTION_DOUBTFUL, trial=trial, action=action, cause=cause, message=message, evidence={})


def _settle(journal: Any, trial: int, action: str, verdict: str, by: str, note: str) -> None:
    said = {"verdict": verdict, "by": by, "note": note, "evidence": {}}
    journal.add(kinds.ACTION_RESOLVED, trial=trial, action=action, **said)


def _campaign(new_journal: Any) -> Any:
    """Trial 1: settled as not done and done again. Trial 2: quarantined. Trial 3: still in doubt. Trial 4: no doubt."""
    journal = new_journal().create()
    for trial in (1, 2, 3, 4):
        journal.propose(trial, {"flow": 10.0}).start(trial, "mix", "flow")
    first = _act(journal, 1, "1")
    _doubt(journal, 1, first, "pump_a: no answer")
    _doubt(journal, 1, first, "pump_a: no answer; it counts 7.5 uL", cause="asked")
    _settle(journal, 1, first, "not_done", "instrument:pump_a", "it counts 7.5 uL as before")
    _act(journal, 1, "1", number=2)
    journal.add(kinds.ACTION_DONE, trial=1, action=first, evidence={})
    second = _act(journal, 2, "1")
    _doubt(journal, 2, second, "<b>no</b> answer")
    _settle(journal, 2, second, "quarantine", "person:hana", "the <i>beaker</i> was moved")
    _doubt(journal, 3, _act(journal, 3, "1"), "the process ended during this action", cause="interrupted")
    journal.add(kinds.ACTION_DONE, trial=4, action=_act(journal, 4, "1"), evidence={})
    return journal


def test_every_doubt_is_kept(new_journal) -> None:
    """A doubt stays on record with its last words and its verdict, even after the action was repeated."""
    found = episodes(_campaign(new_journal).entries)
    assert [(e.trial, e.verdict, e.by) for e in found] == [
        (1, "not_done", "instrument:pump_a"),
        (2, "quarantine", "person:hana"),
        (3, "", ""),
    ]
    assert found[0].message == "pump_a: no answer; it counts 7.5 uL"
    assert [e.settled_at is None for e in found] == [False, False, True]
    assert found[0].settled_at is not None
    assert found[0].settled_at > found[0].since


def test_an_action_can_be_in_doubt_twice(new_journal) -> None:
    """Each doubt of one action has its own verdict."""
    journal = new_journal().create().propose(1, {"flow": 10.0}).start(1, "mix", "flow")
    for verdict in ("not_done", "done"):
        action = _act(journal, 1, "1")
        _doubt(journal, 1, action, verdict)
        _settle(journal, 1, action, verdict, "person:hana", "")
    assert [(e.message, e.verdict) for e in episodes(journal.entries)] == [("not_done",) * 2, ("done",) * 2]


def test_report_tells_of_doubts(new_journal) -> None:
    """The report lists each doubt with who settled it, names what is in quarantine, and escapes what people wrote."""
    journal = _campaign(new_journal)
    page = render_report(journal.state, journal.entries)
    section = page[page.index(HEADING) : page.index('<h2 id="trials">')]
    assert section.count("<tr>") == 4
    assert "not done, says the instrument pump_a, 2025-10-09 " in section
    assert "quarantine, says hana, " in section
    assert "not yet" in section
    assert "In quarantine, and not used any more: trial 2, after dispense of pump_a" in section
    assert "&lt;i&gt;beaker&lt;/i&gt;" in section
    assert "<i>" not in section
    assert section.count("<caption>") == section.count("<table")


def test_report_without_doubts(journal) -> None:
    """A campaign in which nothing was in doubt says nothing of it."""
    assert HEADING not in render_report(journal.state, journal.entries)


def test_json_has_every_action(new_journal) -> None:
    """The JSON export holds each trial's actions with their end, and the doubts there were about them."""
    journal = _campaign(new_journal)
    trials = campaign_document(journal.state, journal.entries)["trials"]
    (again,), (lost,), (open_,), (plain,) = (trial["actions"] for trial in trials)
    assert (again["id"], again["status"], again["tries"]) == ("c-1/1/mix/1", "done", 2)
    assert [(d["verdict"], d["by"]) for d in again["doubts"]] == [("not_done", "instrument:pump_a")]
    assert (lost["status"], lost["by"], lost["note"]) == ("quarantined", "person:hana", "the <i>beaker</i> was moved")
    assert open_["doubts"][0]["settled"] is None
    assert (plain["doubts"], plain["evidence"], plain["arguments"]["args"]) == ([], {"counter": 7.5}, [40.0])
    assert plain["dispatched"] < plain["updated"]
