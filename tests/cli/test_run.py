"""`sdl run`: its flags, its exit status, and what it prints for scripts and people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import Nursery, check_record, edit, entries_of, soft_lab

from sdl.journal import kinds

_ROOT = Path(__file__).parents[2]
_TABLE = _ROOT.parent / "shared" / "data" / "crossed_barrel" / "replicates.csv"


def test_json_is_the_journal(tmp_path: Path, nursery: Nursery) -> None:
    """--json prints one object a line: every entry but documents, in order, with its number and time."""
    process = nursery.run("run", soft_lab(tmp_path, trials=3), "--json", cwd=tmp_path)
    assert process.status == 0, process.err
    assert process.err == ""
    printed = [json.loads(line) for line in process.out.splitlines()]
    wanted = [e for e in entries_of(tmp_path / "sdl.db") if e.kind != kinds.DOCUMENT]
    assert [(p["seq"], p["at"], p["event"], p["campaign"]) for p in printed] == [
        (e.seq, e.at, e.kind, e.campaign) for e in wanted
    ]
    for event, entry in zip(printed, wanted, strict=True):
        assert entry.body.items() <= event.items()


def test_json_though_plans_print(tmp_path: Path, nursery: Nursery) -> None:
    """What a plan, an analysis or bluesky prints does not get between the lines of --json."""
    campaign = soft_lab(tmp_path, trials=2)
    plans = tmp_path / "plans.py"
    text = plans.read_text().replace("    p = runs", '    print("hello from the analysis")\n    p = runs')
    plans.write_text(text.replace("        for _ in", '        print("hello from the plan")\n        for _ in'))
    process = nursery.run("run", campaign, "--json", cwd=tmp_path)
    assert process.status == 0
    assert len(process.events) == len(process.out.splitlines())
    assert "hello from the plan" in process.err
    assert "hello from the analysis" in process.err


def test_lines_for_people(tmp_path: Path, nursery: Nursery) -> None:
    """Into a pipe, each trial has a line with outcome and parameters; the end names the best trial."""
    process = nursery.run("run", soft_lab(tmp_path, trials=4, infeasible_above=0.7), cwd=tmp_path)
    assert process.status == 0
    assert "campaign soft ended: the budget of 4 trials is used up" in process.out
    assert "best: trial " in process.out
    assert "±" in process.out
    assert "\x1b" not in process.out
    assert process.err == ""


def test_quiet(tmp_path: Path, nursery: Nursery) -> None:
    """--quiet prints nothing of a campaign that ends well."""
    process = nursery.run("run", soft_lab(tmp_path, trials=2), "--quiet", cwd=tmp_path)
    assert (process.status, process.out, process.err) == (0, "", "")


def test_store_and_seed_and_trials(tmp_path: Path, nursery: Nursery) -> None:
    """--store names the file, --seed and --trials replace what the campaign file says."""
    campaign = soft_lab(tmp_path / "lab", trials=9)
    flags = ("--store", "elsewhere.db", "--seed", "99", "--trials", "2")
    assert nursery.run("run", campaign, *flags, cwd=tmp_path).status == 0
    assert not (tmp_path / "sdl.db").exists()
    spec = entries_of(tmp_path / "elsewhere.db")[0].body["spec"]
    assert (spec["seed"], spec["budget"]["trials"]) == (99, 2)
    assert check_record(tmp_path / "elsewhere.db")["proposed"] == 2


def test_ended_and_then_more(tmp_path: Path, nursery: Nursery) -> None:
    """An ended campaign says so and how to go on; a larger budget goes on with it, and the record says what changed."""
    campaign = soft_lab(tmp_path, trials=2)
    assert nursery.run("run", campaign, cwd=tmp_path).status == 0
    again = nursery.run("run", campaign, cwd=tmp_path)
    assert again.status == 0
    assert "has ended already" in again.out
    assert "--trials N" in again.out
    more = nursery.run("run", campaign, "--trials", "5", "--json", cwd=tmp_path)
    assert more.status == 0
    amended = next(e for e in more.events if e["event"] == "campaign.amended")
    assert amended["changes"] == {"budget.trials": [2, 5]}
    assert check_record(tmp_path / "sdl.db")["trial.observed"] == 5


def test_set_fields(tmp_path: Path, nursery: Nursery) -> None:
    """--set replaces fields: a planner by name, an hour budget that ends the campaign, a bound inside the problem."""
    campaign = soft_lab(tmp_path, trials=400)
    settings = (
        "--set",
        "planner=sobol",
        "--set",
        "budget.hours=1e-9",
        "--set",
        "problem.parameters.x.high=0.5",
    )
    process = nursery.run("run", campaign, *settings, "--json", cwd=tmp_path)
    assert process.status == 0, process.err
    spec = entries_of(tmp_path / "sdl.db")[0].body["spec"]
    assert spec["planner"]["name"] == "sobol"
    assert next(e for e in process.events if e["event"] == "campaign.ended")["rule"] == "hours"


def test_changed_problem_is_refused(tmp_path: Path, nursery: Nursery) -> None:
    """A campaign that has begun keeps its problem: another one is refused and says what differs."""
    campaign = soft_lab(tmp_path, trials=2)
    assert nursery.run("run", campaign, cwd=tmp_path).status == 0
    other = nursery.run("run", campaign, "--set", "problem.parameters.x.high=0.5", cwd=tmp_path)
    assert other.status == 2
    assert "1.0 then, 0.5 now" in other.err
    assert "another `name`" in other.err
    before = len(entries_of(tmp_path / "sdl.db"))
    assert nursery.run("run", campaign, "--trials", "3", cwd=tmp_path).status == 0
    assert len(entries_of(tmp_path / "sdl.db")) > before


@pytest.mark.skipif(not _TABLE.exists(), reason=f"needs the measured table {_TABLE}")
def test_table_of_measured_data(tmp_path: Path, nursery: Nursery) -> None:
    """--set table=PATH fills the lab's input; every observed outcome is one of the row's measured replicates."""
    import csv

    campaign = _ROOT / "examples" / "tabulated" / "campaign.yaml"
    settings = ("--set", f"table={_TABLE}", "--set", "planner=random", "--set", "budget.trials=4")
    process = nursery.run("run", campaign, *settings, "--store", tmp_path / "s.db", "--json", cwd=tmp_path)
    assert process.status == 0, process.err
    rows: dict[tuple[float, ...], list[float]] = {}
    with _TABLE.open() as file:
        for row in csv.DictReader(file):
            key = tuple(float(row[name]) for name in ("n", "theta", "r", "t"))
            rows.setdefault(key, []).append(float(row["toughness"]))
    trials = {e["trial"]: e["parameters"] for e in process.events if e["event"] == "trial.proposed"}
    observed = [e for e in process.events if e["event"] == "trial.observed"]
    assert len(observed) == 4
    for event in observed:
        key = tuple(float(trials[event["trial"]][name]) for name in ("n", "theta", "r", "t"))
        assert any(event["outcomes"]["toughness"]["value"] == pytest.approx(v) for v in rows[key])


def test_table_is_missing(tmp_path: Path, nursery: Nursery) -> None:
    """Without its table the tabulated lab says which setting gives one."""
    campaign = _ROOT / "examples" / "tabulated" / "campaign.yaml"
    process = nursery.run("run", campaign, "--store", tmp_path / "s.db", cwd=tmp_path)
    assert process.status == 2
    assert "--set table=PATH" in process.err
    assert not (tmp_path / "s.db").exists()


def test_lab_that_does_not_answer(tmp_path: Path, nursery: Nursery) -> None:
    """Devices behind closed ports pause the campaign with status 3, every one of them named with its address."""
    campaign = soft_lab(tmp_path, trials=2)

    def closed_ports(lab: dict[str, object]) -> None:
        lab["devices"] = {
            "detector": {"driver": "soft_detector"},
            "heater": {
                "driver": "modbus_heater",
                "address": "tcp://127.0.0.1:9",
                "options": {"high": "90 degC"},
            },
            "spectrometer": {"driver": "scpi_spectrometer", "address": "tcp://127.0.0.1:13"},
        }
        lab["stations"] = {"bench": {"devices": ["detector", "heater", "spectrometer"]}}

    edit(tmp_path / "lab.yaml", closed_ports)
    process = nursery.run("run", campaign, "--json", cwd=tmp_path, seconds=40)
    assert process.status == 3, process.err
    paused = next(e for e in process.events if e["event"] == "campaign.paused")
    assert "cannot connect 2 of 3 devices" in paused["message"]
    for name, address in (("heater", "127.0.0.1:9"), ("spectrometer", "127.0.0.1:13")):
        assert name in paused["message"]
        assert address in paused["message"]
    assert "mend that, then run the same command again" in paused["advice"]
    assert "Traceback" not in process.err


def test_device_option(tmp_path: Path, nursery: Nursery) -> None:
    """A device option that the driver does not know stops the campaign before its first trial, naming the nearest."""
    campaign = soft_lab(tmp_path)
    edit(tmp_path / "lab.yaml", lambda lab: lab["devices"]["detector"]["options"].update(stepp=1))
    process = nursery.run("run", campaign, cwd=tmp_path)
    assert process.status == 3
    assert "lab.yaml:" in process.out
    assert "stepp" in process.out
    assert "did you mean 'step'?" in process.out
