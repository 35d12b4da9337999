"""Proposals and outcomes made again from the journal, and what is said where they are not the same."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import PlannerPlugin
from support.stations import run_stations, stations_lab

from sdl.campaign.corrections import correction
from sdl.cli._replay import replay_command
from sdl.fair._replay_record import proposed
from sdl.fair.replay import Check, Replay, replay
from sdl.journal import Store, kinds

Change = Callable[[str, dict[str, Any]], None]


def _replayed(path: Path, lab: Path | None = None) -> Replay:
    with Store.open(path, create=False) as store:
        return replay(store, store.campaigns()[0].id, lab=lab)


def _copied(path: Path, folder: Path, change: Change) -> Path:
    """A store whose journal tells another story, soundly chained, beside the same lab."""
    for item in path.parent.iterdir():
        if item.suffix in (".py", ".yaml", ".csv"):
            shutil.copy(item, folder / item.name)
    with Store.open(path, create=False) as store, Store.open(folder / "sdl.db") as other:
        head = store.campaigns()[0]
        other.create(head.id, head.name)
        with other.writer(head.id) as writer:
            for entry in store.entries(head.id):
                body = copy.deepcopy(entry.body)
                change(entry.kind, body)
                writer.append(entry.kind, body, durable=False)
    return folder / "sdl.db"


def test_what_was_done_is_done_again(soft_store: Path) -> None:
    """Of an unchanged campaign every proposal and every outcome is the same bit by bit, infeasible ones too."""
    done = _replayed(soft_store)
    assert done.matches
    with Store.open(soft_store, create=False) as store:
        statuses = [t.status.value for t in store.state(store.campaigns()[0].id).trials.values()]
    assert set(statuses) == {"observed", "infeasible"}
    assert done.counts("proposal") == done.counts("outcome") == {"exact": len(statuses)}


def test_inputs_come_from_the_journal(silver_store: Path, tmp_path: Path) -> None:
    """An analysis gets its input files as they were, also where the lab has gone: the journal has their content."""
    shutil.copy(silver_store, tmp_path / "alone.db")
    done = _replayed(tmp_path / "alone.db")
    assert done.matches
    assert done.counts("outcome") == {"exact": 3}


@pytest.fixture
def changed(soft_store: Path, tmp_path: Path) -> Callable[[Change], dict[tuple[int, str], Check]]:
    """Replays a campaign whose journal was changed: (trial, what) → comparison."""

    def made(change: Change) -> dict[tuple[int, str], Check]:
        done = _replayed(_copied(soft_store, tmp_path, change))
        return {(check.trial, check.what): check for check in done.checks}

    return made


def _of(trial: int, kind: str, key: str, change: Callable[[Any], Any]) -> Change:
    def apply(entry: str, body: dict[str, Any]) -> None:
        if entry == kind and body.get("trial") == trial:
            body[key] = change(body[key])

    return apply


def test_rounding_is_close(changed: Any) -> None:
    """A parameter that differs by a rounding error of its range is the same within the tolerance."""
    nudged = _of(2, kinds.TRIAL_PROPOSED, "parameters", lambda p: {**p, "x": p["x"] + 1e-12})
    checks = changed(nudged)
    assert checks[2, "proposal"].verdict == "close"
    assert all(check.matches for check in checks.values() if check.what == "proposal")


def test_another_point_differs(changed: Any) -> None:
    """A proposal that is not what the planner says is named, with both values."""
    checks = changed(_of(2, kinds.TRIAL_PROPOSED, "parameters", lambda p: {**p, "x": 0.5}))
    assert checks[2, "proposal"].verdict == "differs"
    assert "x 0.5 then" in checks[2, "proposal"].why
    assert checks[1, "proposal"].verdict == checks[3, "proposal"].verdict == "exact"


def test_another_seed_differs(changed: Any) -> None:
    """So is one with another seed than that on record."""
    assert changed(_of(1, kinds.TRIAL_PROPOSED, "seed", lambda seed: seed + 1))[1, "proposal"].verdict == "differs"


def test_versions_are_a_reason(changed: Any) -> None:
    """Where something differs, versions of the planner and of libraries that differ are said."""

    def change(kind: str, body: dict[str, Any]) -> None:
        if kind == kinds.SESSION_OPENED:
            body["versions"]["numpy"] = "0.1"
        if kind == kinds.TRIAL_PROPOSED:
            body["parameters"]["x"] = 0.5
            body["planner"]["version"] = "0"

    why = changed(change)[1, "proposal"].why
    assert "planner version 0 then" in why
    assert "numpy 0.1 then" in why


def test_a_planner_that_is_not_there(changed: Any) -> None:
    """A proposal of a planner that is not installed cannot be made again, and says so; outcomes can."""
    checks = changed(_of(3, kinds.TRIAL_PROPOSED, "planner", lambda planner: {**planner, "name": "nobodys"}))
    assert checks[3, "proposal"].verdict == "impossible"
    assert "nobodys" in checks[3, "proposal"].why
    assert checks[2, "proposal"].verdict == "exact"
    assert checks[3, "outcome"].matches


def test_another_outcome_differs(soft_store: Path, changed: Any) -> None:
    """An outcome that its documents do not give is named; one that is off by rounding is close."""
    with Store.open(soft_store, create=False) as store:
        seen = [t.number for t in store.state(store.campaigns()[0].id).trials.values() if t.outcomes]

    def change(kind: str, body: dict[str, Any]) -> None:
        if kind == kinds.TRIAL_OBSERVED:
            value = body["outcomes"]["z"]
            value["value"] *= 1 + 1e-12 if body["trial"] == seen[0] else 2.0

    checks = changed(change)
    assert checks[seen[0], "outcome"].verdict == "close"
    if len(seen) > 1:
        assert checks[seen[1], "outcome"].verdict == "differs"


def test_another_end_differs(changed: Any) -> None:
    """A trial that is on record as infeasible for another reason is named."""
    seen: list[int] = []

    def change(kind: str, body: dict[str, Any]) -> None:
        if kind == kinds.TRIAL_INFEASIBLE:
            seen.append(body["trial"])
            body["message"] = "it leaked"

    checks = changed(change)
    assert seen
    assert all(checks[number, "outcome"].verdict == "differs" for number in seen)


def test_what_a_planner_knew(store: Store, journal: Any) -> None:
    """A corrected outcome is what planners are told from its entry on; before, they knew what was on record then."""
    before = store.state(journal.id).trials[1].outcomes["peak"]
    with store.writer(journal.id) as writer:
        seq = writer.append(kinds.TRIAL_CORRECTED, correction(journal.state, 1, ["peak=400"], "hana", "off")[1]).seq
        body = {"trial": 21, "parameters": {}, "reason": {}, "seed": 1, "planner": {"name": "random", "version": "2"}}
        writer.append(kinds.TRIAL_PROPOSED, {**body, "known_seq": seq - 1})
        writer.append(kinds.TRIAL_PROPOSED, {**body, "trial": 22, "known_seq": seq})
    *_, last, first, second = proposed(store, journal.id)
    assert len(last.known) == 19
    assert first.known[0].outcomes["peak"] == before
    assert second.known[0].outcomes["peak"].value == 400
    # What the planner may not have known yet: the end of trial 20 was the last one.
    assert [t.status.pending for t in (first.known[19], first.late[0][19])] == [False, True]


def test_code_that_has_gone(soft_store: Path, tmp_path: Path) -> None:
    """Without the lab's folder its analysis cannot be called; `--lab` says where it is now."""
    shutil.copy(soft_store, tmp_path / "alone.db")
    done = _replayed(tmp_path / "alone.db")
    assert set(done.counts("outcome")) == {"impossible"}
    assert "--lab" in next(check.why for check in done.checks if check.what == "outcome")
    assert _replayed(tmp_path / "alone.db", lab=soft_store.parent / "lab.yaml").matches


def test_command(soft_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`sdl replay` exits with 0 when all is as on record, else with 2, and names what is not."""
    assert replay_command("soft", None, soft_store, False) == 0
    assert "all as on record" in capsys.readouterr().out
    wrong = _copied(soft_store, tmp_path, _of(2, kinds.TRIAL_PROPOSED, "parameters", lambda p: {**p, "y": 0.5}))
    assert replay_command("soft", None, wrong, False) == 2
    assert ": not the same: y 0.5 then" in capsys.readouterr().out
    assert replay_command("soft", None, wrong, True) == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["matches"], told["proposals"]["differs"]) == (False, 1)
    assert sum(told["proposals"].values()) == sum(told["outcomes"].values())


_HASHES = """
version = "1"
in_process = True

def propose(self, problem, trials, n, seed):
    import hashlib, json
    known = json.dumps([seed, [trial.model_dump(mode="json") for trial in trials]], sort_keys=True)
    share = [byte / 255 for byte in hashlib.sha256(known.encode()).digest()]
    values = {p.name: p.low + part * (p.high - p.low) for p, part in zip(problem.parameters, share)}
    return [Proposal(parameters=values, reason=Reason(summary="what is known, hashed"))]
"""


def test_several_in_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With three trials under way the record says exactly what the planner knew each time it was asked.

    The planner's proposals change with any detail of any trial it is shown.
    """
    monkeypatch.syspath_prepend(PlannerPlugin(tmp_path / "plugin", "hashes", _HASHES).path)
    campaign = stations_lab(tmp_path / "lab", trials=6, in_flight=3)
    campaign.write_text(campaign.read_text().replace("planner: random", "planner: hashes"))
    run_stations(campaign)
    done = _replayed(campaign.parent / "sdl.db")
    assert [(check.verdict, check.why) for check in done.checks if not check.matches] == []
    assert done.counts("proposal") == {"exact": 6}
