"""Actions in doubt: `sdl doubts`, `sdl resolve` without a session, and where else people see them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import Nursery
from support.doubts import NOTE, begin, dispense, doubt, last

from sdl.campaign.doubts import find_doubt, list_doubts, resolution, resolve
from sdl.journal import Store, kinds
from sdl.model import InputError

HANA = {"LOGNAME": "hana"}


@pytest.fixture
def doubtful(store: Store) -> Store:
    """A paused campaign of two trials; the dispense of trial 3 is in doubt, that of trial 2 is done."""
    with store.writer("c1") as writer:
        begin(writer, 2, 3)
        done = dispense(writer, 2, "1")
        writer.append(kinds.ACTION_DONE, {"trial": 2, "action": done, "evidence": {"delivered": 100.0}})
        doubt(writer, dispense(writer, 3, "1", noted={"unit": "uL"}))
        writer.append(kinds.CAMPAIGN_PAUSED, {"message": "not known whether it is done", "advice": "look there"})
    return store


# ── sdl doubts ──


def test_doubts_for_people(doubtful: Store, nursery: Nursery, tmp_path: Path) -> None:
    """A doubt is listed with what, where, when, the readings, the instrument's words, and each way to settle it."""
    process = nursery.run("doubts", cwd=tmp_path)
    assert process.status == 0, process.err
    for text in (
        "1 action is in doubt", "dispense of silver_pump (100 uL)", "counter 12.5", "silver_pump does not answer",
        "sdl resolve 3/mix/1 --done", "--not-done", "--quarantine",
    ):  # fmt: skip
        assert text in process.out, text
    assert "2/mix/1" not in process.out
    assert nursery.run("doubts", "silv", cwd=tmp_path).out == process.out


def test_doubts_json(doubtful: Store, nursery: Nursery, tmp_path: Path) -> None:
    """`--json` prints one object a doubt with its id, times in ns, evidence and arguments."""
    (line,) = nursery.run("doubts", "--json", cwd=tmp_path).out.splitlines()
    found = json.loads(line)
    wanted = {"id": "c1/3/mix/1", "key": "3/mix/1", "trial": 3, "step": "mix", "status": "in_doubt", "armed": True}
    assert wanted.items() <= found.items()
    assert found["evidence"] == {"counter": 12.5, "unit": "uL"}
    assert found["dispatched_at"] <= found["acked_at"]


def test_no_doubts(store: Store, nursery: Nursery, tmp_path: Path) -> None:
    """Where nothing is in doubt it says so, for one campaign and for all; a campaign that is not there is refused."""
    with store.writer("c1") as writer:
        begin(writer, 1)
    for arguments in ((), ("silver",)):
        process = nursery.run("doubts", *arguments, cwd=tmp_path)
        assert (process.status, "nothing is in doubt" in process.out) == (0, True)
    assert nursery.run("doubts", "--json", cwd=tmp_path).out == ""
    wrong = nursery.run("doubts", "sliver", cwd=tmp_path)
    assert wrong.status == 2
    assert "did you mean 'silver'" in wrong.err


def test_under_way_is_in_doubt_once_the_session_is_dead(store: Store) -> None:
    """What is under way is in doubt only when no session is alive; what may be repeated at will, never."""
    with store.writer("c1") as writer:
        begin(writer, 1)
        action = dispense(writer, 1, "1")
        body = dict(last(store, kinds.ACTION_DISPATCHED).body)
        writer.append(kinds.ACTION_DISPATCHED, {**body, "action": "c1/1/mix/a1", "effect": "absolute"})
        assert list_doubts(store, "c1") == []
        with pytest.raises(InputError, match="is under way in the session that runs"):
            find_doubt(store, ["c1"], action)
    (found,) = list_doubts(store, "c1")
    assert (found.action.id, found.cut_off) == (action, True)


def test_doubts_of_trials_that_have_ended(doubtful: Store) -> None:
    """Nobody is asked about a trial that has ended."""
    with doubtful.writer("c1") as writer:
        writer.append(kinds.TRIAL_FAILED, {"trial": 3, "message": "given up", "device": "", "lab_seconds": 1})
    assert list_doubts(doubtful, "c1") == []
    with pytest.raises(InputError, match=r"trial 3 has ended \(failed\)"):
        find_doubt(doubtful, ["c1"], "3/mix/1")


def test_units_from_descriptors(store: Store) -> None:
    """Where the driver notes no unit, a descriptor's key of the same name gives it; otherwise there is none."""
    key = {"dtype": "number", "shape": [], "source": "", "units": "uL"}
    doc = {"uid": "d", "run_start": "r", "name": "primary", "data_keys": {"silver_pump-dispense": key}}
    with store.writer("c1") as writer:
        begin(writer, 1)
        doubt(writer, dispense(writer, 1, "1"))
        assert [d.what for d in list_doubts(store, "c1")] == ["dispense of silver_pump (100)"]
        where = {"trial": 1, "step": "mix", "attempt": 1}
        writer.append(kinds.DOCUMENT, {**where, "name": "descriptor", "doc": doc})
    assert [d.what for d in list_doubts(store, "c1")] == ["dispense of silver_pump (100 uL)"]


# ── sdl resolve without a session ──


@pytest.mark.parametrize(
    ("flag", "verdict", "follows"),
    [
        ("--done", "done", "it is not done again"),
        ("--not-done", "not_done", "trial 3 does it when it goes on"),
        ("--quarantine", "quarantine", "trial 3 will be given up"),
    ],
)
def test_resolve(doubtful: Store, nursery: Nursery, tmp_path: Path, flag: str, verdict: str, follows: str) -> None:
    """A verdict goes on record with the login name and the note, what follows is said, and the lease is free again."""
    process = nursery.run("resolve", "3/mix/1", flag, "--note", NOTE, cwd=tmp_path, env=HANA)
    assert process.status == 0, process.err
    assert follows in process.out
    assert "to go on: sdl run CAMPAIGN.yaml" in process.out
    entry = last(doubtful, kinds.ACTION_RESOLVED)
    assert entry.body == {
        "trial": 3, "action": "c1/3/mix/1", "verdict": verdict, "by": "person:hana", "note": NOTE, "evidence": {},
    }  # fmt: skip
    assert doubtful.lease("c1") is None
    assert doubtful.verify() == []
    assert list_doubts(doubtful, "c1") == []
    assert doubtful.state("c1").status == "paused"


@pytest.mark.parametrize("text", ["c1/3/mix/1", "3/mix/1", "3/mix", "3", "c1", "c1/3"])
def test_ways_to_name_a_doubt(doubtful: Store, text: str) -> None:
    """The whole id, `trial/step/position`, and first parts of either name it where nothing else fits."""
    assert find_doubt(doubtful, ["c1"], text).action.id == "c1/3/mix/1"


def test_several_fit(doubtful: Store, nursery: Nursery, tmp_path: Path) -> None:
    """An id that fits several is refused with all of them, and nothing is recorded; more of it settles the one."""
    with doubtful.writer("c1") as writer:
        doubt(writer, dispense(writer, 3, "12"))
    several = nursery.run("resolve", "3/mix", "--done", "--note", NOTE, cwd=tmp_path)
    assert several.status == 2
    assert "c1/3/mix/1 (" in several.err
    assert "c1/3/mix/12 (" in several.err
    assert list(doubtful.entries("c1", kinds={kinds.ACTION_RESOLVED})) == []
    one = nursery.run("resolve", "3/mix/1", "--done", "--note", NOTE, cwd=tmp_path)
    assert one.status == 0, one.err
    assert "still in doubt: 3/mix/12" in one.out


def test_one_id_in_two_campaigns(doubtful: Store, nursery: Nursery, tmp_path: Path) -> None:
    """Where two campaigns have the same short id, the list shows whole ids, and `--campaign` chooses."""
    doubtful.create("c2", "gold")
    with doubtful.writer("c2") as writer:
        begin(writer, 3, name="gold")
        doubt(writer, dispense(writer, 3, "1"))
    listed = nursery.run("doubts", cwd=tmp_path).out
    assert "c1/3/mix/1" in listed
    assert "c2/3/mix/1" in listed
    both = nursery.run("resolve", "3/mix/1", "--done", "--note", NOTE, cwd=tmp_path)
    assert (both.status, "fits several" in both.err) == (2, True)
    chosen = nursery.run("resolve", "3/mix/1", "--campaign", "gold", "--done", "--note", NOTE, cwd=tmp_path)
    assert chosen.status == 0, chosen.err
    assert [d.campaign for c in ("c1", "c2") for d in list_doubts(doubtful, c)] == ["c1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("3/mix/1", "--note", NOTE), "none was given"),
        (("3/mix/1", "--note", NOTE, "--done", "--quarantine"), "2 were given"),
        (("3/mix/1", "--done"), "--note"),
        (("3/mix/1", "--done", "--note", "  "), "--note"),
        (("3/mix/1", "--done", "--note", NOTE, "--by", " "), "whose decision"),
        (("3/mox/1", "--done", "--note", NOTE), "did you mean '3/mix/1'"),
        (("3/m", "--done", "--note", NOTE), "did you mean '3/mix/1'"),
        (("zzz", "--done", "--note", NOTE), "what is: 3/mix/1"),
        (("2", "--done", "--note", NOTE), "no action '2' is in doubt"),
        (("2/mix/1", "--done", "--note", NOTE), "is not in doubt: done"),
        (("", "--done", "--note", NOTE), "no action '' is in doubt"),
    ],
)
def test_refusals(doubtful: Store, nursery: Nursery, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """What is missing, doubled, unknown or not in doubt is refused in words, with status 2; nothing is recorded."""
    before = doubtful.campaigns()
    process = nursery.run("resolve", *arguments, cwd=tmp_path)
    assert process.status == 2, process.out
    assert said in process.err
    assert "Traceback" not in process.err
    assert doubtful.campaigns() == before


def test_settled_already(doubtful: Store, nursery: Nursery, tmp_path: Path) -> None:
    """A second verdict is refused with the first: what, by whom, when and why."""
    resolve(doubtful, "c1", "3/mix/1", "done", "hana", NOTE)
    process = nursery.run("resolve", "3/mix/1", "--not-done", "--note", "no", cwd=tmp_path)
    assert process.status == 2
    assert "settled already: done by person:hana, 20" in process.err
    assert NOTE in process.err
    assert len(list(doubtful.entries("c1", kinds={kinds.ACTION_RESOLVED}))) == 1


def test_python_refuses_as_the_command_does(doubtful: Store) -> None:
    """From Python, too, there is no verdict of another name, no decision without a note, and none of nobody."""
    state = doubtful.state("c1")
    for verdict, by, note, said in (
        ("maybe", "hana", NOTE, "'maybe' is no verdict"),
        ("done", "hana", " ", "a note is needed"),
        ("done", "person:", NOTE, "whose decision"),
    ):
        with pytest.raises(InputError, match=said):
            resolve(doubtful, "c1", "3/mix/1", verdict, by, note)
        with pytest.raises(InputError, match=said):
            resolution(state, "c1/3/mix/1", verdict, by, note, alone=False)
    with pytest.raises(InputError, match="has no action 'c1/9/mix/1'"):
        resolution(state, "c1/9/mix/1", "done", "hana", NOTE, alone=False)


# ── where else they are seen ──


def test_show(doubtful: Store, nursery: Nursery, tmp_path: Path) -> None:
    """`sdl show` says at the top what is in doubt and how to settle it; of a trial it lists every action."""
    shown = nursery.run("show", "silver", "--store", tmp_path / "sdl.db", cwd=tmp_path).out
    first = shown.splitlines()[1]
    assert first == "IN DOUBT: dispense of silver_pump (100 uL), trial 3"
    assert f"sdl resolve 3/mix/1 --store {tmp_path / 'sdl.db'} --done | --not-done" in shown
    resolve(doubtful, "c1", "3/mix/1", "quarantine", "hana", NOTE)
    assert "IN DOUBT" not in nursery.run("show", "silver", cwd=tmp_path).out
    rows = nursery.run("show", "silver", "3", cwd=tmp_path).out.splitlines()
    row = next(row for row in rows if row.startswith("mix/1"))
    for cell in ("dispense of silver_pump", "non repeatable", "quarantined", "1", "person:hana", NOTE):
        assert cell in row
    (action,) = json.loads(nursery.run("show", "silver", "3", "--json", cwd=tmp_path).out)["actions"]
    assert (action["status"], action["by"]) == ("quarantined", "person:hana")


def test_watch(doubtful: Store, nursery: Nursery, tmp_path: Path) -> None:
    """Whoever follows a campaign gets a line when an action becomes doubtful, and one when it is settled."""
    resolve(doubtful, "c1", "3/mix/1", "done", "hana", NOTE)
    out = nursery.run("watch", "silver", cwd=tmp_path).out
    assert "): silver_pump does not answer" in out
    assert "settle it: sdl resolve 3/mix/1 --done | --not-done | --quarantine" in out
    assert f"): done, says person:hana: {NOTE}" in out
    assert out.count("dispense of silver_pump (100") == 2


def test_exports_and_report(doubtful: Store, nursery: Nursery, tmp_path: Path) -> None:
    """With actions on record every export and the report are written."""
    resolve(doubtful, "c1", "3/mix/1", "quarantine", "hana", NOTE)
    for format in ("csv", "json", "parquet"):
        process = nursery.run("export", "silver", "-f", format, "-o", f"x.{format}", cwd=tmp_path)
        assert process.status == 0, process.err
    assert nursery.run("report", "silver", "-o", "r.html", cwd=tmp_path).status == 0
    page = (tmp_path / "r.html").read_text()
    assert "Actions in doubt and how they were settled" in page
    assert "In quarantine, and not used any more: trial 3" in page
