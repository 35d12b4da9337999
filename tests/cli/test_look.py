"""The commands that look at a store: list, show, export, report, verify, watch; and doctor, plugins, simulate."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
import socket
import sqlite3
from pathlib import Path

import pytest
from support import Nursery, soft_lab, wait_until


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Path:
    """A folder with a store of two campaigns, `soft` (5 trials) and `other` (2 trials)."""
    folder = tmp_path_factory.mktemp("store")
    for name, trials in (("soft", 5), ("other", 2)):
        campaign = soft_lab(folder / name, name=name, trials=trials, infeasible_above=0.8)
        process = nursery.run("run", campaign, "--store", "sdl.db", "--quiet", cwd=folder)
        assert process.status == 0, process.err
    return folder


def test_list_json(folder: Path, nursery: Nursery) -> None:
    """`sdl list --json` prints one object a campaign with id, name, status and trials."""
    process = nursery.run("list", "--json", cwd=folder)
    assert process.status == 0, process.err
    rows = process.out.splitlines()
    loaded = [json.loads(row) for row in rows]
    assert [(r["name"], r["status"], r["trials"]) for r in loaded] == [
        ("soft", "ended", 5),
        ("other", "ended", 2),
    ]
    assert all(r["id"] for r in loaded)


def test_list_for_people(folder: Path, nursery: Nursery) -> None:
    """`sdl list` names every campaign; without a store it says how to get one, with status 2."""
    assert "soft" in nursery.run("list", cwd=folder).out
    nothing = nursery.run("list", "--store", "none.db", cwd=folder)
    assert nothing.status == 2
    assert "`sdl run` makes one" in nothing.err


def test_export_json(folder: Path, nursery: Nursery) -> None:
    """The JSON export is one object with the campaign, the problem and each trial's parameters, outcomes and reason."""
    process = nursery.run("export", "soft", "--format", "json", cwd=folder)
    assert process.status == 0, process.err
    document = json.loads(process.out)
    assert {"campaign", "problem", "trials"} <= set(document)
    assert [t["number"] for t in document["trials"]] == [1, 2, 3, 4, 5]
    keys = {"number", "status", "parameters", "outcomes", "planner", "reason", "started", "ended"}
    for trial in document["trials"]:
        assert keys <= set(trial)
        assert set(trial["parameters"]) == {"x", "y"}
        if trial["status"] == "observed":
            assert set(trial["outcomes"]["z"]) == {"value", "sem", "unit"}
    assert {t["status"] for t in document["trials"]} <= {"observed", "infeasible"}


def test_export_csv_and_parquet(folder: Path, nursery: Nursery) -> None:
    """CSV goes to standard output with a row a trial; Parquet goes to a file."""
    process = nursery.run("export", "soft", cwd=folder)
    assert process.status == 0, process.err
    rows = list(csv.DictReader(line for line in io.StringIO(process.out) if not line.startswith("#")))
    assert len(rows) == 5
    written = nursery.run("export", "soft", "-f", "parquet", "-o", "soft.parquet", cwd=folder)
    assert written.status == 0, written.err
    assert (folder / "soft.parquet").read_bytes()[:4] == b"PAR1"


def test_names(folder: Path, nursery: Nursery) -> None:
    """A campaign answers to its name, its id and unique prefixes; others are refused with the nearest."""
    listed = [json.loads(row) for row in nursery.run("list", "--json", cwd=folder).out.splitlines()]
    for text in ("soft", "so", listed[0]["id"]):
        shown = nursery.run("show", text, "--json", cwd=folder)
        assert shown.status == 0, shown.err
        assert json.loads(shown.out)["campaign"]["id"] == listed[0]["id"]
    wrong = nursery.run("show", "sopt", cwd=folder)
    assert wrong.status == 2
    assert "soft" in wrong.err
    both = nursery.run("show", "2", cwd=folder)
    assert both.status == 2
    assert len(both.err.splitlines()) >= 1


def test_show(folder: Path, nursery: Nursery) -> None:
    """`sdl show` prints the campaign's facts; with a trial's number why it was proposed and its steps."""
    campaign = nursery.run("show", "soft", cwd=folder)
    assert "ended: the budget of 5 trials is used up" in campaign.out
    assert "best" in campaign.out
    trial = nursery.run("show", "soft", "2", cwd=folder)
    assert "drawn at random from the space" in trial.out
    assert "read_again" in trial.out
    missing = nursery.run("show", "soft", "77", cwd=folder)
    assert missing.status == 2
    assert "has no trial 77" in missing.err


def test_report(folder: Path, nursery: Nursery) -> None:
    """`sdl report` writes one HTML file named after the campaign and says where."""
    process = nursery.run("report", "soft", cwd=folder)
    assert process.status == 0, process.err
    assert "soft.html" in process.out
    assert (folder / "soft.html").read_text().lower().startswith("<!doctype html>")


def test_verify(folder: Path, nursery: Nursery, tmp_path: Path) -> None:
    """`sdl verify` says that all is intact; after one changed byte it exits with 2 and names the entry."""
    good = nursery.run("verify", cwd=folder)
    assert good.status == 0
    assert good.out.count("entries intact") == 2
    copy = tmp_path / "copy.db"
    with sqlite3.connect(folder / "sdl.db") as source, sqlite3.connect(copy) as target:
        source.backup(target)
    source.close()
    target.execute("update packed set at = at + 1 where place % 1099511627776 = 7")
    target.commit()
    target.close()
    bad = nursery.run("verify", "--store", copy, cwd=tmp_path)
    assert bad.status == 2
    assert "entry 7" in bad.out


def test_watch_afterwards(folder: Path, nursery: Nursery) -> None:
    """Watching a campaign that nobody runs prints its journal, and says that nobody runs it."""
    process = nursery.run("watch", "soft", cwd=folder)
    assert process.status == 0
    assert "nobody is running" in process.out
    assert "ended: the budget of 5 trials" in process.out


def test_watch_live(tmp_path: Path, nursery: Nursery) -> None:
    """A watcher that joins late prints every event of the campaign, the same lines as `sdl run --json`, and ends."""
    campaign = soft_lab(tmp_path, trials=4, seconds=0.4)
    run = nursery.start("run", campaign, "--json", cwd=tmp_path)
    run.wait_for("trial.observed", trial=1)
    watch = nursery.start("watch", "--json", cwd=tmp_path)
    people = nursery.start("watch", "soft", cwd=tmp_path)
    documents = nursery.start("watch", "--json", "--documents", cwd=tmp_path)
    wait_until(lambda: watch.events, 20, "the watcher's first line")
    assert run.status is None, "the watcher came too late for this test"
    assert run.wait() == 0
    assert watch.wait(10) == 0, watch.err
    assert watch.out.splitlines() == run.out.splitlines()
    assert people.wait(10) == 0
    assert "campaign soft ended" in people.out
    assert documents.wait(10) == 0
    everything = documents.events
    assert [e["seq"] for e in everything] == list(range(1, len(everything) + 1))
    assert sum(e["event"] == "document" and e["name"] == "stop" for e in everything) == 8


def test_watch_a_killed_campaign(tmp_path: Path, nursery: Nursery) -> None:
    """When the campaign's process vanishes, the watcher says so and ends."""
    run = nursery.start("run", soft_lab(tmp_path, seconds=3600), "--json", cwd=tmp_path)
    run.wait_for("step.started")
    watch = nursery.start("watch", cwd=tmp_path)
    wait_until(lambda: "begins" in watch.out, 20, "the watcher's first line")
    run.kill()
    assert watch.wait(15) == 0
    assert "has vanished; run it again to go on" in watch.out
    listed = json.loads(nursery.run("list", "--json", cwd=tmp_path).out)
    assert listed["status"] == "interrupted"


def test_simulate(tmp_path: Path, nursery: Nursery) -> None:
    """`sdl simulate` prints an address for each device and serves there until Ctrl-C."""
    lab = Path(__file__).parents[2] / "examples" / "silver-flow" / "lab.yaml"
    process = nursery.start("simulate", lab, "--seed", "3", "--speed", "50", cwd=tmp_path)
    wait_until(lambda: "Ctrl-C stops them" in process.out, 30, f"addresses\n{process.err}", 0.02)
    assert "50 lab seconds a second, seed 3" in process.out
    found = dict(re.findall(r"^(\w+) +tcp://127\.0\.0\.1:(\d+)", process.out, re.MULTILINE))
    assert set(found) == {
        "silver_pump",
        "reductant_pump",
        "stabiliser_pump",
        "seed_pump",
        "heater",
        "spectrometer",
    }
    with socket.create_connection(("127.0.0.1", int(found["spectrometer"])), timeout=5) as connection:
        connection.sendall(b"*IDN?\n")
        assert connection.recv(200).endswith(b"\n")
    process.signal(signal.SIGINT)
    assert process.wait(10) == 0, process.err
    assert process.err == ""


def test_doctor(folder: Path, nursery: Nursery) -> None:
    """`sdl doctor` finds this installation in order, and a lab's devices; a damaged lab file gives status 2."""
    well = nursery.run("doctor", folder / "soft" / "lab.yaml", "--json", cwd=folder)
    findings = [json.loads(line) for line in well.out.splitlines()]
    assert well.status == 0, findings
    assert {"what": "station bench", "state": "ok", "message": "detector answer"} in findings
    broken = folder / "broken.yaml"
    broken.write_text((folder / "soft" / "lab.yaml").read_text().replace("stations:", "statons:"))
    ill = nursery.run("doctor", broken, cwd=folder)
    assert ill.status == 2
    assert "did you mean 'stations'?" in ill.out


def test_plugins(folder: Path, nursery: Nursery) -> None:
    """`sdl plugins` lists what is installed, ours by the same door as anybody's."""
    rows = [json.loads(line) for line in nursery.run("plugins", "--json", cwd=folder).out.splitlines()]
    assert {"random", "sobol", "bayes"} <= {r["name"] for r in rows if r["group"] == "sdl.planners"}
    assert all(r["distribution"] for r in rows)
    assert "soft_detector" in nursery.run("plugins", cwd=folder).out


def test_help_and_version(tmp_path: Path, nursery: Nursery) -> None:
    """Help names every command; a wrong flag or command gets status 2 and a word on standard error."""
    helped = nursery.run("--help", cwd=tmp_path)
    assert helped.status == 0
    commands = ("run", "simulate", "watch", "list", "show", "export", "report", "verify", "doctor", "plugins")
    assert all(f" {command} " in helped.out for command in commands)
    assert re.match(r"sdl \d+\.\d+", nursery.run("--version", cwd=tmp_path).out)
    for argv in (
        ("run",),
        ("runn", "x.yaml"),
        ("run", "x.yaml", "--sed", "1"),
        ("run", "x.yaml", "--trials", "many"),
    ):
        wrong = nursery.run(*argv, cwd=tmp_path)
        assert wrong.status == 2, argv
        assert wrong.err.strip()
        assert "Traceback" not in wrong.err
